package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "validate"

// The codes of the stage's rejections.
const (
	// CodeSchema says that the event does not fit the schema.
	CodeSchema = "schema"
	// CodeFuture says that an actual event lies in the future.
	CodeFuture = "future"
)

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	Schema     string        `yaml:"schema" doc:"The JSON Schema (draft 2020-12) that an event must fit in its wire form: a path among the configuration's files."`
	FutureSkew time.Duration `yaml:"future_skew" doc:"How far ahead of the clock the timestamp of an actual event may be."`
}

// Defaults returns the config of a stage that has no `with`.
func Defaults() Config {
	return Config{Schema: "event.schema.json", FutureSkew: 5 * time.Minute}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if c.Schema == "" || !fs.ValidPath(c.Schema) {
		return fmt.Errorf("schema: %q is not a path below the configuration's folder; write for example event.schema.json", c.Schema)
	}
	if c.FutureSkew < 0 {
		return fmt.Errorf("future_skew: %s is negative; write 0s to allow no skew at all", c.FutureSkew)
	}
	return nil
}

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Rejects events that do not fit a JSON Schema or that claim to have happened in the future.",
		Defaults, build).Described(doc, example))
}

const doc = `
What does not fit the schema is rejected with the code "schema"; the reason names every offending part and what would be
right. The schema may refer to other files of the configuration, never to the network.

An actual event that lies further ahead of the clock than the skew is rejected with the code "future"; an estimated, planned,
requested or expected one is not.`

const example = `
- use: validate
  with:
    schema: event.schema.json
    future_skew: 5m`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	if settings.Files == nil || settings.Now == nil {
		return nil, fmt.Errorf("stage %q needs files and a clock", settings.Name)
	}
	schema, err := compile(settings.Files, config.Schema)
	if err != nil {
		return nil, err
	}
	quick := newQuick(schema)
	return &stage{
		schema: schema, quick: quick, direct: newDirect(quick), opaque: ignoresPayload(schema), skew: config.FutureSkew, now: settings.Now,
	}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct {
	schema *jsonschema.Schema
	// quick is nil when the schema says something that it does not know.
	quick *quick
	// direct is nil when the schema asks something that the fields of an event do not tell one by one.
	direct *direct
	// opaque says that no payload can make an event fit the schema or not.
	opaque bool
	skew   time.Duration
	now    func() time.Time
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	now := s.now()
	r := run{now: now}
	for i, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if reason, ok := s.check(&r, event); !ok {
			batch.Reject(i, reason)
		}
	}
	return nil
}

// run is what the events of a batch have in common.
type run struct {
	now      time.Time
	memory   memory
	document map[string]any // one for all of them: it is read and done with
}

func (s *stage) check(r *run, event *tracking.Event) (pipeline.Reason, bool) {
	payload, reason, ok := s.payload(event.Payload)
	if !ok {
		return reason, false
	}
	if s.opaque && s.direct != nil && s.direct.accepts(event, &r.memory) {
		return s.checkTime(event, r.now)
	}
	if r.document == nil {
		r.document = make(map[string]any, wireFields)
	}
	document := r.document
	clear(document)
	fillDocument(document, event, payload)
	if s.quick != nil && s.quick.accepts(document) {
		return s.checkTime(event, r.now)
	}
	if err := s.schema.Validate(document); err != nil {
		invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
		if !ok {
			return pipeline.Reason{Code: CodeSchema, Message: shorten(err.Error(), maxText)}, false
		}
		return explain(invalid), false
	}
	return s.checkTime(event, r.now)
}

// payload returns the payload as the schema's validator wants it.
func (s *stage) payload(raw json.RawMessage) (any, pipeline.Reason, bool) {
	if len(raw) == 0 {
		return nil, pipeline.Reason{}, true
	}
	if s.opaque {
		if !json.Valid(raw) {
			return nil, malformed("payload is not JSON"), false
		}
		return true, pipeline.Reason{}, true // it is there; what it is, no rule asks
	}
	if exponent, found := absurdExponent(raw); found {
		return nil, malformed("payload has a number with the exponent " + exponent + "; exponents have at most three digits"), false
	}
	payload, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, malformed("payload is not JSON"), false
	}
	return payload, pipeline.Reason{}, true
}

func malformed(message string) pipeline.Reason {
	return pipeline.Reason{Code: CodeSchema, Message: message, Field: "/payload"}
}

func (s *stage) checkTime(event *tracking.Event, now time.Time) (pipeline.Reason, bool) {
	ahead := event.OccurredAt.Sub(now)
	foreseen := event.Classifier != tracking.Actual && event.Classifier != ""
	if foreseen || ahead <= s.skew {
		return pipeline.Reason{}, true
	}
	return pipeline.Reason{
		Code:  CodeFuture,
		Field: "/timestamp",
		Message: fmt.Sprintf("timestamp %s is %s ahead of the clock, %s at most for an event that happened; one that is foreseen has the classifier %s or %s",
			event.OccurredAt.Format(time.RFC3339), ahead.Round(time.Second), s.skew, tracking.Estimated, tracking.Planned),
	}, false
}
