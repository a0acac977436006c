package filter

import (
	"context"
	"errors"
	"fmt"

	"github.com/rastrohq/rastro/pipeline"
)

// Name is what `use` says.
const Name = "filter"

// Codes of the reasons that the stage gives.
const (
	// CodeFiltered says that the event was dropped because the condition does not hold for it.
	CodeFiltered = "filtered"
	// CodeKeep says that the event was rejected because the condition cannot be evaluated on it.
	CodeKeep = "keep"
)

// maxReason bounds the configured reason, which is kept with every event that is dropped for it.
const maxReason = 200

// Config is what `with` says; the `doc` tags say what its fields are for.
type Config struct {
	Keep   pipeline.Condition `yaml:"keep" doc:"The CEL condition on the event that an event must meet to go on." jsonschema:"required"`
	Reason string             `yaml:"reason,omitempty" doc:"What is said of an event that is dropped. Defaults to the condition that it does not meet."`
}

// Defaults returns the config that `with` is read over. It has no condition: a filter needs one.
func Defaults() Config { return Config{} }

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if c.Keep.IsZero() {
		return errors.New("keep: say which events go on, for example `keep: event.kind == \"baggage\"`")
	}
	if len(c.Reason) > maxReason {
		return fmt.Errorf("reason: %d bytes are too many; %d at most", len(c.Reason), maxReason)
	}
	return nil
}

// Selects implements pipeline.Selective.
func (c Config) Selects() bool { return true }

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Keeps the events that a condition holds for and drops the rest.", Defaults, build).
		Described(doc, example))
}

const doc = `
An event that the condition does not hold for is dropped with the code "filtered". One that it cannot be evaluated on, as when
a text is compared with a number, is rejected with the code "keep", so that it can be looked at.

A payload field that an event lacks is null: it equals nothing, so that ` + "`event.payload.state != \"test\"`" + ` keeps an event without
a state; a condition that needs its value, such as ` + "`event.payload.weight > 20`" + `, does not hold.`

const example = `
- use: filter
  with:
    keep: event.kind == "baggage" && event.payload.state != "test"
    reason: not baggage, or a test`

func build(config Config, _ pipeline.Settings) (pipeline.Stage, error) {
	dropped := pipeline.Reason{Code: CodeFiltered, Message: config.Reason}
	if dropped.Message == "" {
		dropped.Message = "not kept: " + config.Keep.Text()
	}
	return &stage{keep: config.Keep, dropped: dropped}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct {
	keep    pipeline.Condition
	dropped pipeline.Reason
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	for i, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		keep, err := s.keep.Holds(event)
		switch {
		case err != nil:
			batch.Reject(i, pipeline.Reason{Code: CodeKeep, Message: "keep: " + err.Error()})
		case !keep:
			batch.Drop(i, s.dropped)
		}
	}
	return nil
}
