package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack"
)

// fakeAPI speaks the parts of the HTTP API that the client commands use, and the issuer's token endpoint.
type fakeAPI struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*recorded
	scopes   []string
	traces   map[string]string // by path and query

	// before may answer in the API's place; n counts the requests for events.
	before func(n int, w http.ResponseWriter, r *http.Request) (answered bool)
}

// recorded is a request for events that was received.
type recorded struct {
	media  string
	bearer string
	body   string
	events []map[string]any
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	s := &fakeAPI{traces: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /oidc/oauth/token", s.token)
	mux.HandleFunc("POST /api/v1/events", s.events)
	mux.HandleFunc("GET /api/v1/trace", s.trace)
	mux.HandleFunc("GET /api/v1/trace/{id}", s.trace)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *fakeAPI) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if !ok || id != "rastro-cli" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"unknown client"}`)
		return
	}
	s.mu.Lock()
	s.scopes = append(s.scopes, r.FormValue("scope"))
	s.mu.Unlock()
	_, _ = io.WriteString(w, `{"access_token":"dev-token","token_type":"Bearer","expires_in":3600}`)
}

func writeProblem(w http.ResponseWriter, status int, kind, detail string, more map[string]any) {
	body := map[string]any{"type": "/problems/" + kind, "title": http.StatusText(status), "status": status, "detail": detail}
	for k, v := range more {
		body[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func authorized(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") == "Bearer dev-token" {
		return true
	}
	writeProblem(w, http.StatusUnauthorized, "unauthenticated", "The bearer token is not valid.", nil)
	return false
}

func (s *fakeAPI) events(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	request := &recorded{media: r.Header.Get("Content-Type"), bearer: r.Header.Get("Authorization"), body: string(body)}
	s.mu.Lock()
	s.requests = append(s.requests, request)
	n := len(s.requests)
	s.mu.Unlock()
	if s.before != nil && s.before(n, w, r) || !authorized(w, r) {
		return
	}
	events, err := decodeEvents(request.media, body)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "malformed", fmt.Sprintf("The body cannot be read: %v.", err), nil)
		return
	}
	request.events = events
	accepted, results := 0, make([]map[string]any, len(events))
	for i, event := range events {
		if event["timestamp"] == nil && event["time"] == nil {
			results[i] = map[string]any{"index": i, "status": "rejected", "errors": []map[string]any{
				{"field": "timestamp", "code": "required", "message": "timestamp is missing"}}}
			continue
		}
		accepted++
		results[i] = map[string]any{"index": i, "status": "accepted", "uid": fmt.Sprintf("uid-%v", firstNonNil(event["event_id"], event["id"]))}
	}
	answer := map[string]any{"accepted": accepted, "rejected": len(events) - accepted, "results": results}
	if accepted == 0 {
		writeProblem(w, http.StatusUnprocessableEntity, "rejected", "None of the events was accepted.", answer)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(answer)
}

func firstNonNil(values ...any) any {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

func decodeEvents(media string, body []byte) ([]map[string]any, error) {
	var one map[string]any
	var many []map[string]any
	switch media {
	case "application/json":
		if err := json.Unmarshal(body, &many); err == nil {
			return many, nil
		}
		err := json.Unmarshal(body, &one)
		return []map[string]any{one}, err
	case "application/cloudevents+json":
		err := json.Unmarshal(body, &one)
		return []map[string]any{one}, err
	case "application/cloudevents-batch+json":
		err := json.Unmarshal(body, &many)
		return many, err
	case "application/x-ndjson":
		for line := range strings.Lines(string(body)) {
			var event map[string]any
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				return nil, err
			}
			many = append(many, event)
		}
		return many, nil
	default:
		return nil, fmt.Errorf("media type %q", media)
	}
}

func (s *fakeAPI) trace(w http.ResponseWriter, r *http.Request) {
	if !authorized(w, r) {
		return
	}
	body, ok := s.traces[r.URL.RequestURI()]
	if !ok {
		writeProblem(w, http.StatusNotFound, "not-found", "Tenant talma-pe has no such events.", nil)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

func (s *fakeAPI) received() []*recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *fakeAPI) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// run makes this server the running `rastro dev` of the test.
func (s *fakeAPI) run(t *testing.T) {
	t.Helper()
	home(t)
	require.NoError(t, devstack.State{
		URL: s.URL, Issuer: s.URL + "/oidc", TokenURL: s.URL + "/oidc/oauth/token", ClientID: "rastro-cli", ClientSecret: "s3cret",
		PID: os.Getpid(), StartedAt: time.Now(), DataDir: t.TempDir(), Version: "test",
	}.Write())
}

// home gives the test a machine without a running `rastro dev`.
func home(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "TMPDIR"} {
		t.Setenv(name, t.TempDir())
	}
	for _, name := range []string{"RASTRO_URL", "RASTRO_TOKEN", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "")
	}
	t.Chdir(t.TempDir())
}

// outcome of a command line.
type ran struct {
	out, err string
	code     int
	failure  error
}

// terminals says which of a command's streams are terminals.
type terminals struct{ in, out, err bool }

type testRun struct {
	in  io.Reader
	env map[string]string
	tty terminals
	now func() time.Time // the clock on which everything takes two seconds when it is nil
	ctx context.Context  //nolint:containedctx // A test's own.
}

// do runs a client command with a clock on which everything takes two seconds.
func (r testRun) do(t *testing.T, args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	now := time.Date(2026, 6, 20, 15, 4, 5, 0, time.UTC)
	s := streams{
		getenv: func(name string) string { return r.env[name] },
		terminal: func(w any) bool {
			return w == &out && r.tty.out || w == &errOut && r.tty.err || w == any(r.in) && r.tty.in
		},
		now: func() time.Time { now = now.Add(2 * time.Second); return now },
	}
	if r.now != nil {
		s.now = r.now
	}
	root := &cobra.Command{Use: "rastro", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(newTokenCommand(s), newSendCommand(s), newTraceCommand(s), newDLQCommand(s), newBalanceCommand(s), newDuplicatesCommand(s), newForgetCommand(s), newPersonalCommand(s),
		newAuditCommand(s), newRetainCommand(s), newWatchCommand(s), newCarrierCommand(s), newAlertsCommand(s), newPipelineCommand(options{}, s))
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errOut)
	if r.in == nil {
		r.in = strings.NewReader("")
	}
	root.SetIn(r.in)
	if r.ctx == nil {
		r.ctx = t.Context()
	}
	err := root.ExecuteContext(r.ctx)
	return ran{out: out.String(), err: errOut.String(), code: exitCode(err), failure: err}
}

// noLeaks has the test fail when goroutines that it starts are left at its end. It comes before all else in a test.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// golden compares with a file of testdata; RASTRO_UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	require.NoError(t, err)
	return path
}

func TestToken(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	got := testRun{}.do(t, "token")
	require.Zero(t, got.code, got.failure)
	require.Equal(t, "dev-token\n", got.out)
	require.Empty(t, got.err)
	require.Equal(t, []string{"openid tenant:talma-pe role:events:write role:traces:read"}, s.scopes)

	got = testRun{}.do(t, "token", "--tenant", "talma-ec", "--role", "ops:read", "--role", "ops:write", "--url", s.URL)
	require.Zero(t, got.code, got.failure)
	require.Equal(t, "openid tenant:talma-ec role:ops:read role:ops:write", s.scopes[1])
}

func TestTokenFails(t *testing.T) {
	home(t)
	got := testRun{}.do(t, "token")
	require.Equal(t, exitUnreachable, got.code)
	require.ErrorContains(t, got.failure, "make run")
	require.Empty(t, got.out)

	s := newFakeAPI(t)
	s.run(t)
	got = testRun{}.do(t, "token", "--url", "https://rastro.example.com")
	require.Equal(t, exitUnreachable, got.code)
	require.ErrorContains(t, got.failure, "identity provider")

	require.Equal(t, exitUsage, testRun{}.do(t, "token", "extra").code)

	home(t)
	require.NoError(t, devstack.State{
		URL: s.URL, TokenURL: s.URL + "/oidc/oauth/token", ClientID: "rastro-cli", ClientSecret: "wrong",
		PID: os.Getpid(), DataDir: devstack.DefaultDataDir,
	}.Write())
	got = testRun{}.do(t, "token")
	require.Equal(t, exitUnreachable, got.code)
	require.ErrorContains(t, got.failure, "invalid_client: unknown client")
}

func TestConnect(t *testing.T) {
	const event = `{"event_id":"1","timestamp":"2026-06-20T10:00:00Z"}`
	s := newFakeAPI(t)
	for name, c := range map[string]struct {
		args    []string
		env     map[string]string
		running bool
		code    int
		says    string
	}{
		"flags":                        {args: []string{"--url", s.URL + "/", "--token", "dev-token"}},
		"environment":                  {env: map[string]string{"RASTRO_URL": s.URL, "RASTRO_TOKEN": "dev-token"}},
		"flags before the environment": {args: []string{"--url", s.URL, "--token", "dev-token"}, env: map[string]string{"RASTRO_URL": "http://127.0.0.1:1", "RASTRO_TOKEN": "no"}},
		"running dev":                  {running: true},
		"running dev by its address":   {running: true, args: []string{"--url", strings.Replace(s.URL, "127.0.0.1", "localhost", 1)}},
		"running dev, own token":       {running: true, env: map[string]string{"RASTRO_TOKEN": "no"}, code: exitUnreachable, says: "401 Unauthorized: The bearer token is not valid"},
		"nothing runs":                 {code: exitUnreachable, says: "rastro dev"},
		"no token":                     {args: []string{"--url", s.URL}, code: exitUnreachable, says: "RASTRO_TOKEN"},
		"no token for another server":  {running: true, args: []string{"--url", "https://rastro.example.com"}, code: exitUnreachable, says: "no token for https://rastro.example.com"},
		"bad address":                  {args: []string{"--url", "localhost:8080"}, code: exitUsage, says: "http://localhost:8080"},
		"wrong token":                  {args: []string{"--url", s.URL, "--token", "no"}, code: exitUnreachable, says: "is the token expired"},
	} {
		t.Run(name, func(t *testing.T) {
			home(t)
			if c.running {
				s.run(t)
			}
			got := testRun{env: c.env, in: strings.NewReader(event)}.do(t, append([]string{"send"}, c.args...)...)
			require.Equal(t, c.code, got.code, got.failure)
			if c.says != "" {
				require.ErrorContains(t, got.failure, c.says)
			}
		})
	}
}

func TestSameServer(t *testing.T) {
	t.Parallel()
	require.True(t, sameServer("http://localhost:8080", "http://127.0.0.1:8080/"))
	require.True(t, sameServer("http://[::1]:8080", "http://LOCALHOST:8080"))
	require.False(t, sameServer("http://localhost:8080", "http://localhost:8081"))
	require.False(t, sameServer("http://localhost:8080", "http://example.com:8080"))
	require.False(t, sameServer("http://localhost:8080", "https://localhost:8080"))
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	require.Equal(t, exitOK, exitCode(nil))
	require.Equal(t, exitFailure, exitCode(io.EOF))
	require.Equal(t, exitNotFound, exitCode(fmt.Errorf("wrapped: %w", exitWith(exitNotFound, io.EOF))))
	require.ErrorIs(t, exitWith(exitNotFound, io.EOF), io.EOF)
	require.Empty(t, exitWith(exitRejected, nil).Error())
}
