package routers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// hop runs the stages of one hop. Frames that arrive while its workers are busy gather into the next batch.
type hop struct {
	planned   pipeline.Hop
	chain     *pipeline.Chain
	processor *Processor
	observer  stageObserver
	gate      Gate
	breakers  *breakers
	incoming  chan *delivery
	waiting   *semaphore.Weighted // holds the events that are decoded and not taken by a worker yet
	room      int64               // how many those may be
	linger    time.Duration       // how long a batch waits for more
	gathering chan struct{}       // held by the worker that gathers
	logger    *slog.Logger
}

// delivery is a frame in hand, or what a stage of the hop has to send by itself.
type delivery struct {
	work    []*pipeline.Work
	origins []origin // of each piece of work
	walks   []*walk  // of each piece of work; nil when nothing is known of how they came
	came    arrival
	bytes   int
	left    int        // events not yet settled, those they led to included
	redrive uuid.UUID  // the job that redrove its events; zero for none
	taken   func()     // told when a worker has it
	done    chan error // what the frame's handler returns: nil acknowledges
}

func newDelivery(work []*pipeline.Work, origins []origin, came arrival, bytes int) *delivery {
	return &delivery{work: work, origins: origins, came: came, bytes: bytes, left: len(work), taken: func() {}, done: make(chan error, 1)}
}

// newEmission returns a delivery of what a stage has to send by itself.
func newEmission(work []*pipeline.Work) *delivery {
	origins := make([]origin, len(work))
	for i, w := range work {
		origins[i] = origin{frame: w.Event.UID}
	}
	return newDelivery(work, origins, cameEmitted, 0)
}

func newHop(p *Processor, planned pipeline.Hop) (*hop, error) {
	h := &hop{
		planned: planned, processor: p,
		observer: newStageObserver(p.config), linger: planned.Batch.Linger,
		incoming: make(chan *delivery), room: int64(planned.Batch.Events * max(1, planned.Workers)), gathering: make(chan struct{}, 1),
		logger: p.config.Logger.With(slog.String("pipeline", p.config.Plan.Pipeline), slog.String("hop", planned.Name)),
	}
	h.waiting = semaphore.NewWeighted(h.room)
	if g, is := p.config.Transport.(Gathering); is {
		h.linger = max(h.linger, g.Moment())
	}
	h.breakers = newBreakers(p, planned, &h.gate, h.logger)
	var err error
	h.chain, err = planned.Build(p.config.Plan.Pipeline, p.config.Settings, h.breakers)
	return h, err
}

// handle is the hop's Watermill handler. Its return settles the frame.
func (h *hop) handle(msg *message.Message) error {
	taken, err := h.await(msg)
	if err != nil {
		return err
	}
	defer taken()
	opened, err := h.processor.codec.decodeFrame(msg.Payload)
	if errors.Is(err, errNewerFrame) {
		taken()
		return h.leaveToOthers(err)
	}
	if err != nil {
		return h.rejectFrame(msg, nil, nil, err)
	}
	events, origins := opened.events, opened.origins
	if len(events) == 0 {
		return nil
	}
	work, err := h.chain.Work(events, opened.entry)
	if err != nil {
		return h.rejectFrame(msg, events, origins, err)
	}
	h.count("in", 1)
	came := h.arrivalOf(origins)
	if origins == nil {
		origins = originsIn(frameID(msg), len(events))
	}
	d := newDelivery(work, origins, came, len(msg.Payload))
	d.redrive, d.walks, d.taken = redrivenBy(msg), opened.walks, taken
	return h.take(d)
}

// await waits until no more than the workers' next batches wait decoded, and returns what ends the wait of a frame's events for a worker. Decoded
// they take several times the memory of a frame, and as many frames are in hand as keep the broker from being asked for each.
func (h *hop) await(msg *message.Message) (taken func(), err error) {
	items := min(max(1, int64(FrameItems(msg))), h.room)
	if err := h.waiting.Acquire(h.processor.work, items); err != nil {
		return nil, fmt.Errorf("hop %q: %w", h.planned.Name, ErrClosed)
	}
	return sync.OnceFunc(func() { h.waiting.Release(items) }), nil
}

// newerFrameHold is how long a frame is held that only a later version reads, before it is given back: a broker that delivers it again at
// once must not be kept busy with it until there is such a process.
const newerFrameHold = time.Second

