package store

import (
	"cmp"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

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
	const all = "SELECT jsonb_agg(to_jsonb(t) - 'facets_known' ORDER BY tenant_id, correlation_id)::text FROM traces t" // what is known of facets may be less than there is
	want := get[string](t, s, all)
	spoil(t, s)
	wrong := map[string][]string{"acme c0": {"status", "event_count"}, "other c1": {"state"}, "other c2": {"row"}}
	report, found := differencesOf(t, s, Replay{DryRun: true})
	require.Equal(t, wrong, found)
	require.EqualValues(t, 3, report.Different)
	require.EqualValues(t, 1, report.Missing)

	_, found = differencesOf(t, s, Replay{DryRun: true, Tenant: "acme"})
	require.Equal(t, map[string][]string{"acme c0": wrong["acme c0"]}, found)

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
	require.Equal(t, map[string][]string{"acme c0": {"status", "event_count"}, "other c1": {"state"}, "other c2": {"row"}}, found)
	require.EqualValues(t, 6, report.Traces)
	require.EqualValues(t, 30, report.Events, "traces are rebuilt from all their events, once")
	report, found = differencesOf(t, s, Replay{DryRun: true, From: now.Add(time.Hour)})
	require.Empty(t, found)
	require.Zero(t, report.Traces)
	report, _ = differencesOf(t, s, Replay{DryRun: true, To: now.Add(time.Hour), Tenant: "acme"})
	require.EqualValues(t, 3, report.Traces)
}

// From is in the time and To is not; a trace that has one event in it is rebuilt from all.
func TestReplayOfATimeIsCutToTheMillisecond(t *testing.T) {
	t.Parallel()
	s := open(t)
	noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	for i, ms := range []int{0, 1, 2, 3} {
		e := newEvent("acme", fmt.Sprint("c", i), fmt.Sprint("e", i))
		e.UID = firstUUIDv7(noon.Add(time.Duration(ms) * time.Millisecond))
		persistAll(t, s, e, newEvent("acme", fmt.Sprint("c", i), fmt.Sprint("late ", i)))
	}
	_, err := s.pool.Exec(t.Context(), "UPDATE traces SET status = 'lost'")
	require.NoError(t, err)
	report, found := differencesOf(t, s, Replay{DryRun: true, From: noon.Add(time.Millisecond), To: noon.Add(3 * time.Millisecond)})
	require.Equal(t, map[string][]string{"acme c1": {"status"}, "acme c2": {"status"}}, found)
	require.EqualValues(t, 4, report.Events)
	report, found = differencesOf(t, s, Replay{Swap: true, From: noon.Add(time.Millisecond), To: noon.Add(3 * time.Millisecond)})
	require.Len(t, found, 2)
	require.EqualValues(t, 2, report.Changed)
	_, found = differencesOf(t, s, Replay{DryRun: true})
	require.Len(t, found, 2, "the others are as they were")
}

// manyTraces persists three events of each of n journeys, of three tenants in turn.
func manyTraces(t *testing.T, s *Store, n int) {
	t.Helper()
	events := make([]*tracking.Event, 0, 3*n)
	for i := range 3 * n {
		events = append(events, newEvent(fmt.Sprint("t", i%n%3), fmt.Sprintf("c%04d", i%n), fmt.Sprint("e", i)))
	}
	persistAll(t, s, events...)
}

// However the traces are cut into parts, each is rebuilt once, of all its events.
func TestReplayInManyParts(t *testing.T) {
	t.Parallel()
	s := open(t)
	const n = 1200 // so that a part is fetched in several pieces
	manyTraces(t, s, n)
	_, err := s.pool.Exec(t.Context(), `UPDATE traces SET status = 'lost' WHERE right(correlation_id, 1) = '7';
		DELETE FROM traces WHERE right(correlation_id, 1) = '8';
		INSERT INTO traces (tenant_id, correlation_id, status) SELECT 't' || i % 3, 'b' || i, 'arrived' FROM generate_series(1, 30) i;
		INSERT INTO traces (tenant_id, correlation_id) VALUES ('a', 'first of all'), ('z', 'last of all')`)
	require.NoError(t, err)
	want := map[string][]string{"a first of all": {"row"}, "z last of all": {"row"}}
	for i := range n {
		switch i % 10 {
		case 7:
			want[fmt.Sprintf("t%d c%04d", i%3, i)] = []string{"status"}
		case 8:
			want[fmt.Sprintf("t%d c%04d", i%3, i)] = []string{"row"}
		}
	}
	for i := 1; i <= 30; i++ {
		want[fmt.Sprintf("t%d b%d", i%3, i)] = []string{"row"}
	}
	for _, size := range []int{7, 333, 0} {
		parts := 0
		w := &replayer{Replay: Replay{partEvents: cmp.Or(size, partEvents)}, store: s}
		conn, err := s.pool.Acquire(t.Context())
		require.NoError(t, err)
		require.NoError(t, w.plan(t.Context(), conn, func(replayPart) error { parts++; return nil }))
		conn.Release()
		require.Equal(t, map[int]int{7: 515, 333: 11, 0: 1}[size], parts)

		report, found := differencesOf(t, s, Replay{DryRun: true, Workers: 3, partEvents: size})
		require.Equal(t, want, found, "parts of %d", size)
		require.EqualValues(t, n, report.Traces)
		require.EqualValues(t, 3*n, report.Events)
		require.EqualValues(t, 120, report.Missing)
		require.EqualValues(t, 32, report.Bereft)
	}
	report, found := differencesOf(t, s, Replay{DryRun: true, Tenant: "t1", partEvents: 20})
	require.EqualValues(t, n/3, report.Traces)
	require.Len(t, found, 90)

	report, _ = differencesOf(t, s, Replay{Swap: true, partEvents: 50})
	require.EqualValues(t, len(want), report.Changed)
	_, found = differencesOf(t, s, Replay{DryRun: true})
	require.Empty(t, found)
	require.Equal(t, n, get[int](t, s, "SELECT count(*) FROM traces"))
}

