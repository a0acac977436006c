package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

// replayed persists events of three journeys of two tenants.
func replayed(t *testing.T, s *Store) {
	t.Helper()
	for i := range 30 {
		e := newEvent([]string{"acme", "other"}[i%2], fmt.Sprint("c", i%3), fmt.Sprint("e", i))
		e.OccurredAt = e.OccurredAt.Add(time.Duration(i) * time.Second)
		if i == 20 {
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"e2"}}
		}
		persistAll(t, s, e)
	}
}

func differencesOf(t *testing.T, s *Store, r Replay) (ReplayReport, map[string][]string) {
	t.Helper()
	found := map[string][]string{}
	r.Difference = func(d TraceDifference) {
		for _, f := range d.Fields {
			found[d.TenantID+" "+d.CorrelationID] = append(found[d.TenantID+" "+d.CorrelationID], f.Field)
		}
	}
	report, err := s.Replay(t.Context(), r)
	require.NoError(t, err)
	return report, found
}

func spoil(t *testing.T, s *Store) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE traces SET status = 'lost', event_count = event_count + 1 WHERE tenant_id = 'acme' AND correlation_id = 'c0'`,
		`UPDATE traces SET state = '\x820100' WHERE tenant_id = 'other' AND correlation_id = 'c1'`,
		`DELETE FROM traces WHERE tenant_id = 'other' AND correlation_id = 'c2'`,
	} {
		_, err := s.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
}

func TestReplayFindsNothingToChange(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	report, found := differencesOf(t, s, Replay{DryRun: true})
	require.Empty(t, found)
	require.EqualValues(t, 6, report.Traces)
	require.EqualValues(t, 30, report.Events)
	require.Zero(t, report.Different)
	require.False(t, get[bool](t, s, "SELECT to_regclass('traces_replay') IS NOT NULL"), "a dry run writes nothing")
}

func TestReplayFindsAndMendsWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	const all = "SELECT jsonb_agg(t ORDER BY tenant_id, correlation_id)::text FROM traces t"
	want := get[string](t, s, all)
	spoil(t, s)
	wrong := map[string][]string{"acme c0": {"status", "event_count"}, "other c1": {"state"}, "other c2": {"row"}}
	report, found := differencesOf(t, s, Replay{DryRun: true})
	require.Equal(t, wrong, found)
	require.EqualValues(t, 3, report.Different)
	require.EqualValues(t, 1, report.Missing)

	_, found = differencesOf(t, s, Replay{DryRun: true, Tenant: "acme"})
	require.Len(t, found, 1)

	_, found = differencesOf(t, s, Replay{})
	require.Equal(t, wrong, found)
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM traces_replay"), "left to be looked at")
	require.NotEqual(t, want, get[string](t, s, all), "nothing is changed unless asked")

	report, _ = differencesOf(t, s, Replay{Swap: true})
	require.EqualValues(t, 3, report.Changed)
	require.Equal(t, want, get[string](t, s, all))
	require.False(t, get[bool](t, s, "SELECT to_regclass('traces_replay') IS NOT NULL"))
	_, found = differencesOf(t, s, Replay{DryRun: true})
	require.Empty(t, found)
}

// Other parts of the store keep columns of their own in the rows.
func TestReplayLeavesColumnsOfOthers(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	_, err := s.pool.Exec(t.Context(), "ALTER TABLE traces ADD mark text; UPDATE traces SET mark = correlation_id, status = 'lost'")
	require.NoError(t, err)
	report, _ := differencesOf(t, s, Replay{Swap: true})
	require.EqualValues(t, 6, report.Changed)
	require.Equal(t, 6, get[int](t, s, "SELECT count(*) FROM traces WHERE mark = correlation_id AND status <> 'lost'"))
}

// An event that is persisted after its trace was rebuilt and before it is swapped in counts.
func TestReplayWhileEventsArePersisted(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	spoil(t, s)
	late := newEvent("acme", "c0", "late")
	late.Enrichment.Milestone = tracking.Delivered
	report, err := s.Replay(t.Context(), Replay{Swap: true, Difference: func(d TraceDifference) {
		if d.CorrelationID == "c0" {
			persistAll(t, s, late)
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 3, report.Changed)
	require.EqualValues(t, 2, report.Refolded, "the one that got an event, and the one that was missing")
	require.Equal(t, "delivered", get[string](t, s, "SELECT status FROM traces WHERE tenant_id = 'acme' AND correlation_id = 'c0'"))
	_, found := differencesOf(t, s, Replay{DryRun: true})
	require.Empty(t, found)
}

func TestReplayOfATime(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	spoil(t, s)
	now := time.Now()
	report, found := differencesOf(t, s, Replay{DryRun: true, From: now.Add(-time.Hour), To: now.Add(time.Hour)})
	require.Len(t, found, 3)
	require.EqualValues(t, 6, report.Traces)
	report, found = differencesOf(t, s, Replay{DryRun: true, From: now.Add(time.Hour)})
	require.Empty(t, found)
	require.Zero(t, report.Traces)
	report, _ = differencesOf(t, s, Replay{DryRun: true, To: now.Add(time.Hour), Tenant: "acme"})
	require.EqualValues(t, 3, report.Traces)
}

func TestOneReplayAtATime(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	spoil(t, s)
	var second error
	_, err := s.Replay(t.Context(), Replay{Difference: func(TraceDifference) { _, second = s.Replay(t.Context(), Replay{}) }})
	require.NoError(t, err)
	require.ErrorIs(t, second, ErrReplaying)
	_, err = s.Replay(t.Context(), Replay{Swap: true, DryRun: true})
	require.ErrorContains(t, err, "cannot swap")
	_, err = s.Replay(t.Context(), Replay{From: time.Now(), To: time.Now().Add(-time.Hour)})
	require.ErrorContains(t, err, "is not before")
}
