package query_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { os.Exit(databases.Around(m).Run()) }

type edge struct {
	t     *testing.T
	app   *fiber.App
	store *store.Store
	url   string
	who   auth.Identity
	clock time.Time
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	db, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	e := &edge{t: t, store: db, url: config.URL, clock: time.Now().UTC().Truncate(time.Second), who: auth.Identity{
		Subject: "s", TenantID: "talma-pe", Roles: []string{auth.RoleTracesRead}, ExpiresAt: time.Now().Add(time.Hour),
	}}
	handler := query.New(query.Deps{
		Traces: db, Ledger: db, Search: db, Logger: slog.New(slog.DiscardHandler),
	})
	e.app = fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ErrorHandler:          problem.Handler(func(_ *fiber.Ctx, err error) { t.Errorf("internal error: %v", err) }),
	})
	e.app.Use("/api/v1", func(c *fiber.Ctx) error {
		c.SetUserContext(auth.NewContext(c.UserContext(), e.who))
		return c.Next()
	})
	handler.Register(humafiber.New(e.app, huma.DefaultConfig("test", "0")))
	return e
}

func (e *edge) get(path string) (int, http.Header, []byte) {
	e.t.Helper()
	response, err := e.app.Test(httptest.NewRequestWithContext(e.t.Context(), http.MethodGet, path, nil), -1)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	return response.StatusCode, response.Header, body
}

func (e *edge) persist(tenant, correlation, aggregate, eventType string, milestone tracking.Milestone, at time.Time) {
	e.t.Helper()
	uid, err := uuid.NewV7()
	require.NoError(e.t, err)
	results, err := e.store.Persist(e.t.Context(), []*tracking.Event{{
		UID: uid, TenantID: tenant, Source: "s", EventID: uid.String(), CorrelationID: correlation, AggregateID: aggregate,
		Type: eventType, Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at.Add(time.Second).UTC(),
		Payload: json.RawMessage(`{"n":12345678901234567890}`), Enrichment: tracking.Enrichment{Milestone: milestone},
	}})
	require.NoError(e.t, err)
	require.True(e.t, results[0].Inserted)
}

func TestATraceIsFoundByJourneyAndByThing(t *testing.T) {
	e := newEdge(t)
	lima := time.FixedZone("", -5*3600)
	e.persist("talma-pe", "045-1/2 ñ", "BAG-9", "departed", tracking.InTransit, time.Date(2026, 6, 20, 23, 52, 0, 0, lima))
	e.persist("talma-pe", "045-1/2 ñ", "BAG-9", "loaded", tracking.Loaded, time.Date(2026, 6, 20, 22, 55, 1, 0, lima))
	for _, path := range []string{"/api/v1/trace/" + url.PathEscape("045-1/2 ñ"), "/api/v1/trace?aggregateId=BAG-9"} {
		status, _, body := e.get(path)
		require.Equal(t, http.StatusOK, status, string(body))
		var trace struct {
			TenantID      string `json:"tenant_id"`
			CorrelationID string `json:"correlation_id"`
			AggregateID   string `json:"aggregate_id"`
			Status        string
			Events        []struct {
				Type      string `json:"event_type"`
				Timestamp string
			}
		}
		require.NoError(t, json.Unmarshal(body, &trace))
		require.Equal(t, []string{"talma-pe", "045-1/2 ñ", "BAG-9", "in_transit"},
			[]string{trace.TenantID, trace.CorrelationID, trace.AggregateID, trace.Status})
		require.Len(t, trace.Events, 2)
		require.Equal(t, "loaded", trace.Events[0].Type, "in order of occurrence")
		require.Equal(t, "2026-06-20T22:55:01-05:00", trace.Events[0].Timestamp, "in the zone it was sent in")
		require.Contains(t, string(body), "12345678901234567890", "numbers are not rounded")
	}
}

func TestWhatIsNotThereIsAProblemThatHelps(t *testing.T) {
	e := newEdge(t)
	for _, path := range []string{"/api/v1/trace/nothing", "/api/v1/trace?aggregateId=nothing"} {
		status, header, body := e.get(path)
		require.Equal(t, http.StatusNotFound, status)
		require.Equal(t, problem.ContentType, header.Get("Content-Type"))
		require.Contains(t, string(body), "nothing")
	}
	status, _, _ := e.get("/api/v1/trace")
	require.Equal(t, http.StatusUnprocessableEntity, status)
}

// Invariant 13: another tenant's trace is not there.
func TestAnotherTenantsTraceIsNotThere(t *testing.T) {
	e := newEdge(t)
	e.persist("talma-ec", "SECRET", "SECRET", "loaded", tracking.Loaded, time.Now())
	for _, path := range []string{"/api/v1/trace/SECRET", "/api/v1/trace?aggregateId=SECRET"} {
		status, _, _ := e.get(path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	e.who.TenantID = "talma-ec"
	status, _, _ := e.get("/api/v1/trace/SECRET")
	require.Equal(t, http.StatusOK, status)
}

func TestARoleIsNeeded(t *testing.T) {
	e := newEdge(t)
	e.who.Roles = []string{auth.RoleEventsWrite}
	for _, path := range []string{"/api/v1/trace/x", "/api/v1/trace?aggregateId=x"} {
		status, header, body := e.get(path)
		require.Equal(t, http.StatusForbidden, status, path)
		require.Equal(t, problem.ContentType, header.Get("Content-Type"))
		require.Contains(t, string(body), "traces:read")
	}
}

func TestATraceAsItWas(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	event := &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: "e1", CorrelationID: "J1", AggregateID: "B1",
		Type: "loaded", Classifier: tracking.Actual, OccurredAt: e.clock, ReceivedAt: e.clock.Add(time.Minute),
		Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
	}
	_, err := e.store.Persist(t.Context(), []*tracking.Event{event})
	require.NoError(t, err)
	for _, path := range []string{"/api/v1/trace/J1?", "/api/v1/trace?aggregateId=B1&"} {
		for query, want := range map[string]int{
			"asOf=" + e.clock.Format(time.RFC3339):                     http.StatusOK,
			"asOf=" + e.clock.Add(-time.Second).Format(time.RFC3339):   http.StatusNotFound,
			"knownAt=" + e.clock.Format(time.RFC3339):                  http.StatusNotFound,
			"knownAt=" + e.clock.Add(time.Minute).Format(time.RFC3339): http.StatusOK,
			"asOf=yesterday": http.StatusUnprocessableEntity, "knownAt=2026-13-01T00:00:00Z": http.StatusUnprocessableEntity,
		} {
			status, _, body := e.get(path + query)
			require.Equal(t, want, status, "%s%s: %s", path, query, body)
		}
	}
}
