package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/internal/outbound"
	"github.com/rastrohq/rastro/pipeline"
)

// Limits of what a service may say of an event.
const (
	maxReason     = 300      // bytes of a reason
	maxAttributes = 64 << 10 // bytes of what is added to an event
)

// A code is the label of a metric, so there must be few of them.
var codePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// read settles items by an answer. With an error it settles none.
func (s *stage) read(answer *outbound.Answer, items []*item) error {
	var verdicts []verdict
	var err error
	switch {
	case s.config.Response == ResponseIgnore:
		verdicts = make([]verdict, len(items))
	case answer.Cut:
		err = fmt.Errorf("it has more than %d bytes", maxAnswer)
	case s.config.Response == ResponseVerdicts:
		verdicts, err = readVerdicts(answer.Body, items)
	default:
		verdicts, err = s.readAttributes(answer.Body, len(items))
	}
	if err != nil {
		return err
	}
	for i, it := range items {
		it.settle(verdicts[i])
	}
	return nil
}

func (s *stage) readAttributes(body []byte, n int) ([]verdict, error) {
	values := make([]json.RawMessage, 1)
	if len(bytes.TrimSpace(body)) == 0 { // as of 204: nothing to add
		return make([]verdict, n), nil
	}
	if s.config.Body == BodyOne {
		if err := json.Unmarshal(body, &values[0]); err != nil {
			return nil, fmt.Errorf("decode answer: %w", err)
		}
	} else if err := json.Unmarshal(body, &values); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	if len(values) != n {
		return nil, fmt.Errorf("it has %d items for %d events", len(values), n)
	}
	verdicts := make([]verdict, n)
	for i, value := range values {
		if len(value) > maxAttributes {
			return nil, fmt.Errorf("item %d has more than %d bytes", i, maxAttributes)
		}
		if value != nil && string(value) != "null" {
			verdicts[i].attributes = attributes{s.config.Into: value}
		}
	}
	return verdicts, nil
}

// result is what a service says of one event.
type result struct {
	Index      *int       `json:"index"`
	UID        *uuid.UUID `json:"uid"`
	Outcome    string     `json:"outcome"`
	Code       string     `json:"code"`
	Reason     string     `json:"reason"`
	Field      string     `json:"field"`
	RetryAfter float64    `json:"retry_after"`
	Attributes attributes `json:"attributes"`
}

func readVerdicts(body []byte, items []*item) ([]verdict, error) {
	results, err := decodeResults(body)
	if err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	verdicts, given := make([]verdict, len(items)), make([]bool, len(items))
	for n, r := range results {
		at, err := r.find(items, given)
		if err != nil {
			return nil, fmt.Errorf("result %d: %w", n, err)
		}
		given[at] = true
		if verdicts[at], err = r.verdict(); err != nil {
			return nil, fmt.Errorf("result %d: %w", n, err)
		}
	}
	for i, ok := range given {
		if !ok {
			return nil, fmt.Errorf("there is no result for event %d of %d", i, len(items))
		}
	}
	return verdicts, nil
}

func decodeResults(body []byte) ([]result, error) {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		var list []result
		err := json.Unmarshal(body, &list)
		return list, err
	}
	var answer struct {
		Results []result `json:"results"`
	}
	err := json.Unmarshal(body, &answer)
	return answer.Results, err
}

// find returns which item the result is about.
func (r result) find(items []*item, given []bool) (int, error) {
	switch {
	case r.Index != nil:
		if *r.Index < 0 || *r.Index >= len(items) {
			return 0, fmt.Errorf("index %d of %d events", *r.Index, len(items))
		}
		if given[*r.Index] {
			return 0, fmt.Errorf("event %d has two", *r.Index)
		}
		return *r.Index, nil
	case r.UID != nil:
		for i, it := range items {
			if it.event.UID == *r.UID && !given[i] {
				return i, nil
			}
		}
		return 0, fmt.Errorf("no event of the request that is left has the uid %s", *r.UID)
	default:
		return 0, errors.New("it needs index or uid")
	}
}

func (r result) verdict() (verdict, error) {
	reason := pipeline.Reason{Code: r.Code, Message: outbound.Line(r.Reason, maxReason), Field: outbound.Line(r.Field, maxReason)}
	if !codePattern.MatchString(reason.Code) {
		reason.Code = CodeVerdict
	}
	if reason.Message == "" {
		reason.Message = "the service gave no reason"
	}
	switch r.Outcome {
	case "pass":
		if err := r.Attributes.check(); err != nil {
			return verdict{}, err
		}
		return verdict{attributes: r.Attributes}, nil
	case "drop":
		return verdict{Verdict: pipeline.Verdict{Outcome: pipeline.Drop, Reason: reason}}, nil
	case "reject":
		return verdict{Verdict: pipeline.Verdict{Outcome: pipeline.Reject, Reason: reason}}, nil
	case "retry":
		after := time.Duration(min(max(r.RetryAfter, 0), outbound.MaxWait.Seconds()) * float64(time.Second))
		err := fmt.Errorf("the service asks to try again: %s", reason.Message)
		return verdict{Verdict: pipeline.Verdict{Outcome: pipeline.Retry, Err: err, After: after}}, nil
	default:
		return verdict{}, fmt.Errorf("outcome %q is not pass, drop, reject or retry", outbound.Line(r.Outcome, 40))
	}
}

func (a attributes) check() error {
	size := 0
	for name, value := range a {
		if !namePattern.MatchString(name) {
			return fmt.Errorf("%q cannot name an attribute", outbound.Line(name, 80))
		}
		size += len(name) + len(value)
	}
	if size > maxAttributes {
		return fmt.Errorf("the attributes have more than %d bytes", maxAttributes)
	}
	return nil
}