// A row without events is told of and removed, unless it gets an event before that.
func TestReplayOfRowsWithoutEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO traces (tenant_id, correlation_id, status, event_count)
		VALUES ('acme', 'gone', 'arrived', 3), ('acme', 'back', 'arrived', 3)`)
	require.NoError(t, err)
	var told []TraceDifference
	_, err = s.Replay(t.Context(), Replay{DryRun: true, Difference: func(d TraceDifference) { told = append(told, d) }})
	require.NoError(t, err)
	require.ElementsMatch(t, []TraceDifference{
		{"acme", "gone", []FieldDifference{{Field: "row", Had: "arrived"}}}, {"acme", "back", []FieldDifference{{Field: "row", Had: "arrived"}}},
	}, told)
	report, err := s.Replay(t.Context(), Replay{})
	require.NoError(t, err)
	require.EqualValues(t, 2, report.Bereft)
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM traces_replay WHERE bereft"))
	require.Equal(t, 8, get[int](t, s, "SELECT count(*) FROM traces"))

	report, err = s.Replay(t.Context(), Replay{Swap: true, Difference: func(d TraceDifference) {
		if d.CorrelationID == "back" {
			persistAll(t, s, newEvent("acme", "back", "e1"))
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Changed)
	require.Equal(t, 7, get[int](t, s, "SELECT count(*) FROM traces"))
	_, found := differencesOf(t, s, Replay{DryRun: true})
	require.Empty(t, found)
}

// A row that says that its trace had events which nobody removed rightly is what an audit knows it by.
func TestReplayKeepsTheEvidenceOfRemovedEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	for _, sql := range []string{
		"DELETE FROM event_store WHERE tenant_id = 'acme' AND correlation_id <> 'c2'",
		"UPDATE traces SET chain_before = 2, chain_seq = 0, chain_hash = NULL WHERE tenant_id = 'acme' AND correlation_id = 'c1'", // of before the chain
	} {
		tamper(t, s, sql)
	}
	evidence, _ := verify(t, s, AuditScope{})
	require.Len(t, evidence, 2)
	for range 2 {
		var told []TraceDifference
		report, err := s.Replay(t.Context(), Replay{Swap: true, Difference: func(d TraceDifference) { told = append(told, d) }})
		require.NoError(t, err)
		require.ElementsMatch(t, []TraceDifference{
			{"acme", "c0", []FieldDifference{{Field: "events", Had: "5", Now: "0"}}}, {"acme", "c1", []FieldDifference{{Field: "events", Had: "2", Now: "0"}}},
		}, told)
		require.EqualValues(t, 2, report.Kept)
		require.Zero(t, report.Changed)
		after, _ := verify(t, s, AuditScope{})
		require.ElementsMatch(t, evidence, after, "a replay hides nothing")
	}

	// Of these, retention says that it removed them.
	_, err := s.pool.Exec(t.Context(), "UPDATE traces SET chain_removed = chain_seq, chain_before = 0 WHERE tenant_id = 'acme' AND correlation_id <> 'c2'")
	require.NoError(t, err)
	report, found := differencesOf(t, s, Replay{Swap: true})
	require.Equal(t, map[string][]string{"acme c0": {"row"}, "acme c1": {"row"}}, found)
	require.EqualValues(t, 2, report.Changed)
	require.Zero(t, report.Kept)
	require.Equal(t, 4, get[int](t, s, "SELECT count(*) FROM traces"))
}

// Who follows changes is told to read anew, by one change a tenant however many rows were swapped; also of a swap that was interrupted.
func TestASwapIsTold(t *testing.T) {
	t.Parallel()
	s := open(t)
	replayed(t, s)
	persistAll(t, s, newEvent("third", "c", "e"))
	spoil(t, s)
	from, _, err := s.ChangeHorizon(t.Context())
	require.NoError(t, err)
	// What else the server does may hold the horizon back, so that what was persisted is told again.
	seen := get[[]int64](t, s, "SELECT coalesce(array_agg(id), '{}') FROM trace_changes")
	told := func() (tenants []string) {
		news, err := s.TraceChanges(t.Context(), from, seen)
		require.NoError(t, err)
		for _, c := range news.Changes {
			require.Empty(t, c.CorrelationIDs)
			tenants, seen = append(tenants, c.TenantID), append(seen, c.ID)
		}
		return tenants
	}
	differencesOf(t, s, Replay{DryRun: true})
	differencesOf(t, s, Replay{})
	require.Empty(t, told(), "nothing was changed")
	// That leaves what a swap leaves that comes to no end; and this is how far it came.
	_, err = s.pool.Exec(t.Context(), "UPDATE traces SET event_count = 5, status = 'loaded' WHERE tenant_id = 'acme' AND correlation_id = 'c0'")
	require.NoError(t, err)
	_, found := differencesOf(t, s, Replay{Swap: true, Tenant: "third"})
	require.Empty(t, found)
	require.ElementsMatch(t, []string{"acme", "other"}, told())

	report, _ := differencesOf(t, s, Replay{Swap: true})
	require.EqualValues(t, 2, report.Changed)
	require.Equal(t, []string{"other"}, told())
	for tenant, known := range map[string]bool{"acme": false, "other": false, "third": true} {
		_, all, err := s.ChangedSince(t.Context(), tenant, from)
		require.NoError(t, err)
		require.Equal(t, known, all, "who resumes is told, too")
	}
}

// A trace that gets its events just while its row is removed keeps them: Persist never meets a row that is going.
func TestRowsAreNotRemovedUnderAWriter(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO traces (tenant_id, correlation_id) VALUES ('acme', 'c')`)
	require.NoError(t, err)
	// The writer has met the row, and goes on to insert its event.
	row, err := rowOf(newEvent("acme", "c", "e1"))
	require.NoError(t, err)
	people, err := s.peopleOf(t.Context(), nil)
	require.NoError(t, err)
	writer, err := s.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer writer.Release()
	defer abandon(context.Background(), writer)
	_, err = lockAndLook(t.Context(), writer, []eventRow{row}, people)
	require.NoError(t, err)
	swapped := make(chan error, 1)
	go func() {
		_, err := s.Replay(t.Context(), Replay{Swap: true})
		swapped <- err
	}()
	require.Eventually(t, func() bool {
		return get[int](t, s, `SELECT count(*) FROM pg_locks WHERE relation = 'traces'::regclass AND NOT granted`) == 1
	}, 10*time.Second, time.Millisecond, "removing waits")
	_, err = writer.Exec(t.Context(), insertEvents, insertArgs([]eventRow{row})...)
	require.NoError(t, err)
	_, err = writer.Exec(t.Context(), "COMMIT")
	require.NoError(t, err)
	require.NoError(t, <-swapped)
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM traces"))
}

