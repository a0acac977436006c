package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var now = time.Date(2026, 6, 21, 12, 0, 0, 0, time.UTC)

// edge is an ingest edge whose broker and tenants the test plays.
type edge struct {
	t       *testing.T
	app     *fiber.App
	clock   time.Time
	tenants map[string]store.Tenant
	noStore error
	hang    bool // the store does not answer
	broker  func([]*tracking.Event) error

	mu      sync.Mutex
	got     []*tracking.Event
	counted map[string]int64
}

func (e *edge) Publish(_ context.Context, events []*tracking.Event) error {
	if e.broker != nil {
		if err := e.broker(events); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, events...)
	return nil
}

func (e *edge) Tenant(ctx context.Context, id string) (store.Tenant, error) {
	if e.hang {
		<-ctx.Done()
		return store.Tenant{}, ctx.Err()
	}
	if e.noStore != nil {
		return store.Tenant{}, e.noStore
	}
	tenant, ok := e.tenants[id]
	if !ok {
		return store.Tenant{}, store.ErrNotFound
	}
	return tenant, nil
}

func (e *edge) Record(tenant, _, _, outcome string, n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counted[tenant+" "+outcome] += n
}

func newEdge(t *testing.T, identity auth.Identity, change ...func(*ingest.Config)) *edge {
	t.Helper()
	e := &edge{
		t: t, clock: now, counted: map[string]int64{},
		tenants: map[string]store.Tenant{"talma-pe": {ID: "talma-pe", Active: true}},
	}
	metrics, err := ingest.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	clock := func() time.Time { return e.clock }
	c := ingest.DefaultConfig()
	c.MaxBodyBytes, c.MaxEvents, c.MaxEventBytes, c.MaxInFlightBytes = 64<<10, 100, 1000, 64<<10
	for _, f := range change {
		f(&c)
	}
	handler, err := ingest.New(c, ingest.Deps{
		Publisher: e, Tenants: ingest.NewTenants(e, 5*time.Second, clock, logger), Recorder: e, Metrics: metrics, Logger: logger, Now: clock,
		Carriers: carrierSet(t),
	})
	require.NoError(t, err)
	e.app = fiber.New(fiber.Config{ErrorHandler: problem.Handler(func(_ *fiber.Ctx, err error) { t.Errorf("internal error: %v", err) })})
	router := e.app.Group("/api/v1", func(c *fiber.Ctx) error {
		c.SetUserContext(auth.NewContext(c.UserContext(), identity))
		return c.Next()
	})
	handler.Register(router)
	return e
}

func carrier() auth.Identity {
	return auth.Identity{Subject: "s", ClientID: "bhs-lim", TenantID: "talma-pe", Roles: []string{auth.RoleEventsWrite}}
}

// answer is either form of the edge's answer.
type answer struct {
	Accepted, Rejected int
	Results            []ingest.Result
	Type, Detail       string
	Errors             []problem.Field
	status             int
	header             http.Header
	body               string
}

func (e *edge) post(contentType, body string, header ...string) answer {
	e.t.Helper()
	return e.postTo("/api/v1/events", contentType, body, header...)
}

func (e *edge) postTo(path, contentType, body string, header ...string) answer {
	e.t.Helper()
	request := httptest.NewRequestWithContext(e.t.Context(), http.MethodPost, path, strings.NewReader(body))
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := e.app.Test(request, -1)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, response.Body.Close()) }()
	raw, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	a := answer{status: response.StatusCode, header: response.Header, body: string(raw)}
	require.NoError(e.t, json.Unmarshal(raw, &a), string(raw))
	if a.status >= 400 && a.header.Get("API-Version") == "" {
		require.Equal(e.t, problem.ContentType, a.header.Get("Content-Type"))
		require.NotEmpty(e.t, a.Detail, "a problem must say what to do")
	}
	return a
}

const good = `{"correlation_id":"0045123456","aggregate_id":"0045123456","event_type":"loaded","timestamp":"2026-06-20T22:55:01-05:00","payload":{"a": 1.0}}`

func TestAnEventIsTakenWithWhatIsOurs(t *testing.T) {
	e := newEdge(t, carrier())
	a := e.post("application/json; charset=utf-8", good)
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, []int{1, 0, 1}, []int{a.Accepted, a.Rejected, len(a.Results)})
	require.Len(t, e.got, 1)
	event := e.got[0]
	// Invariant 13: the tenant is the token's.
	require.Equal(t, "talma-pe", event.TenantID)
	require.Equal(t, "bhs-lim", event.Source, "an event that names no source has its sender's")
	require.Equal(t, uuid.Version(7), event.UID.Version())
	require.Equal(t, event.UID.String(), a.Results[0].UID)
	require.True(t, strings.HasPrefix(a.Results[0].EventID, "fp:"))
	require.Equal(t, now, event.ReceivedAt)
	require.Equal(t, `{"a": 1.0}`, string(event.Payload), "the payload is kept byte for byte")
	require.Equal(t, map[string]int64{"talma-pe accepted": 1}, e.counted)
}

