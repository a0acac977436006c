package store

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

func TestEventStoreIsAppendOnly(t *testing.T) {
	t.Parallel()
	s := open(t)
	future := newEvent("acme", "c1", "e2")
	future.UID = uuid.MustParse("7fffffff-0000-7000-8000-000000000000")
	persistAll(t, s, newEvent("acme", "c1", "e1"), future)
	tables := []string{"event_store", "event_store_default", get[string](t, s, "SELECT min(tableoid::regclass::text) FROM event_store")}
	require.Contains(t, tables[2], "event_store_20")
	for _, table := range tables {
		for _, sql := range []string{"UPDATE %s SET source = 'x'", "DELETE FROM %s", "TRUNCATE %s"} {
			_, err := s.pool.Exec(t.Context(), fmt.Sprintf(sql, table))
			require.Equal(t, "23001", sqlState(err), sql, table)
		}
	}
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM event_store"))
}

func TestEventsFindTheirMonth(t *testing.T) {
	t.Parallel()
	s := open(t)
	may := time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)
	first, last, before := newEvent("acme", "c1", "e1"), newEvent("acme", "c1", "e2"), newEvent("acme", "c1", "e3")
	first.UID = firstUUIDv7(may)
	last.UID = firstUUIDv7(may.AddDate(0, 1, 0))
	for i := 15; i >= 0; i-- { // The largest uid below that of June.
		last.UID[i]--
		if last.UID[i] != 0xff {
			break
		}
	}
	before.UID = firstUUIDv7(may.Add(-time.Millisecond))
	before.Payload = json.RawMessage(`{"as" : "it was"}`)
	events := []*tracking.Event{first, last, before}
	persistAll(t, s, events...)
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM event_store_default"))

	require.NoError(t, s.EnsurePartitions(t.Context(), may.AddDate(0, 0, 20)))
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM event_store_2031_05"))
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM event_store_2031_04"))
	require.Equal(t, 0, get[int](t, s, "SELECT count(*) FROM event_store_default"))
	require.True(t, get[bool](t, s, "SELECT to_regclass('event_store_2031_07') IS NOT NULL"))
	requireTrace(t, s, events)
	_, err := s.pool.Exec(t.Context(), "DELETE FROM event_store_default")
	require.NoError(t, err, "it is empty")
	results, err := s.Persist(t.Context(), events)
	require.NoError(t, err)
	require.Equal(t, make([]Persisted, 3), results, "still known after they moved")
	for _, sql := range []string{"UPDATE %s SET source = 'x'", "DELETE FROM %s", "TRUNCATE %s"} {
		_, err := s.pool.Exec(t.Context(), fmt.Sprintf(sql, "event_store_2031_05"))
		require.Equal(t, "23001", sqlState(err), sql)
	}
}

func TestEnsurePartitionsManyAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	now := time.Date(2031, 5, 20, 0, 0, 0, 0, time.UTC)
	errs := make(chan error, 6)
	for range cap(errs) {
		go func() { errs <- s.EnsurePartitions(t.Context(), now) }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
}

func TestEnsurePartitionsWhilePersisting(t *testing.T) {
	t.Parallel()
	s := open(t)
	may := time.Date(2031, 5, 20, 0, 0, 0, 0, time.UTC)
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for w := range 3 {
		wg.Go(func() {
			for i := range 20 {
				e := newEvent("acme", fmt.Sprint("c", w), fmt.Sprint("e", w, "-", i))
				e.UID = firstUUIDv7(may)
				e.UID[15], e.UID[14] = byte(i), byte(w)
				results, err := s.Persist(t.Context(), []*tracking.Event{e, newEvent("acme", "c", fmt.Sprint(w, "-", i))})
				if err == nil {
					err = results[0].Refused
				}
				if err != nil {
					errs <- err
				}
			}
		})
	}
	// A month may fail to come to be while its events pour into the default partition; the next call makes it.
	_ = s.EnsurePartitions(t.Context(), may)
	wg.Wait()
	require.NoError(t, s.EnsurePartitions(t.Context(), may))
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 60, get[int](t, s, "SELECT count(*) FROM event_store_2031_05"))
	require.Equal(t, 120, get[int](t, s, "SELECT count(*) FROM event_store"))
}

