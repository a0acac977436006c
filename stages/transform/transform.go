package transform

import (
	"context"
	"errors"
	"fmt"

	"github.com/rastrohq/rastro/pipeline"
)

// Name is what `use` says.
const Name = "transform"

// CodeTransform says that an event was rejected because a field cannot be given the value that it should have.
const CodeTransform = "transform"

// Config is what `with` says; the `doc` tags say what its fields are for.
type Config struct {
	Set       pipeline.Assignments `yaml:"set,omitempty" doc:"The fields to change, by path, each with the CEL expression of its value."`
	Unset     []pipeline.Target    `yaml:"unset,omitempty" doc:"The fields to take out of the event."`
	OnMissing pipeline.OnMissing   `yaml:"on_missing" doc:"What becomes of a field whose expression has no value: keep, reject (the event) or null." jsonschema:"enum=keep,enum=reject,enum=null"`
}

// Defaults returns the config that `with` is read over. It changes nothing: a transformation needs a field to set or unset.
func Defaults() Config { return Config{OnMissing: pipeline.MissingKeep} }

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if len(c.Set)+len(c.Unset) == 0 {
		return errors.New("set: say which fields to change, for example `set: {event_type: event.payload.code}`")
	}
	if err := c.OnMissing.Validate(); err != nil {
		return fmt.Errorf("on_missing: %w", err)
	}
	_, err := pipeline.NewMapping(c.Set, c.Unset, c.OnMissing)
	return err
}

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Changes fields of an event by CEL expressions.", Defaults, build).Described(doc, example))
}

const doc = `
Every expression sees the event as it came in, and not what the others change. Fields above are changed before those below:
` + "`payload`" + ` is set before ` + "`payload.total`, `location` is unset before `location.iata`" + ` is set. What is not changed of the payload
keeps its bytes and its order.

An expression must fit the type of its field: what can be known of that is checked by ` + "`rastro pipeline lint`" + `. An event whose
value does not fit, or for which an expression cannot be evaluated, is rejected with the code "transform" and the field's JSON
pointer. ` + "`timestamp(...)`, `string(...)`, `int(...)` and `double(...)`" + ` convert.

An expression that needs what the payload lacks has no value, and ` + "`on_missing`" + ` says what becomes of its field: ` + "`keep`" + ` leaves it
as it is, ` + "`reject`" + ` rejects the event, ` + "`null`" + ` makes a part of the payload or of an attribute null and takes any other field out of the
event. Null is no value either: ` + "`CONDITION ? VALUE : dyn(null)`" + ` sets a field for some events only.

uid, tenant_id and received_at cannot be changed.`

const example = `
- use: transform
  with:
    set:
      event_type: event.payload.code.upperAscii()
      timestamp: timestamp(event.payload.when)
      payload.total: event.payload.pieces.size()
      enrichment.attributes.lane: event.payload.from + "-" + event.payload.to
    unset: [payload.secret, location.name]`

func build(config Config, _ pipeline.Settings) (pipeline.Stage, error) {
	mapping, err := pipeline.NewMapping(config.Set, config.Unset, config.OnMissing)
	if err != nil {
		return nil, err
	}
	return &stage{mapping}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct{ mapping *pipeline.Mapping }

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	for i, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		changed := event.Clone()
		if err := s.mapping.Apply(pipeline.NewScope(event), changed); err != nil {
			batch.Reject(i, reason(err))
			continue
		}
		batch.Replace(i, changed)
	}
	return nil
}

func reason(err error) pipeline.Reason {
	if field, ok := errors.AsType[*pipeline.FieldError](err); ok {
		return pipeline.Reason{Code: CodeTransform, Message: field.Err.Error(), Field: field.Field}
	}
	return pipeline.Reason{Code: CodeTransform, Message: err.Error()}
}
