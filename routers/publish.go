package routers

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/internal/crash"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// destination is where a hop sends events: a topic, and the stage at which they enter the hop that reads it. Those that were
// redriven go in frames that say so.
type destination struct {
	topic, entry string
	redriven     uuid.UUID // the job that redrove them; zero for none
}

// shipment is what goes to one destination.
type shipment struct {
	to      destination
	items   []*item
	events  []*tracking.Event
	origins []origin
	walks   []*walk
}

// shipments are few: they are looked up by going over them.
type shipments struct {
	all []*shipment
	// likely is how much goes to the first of them: what a batch leads to goes one way, with few exceptions.
	likely int
}

func (s *shipments) add(to destination, it *item, event *tracking.Event, way *walk) {
	if slices.Contains(it.sent, to) {
		return
	}
	i := slices.IndexFunc(s.all, func(known *shipment) bool { return known.to == to })
	if i < 0 {
		i = len(s.all)
		n := s.likely
		s.likely = 0
		s.all = append(s.all, &shipment{
			to: to, items: make([]*item, 0, n), events: make([]*tracking.Event, 0, n), origins: make([]origin, 0, n), walks: make([]*walk, 0, n),
		})
	}
	known := s.all[i]
	known.items, known.events, known.origins = append(known.items, it), append(known.events, event), append(known.origins, it.origin)
	known.walks = append(known.walks, way)
}

// publish hands on what the chain passed, the copies that were routed on the way and the dead letters of what it rejected, and
// settles all of them with what it dropped. What could not be published stays in the batch, and what was is not published
// again with it.
func (h *hop) publish(b *batch) error {
	var failed error
	out := shipments{likely: len(b.items)}
	var letters []store.DeadLetter
	var rejected []*item
	for _, it := range b.items {
		it.open = !it.ran || it.work.Verdict.Outcome == pipeline.Retry
		if it.open {
			failed = firstOf(failed, whyRetried(it.work))
			continue
		}
		err := h.ship(&out, it, &b.walks)
		if err == nil && it.work.Verdict.Outcome == pipeline.Reject {
			var letter store.DeadLetter
			letter, err = h.processor.deadLetter(it.work)
			rejected, letters = append(rejected, it), append(letters, letter)
		}
		if err != nil {
			it.open = true
			failed = firstOf(failed, err)
		}
	}
	for _, s := range out.all {
		err := h.send(s)
		for _, it := range s.items {
			if err != nil {
				it.open = true
			} else {
				it.sent = append(it.sent, s.to)
			}
		}
		failed = firstOf(failed, err)
	}
	if err := h.processor.publishLetters(letters); err != nil {
		failed = firstOf(failed, err)
		for _, it := range rejected {
			it.open = true
		}
	}
	if err := h.enter(b); err != nil {
		failed = firstOf(failed, err)
	}
	h.observeLatency(b)
	crash.At(crash.Published)
	b.settle()
	return failed
}

func firstOf(first, next error) error {
	if first != nil {
		return first
	}
	return next
}

// whyRetried is what is to be said of work that is retried; nothing when its stage's breaker has said it already.
func whyRetried(w *pipeline.Work) error {
	if w.Verdict.After > 0 || errors.Is(w.Verdict.Err, pipeline.ErrPaused) {
		return nil
	}
	return w.Verdict.Err
}

// ship adds what is to be sent of a settled piece of work. How an event came goes with it as long as it stays in its pipeline.
func (h *hop) ship(out *shipments, it *item, ways *walks) error {
	for _, c := range it.work.Copies {
		out.add(destination{topic: c.Topic}, it, c.Event, nil)
	}
	if it.work.Verdict.Outcome != pipeline.Pass || it.work.Left {
		return nil
	}
	if it.work.Goto != "" {
		topic, entry, ok := h.processor.config.Plan.Entry(it.work.Goto)
		if !ok {
			return fmt.Errorf("event %s is routed to stage %q, which the pipeline lacks", it.work.Event.UID, it.work.Goto)
		}
		out.add(destination{topic, entry, it.redrive}, it, it.work.Event, h.way(ways, it))
		return nil
	}
	redriven, way := it.redrive, h.way(ways, it)
	if h.last() {
		redriven, way = uuid.Nil, nil // what another pipeline does with it answers no redrive of this one
	}
	for _, topic := range h.planned.To {
		out.add(destination{topic: topic, redriven: redriven}, it, it.work.Event, way)
	}
	return nil
}

// way returns how an event came, when that is to be told at its end.
func (h *hop) way(ways *walks, it *item) *walk {
	if h.processor.config.Ledger == nil {
		return nil
	}
	return ways.of(it)
}

func (h *hop) send(s *shipment) error {
	messages, err := h.processor.codec.encodeFrames(s.events, s.origins, s.walks, s.to.entry, h.processor.config.Transport.MaxFrameBytes())
	if err != nil {
		return err
	}
	if err := h.processor.config.Transport.Publisher().Publish(s.to.topic, redrive(messages, s.to.redriven)...); err != nil {
		return fmt.Errorf("publish to %s: %w", s.to.topic, err)
	}
	h.count("out", len(messages))
	return nil
}

// observeLatency notes how long the events took that are now through the pipeline.
func (h *hop) observeLatency(b *batch) {
	if !h.last() {
		return
	}
	latency := h.processor.config.Metrics.latency.WithLabelValues(h.processor.config.Plan.Pipeline)
	now := h.processor.config.Settings.Now()
	for _, it := range b.items {
		if !it.open && it.work.Verdict.Outcome == pipeline.Pass {
			latency.Observe(now.Sub(it.work.Event.ReceivedAt).Seconds())
		}
	}
}
