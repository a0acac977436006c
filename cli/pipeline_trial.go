package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/stages/aggregate"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

// What `rastro pipeline run` and `rastro pipeline test` share.

// inMemory returns settings with what stages need besides their config, in memory.
func inMemory(files fs.FS, clock trial.Clock, events *persist.Memory) pipeline.Settings {
	settings := pipeline.Settings{Files: files}
	settings = pipeline.Provide[dedupe.Claims](settings, dedupe.NewMemory(clock.Now))
	settings = pipeline.Provide[persist.Store](settings, events)
	return pipeline.Provide(settings, aggregate.NewMemory())
}

// carrier returns what a topic does to an event: it is encoded and decoded as in production.
func carrier() (func(*tracking.Event) (*tracking.Event, int, error), error) {
	codec, err := routers.NewCodec()
	if err != nil {
		return nil, err
	}
	return func(event *tracking.Event) (*tracking.Event, int, error) {
		messages, err := codec.Encode([]*tracking.Event{event}, "", math.MaxInt32)
		if err != nil {
			return nil, 0, err
		}
		carried, _, err := codec.Decode(messages[0].Payload)
		if err != nil {
			return nil, 0, err
		}
		return carried[0], len(messages[0].Payload), nil
	}, nil
}

// specs reads and checks the pipelines of a configuration. What is wrong with any of them comes as one error.
func (p *pipelineCommand) specs(ctx context.Context, files configuration, asked ...pipeline.Source) ([]pipeline.Spec, error) {
	registry, err := p.registry()
	if err != nil {
		return nil, err
	}
	sources, err := pipelineSources(files)
	if err != nil {
		return nil, err
	}
	sources = instead(sources, asked)
	if len(sources) == 0 {
		return nil, exitWith(exitUsage, errNoPipelines)
	}
	checker, err := p.checker(files, registry)
	if err != nil {
		return nil, err
	}
	specs, findings := check(ctx, files, checker, sources)
	if wrong := findings.Errors(); len(wrong) > 0 {
		return nil, wrong
	}
	return specs, nil
}

// pick returns the spec of a name and, unless only, those of the pipelines that it leads to.
func pick(specs []pipeline.Spec, name string, only bool) ([]pipeline.Spec, error) {
	i := slices.IndexFunc(specs, func(s pipeline.Spec) bool { return s.Name == name })
	if i < 0 {
		known := make([]string, len(specs))
		for i, spec := range specs {
			known[i] = spec.Name
		}
		return nil, exitWith(exitNotFound, fmt.Errorf("there is no pipeline %q; there is %s", name, strings.Join(known, ", ")))
	}
	picked := []pipeline.Spec{specs[i]}
	for at := 0; at < len(picked) && !only; at++ {
		for _, hop := range picked[at].Plan().Hops {
			for _, topic := range hop.Topics() {
				for _, spec := range specs {
					if spec.From == topic && !slices.ContainsFunc(picked, func(s pipeline.Spec) bool { return s.Name == spec.Name }) {
						picked = append(picked, spec)
					}
				}
			}
		}
	}
	return picked, nil
}

func plansOf(specs []pipeline.Spec) []pipeline.Plan {
	plans := make([]pipeline.Plan, len(specs))
	for i, spec := range specs {
		plans[i] = spec.Plan()
	}
	return plans
}

// eventDecoder makes events of lines as the ingest edge does. A line may also say what the edge adds to an event. One that has
// a uid is an event as it stands on a topic, such as another run has written, and is taken as it is.
type eventDecoder struct {
	tenant, source string
	now            func() time.Time
	// uid names the event of a line that has no uid.
	uid func(line int) uuid.UUID
}

// added are the fields, besides the uid, that the ingest edge does not take from a sender.
type added struct {
	ReceivedAt *time.Time           `json:"received_at"`
	Enrichment *tracking.Enrichment `json:"enrichment"`
}

