package query_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

func (e *edge) ask(path string, headers map[string]string) (int, http.Header, []byte) {
	e.t.Helper()
	request := httptest.NewRequestWithContext(e.t.Context(), http.MethodGet, path, nil)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := e.app.Test(request, -1)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	return response.StatusCode, response.Header, body
}

func TestPagesOfTracesAndEvents(t *testing.T) {
	e := newEdge(t)
	for i := range 7 {
		e.persist("talma-pe", fmt.Sprint("J", i), fmt.Sprint("B", i), "loaded", tracking.Loaded, e.clock.Add(time.Duration(i)*time.Minute))
	}
	e.persist("talma-ec", "SECRET", "SECRET", "loaded", tracking.Loaded, e.clock)
	for path, key := range map[string]string{"/api/v1/traces?status=loaded&limit=3&count=true": "correlation_id", "/api/v1/events?source=s&limit=3&count=true": "uid"} {
		seen := map[string]bool{}
		pages := 0
		for next := ""; pages == 0 || next != ""; pages++ {
			status, header, body := e.ask(path+"&cursor="+url.QueryEscape(next), nil)
			require.Equal(t, http.StatusOK, status, string(body))
			require.Contains(t, header.Get("Cache-Control"), "private")
			require.NotContains(t, string(body), "SECRET")
			var page query.Page[map[string]any]
			require.NoError(t, json.Unmarshal(body, &page))
			require.Equal(t, &store.Count{Value: 7, Exact: true}, page.Count)
			for _, item := range page.Items {
				seen[item[key].(string)] = true
			}
			if next = page.NextCursor; next != "" {
				status, _, body = e.ask(path+"&order=asc&cursor="+url.QueryEscape(next), nil)
				require.Equal(t, http.StatusUnprocessableEntity, status)
				require.Contains(t, string(body), "belongs to another filter, sort or order")
			}
		}
		require.Equal(t, 3, pages)
		require.Len(t, seen, 7)
	}
}

func TestBadSearchesSayWhatWasMeant(t *testing.T) {
	e := newEdge(t)
	for path, says := range map[string]string{
		"/api/v1/traces?stauts=loaded":           `unknown parameter \"stauts\"; did you mean \"status\"?`,
		"/api/v1/traces?status=in-transitt":      `did you mean \"in_transit\"?`,
		"/api/v1/traces?milestone=loadd":         `did you mean \"loaded\"?`,
		"/api/v1/traces?sort=last_event":         `is no sort`,
		"/api/v1/traces?order=down":              `is no order`,
		"/api/v1/traces?limit=9999":              `limit`,
		"/api/v1/traces?lastEventFrom=yesterday": `lastEventFrom`,
		"/api/v1/traces?source=a&source=":        `source is empty`,
		"/api/v1/traces?cursor=eA":               `not one that an answer gave`,
		"/api/v1/events?clasifier=actual":        `did you mean \"classifier\"?`,
		"/api/v1/events?classifier=actul":        `did you mean \"actual\"?`,
		"/api/v1/events?uid=7":                   `is no uid`,
		"/api/v1/events/7":                       `is no uid`,
		"/api/v1/events?occurredFrom=2026-06-02T00:00:00Z&occurredUntil=2026-06-01T00:00:00Z": `nothing lies between`,
	} {
		status, header, body := e.ask(path, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, path)
		require.Equal(t, problem.ContentType, header.Get("Content-Type"), path)
		require.Contains(t, string(body), says, path)
	}
	status, header, body := e.ask("/api/v1/traces", map[string]string{"Accept": "application/xml"})
	require.Equal(t, http.StatusNotAcceptable, status, string(body))
	require.Equal(t, problem.ContentType, header.Get("Content-Type"))
	e.who.Roles = nil
	for _, path := range []string{"/api/v1/traces", "/api/v1/events", "/api/v1/events/" + uuid.NewString()} {
		status, _, _ = e.ask(path, nil)
		require.Equal(t, http.StatusForbidden, status, path)
	}
}

func TestWhatHasNotChangedIsNotSentAgain(t *testing.T) {
	e := newEdge(t)
	e.persist("talma-pe", "J1", "B1", "loaded", tracking.Loaded, e.clock)
	for _, path := range []string{"/api/v1/traces", "/api/v1/events", "/api/v1/trace/J1"} {
		_, header, _ := e.ask(path, nil)
		tag := header.Get("ETag")
		require.NotEmpty(t, tag, path)
		status, _, body := e.ask(path, map[string]string{"If-None-Match": `"x", ` + tag})
		require.Equal(t, http.StatusNotModified, status, path)
		require.Empty(t, body)
	}
	_, header, _ := e.ask("/api/v1/traces", nil)
	e.persist("talma-pe", "J1", "B1", "departed", tracking.InTransit, e.clock.Add(time.Hour))
	status, _, _ := e.ask("/api/v1/traces", map[string]string{"If-None-Match": header.Get("ETag")})
	require.Equal(t, http.StatusOK, status)
}