// leaveToOthers gives a frame back that a later version wrote, as happens while an upgrade is under way, or was taken back.
//
// Invariant 3 is not for it: a frame that is only not understood yet is no dead letter.
func (h *hop) leaveToOthers(cause error) error {
	select {
	case <-time.After(newerFrameHold):
	case <-h.processor.work.Done():
	}
	return fmt.Errorf("hop %q: given back: %w", h.planned.Name, cause)
}

// rejectFrame dead-letters a frame as a whole.
func (h *hop) rejectFrame(msg *message.Message, events []*tracking.Event, origins []origin, cause error) error {
	if err := h.processor.rejectFrame(msg, h.planned.Name, cause); err != nil {
		return err
	}
	return h.enterRejected(msg, events, origins)
}

// take has a worker take a delivery and returns when it is settled.
func (h *hop) take(d *delivery) error {
	select {
	case h.incoming <- d:
	case <-h.processor.work.Done():
		return fmt.Errorf("hop %q: %w", h.planned.Name, ErrClosed)
	}
	d.taken()
	// Whoever takes a delivery settles it, also when it must be let go.
	return <-d.done
}

func (h *hop) count(direction string, n int) {
	h.processor.config.Metrics.frames.WithLabelValues(h.processor.config.Plan.Pipeline, h.planned.Name, direction).Add(float64(n))
}

// run works on one batch after the other until ctx ends.
func (h *hop) run(ctx context.Context) {
	for {
		taken := h.next(ctx)
		if taken == nil {
			return
		}
		h.process(ctx, taken)
	}
}

// next waits for a delivery and gathers the next batch; nil when ctx ends. Of a hop that lingers one worker gathers at a
// time: two would each wait for what the other has.
func (h *hop) next(ctx context.Context) []*delivery {
	if h.linger > 0 {
		select {
		case h.gathering <- struct{}{}:
			defer func() { <-h.gathering }()
		case <-ctx.Done():
			return nil
		}
	}
	select {
	case first := <-h.incoming:
		return h.gather(first)
	case <-ctx.Done():
		return nil
	}
}

// gather takes the deliveries that wait beside first, up to a batch. It does not wait for more unless the hop lingers: an idle
// hop answers at once, and a busy one finds its next batch waiting.
func (h *hop) gather(first *delivery) []*delivery {
	taken := []*delivery{first}
	events, bytes := len(first.work), first.bytes
	limit := int(h.planned.Batch.Bytes)
	enough := time.NewTimer(h.linger)
	defer enough.Stop()
	for events < h.planned.Batch.Events && (limit == 0 || bytes < limit) {
		var next *delivery
		select {
		case next = <-h.incoming:
		default:
			if h.linger == 0 {
				return taken
			}
			select {
			case next = <-h.incoming:
			case <-enough.C:
				return taken
			case <-h.processor.receiving.Done(): // no more will come
				return taken
			}
		}
		taken = append(taken, next)
		events, bytes = events+len(next.work), bytes+next.bytes
	}
	return taken
}

// process works on a batch until each of its events is settled, or ctx ends.
func (h *hop) process(ctx context.Context, taken []*delivery) {
	ctx, span := h.startSpan(ctx, taken)
	defer span.End()
	b := newBatch(taken, h.processor.version)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	failing := false
	for len(b.items) > 0 {
		before := len(b.items)
		err := h.attempt(ctx, b)
		if len(b.items) == 0 {
			return
		}
		if ctx.Err() != nil {
			b.letGo(fmt.Errorf("hop %q: %w", h.planned.Name, ErrClosed))
			return
		}
		if err != nil && !failing {
			failing = true
			h.logger.WarnContext(ctx, "batch not finished; trying again", slog.Int("events", len(b.items)), slog.Any("error", err))
		}
		if len(b.items) < before {
			pause.Reset()
		}
		wait, known := b.wait()
		if !known {
			wait = max(wait, pause.NextBackOff())
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// attempt runs the stages once over what is due of what is left and settles what can be settled.
func (h *hop) attempt(ctx context.Context, b *batch) error {
	due := b.take()
	if len(due) == 0 {
		return h.publish(b)
	}
	emitted, err := h.chain.Run(ctx, due, h.observer)
	b.adopt(emitted)
	b.note(append(due, emitted...))
	if published := h.publish(b); err == nil {
		err = published
	}
	return err
}

// last reports whether the hop is the end of its pipeline.
func (h *hop) last() bool {
	hops := h.processor.config.Plan.Hops
	return hops[len(hops)-1].Name == h.planned.Name
}
