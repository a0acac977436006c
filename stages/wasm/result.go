package wasm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

// result is what a module answers for one event.
type result struct {
	Outcome    string                     `json:"outcome"`
	Code       string                     `json:"code"`
	Message    string                     `json:"message"`
	Field      string                     `json:"field"`
	After      string                     `json:"after"`
	Attributes map[string]json.RawMessage `json:"attributes"`
	Set        map[string]json.RawMessage `json:"set"`
}

// A code is the label of a metric, so there must be few of them.
var codePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// maxAttributes bounds what a module may add to one event, in bytes.
const maxAttributes = 64 << 10

// wrongAnswer is an answer of the module that is none.
type wrongAnswer struct{ message string }

func (w *wrongAnswer) Error() string { return w.message }

// decode reads what a module answers for a number of events.
func decode(output []byte, events int) ([]result, error) {
	if len(output) == 0 {
		return make([]result, events), nil
	}
	results := make([]result, 0, events)
	decoder := json.NewDecoder(bytes.NewReader(output))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&results); err != nil {
		return nil, &wrongAnswer{"it answers with what is no list of results: " + err.Error()}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &wrongAnswer{"it answers with more than one list of results"}
	}
	if len(results) != events {
		return nil, &wrongAnswer{fmt.Sprintf("it answers with %d results for %d events", len(results), events)}
	}
	return results, nil
}

// settle does with the event at index i what the module says. A result that cannot be followed rejects its event.
func settle(batch *pipeline.Batch, i int, r result) {
	if err := r.apply(batch, i); err != nil {
		batch.Reject(i, pipeline.Reason{Code: CodeResult, Message: clean("the module answers what is no result: " + err.Error())})
	}
}

func (r result) apply(batch *pipeline.Batch, i int) error {
	if r.Code != "" && !codePattern.MatchString(r.Code) {
		return fmt.Errorf("the code %q; a code is lower case letters, digits and _ . -, 64 at most", clean(r.Code))
	}
	message := clean(r.Message)
	if message == "" {
		message = "the module gives no message"
	}
	reason := pipeline.Reason{Code: r.Code, Message: message, Field: clean(r.Field)}
	if reason.Code == "" {
		reason.Code = CodeDefault
	}
	switch r.Outcome {
	case "", "pass":
		return r.pass(batch, i)
	case "drop":
		batch.Drop(i, reason)
	case "reject":
		batch.Reject(i, reason)
	case "retry":
		if r.After == "" {
			batch.Retry(i, errors.New(message))
			return nil
		}
		after, err := time.ParseDuration(r.After)
		if err != nil || after < 0 {
			return fmt.Errorf("after %q; it is a duration such as \"30s\"", clean(r.After))
		}
		batch.RetryAfter(i, errors.New(message), after)
	default:
		return fmt.Errorf("the outcome %q; there is pass, drop, reject, retry", clean(r.Outcome))
	}
	return nil
}

// pass adds to the event what the module found and changes what it set.
func (r result) pass(batch *pipeline.Batch, i int) error {
	event := batch.Event(i)
	if err := checkAttributes(r.Attributes); err != nil {
		return err
	}
	if len(r.Set) > 0 {
		changed, err := change(event, r.Set)
		if err != nil {
			return err
		}
		batch.Replace(i, changed)
		event = changed
	}
	if len(r.Attributes) > 0 {
		// A map of the event's own: a copy that went elsewhere may share the one that it has.
		attributes := make(map[string]json.RawMessage, len(event.Enrichment.Attributes)+len(r.Attributes))
		maps.Copy(attributes, event.Enrichment.Attributes)
		maps.Copy(attributes, r.Attributes)
		event.Enrichment.Attributes = attributes
	}
	return nil
}

func checkAttributes(attributes map[string]json.RawMessage) error {
	size := 0
	for name, value := range attributes {
		if name == "" || len(name) > formats.MaxIDBytes || clean(name) != name {
			return fmt.Errorf("the attribute %q; a name is 1 to %d bytes, without control characters", clean(name), formats.MaxIDBytes)
		}
		if bytes.Contains(value, []byte(`\u0000`)) {
			return fmt.Errorf("the attribute %s holds the character U+0000, which cannot be stored", name)
		}
		size += len(name) + len(value)
	}
	if size > maxAttributes {
		return fmt.Errorf("attributes of %d bytes; %d at most", size, maxAttributes)
	}
	return nil
}

// change returns a copy of an event with fields changed. What comes of it is checked as what a sender sends is.
func change(event *tracking.Event, set map[string]json.RawMessage) (*tracking.Event, error) {
	if _, ok := set["tenant_id"]; ok {
		return nil, errors.New("tenant_id cannot be set: whose an event is stays what it is")
	}
	text, err := encodeEvent(event)
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	for _, ours := range []string{"uid", "received_at", "enrichment", "personal"} {
		delete(fields, ours)
	}
	for name, value := range set {
		if string(value) == "null" {
			delete(fields, name)
			continue
		}
		fields[name] = value
	}
	if text, err = json.Marshal(fields); err != nil {
		return nil, fmt.Errorf("write the event: %w", err)
	}
	read, err := native.Decode(text, native.JSON, formats.Options{})
	if err != nil {
		return nil, fmt.Errorf("set: %w", err)
	}
	changed, err := taken(read)
	if err != nil {
		return nil, err
	}
	if _, ok := set["payload"]; !ok {
		changed.Payload = event.Payload // byte for byte
	}
	if _, ok := set["timestamp"]; !ok {
		changed.OccurredAt = event.OccurredAt
	}
	changed.Enrichment = event.Clone().Enrichment
	return changed, nil
}

// taken returns the only event that was read, or what refused it.
func taken(read []formats.Result) (*tracking.Event, error) {
	for _, r := range read {
		if r.OK() {
			return r.Event, nil
		}
		for _, finding := range r.Findings {
			if finding.Severity == formats.SeverityError {
				return nil, fmt.Errorf("set: %s", finding.Message)
			}
		}
	}
	return nil, errors.New("set: what comes of it is no event")
}
