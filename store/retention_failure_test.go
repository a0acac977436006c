package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

// old stores journeys of two events each, one month apart from the next, all over.
func old(t *testing.T, s *Store, tenant string, journeys int) {
	t.Helper()
	var events []*tracking.Event
	for i := range journeys {
		at := present.AddDate(0, -2, -i%50)
		events = append(events, eventOf(tenant, fmt.Sprint("c", i), tracking.Baggage, at), eventOf(tenant, fmt.Sprint("c", i), tracking.Baggage, at.Add(time.Hour)))
	}
	persistAll(t, s, events...)
	sealAll(t, s)
}

// A run that is broken off between two transactions, or in the middle of one, has cut whole journeys; the next one cuts the others.
func TestARetentionThatIsBrokenOffIsGoneOnWith(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30}, Tenant{ID: "keeps"})
	old(t, s, "acme", 60)
	old(t, s, "keeps", 60)
	ctx, crash := context.WithCancel(t.Context())
	report, err := s.Retain(ctx, Retention{Now: present, By: operator, batchEvents: 10, Progress: func(p RetentionProgress) {
		if p.Events >= 20 {
			crash()
		}
	}})
	require.Error(t, err)
	require.Less(t, report.Events, int64(120))
	require.GreaterOrEqual(t, report.Events, int64(20))
	require.Equal(t, 240-int(report.Events), get[int](t, s, "SELECT count(*) FROM event_store"))
	require.Nil(t, get[*time.Time](t, s, "SELECT finished_at FROM retention_runs"))
	sound(t, s)
	done := retain(t, s, Retention{})
	require.Equal(t, int64(120), report.Events+done.Events)
	require.Equal(t, int64(60), report.Traces+done.Traces)
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM retention_runs WHERE finished_at IS NOT NULL"))
	sound(t, s)
}

// A partition is dropped with all that belongs to it, or not at all.
func TestAPartitionIsDroppedWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30})
	old(t, s, "acme", 60)
	reader, err := s.pool.Begin(t.Context()) // holds up who wants event_store for itself
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }) // should the test fail
	_, err = reader.Exec(t.Context(), "SELECT FROM event_store LIMIT 1")
	require.NoError(t, err)
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	failed := make(chan error, 1)
	go func() {
		_, err := s.Retain(ctx, Retention{Now: present, By: operator})
		failed <- err
	}()
	waits := `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'event_store'::regclass)`
	require.Eventually(t, func() bool { return get[bool](t, s, waits) }, 20*time.Second, 5*time.Millisecond)
	crash()
	require.Error(t, <-failed)
	require.NoError(t, reader.Rollback(t.Context()))
	require.Equal(t, 120, get[int](t, s, "SELECT count(*) FROM event_store"))
	sound(t, s)
	require.Equal(t, int64(120), retain(t, s, Retention{}).Events)
	require.False(t, partitionThere(t, s, "event_store_2025_07"))
	require.False(t, partitionThere(t, s, "event_store_2025_06"))
	sound(t, s)
}

