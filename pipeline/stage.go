package pipeline

import (
	"context"
	"errors"

	"github.com/rastrohq/rastro/tracking"
)

// Stage settles a batch of events: each event passes on, or is dropped, rejected or retried.
//
// Process gives its verdicts through the batch's methods; an event it says nothing of passes. It may change the Enrichment
// of an event, nothing else, and what it puts there must be that event's alone. An error returned from Process is a retry of
// every event that the stage has not yet settled (Invariant 5). Process must honour ctx and must not keep the batch or its
// events after it returns. A stage is shared by several workers, so Process must be safe for concurrent use. The suite in
// pipeline/stagetest checks all this.
type Stage interface {
	Process(ctx context.Context, batch *Batch) error
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
