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
	spec  StageSpec
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
	// Pause is how long to wait before the next Run when the verdict is Retry.
	Pause time.Duration

	next int
	// entered says that the event met the stage's condition: it stays so while the event is tried again, whatever the stage
	// has added to it meanwhile.
	entered bool
	// used counts the attempts that were used up.
	used int
}

func (w *Work) pass() {
	w.next++
	w.Verdict, w.Stage, w.Attempts, w.Pause, w.entered, w.used = Verdict{}, "", 0, 0, false, 0
}

// Observer hears what became of a batch at a stage. It is called once a batch and stage, from the worker's goroutine, with the
// events that the stage got and those that its condition could not be evaluated on, not with those that passed it by.
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
	in, unjudged := l.admit(at)
	if len(in)+len(unjudged) == 0 {
		return nil
	}
	start := c.now()
	batch, err := c.settle(ctx, l, in)
	took := c.now().Sub(start)
	if len(unjudged) > 0 {
		in, batch = append(in, unjudged...), batch.with(unjudged)
	}
	observer.Observe(l.spec.Name, batch, took)
	spread := jitter()
	for i, w := range in {
		switch w.Verdict = batch.Verdict(i); w.Verdict.Outcome {
		case Pass:
			w.pass()
		case Retry:
			w.Stage = l.spec.Name
			w.Attempts++
			w.Pause = l.spec.Retry.pause(w.Attempts, spread)
		default:
			w.Stage = l.spec.Name
		}
	}
	return err
}

// admit returns the events that meet the stage's condition, and those that it cannot be evaluated on, rejected. The others
// pass.
func (l link) admit(at []*Work) (in, unjudged []*Work) {
	if l.spec.When.IsZero() {
		return at, nil
	}
	for _, w := range at {
		holds, err := w.entered, error(nil)
		if !holds {
			holds, err = l.spec.When.Holds(w.Event)
		}
		switch {
		case err != nil:
			w.Verdict = Verdict{Outcome: Reject, Reason: Reason{Code: CodeWhen, Message: "when: " + err.Error()}}
			unjudged = append(unjudged, w)
		case holds:
			w.entered = true
			in = append(in, w)
		default:
			w.pass()
		}
	}
	return in, unjudged
}

// settle has the stage settle events.
func (c *Chain) settle(ctx context.Context, l link, in []*Work) (*Batch, error) {
	events := make([]*tracking.Event, len(in))
	for i, w := range in {
		events[i] = w.Event
	}
	batch := NewBatch(events)
	if len(in) == 0 {
		return batch, nil
	}
	err := process(ctx, l, batch)
	if errors.As(err, new(*panicError)) {
		err = c.isolatePanic(ctx, l, batch)
	}
	if err != nil {
		// Invariant 5: an error is a retry of every event the stage had not settled.
		batch.RetryPending(err)
		return batch, err
	}
	// Invariant 8: only a stage that works uses up attempts.
	for i, w := range in {
		if v := batch.Verdict(i); v.Outcome == Retry && l.spec.Retry.Attempts > 0 {
			if w.used++; w.used > l.spec.Retry.Attempts {
				batch.verdicts[i] = l.spec.last(v.Err)
			}
		}
	}
	return batch, nil
}

// isolatePanic runs the events of a batch that made the stage panic one by one, so that only those that do it again are
// rejected and the others go on.
func (c *Chain) isolatePanic(ctx context.Context, l link, batch *Batch) error {
	for i, event := range batch.Pending() {
		single := NewBatch([]*tracking.Event{event})
		err := process(ctx, l, single)
		if p, ok := errors.AsType[*panicError](err); ok {
			batch.Reject(i, Reason{Code: "panic", Message: fmt.Sprintf("stage %q panicked: %v", l.spec.Name, p.value)})
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
	limited := ctx
	if l.spec.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, l.spec.Timeout)
		defer cancel()
	}
	err = l.stage.Process(limited, batch)
	switch {
	case err == nil:
		return nil
	case limited.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("stage %q took longer than its timeout of %s: %w", l.spec.Name, l.spec.Timeout, err)
	default:
		return fmt.Errorf("stage %q: %w", l.spec.Name, err)
	}
}
