package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Chain runs the stages of one hop over a batch. It is safe for concurrent use when its stages are.
type Chain struct {
	links []link
	now   func() time.Time
	guard Guard
}

type link struct {
	spec  StageSpec
	stage Stage
}

// Observer hears what became of a batch at a stage. It is called once a batch and stage, from the worker's goroutine, with the
// events that the stage got and those that its condition could not be evaluated on, not with those that passed it by.
type Observer interface {
	Observe(stage string, batch *Batch, took time.Duration)
}

// Previewer is an Observer that also sees events before a stage gets them.
type Previewer interface {
	// Preview is called with what a stage is about to get. What it returns is called with what became of it, unless it is nil.
	Preview(stage string, work []*Work) func(batch *Batch, took time.Duration)
}

// Guard decides whether a stage may be run: a circuit breaker.
type Guard interface {
	// Allow returns where to report how the run went, or false and how long to wait before asking again.
	Allow(stage string) (report func(error), wait time.Duration, ok bool)
}

// ErrPaused says that a stage is not run at present, because it kept failing.
var ErrPaused = errors.New("paused until it works again")

// Run takes every piece of work through the stages that it has not yet passed and leaves each with a verdict, and the events
// that they led to as well: these are returned, each with its Origin. Work whose verdict is Retry is taken up again at the same
// stage by the next Run (Invariant 4: nothing else is run again with it). It returns the first error that a stage returned;
// the verdicts are complete all the same.
func (c *Chain) Run(ctx context.Context, work []*Work, observer Observer) (emitted []*Work, first error) {
	var all []*Work // work and what was emitted, once anything was
	for i := range c.links {
		from := work
		if all != nil {
			from = all
		}
		at := make([]*Work, 0, len(from))
		for _, w := range from {
			if w.next == i && w.Verdict.Outcome != Drop && w.Verdict.Outcome != Reject {
				at = append(at, w)
			}
		}
		if len(at) == 0 {
			continue
		}
		added, err := c.runStage(ctx, i, at, observer)
		if err != nil && first == nil {
			first = err
		}
		if len(added) > 0 {
			emitted = append(emitted, added...)
			all = behind(from, added)
		}
	}
	return emitted, first
}

// behind returns work with what was emitted right behind what led to it.
func behind(work, emitted []*Work) []*Work {
	all := make([]*Work, 0, len(work)+len(emitted))
	for _, w := range work {
		all = append(all, w)
		for len(emitted) > 0 && emitted[0].Origin == w {
			all = append(all, emitted[0])
			emitted = emitted[1:]
		}
	}
	return all
}

func (c *Chain) runStage(ctx context.Context, at int, work []*Work, observer Observer) (emitted []*Work, err error) {
	l := &c.links[at]
	in, unjudged := l.admit(work)
	report := func(error) {}
	if c.guard != nil && len(in) > 0 {
		told, wait, ok := c.guard.Allow(l.spec.Name)
		if ok {
			report = told
		} else {
			// Invariant 8: while the stage does not work nothing is tried, and no attempt is used up.
			for _, w := range in {
				w.Stage, w.Verdict, w.Pause = l.spec.Name, Verdict{Outcome: Retry, Err: fmt.Errorf("stage %q: %w", l.spec.Name, ErrPaused)}, wait
			}
			in = nil
		}
	}
	if len(in)+len(unjudged) == 0 {
		return nil, nil
	}
	var settled func(*Batch, time.Duration)
	if previewer, ok := observer.(Previewer); ok && len(in) > 0 {
		settled = previewer.Preview(l.spec.Name, in)
	}
	start := c.now()
	batch, err := c.settle(ctx, l, in)
	took := c.now().Sub(start)
	if settled != nil {
		settled(batch, took)
	}
	if ctx.Err() != nil {
		report(nil) // being told to stop is not a failure of the stage
	} else {
		report(err)
	}
	if len(unjudged) > 0 {
		in, batch = append(slices.Clip(in), unjudged...), batch.with(unjudged)
	}
	observer.Observe(l.spec.Name, batch, took)
	spread := jitter()
	steps := stepper{step: Step{Stage: l.spec.Name, At: start, Took: took, Events: batch.Len()}}
	for i, w := range in {
		for _, event := range batch.Emitted(i) {
			event.Span = w.Event.Span
			emitted = append(emitted, &Work{Event: event, Origin: w, next: at + 1})
		}
		w.Verdict = batch.Verdict(i)
		if w.Verdict.Outcome != Retry {
			w.Trail = steps.after(w.Trail, w.Verdict.Outcome, w.Attempts+1)
		}
		switch w.Verdict.Outcome {
		case Pass:
			w.Event = batch.Event(i)
			c.pass(w, batch.RouteOf(i))
		case Retry:
			w.Stage = l.spec.Name
			w.Attempts++
			w.Pause = w.Verdict.After
			if w.Pause <= 0 {
				w.Pause = l.spec.Retry.pause(w.Attempts, spread)
			}
		default:
			w.Stage = l.spec.Name
		}
	}
	return emitted, err
}

