package routers

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/rastrohq/rastro/store"
)

// PauseStore knows which stages somebody has paused.
type PauseStore interface {
	PausedStages(ctx context.Context) ([]store.StagePause, error)
	// ListenStages calls wake once it listens and whenever that has changed, until ctx ends or the connection breaks.
	ListenStages(ctx context.Context, wake func()) error
}

// pausesEvery is how often it is read which stages are paused, without being told that it has changed.
const pausesEvery = time.Second

// Pauses are the stages that were paused, as a process knows of them; its processors go by them, also those that start later. What was
// known last holds while the store is away.
type Pauses struct {
	store  PauseStore
	logger *slog.Logger

	mu     sync.Mutex
	paused map[stageName]store.StagePause
	hops   map[*heldHop]struct{}

	wake  chan struct{}
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// NewPauses returns what goes by a store. No stage is paused until Start.
func NewPauses(store PauseStore, logger *slog.Logger) *Pauses {
	return &Pauses{
		store: store, logger: logger, hops: map[*heldHop]struct{}{}, wake: make(chan struct{}, 1), stop: func() {},
	}
}

// Start reads which stages are paused and then follows that until Close. It fails when it cannot be read: a processor that started all the
// same might run what is paused.
func (p *Pauses) Start(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.tasks.Go(func() { p.listen(ctx) })
	p.tasks.Go(func() { p.follow(ctx) })
	return nil
}

// Close stops following. What was known last holds on.
func (p *Pauses) Close() {
	p.stop()
	p.tasks.Wait()
}

// read takes over what the store knows.
func (p *Pauses) read(ctx context.Context) error {
	all, err := p.store.PausedStages(ctx)
	if err != nil {
		return err
	}
	paused := make(map[stageName]store.StagePause, len(all))
	for _, one := range all {
		paused[stageName{one.Pipeline, one.Stage}] = one
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
	for h := range p.hops {
		h.apply(paused)
	}
	return nil
}

// listen has follow woken by notifications. Without any it looks every so often.
func (p *Pauses) listen(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 10*time.Second
	for failing := false; ; {
		err := p.store.ListenStages(ctx, func() {
			failing = false
			wait.Reset()
			select {
			case p.wake <- struct{}{}:
			default:
			}
		})
		if ctx.Err() != nil {
			return
		}
		if !failing {
			p.logger.WarnContext(ctx, "not told of stages that are paused; looking every so often until it works again", slog.Any("error", err))
		}
		failing = true
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
			return
		}
	}
}

func (p *Pauses) follow(ctx context.Context) {
	ticker := time.NewTicker(pausesEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-p.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := p.read(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			p.logger.WarnContext(ctx, "cannot read which stages are paused; those that were known last stay so until it works again", slog.Any("error", err))
		}
		failing = err != nil
	}
}

// heldHop is a hop that stands still while a stage of it is paused.
type heldHop struct {
	pipeline string
	topic    string
	stages   []string
	breakers *breakers
	metrics  *Metrics
	record   func(stage string, paused bool)
	logger   *slog.Logger
	paused   []string // its stages for which it stands still
}

// add has a hop follow from now on.
func (p *Pauses) add(h *heldHop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hops[h] = struct{}{}
	h.tell(false)
	h.apply(p.paused)
}

// remove has a hop follow no longer. What nobody runs any more has no state.
func (p *Pauses) remove(h *heldHop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.hops, h)
	for _, stage := range h.stages {
		goesOn := func(other *heldHop) bool {
			return other.pipeline == h.pipeline && other.topic == h.topic && slices.Contains(other.stages, stage)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(p.hops)), goesOn) {
			h.metrics.paused.DeleteLabelValues(h.pipeline, stage, h.topic)
		}
	}
}

// apply has the hop stand still, or go on, as the stages that are paused say.
func (h *heldHop) apply(paused map[stageName]store.StagePause) {
	var held []string
	for _, stage := range h.stages {
		if _, ok := paused[stageName{h.pipeline, stage}]; ok {
			held = append(held, stage)
		}
	}
	if slices.Equal(held, h.paused) {
		return
	}
	before := h.paused
	h.paused = held
	for _, stage := range held {
		if !slices.Contains(before, stage) {
			by := paused[stageName{h.pipeline, stage}]
			h.logger.Warn("the stage is paused: nothing is received for it until it is resumed", slog.String("stage", stage),
				slog.Any("with", h.stages), slog.String("by", by.Who()), slog.String("reason", by.Reason))
		}
	}
	if len(held) == 0 {
		h.logger.Info("the stage is resumed; receiving", slog.Any("stages", before))
	}
	h.breakers.pause(len(held) > 0)
	h.tell(len(held) > 0)
}

// tell says of each stage of the hop whether it stands still.
func (h *heldHop) tell(paused bool) {
	value := 0.0
	if paused {
		value = 1
	}
	for _, stage := range h.stages {
		h.metrics.paused.WithLabelValues(h.pipeline, stage, h.topic).Set(value)
		h.record(stage, paused)
	}
}

// followPauses has the hops of a processor follow what is paused. It returns what ends that.
func (p *Processor) followPauses() (end func()) {
	if p.config.Pauses == nil {
		return func() {}
	}
	held := make([]*heldHop, len(p.hops))
	for i, h := range p.hops {
		held[i] = &heldHop{
			pipeline: p.config.Plan.Pipeline, topic: h.planned.From, stages: h.planned.StageNames(), breakers: h.breakers, metrics: p.config.Metrics, logger: h.logger,
			record: func(string, bool) {},
		}
		if timings, ok := p.config.Recorder.(TimingsRecorder); ok {
			held[i].record = func(stage string, paused bool) { timings.RecordPaused(p.config.Plan.Pipeline, stage, paused) }
		}
		p.config.Pauses.add(held[i])
	}
	return sync.OnceFunc(func() {
		for _, h := range held {
			p.config.Pauses.remove(h)
		}
	})
}
