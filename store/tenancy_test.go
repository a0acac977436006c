package store

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/tracking"
)

// confined lists the tables that tenants read.
var confined = []string{
	"event_store", "traces", "dead_letters", "stage_stats", "stage_totals", "tenant_tracking_settings", "aggregate_windows",
	"dead_letter_history", "dead_letter_jobs", "dead_letter_job_items", "ops_audit",
	"ledger_marks", "ledger_totals", "duplicates", "audit_seals",
	"trace_facets", "drops", "event_trails",
	"trace_changes", "stage_times", "source_stats", "stage_watches", "stage_samples",
	"credentials",
	"personal_indexes", "subject_keys", "personal_data",
	"retention_cuts", "captures",
	"unmapped_codes", "code_meanings", "code_jobs",
	"alerts", "alert_silences",
}

// hidden are the tables that nobody who queries sees anything of.
var hidden = []string{"credential_secrets", "webhook_messages"}

// A table that names a tenant is one that must be confined, also when somebody adds it later.
func TestEveryTableWithATenantIsConfined(t *testing.T) {
	t.Parallel()
	rows, err := open(t).pool.Query(t.Context(), `
SELECT c.table_name::text FROM information_schema.columns c JOIN pg_class p ON p.oid = c.table_name::regclass
WHERE c.table_schema = current_schema() AND c.column_name = 'tenant_id' AND NOT p.relispartition`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, append(slices.Clone(confined), hidden...), tables)
}

func fill(t *testing.T, s *Store, tenant string) {
	t.Helper()
	e := personalEvent(tenant, "c1", "C-1")
	persistAll(t, s, e)
	require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{{UID: newUID(), TenantID: tenant, Pipeline: "p", Stage: "s", At: time.Now()}}))
	_, err := s.StartLetterJob(t.Context(), newLetterJob(tenant, LetterRedrive, LetterFilter{}))
	require.NoError(t, err)
	require.NoError(t, s.AddStats(t.Context(), time.Now(), []StatDelta{{tenant, "p", "s", "pass", 1}}))
	require.NoError(t, s.AddTenants(t.Context(), []Tenant{{ID: tenant}}))
	require.NoError(t, s.AddLedger(t.Context(), "p", []LedgerMark{{Frame: newUID(), TenantID: tenant, Received: 1}},
		[]Duplicate{{UID: newUID(), TenantID: tenant, ReceivedAt: time.Now()}}, trailOf(tenant, newUID())))
	_, err = s.pool.Exec(t.Context(), "INSERT INTO drops VALUES ($1, 'p', $2, 's', 'x', '', '', '', '', now(), now())", newUID(), tenant)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), `
INSERT INTO credentials (id, tenant_id, kind, name, carrier, source, roles) VALUES ($1, $2, 'api_key', '', '', '', '{}')`, newUID(), tenant)
	require.NoError(t, err)
	join(t, s, time.Now(), windowOf(tenant, time.Now()), newUID())
	_, err = s.Seal(t.Context())
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "INSERT INTO retention_cuts VALUES ($1, $1, $2, '', now(), '', 1, 1, 0, 0)", newUID(), tenant)
	require.NoError(t, err)
	require.NoError(t, s.PutTimings(t.Context(), newUID(), []StageTimes{{TenantID: tenant, Minute: time.Now()}},
		[]SourceStats{{TenantID: tenant, Minute: time.Now()}}, nil))
	e = newEvent(tenant, "c2", "ZZ9")
	e.Enrichment.Milestone = tracking.Unknown
	persistAll(t, s, e)
	_, err = s.DecideCode(t.Context(), CodeDecision{TenantID: tenant, Carrier: e.Source, Sources: []string{e.Source}, Code: e.Type})
	require.NoError(t, err)
	require.NoError(t, s.WatchStage(t.Context(), StageWatch{tenant, "p", "s"}))
	require.NoError(t, s.AddStageSamples(t.Context(), []StageSample{{TenantID: tenant, Pipeline: "p", Stage: "s", At: time.Now(), UID: newUID()}}))
	require.NoError(t, s.PutAlerts(t.Context(), time.Now(), []AlertState{{TenantID: tenant, ID: "a", Severity: AlertNotice, Since: time.Now(), SeenAt: time.Now()}}, nil))
	_, err = s.SilenceAlert(t.Context(), AlertSilence{TenantID: tenant, AlertID: "a", At: time.Now(), Until: time.Now().Add(time.Hour)}, Actor{})
	require.NoError(t, err)
	require.NoError(t, s.SaveCaptures(t.Context(), []Capture{{TenantID: tenant, ID: newUID(), CreatedAt: time.Now(), FinishedAt: time.Now()}}))
}

