package query_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

func TestTheBalanceIsTheTenantsOwnAndNeedsItsRole(t *testing.T) {
	e := newEdge(t)
	status, _, body := e.get("/api/v1/stats/balance")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, string(body), "ops:read")
	e.who.Roles = []string{auth.RoleOpsRead}
	balance := func(path string) (got query.BalanceAnswer) {
		status, _, body := e.get(path)
		require.Equal(t, http.StatusOK, status, string(body))
		require.NoError(t, json.Unmarshal(body, &got))
		return got
	}
	require.Equal(t, []store.Balance{}, balance("/api/v1/stats/balance").Pipelines)
	frame := uuid.New()
	require.NoError(t, e.store.AddLedger(t.Context(), "tracking", []store.LedgerMark{
		{Frame: frame, TenantID: "talma-pe", Received: 0b111, Passed: 0b011},
		{Frame: frame, TenantID: "talma-ec", Received: 0b11000, Passed: 0b01000},
	}, nil))
	require.NoError(t, e.store.AddLedger(t.Context(), "audit", []store.LedgerMark{{Frame: frame, TenantID: "talma-pe", Received: 1, Dropped: 1}}, nil))
	got := balance("/api/v1/stats/balance")
	require.False(t, got.Settled)
	require.Equal(t, []store.Balance{{Pipeline: "audit", Received: 1, Dropped: 1}, {Pipeline: "tracking", Received: 3, Passed: 2, InFlight: 1}}, got.Pipelines)
	got = balance("/api/v1/stats/balance?pipeline=audit")
	require.True(t, got.Settled)
	require.Len(t, got.Pipelines, 1)
}

func TestDuplicatesAreListedAndSummedUp(t *testing.T) {
	e := newEdge(t)
	e.persist("talma-pe", "J1", "J1", "loaded", tracking.Loaded, e.clock)
	trace, err := e.store.Trace(t.Context(), "talma-pe", "J1")
	require.NoError(t, err)
	first := trace.Events[0].UID
	var given []store.Duplicate
	for i := range 5 {
		given = append(given, store.Duplicate{
			UID: uuid.Must(uuid.NewV7()), Of: first, TenantID: "talma-pe", Stage: "dedupe", Code: "duplicate",
			Source: []string{"s", "other"}[i%2], CorrelationID: "J1", ReceivedAt: e.clock.Add(time.Duration(i) * time.Minute),
		})
	}
	foreign := given[0]
	foreign.UID, foreign.TenantID = uuid.New(), "talma-ec"
	require.NoError(t, e.store.AddLedger(t.Context(), "tracking", nil, append(given, foreign)))

	var found []store.ExplainedDuplicate
	pages := 0
	for cursor := ""; ; pages++ {
		status, _, body := e.get("/api/v1/duplicates?correlationId=J1&limit=2&cursor=" + url.QueryEscape(cursor))
		require.Equal(t, http.StatusOK, status, string(body))
		var page query.Duplicates
		require.NoError(t, json.Unmarshal(body, &page))
		found = append(found, page.Duplicates...)
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	require.Equal(t, 2, pages)
	require.Len(t, found, 5)
	for i, d := range found {
		require.Equal(t, given[4-i].UID, d.UID, "the latest first")
		require.Equal(t, first, *d.Of)
		require.Equal(t, map[string]string{"s": store.Resent, "other": store.SecondSource}[d.Source], d.How)
	}
	status, _, body := e.get("/api/v1/duplicates?source=s&since=" + url.QueryEscape(e.clock.Add(time.Minute).Format(time.RFC3339)))
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, string(body), "cursor")
	var page query.Duplicates
	require.NoError(t, json.Unmarshal(body, &page))
	require.Len(t, page.Duplicates, 2)

	status, _, body = e.get("/api/v1/duplicates/sources")
	require.Equal(t, http.StatusOK, status, string(body))
	var sums query.DuplicateSources
	require.NoError(t, json.Unmarshal(body, &sums))
	require.Equal(t, []any{"s", int64(3), 0.6}, []any{sums.Sources[0].Source, sums.Sources[0].Events, sums.Sources[0].Share})

	for _, cursor := range []string{"!", "eA", "MSAyIDM"} {
		status, _, _ = e.get("/api/v1/duplicates?cursor=" + cursor)
		require.Equal(t, http.StatusBadRequest, status, cursor)
	}
	status, _, body = e.get("/api/v1/trace/J1")
	require.Equal(t, http.StatusOK, status)
	var answer struct {
		CorrelationID string `json:"correlation_id"`
		Copies        map[string]int64
	}
	require.NoError(t, json.Unmarshal(body, &answer))
	require.Equal(t, map[string]int64{first.String(): 5}, answer.Copies)
	require.Equal(t, "J1", answer.CorrelationID)

	e.who.Roles = []string{auth.RoleEventsWrite}
	for _, path := range []string{"/api/v1/duplicates", "/api/v1/duplicates/sources"} {
		status, _, _ = e.get(path)
		require.Equal(t, http.StatusForbidden, status)
	}
}
