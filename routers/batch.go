package routers

import (
	"slices"
	"time"

	"github.com/rastrohq/rastro/pipeline"
)

// batch is what a worker has in hand.
type batch struct {
	work []*pipeline.Work // not yet settled
	of   map[*pipeline.Work]*delivery
	// due is when work that ran before may run again; the zero time for what is through but could not be handed on.
	due map[*pipeline.Work]time.Time
}

func newBatch(taken []*delivery) *batch {
	b := &batch{of: map[*pipeline.Work]*delivery{}, due: map[*pipeline.Work]time.Time{}}
	for _, d := range taken {
		for _, event := range d.events {
			w := &pipeline.Work{Event: event}
			b.work = append(b.work, w)
			b.of[w] = d
		}
	}
	return b
}

// settle takes work out of the batch and acknowledges the frames of which nothing is left.
func (b *batch) settle(settled map[*pipeline.Work]bool) {
	left := b.work[:0]
	for _, w := range b.work {
		if !settled[w] {
			left = append(left, w)
			continue
		}
		d := b.of[w]
		if d.left--; d.left == 0 {
			// Invariant 2: everything that the frame led to is published or committed.
			d.done <- nil
		}
	}
	b.work = left
}

// take returns the work that may run now.
func (b *batch) take() []*pipeline.Work {
	due := make([]*pipeline.Work, 0, len(b.work))
	now := time.Now()
	for _, w := range b.work {
		if at, waits := b.due[w]; !waits || !at.After(now) {
			due = append(due, w)
		}
	}
	return due
}

// putBack notes when work that ran, and is to be retried, may run again.
func (b *batch) putBack(ran []*pipeline.Work) {
	now := time.Now()
	for _, w := range ran {
		if w.Verdict.Outcome == pipeline.Retry {
			b.due[w] = now.Add(w.Pause)
		} else {
			b.due[w] = time.Time{}
		}
	}
}

// through reports whether none of the work needs a stage any more.
func (b *batch) through(work []*pipeline.Work) bool {
	return !slices.ContainsFunc(work, func(w *pipeline.Work) bool {
		at, ran := b.due[w]
		return !ran || !at.IsZero()
	})
}

// wait returns how long it is until some of the work may run again; false when some could not be handed on, or has not run.
func (b *batch) wait() (time.Duration, bool) {
	var first time.Time
	for _, w := range b.work {
		at := b.due[w]
		if at.IsZero() {
			return 0, false
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return time.Until(first), true
}

// letGo hands the frames that are not finished back to the broker.
func (b *batch) letGo(err error) {
	told := map[*delivery]bool{}
	for _, w := range b.work {
		if d := b.of[w]; !told[d] {
			told[d] = true
			d.done <- err
		}
	}
}
