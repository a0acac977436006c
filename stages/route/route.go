package route

import (
	"context"
	"fmt"

	"github.com/rastrohq/rastro/pipeline"
)

// Name is what `use` says.
const Name = "route"

// Codes of the reasons that the stage gives.
const (
	// CodeRoute says that the event was rejected because the condition of a case cannot be evaluated on it.
	CodeRoute = "route"
	// CodeUnrouted says that the event was dropped or rejected because no condition holds for it.
	CodeUnrouted = "unrouted"
)

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Sends events to other topics, or on to a later stage, by conditions.", Defaults, build).
		Described(doc, example))
}

const doc = `
The cases are tried in order, and the first whose condition holds is the event's only one. ` + "`to`" + ` sends the event to a topic, or to
several, and it leaves this pipeline; ` + "`copy`" + ` sends a copy and the event goes on; ` + "`stage`" + ` has it go on at a later stage of this
pipeline, past those between. ` + "`copy` and `stage`" + ` go together.

An event for which no condition holds is settled as ` + "`otherwise`" + ` says: ` + "`pass`" + ` has it go on to the next stage, ` + "`drop` and `reject`" + ` end it
with the code "unrouted", and a mapping of ` + "`to`, `copy` and `stage`" + ` routes it like a case.

An event that a condition cannot be evaluated on, as when a text is compared with a number, is rejected with the code "route". A
payload field that an event lacks is null, and its condition does not hold.`

const example = `
- use: route
  with:
    cases:
      - when: event.kind == "cargo"
        to: cargo.events
      - when: event.payload.priority == "high"
        copy: [alerts.urgent, audit.events]
    otherwise: pass`

func build(config Config, _ pipeline.Settings) (pipeline.Stage, error) { return &stage{config}, nil }

// stage is immutable, and so safe for concurrent use.
type stage struct{ config Config }

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	for i, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.route(batch, i, pipeline.NewScope(event))
	}
	return nil
}

func (s *stage) route(batch *pipeline.Batch, i int, scope *pipeline.Scope) {
	for n := range s.config.Cases {
		one := &s.config.Cases[n]
		switch holds, err := one.When.HoldsIn(scope); {
		case err != nil:
			batch.Reject(i, pipeline.Reason{Code: CodeRoute, Message: fmt.Sprintf("case %d: %v", n+1, err)})
			return
		case holds:
			batch.Route(i, one.route())
			return
		}
	}
	switch unrouted := (pipeline.Reason{Code: CodeUnrouted, Message: "no case of the route holds for the event"}); s.config.Otherwise.Outcome {
	case Pass:
	case Drop:
		batch.Drop(i, unrouted)
	case Reject:
		batch.Reject(i, unrouted)
	default:
		batch.Route(i, s.config.Otherwise.route())
	}
}

func (w Way) route() pipeline.Route {
	if len(w.To) > 0 {
		return pipeline.Route{Topics: w.To, Leave: true}
	}
	return pipeline.Route{Topics: w.Copy, Stage: w.Stage}
}
