package persist

import (
	"context"
	"fmt"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "persist"

// CodeRefused says that the store will never take the event.
const CodeRefused = "refused"

// Store stores events. *store.Store is one.
type Store interface {
	// Persist inserts the events that are new, advances their traces, and says of each event what became of it. An error
	// means that nothing was stored.
	Persist(ctx context.Context, events []*tracking.Event) ([]store.Persisted, error)
}

// Config is what `with` says: nothing.
type Config struct{}

// Defaults returns the config of a stage that has no `with`.
func Defaults() Config { return Config{} }

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Stores events and advances their traces, each exactly once.", Defaults, build))
}

func build(_ Config, settings pipeline.Settings) (pipeline.Stage, error) {
	events, err := pipeline.Resource[Store](settings)
	if err != nil {
		return nil, err
	}
	return &stage{store: events}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct{ store Store }

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	events := make([]*tracking.Event, 0, batch.PendingLen())
	indices := make([]int, 0, batch.PendingLen())
	for i, event := range batch.Pending() {
		events = append(events, event)
		indices = append(indices, i)
	}
	if len(events) == 0 {
		return ctx.Err()
	}
	results, err := s.store.Persist(ctx, events)
	if err != nil {
		return fmt.Errorf("store %d events: %w", len(events), err)
	}
	if len(results) != len(events) {
		return fmt.Errorf("store %d events: got %d answers", len(events), len(results))
	}
	for n, i := range indices {
		if refused := results[n].Refused; refused != nil {
			batch.Reject(i, pipeline.Reason{Code: CodeRefused, Message: "the event store refuses the event: " + refused.Error()})
		}
	}
	return nil
}
