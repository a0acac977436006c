package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// A stage that looks at one event at a time is one function.
func ExampleEach() {
	stage := pipeline.Each(func(_ context.Context, event *tracking.Event) error {
		switch {
		case event.CorrelationID == "":
			return pipeline.Rejected(pipeline.Reason{Code: "no_journey", Message: "send the bag's tag as correlation_id"})
		case event.Type == "heartbeat":
			return pipeline.Dropped(pipeline.Reason{Code: "heartbeat", Message: "tells nothing of a bag"})
		}
		return nil
	})

	batch := pipeline.NewBatch([]*tracking.Event{
		{CorrelationID: "0045123456", Type: "loaded"},
		{CorrelationID: "0045123456", Type: "heartbeat"},
		{Type: "loaded"},
	})
	if err := stage.Process(context.Background(), batch); err != nil {
		fmt.Println(err)
	}
	for i := range batch.Len() {
		verdict := batch.Verdict(i)
		fmt.Printf("%s: %s %q\n", batch.Event(i).Type, verdict.Outcome, verdict.Reason.Code)
	}
	// Output:
	// loaded: pass ""
	// heartbeat: drop "heartbeat"
	// loaded: reject "no_journey"
}

// stale is the config of a stage: what an engineer writes below `with`.
type stale struct {
	After time.Duration `yaml:"after"` // how old an event may be. Defaults to 72h.
}

// Validate implements pipeline.Validator.
func (s *stale) Validate() error {
	if s.After <= 0 {
		return fmt.Errorf("after: %s is no time at all; write for example 72h", s.After)
	}
	return nil
}

// defineStale describes the stage: its name, its defaults and how to build it.
func defineStale() pipeline.Definition {
	return pipeline.Define("stale", "Drops events that come too late to matter.",
		func() stale { return stale{After: 72 * time.Hour} },
		func(c stale, settings pipeline.Settings) (pipeline.Stage, error) {
			return pipeline.Each(func(_ context.Context, event *tracking.Event) error {
				if settings.Now().Sub(event.OccurredAt) > c.After {
					return pipeline.Dropped(pipeline.Reason{Code: "stale", Message: "happened more than " + c.After.String() + " ago"})
				}
				return nil
			}), nil
		})
}

// A stage is defined once; pipelines use it by name. Parse finds whatever is wrong with a pipeline before the first event,
// and Plan says what runs where and which topics lie between.
func ExampleDefine() {
	registry := pipeline.NewRegistry()
	if err := registry.Register(defineStale()); err != nil {
		fmt.Println(err)
		return
	}

	_, err := pipeline.Parse("parcels.yaml", []byte(`
pipeline: parcels
from: events.ingested
stages:
  - use: stael
`), registry)
	fmt.Println(err)

	spec, err := pipeline.Parse("parcels.yaml", []byte(`
pipeline: parcels
from: events.ingested
stages:
  - use: stale
    with: {after: 24h}
  - use: stale
    name: very_stale
to: events.fresh
`), registry)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hop := range spec.Plan().Hops {
		fmt.Println(hop.From, "->", hop.Name, "->", strings.Join(hop.To, " "))
	}
	// Output:
	// parcels.yaml:5:10: unknown stage "stael"; did you mean "stale"?
	// events.ingested -> stale -> parcels.very_stale
	// parcels.very_stale -> very_stale -> events.fresh
}
