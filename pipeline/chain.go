package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Chain runs the stages of one hop over a batch. It is safe for concurrent use when its stages are.
type Chain struct {
	links []link
	now   func() time.Time
}

type link struct {
	name  string
	stage Stage
}

// Work is an event on its way through a chain.
type Work struct {
	Event *tracking.Event
	// Verdict is what has been decided; Pass after the last stage means that the event leaves the chain.
	Verdict Verdict
	// Stage is the name of the stage that gave a verdict other than Pass.
	Stage string
	// Attempts counts how often the event was retried at the stage that it stands before.
	Attempts int

	next int
}

// Observer hears what became of a batch at a stage. It is called once a batch and stage, from the worker's goroutine.
type Observer interface {
	Observe(stage string, batch *Batch, took time.Duration)
}

// Run takes every piece of work through the stages that it has not yet passed and leaves each with a verdict. Work whose
// verdict is Retry is taken up again at the same stage by the next Run (Invariant 4: nothing else is run again with it). It
// returns the first error that a stage returned, for the circuit breaker; the verdicts are complete all the same.
func (c *Chain) Run(ctx context.Context, work []*Work, observer Observer) error {
	var first error
	for i, l := range c.links {
		at := make([]*Work, 0, len(work))
		for _, w := range work {
			if w.next == i && w.Verdict.Outcome != Drop && w.Verdict.Outcome != Reject {
				at = append(at, w)
			}
		}
		if len(at) == 0 {
			continue
		}
		if err := c.runStage(ctx, l, at, observer); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (c *Chain) runStage(ctx context.Context, l link, at []*Work, observer Observer) error {
	events := make([]*tracking.Event, len(at))
	for i, w := range at {
		events[i] = w.Event
	}
	batch := NewBatch(events)
	start := c.now()
	err := process(ctx, l, batch)
	if errors.As(err, new(*panicError)) {
		if err = c.isolatePanic(ctx, l, batch); err != nil {
			batch.RetryPending(err)
		}
	} else if err != nil {
		// Invariant 5: an error is a retry of every event the stage had not settled.
		batch.RetryPending(err)
	}
	observer.Observe(l.name, batch, c.now().Sub(start))
	for i, w := range at {
		w.Verdict = batch.Verdict(i)
		switch w.Verdict.Outcome {
		case Pass:
			w.next++
			w.Stage, w.Attempts = "", 0
		case Retry:
			w.Stage = l.name
			w.Attempts++
		default:
			w.Stage = l.name
		}
	}
	return err
}

// isolatePanic runs the events of a batch that made the stage panic one by one, so that only those that do it again are
// rejected and the others go on.
func (c *Chain) isolatePanic(ctx context.Context, l link, batch *Batch) error {
	for i, event := range batch.Pending() {
		single := NewBatch([]*tracking.Event{event})
		err := process(ctx, l, single)
		if p, ok := errors.AsType[*panicError](err); ok {
			batch.Reject(i, Reason{Code: "panic", Message: fmt.Sprintf("stage %q panicked: %v", l.name, p.value)})
			continue
		}
		if err != nil {
			return err
		}
		batch.settle(i, single.Verdict(0))
	}
	return nil
}

// panicError is a panic of a stage, which must not take the process down.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func process(ctx context.Context, l link, batch *Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	if err := l.stage.Process(ctx, batch); err != nil {
		return fmt.Errorf("stage %q: %w", l.name, err)
	}
	return nil
}
