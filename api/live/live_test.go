package live_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/stages"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { os.Exit(databases.Around(m).Run()) }

// noBacklogs is a broker that does not answer.
type noBacklogs struct{}

func (noBacklogs) Backlog(context.Context, string, string) (routers.Backlog, error) {
	return routers.Backlog{}, errors.New("no broker")
}

type edge struct {
	t       *testing.T
	url     string
	at      string // of the database
	store   *store.Store
	handler *live.Handler
	offset  atomic.Int64 // how far the clock is ahead
}

func (e *edge) now() time.Time { return time.Now().Add(time.Duration(e.offset.Load())) }

func plans(t *testing.T) (*pipeline.Registry, []pipeline.Plan) {
	t.Helper()
	registry := pipeline.NewRegistry()
	require.NoError(t, stages.Register(registry))
	text, err := fs.ReadFile(config.Files(), "pipelines/tracking.yaml")
	require.NoError(t, err)
	checker := pipeline.Checker{Registry: registry, Settings: pipeline.Settings{Files: config.Files()}, Entries: []string{"events.ingested"}}
	specs, findings := checker.Check(pipeline.Source{File: "tracking.yaml", Text: text})
	require.Empty(t, findings.Errors())
	return registry, []pipeline.Plan{specs[0].Plan()}
}

// newEdge serves the edge over HTTP, on a database of its own. Who asks is told by the headers X-Tenant and X-Roles, as the token would.
func newEdge(t *testing.T, change func(*live.Config, *live.Deps)) *edge {
	t.Helper()
	return newEdgeOn(t, databases.URL(t), change)
}

// narrow is a listener whose connections hold few bytes that the other side does not take.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(4096)
	}
	return conn, err
}

func newEdgeOn(t *testing.T, database string, change func(*live.Config, *live.Deps)) *edge {
	t.Helper()
	c := store.DefaultConfig()
	c.URL = database
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	registry, all := plans(t)
	e := &edge{t: t, store: db, at: database}
	configuration, deps := live.DefaultConfig(), live.Deps{
		Store: db, Backlogs: noBacklogs{}, Registry: registry, Logger: slog.New(slog.DiscardHandler), Now: e.now,
		Plans: func(context.Context) ([]pipeline.Plan, error) { return all, nil },
	}
	if change != nil {
		change(&configuration, &deps)
	}
	e.handler, err = live.New(configuration, deps)
	require.NoError(t, err)
	e.handler.Start()
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ErrorHandler:          problem.Handler(func(_ *fiber.Ctx, err error) { t.Errorf("internal error: %v", err) }),
	})
	app.Use("/api/v1", func(c *fiber.Ctx) error {
		ttl, err := time.ParseDuration(c.Get("X-TTL", "1h"))
		if err != nil {
			return err
		}
		ctx := auth.NewCrossings(db, slog.New(slog.DiscardHandler)).Watch(c.UserContext(), c)
		c.SetUserContext(auth.NewContext(ctx, auth.Identity{
			Subject: "s", TenantID: strings.Clone(c.Get("X-Tenant", "acme")), ExpiresAt: time.Now().Add(ttl),
			Roles: strings.Fields(strings.Clone(c.Get("X-Roles", auth.RoleTracesRead+" "+auth.RoleOpsRead))),
		}))
		return c.Next()
	})
	e.handler.RegisterStream(app.Group("/api/v1"))
	api := huma.DefaultConfig("test", "0")
	api.CreateHooks = nil // no $schema links, as in production
	e.handler.Register(humafiber.New(app, api))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- app.Listener(narrow{listener}) }()
	t.Cleanup(func() {
		e.handler.Close()
		require.NoError(t, app.Shutdown())
		require.NoError(t, <-served)
	})
	announcing, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		db.Announce(announcing, 10*time.Millisecond, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() { stop(); <-done })
	e.url = "http://" + listener.Addr().String() + "/api/v1/"
	return e
}

// patience is how long a stream is read that does not say what it should.
const patience = 40 * time.Second

