package routers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// StatsStore adds counts to those it keeps.
type StatsStore interface {
	AddStats(ctx context.Context, at time.Time, deltas []store.StatDelta) error
}

// StatsRecorder implements Recorder: it gathers counts in memory and adds them to the store every so often. What a killed
// process had not yet added is missing from the counts, never from the events.
type StatsRecorder struct {
	stats  StatsStore
	every  time.Duration
	now    func() time.Time
	logger *slog.Logger

	mu     sync.Mutex
	counts map[statKey]int64
	// timings are kept when timingsStore is not nil.
	timings      timings
	timingsStore TimingsStore
	process      uuid.UUID
	timed        time.Time // when they were stored last

	samples *sampler // nil when the store takes none

	stop chan struct{}
	once sync.Once
	done chan struct{}
}

type statKey struct{ tenant, pipeline, stage, outcome string }

// NewStatsRecorder starts a recorder that adds its counts every so often, and timings too when the store is a TimingsStore. Close
// must be called.
func NewStatsRecorder(stats StatsStore, every time.Duration, now func() time.Time, logger *slog.Logger) *StatsRecorder {
	r := &StatsRecorder{
		stats: stats, every: every, now: now, logger: logger, counts: map[statKey]int64{},
		timings: newTimings(), process: uuid.New(),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	r.timingsStore, _ = stats.(TimingsStore)
	if taking, ok := stats.(SampleStore); ok {
		r.samples = &sampler{store: taking}
	}
	go r.run()
	return r
}

// Record implements Recorder.
func (r *StatsRecorder) Record(tenant, pipeline, stage, outcome string, events int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[statKey{tenant, pipeline, stage, outcome}] += events
}

// RecordBatch implements TimingsRecorder.
func (r *StatsRecorder) RecordBatch(pipelineName, stage string, batch *pipeline.Batch, took time.Duration, now time.Time) {
	if r.timingsStore == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timings.record(stageName{pipelineName, stage}, batch, took, now)
}

// RecordBreaker implements TimingsRecorder.
func (r *StatsRecorder) RecordBreaker(pipelineName, stage, state string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := stageName{pipelineName, stage}
	of := r.timings.states[name]
	of.breaker = state
	r.timings.states[name] = of
}

// RecordPaused implements TimingsRecorder.
func (r *StatsRecorder) RecordPaused(pipelineName, stage string, paused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := stageName{pipelineName, stage}
	of := r.timings.states[name]
	of.paused = paused
	r.timings.states[name] = of
}

// Close adds what is left and stops.
func (r *StatsRecorder) Close() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

func (r *StatsRecorder) run() {
	defer close(r.done)
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	failing := false
	for stopped := false; !stopped; {
		select {
		case <-ticker.C:
		case <-r.stop:
		}
		select { // the ticker may have been as ready
		case <-r.stop:
			stopped = true
		default:
		}
		err := r.store(stopped)
		if err != nil && !failing {
			r.logger.Warn("cannot store counts; keeping them for later", slog.Any("error", err))
		}
		failing = err != nil
	}
}

const (
	// flushTime is how long adding counts may take.
	flushTime = 5 * time.Second
	// lastFlushTime is how long it may hold up a process that stops.
	lastFlushTime = time.Second
)

// limit returns a context for storing once, which ends soon once the recorder is closed.
func (r *StatsRecorder) limit() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	go func() {
		select {
		case <-r.stop:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(lastFlushTime):
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// store adds what was gathered since, within one limit for all of it.
func (r *StatsRecorder) store(stopped bool) error {
	ctx, cancel := r.limit()
	defer cancel()
	err := errors.Join(r.flush(ctx), r.flushTimings(ctx, stopped))
	if r.samples != nil && !stopped {
		err = errors.Join(err, r.samples.flush(ctx, r.now()))
	}
	return err
}

func (r *StatsRecorder) flush(ctx context.Context) error {
	r.mu.Lock()
	counts := r.counts
	r.counts = map[statKey]int64{}
	r.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	deltas := make([]store.StatDelta, 0, len(counts))
	for k, n := range counts {
		deltas = append(deltas, store.StatDelta{
			TenantID: k.tenant, Pipeline: k.pipeline, Stage: k.stage, Outcome: k.outcome, Events: n,
		})
	}
	if err := r.stats.AddStats(ctx, r.now(), deltas); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		for k, n := range counts {
			r.counts[k] += n
		}
		return err
	}
	return nil
}

// timingsEvery is how often timings are stored. They are larger than counts, and nobody needs them by the second.
const timingsEvery = 2 * time.Second

// flushTimings stores the timings when it is time to, or when the recorder stops.
func (r *StatsRecorder) flushTimings(ctx context.Context, stopped bool) error {
	now := r.now()
	if r.timingsStore == nil || !stopped && now.Sub(r.timed).Abs() < timingsEvery {
		return nil
	}
	r.timed = now
	r.mu.Lock()
	times, sources, states := r.timings.take()
	r.mu.Unlock()
	if len(times)+len(sources)+len(states) == 0 {
		return nil
	}
	err := r.timingsStore.PutTimings(ctx, r.process, times, sources, states)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.timings.keep()
		return err
	}
	r.timings.forget(now)
	return nil
}
