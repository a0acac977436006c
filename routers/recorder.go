package routers

import (
	"context"
	"log/slog"
	"sync"
	"time"

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

	stop chan struct{}
	once sync.Once
	done chan struct{}
}

type statKey struct{ tenant, pipeline, stage, outcome string }

// NewStatsRecorder starts a recorder that adds its counts every so often. Close must be called.
func NewStatsRecorder(stats StatsStore, every time.Duration, now func() time.Time, logger *slog.Logger) *StatsRecorder {
	r := &StatsRecorder{
		stats: stats, every: every, now: now, logger: logger, counts: map[statKey]int64{},
		stop: make(chan struct{}), done: make(chan struct{}),
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
		err := r.flush()
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

// limit returns a context for one flush, which ends soon once the recorder is closed.
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

func (r *StatsRecorder) flush() error {
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
	ctx, cancel := r.limit()
	defer cancel()
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
