package store

import (
	"testing"

	"github.com/stretchr/testify/require"
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
