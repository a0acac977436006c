package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/quantiles"
)

// A transaction that began before others and ends after them is told all the same: what was read of them does not pass it by.
func TestASlowTransactionIsNotMissed(t *testing.T) {
	t.Parallel()
	s := open(t)
	from, _, err := s.ChangeHorizon(t.Context())
	require.NoError(t, err)
	slow, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = slow.Exec(t.Context(), noteChanges, []string{"acme"}, []string{"slow"})
	require.NoError(t, err)
	persistAll(t, s, newEvent("acme", "fast", "e1"), newEvent("umbrella", "foreign", "e1"))

	news, err := s.TraceChanges(t.Context(), from, nil)
	require.NoError(t, err)
	require.Len(t, news.Changes, 2, "nobody waits for the slow one")
	seen := []int64{news.Changes[0].ID, news.Changes[1].ID}
	again, err := s.TraceChanges(t.Context(), news.Next, seen)
	require.NoError(t, err)
	require.Empty(t, again.Changes)
	require.NoError(t, slow.Commit(t.Context()))
	late, err := s.TraceChanges(t.Context(), news.Next, seen)
	require.NoError(t, err)
	require.Len(t, late.Changes, 1)
	require.Equal(t, []string{"slow"}, late.Changes[0].CorrelationIDs)

	own, all, err := s.ChangedSince(t.Context(), "acme", from)
	require.NoError(t, err)
	require.True(t, all)
	require.Equal(t, []string{"fast", "slow"}, own)
}

func TestManyChangesAreReadInParts(t *testing.T) {
	t.Parallel()
	s := open(t)
	from, _, err := s.ChangeHorizon(t.Context())
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "INSERT INTO trace_changes (tenant_id, correlation_ids) SELECT 'acme', ARRAY['c' || n] FROM generate_series(1, $1) n",
		2*maxChanges+1)
	require.NoError(t, err)
	_, all, err := s.ChangedSince(t.Context(), "acme", from)
	require.NoError(t, err)
	require.False(t, all)
	var seen []int64
	for more := true; more; {
		news, err := s.TraceChanges(t.Context(), from, seen)
		require.NoError(t, err)
		for _, c := range news.Changes {
			seen = append(seen, c.ID)
		}
		from, more = news.Next, news.More
	}
	require.Len(t, seen, 2*maxChanges+1)

	require.NoError(t, s.PruneChanges(t.Context(), time.Now()))
	require.Equal(t, 2*maxChanges+1, get[int](t, s, "SELECT count(*) FROM trace_changes"))
	require.NoError(t, s.PruneChanges(t.Context(), time.Now().Add(2*time.Hour)))
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM trace_changes"))
}

func TestWhoListensIsWoken(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, stop := context.WithCancel(t.Context())
	woken := make(chan struct{}, 10)
	var tasks sync.WaitGroup
	tasks.Go(func() { assert.ErrorIs(t, s.Listen(ctx, func() { woken <- struct{}{} }), context.Canceled) })
	<-woken // it listens
	tasks.Go(func() { s.Announce(ctx, time.Millisecond, func(err error) { t.Error(err) }) })
	persistAll(t, s, newEvent("acme", "c1", "e1"))
	<-woken
	stop()
	tasks.Wait()
	// A connection that breaks is told of, so that another is made.
	broken := make(chan error, 1)
	go func() { broken <- s.Listen(t.Context(), func() { woken <- struct{}{} }) }()
	<-woken
	_, err := s.pool.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
	require.NoError(t, err)
	require.Error(t, <-broken)
}

func TestTimingsReplaceWhatWasSaid(t *testing.T) {
	t.Parallel()
	s := open(t)
	minute := time.Now().UTC().Truncate(time.Minute)
	put := func(process uuid.UUID, n uint64, at time.Time) {
		h := &quantiles.Histogram{}
		h.Add(time.Second, n)
		require.NoError(t, s.PutTimings(t.Context(), process,
			[]StageTimes{{TenantID: "acme", Pipeline: "p", Stage: "s", Minute: at, Events: int64(n), Batches: 1, Batched: 9, Took: h, Age: h}},
			[]SourceStats{{TenantID: "acme", Source: "LA", Minute: at, Stored: int64(n), Delay: h, LastAt: at}},
			[]StageState{{Pipeline: "p", Stage: "s", Breaker: "open"}}))
	}
	one, other := newUID(), newUID()
	put(one, 3, minute)
	put(one, 5, minute)
	put(other, 7, minute)
	times, err := s.StageTimes(t.Context(), "acme", minute, minute.Add(time.Minute))
	require.NoError(t, err)
	require.Len(t, times, 1)
	require.EqualValues(t, 12, times[0].Events)
	require.EqualValues(t, 12, times[0].Age.Count())
	states, err := s.StageStates(t.Context())
	require.NoError(t, err)
	require.Len(t, states, 2)

	for _, ago := range []int{1, 2, 3, 5, 6, 16, 17} { // gaps: 1, 1, 1, 2, 1, 10, 1
		put(one, 1, minute.Add(-time.Duration(ago)*time.Minute))
	}
	cadences, err := s.SourceCadences(t.Context(), "acme", minute.Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, []SourceCadence{{Source: "LA", LastAt: minute, UsualGap: 10 * time.Minute}}, cadences)
	foreign, err := s.SourceCadences(t.Context(), "umbrella", minute.Add(-time.Hour))
	require.NoError(t, err)
	require.Empty(t, foreign)
	require.NoError(t, s.PruneTimings(t.Context(), minute.AddDate(0, 0, 9)))
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM stage_times")+get[int](t, s, "SELECT count(*) FROM source_stats"))
}
