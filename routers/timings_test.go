package routers

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// timingsStore keeps what it was told last of each minute, as the database does.
type timingsStore struct {
	fail    bool
	times   map[string]store.StageTimes
	sources map[string]store.SourceStats
	states  []store.StageState
}

func (s *timingsStore) AddStats(context.Context, time.Time, []store.StatDelta) error { return nil }

func (s *timingsStore) PutTimings(_ context.Context, _ uuid.UUID, times []store.StageTimes, sources []store.SourceStats, states []store.StageState) error {
	if s.fail {
		s.fail = false
		return errors.New("down")
	}
	for _, t := range times {
		s.times[t.TenantID+t.Stage+t.Minute.Format(time.TimeOnly)] = t
	}
	for _, c := range sources {
		s.sources[c.TenantID+c.Source+c.Minute.Format(time.TimeOnly)] = c
	}
	s.states = states
	return nil
}

func timedBatch(now time.Time) *pipeline.Batch {
	event := func(tenant string, milestone tracking.Milestone) *tracking.Event {
		return &tracking.Event{
			UID: uuid.New(), TenantID: tenant, Source: "LA", ReceivedAt: now.Add(-time.Second), OccurredAt: now.Add(-time.Minute),
			Enrichment: tracking.Enrichment{Milestone: milestone},
		}
	}
	batch := pipeline.NewBatch([]*tracking.Event{
		event("acme", tracking.Loaded), event("acme", ""), event("umbrella", tracking.Loaded), event("acme", tracking.Loaded), event("acme", tracking.Loaded),
	})
	batch.Drop(3, pipeline.Reason{Code: "duplicate"})
	batch.Reject(4, pipeline.Reason{Code: "schema"})
	return batch
}

func TestTimingsAreStoredOnceEvenWhenThatFails(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 20, 10, 0, 30, 0, time.UTC)
	kept := &timingsStore{times: map[string]store.StageTimes{}, sources: map[string]store.SourceStats{}, fail: true}
	r := NewStatsRecorder(kept, time.Hour, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	r.RecordBreaker("tracking", "persist", "open")
	r.RecordBatch("tracking", "persist", timedBatch(now), time.Millisecond, now)
	require.Error(t, r.flushTimings(t.Context(), true))
	require.NoError(t, r.flushTimings(t.Context(), true))
	r.RecordBatch("tracking", "persist", timedBatch(now), time.Millisecond, now)
	r.Close()

	acme, umbrella := kept.times["acmepersist10:00:00"], kept.times["umbrellapersist10:00:00"]
	require.EqualValues(t, []int64{8, 2, 10}, []int64{acme.Events, acme.Batches, acme.Batched})
	require.EqualValues(t, 8, acme.Took.Count())
	require.EqualValues(t, 4, acme.Age.Count(), "of those that passed")
	require.EqualValues(t, []int64{2, 2, 10}, []int64{umbrella.Events, umbrella.Batches, umbrella.Batched})
	age, _ := acme.Age.Quantile(0.5)
	require.InEpsilon(t, time.Second, age, 0.04)
	source := kept.sources["acmeLA10:00:00"]
	require.Equal(t, []int64{4, 2, 2, 2}, []int64{source.Stored, source.Rejected, source.Duplicates, source.Unmapped})
	require.Equal(t, "open", kept.states[0].Breaker)
}

func TestSourcesAreToldApartUpToANumber(t *testing.T) {
	t.Parallel()
	now := time.Now()
	timings := newTimings()
	events := make([]*tracking.Event, maxSources+50)
	for i := range events {
		events[i] = &tracking.Event{TenantID: "acme", Source: uuid.NewString(), ReceivedAt: now, OccurredAt: now}
	}
	timings.record(stageName{"tracking", "persist"}, pipeline.NewBatch(events), time.Second, now)
	_, sources, _ := timings.take()
	require.Len(t, sources, maxSources+1)
	var n int64
	for _, s := range sources {
		n += s.Stored
	}
	require.EqualValues(t, len(events), n)
	for ahead := range 100 {
		timings.minute(now.Add(time.Duration(ahead) * time.Minute))
	}
	require.LessOrEqual(t, len(timings.minutes), maxMinutes)
}

// What timing costs an event.
func BenchmarkRecordBatch(b *testing.B) {
	now := time.Now()
	timings := newTimings()
	events := make([]*tracking.Event, 500)
	for i := range events {
		events[i] = &tracking.Event{TenantID: "acme", Source: "LA", ReceivedAt: now, OccurredAt: now}
	}
	batch := pipeline.NewBatch(events)
	for b.Loop() {
		timings.record(stageName{"tracking", "persist"}, batch, time.Millisecond, now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