func TestAnEventHasAPassportWhateverBecameOfIt(t *testing.T) {
	e := newEdge(t)
	e.persist("talma-pe", "J1", "B1", "loaded", tracking.Loaded, e.clock)
	trace, err := e.store.Trace(t.Context(), "talma-pe", "J1")
	require.NoError(t, err)
	stored, copied, dropped, rejected := trace.Events[0].UID, uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	require.NoError(t, e.store.AddLedger(t.Context(), "tracking", nil, []store.Duplicate{
		{UID: copied, Of: stored, TenantID: "talma-pe", Stage: "dedupe", Code: "duplicate", ReceivedAt: e.clock},
		{UID: dropped, TenantID: "talma-pe", Stage: "filter", Code: "test", Message: "a test", ReceivedAt: e.clock, DroppedAt: e.clock},
	}))
	require.NoError(t, e.store.AddDeadLetters(t.Context(), []store.DeadLetter{
		{UID: rejected, TenantID: "talma-pe", Pipeline: "tracking", Stage: "validate", Code: "schema", Message: "no", At: e.clock, Attempts: 2},
	}))
	for uid, want := range map[uuid.UUID][]string{
		stored: {"stored", "received"}, copied: {"duplicate", "received", "duplicate"}, dropped: {"dropped", "received", "dropped"},
		rejected: {"dead_lettered", "received", "rejected"},
	} {
		status, _, body := e.ask("/api/v1/events/"+uid.String(), nil)
		require.Equal(t, http.StatusOK, status, string(body))
		var p store.Passport
		require.NoError(t, json.Unmarshal(body, &p))
		got := []string{p.Outcome}
		for _, entry := range p.Entries {
			got = append(got, entry.Verdict)
		}
		require.Equal(t, want, got)
		if uid == stored {
			require.EqualValues(t, 1, p.Copies)
		}
	}
	e.who.TenantID = "talma-ec"
	for _, uid := range []uuid.UUID{stored, copied, dropped, rejected, uuid.New()} {
		status, _, _ := e.ask("/api/v1/events/"+uid.String(), nil)
		require.Equal(t, http.StatusNotFound, status)
	}
}

// serve listens, because a test request holds the whole answer in memory.
func (e *edge) serve() string {
	listener, err := (&net.ListenConfig{}).Listen(e.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(e.t, err)
	served := make(chan error, 1)
	go func() { served <- e.app.Listener(listener) }()
	e.t.Cleanup(func() {
		require.NoError(e.t, e.app.Shutdown())
		require.NoError(e.t, <-served)
	})
	return "http://" + listener.Addr().String()
}

const exported = 200_000

func (e *edge) fill(dsn string) {
	conn, err := pgx.Connect(e.t.Context(), dsn)
	require.NoError(e.t, err)
	defer func() { _ = conn.Close(e.t.Context()) }()
	_, err = conn.Exec(e.t.Context(), fmt.Sprintf(`
INSERT INTO traces (tenant_id, correlation_id, aggregate_id, status, first_event_at, last_event_at, event_count)
SELECT CASE WHEN i > %d THEN 'talma-ec' ELSE 'talma-pe' END, CASE i %% 10 WHEN 0 THEN '=cmd|' ELSE 'c' END || i, 'a', 'loaded', now(), now() - i * interval '1 second', 1
FROM generate_series(1, %d) i; ANALYZE traces`, exported, exported+500))
	require.NoError(e.t, err)
}

func TestExportsAreStreamedAndTheTenantsOwn(t *testing.T) {
	e := newEdge(t)
	e.fill(e.url)
	base := e.serve()
	get := func(accept, encoding string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/traces", nil)
		require.NoError(t, err)
		request.Header.Set("Accept", accept)
		request.Header.Set("Accept-Encoding", encoding)
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		return response
	}
	response := get("application/x-ndjson", "identity")
	require.Contains(t, response.Header.Get("Content-Disposition"), ".ndjson")
	var before, most, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	lines, bytes := 0, 0
	for scan := bufio.NewScanner(response.Body); scan.Scan(); lines++ {
		bytes += len(scan.Bytes())
		if lines%20_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most.HeapAlloc = max(most.HeapAlloc, now.HeapAlloc)
		}
	}
	require.NoError(t, response.Body.Close())
	require.Equal(t, exported, lines)
	require.Greater(t, bytes, 40<<20)
	require.Less(t, most.HeapAlloc, before.HeapAlloc+12<<20, "it is not held in memory")

	response = get("text/csv", "gzip")
	require.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
	unzipped, err := gzip.NewReader(response.Body)
	require.NoError(t, err)
	table := csv.NewReader(unzipped)
	table.ReuseRecord = true
	rows, formulas := 0, 0
	for ; ; rows++ {
		record, err := table.Read()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.NotContains(t, "=+-@", record[0][:1])
		if strings.HasPrefix(record[0], "'=cmd|") {
			formulas++
		}
	}
	require.NoError(t, response.Body.Close())
	require.Equal(t, exported+1, rows, "with a line of names")
	require.Equal(t, exported/10, formulas)

	// A client that leaves ends the queries: the pool is free again, and closing does not wait.
	response = get("application/x-ndjson", "identity")
	_, err = io.ReadFull(response.Body, make([]byte, 100))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Eventually(t, func() bool {
		buffer := make([]byte, 1<<20)
		return !strings.Contains(string(buffer[:runtime.Stack(buffer, true)]), "query.(*exporter")
	}, 5*time.Second, 20*time.Millisecond)
}