// A reader of event_store delays the dropping, and does not fail it.
func TestDroppingWaitsForReaders(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30})
	old(t, s, "acme", 5)
	reader, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }) // should the test fail
	_, err = reader.Exec(t.Context(), "SELECT FROM event_store LIMIT 1")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := s.Retain(context.WithoutCancel(t.Context()), Retention{Now: present, By: operator})
		done <- err
	}()
	// It gives up waiting, so that writers behind it go on, and comes again.
	waiting := func() bool {
		return get[bool](t, s, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
			WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'event_store'::regclass)`)
	}
	require.Eventually(t, waiting, 20*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return !waiting() }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, <-done)
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM event_store"))
	sound(t, s)
}

func TestOneProcessOfManyRetains(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30}, Tenant{ID: "keeps"})
	other := openURL(t, s.config.URL)
	old(t, s, "acme", 60)
	old(t, s, "keeps", 10)
	var once sync.Once
	var ran bool
	var err error
	first := retain(t, s, Retention{batchEvents: 10, Progress: func(RetentionProgress) {
		once.Do(func() { // in the midst of the first
			_, busy := other.Retain(t.Context(), Retention{Now: present})
			require.ErrorIs(t, busy, ErrRetaining)
			_, ran, err = other.RetainDue(t.Context(), Retention{Now: present}, time.Hour)
		})
	}})
	require.NoError(t, err)
	require.False(t, ran)
	require.Equal(t, int64(120), first.Events)
	_, ran, err = other.RetainDue(t.Context(), Retention{Now: present}, time.Hour)
	require.NoError(t, err)
	require.False(t, ran, "it was just done")
	report, ran, err := other.RetainDue(t.Context(), Retention{Now: present}, 0)
	require.NoError(t, err)
	require.True(t, ran)
	require.Zero(t, report.Events)
	sound(t, s)
}

// Journeys go on, are delivered again and are sealed while retention runs: what is new is never cut.
func TestJourneysGoOnWhileRetentionRuns(t *testing.T) {
	t.Parallel()
	for name, tenants := range map[string][]Tenant{
		"by row":        {{ID: "acme", RetentionDays: 30}, {ID: "keeps"}},
		"by partitions": {{ID: "acme", RetentionDays: 30}, {ID: "keeps", RetentionDays: 30}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := aged(t, present.AddDate(0, -5, 0), tenants...)
			old(t, s, "acme", 100)
			old(t, s, "keeps", 5)
			var fresh []*tracking.Event
			for i := range 100 {
				fresh = append(fresh, eventOf("acme", fmt.Sprint("c", i), tracking.Baggage, present.AddDate(0, 0, -1)))
			}
			var group sync.WaitGroup
			errs := make(chan error, 300)
			for w := range 4 {
				group.Go(func() {
					for i := w; i < len(fresh); i += 4 {
						_, err := s.Persist(context.WithoutCancel(t.Context()), []*tracking.Event{fresh[i], fresh[(i+1)%len(fresh)]})
						errs <- err
					}
				})
			}
			group.Go(func() {
				for range 5 {
					_, err := s.Seal(context.WithoutCancel(t.Context()))
					errs <- err
				}
			})
			group.Go(func() {
				for range 5 {
					_, err := s.Retain(context.WithoutCancel(t.Context()), Retention{Now: present, By: operator, batchEvents: 6})
					errs <- err
				}
			})
			group.Wait()
			close(errs)
			for err := range errs {
				require.NoError(t, err)
			}
			require.Equal(t, 100, get[int](t, s, "SELECT count(*) FROM event_store WHERE received_at > $1", present.AddDate(0, 0, -2)))
			require.Equal(t, 100, get[int](t, s, "SELECT count(*) FROM traces WHERE tenant_id = 'acme'"))
			left := "SELECT count(*) FROM (SELECT FROM event_store WHERE tenant_id = 'acme' GROUP BY correlation_id HAVING count(*) NOT IN (1, 3)) x"
			require.Zero(t, get[int](t, s, left), "a journey was cut as a whole, or not at all")
			sound(t, s)
		})
	}
}

// What was tampered with is kept as evidence, named, and found after retention as before.
func TestEvidenceIsNotCut(t *testing.T) {
	t.Parallel()
	for name, tampering := range map[string]string{
		"row removed":                "DELETE FROM event_store WHERE correlation_id = 'c3' AND uid = (SELECT min(uid::text)::uuid FROM event_store WHERE correlation_id = 'c3' AND tenant_id = 'acme')",
		"journey removed":            "WITH gone AS (DELETE FROM traces WHERE tenant_id = 'acme' AND correlation_id = 'c3') DELETE FROM event_store WHERE tenant_id = 'acme' AND correlation_id = 'c3'",
		"hash changed":               "UPDATE event_store SET chain_hash = sha256('x') WHERE tenant_id = 'acme' AND correlation_id = 'c3'",
		"journey not listed":         "DELETE FROM traces WHERE tenant_id = 'acme' AND correlation_id = 'c3'",
		"retention blamed for a row": "WITH t AS (UPDATE traces SET chain_removed = 1 WHERE tenant_id = 'acme' AND correlation_id = 'c3') DELETE FROM event_store WHERE chain_seq = 2 AND tenant_id = 'acme' AND correlation_id = 'c3'",
	} {
		for _, keeps := range []int{0, 30} { // by row, and by partition
			t.Run(fmt.Sprint(name, " ", keeps), func(t *testing.T) {
				t.Parallel()
				s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30}, Tenant{ID: "keeps", RetentionDays: keeps})
				old(t, s, "acme", 10)
				old(t, s, "keeps", 10)
				tamper(t, s, tampering)
				before, _ := verify(t, s, AuditScope{})
				require.NotEmpty(t, before)
				report := retain(t, s, Retention{})
				if name != "journey not listed" || keeps != 0 { // rows are looked for by what is listed
					require.NotEmpty(t, report.Findings)
					require.Equal(t, "acme", report.Findings[0].TenantID)
				}
				after, _ := verify(t, s, AuditScope{})
				require.Equal(t, before, after)
				if name != "journey not listed" {
					require.Positive(t, retain(t, s, Retention{AcceptFindings: true}).Events)
					require.Zero(t, get[int](t, s, "SELECT count(*) FROM event_store WHERE tenant_id = 'acme'"))
				}
			})
		}
	}
}

// What is not sealed yet is told by the heads of the journeys.
func TestEvidenceThatIsNotSealedIsNotCut(t *testing.T) {
	t.Parallel()
	for _, keeps := range []int{0, 30} { // by row, and by partition
		s := aged(t, present.AddDate(0, -4, 0), Tenant{ID: "acme", RetentionDays: 30}, Tenant{ID: "keeps", RetentionDays: keeps})
		at := present.AddDate(0, -2, 0)
		gone := eventOf("acme", "a", tracking.Baggage, at)
		persistAll(t, s, gone, eventOf("acme", "a", tracking.Baggage, at), eventOf("acme", "b", tracking.Baggage, at), eventOf("keeps", "k", tracking.Baggage, at))
		tamper(t, s, "DELETE FROM event_store WHERE uid = $1", gone.UID)
		report := retain(t, s, Retention{})
		require.Len(t, report.Findings, 1)
		require.Equal(t, "a", report.Findings[0].CorrelationID)
		require.Contains(t, journeyNames(t, s, "event_store"), "acme a")
		require.NotContains(t, journeyNames(t, s, "event_store"), "acme b")
		findings, _ := verify(t, s, AuditScope{})
		require.Len(t, findings, 1)
		require.Equal(t, AuditRemoved, findings[0].Problem)
	}
}

// What somebody removes after a retention is found, also when they have the seals say that it was one.
func TestRemovalsAreToldFromRetention(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30})
	old(t, s, "acme", 10)
	persistAll(t, s, eventOf("acme", "young", tracking.Baggage, present), eventOf("acme", "other", tracking.Baggage, present))
	sealAll(t, s)
	require.Equal(t, int64(20), retain(t, s, Retention{}).Events)
	kept, err := s.Seals(t.Context(), "", true)
	require.NoError(t, err)
	sound(t, s)
	tamper(t, s, "DELETE FROM event_store WHERE correlation_id = 'young'")
	tamper(t, s, "DELETE FROM traces WHERE correlation_id = 'young'")
	findings, _ := verify(t, s, AuditScope{Kept: kept})
	require.Len(t, findings, 1)
	require.Equal(t, AuditSeal, findings[0].Problem)
	require.Contains(t, findings[0].Detail, "1 are missing")

	// A seal forged as retention makes them.
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		last, err := lastSealsOf(t.Context(), tx, map[sealedEpoch]bool{{"acme", 2}: true})
		require.NoError(t, err)
		seal := last[sealedEpoch{"acme", 2}]
		require.EqualValues(t, 2, seal.Events)
		rows, err := tx.Query(t.Context(), sealedRows, 2, 2, nil)
		require.NoError(t, err)
		return digestRows(rows, func(d epochDigest) error {
			seal.Kind, seal.Events, seal.Digest = SealOfCut, d.events, d.digest
			_, err := appendSeals(t.Context(), tx, []Seal{seal})
			return err
		})
	}))
	findings, _ = verify(t, s, AuditScope{})
	require.Len(t, findings, 1)
	require.Equal(t, AuditSeals, findings[0].Problem)
	require.Contains(t, findings[0].Detail, "no retention noted that")
}

func TestWhatIsNoEventIsPruned(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30, RetentionByKind: map[string]int{"cargo": 40}}, Tenant{ID: "keeps"})
	for _, tenant := range []string{"acme", "keeps"} {
		for _, state := range []string{"open", "redriving", "stored", "passed", "dropped", "superseded", "discarded"} {
			for _, days := range []int{35, 45} {
				letter := DeadLetter{UID: newUID(), TenantID: tenant, Pipeline: "p", Stage: "s", At: present}
				require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{letter}))
				_, err := s.pool.Exec(t.Context(), "UPDATE dead_letters SET state = $2, changed_at = $3 WHERE uid = $1", letter.UID, state, present.AddDate(0, 0, -days))
				require.NoError(t, err)
			}
		}
	}
	require.NoError(t, s.AddStats(t.Context(), present.AddDate(0, 0, -93), []StatDelta{{"keeps", "p", "s", "pass", 1}}))
	require.NoError(t, s.AddStats(t.Context(), present.AddDate(0, 0, -91), []StatDelta{{"keeps", "p", "s", "pass", 1}}))
	_, err := s.pool.Exec(t.Context(), "INSERT INTO personal_data VALUES ($1, 'acme', $2, '')", firstUUIDv7(present.AddDate(0, 0, -31)), uuid.New())
	require.NoError(t, err)
	report := retain(t, s, Retention{StatsDays: 92})
	require.Equal(t, map[string]int64{"dead_letters": 5, "stage_stats": 1, "personal_data": 1}, report.Pruned)
	require.Equal(t, 9, get[int](t, s, "SELECT count(*) FROM dead_letters WHERE tenant_id = 'acme'"))
	require.Equal(t, 4, get[int](t, s, "SELECT count(*) FROM dead_letters WHERE tenant_id = 'acme' AND state IN ('open', 'redriving')"))
	require.Equal(t, 14, get[int](t, s, "SELECT count(*) FROM dead_letters WHERE tenant_id = 'keeps'"))
	require.Equal(t, 23, get[int](t, s, "SELECT count(*) FROM dead_letter_history"))
	require.Equal(t, 2, get[int](t, s, "SELECT events::int FROM stage_totals"))
}
