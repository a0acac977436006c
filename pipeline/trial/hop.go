package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// hop is one hop of a pipeline and the topic before it.
type hop struct {
	runner  *Runner
	plan    pipeline.Plan
	planned pipeline.Hop
	last    bool
	chain   *pipeline.Chain

	queue []*delivery
	hand  []*item     // not settled; all of them wait to be retried between two steps
	held  []*delivery // taken from the queue and not acknowledged
}

// delivery is an event on a topic, or what a stage has to send by itself.
type delivery struct {
	event *tracking.Event // as it was published; nil for what a stage sends by itself
	entry string
	trip  *trip
	left  int // events not yet settled, those it led to included
	sent  func(context.Context) error
}

// trip is what became of an event in one pipeline so far.
type trip struct {
	pipeline string
	seq      int64
	parent   uuid.UUID
	emitted  int
	retries  int
	topics   []string
}

// item is an event in hand.
type item struct {
	work *pipeline.Work
	from *delivery
	trip *trip
	due  time.Time
}

func (h *hop) enqueue(d *delivery) {
	h.queue = append(h.queue, d)
	h.runner.inFlight++
}

func (h *hop) room() int { return h.planned.Workers*h.planned.Batch.Events - len(h.hand) }

// ready reports whether there is something to do without waiting.
func (h *hop) ready() bool {
	if len(h.queue) > 0 && h.room() > 0 {
		return true
	}
	now := h.runner.clock.Now()
	return slices.ContainsFunc(h.hand, func(it *item) bool { return !it.due.After(now) })
}

// step runs the stages once over a batch: of what is to be retried now, and of what waits on the topic.
func (h *hop) step(ctx context.Context) error {
	run, err := h.take()
	if err != nil {
		return err
	}
	work := make([]*pipeline.Work, len(run))
	byWork := make(map[*pipeline.Work]*item, len(run))
	for i, it := range run {
		work[i], byWork[it.work] = it.work, it
	}
	// What a stage failed with is the verdict on its events; only the end of ctx is not theirs.
	emitted, _ := h.chain.Run(ctx, work, h)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, w := range emitted {
		origin := byWork[w.Origin]
		origin.trip.emitted++
		origin.from.left++
		it := &item{work: w, from: origin.from, trip: &trip{pipeline: origin.trip.pipeline, seq: origin.trip.seq, parent: w.Origin.Event.UID}}
		byWork[w] = it
		run = append(run, it)
		h.runner.inFlight++
	}
	return h.settle(ctx, run)
}

// take takes from the hand what is due, and from the queue what else fits into a batch.
func (h *hop) take() ([]*item, error) {
	now, batch := h.runner.clock.Now(), h.planned.Batch
	room := h.room()
	var run []*item
	h.hand = slices.DeleteFunc(h.hand, func(it *item) bool {
		due := len(run) < batch.Events && !it.due.After(now)
		if due {
			run = append(run, it)
		}
		return due
	})
	taken, bytes := 0, 0
	for taken < len(h.queue) && taken < room && len(run) < batch.Events && (batch.Bytes == 0 || bytes < int(batch.Bytes)) {
		d := h.queue[taken]
		taken++
		event, size, err := h.runner.config.Carry(d.event)
		if err != nil {
			return nil, fmt.Errorf("carry event %s to %s: %w", d.event.UID, h.planned.From, err)
		}
		work, err := h.chain.Work([]*tracking.Event{event}, d.entry)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", h.planned.From, err)
		}
		d.left, bytes = 1, bytes+size
		h.held = append(h.held, d)
		run = append(run, &item{work: work[0], from: d, trip: d.trip.again()})
	}
	h.queue = shift(h.queue, taken)
	return run, nil
}

// again returns the trip as it was when the event was published: a delivery may come again.
func (t *trip) again() *trip {
	c := *t
	c.topics = slices.Clip(t.topics)
	return &c
}

// shift takes the first n out of a queue without keeping them in memory.
func shift(queue []*delivery, n int) []*delivery {
	clear(queue[:n])
	if n == len(queue) {
		return queue[:0]
	}
	return queue[n:]
}

