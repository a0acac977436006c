package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

// present is when retention runs in these tests.
var present = time.Date(2025, 9, 15, 12, 0, 0, 0, time.UTC)

// eventOf makes an event that was received at an instant.
func eventOf(tenant, correlation string, kind tracking.Kind, at time.Time) *tracking.Event {
	e := newEvent(tenant, correlation, uuid.NewString())
	e.UID = firstUUIDv7(at)
	_, _ = rand.Read(e.UID[9:])
	e.Kind, e.ReceivedAt, e.OccurredAt = kind, at.UTC(), at.Add(-time.Minute).UTC()
	return e
}

// aged returns a store whose partitions reach back to a time, and tenants that keep things for so many days.
func aged(t *testing.T, from time.Time, tenants ...Tenant) *Store {
	t.Helper()
	s := open(t)
	for at := time.Date(from.Year(), from.Month()-1, 1, 0, 0, 0, 0, time.UTC); at.Before(present.AddDate(0, 2, 0)); at = at.AddDate(0, 1, 0) {
		require.NoError(t, s.ensurePartition(t.Context(), eventPartition(at)))
	}
	require.NoError(t, s.AddTenants(t.Context(), tenants))
	return s
}

func retain(t *testing.T, s *Store, r Retention) RetentionReport {
	t.Helper()
	if r.Now.IsZero() {
		r.Now = present
	}
	r.By = operator
	report, err := s.Retain(t.Context(), r)
	require.NoError(t, err)
	return report
}

func journeyNames(t *testing.T, s *Store, table string) (names []string) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "SELECT DISTINCT tenant_id || ' ' || correlation_id FROM "+table+" ORDER BY 1")
	require.NoError(t, err)
	names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// sound says that an audit finds nothing, and that the lists say what the events do.
func sound(t *testing.T, s *Store) AuditReport {
	t.Helper()
	findings, report := verify(t, s, AuditScope{})
	require.Empty(t, findings)
	replay, err := s.Replay(t.Context(), Replay{DryRun: true})
	require.NoError(t, err)
	require.Zero(t, replay.Different+replay.Bereft)
	return report
}

func sealAll(t *testing.T, s *Store) {
	t.Helper()
	_, err := s.Seal(t.Context())
	require.NoError(t, err)
}

func partitionThere(t *testing.T, s *Store, name string) bool {
	t.Helper()
	return get[bool](t, s, "SELECT to_regclass($1) IS NOT NULL", name)
}

func TestJourneysAreCutTheMomentTheyAreOver(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -4, 0), Tenant{ID: "acme", RetentionDays: 30, RetentionByKind: map[string]int{"cargo": 60, "parcel": 0}},
		Tenant{ID: "umbrella", RetentionDays: 45}, Tenant{ID: "keeps"})
	edge := func(days int) time.Time { return present.AddDate(0, 0, -days) }
	const tick = time.Millisecond
	persistAll(t, s,
		eventOf("acme", "bag over", tracking.Baggage, edge(30).Add(-tick)), eventOf("acme", "bag edge", tracking.Baggage, edge(30)),
		eventOf("acme", "no kind", "", edge(31)), eventOf("acme", "parcel", tracking.Parcel, edge(100)),
		eventOf("acme", "cargo over", tracking.Cargo, edge(60).Add(-tick)), eventOf("acme", "cargo edge", tracking.Cargo, edge(60)),
		eventOf("acme", "goes on", tracking.Baggage, edge(90)), eventOf("acme", "goes on", tracking.Baggage, edge(1)),
		eventOf("umbrella", "over", tracking.Baggage, edge(45).Add(-tick)), eventOf("umbrella", "edge", tracking.Baggage, edge(45)),
		eventOf("keeps", "old", tracking.Baggage, edge(100)),
		eventOf("stranger", "old", tracking.Baggage, edge(100)),
	)
	sealAll(t, s)
	kept := []string{"acme bag edge", "acme cargo edge", "acme goes on", "acme parcel", "keeps old", "stranger old", "umbrella edge"}
	all := journeyNames(t, s, "traces")
	dry := retain(t, s, Retention{DryRun: true})
	require.Equal(t, all, journeyNames(t, s, "traces"))
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM retention_runs"))
	done := retain(t, s, Retention{})
	require.Equal(t, dry.Cuts, done.Cuts)
	require.Equal(t, []int64{4, 4}, []int64{done.Traces, done.Events})
	require.Equal(t, []string{"acme", "acme", "umbrella"}, column(done.Cuts, func(c RetentionCount) string { return c.TenantID }))
	require.Equal(t, []string{"", "cargo", ""}, column(done.Cuts, func(c RetentionCount) string { return c.Kind }))
	for _, table := range []string{"event_store", "traces", "trace_facets"} {
		require.Equal(t, kept, journeyNames(t, s, table), table)
	}
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM event_store WHERE correlation_id = 'goes on'"), "a journey is kept as a whole")
	report := sound(t, s)
	require.Equal(t, int64(3), report.Cuts)
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM retention_cuts"))
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM ops_audit WHERE action = 'retention.cut'"))
	require.Zero(t, retain(t, s, Retention{}).Events, "again")
	require.Equal(t, int64(2), retain(t, s, Retention{DefaultDays: 90}).Events, "of those that have no rule of their own")
	require.Equal(t, []string{"acme bag edge", "acme cargo edge", "acme goes on", "acme parcel", "umbrella edge"}, journeyNames(t, s, "traces"))
	sound(t, s)
}

