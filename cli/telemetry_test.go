package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/telemetry"
)

// receiver is an OTLP collector that keeps the spans that it is sent, and the log of the processes that send them.
type receiver struct {
	mu    sync.Mutex
	spans map[string]*otlp.Span // by their ids
	log   bytes.Buffer
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.spans[string(span.GetSpanId())] = span
			}
		}
	}
}

// Write takes lines of the log.
func (r *receiver) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

func attributeOf(span *otlp.Span, key string) string {
	for _, a := range span.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// way is what can be found of a request by its trace: the topics of the hops that its event went through, and whether the statements
// of the last are there. It follows links to traces that began where requests share a batch.
func (r *receiver) way(traceID string) (server *otlp.Span, topics map[string]bool, statements int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	topics = map[string]bool{}
	follow := map[string]bool{traceID: true}
	for grown := true; grown; {
		grown = false
		for _, span := range r.spans {
			for _, link := range span.GetLinks() {
				of := hex.EncodeToString(span.GetTraceId())
				if follow[hex.EncodeToString(link.GetTraceId())] && !follow[of] {
					follow[of], grown = true, true
				}
			}
		}
	}
	for _, span := range r.spans {
		if !follow[hex.EncodeToString(span.GetTraceId())] {
			continue
		}
		switch {
		case span.GetKind() == otlp.Span_SPAN_KIND_SERVER && hex.EncodeToString(span.GetTraceId()) == traceID:
			server = span
		case span.GetKind() == otlp.Span_SPAN_KIND_CONSUMER:
			topics[attributeOf(span, "messaging.destination.name")] = true
		case attributeOf(span, "db.query.text")+attributeOf(span, "db.statement") != "" && r.hopAbove(span) == "tracking.persist":
			statements++
		}
	}
	return server, topics, statements
}

// hopAbove is the topic of the hop that a span is below of.
func (r *receiver) hopAbove(span *otlp.Span) string {
	for span != nil {
		if span.GetKind() == otlp.Span_SPAN_KIND_CONSUMER {
			return attributeOf(span, "messaging.destination.name")
		}
		span = r.spans[string(span.GetParentSpanId())]
	}
	return ""
}

// loggedIn reports whether the stage log wrote a line in a trace.
func (r *receiver) loggedIn(traceID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.log.String()) {
		var entry struct {
			TraceID string `json:"trace_id"`
			SpanID  string `json:"span_id"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.TraceID == traceID && entry.SpanID != "" && strings.Contains(line, "TELEMETRY") {
			return true
		}
	}
	return false
}

// An event can be followed from the request, through every hop, each in a process of its own, to the statements that store it, and the
// log has the same ids. Where requests share a batch the trace of it is linked with theirs. All of it goes where the standard variables
// say.
func TestAnEventCanBeFollowedFromTheRequestToTheSQL(t *testing.T) {
	r := &receiver{spans: map[string]*otlp.Span{}}
	server := httptest.NewServer(r)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	require.True(t, exportsTraces(os.Getenv))
	e := newEnvironment(t)
	e.process.ConfigDir = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(e.process.ConfigDir, "pipelines"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(e.process.ConfigDir, "pipelines", "noted.yaml"),
		[]byte("pipeline: noted\nfrom: events.persisted\nstages:\n  - use: log\n    with: {message: TELEMETRY}\n"), 0o600))
	logger, err := telemetry.NewLogger(r, "info", "json")
	require.NoError(t, err)
	serve := func(role string) string {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		app := newApp(options{}, surroundings{process: e.process, roles: []string{role}, logger: logger, listener: listener, exportTraces: true})
		require.NoError(t, startApp(t.Context(), app))
		t.Cleanup(func() { require.NoError(t, stopApp(t.Context(), app)) })
		return "http://" + listener.Addr().String()
	}
	ingest := serve(roleIngest)
	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", roleEventsWrite)
	require.NoError(t, err)
	send := func(traceID, parent, correlation string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ingest+"/api/v1/events",
			strings.NewReader(strings.ReplaceAll(loadedEvent, "ROLE-1", correlation)))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("traceparent", "00-"+traceID+"-"+parent+"-01")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusAccepted, response.StatusCode)
	}
	all := []string{"events.ingested", "tracking.dedupe", "tracking.enrich", "tracking.persist", "events.persisted"}
	followed := func(traceID, parent string) {
		t.Helper()
		require.Eventually(t, func() bool {
			server, topics, statements := r.way(traceID)
			for _, topic := range all {
				if !topics[topic] {
					return false
				}
			}
			return server != nil && hex.EncodeToString(server.GetParentSpanId()) == parent && statements > 0
		}, 60*time.Second, 50*time.Millisecond, "trace %s", traceID)
	}

	// What waits when the processor comes is taken as one batch.
	const first, second, third = "11111111111111111111111111111111", "22222222222222222222222222222222", "33333333333333333333333333333333"
	send(first, "1111111111111111", "TELEMETRY-1")
	send(second, "2222222222222222", "TELEMETRY-2")
	serve(roleProcessor)
	followed(first, "1111111111111111")
	followed(second, "2222222222222222")

	// One alone stays in the trace of its request.
	send(third, "3333333333333333", "TELEMETRY-3")
	followed(third, "3333333333333333")
	r.mu.Lock()
	hops := 0
	for _, span := range r.spans {
		if hex.EncodeToString(span.GetTraceId()) == third && span.GetKind() == otlp.Span_SPAN_KIND_CONSUMER {
			hops++
		}
	}
	r.mu.Unlock()
	require.GreaterOrEqual(t, hops, len(all))
	require.Eventually(t, func() bool { return r.loggedIn(third) }, 10*time.Second, 20*time.Millisecond, "the log has the trace")
}