// Invariant 13: the database confines who reads, also where a query forgets to.
func TestTenantsSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	s := withKeys(t, databases.URL(t), seal.NewMaster())
	fill(t, s, "acme")
	fill(t, s, "umbrella")
	for _, table := range confined {
		for tenant, want := range map[string][]string{"acme": {"acme"}, "umbrella": {"umbrella"}, "nobody": {}, "": {}} {
			seen, err := readAs(t.Context(), s, tenant, pgx.RowTo[string], "SELECT DISTINCT tenant_id FROM "+table)
			require.NoError(t, err)
			require.Equal(t, want, seen, "%s read all of %s", tenant, table)
		}
		seen, err := readAs(t.Context(), s, "acme", pgx.RowTo[string], "SELECT tenant_id FROM "+table+" WHERE tenant_id = 'umbrella'")
		require.NoError(t, err)
		require.Empty(t, seen)
	}
	for _, table := range hidden {
		_, err := readAs(t.Context(), s, "acme", pgx.RowTo[string], "SELECT tenant_id FROM "+table)
		require.Equal(t, "42501", sqlState(err), table)
	}
	_, err := s.Trace(t.Context(), "nobody", "c1")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestQueryRoleCanDoNothingElse(t *testing.T) {
	t.Parallel()
	s := withKeys(t, databases.URL(t), seal.NewMaster())
	fill(t, s, "acme")
	month := eventPartition(time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day())).name
	for _, sql := range []string{
		"SELECT * FROM " + month,
		"SELECT * FROM event_store_default",
		"SELECT * FROM dedupe_claims",
		"SELECT * FROM aggregate_members",
		"SELECT * FROM stage_processes",
		"SELECT * FROM stage_controls",
		"DELETE FROM stage_controls",
		"DELETE FROM trace_changes",
		"DELETE FROM aggregate_windows",
		"UPDATE ledger_totals SET received = 0",
		"INSERT INTO stage_stats VALUES ('acme', now(), 'p', 's', 'x', 1)",
		"UPDATE traces SET status = 'lost'",
		"DELETE FROM dead_letters",
		"UPDATE dead_letter_jobs SET state = 'done'",
		"DELETE FROM ops_audit",
		"TRUNCATE stage_stats",
	} {
		tx, err := s.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SET LOCAL ROLE rastro_query")
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SELECT set_config('rastro.tenant_id', 'acme', true)")
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sql)
		require.Equal(t, "42501", sqlState(err), sql)
		require.NoError(t, tx.Rollback(t.Context()))
	}
	// Without a tenant there is nothing to see.
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SET LOCAL ROLE rastro_query")
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM traces").Scan(&n))
	require.Zero(t, n)
	require.NoError(t, tx.Rollback(t.Context()))
}

func TestRoleAndTenantEndWithTheRead(t *testing.T) {
	t.Parallel()
	s := withKeys(t, databases.URL(t), seal.NewMaster())
	fill(t, s, "acme")
	conn, err := s.pool.Acquire(t.Context())
	require.NoError(t, err)
	conn.Release()
	for range 20 { // Whatever connection it was, it is as it was.
		_, err := s.Trace(t.Context(), "acme", "c1")
		require.NoError(t, err)
		_, err = readAs(t.Context(), s, "acme", pgx.RowTo[string], "SELECT 1/0")
		require.Equal(t, "22012", sqlState(err))
		require.Equal(t, s.pool.Config().ConnConfig.User, get[string](t, s, "SELECT current_user"))
		require.Empty(t, get[string](t, s, "SELECT coalesce(current_setting('rastro.tenant_id', true), '')"))
	}
}

func TestTraceReads(t *testing.T) {
	t.Parallel()
	s := open(t)
	old, recent := newEvent("acme", "c1", "e1"), newEvent("acme", "c2", "e1")
	old.OccurredAt = old.OccurredAt.AddDate(0, -6, 0)
	between := newEvent("acme", "c2", "e2")
	between.AggregateID = "another bag"
	foreign := newEvent("umbrella", "c3", "e1")
	foreign.OccurredAt = foreign.OccurredAt.Add(time.Hour)
	persistAll(t, s, old, recent, between, foreign)

	trace, err := s.TraceByAggregate(t.Context(), "acme", old.AggregateID)
	require.NoError(t, err)
	require.Equal(t, "c2", trace.CorrelationID)
	require.Len(t, trace.Events, 2, "the whole journey, not the aggregate's part of it")
	requireTrace(t, s, []*tracking.Event{old})
	_, err = s.TraceByAggregate(t.Context(), "acme", "nothing")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.TraceByAggregate(t.Context(), "umbrella", "another bag")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Trace(t.Context(), "acme", "c3")
	require.ErrorIs(t, err, ErrNotFound)
}