// While several write, each snapshot is whole: nothing differs but what was made to, and in the end nothing does.
func TestReplayAmongWriters(t *testing.T) {
	t.Parallel()
	s := open(t)
	manyTraces(t, s, 60)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers errgroup.Group
	for w := range 3 {
		writers.Go(func() error {
			for i := 0; ctx.Err() == nil; i++ {
				events := make([]*tracking.Event, 20)
				for j := range events {
					n := i*len(events) + j
					e := newEvent(fmt.Sprint("t", n%3), fmt.Sprintf("c%04d", n%120), fmt.Sprint("w", w, " ", n))
					if n%50 == 49 {
						e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{fmt.Sprint("w", w, " ", n-7)}}
					}
					events[j] = e
				}
				if _, err := s.Persist(t.Context(), events); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 3 {
		for _, r := range []Replay{{DryRun: true, partEvents: 40}, {DryRun: true, From: time.Now().Add(-time.Hour)}} {
			report, found := differencesOf(t, s, r)
			require.Empty(t, found)
			require.GreaterOrEqual(t, report.Traces, int64(60))
		}
	}
	for i := range 3 {
		_, err := s.pool.Exec(t.Context(), `WITH spoilt AS (
			SELECT tenant_id, correlation_id FROM traces WHERE right(correlation_id, 1) = '7' ORDER BY tenant_id, correlation_id FOR UPDATE)
			UPDATE traces t SET status = 'lost', voided_count = voided_count + 9 FROM spoilt
			WHERE t.tenant_id = spoilt.tenant_id AND t.correlation_id = spoilt.correlation_id`)
		require.NoError(t, err)
		_, err = s.pool.Exec(t.Context(), `INSERT INTO traces (tenant_id, correlation_id) SELECT 'acme', $1 || i FROM generate_series(1, 9) i`,
			fmt.Sprint("gone ", i, " "))
		require.NoError(t, err)
		report, _ := differencesOf(t, s, Replay{Swap: true, partEvents: 40})
		require.GreaterOrEqual(t, report.Changed, int64(9))
	}
	stop()
	require.NoError(t, writers.Wait())
	// The rows that were spoilt are mended: by a swap or, where an event came before it, by the fold of that event.
	_, found := differencesOf(t, s, Replay{DryRun: true})
	require.Empty(t, found)
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM traces WHERE correlation_id LIKE 'gone%'"))
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
