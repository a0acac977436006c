package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Stage settles a batch of events: each event passes on, or is dropped, rejected or retried.
//
// Process gives its verdicts through the batch's methods; an event it says nothing of passes. It may change the Enrichment
// of an event, and what it puts there must be that event's alone; to change anything else it has another event take its place
// (Batch.Replace). An error returned from Process is a retry of every event that the stage has not yet settled (Invariant 5).
// Process must honour ctx and must not keep the batch or its events after it returns. A stage is shared by several workers, so
// Process must be safe for concurrent use. The suite in pipeline/stagetest checks all this.
//
// A stage that holds something, such as connections or goroutines, implements io.Closer: it is closed once, after the last
// call of Process has returned. One that has events of its own to send is an Emitter as
// well.
type Stage interface {
	Process(ctx context.Context, batch *Batch) error
}

// Emitter is implemented by a Stage that has events to send when their time has come rather than when others arrive, as an
// aggregate has when a window closes. The engine asks every second.
type Emitter interface {
	// Due returns the events that are due now, none most of the time, and a function to be called once they are published or
	// committed. Until that was called with success the same events are due again, with the same UIDs (tracking.DeriveUID):
	// whatever is killed in between, they are sent. Several processes may ask at once.
	Due(ctx context.Context, now time.Time) (events []*tracking.Event, sent func(context.Context) error, err error)
}

// StageFunc makes a Stage of a function.
type StageFunc func(ctx context.Context, batch *Batch) error

// Process implements Stage.
func (f StageFunc) Process(ctx context.Context, batch *Batch) error { return f(ctx, batch) }

// Each makes a Stage of a function for one event. The function returns nil to pass the event, Dropped or Rejected to settle
// it, Unavailable when no event can be settled at present, and any other error to have this one retried.
func Each(f func(ctx context.Context, event *tracking.Event) error) Stage {
	return StageFunc(func(ctx context.Context, batch *Batch) error {
		for i, event := range batch.Pending() {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := f(ctx, event)
			if err == nil {
				continue
			}
			if v, ok := errors.AsType[*verdictError](err); ok {
				batch.settle(i, v.verdict)
				continue
			}
			if errors.As(err, new(*unavailableError)) {
				return err
			}
			batch.Retry(i, err)
		}
		return nil
	})
}

// Dropped is returned by a function given to Each to drop its event for a reason: it is counted and acknowledged.
func Dropped(reason Reason) error {
	return &verdictError{Verdict{Outcome: Drop, Reason: reason}}
}

// Rejected is returned by a function given to Each to reject its event for a reason: it is dead-lettered.
func Rejected(reason Reason) error {
	return &verdictError{Verdict{Outcome: Reject, Reason: reason}}
}

// Unavailable is returned by a function given to Each when what it depends on is down, which is not the event's fault: the
// stage fails with err, the events that are left wait for it to work again, and none of their attempts is used up (Invariant
// 8).
func Unavailable(err error) error { return &unavailableError{err} }

type unavailableError struct{ error }

// Unwrap returns what is the matter.
func (e *unavailableError) Unwrap() error { return e.error }

type verdictError struct{ verdict Verdict }

func (e *verdictError) Error() string {
	return e.verdict.Outcome.String() + ": " + e.verdict.Reason.Message
}
