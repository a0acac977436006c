package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// The query role reads from RASTRO_DATABASE_READ_URL: another database here, so that what is read tells where from.
func TestTheQueryRoleReadsFromTheReplica(t *testing.T) {
	e := newEnvironment(t)
	e.process.Database.ReadURL = databases.URL(t)
	tell := func(url, correlation string) {
		db, err := store.Open(t.Context(), store.Config{URL: url})
		require.NoError(t, err)
		defer db.Close()
		now := time.Now().UTC()
		_, err = db.Persist(t.Context(), []*tracking.Event{{
			UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: correlation, CorrelationID: correlation, AggregateID: correlation,
			Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: now, ReceivedAt: now,
		}})
		require.NoError(t, err)
		require.NoError(t, db.AddDeadLetters(t.Context(), []store.DeadLetter{{
			UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Pipeline: "tracking", Stage: "validate", Message: "of " + correlation, At: now,
		}}))
	}
	tell(e.process.Database.URL, "PRIMARY")
	tell(e.process.Database.ReadURL, "REPLICA")
	url, stop := e.serve(t, roleQuery)
	defer stop()
	get := func(path string) (int, string) {
		return e.as(t, []string{auth.RoleTracesRead, auth.RoleOpsRead}, http.MethodGet, url+path, "")
	}
	for path, reads := range map[string]string{
		"/api/v1/traces": "REPLICA", "/api/v1/events": "REPLICA", "/api/v1/trace?aggregateId=REPLICA": "REPLICA",
		"/api/v1/search?q=REPLICA": "REPLICA", "/api/v1/overview": "of REPLICA",
		// What is worked on is read where it is written.
		"/api/v1/dead-letters": "of PRIMARY",
	} {
		status, answer := get(path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, answer, reads, path)
		for _, other := range []string{"PRIMARY", "REPLICA"} {
			if !strings.Contains(reads, other) {
				require.NotContains(t, answer, other, path)
			}
		}
	}
	status, _ := get("/api/v1/trace/PRIMARY")
	require.Equal(t, http.StatusNotFound, status)
}