func TestEveryFormIsTaken(t *testing.T) {
	cloudEvent := `{"specversion":"1.0","id":"ce-0","source":"/c","type":"com.andes.parcel.picked_up","subject":"AX1","time":"2026-06-20T10:05:00-05:00","data":{"x":1}}`
	for name, c := range map[string]struct {
		contentType, body string
		events            int
	}{
		"an object":             {"application/json", good, 1},
		"an array":              {"application/json", "[" + good + "," + strings.ReplaceAll(good, "loaded", "departed") + "]", 2},
		"NDJSON":                {"application/x-ndjson", good + "\n\n" + strings.ReplaceAll(good, "loaded", "departed") + "\n", 2},
		"a CloudEvent":          {"application/cloudevents+json", cloudEvent, 1},
		"CloudEvents":           {"application/cloudevents-batch+json", "[" + cloudEvent + "," + cloudEvent + "]", 2},
		"an unlabelled one":     {"application/json", cloudEvent, 1},
		"unlabelled CloudEvent": {"application/json", "[" + cloudEvent + "]", 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, carrier())
			a := e.post(c.contentType, c.body)
			require.Equal(t, http.StatusAccepted, a.status, a.Detail)
			require.Equal(t, c.events, a.Accepted)
			require.Len(t, e.got, c.events)
		})
	}
}

