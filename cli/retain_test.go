package cli

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx/fxtest"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

func tenantsKeep(t *testing.T, url string, tenants ...store.Tenant) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	_, err = db.ChangeTenants(t.Context(), tenants, store.Actor{Subject: "test"})
	require.NoError(t, err)
	return db
}

func TestRetainRemovesWhatIsOver(t *testing.T) {
	url := databases.URL(t)
	t.Setenv("RASTRO_DATABASE_URL", url)
	long := time.Now().AddDate(0, 0, -100)
	tenantsKeep(t, url, store.Tenant{ID: "acme", RetentionDays: 90, RetentionByKind: map[string]int{"cargo": 120}})
	journeysOf(t, url, "acme", tracking.Baggage, 3, long, nil)
	journeysOf(t, url, "acme", tracking.Cargo, 2, long, nil)
	events := journeysOf(t, url, "acme", tracking.Parcel, 2, time.Now(), nil)
	journeysOf(t, url, "other", tracking.Baggage, 2, long, nil)
	run := testRun{now: time.Now}
	require.Equal(t, exitOK, run.do(t, "audit", "seal").code)

	got := run.do(t, "retain", "--dry-run")
	require.Equal(t, exitOK, got.code, got.failure)
	require.Regexp(t, `acme +any other +90 +\S+ +3 +6`, got.out)
	require.Contains(t, got.out, "3 journeys of 6 events are over. Nothing was removed: this was a dry run.\n")
	got = run.do(t, "retain")
	require.Equal(t, exitUsage, got.code, "nobody confirmed it")
	require.ErrorContains(t, got.failure, "say --yes")
	no := run
	no.in, no.tty = strings.NewReader("no\n"), terminals{in: true}
	got = no.do(t, "retain")
	require.Equal(t, exitFailure, got.code)
	require.ErrorContains(t, got.failure, "nothing was removed")
	require.Contains(t, got.err, "3 journeys of 6 events are over")

	t.Setenv("RASTRO_RETENTION_DAYS", "99")
	yes := run
	yes.in, yes.tty = strings.NewReader("yes\n"), terminals{in: true}
	got = yes.do(t, "retain", "-o", "json")
	require.Equal(t, exitOK, got.code, got.failure)
	var report store.RetentionReport
	require.NoError(t, json.Unmarshal([]byte(got.out), &report))
	require.Equal(t, []int64{5, 10}, []int64{report.Traces, report.Events}, "what has no settings is kept for 99 days")
	require.Equal(t, exitOK, run.do(t, "audit", "verify").code)
	got = run.do(t, "retain", "--yes")
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.out, "0 journeys of 0 events removed in ")

	t.Setenv("RASTRO_RETENTION_DAYS", "")
	tenantsKeep(t, url, store.Tenant{ID: "acme", RetentionDays: 1})
	byHand(t, url, "UPDATE event_store SET source = 'x', chain_hash = sha256('x') WHERE correlation_id = 'cargo-1'")
	got = run.do(t, "retain", "--yes")
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, "finding: tenant \"acme\": the rows stored between ")
	require.Equal(t, exitFailure, run.do(t, "audit", "verify").code, "it is still to be found")
	got = run.do(t, "retain", "--yes", "--accept-findings")
	require.Equal(t, exitOK, got.code, got.failure)
	require.Contains(t, got.out, "2 journeys of 4 events removed")
	require.Equal(t, exitOK, run.do(t, "audit", "verify").code)

	byHand(t, url, "DELETE FROM event_store WHERE uid = $1", events[0].UID)
	got = run.do(t, "audit", "verify")
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, "removed: tenant \"acme\", trace \"parcel-0\" at place 1")
	require.Equal(t, exitUsage, run.do(t, "retain", "-o", "xml").code)
	require.Equal(t, exitUsage, run.do(t, "retain", "acme").code)
}

// Of several processes one removes what is over, when it is time to, and says so in its metrics.
func TestProcessorsRetainBySchedule(t *testing.T) {
	url := databases.URL(t)
	db := tenantsKeep(t, url, store.Tenant{ID: "acme", RetentionDays: 90})
	journeysOf(t, url, "acme", tracking.Baggage, 3, time.Now().AddDate(0, 0, -100), nil)
	process, err := config.Default()
	require.NoError(t, err)
	process.Retention.Every = 50 * time.Millisecond
	var removed []*prometheus.Registry
	for range 3 {
		registry := prometheus.NewRegistry()
		removed = append(removed, registry)
		lifecycle := fxtest.NewLifecycle(t)
		require.NoError(t, retainBySchedule(retentionScheduled{
			Lifecycle: lifecycle, Process: process, Logger: slog.New(slog.DiscardHandler), Store: db, Registerer: registry,
		}))
		lifecycle.RequireStart()
		t.Cleanup(func() { lifecycle.RequireStop() })
	}
	total := func() (sum float64) {
		for _, registry := range removed {
			families, err := registry.Gather()
			require.NoError(t, err)
			for _, family := range families {
				for _, m := range family.GetMetric() {
					if family.GetName() == "rastro_retention_removed_total" && m.GetLabel()[0].GetValue() == "event_store" {
						sum += m.GetCounter().GetValue()
					}
				}
			}
		}
		return sum
	}
	require.Eventually(t, func() bool { return total() > 0 }, 30*time.Second, 10*time.Millisecond)
	require.InDelta(t, 6, total(), 0, "nobody counts what another did")
	_, err = db.Trace(t.Context(), "acme", "baggage-0")
	require.ErrorIs(t, err, store.ErrNotFound)
	audited, err := db.Audit(t.Context(), "acme", 0, 10)
	require.NoError(t, err)
	require.Equal(t, "retention.cut", audited[0].Action)
	require.Equal(t, []any{"rastro", 6}, []any{audited[0].Subject, audited[0].Count})
}

func TestRetentionBySchedule0IsNone(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	require.NoError(t, retainBySchedule(retentionScheduled{Registerer: registry}))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)
}

func TestTheRetentionPageSaysWhatHappens(t *testing.T) {
	url := databases.URL(t)
	t.Setenv("RASTRO_DATABASE_URL", url)
	tenantsKeep(t, url, store.Tenant{ID: "acme", RetentionDays: 365, RetentionByKind: map[string]int{"cargo": 2557, "baggage": 90}})
	journeysOf(t, url, "acme", tracking.Baggage, 3, time.Now().AddDate(0, 0, -100), nil)
	journeysOf(t, url, "acme", tracking.Parcel, 1, time.Now().AddDate(0, 0, -400), nil)
	journeysOf(t, url, "acme", tracking.Cargo, 1, time.Now().AddDate(0, 0, -400), nil)
	require.Equal(t, exitOK, testRun{now: time.Now}.do(t, "audit", "seal").code)
	require.Equal(t, 4, pageSaysWhatHappens(t, "retention.md"))
}