func TestWholeMonthsAreDropped(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -5, 0), Tenant{ID: "acme", RetentionDays: 30},
		Tenant{ID: "umbrella", RetentionDays: 60, RetentionByKind: map[string]int{"cargo": 50}})
	day := func(month time.Month, day int) time.Time { return time.Date(2025, month, day, 12, 0, 0, 0, time.UTC) }
	for i := range 20 {
		persistAll(t, s, eventOf("acme", fmt.Sprint("june", i), tracking.Baggage, day(6, 1+i)), eventOf("umbrella", fmt.Sprint("june", i), tracking.Cargo, day(6, 2+i)))
	}
	persistAll(t, s, eventOf("acme", "straddles", tracking.Baggage, day(6, 30)), eventOf("acme", "straddles", tracking.Baggage, day(7, 2)))
	persistAll(t, s, eventOf("umbrella", "straddles", tracking.Baggage, day(6, 30)), eventOf("umbrella", "straddles", tracking.Baggage, day(7, 3)))
	persistAll(t, s, eventOf("umbrella", "july", tracking.Baggage, day(7, 20)), eventOf("acme", "july", tracking.Baggage, day(7, 20)))
	persistAll(t, s, eventOf("acme", "september", tracking.Baggage, day(9, 10)))
	sealAll(t, s)
	_, err := s.pool.Exec(t.Context(), "INSERT INTO personal_data SELECT uid, tenant_id, gen_random_uuid(), '' FROM event_store")
	require.NoError(t, err)

	dry := retain(t, s, Retention{DryRun: true})
	done := retain(t, s, Retention{})
	require.Equal(t, []int64{45, 43}, []int64{done.Events, done.Traces})
	require.Equal(t, []int64{45, 43}, []int64{dry.Events, dry.Traces})
	require.False(t, partitionThere(t, s, "event_store_2025_06"))
	require.False(t, partitionThere(t, s, "event_store_2025_05"), "it was empty")
	require.True(t, partitionThere(t, s, "event_store_2025_07"), "umbrella keeps some of it")
	actions := map[string]string{}
	for _, p := range done.Partitions {
		actions[p.Name] = p.Action
	}
	require.Equal(t, PartitionDropped, actions["event_store_2025_06"])
	require.Equal(t, PartitionRows, actions["event_store_2025_07"])
	for _, table := range []string{"event_store", "traces", "trace_facets"} {
		require.Equal(t, []string{"acme september", "umbrella july"}, journeyNames(t, s, table), table)
	}
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM personal_data"))
	report := sound(t, s)
	require.EqualValues(t, 3, report.Cuts, "two by dropping, one by row")

	tamper(t, s, "DELETE FROM event_store WHERE correlation_id = 'september'")
	findings, _ := verify(t, s, AuditScope{})
	require.NotEmpty(t, findings, "what somebody else removes is found")
}

func july2025(report RetentionReport) PartitionRetention {
	for _, p := range report.Partitions {
		if p.Name == "event_store_2025_07" {
			return p
		}
	}
	return PartitionRetention{}
}