func TestGzipIsTakenAndBounded(t *testing.T) {
	pack := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.String()
	}
	e := newEdge(t, carrier())
	require.Equal(t, http.StatusAccepted, e.post("application/json", pack(good), "Content-Encoding", "gzip").status)
	bomb := pack(`{"payload":"` + strings.Repeat("x", 1<<20) + `"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, e.post("application/json", bomb, "Content-Encoding", "gzip").status)
	require.Equal(t, http.StatusBadRequest, e.post("application/json", good, "Content-Encoding", "gzip").status)
	require.Equal(t, http.StatusUnsupportedMediaType, e.post("application/json", good, "Content-Encoding", "br").status)
}

func TestWhatIsWrongIsSaidEventByEvent(t *testing.T) {
	e := newEdge(t, carrier())
	a := e.post("application/json", `[{"event_type":7},`+good+`]`)
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, []int{1, 1}, []int{a.Accepted, a.Rejected})
	require.Equal(t, []string{"rejected", "accepted"}, []string{a.Results[0].Status, a.Results[1].Status})
	require.Empty(t, a.Results[0].UID)
	fields := map[string]string{}
	for _, f := range a.Results[0].Errors {
		fields[f.Field] = f.Code
	}
	require.Equal(t, map[string]string{
		"correlation_id": "required", "aggregate_id": "required", "timestamp": "required", "event_type": "type",
	}, fields)
	require.Equal(t, map[string]int64{"talma-pe accepted": 1, "talma-pe rejected": 1}, e.counted)

	none := e.post("application/json", `[{"event_type":7}]`)
	require.Equal(t, http.StatusUnprocessableEntity, none.status)
	require.Equal(t, 1, none.Rejected)
	require.Len(t, none.Results, 1)
}

func TestRequestsThatAreRefusedWhole(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		kind              string
	}{
		"another tenant's":   {"application/json", "[" + good + "," + strings.Replace(good, "{", `{"tenant_id":"talma-ec",`, 1) + "]", 403, "other-tenant"},
		"not JSON":           {"application/json", "{", 400, "malformed"},
		"not UTF-8":          {"application/json", "{\"a\":\"\xff\"}", 400, "malformed"},
		"no events":          {"application/json", "[]", 400, "empty"},
		"nothing":            {"application/json", "", 400, "malformed"},
		"another media type": {"text/plain", good, 415, "unsupported-media-type"},
		"no media type":      {"", good, 415, "unsupported-media-type"},
		"too many bytes":     {"application/json", `"` + strings.Repeat("x", 65<<10) + `"`, 413, "too-large"},
		"too many events":    {"application/json", "[" + strings.Repeat("0,", 100) + "0]", 413, "too-many-events"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, carrier())
			a := e.post(c.contentType, c.body)
			require.Equal(t, c.status, a.status, a.Detail)
			require.Equal(t, "/problems/"+c.kind, a.Type)
			require.Empty(t, e.got, "nothing of it may be taken")
		})
	}
}

func TestARoleIsNeeded(t *testing.T) {
	reader := carrier()
	reader.Roles = []string{auth.RoleTracesRead}
	require.Equal(t, http.StatusForbidden, newEdge(t, reader).post("application/json", good).status)
}

func TestTheTenantsRulesHold(t *testing.T) {
	e := newEdge(t, carrier())
	e.tenants["talma-pe"] = store.Tenant{
		ID: "talma-pe", Active: true, EventTypes: []string{"departed"}, Sources: []string{"ops"}, MaxPayloadBytes: 5,
	}
	a := e.post("application/json", good)
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	codes := map[string]string{}
	for _, f := range a.Results[0].Errors {
		codes[f.Field] = f.Code
	}
	require.Equal(t, map[string]string{"event_type": "not_allowed", "source": "not_allowed", "payload": "too_large"}, codes)

	// A change takes hold within seconds.
	e.tenants["talma-pe"] = store.Tenant{ID: "talma-pe", Active: false}
	e.clock = e.clock.Add(6 * time.Second)
	require.Equal(t, "/problems/tenant-inactive", e.post("application/json", good).Type)

	stranger := carrier()
	stranger.TenantID = "nobody"
	require.Equal(t, "/problems/tenant-unknown", newEdge(t, stranger).post("application/json", good).Type)
}

func TestTheRateOfATenantIsHeld(t *testing.T) {
	e := newEdge(t, carrier())
	e.tenants["talma-pe"] = store.Tenant{ID: "talma-pe", Active: true, RatePerSecond: 1}
	taken := 0
	for range 12 {
		if e.post("application/json", good).status == http.StatusAccepted {
			taken++
		}
	}
	require.Equal(t, 10, taken, "ten seconds' worth at once")
	a := e.post("application/json", good)
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	e.clock = e.clock.Add(6 * time.Second) // also long enough for the settings to be read anew
	require.Equal(t, http.StatusAccepted, e.post("application/json", good).status)
}

func TestABrokerThatDoesNotTakeItIsNotAnAnswer(t *testing.T) {
	e := newEdge(t, carrier())
	e.broker = func([]*tracking.Event) error { return errors.New("no responders") }
	a := e.post("application/json", good)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.NotContains(t, a.Detail, "responders", "what is inside stays inside")
	require.Empty(t, e.counted, "nothing was accepted")
}

func TestAnOutageOfTheStoreDoesNotStopKnownTenants(t *testing.T) {
	e := newEdge(t, carrier())
	require.Equal(t, http.StatusAccepted, e.post("application/json", good).status)
	e.noStore = errors.New("database is down")
	e.clock = e.clock.Add(time.Minute)
	require.Equal(t, http.StatusAccepted, e.post("application/json", good).status)

	fresh := newEdge(t, carrier())
	fresh.noStore = errors.New("database is down")
	require.Equal(t, http.StatusServiceUnavailable, fresh.post("application/json", good).status)
}

// A store that hangs holds known tenants up for a moment at most, and only one request every so often.
func TestAStoreThatHangsDoesNotHoldUpKnownTenants(t *testing.T) {
	e := newEdge(t, carrier())
	require.Equal(t, http.StatusAccepted, e.post("application/json", good).status)
	e.hang = true
	e.clock = e.clock.Add(time.Minute)
	start := time.Now()
	for range 20 {
		require.Equal(t, http.StatusAccepted, e.post("application/json", good).status)
	}
	require.Less(t, time.Since(start), 3*time.Second)
}

// There is room for so many bytes; who finds none is told when to come again, and the room comes back.
func TestBodiesHaveTheirRoom(t *testing.T) {
	e := newEdge(t, carrier())
	inside, leave := make(chan struct{}), make(chan struct{})
	e.broker = func([]*tracking.Event) error { inside <- struct{}{}; <-leave; return nil }
	first := make(chan answer)
	go func() { first <- e.post("application/json", good) }()
	<-inside
	full := e.post("application/json", good, "Content-Encoding", "gzip") // may become as large as all the room there is
	require.Equal(t, http.StatusServiceUnavailable, full.status)
	require.Equal(t, "/problems/overloaded", full.Type)
	require.NotEmpty(t, full.header.Get("Retry-After"))
	close(leave)
	require.Equal(t, http.StatusAccepted, (<-first).status)
	e.broker = nil
	require.Equal(t, http.StatusAccepted, e.post("application/json", good).status)
}
