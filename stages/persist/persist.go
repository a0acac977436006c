package persist

import (
	"context"
	"fmt"
	"strings"

	"github.com/rastrohq/rastro/internal/crash"
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
	// Persist inserts the events that are new, advances their traces, and says of each event what became of it, in order. An
	// error means that it is not known and that the same call may be repeated.
	Persist(ctx context.Context, events []*tracking.Event) ([]store.Persisted, error)
}

// Config is what `with` says; the `doc` tags say what its fields are for.
type Config struct {
	Personal pipeline.PersonalRules `yaml:"personal,omitempty" doc:"What in payloads is personal: it is taken out of them, and kept apart, encrypted under a key of its subject."`
}

// Defaults returns the config of a stage that has no `with`: nothing in payloads is personal.
func Defaults() Config { return Config{} }

// Validate implements pipeline.Validator.
func (c *Config) Validate() error { return c.Personal.Validate() }

// Protects implements pipeline.Protecting.
func (c Config) Protects() pipeline.PersonalRules { return c.Personal }

// Delivers implements pipeline.Delivering.
func (c Config) Delivers() string { return "stores events" }

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Stores events and advances their traces, each exactly once.", Defaults, build).Described(doc, example))
}

const doc = `
An event is stored in one transaction with the trace that it advances, and only an event that is new advances its trace. A batch of
500 events or more takes several transactions at the same time, up to four, so that few workers and large batches serve it best: what
a journey got meanwhile is then one change of its trace. An event that the store can never hold is rejected with the code "refused".

What ` + "`personal`" + ` names is replaced in the payload by "[personal]", all other bytes staying as they are, and kept apart, encrypted
under a key of its subject, which ` + "`rastro forget`" + ` destroys. The dead letters of the whole pipeline are kept so too. Stages behind this
one do not get it. Without RASTRO_PERSONAL_KEY events with personal data wait, and are not stored.`

const example = `
- use: persist
  with:
    personal:
      - when: event.kind == "baggage"
        subject: event.payload.passenger.reference
        fields: [payload.passenger.name, payload.passenger.seat]`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	events, err := pipeline.Resource[Store](settings)
	if err != nil {
		return nil, err
	}
	return &stage{store: events, personal: config.Personal}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct {
	store    Store
	personal pipeline.PersonalRules
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	events := make([]*tracking.Event, 0, batch.PendingLen())
	indices := make([]int, 0, batch.PendingLen())
	for i, event := range batch.Pending() {
		events = append(events, s.personal.Apply(event))
		indices = append(indices, i)
	}
	if len(events) == 0 {
		return ctx.Err()
	}
	results, err := s.store.Persist(ctx, events)
	if err != nil {
		return fmt.Errorf("store events: %w", err)
	}
	crash.At(crash.Committed)
	if len(results) != len(events) {
		return fmt.Errorf("store events: %d events got %d answers", len(events), len(results))
	}
	for n, i := range indices {
		if refused := results[n].Refused; refused != nil {
			batch.Reject(i, pipeline.Reason{Code: CodeRefused, Message: "the event store cannot hold the event: " + bounded(refused.Error())})
			continue
		}
		if kept := events[n].Masked(); kept != batch.Event(i) {
			batch.Replace(i, kept)
		}
	}
	return nil
}

// maxMessage is how many bytes of the store's own words a reason holds: they may quote the event.
const maxMessage = 200

func bounded(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}