// decode returns the event of a line, or what is wrong with it.
func (d eventDecoder) decode(line int, text []byte) (*tracking.Event, error) {
	if formats.IsCloudEvents(text) {
		return d.sent(line, added{}, func(o formats.Options) ([]formats.Result, error) {
			return cloudevents.Decode(text, cloudevents.Any, o)
		})
	}
	var fields map[string]json.RawMessage
	if mayHaveAdded(text) && json.Unmarshal(text, &fields) == nil { // else the decoder says better what is wrong
		if _, stands := fields["uid"]; stands {
			return d.standing(text)
		}
	}
	given, rest, err := takeAdded(fields, text)
	if err != nil {
		return nil, err
	}
	return d.sent(line, given, func(o formats.Options) ([]formats.Result, error) { return native.Decode(rest, native.JSON, o) })
}

// mayHaveAdded reports whether a line may have a field that a sender does not set; most have none, and need not be read twice.
func mayHaveAdded(text []byte) bool {
	for _, name := range []string{"uid", "received_at", "enrichment", `\u`} {
		if bytes.Contains(text, []byte(name)) {
			return true
		}
	}
	return false
}

// sent returns an event as a sender sends it.
func (d eventDecoder) sent(line int, given added, decode func(formats.Options) ([]formats.Result, error)) (*tracking.Event, error) {
	results, err := decode(formats.Options{DefaultSource: d.source})
	if b, ok := errors.AsType[*formats.BodyError](err); ok {
		return nil, errors.New(b.Message) // its line is that of the one line it was given
	}
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("%d events on one line; write one a line", len(results))
	}
	event := results[0].Event
	if event == nil {
		return nil, findingsError(results[0].Findings)
	}
	event.UID = d.uid(line)
	if given.ReceivedAt != nil {
		event.ReceivedAt = *given.ReceivedAt
	}
	if given.Enrichment != nil {
		event.Enrichment = *given.Enrichment
	}
	return d.complete(event), nil
}

// standing returns an event as it stands on a topic.
func (d eventDecoder) standing(text []byte) (*tracking.Event, error) {
	event := &tracking.Event{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(event); err != nil {
		return nil, fmt.Errorf("read an event that has a uid: %w", err)
	}
	return d.complete(event), nil
}

// complete adds what every event has.
func (d eventDecoder) complete(event *tracking.Event) *tracking.Event {
	event.TenantID, event.Source = cmp.Or(event.TenantID, d.tenant), cmp.Or(event.Source, d.source)
	if event.ReceivedAt.IsZero() {
		event.ReceivedAt = d.now()
	}
	event.ReceivedAt = event.ReceivedAt.UTC().Truncate(time.Microsecond)
	return event
}

// takeAdded takes the fields out of an event that a sender does not set.
func takeAdded(fields map[string]json.RawMessage, text []byte) (given added, rest []byte, err error) {
	_, received := fields["received_at"]
	_, enriched := fields["enrichment"]
	if !received && !enriched {
		return given, text, nil
	}
	if err := json.Unmarshal(text, &given); err != nil {
		return given, nil, fmt.Errorf("read received_at and enrichment: %w", err)
	}
	delete(fields, "received_at")
	delete(fields, "enrichment")
	rest, err = json.Marshal(fields)
	return given, rest, err
}

// findingsError is what is wrong with an event, on one line.
func findingsError(findings []formats.Finding) error {
	var wrong []string
	for _, f := range findings {
		if f.Severity != formats.SeverityError {
			continue
		}
		text := f.Message
		if f.Field != "" && !strings.HasPrefix(text, f.Field) {
			text = f.Field + ": " + text
		}
		wrong = append(wrong, text)
	}
	return errors.New(strings.Join(wrong, "; "))
}

// newUID returns a UUIDv7, as the ingest edge gives.
func newUID(int) uuid.UUID {
	uid, err := uuid.NewV7()
	if err != nil {
		panic(fmt.Sprintf("no randomness: %v", err)) // as there
	}
	return uid
}