func (e *edge) open(path string, header ...string) *http.Response {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	e.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+path, nil)
	require.NoError(e.t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (e *edge) get(path string, into any, header ...string) int {
	e.t.Helper()
	response := e.open(path, header...) //nolint:bodyclose // open has it closed.
	body, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	if response.StatusCode != http.StatusOK {
		require.Equal(e.t, problem.ContentType, response.Header.Get("Content-Type"), string(body))
	}
	if into != nil {
		require.NoError(e.t, json.Unmarshal(body, into), string(body))
	}
	return response.StatusCode
}

func (e *edge) persist(tenant, correlation string, milestone tracking.Milestone) uuid.UUID {
	e.t.Helper()
	uid := uuid.Must(uuid.NewV7())
	at := time.Now().UTC().Truncate(time.Microsecond)
	results, err := e.store.Persist(context.WithoutCancel(e.t.Context()), []*tracking.Event{{
		UID: uid, TenantID: tenant, Source: "s", EventID: uid.String(), CorrelationID: correlation, AggregateID: "thing of " + correlation,
		Kind: tracking.Baggage, Type: "x", Classifier: tracking.Actual, OccurredAt: at.Add(-time.Minute), ReceivedAt: at,
		Enrichment: tracking.Enrichment{Milestone: milestone},
	}})
	require.NoError(e.t, err)
	require.True(e.t, results[0].Inserted)
	return uid
}

func (e *edge) count(at time.Time, stage, outcome string, n int64) {
	e.t.Helper()
	require.NoError(e.t, e.store.AddStats(e.t.Context(), at, []store.StatDelta{
		{TenantID: "acme", Pipeline: "tracking", Stage: stage, Outcome: outcome, Events: n},
		{TenantID: "umbrella", Pipeline: "tracking", Stage: stage, Outcome: outcome, Events: 1000},
	}))
}

// sent is an event of a stream.
type sent struct{ id, name, data string }

func (s sent) correlation(t *testing.T) string {
	t.Helper()
	var trace struct {
		CorrelationID string `json:"correlation_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.data), &trace))
	return trace.CorrelationID
}

// reader reads the events of a stream.
type reader struct{ *bufio.Scanner }

func (e *edge) stream(query string, header ...string) reader {
	e.t.Helper()
	response := e.open("stream?"+query, header...) //nolint:bodyclose // open has it closed.
	require.Equal(e.t, http.StatusOK, response.StatusCode)
	require.Equal(e.t, "text/event-stream", response.Header.Get("Content-Type"))
	return reader{bufio.NewScanner(response.Body)}
}

// next returns the next event; false at the end of the stream.
func (r reader) next() (s sent, ok bool) {
	for r.Scan() {
		key, value, _ := strings.Cut(r.Text(), ": ")
		switch {
		case key == "id":
			s.id = value
		case key == "event":
			s.name = value
		case key == "data":
			s.data = value
		case r.Text() == "" && s.name != "":
			return s, true
		}
	}
	return s, false
}

func TestAStreamTellsWhichTracesChange(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	all, delivered := e.stream("events=trace"), e.stream("events=trace&status=delivered&correlationPrefix=B")
	e.persist("acme", "A1", tracking.Loaded)
	first, _ := all.next()
	require.Equal(t, "trace", first.name)
	require.NotEmpty(t, first.id)
	require.Equal(t, "A1", first.correlation(t))
	require.Contains(t, first.data, `"status":"loaded"`)
	e.persist("acme", "A1", tracking.Delivered)
	e.persist("acme", "B1", tracking.Delivered)
	only, _ := delivered.next()
	require.Equal(t, "B1", only.correlation(t))
}

// Invariant 13: two tenants under load; each is told of all of its own and of nothing else, and the last state of each.
func TestAStreamTellsATenantOfItsOwnOnly(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	streams := map[string]reader{}
	for _, tenant := range []string{"acme", "umbrella"} {
		streams[tenant] = e.stream("events=trace", "X-Tenant", tenant)
	}
	const journeys = 150
	for tenant := range streams {
		go func() {
			for i := range journeys {
				e.persist(tenant, fmt.Sprint(tenant, i), tracking.Loaded)
				e.persist(tenant, fmt.Sprint(tenant, i), tracking.Delivered)
			}
		}()
	}
	for tenant, stream := range streams {
		delivered := map[string]bool{}
		for len(delivered) < journeys {
			event, ok := stream.next()
			require.True(t, ok)
			require.Equal(t, "trace", event.name)
			require.True(t, strings.HasPrefix(event.correlation(t), tenant), event.data)
			if strings.Contains(event.data, `"status":"delivered"`) {
				delivered[event.correlation(t)] = true
			}
		}
	}
	require.Equal(t, http.StatusForbidden, e.get("stream?tenant=umbrella", nil))
}

func TestAStreamGoesOnWhereAnotherEnded(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	stream := e.stream("events=trace")
	e.persist("acme", "before", tracking.Loaded)
	last, _ := stream.next()
	e.persist("acme", "meanwhile", tracking.Loaded)
	e.persist("umbrella", "foreign", tracking.Loaded)
	for _, resumed := range []reader{e.stream("events=trace", "Last-Event-ID", last.id), e.stream("events=trace&lastEventId=" + last.id)} {
		told := map[string]bool{}
		for !told["meanwhile"] {
			event, ok := resumed.next()
			require.True(t, ok)
			require.Equal(t, "trace", event.name)
			told[event.correlation(t)] = true
		}
		require.False(t, told["foreign"])
	}
	position, _, _ := strings.Cut(last.id, ".")
	for id, reason := range map[string]string{
		"nonsense": "unknown", position + ".1000": "expired", fmt.Sprint(int64(1)<<60, ".", time.Now().UnixMilli()): "expired",
	} {
		event, _ := e.stream("events=trace", "Last-Event-ID", id).next()
		require.Equal(t, "resync", event.name)
		require.Contains(t, event.data, reason)
	}
}

func TestThereAreOnlySoManyStreams(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *live.Config, _ *live.Deps) { c.MaxTenantStreams, c.MaxStreams = 1, 2 })
	e.stream("events=trace")
	response := e.open("stream") //nolint:bodyclose // open has it closed.
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	e.stream("", "X-Tenant", "umbrella")
	require.Equal(t, http.StatusTooManyRequests, e.get("stream", nil, "X-Tenant", "third"))
	require.Equal(t, http.StatusUnprocessableEntity, e.get("stream?events=all", nil))
	require.Equal(t, http.StatusForbidden, e.get("stream", nil, "X-Roles", auth.RoleOpsRead))
}

func TestAStreamEndsWithItsTokenAndItsProcess(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *live.Config, _ *live.Deps) { c.Heartbeat = time.Millisecond })
	short := e.stream("events=trace", "X-TTL", "300ms")
	_, ok := short.next()
	require.False(t, ok)
	require.NoError(t, short.Err())
	long := e.stream("events=trace")
	for beat := false; !beat; { // A comment comes when there is nothing to say.
		require.True(t, long.Scan())
		beat = strings.HasPrefix(long.Text(), ":")
	}
	e.handler.Close()
	_, ok = long.next()
	require.False(t, ok)
}

func TestTheStreamTellsWhatWasAndThenTicks(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.count(e.now(), "ingest", "accepted", 5)
	stream := e.stream("events=history,tick")
	history, _ := stream.next()
	require.Equal(t, "history", history.name)
	require.Contains(t, history.data, `"accepted":5`)
	tick, _ := stream.next()
	require.Equal(t, "tick", tick.name)
	require.Contains(t, tick.data, `"accepted":5`)
	require.Contains(t, tick.data, `"accepted_per_second":0`)
	require.LessOrEqual(t, len(tick.data), 2048)
}

func TestCountsAndHistoryAreTheTenantsOwn(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	now := time.Now().UTC().Truncate(time.Minute).Add(30 * time.Second)
	e.count(now.Add(-time.Hour), "ingest", "accepted", 100)
	e.count(now.Add(-2*time.Minute), "ingest", "accepted", 20)
	e.count(now, "ingest", "accepted", 3)
	e.count(now, "dedupe", "drop", 2)
	e.count(now, "filter", "drop", 1)
	e.count(now, "validate", "reject", 3)
	e.count(now, "persist", "pass", 4)
	var got live.Totals
	require.Equal(t, http.StatusOK, e.get("stats", &got))
	got.At = time.Time{}
	require.Equal(t, live.Totals{Accepted: 123, Stored: 4, Duplicates: 2, Dropped: 3, DeadLetters: 3}, got)

	counts := live.NewCounts(e.store, func() time.Time { return now })
	points, err := counts.History(t.Context(), "acme", 4*time.Minute)
	require.NoError(t, err)
	var accepted []int64
	for i, p := range points {
		accepted = append(accepted, p.Accepted)
		require.True(t, i == 0 || p.At.After(points[i-1].At), "oldest first")
	}
	require.Equal(t, []int64{100, 100, 120, 120, 123}, accepted)
}

// timings writes what two processes saw.
func (e *edge) timings(tenant string) {
	e.t.Helper()
	minute := e.now().UTC().Truncate(time.Minute)
	for process := range 2 {
		took, age, delay := &quantiles.Histogram{}, &quantiles.Histogram{}, &quantiles.Histogram{}
		// The one is fast with nearly all, the other slow with a few: the mean of their p95 would be half a minute.
		n, d := uint64(980), 10*time.Millisecond
		if process == 1 {
			n, d = 20, time.Minute
		}
		took.Add(time.Millisecond, n)
		age.Add(d, n)
		delay.Add(time.Hour, n)
		states := []store.StageState{{Pipeline: "tracking", Stage: "persist", Breaker: []string{"closed", "open"}[process]}}
		for range 2 { // What is said again counts once.
			require.NoError(e.t, e.store.PutTimings(e.t.Context(), uuid.NewSHA1(uuid.Nil, []byte{byte(process)}), []store.StageTimes{{
				TenantID: tenant, Pipeline: "tracking", Stage: "persist", Minute: minute, Events: int64(n), Batches: 1, Batched: 250, Took: took, Age: age,
			}}, []store.SourceStats{{
				TenantID: tenant, Source: "LA", Minute: minute, Stored: int64(n), Rejected: 10 * int64(process), Unmapped: 50 * int64(process), Delay: delay, LastAt: minute,
			}}, states))
		}
	}
}

func TestFiguresOfManyProcessesAreMerged(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.timings("acme")
	e.timings("umbrella")
	e.count(e.now(), "persist", "pass", 900)
	var overview live.Overview
	require.Equal(t, http.StatusOK, e.get("overview?window=1h", &overview))
	require.InEpsilon(t, 10, *overview.P95.Value, 0.04)
	require.EqualValues(t, 1000, overview.Latency.Count)
	require.InEpsilon(t, 60_000, overview.Latency.P99, 0.04)
	require.InEpsilon(t, 0.25, *overview.Stored.Value, 0.001)
	require.Nil(t, overview.P95.Previous, "unknown is not 0")
	require.Equal(t, "LA", overview.Slowest[0].Source)

	var list live.StageList
	require.Equal(t, http.StatusOK, e.get("stages", &list))
	require.NotEmpty(t, list.Version)
	var persist live.StageDetail
	require.Equal(t, http.StatusOK, e.get("stages/tracking.persist", &persist))
	require.Equal(t, "open", persist.Breaker)
	require.Equal(t, 2, persist.Processes)
	require.InEpsilon(t, 0.05, *persist.Fill, 0.001, "250 events a batch of 5000")
	require.Equal(t, map[string]int{"pass": 900}, persist.Outcomes)
	require.NotEmpty(t, persist.Version)
	var inBars uint64
	for i, bar := range persist.TookMS {
		inBars += bar.Count
		require.True(t, i == 0 || bar.UpTo > persist.TookMS[i-1].UpTo)
	}
	require.Equal(t, persist.Took.Count, inBars)
	require.GreaterOrEqual(t, persist.TookMS[len(persist.TookMS)-1].UpTo, persist.Took.Max*0.97)
	require.Equal(t, http.StatusNotFound, e.get("stages/tracking.nothing", nil))

	var carriers live.CarrierList
	require.Equal(t, http.StatusOK, e.get("carriers", &carriers))
	require.Len(t, carriers.Items, 1)
	require.InEpsilon(t, 10.0/1010, *carriers.Items[0].Errors, 0.01)
	require.InEpsilon(t, 0.05, *carriers.Items[0].Unknown, 0.01)
	require.Nil(t, carriers.Items[0].UsualGapMS, "one minute tells nothing of what is usual")

	var metrics live.Metrics
	require.Equal(t, http.StatusOK, e.get("metrics?series=stored,p95,age.p99:tracking.persist&points=7", &metrics))
	require.Len(t, metrics.Series, 3)
	for _, s := range metrics.Series {
		require.LessOrEqual(t, len(s.Points), 7)
	}
	last := metrics.Series[1].Points[len(metrics.Series[1].Points)-1]
	require.InEpsilon(t, 10, *last.Value, 0.04)
	require.Nil(t, metrics.Series[1].Points[0].Value)
	require.Zero(t, *metrics.Series[0].Points[0].Value)
	var outcomes live.Metrics
	require.Equal(t, http.StatusOK, e.get("metrics?series=pass:tracking.persist,reject:tracking.persist,pass:tracking.dedupe", &outcomes))
	sums := make([]float64, 3)
	for i, s := range outcomes.Series {
		for _, p := range s.Points {
			if p.Value != nil {
				sums[i] += *p.Value
			}
		}
	}
	require.Positive(t, sums[0])
	require.Equal(t, []float64{0, 0}, sums[1:])
	require.Equal(t, http.StatusUnprocessableEntity, e.get("metrics?series=pass:tracking", nil))

	var topology live.Topology
	require.Equal(t, http.StatusOK, e.get("topology", &topology))
	require.Len(t, topology.Nodes, 4)
	require.GreaterOrEqual(t, len(topology.Edges), 2)

	for _, path := range []string{"overview?window=x", "metrics?series=nothing", "metrics?series=p95&from=2030-01-01T00:00:00Z&to=2029-01-01T00:00:00Z"} {
		require.Equal(t, http.StatusUnprocessableEntity, e.get(path, nil), path)
	}
	for _, path := range []string{"overview", "stages", "queues", "carriers", "metrics?series=p95", "topology", "audit", "search?q=x"} {
		require.Equal(t, http.StatusForbidden, e.get(path, nil, "X-Roles", auth.RoleEventsWrite), path)
		separator := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
		require.Equal(t, http.StatusForbidden, e.get(path+separator+"tenant=umbrella", nil), path)
	}
	var foreign live.Overview
	require.Equal(t, http.StatusOK, e.get("overview?tenant=umbrella", &foreign, "X-Roles", "ops:read tenants:all"))
}

func TestSearchTellsWhatAnIdentifierIsAndWhereItLeads(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	uid := e.persist("acme", "157-53806270", tracking.Loaded)
	secret := e.persist("umbrella", "secret", tracking.Loaded)
	for q, by := range map[string]string{"15753806270": "correlation", "157%2053806270": "correlation", "thing%20of%20157-53806270": "aggregate", uid.String(): "event"} {
		var answer live.SearchAnswer
		require.Equal(t, http.StatusOK, e.get("search?q="+q, &answer))
		require.True(t, answer.Exists, q)
		require.Len(t, answer.Found, 1)
		require.Equal(t, by, answer.Found[0].By)
		require.Equal(t, "157-53806270", answer.Found[0].Trace.CorrelationID)
		require.NotEmpty(t, answer.Guesses[0].Why)
	}
	for _, q := range []string{"secret", secret.String(), "thing%20of%20secret", "'%20OR%201=1%20--"} {
		var answer live.SearchAnswer
		require.Equal(t, http.StatusOK, e.get("search?q="+q, &answer))
		require.False(t, answer.Exists, q)
	}
}

func TestMeAndAudit(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	require.NoError(t, e.store.AddTenants(t.Context(), []store.Tenant{
		{ID: "acme", Name: "Acme", Preferences: json.RawMessage(`{"language":"es"}`)}, {ID: "umbrella", Name: "Umbrella"},
	}))
	var me live.Me
	require.Equal(t, http.StatusOK, e.get("me", &me))
	require.Equal(t, []live.TenantName{{ID: "acme", Name: "Acme"}}, me.Tenants)
	require.JSONEq(t, `{"language":"es"}`, string(me.Preferences))
	require.Equal(t, "s", me.Subject)
	require.Equal(t, "no-store", e.open("me").Header.Get("Cache-Control")) //nolint:bodyclose // open has it closed.
	require.Equal(t, http.StatusOK, e.get("me", &me, "X-Roles", "ops:read tenants:all"))
	require.Len(t, me.Tenants, 2)
	for range 3 {
		_, err := e.store.StartLetterJob(t.Context(), store.NewLetterJob{TenantID: "acme", Action: store.LetterRedrive, Rate: 1})
		require.NoError(t, err)
	}
	var page, next live.AuditTrail
	require.Equal(t, http.StatusOK, e.get("audit?limit=2", &page))
	require.Len(t, page.Items, 2)
	require.Equal(t, http.StatusOK, e.get(fmt.Sprint("audit?limit=2&cursor=", page.NextCursor), &next))
	require.Len(t, next.Items, 1)
	require.Zero(t, next.NextCursor)
}

func TestQueuesAreAsDeepAsTheBrokerSays(t *testing.T) {
	t.Parallel()
	server, err := broker.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	c := nats.DefaultConfig()
	c.Options = []natsgo.Option{server.Option()}
	transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	var log bytes.Buffer
	e := newEdge(t, func(_ *live.Config, d *live.Deps) {
		d.Backlogs, d.Logger = transport, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	_, all := plans(t)
	var early live.QueueList
	require.Equal(t, http.StatusOK, e.get("queues", &early))
	require.NotEmpty(t, early.Items)
	for _, q := range early.Items {
		require.Nil(t, q.Depth, "no processor has made it yet")
	}
	require.Empty(t, log.String(), "which is no trouble of the broker's")
	e.offset.Store(int64(5 * time.Second))
	require.NoError(t, transport.Provision(t.Context(), pipeline.Topics(all...)))
	publish := func(n int) {
		for range n {
			require.NoError(t, transport.Publisher().Publish("events.ingested", message.NewMessage(uuid.NewString(), []byte("x"))))
		}
	}
	first := func() live.Queue {
		var list live.QueueList
		require.Equal(t, http.StatusOK, e.get("queues", &list))
		for _, q := range list.Items {
			if q.Topic == "events.ingested" {
				return q
			}
		}
		t.Fatal("no queue")
		return live.Queue{}
	}
	publish(2)
	q := first()
	require.EqualValues(t, 2, *q.Depth)
	require.Equal(t, "validate", q.Stage)
	require.Equal(t, "unknown", q.Trend)
	publish(1)
	e.offset.Store(int64(15 * time.Second))
	q = first()
	require.EqualValues(t, 3, *q.Depth)
	require.Equal(t, "growing", q.Trend)
	require.Nil(t, q.DrainMS)
	require.Equal(t, []int64{3, 0, 0}, []int64{*q.Ready, *q.InFlight, *q.Delayed})
	require.GreaterOrEqual(t, *q.HeadMS, 9000.0, "since the first was published, by the clock of the edge")

	// A reader that takes two and settles the first.
	subscriber, err := transport.Subscriber("tracking", 2, &routers.Gate{})
	require.NoError(t, err)
	out, err := subscriber.Subscribe(t.Context(), "events.ingested")
	require.NoError(t, err)
	inHand := []*message.Message{<-out, <-out}
	inHand[0].Ack()
	published, err := transport.Backlog(t.Context(), "events.ingested", "tracking")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, err := transport.Backlog(t.Context(), "events.ingested", "tracking")
		return err == nil && b.Total() == 2 && b.InFlight >= 1 && b.Oldest.Compare(published.Oldest) >= 0
	}, 10*time.Second, 10*time.Millisecond)
	inHand[1].Ack()
	(<-out).Ack()
	require.Eventually(t, func() bool {
		b, err := transport.Backlog(t.Context(), "events.ingested", "tracking")
		return err == nil && b == routers.Backlog{}
	}, 10*time.Second, 10*time.Millisecond, "and nothing has an age then")
	require.NoError(t, subscriber.Close())
}

// exec changes the database past the store.
func (e *edge) exec(sql string) {
	e.t.Helper()
	conn, err := pgx.Connect(e.t.Context(), e.at)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, conn.Close(context.Background())) }()
	_, err = conn.Exec(e.t.Context(), sql)
	require.NoError(e.t, err)
}
