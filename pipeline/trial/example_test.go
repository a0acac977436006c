package trial_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/tracking"
)

// A pipeline is tried without a broker: here with a stage that is down for the first two batches, and a clock that nobody has
// to wait for.
func ExampleRunner() {
	registry := pipeline.NewRegistry()
	err := registry.Register(pipeline.Define("untagged", "Rejects bags without a tag.", func() struct{} { return struct{}{} },
		func(struct{}, pipeline.Settings) (pipeline.Stage, error) {
			return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
				if e.AggregateID == "" {
					return pipeline.Rejected(pipeline.Reason{Code: "no_tag", Message: "send the bag's tag as aggregate_id"})
				}
				return nil
			}), nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	spec, err := pipeline.Parse("bags.yaml", []byte("pipeline: bags\nfrom: events.ingested\nstages:\n  - use: untagged\nto: events.bags\n"), registry)
	if err != nil {
		fmt.Println(err)
		return
	}

	faults := trial.NewFaults(trial.Fault{Stage: "untagged", Batches: 2, Err: errors.New("down")})
	runner, err := trial.New(trial.Config{
		Plans: []pipeline.Plan{spec.Plan()}, Clock: trial.NewManual(time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)), Around: faults.Around,
		Output: func(o trial.Output) error {
			_, err := fmt.Printf("%s leaves to %s\n", o.Event.AggregateID, o.Topic)
			return err
		},
		Done: func(o trial.Outcome) error {
			_, err := fmt.Printf("event %d: %s %q after %d retries\n", o.Seq, o.Verdict.Outcome, o.Verdict.Reason.Code, o.Retries)
			return err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	err = runner.Send(ctx, "events.ingested", &tracking.Event{UID: uuid.New(), AggregateID: "0045123456"}, &tracking.Event{UID: uuid.New()})
	if err == nil {
		err = runner.Settle(ctx)
	}
	if err := errors.Join(err, runner.Close()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0045123456 leaves to events.bags
	// event 1: pass "" after 2 retries
	// event 2: reject "no_tag" after 2 retries
}
