package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/internal/devstack/sqsemulator"
	"github.com/rastrohq/rastro/store"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(Main())
	}
	// Most of these tests wait most of the time, for outages to be over above all.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(databases.Around(m).Run())
}

// environment is what the roles of a production system share: a database, a broker at an address, and an issuer.
type environment struct {
	process config.Process
	issuer  *issuer.Issuer
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	return newEnvironmentOver(t, config.BrokerNATS)
}

func newEnvironmentOver(t *testing.T, kind string) *environment {
	t.Helper()
	process, err := config.Default()
	require.NoError(t, err)
	process.Database.URL = databases.URL(t)
	require.NoError(t, setUp(t.Context(), process))

	startBroker(t, &process, kind)

	mux := http.NewServeMux()
	idp := httptest.NewServer(mux)
	t.Cleanup(idp.Close)
	is, err := issuer.New(issuer.DefaultConfig(idp.URL+issuerPath, "secret"))
	require.NoError(t, err)
	mux.Handle("/", is.Handler())
	process.Identity.Issuer = idp.URL + issuerPath
	process.Identity.SessionKey = strings.Repeat("k", 32)
	process.ShutdownDelay = 0 // no load balancer has to notice
	return &environment{process: process, issuer: is}
}

// startBroker starts a broker at an address.
func startBroker(t *testing.T, process *config.Process, kind string) {
	t.Helper()
	process.Broker.Kind = kind
	if kind == config.BrokerSQS {
		emulator, err := sqsemulator.Start(t.Context())
		require.NoError(t, err)
		t.Cleanup(emulator.Stop)
		process.Broker.SQS.Endpoint, process.Broker.SQS.Provision = emulator.URL(), true
		process.Broker.SQS.VisibilityTimeout, process.Broker.SQS.Wait = 2*time.Second, time.Second
		return
	}
	broker, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		JetStreamMaxStore: 1 << 40, // not what the disk has room for: topics reserve 2 GiB each
	})
	require.NoError(t, err)
	broker.Start()
	t.Cleanup(func() {
		broker.Shutdown()
		broker.WaitForShutdown()
	})
	require.True(t, broker.ReadyForConnections(10*time.Second))
	process.Broker.NATSURL = broker.ClientURL()
}

// serve runs roles as one process would and returns their address.
func (e *environment) serve(t *testing.T, roles ...string) (url string, stop func()) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	app := newApp(options{}, surroundings{
		process: e.process, roles: roles, logger: slog.New(slog.DiscardHandler), listener: listener,
	})
	require.NoError(t, startApp(t.Context(), app))
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			require.NoError(t, stopApp(context.Background(), app))
		}
	}
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}

func (e *environment) do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	return e.as(t, []string{"events:write", "traces:read"}, method, url, body)
}

// as sends a request as somebody with roles.
func (e *environment) as(t *testing.T, roles []string, method, url, body string) (int, string) {
	t.Helper()
	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", roles...)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

const loadedEvent = `{"correlation_id":"ROLE-1","aggregate_id":"ROLE-1","event_type":"loaded","timestamp":"2026-06-20T22:55:01-05:00","payload":{"location":"LIM"}}`

// Each role in a process of its own, over a broker at an address: what ingest takes the processor stores, whenever it comes,
// and the query edge shows.
func TestRolesWorkApart(t *testing.T) {
	for _, kind := range []string{config.BrokerNATS, config.BrokerSQS} {
		t.Run(kind, func(t *testing.T) { rolesWorkApart(t, kind) })
	}
}

func rolesWorkApart(t *testing.T, kind string) {
	t.Helper()
	e := newEnvironmentOver(t, kind)
	ingestURL, _ := e.serve(t, roleIngest)
	status, answer := e.do(t, http.MethodPost, ingestURL+"/api/v1/events", loadedEvent)
	require.Equal(t, http.StatusAccepted, status, answer)
	status, _ = e.do(t, http.MethodGet, ingestURL+"/api/v1/trace/ROLE-1", "")
	require.Equal(t, http.StatusNotFound, status, "ingest must not answer for query")

	queryURL, _ := e.serve(t, roleQuery)
	status, _ = e.do(t, http.MethodGet, queryURL+"/api/v1/trace/ROLE-1", "")
	require.Equal(t, http.StatusNotFound, status, "nobody has processed it yet")

	_, stopFirst := e.serve(t, roleProcessor)
	e.serve(t, roleProcessor) // two share the work
	seen := func() bool {
		status, answer := e.do(t, http.MethodGet, queryURL+"/api/v1/trace/ROLE-1", "")
		var trace struct {
			Status string
			Events []json.RawMessage
		}
		return status == http.StatusOK && json.Unmarshal([]byte(answer), &trace) == nil && trace.Status == "loaded" && len(trace.Events) == 1
	}
	require.Eventually(t, seen, 20*time.Second, 20*time.Millisecond)

	stopFirst()
	status, answer = e.do(t, http.MethodPost, ingestURL+"/api/v1/events", strings.ReplaceAll(loadedEvent, "ROLE-1", "ROLE-2"))
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Eventually(t, func() bool {
		status, _ := e.do(t, http.MethodGet, queryURL+"/api/v1/trace/ROLE-2", "")
		return status == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond, "the other processor goes on")

	page, _ := e.serve(t, roleDashboard)
	status, answer = e.do(t, http.MethodGet, page+"/", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, answer, "Rastro")
}

func TestAProcessSaysWhatItLacks(t *testing.T) {
	process, err := config.Default()
	require.NoError(t, err)
	start := func(change func(*config.Process)) error {
		p := process
		p.Database.URL, p.Identity.Issuer, p.Identity.SessionKey = "postgres://rastro@127.0.0.1:1/rastro", "http://127.0.0.1:1/oidc", strings.Repeat("k", 32)
		p.Broker.NATSURL = "nats://127.0.0.1:1"
		change(&p)
		return startApp(t.Context(), newApp(options{}, surroundings{process: p, roles: allRoles(), logger: slog.New(slog.DiscardHandler)}))
	}
	require.ErrorContains(t, start(func(p *config.Process) { p.Database.URL = "" }), "RASTRO_DATABASE_URL")
	require.ErrorContains(t, start(func(p *config.Process) { p.Identity.Issuer = "" }), "RASTRO_OIDC_ISSUER")
	require.ErrorContains(t, start(func(p *config.Process) { p.Identity.SessionKey = "" }), "RASTRO_SESSION_KEY")
	require.ErrorContains(t, start(func(*config.Process) {}), "127.0.0.1:1")
}
