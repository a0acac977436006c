package stagetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

type heavy struct {
	// Limit is the weight in kilograms above which a piece is heavy. Defaults to 32.
	Limit float64 `yaml:"limit"`
}

func (c *heavy) Validate() error {
	if c.Limit <= 0 {
		return errors.New("limit: write kilograms above zero, for example 32")
	}
	return nil
}

func registerHeavy(r *pipeline.Registry) error {
	return r.Register(pipeline.Define("heavy", "Drops what is not heavy.",
		func() heavy { return heavy{Limit: 32} },
		func(c heavy, _ pipeline.Settings) (pipeline.Stage, error) {
			return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
				switch {
				case e.Quantity == nil:
					return pipeline.Rejected(pipeline.Reason{Code: "no_weight", Message: "the event has no quantity; send its weight"})
				case e.Quantity.Weight <= c.Limit:
					return pipeline.Dropped(pipeline.Reason{Code: "light", Message: fmt.Sprintf("weighs at most %g kg", c.Limit)})
				}
				return nil
			}), nil
		}))
}

func weighing(quantities ...*tracking.Quantity) func() []*tracking.Event {
	return func() []*tracking.Event {
		events := make([]*tracking.Event, len(quantities))
		for i, q := range quantities {
			events[i] = &tracking.Event{
				UID: uuid.New(), TenantID: "talma-pe", Source: "LA", EventID: fmt.Sprint(i), CorrelationID: "0045123456",
				AggregateID: "0045123456", Type: "loaded", Classifier: tracking.Actual, OccurredAt: time.Now(), ReceivedAt: time.Now(),
				Quantity: q,
			}
		}
		return events
	}
}

func TestAGoodStagePasses(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register: registerHeavy,
		With:     "{limit: 23}",
		Events:   weighing(&tracking.Quantity{Weight: 40}, &tracking.Quantity{Weight: 10}, nil),
		Invalid:  []string{"limit: 0", "limit: heavy", "[limit]"},
	})
}
