package routers

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
)

// batch is what a worker has in hand.
type batch struct {
	items []*item // not yet settled
	walks walks
}

// item is one event in hand.
type item struct {
	work *pipeline.Work
	from *delivery
	// ran says that the stages have given it a verdict, due when they may do so again if that is to retry it.
	ran bool
	due time.Time
	// open says that it is not settled: a stage is to be tried again, or something could not be published.
	open bool
	// sent is what of it was published while other things could not be.
	sent []destination
	// origin names the event in the ledger; came is how it came to be here, as far as the ledger has yet to be told.
	origin origin
	came   arrival
	// walk is how the event came through the hops before; nil when nothing is known of that.
	walk *walk
	// redrive is the job that redrove the event; zero for none.
	redrive uuid.UUID
}

func newBatch(taken []*delivery, version string) *batch {
	n := 0
	for _, d := range taken {
		n += len(d.work)
	}
	b, all := &batch{items: make([]*item, 0, n), walks: walks{version: version}}, make([]item, 0, n)
	for _, d := range taken {
		for i, w := range d.work {
			all = append(all, item{work: w, from: d, origin: d.origins[i], came: d.came, redrive: d.redrive})
			if d.walks != nil {
				all[len(all)-1].walk = d.walks[i]
			}
			b.items = append(b.items, &all[len(all)-1])
		}
	}
	return b
}

// adopt takes in what work led to, behind it: it is settled with the frame that it came of.
func (b *batch) adopt(emitted []*pipeline.Work) {
	if len(emitted) == 0 {
		return
	}
	from := make(map[*pipeline.Work]*delivery, len(b.items))
	for _, it := range b.items {
		from[it.work] = it.from
	}
	for _, w := range emitted {
		d := from[w.Origin]
		from[w] = d // what it leads to in turn
		d.left++
		b.items = append(b.items, &item{work: w, from: d, origin: origin{frame: w.Event.UID}, came: cameEmitted})
	}
}

// settle takes work out of the batch that is not open any more and acknowledges the frames of which nothing is left.
func (b *batch) settle() {
	left := b.items[:0]
	for _, it := range b.items {
		if it.open {
			left = append(left, it)
			continue
		}
		if it.from.left--; it.from.left == 0 {
			// Invariant 2: everything that the frame led to is published or committed.
			it.from.done <- nil
		}
	}
	clear(b.items[len(left):])
	b.items = left
}

// take returns the work that may run now.
func (b *batch) take() []*pipeline.Work {
	due := make([]*pipeline.Work, 0, len(b.items))
	var now time.Time
	for _, it := range b.items {
		if it.ran {
			if it.work.Verdict.Outcome != pipeline.Retry {
				continue // through, but it could not be handed on
			}
			if now.IsZero() {
				now = time.Now()
			}
			if it.due.After(now) {
				continue
			}
		}
		due = append(due, it.work)
	}
	return due
}

// note notes what ran, and when what is to be retried may run again.
func (b *batch) note(ran []*pipeline.Work) {
	now := time.Now()
	at := 0
	for _, it := range b.items {
		if at < len(ran) && ran[at] == it.work {
			at++
			it.ran, it.due = true, now.Add(it.work.Pause)
		}
	}
}

// wait returns how long it is until some of the work may run again; false when some could not be handed on.
func (b *batch) wait() (time.Duration, bool) {
	var first time.Time
	for _, it := range b.items {
		if it.work.Verdict.Outcome != pipeline.Retry {
			return 0, false
		}
		if first.IsZero() || it.due.Before(first) {
			first = it.due
		}
	}
	return time.Until(first), true
}

// letGo hands the frames that are not finished back to the broker.
func (b *batch) letGo(err error) {
	var told []*delivery
	for _, it := range b.items {
		if !slices.Contains(told, it.from) {
			told = append(told, it.from)
			it.from.done <- err
		}
	}
}
