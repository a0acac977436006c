package trial

import (
	"context"
	"sync"
	"time"

	"github.com/rastrohq/rastro/pipeline"
)

// Clock is what a Runner goes by. It must be safe for concurrent use: stages look at it.
type Clock interface {
	Now() time.Time
	// Wait returns at a time, or with an error when ctx ends before.
	Wait(ctx context.Context, until time.Time) error
	// Pause returns how long to wait before work is run again whose verdict is to retry it.
	Pause(work *pipeline.Work) time.Duration
}

// Real is the clock on the wall.
type Real struct{}

// Now implements Clock.
func (Real) Now() time.Time { return time.Now() }

// Wait implements Clock.
func (Real) Wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause implements Clock: as the stage's backoff says.
func (Real) Pause(work *pipeline.Work) time.Duration { return work.Pause }

// Manual is a clock that stands still until somebody waits: then it is as late as they wait for, at once.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// NewManual returns a clock that shows a time.
func NewManual(now time.Time) *Manual { return &Manual{now: now} }

// Now implements Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Wait implements Clock.
func (m *Manual) Wait(ctx context.Context, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if until.After(m.now) {
		m.now = until
	}
	return ctx.Err()
}

// manualPause is how far a retry moves a Manual clock: the jitter of a backoff would make every run another.
const manualPause = time.Second

// Pause implements Clock: as long as the stage says of the event, otherwise one second.
func (m *Manual) Pause(work *pipeline.Work) time.Duration {
	if after := work.Verdict.After; after > 0 {
		return after
	}
	return manualPause
}