func TestOldClaimsAreDroppedByDay(t *testing.T) {
	t.Parallel()
	s := open(t)
	start := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	exists := func(name string) bool { return get[bool](t, s, "SELECT to_regclass($1) IS NOT NULL", name) }
	require.NoError(t, s.EnsurePartitions(t.Context(), start))
	require.NoError(t, s.EnsurePartitions(t.Context(), start.Add(s.config.ClaimRetention)))
	require.True(t, exists("dedupe_claims_2031_05_01"), "half of it is within the retention")
	require.False(t, exists("dedupe_claims_2031_04_30"))
	require.NoError(t, s.EnsurePartitions(t.Context(), start.Add(s.config.ClaimRetention+12*time.Hour)))
	require.False(t, exists("dedupe_claims_2031_05_01"))
	require.True(t, exists("dedupe_claims_2031_05_02"))
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := open(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	letter := DeadLetter{
		UID: newUID(), TenantID: "acme", Pipeline: "tracking", Stage: "validate", Code: "schema", Message: "nul \x00 and broken \xff",
		Field: "/payload", Source: "LA", EventType: "loaded", CorrelationID: "c1", Attempts: 3,
		Event: json.RawMessage("{\"cut\": \x00\xff"), TraceID: "abc", At: at,
	}
	again, elsewhere := letter, letter
	again.Code, elsewhere.Stage, elsewhere.Event = "other", "persist", nil
	require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{letter, again, elsewhere}))
	require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{again}))
	require.NoError(t, s.AddDeadLetters(t.Context(), nil))
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM dead_letters"))

	var got DeadLetter
	var event []byte
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT uid, tenant_id, pipeline, stage, code, message, field, source, event_type,
		correlation_id, attempts, event, trace_id, at FROM dead_letters WHERE stage = 'validate'`).
		Scan(&got.UID, &got.TenantID, &got.Pipeline, &got.Stage, &got.Code, &got.Message, &got.Field, &got.Source, &got.EventType,
			&got.CorrelationID, &got.Attempts, &event, &got.TraceID, &got.At))
	got.Event, got.At = event, got.At.UTC()
	letter.Message = "nul \ufffd and broken \ufffd"
	require.Equal(t, letter, got)
}

func TestStatsAddUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	minute := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	const workers, rounds = 6, 10
	outcomes := []string{"pass", "drop", "reject"}
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			for i := range rounds {
				var deltas []StatDelta
				for o := range outcomes { // Each worker in another order, one of them twice.
					deltas = append(deltas, StatDelta{"acme", "tracking", "validate", outcomes[(o+w)%3], 1})
				}
				deltas = append(deltas, StatDelta{"acme", "tracking", "validate", "pass", 1}, StatDelta{"umbrella", "tracking", "validate", "pass", 9})
				if err := s.AddStats(t.Context(), minute.Add(time.Duration(i%2)*time.Minute+time.Second), deltas); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		require.NoError(t, <-errs)
	}
	require.NoError(t, s.AddStats(t.Context(), minute, nil))

	all, err := s.Totals(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, []Stat{
		{"tracking", "validate", "drop", 60}, {"tracking", "validate", "pass", 120}, {"tracking", "validate", "reject", 60},
	}, all)
	late, err := s.StatsByMinute(t.Context(), "acme", minute.Add(90*time.Second))
	require.NoError(t, err)
	require.Equal(t, []StatMinute{
		{minute.Add(time.Minute), Stat{"tracking", "validate", "drop", 30}},
		{minute.Add(time.Minute), Stat{"tracking", "validate", "pass", 60}},
		{minute.Add(time.Minute), Stat{"tracking", "validate", "reject", 30}},
	}, late)
	none, err := s.Totals(t.Context(), "nobody")
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestTenants(t *testing.T) {
	t.Parallel()
	s := open(t)
	acme := Tenant{
		ID: "acme", Name: "Acme", Country: "PE", EventTypes: []string{"loaded", "DEP"}, Sources: []string{}, RetentionDays: 2555,
		MaxPayloadBytes: 65536, RatePerSecond: 12.5, Active: true, Preferences: json.RawMessage(`{"theme": "dark"}`),
	}
	bare := Tenant{ID: "bare"}
	by := Actor{Subject: "os:rosa", Name: "Rosa", Client: "test"}
	apply := func(tenants ...Tenant) []TenantChange {
		t.Helper()
		planned, err := s.PlanTenants(t.Context(), tenants)
		require.NoError(t, err)
		changes, err := s.ChangeTenants(t.Context(), tenants, by)
		require.NoError(t, err)
		require.Equal(t, planned, changes, "a plan says what is done")
		return changes
	}
	changes := apply(bare, acme)
	require.Equal(t, []string{TenantCreated, TenantCreated}, []string{changes[0].Change, changes[1].Change})
	applied := get[time.Time](t, s, "SELECT updated_at FROM tenant_tracking_settings WHERE tenant_id = 'acme'")
	require.Equal(t, []TenantChange{{TenantID: "acme", Change: TenantUnchanged}}, apply(acme))
	require.NoError(t, s.AddTenants(t.Context(), []Tenant{{ID: "acme", Name: "Another"}, {ID: "bare", Active: true}}))
	require.Equal(t, applied, get[time.Time](t, s, "SELECT updated_at FROM tenant_tracking_settings WHERE tenant_id = 'acme'"),
		"nothing changed, nothing is written")

	got, err := s.Tenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, acme, got)
	acme.Active, acme.Sources = false, []string{"LA"}
	acme.Preferences = json.RawMessage(`{"theme": "dark", "language": "es"}`)
	differences := []TenantDifference{
		{"sources", []string{}, []string{"LA"}}, {"active", true, false}, {"preferences.language", nil, "es"},
	}
	require.Equal(t, []TenantChange{{TenantID: "acme", Change: TenantChanged, Differences: differences}}, apply(acme))
	audit, err := s.Audit(t.Context(), "acme", 0, 10)
	require.NoError(t, err)
	require.Len(t, audit, 2, "created and changed; what was as it is left no trace")
	require.Equal(t, "tenants.apply", audit[0].Action)
	require.Equal(t, "os:rosa", audit[0].Subject)
	require.JSONEq(t, `{"id":"acme","change":"changed","differences":[{"field":"sources","before":[],"after":["LA"]},
		{"field":"active","before":true,"after":false},{"field":"preferences.language","before":null,"after":"es"}]}`, string(audit[0].Filter))
	all, err := s.Tenants(t.Context())
	require.NoError(t, err)
	bare.EventTypes, bare.Sources, bare.Preferences = []string{}, []string{}, json.RawMessage("{}")
	require.Equal(t, []Tenant{acme, bare}, all)

	_, err = s.Tenant(t.Context(), "nobody")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.ChangeTenants(t.Context(), []Tenant{{ID: "x", Name: "kept out"}, {ID: "y", RetentionDays: -1}}, by)
	require.Error(t, err)
	_, err = s.Tenant(t.Context(), "x")
	require.ErrorIs(t, err, ErrNotFound, "all or none")
}
