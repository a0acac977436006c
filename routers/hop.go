package routers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// hop runs the stages of one hop. Frames that arrive while its workers are busy gather into the next batch.
type hop struct {
	planned   pipeline.Hop
	chain     *pipeline.Chain
	processor *Processor
	observer  stageObserver
	gate      Gate
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	incoming  chan *delivery
	gathering chan struct{} // held by the worker that gathers
	logger    *slog.Logger
}

// delivery is a frame in hand.
type delivery struct {
	events []*tracking.Event
	left   int        // events not yet settled
	done   chan error // what the frame's handler returns: nil acknowledges
}

// breaker settings: how many batches in a row must fail before the hop stops receiving, and how long until it tries again.
const (
	breakerFailures = 3
	breakerPause    = time.Second
)

func newHop(p *Processor, planned pipeline.Hop, chain *pipeline.Chain) *hop {
	h := &hop{
		planned: planned, chain: chain, processor: p,
		observer: stageObserver{p.config.Plan.Pipeline, p.config.Metrics, p.config.Recorder},
		incoming: make(chan *delivery), gathering: make(chan struct{}, 1),
		logger: p.config.Logger.With(slog.String("pipeline", p.config.Plan.Pipeline), slog.String("hop", planned.Name)),
	}
	h.breaker = newBreaker(p, planned.Name, &h.gate, h.logger)
	return h
}

func newBreaker(p *Processor, name string, gate *Gate, logger *slog.Logger) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	state := p.config.Metrics.breaker.WithLabelValues(p.config.Plan.Pipeline, name)
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		// Invariant 8: while a stage's dependency is down nothing is received.
		OnStateChange: func(_ string, from, to gobreaker.State) {
			state.Set(float64(to))
			switch {
			case to == gobreaker.StateClosed:
				gate.Open()
				logger.Info("the stage works again; receiving")
			case from == gobreaker.StateClosed:
				gate.Shut()
				logger.Warn("the stage keeps failing; receiving is paused until it works again")
			}
		},
	})
}

// handle is the hop's Watermill handler. Its return settles the frame.
func (h *hop) handle(msg *message.Message) error {
	events, err := h.processor.codec.Decode(msg.Payload)
	if err != nil {
		return h.processor.rejectFrame(msg, h.planned.Name, err)
	}
	if len(events) == 0 {
		return nil
	}
	h.count("in", 1)
	d := &delivery{events: events, left: len(events), done: make(chan error, 1)}
	select {
	case h.incoming <- d:
	case <-h.processor.work.Done():
		return fmt.Errorf("hop %q: %w", h.planned.Name, ErrClosed)
	}
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
	if h.planned.Batch.Linger > 0 {
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
	n := first.left
	enough := time.NewTimer(h.planned.Batch.Linger)
	defer enough.Stop()
	for n < h.planned.Batch.Events {
		select {
		case next := <-h.incoming:
			taken = append(taken, next)
			n += next.left
			continue
		default:
		}
		if h.planned.Batch.Linger == 0 {
			return taken
		}
		select {
		case next := <-h.incoming:
			taken = append(taken, next)
			n += next.left
		case <-enough.C:
			return taken
		case <-h.processor.draining: // no more will come
			return taken
		}
	}
	return taken
}

// process works on a batch until each of its events is settled, or ctx ends.
func (h *hop) process(ctx context.Context, taken []*delivery) {
	b := newBatch(taken)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	failing := false
	for len(b.work) > 0 {
		before := len(b.work)
		ran, err := h.attempt(ctx, b)
		if len(b.work) == 0 {
			return
		}
		if ctx.Err() != nil {
			b.letGo(fmt.Errorf("hop %q: %w", h.planned.Name, ErrClosed))
			return
		}
		if err != nil && ran && !failing {
			failing = true
			h.logger.Warn("batch not finished; trying again", slog.Int("events", len(b.work)), slog.Any("error", err))
		}
		if len(b.work) < before {
			pause.Reset()
		}
		wait, known := b.wait()
		if !ran || !known {
			wait = max(wait, pause.NextBackOff())
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// attempt runs the stages once over what is due of what is left and settles what can be settled. It reports whether the
// stages ran; they do not while the breaker is open.
func (h *hop) attempt(ctx context.Context, b *batch) (ran bool, err error) {
	due := b.take()
	if b.through(due) {
		return true, h.publish(b)
	}
	report, err := h.breaker.Allow()
	if err != nil {
		return false, fmt.Errorf("hop %q is paused: %w", h.planned.Name, err)
	}
	err = h.chain.Run(ctx, due, h.observer)
	if ctx.Err() != nil {
		report(nil) // being told to stop is not a failure of the stage
	} else {
		report(err)
	}
	b.putBack(due)
	return true, errors.Join(err, h.publish(b))
}

// publish hands on what the chain passed, and the dead letters of what it rejected, and settles both with what it dropped.
func (h *hop) publish(b *batch) error {
	settled := map[*pipeline.Work]bool{}
	var passed []*pipeline.Work
	var events []*tracking.Event
	var letters []store.DeadLetter
	var rejected []*pipeline.Work
	var failed error
	for _, w := range b.work {
		switch w.Verdict.Outcome {
		case pipeline.Pass:
			passed = append(passed, w)
			events = append(events, w.Event)
		case pipeline.Drop:
			settled[w] = true
		case pipeline.Reject:
			letter, err := h.processor.deadLetter(w)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			rejected = append(rejected, w)
			letters = append(letters, letter)
		case pipeline.Retry:
			failed = errors.Join(failed, w.Verdict.Err)
		}
	}
	if err := h.publishEvents(events); err != nil {
		failed = errors.Join(failed, err)
	} else {
		for _, w := range passed {
			settled[w] = true
		}
	}
	if err := h.processor.publishLetters(letters); err != nil {
		failed = errors.Join(failed, err)
	} else {
		for _, w := range rejected {
			settled[w] = true
		}
	}
	b.settle(settled)
	return failed
}

func (h *hop) publishEvents(events []*tracking.Event) error {
	if len(events) == 0 {
		return nil
	}
	if h.planned.To != "" {
		messages, err := h.processor.codec.Encode(events, h.processor.config.Transport.MaxFrameBytes())
		if err != nil {
			return err
		}
		if err := h.processor.config.Transport.Publisher().Publish(h.planned.To, messages...); err != nil {
			return fmt.Errorf("publish to %s: %w", h.planned.To, err)
		}
		h.count("out", len(messages))
	}
	if h.last() {
		latency := h.processor.config.Metrics.latency.WithLabelValues(h.processor.config.Plan.Pipeline)
		now := h.processor.config.Settings.Now()
		for _, e := range events {
			latency.Observe(now.Sub(e.ReceivedAt).Seconds())
		}
	}
	return nil
}

// last reports whether the hop is the end of its pipeline.
func (h *hop) last() bool {
	hops := h.processor.config.Plan.Hops
	return hops[len(hops)-1].Name == h.planned.Name
}
