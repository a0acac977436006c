package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

// What was asked while a month was empty is planned anew when it fills, also before anybody has analysed it.
func TestQuestionsOfAnEmptyMonthAreNotAskedThatWayForEver(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{URL: databases.URL(t), MaxConns: 1})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	ask := func() {
		_, err := s.Trace(t.Context(), "acme", "c7")
		if err != nil {
			require.ErrorIs(t, err, ErrNotFound)
		}
	}
	read := func() int64 {
		_, err := s.pool.Exec(t.Context(), "SELECT pg_stat_force_next_flush()")
		require.NoError(t, err)
		return get[int64](t, s, "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE relname LIKE 'event\\_store%'")
	}
	for range 10 { // PostgreSQL keeps a plan from the sixth time on
		ask()
	}
	_, err = s.pool.Exec(t.Context(), `
INSERT INTO event_store (uid, tenant_id, correlation_id, aggregate_id, source, event_id, revision, kind, event_type, classifier, milestone, time_quality,
    occurred_at, utc_offset_minutes, received_at)
SELECT ('0'||substr(md5(i::text), 2, 11)||'70008000000000000000')::uuid, 'acme', 'c'||i, 'a'||i, 's', 'e'||i, 0, 'baggage', 't', 'actual', 'loaded', '', now(), 0, now()
FROM generate_series(1, 20000) i`)
	require.NoError(t, err)
	before := read()
	ask()
	require.Less(t, read()-before, int64(100))
}

// What a batch does is planned once a connection. A plan that was made while everything was empty goes on to look for rows one by one, also
// when there are many, and nobody has analysed them.
func TestBatchesPlannedOnEmptyTablesDoNotReadFullOnes(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	s, err := Open(t.Context(), Config{URL: url, MaxConns: 1})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	batch := func(from int) {
		events := make([]*tracking.Event, 20)
		claims := make([]Claim, len(events))
		for i := range events {
			events[i] = newEvent("acme", fmt.Sprint("c", from+i), fmt.Sprint("e", from+i))
			claims[i] = Claim{key(fmt.Sprint(from + i)), events[i].UID}
		}
		results, err := s.Persist(t.Context(), events)
		require.NoError(t, err)
		for _, r := range results {
			require.Equal(t, Persisted{Inserted: true}, r)
		}
		_, err = s.Claim(t.Context(), hours72, claims)
		require.NoError(t, err)
		marks := make([]LedgerMark, len(events))
		for i := range marks {
			marks[i] = LedgerMark{TenantID: "acme", Frame: events[i].UID, Received: 1, Passed: 1}
		}
		require.NoError(t, s.AddLedger(t.Context(), "p", marks, nil))
	}
	const tables = "relname LIKE 'event\\_store%' OR relname = 'traces' OR relname = 'trace_facets' OR relname LIKE 'dedupe\\_claims%' OR relname = 'ledger_marks'"
	read := func() int64 {
		_, err := s.pool.Exec(t.Context(), "SELECT pg_stat_force_next_flush()")
		require.NoError(t, err)
		return get[int64](t, s, "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE "+tables) +
			get[int64](t, s, "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE "+tables)
	}
	batch(0) // inserts traces
	batch(0) // and updates them
	for _, fill := range []string{
		`INSERT INTO event_store (uid, tenant_id, correlation_id, aggregate_id, source, event_id, revision, kind, event_type, classifier, milestone,
    time_quality, occurred_at, utc_offset_minutes, received_at)
SELECT (substr(uid::text, 1, 24) || lpad(to_hex(i), 12, '0'))::uuid, 'acme', 'c' || i, 'a' || i, 's', 'e' || i, 0, 'baggage', 't', 'actual', 'loaded', '', now(), 0, now()
FROM generate_series(1000, 21000) i, (SELECT uid FROM event_store LIMIT 1) e`,
		"INSERT INTO traces (tenant_id, correlation_id) SELECT 'acme', 'c' || i FROM generate_series(1000, 21000) i",
		`INSERT INTO dedupe_claims (key, day, uid, claimed_at)
SELECT sha256(i::text::bytea), (now() AT TIME ZONE 'UTC')::date + d, gen_random_uuid(), now() FROM generate_series(1000, 21000) i, generate_series(-1, 1) d`,
		`INSERT INTO ledger_marks (tenant_id, pipeline, frame, part, received, emitted, passed, duplicates, dropped, rejected)
SELECT 'acme', 'p', gen_random_uuid(), 0, 1, 0, 1, 0, 0, 0 FROM generate_series(1, 20000)`,
	} {
		_, err := s.pool.Exec(t.Context(), fill)
		require.NoError(t, err)
	}
	before := read()
	batch(0)
	batch(30_000)
	require.Less(t, read()-before, int64(2000))
}
