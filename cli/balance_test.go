package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/store"
)

// answering returns the address of a server that answers every request by a function.
func answering(t *testing.T, answer func(r *http.Request) any) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer(r)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	home(t)
	return server.URL
}

func TestBalance(t *testing.T) {
	settled := store.Balance{Pipeline: "tracking", Received: 12, Emitted: 2, Passed: 9, Duplicates: 3, Dropped: 1, DeadLettered: 1}
	for name, c := range map[string]struct {
		change func(*store.Balance)
		code   int
		want   string
	}{
		"settled":         {func(*store.Balance) {}, exitOK, ""},
		"in flight":       {func(b *store.Balance) { b.InFlight = 2 }, exitFailure, "pipeline tracking: 2 events in flight"},
		"ended twice":     {func(b *store.Balance) { b.Twice = 1 }, exitFailure, "ended in more than one way"},
		"never was there": {func(b *store.Balance) { b.Unreceived = 1 }, exitFailure, "ended and never came"},
	} {
		b := settled
		c.change(&b)
		address := answering(t, func(r *http.Request) any {
			require.Equal(t, "/api/v1/stats/balance?pipeline=tracking", r.URL.RequestURI())
			return query.BalanceAnswer{Settled: b.Settled(), Pipelines: []store.Balance{b}}
		})
		got := testRun{}.do(t, "balance", "--pipeline", "tracking", "--url", address, "--token", "x")
		require.Equal(t, c.code, got.code, name)
		require.Equal(t, "PIPELINE  RECEIVED  EMITTED  PASSED  DUPLICATES  DROPPED  DEAD LETTERS  IN FLIGHT\n"+
			fmt.Sprintf("tracking  12        2        9       3           1        1             %d\n", b.InFlight), got.out)
		if c.want != "" {
			require.ErrorContains(t, got.failure, c.want)
		}
	}
}

// It waits until two answers in a row are settled and the same.
func TestBalanceWaits(t *testing.T) {
	var asked atomic.Int64
	address := answering(t, func(*http.Request) any {
		b := store.Balance{Pipeline: "p", Received: min(asked.Add(1), 4)}
		b.Passed = b.Received
		if b.Received == 2 {
			b.Passed, b.InFlight = 1, 1
		}
		return query.BalanceAnswer{Settled: b.Settled(), Pipelines: []store.Balance{b}}
	})
	got := testRun{}.do(t, "balance", "--wait", "1m", "--json", "--url", address, "--token", "x")
	require.Zero(t, got.code, got.failure)
	require.EqualValues(t, 5, asked.Load())
	require.Contains(t, got.out, `"received":4`)
}

func TestBalanceGivesUp(t *testing.T) {
	address := answering(t, func(*http.Request) any {
		return query.BalanceAnswer{Pipelines: []store.Balance{{Pipeline: "p", Received: 1, InFlight: 1}}}
	})
	got := testRun{}.do(t, "balance", "--wait", "20ms", "--url", address, "--token", "x")
	require.Equal(t, exitFailure, got.code)
	got = testRun{}.do(t, "balance", "--wait", "-1s", "--url", address, "--token", "x")
	require.Equal(t, exitUsage, got.code)
	got = testRun{}.do(t, "balance", "--url", "http://127.0.0.1:1", "--token", "x")
	require.Equal(t, exitUnreachable, got.code)
}

func TestDuplicates(t *testing.T) {
	want := testdata(t, "duplicates.txt")
	of, later, soon := uuid.MustParse("01978d00-0000-7000-8000-000000000001"), 95.4, 0.0123
	at := time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)
	duplicate := store.ExplainedDuplicate{Of: &of, CorrelationID: "J", EventType: "loaded", Source: "LA", ReceivedAt: at, FirstSource: "LA", Later: &later, How: store.Resent}
	second := duplicate
	second.Source, second.Later, second.How = "HANDLER", &soon, store.SecondSource
	var asked []string
	address := answering(t, func(r *http.Request) any {
		asked = append(asked, r.URL.RequestURI())
		if r.URL.Path == "/api/v1/duplicates/sources" {
			return query.DuplicateSources{Sources: []store.DuplicateSource{{Source: "LA", Events: 3, Share: 0.75, MedianLater: &later}, {Source: "B", Events: 1, Share: 0.25}}}
		}
		if r.URL.Query().Get("cursor") == "" {
			return query.Duplicates{Duplicates: []store.ExplainedDuplicate{duplicate, second}, Cursor: "next"}
		}
		return query.Duplicates{Duplicates: []store.ExplainedDuplicate{{Source: "X", ReceivedAt: at}}}
	})
	got := testRun{}.do(t, "duplicates", "--correlation", "J", "--source", "LA", "--since", "1h", "--url", address, "--token", "x")
	require.Zero(t, got.code, got.failure)
	require.Equal(t, []string{
		"/api/v1/duplicates?correlationId=J&limit=50&since=2026-06-20T14%3A04%3A07Z&source=LA",
		"/api/v1/duplicates?correlationId=J&cursor=next&limit=48&since=2026-06-20T14%3A04%3A07Z&source=LA",
	}, asked)
	golden(t, want, got.out)

	got = testRun{}.do(t, "duplicates", "--sum", "--url", address, "--token", "x")
	require.Zero(t, got.code, got.failure)
	require.Equal(t, "SOURCE  COPIES  SHARE  OF ANOTHER SOURCE  MEDIAN DELAY\nLA      3       75.0%  0                  1m35s\nB       1       25.0%  0                  -\n", got.out)
	got = testRun{}.do(t, "duplicates", "--limit", "0", "--url", address, "--token", "x")
	require.Equal(t, exitUsage, got.code)
}

func TestTraceTellsOfCopies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"correlation_id":"J1","status":"unknown","events":[],"copies":{"a":2,"b":1}}`)
	}))
	t.Cleanup(server.Close)
	home(t)
	got := testRun{}.do(t, "trace", "J1", "--url", server.URL, "--token", "x")
	require.Zero(t, got.code, got.failure)
	require.Contains(t, got.out, "3 events dropped as copies: rastro duplicates --correlation J1\n")
}