// pass sends work on to where its route leads.
func (c *Chain) pass(w *Work, route Route) {
	for _, topic := range route.Topics {
		// Invariant 9: what later stages of the hop do to the event is not to be seen in the copy.
		w.Copies = append(w.Copies, Copy{Topic: topic, Event: w.Event.Clone()})
	}
	w.pass()
	switch {
	case route.Leave:
		w.Left, w.next = true, len(c.links)
	case route.Stage != "":
		if i, here := c.index(route.Stage); here {
			w.next = i
		} else {
			w.Goto, w.next = route.Stage, len(c.links)
		}
	}
}

func (c *Chain) index(stage string) (int, bool) {
	i := slices.IndexFunc(c.links, func(l link) bool { return l.spec.Name == stage })
	return i, i >= 0
}

// admit returns the events that meet the stage's condition, and those that it cannot be evaluated on, rejected. The others
// pass.
func (l *link) admit(at []*Work) (in, unjudged []*Work) {
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
func (c *Chain) settle(ctx context.Context, l *link, in []*Work) (*Batch, error) {
	events := make([]*tracking.Event, len(in))
	for i, w := range in {
		events[i] = w.Event
	}
	batch := NewBatch(events)
	if len(in) == 0 {
		return batch, nil
	}
	defer batch.scrub(l.spec.secrets)
	err := process(ctx, l, batch)
	if errors.As(err, new(*panicError)) {
		err = c.isolatePanic(ctx, l, in, batch)
	}
	if err != nil {
		// Invariant 5: an error is a retry of every event the stage had not settled.
		batch.RetryPending(err)
		return batch, err
	}
	// Invariant 8: only a stage that works uses up attempts; one that says when to come again is not failing.
	for i, w := range in {
		if v := batch.Verdict(i); v.Outcome == Retry && v.After == 0 && l.spec.Retry.Attempts > 0 {
			if w.used++; w.used > l.spec.Retry.Attempts {
				batch.verdicts[i] = l.spec.last(v.Err)
			}
		}
	}
	return batch, nil
}

// isolatePanic runs the events of a batch that made the stage panic one by one, so that only those that do it again are
// rejected and the others go on. What the stage had begun to do for those it had not settled is forgotten.
func (c *Chain) isolatePanic(ctx context.Context, l *link, in []*Work, batch *Batch) error {
	for i := range batch.Pending() {
		batch.reset(i, in[i].Event)
		single := NewBatch([]*tracking.Event{in[i].Event})
		err := process(ctx, l, single)
		if p, ok := errors.AsType[*panicError](err); ok {
			batch.Reject(i, Reason{Code: "panic", Message: fmt.Sprintf("stage %q panicked: %v", l.spec.Name, p.value)})
			continue
		}
		if err != nil {
			return err
		}
		batch.adopt(i, single)
	}
	return nil
}

// panicError is a panic of a stage, which must not take the process down.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func process(ctx context.Context, l *link, batch *Batch) (err error) {
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
	err = l.spec.secrets.ScrubError(l.stage.Process(limited, batch))
	switch {
	case err == nil:
		return nil
	case limited.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("stage %q took longer than its timeout of %s: %w", l.spec.Name, l.spec.Timeout, err)
	default:
		return fmt.Errorf("stage %q: %w", l.spec.Name, err)
	}
}

// Close closes the stages that hold something, in the opposite of their order.
func (c *Chain) Close() error {
	var all error
	for _, l := range slices.Backward(c.links) {
		closer, ok := l.stage.(io.Closer)
		if !ok {
			continue
		}
		if err := closer.Close(); err != nil {
			all = errors.Join(all, fmt.Errorf("close stage %q: %w", l.spec.Name, err))
		}
	}
	return all
}