// settle publishes what the stages have settled of a batch and acknowledges what is complete.
func (h *hop) settle(ctx context.Context, run []*item) error {
	settled := run[:0:0]
	for _, it := range run {
		if it.work.Verdict.Outcome != pipeline.Retry {
			settled = append(settled, it)
			continue
		}
		it.trip.retries++
		if most := h.runner.config.MaxRetries; most > 0 && it.work.Attempts > most {
			return fmt.Errorf("event %s at stage %q of pipeline %q was tried %d times: %w: %w",
				it.work.Event.UID, it.work.Stage, h.plan.Pipeline, it.work.Attempts, ErrStuck, it.work.Verdict.Err)
		}
		it.due = h.runner.clock.Now().Add(h.runner.clock.Pause(it.work))
		h.hand = append(h.hand, it)
	}
	if len(settled) == 0 {
		return nil
	}
	if h.dies(false) {
		return nil
	}
	for _, it := range settled {
		if err := h.handOn(it); err != nil {
			return err
		}
	}
	if h.dies(true) {
		return nil
	}
	return h.acknowledge(ctx, settled)
}

func (h *hop) dies(published bool) bool {
	if crash := h.runner.config.Crash; crash != nil {
		h.runner.crashed = crash(Moment{Pipeline: h.plan.Pipeline, Hop: h.planned, Published: published})
	}
	return h.runner.crashed
}

// handOn publishes an event to where it goes, and says what became of it if it goes no further in the pipeline.
func (h *hop) handOn(it *item) error {
	w := it.work
	for _, c := range w.Copies {
		it.trip.topics = append(it.trip.topics, c.Topic)
		if err := h.runner.publish(c.Topic, it, c.Event); err != nil {
			return err
		}
	}
	switch {
	case w.Verdict.Outcome != pipeline.Pass || w.Left:
	case w.Goto != "":
		topic, entry, ok := h.plan.Entry(w.Goto)
		if !ok {
			return fmt.Errorf("event %s is routed to stage %q, which pipeline %q lacks", w.Event.UID, w.Goto, h.plan.Pipeline)
		}
		h.goOn(topic, entry, it)
		return nil
	case !h.last:
		h.goOn(h.planned.To[0], "", it)
		return nil
	default:
		for _, topic := range h.planned.To {
			it.trip.topics = append(it.trip.topics, topic)
			if err := h.runner.publish(topic, it, w.Event); err != nil {
				return err
			}
		}
	}
	return h.done(it)
}

// goOn has an event go on in its pipeline.
func (h *hop) goOn(topic, entry string, it *item) {
	for _, next := range h.runner.readers[topic] {
		if next.plan.Pipeline == h.plan.Pipeline {
			next.enqueue(&delivery{event: it.work.Event, entry: entry, trip: it.trip})
		}
	}
}

func (h *hop) done(it *item) error {
	if h.runner.config.Done == nil {
		return nil
	}
	w := it.work
	return h.runner.config.Done(Outcome{
		Pipeline: h.plan.Pipeline, Seq: it.trip.seq, Event: w.Event, Stage: w.Stage, Verdict: w.Verdict, Topics: it.trip.topics,
		Parent: it.trip.parent, Emitted: it.trip.emitted, Retries: it.trip.retries, Attempts: w.Attempts + 1,
	})
}

// acknowledge settles the deliveries of which nothing is left.
func (h *hop) acknowledge(ctx context.Context, settled []*item) error {
	complete := false
	for _, it := range settled {
		h.runner.inFlight--
		if it.from.left--; it.from.left > 0 {
			continue
		}
		complete = true
		if it.from.sent != nil {
			if err := it.from.sent(ctx); err != nil {
				return fmt.Errorf("pipeline %q: note what was sent: %w", h.plan.Pipeline, err)
			}
		}
	}
	if complete {
		h.held = slices.DeleteFunc(h.held, func(d *delivery) bool { return d.left == 0 })
	}
	return nil
}

// emit takes in hand what a stage has to send by itself.
func (h *hop) emit(e pipeline.Emission) {
	d := &delivery{left: len(e.Work), sent: e.Sent}
	h.held = append(h.held, d)
	now := h.runner.clock.Now()
	for _, w := range e.Work {
		h.hand = append(h.hand, &item{work: w, from: d, trip: &trip{pipeline: h.plan.Pipeline}, due: now})
		h.runner.inFlight++
	}
}

// redeliver puts back on the topic what was not acknowledged. What a stage had to send by itself it sends again by itself.
func (h *hop) redeliver() {
	again := make([]*delivery, 0, len(h.held)+len(h.queue))
	for _, d := range h.held {
		h.runner.inFlight -= d.left
		if d.sent == nil {
			h.runner.inFlight++
			again = append(again, d)
		}
	}
	h.queue, h.hand, h.held = append(again, h.queue...), nil, nil
}

// Observe implements pipeline.Observer.
func (h *hop) Observe(stage string, batch *pipeline.Batch, _ time.Duration) {
	if h.runner.config.Observe != nil {
		h.runner.config.Observe(Place{h.plan.Pipeline, stage}, batch)
	}
}
