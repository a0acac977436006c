package cli

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

func TestPersonalDataIsReadAndForgottenOverTheAPI(t *testing.T) {
	t.Parallel()
	s := newOpsStand(t)
	s.process.Personal.Key = seal.NewMaster()
	url, stop := s.serve(t, "query")
	t.Cleanup(stop)
	s.url = url
	ring, err := seal.ParseRing(s.process.Personal.Key)
	require.NoError(t, err)
	db, err := store.Open(t.Context(), store.Config{URL: s.process.Database.URL, PersonalKeys: ring})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	now := time.Now().UTC()
	event := &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: "1", CorrelationID: "B1", AggregateID: "B1", Type: "loaded",
		Classifier: tracking.Actual, OccurredAt: now, ReceivedAt: now,
		Personal: &tracking.Personal{Subject: "C-20817", Data: json.RawMessage(`{"name":"Quispe"}`)},
	}
	results, err := db.Persist(t.Context(), []*tracking.Event{event})
	require.NoError(t, err)
	require.True(t, results[0].Inserted)

	do := func(tenant string, roles []string, args ...string) ran {
		return testRun{now: time.Now, env: map[string]string{"RASTRO_URL": s.url, "RASTRO_TOKEN": s.token(tenant, roles...)}}.do(t, args...)
	}
	reads, forgets := []string{rolePersonalRead}, []string{rolePersonalForget}
	show := []string{"personal", "show", event.UID.String(), "--reason", "claim 4711"}
	forget := []string{"forget", "C-20817", "--reason", "request 4711"}
	got := do("talma-pe", reads, show...)
	require.Equal(t, "subject  C-20817\ndata     {\"name\":\"Quispe\"}\n", got.out, got.failure)
	require.Equal(t, exitNotFound, do("talma-ec", reads, show...).code)
	require.NotEqual(t, exitOK, do("talma-pe", []string{roleTracesRead, roleOpsWrite, roleOpsRead}, show...).code)
	require.NotEqual(t, exitOK, do("talma-pe", reads, append(forget, "--yes")...).code)
	require.Equal(t, exitUsage, do("talma-pe", reads, "personal", "show", event.UID.String()).code)

	require.NotEqual(t, exitOK, do("talma-pe", forgets, forget...).code, "nobody confirmed it")
	require.Equal(t, exitUsage, do("talma-pe", forgets, "forget", "C-20817", "--reason", "c-20817 asks", "--yes").code)
	require.Equal(t, exitNotFound, do("talma-ec", forgets, append(forget, "--yes")...).code)
	got = do("talma-pe", forgets, append(forget, "--dry-run")...)
	require.Contains(t, got.out, "Personal data of 1 events in 1 traces and of 0 dead letters, since ")
	got = do("talma-pe", forgets, append(forget, "--yes", "-o", "json")...)
	var forgotten store.Forgotten
	require.NoError(t, json.Unmarshal([]byte(got.out), &forgotten), got.failure)
	require.Equal(t, 1, forgotten.Keys)
	require.Contains(t, do("talma-pe", forgets, append(forget, "--yes")...).out, "Forgotten already, at ")

	status, _, body := s.ask(s.token("talma-pe", reads...), http.MethodGet, "/api/v1/events/"+event.UID.String()+"/personal?reason=claim", nil)
	require.Equal(t, http.StatusGone, status, string(body))
	_, _, audit := s.ask(s.token("talma-pe", roleOpsRead), http.MethodGet, "/api/v1/audit", nil)
	require.Contains(t, string(audit), "personal.show")
	require.Contains(t, string(audit), "personal.forget")
	require.NotContains(t, string(audit), "C-20817")
}