func TestMonthsWaitToBeDroppedAsAWhole(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -4, 0), Tenant{ID: "acme", RetentionDays: 30})
	july := time.Date(2025, 7, 10, 0, 0, 0, 0, time.UTC)
	persistAll(t, s, eventOf("acme", "a", tracking.Baggage, july), eventOf("acme", "late", tracking.Baggage, july),
		eventOf("acme", "late", tracking.Baggage, time.Date(2025, 8, 10, 0, 0, 0, 0, time.UTC)))
	sealAll(t, s)
	grace := 45 * 24 * time.Hour
	at := func(m time.Month, day int) Retention {
		return Retention{Now: time.Date(2025, m, day, 0, 0, 0, 0, time.UTC), Grace: grace}
	}
	report := retain(t, s, at(8, 20)) // over, and in eleven days all of July is
	require.Zero(t, report.Events)
	require.Equal(t, PartitionWaits, july2025(report).Action)
	report = retain(t, s, at(9, 1)) // a journey goes on
	require.Zero(t, report.Events)
	require.Equal(t, PartitionWaits, july2025(report).Action)
	require.Contains(t, july2025(report).Reason, "not over")
	report = retain(t, s, at(9, 10))
	require.Equal(t, int64(3), report.Events, "all of it, with what the last journey has in August")
	require.False(t, partitionThere(t, s, "event_store_2025_07"))
	sound(t, s)

	persistAll(t, s, eventOf("acme", "b", tracking.Baggage, time.Date(2025, 8, 2, 0, 0, 0, 0, time.UTC)),
		eventOf("acme", "long", tracking.Baggage, time.Date(2025, 8, 2, 0, 0, 0, 0, time.UTC)),
		eventOf("acme", "long", tracking.Baggage, time.Date(2025, 10, 10, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, int64(0), retain(t, s, at(10, 14)).Events)
	report = retain(t, s, at(10, 16)) // after the grace rows are deleted
	require.Equal(t, int64(1), report.Events)
	require.Equal(t, []string{"acme long"}, journeyNames(t, s, "event_store"))
	sound(t, s)
}

func TestNothingElseDeletesEvents(t *testing.T) {
	t.Parallel()
	s := aged(t, present.AddDate(0, -2, 0))
	old := eventOf("acme", "a", tracking.Baggage, present.AddDate(0, -1, 0))
	persistAll(t, s, old, eventOf("umbrella", "b", tracking.Baggage, present.AddDate(0, -1, 0)))
	note := func(tx pgx.Tx, before time.Time) uuid.UUID {
		id := newUID()
		_, err := tx.Exec(t.Context(), `INSERT INTO retention_cuts (id, run_id, tenant_id, kind, before, partition, traces, events, seals, first_seal)
			VALUES ($1, $1, 'acme', '', $2, '', 1, 1, 0, 0)`, id, before)
		require.NoError(t, err)
		return id
	}
	announce := func(tx pgx.Tx, id string) {
		_, err := tx.Exec(t.Context(), "SELECT set_config('rastro.retention_cut', $1, true)", id)
		require.NoError(t, err)
	}
	var noted uuid.UUID
	for name, c := range map[string]struct {
		before func(tx pgx.Tx)
		sql    string
		ok     bool
	}{
		"nothing noted":         {func(pgx.Tx) {}, "DELETE FROM event_store WHERE tenant_id = 'acme'", false},
		"announced, not noted":  {func(tx pgx.Tx) { announce(tx, uuid.NewString()) }, "DELETE FROM event_store WHERE tenant_id = 'acme'", false},
		"noted, not announced":  {func(tx pgx.Tx) { note(tx, present) }, "DELETE FROM event_store WHERE tenant_id = 'acme'", false},
		"noted before":          {func(tx pgx.Tx) { announce(tx, noted.String()) }, "DELETE FROM event_store WHERE tenant_id = 'acme'", false},
		"noted and announced":   {func(tx pgx.Tx) { announce(tx, note(tx, present).String()) }, "DELETE FROM event_store WHERE tenant_id = 'acme'", true},
		"another tenant's":      {func(tx pgx.Tx) { announce(tx, note(tx, present).String()) }, "DELETE FROM event_store", false},
		"younger than noted":    {func(tx pgx.Tx) { announce(tx, note(tx, old.ReceivedAt).String()) }, "DELETE FROM event_store WHERE tenant_id = 'acme'", false},
		"noted for the future":  {func(tx pgx.Tx) { announce(tx, note(tx, time.Now().Add(time.Hour)).String()) }, "DELETE FROM event_store WHERE tenant_id = 'acme'", false},
		"changing is no cut":    {func(tx pgx.Tx) { announce(tx, note(tx, present).String()) }, "UPDATE event_store SET source = 'x' WHERE tenant_id = 'acme'", false},
		"truncating is no cut":  {func(tx pgx.Tx) { announce(tx, note(tx, present).String()) }, "TRUNCATE event_store", false},
		"notes are not changed": {func(tx pgx.Tx) { note(tx, present) }, "UPDATE retention_cuts SET before = now()", false},
		"notes are not deleted": {func(tx pgx.Tx) { note(tx, present) }, "DELETE FROM retention_cuts", false},
	} {
		if noted == uuid.Nil {
			require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error { noted = note(tx, present); return nil }))
		}
		tx, err := s.pool.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }) // should the test fail
		c.before(tx)
		tag, err := tx.Exec(t.Context(), c.sql)
		if c.ok {
			require.NoError(t, err, name)
			require.EqualValues(t, 1, tag.RowsAffected(), name)
		} else {
			require.Equal(t, "23001", sqlState(err), name)
		}
		require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
	}
}
