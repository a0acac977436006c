//go:build e2e

package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// binary is the built rastro that the tests drive from outside.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("RASTRO_BINARY")
	require.NotEmpty(t, path, "RASTRO_BINARY must name the built binary: run `make e2e`")
	return path
}

// stack is a running `rastro dev`.
type stack struct {
	t    *testing.T
	cmd  *exec.Cmd
	data string
	url  string
	sql  string

	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{}
}

// dataFolder returns a folder that other users may pass through, as PostgreSQL must when root runs the tests.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711))
	return dir
}

// start runs `rastro dev` with the data folder and waits until it says that it runs.
func start(t *testing.T, data, listen string, more ...string) *stack {
	t.Helper()
	s := &stack{t: t, data: data, done: make(chan struct{})}
	args := append([]string{"dev", "--data", data, "--listen", listen}, more...)
	s.cmd = exec.Command(binary(t), args...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = s.environ()
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	s.cmd.Stderr = s
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if t.Failed() {
			t.Logf("rastro dev said:\n%s", s.words())
		}
	})
	ready := make(chan struct{})
	go func() {
		defer close(s.done)
		once := sync.OnceFunc(func() { close(ready) })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			_, _ = s.Write([]byte(lines.Text() + "\n"))
			if strings.Contains(lines.Text(), "curl -sS") {
				once()
			}
		}
		_ = s.cmd.Wait()
	}()
	select {
	case <-ready:
	case <-s.done:
		t.Fatalf("rastro dev ended: %s", s.words())
	case <-time.After(90 * time.Second):
		t.Fatalf("rastro dev is not ready: %s", s.words())
	}
	s.url = s.find(`Dashboard\s+(http://[^/]+)/`)
	s.sql = s.find(`psql '([^']+)'`)
	return s
}

// environ keeps the tests' processes to themselves, whatever else runs on this machine.
func (s *stack) environ() []string {
	return append(os.Environ(), "RASTRO_LOG_LEVEL=info", "XDG_CACHE_HOME="+filepath.Join(s.data, "cache"))
}

// Write gathers what the process says.
func (s *stack) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(p)
}

func (s *stack) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

func (s *stack) find(pattern string) string {
	s.t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(s.words())
	require.NotNil(s.t, match, "%s is not in what rastro dev said", pattern)
	return match[1]
}

// rastro runs a command of the binary and returns its output and exit code.
func (s *stack) rastro(stdin string, args ...string) (string, string, int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary(s.t), args...)
	cmd.Dir = s.t.TempDir()
	cmd.Env = s.environ() // the running process is found by itself
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		require.IsType(s.t, &exec.ExitError{}, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (s *stack) must(args ...string) string {
	s.t.Helper()
	out, errs, code := s.rastro("", args...)
	require.Zero(s.t, code, "rastro %s: %s%s", strings.Join(args, " "), out, errs)
	return out
}

func (s *stack) token(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.must(append([]string{"token"}, args...)...))
}

func (s *stack) do(method, path, token, contentType string, body io.Reader) (int, http.Header, []byte) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	require.NoError(s.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, response.Header, answer
}

// interrupt stops the process as Ctrl-C does and requires that it ends well.
func (s *stack) interrupt() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGINT))
	select {
	case <-s.done:
	case <-time.After(60 * time.Second):
		s.t.Fatal("rastro dev did not stop")
	}
	require.Zero(s.t, s.cmd.ProcessState.ExitCode(), s.words())
}

// reaches reports whether the database answers.
func reaches(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return false
	}
	_ = db.Close(ctx)
	return true
}

// sub runs a subtest whose failures are its own.
func (s *stack) sub(name string, f func(t *testing.T)) {
	outer := s.t
	outer.Run(name, func(t *testing.T) {
		s.t = t
		defer func() { s.t = outer }()
		f(t)
	})
}

type trace struct {
	TenantID      string `json:"tenant_id"`
	CorrelationID string `json:"correlation_id"`
	AggregateID   string `json:"aggregate_id"`
	Status        string `json:"status"`
	Events        []struct {
		EventID    string          `json:"event_id"`
		Type       string          `json:"event_type"`
		Timestamp  string          `json:"timestamp"`
		Payload    json.RawMessage `json:"payload"`
		Enrichment struct {
			Milestone string                                `json:"milestone"`
			Place     *struct{ City, Country, IATA string } `json:"place"`
			Airline   *struct{ IATA, Name string }          `json:"airline"`
			Transport *struct{ Carrier, Number string }     `json:"transport"`
		} `json:"enrichment"`
	} `json:"events"`
}

// traced waits until a trace has n events.
func (s *stack) traced(token, path string, n int) trace {
	s.t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-poll.C {
		status, _, body := s.do(http.MethodGet, path, token, "", nil)
		var got trace
		if status == http.StatusOK && json.Unmarshal(body, &got) == nil && len(got.Events) == n {
			return got
		}
		require.True(s.t, time.Now().Before(deadline), "%s does not have %d events: %s", path, n, body)
	}
}

func samples(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../tracking/formats/cloudevents/testdata")
	require.NoError(t, err)
	return dir
}

func TestEndToEnd(t *testing.T) {
	s := start(t, dataFolder(t), "127.0.0.1:0", "--simulate", "50")
	journey, err := filepath.Abs("testdata/journey.ndjson")
	require.NoError(t, err)
	token := s.token()

	s.sub("what it prints works when pasted", func(t *testing.T) {
		line := s.find(`(?m)^\s+(curl -sS .*)$`)
		paste := exec.CommandContext(t.Context(), "bash", "-c", line)
		paste.Env = s.environ()
		out, err := paste.Output()
		require.NoError(t, err)
		require.Contains(t, string(out), `"accepted":1`)
	})
	s.sub("the README's commands work", func(t *testing.T) {
		readme, err := os.ReadFile("../README.md")
		require.NoError(t, err)
		_, after, found := strings.Cut(string(readme), "<!-- executed by the end-to-end tests -->\n```sh\n")
		require.True(t, found)
		script, _, found := strings.Cut(after, "```")
		require.True(t, found)
		shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		shell.Dir, shell.Env = "..", s.environ()
		out, err := shell.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "2 accepted, 0 rejected")
		require.Contains(t, string(out), "LA2468")
	})
	s.sub("samples are taken and their traces read back", func(t *testing.T) {
		s.traced(token, "/api/v1/trace/0045123456", 1) // what was pasted
		out := s.must("send", "--json", journey, filepath.Join(samples(t), "single.json"), filepath.Join(samples(t), "batch.json"))
		require.Contains(t, out, `"accepted":12`)
		require.Contains(t, out, `"rejected":0`)

		bag := s.traced(token, "/api/v1/trace/0045123456", 7)
		require.Equal(t, []string{"talma-pe", "0045123456"}, []string{bag.TenantID, bag.CorrelationID})
		require.Equal(t, "delivered", bag.Status)
		loaded := bag.Events[2]
		require.Equal(t, "2026-06-20T22:55:01-05:00", loaded.Timestamp, "the zone as sent")
		require.Equal(t, "loaded", loaded.Enrichment.Milestone)
		require.Equal(t, "Lima", loaded.Enrichment.Place.City)
		require.Equal(t, "LA", loaded.Enrichment.Airline.IATA)
		require.Contains(t, string(bag.Events[4].Payload), "12345678901234567890", "numbers as sent")

		parcel := s.traced(token, "/api/v1/trace/AX77120045PE", 5) // single.json is also the first of batch.json
		require.Equal(t, "delivered", parcel.Status)
		again := s.traced(token, "/api/v1/trace?aggregateId=AX77120045PE", 5)
		require.Equal(t, parcel.CorrelationID, again.CorrelationID)

		timeline := s.must("trace", "0045123456")
		require.Contains(t, timeline, "Lima")
		_, _, code := s.rastro("", "trace", "no-such-thing")
		require.Equal(t, 4, code)
	})
	s.sub("bad input gets its proper answer", func(*testing.T) { s.badInput(token) })
	s.sub("health, metrics and reference", func(t *testing.T) {
		for path, want := range map[string]string{
			"/livez": "ok", "/readyz": `"database":"ok"`, "/metrics": "rastro_stage_events_total",
			"/api/v1/events/health": "ok", "/api/v1/trace/health": "ok", "/openapi.json": `"/api/v1/events"`, "/reference": "Send events",
			"/oidc/.well-known/openid-configuration": "jwks_uri",
		} {
			status, _, body := s.do(http.MethodGet, path, "", "", nil)
			require.Equal(t, http.StatusOK, status, path)
			require.Contains(t, string(body), want, path)
		}
	})
	s.sub("one tenant does not see another's", func(t *testing.T) {
		other := s.token("--tenant", "talma-ec")
		status, _, _ := s.do(http.MethodGet, "/api/v1/trace/0045123456", other, "", nil)
		require.Equal(t, http.StatusNotFound, status)
	})
	s.sub("the simulated carriers are heard", func(t *testing.T) {
		other := s.token("--tenant", "talma-mx")
		require.Eventually(t, func() bool {
			_, _, body := s.do(http.MethodGet, "/api/v1/stats", other, "", nil)
			var counts struct{ Accepted, Stored, Duplicates int }
			return json.Unmarshal(body, &counts) == nil && counts.Stored > 20 && counts.Duplicates > 0
		}, 60*time.Second, 200*time.Millisecond)
	})
	s.sub("a browser shows the trace", func(t *testing.T) { s.browse(t) })

	s.interrupt()
	require.False(t, reaches(s.sql), "PostgreSQL must have been stopped")

	t.Run("the data survives a restart", func(t *testing.T) {
		s := start(t, s.data, "127.0.0.1:0", "--simulate", "off")
		require.Equal(t, "delivered", s.traced(s.token(), "/api/v1/trace/0045123456", 7).Status)
		s.interrupt()
	})
}

func (s *stack) badInput(token string) {
	const good = `{"correlation_id":"c","aggregate_id":"a","event_type":"loaded","timestamp":"2026-06-20T22:55:01-05:00"}`
	readOnly := s.token("--role", "traces:read")
	writeOnly := s.token("--role", "events:write")
	large := `{"correlation_id":"c","aggregate_id":"a","event_type":"loaded","timestamp":"2026-06-20T22:55:01Z","payload":"` + strings.Repeat("x", 40<<20) + `"}`
	for name, c := range map[string]struct {
		method, path, token, contentType, body string
		status                                 int
		says                                   string
	}{
		"no token":         {"POST", "/api/v1/events", "", "application/json", good, 401, "token"},
		"junk token":       {"POST", "/api/v1/events", "junk", "application/json", good, 401, "token"},
		"wrong role":       {"POST", "/api/v1/events", readOnly, "application/json", good, 403, "events:write"},
		"wrong role, read": {"GET", "/api/v1/trace/x", writeOnly, "", "", 403, "traces:read"},
		"another tenant": {
			"POST", "/api/v1/events", token, "application/json", strings.Replace(good, "{", `{"tenant_id":"talma-ec",`, 1), 403, "talma-pe",
		},
		"not JSON":      {"POST", "/api/v1/events", token, "application/json", `{"correlation_id":`, 400, "line 1"},
		"no body":       {"POST", "/api/v1/events", token, "application/json", "", 400, "empty"},
		"wrong type":    {"POST", "/api/v1/events", token, "text/plain", good, 415, "application/json"},
		"no type":       {"POST", "/api/v1/events", token, "", good, 415, "application/json"},
		"too large":     {"POST", "/api/v1/events", token, "application/json", large, 413, "smaller"},
		"no timestamp":  {"POST", "/api/v1/events", token, "application/json", strings.Replace(good, `"timestamp":"2026-06-20T22:55:01-05:00"`, `"kind":"cargo"`, 1), 422, `"field":"timestamp"`},
		"no such trace": {"GET", "/api/v1/trace/nothing", token, "", "", 404, "nothing"},
		"no such page":  {"GET", "/api/v1/nowhere", token, "", "", 404, "openapi.json"},
		"wrong method":  {"DELETE", "/api/v1/events", token, "", "", 405, "openapi.json"},
		"no aggregate":  {"GET", "/api/v1/trace", token, "", "", 422, "aggregateId"},
	} {
		s.sub(name, func(t *testing.T) {
			status, header, body := s.do(c.method, c.path, c.token, c.contentType, strings.NewReader(c.body))
			require.Equal(t, c.status, status, string(body))
			require.Contains(t, header.Get("Content-Type"), "application/problem+json")
			require.Contains(t, string(body), c.says)
		})
	}
	s.sub("good and bad together", func(t *testing.T) {
		status, _, body := s.do("POST", "/api/v1/events", token, "application/json", strings.NewReader(`[`+good+`,{"event_type":1}]`))
		require.Equal(t, http.StatusAccepted, status)
		require.Contains(t, string(body), `"accepted":1,"rejected":1`)
		require.Contains(t, string(body), `"index":1,"status":"rejected","errors":[`)
	})
}

// browse signs in and reads a trace in a real browser.
func (s *stack) browse(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "npm", "run", "--silent", "e2e")
	cmd.Dir = "../dashboard"
	postmaster, err := os.ReadFile(filepath.Join(s.data, "postgres", "data", "postmaster.pid"))
	require.NoError(t, err)
	pid, _, _ := strings.Cut(string(postmaster), "\n")
	cmd.Env = append(os.Environ(), "RASTRO_E2E_URL="+s.url, "RASTRO_E2E_TRACE=0045123456", "RASTRO_E2E_POSTGRES="+pid)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(string(out))
}

// What the dashboard remembers is bounded, however long it is open; RASTRO_E2E_SOAK says for how many minutes.
func TestDashboardSoak(t *testing.T) {
	if os.Getenv("RASTRO_E2E_SOAK") == "" {
		t.Skip("RASTRO_E2E_SOAK is not set: run `make soak-dashboard`")
	}
	s := start(t, dataFolder(t), "127.0.0.1:0", "--simulate", "20")
	cmd := exec.CommandContext(t.Context(), "npm", "run", "--silent", "e2e", "--", "load", "--project", "desktop-light")
	cmd.Dir = "../dashboard"
	cmd.Env = append(os.Environ(), "RASTRO_E2E_URL="+s.url)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(string(out))
	s.interrupt()
}

// Pictures of every page for the documentation, in both themes, of a system that has seen some traffic and some trouble;
// RASTRO_E2E_PICTURES says where to.
func TestDashboardPictures(t *testing.T) {
	folder := os.Getenv("RASTRO_E2E_PICTURES")
	if folder == "" {
		t.Skip("RASTRO_E2E_PICTURES is not set: run `make pictures`")
	}
	s := start(t, dataFolder(t), "127.0.0.1:0", "--simulate", "60")
	var late strings.Builder
	for i := range 12 {
		fmt.Fprintf(&late, `{"correlation_id":"0045%06d","aggregate_id":"0045%06d","event_type":"loaded","timestamp":%q,"source":"H2-baggage","payload":{"location":"LIM"}}`+"\n",
			i, i, time.Now().Add(time.Duration(i+1)*time.Hour).Format(time.RFC3339))
	}
	status, _, body := s.do("POST", "/api/v1/events", s.token(), "application/x-ndjson", strings.NewReader(late.String()))
	require.Equal(t, http.StatusAccepted, status, string(body))
	var ended struct {
		Items []struct {
			ID string `json:"correlation_id"`
		} `json:"items"`
	}
	require.Eventually(t, func() bool {
		_, _, body := s.do("GET", "/api/v1/traces?kind=baggage&status=delivered&limit=20", s.token(), "", nil)
		return json.Unmarshal(body, &ended) == nil && len(ended.Items) == 20
	}, 10*time.Minute, time.Second, "journeys end")
	cmd := exec.CommandContext(t.Context(), "npm", "run", "--silent", "e2e", "--", "pages", "--project", "desktop-light")
	cmd.Dir = "../dashboard"
	cmd.Env = append(os.Environ(), "RASTRO_E2E_URL="+s.url, "RASTRO_E2E_TRACE="+ended.Items[0].ID)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(string(out))
	s.interrupt()
}

// Every acknowledged event is stored once, although the process is killed in the middle and everything that was not
// acknowledged is sent again.
func TestEndToEndKill(t *testing.T) {
	const total, size = 20_000, 100
	data := dataFolder(t)
	s := start(t, data, "127.0.0.1:0", "--simulate", "off")
	first := strings.TrimPrefix(s.url, "http://")
	token := s.token() // it outlives the restart, as the issuer's key does

	batch := func(n int) string {
		var lines strings.Builder
		for i := range size {
			id := n*size + i
			fmt.Fprintf(&lines, `{"correlation_id":"KILL-%d","aggregate_id":"KILL-%d","event_type":"loaded","timestamp":"2026-06-20T22:55:01-05:00","source":"kill","event_id":"k-%d","payload":{"location":"LIM"}}`+"\n", id/10, id/10, id)
		}
		return lines.String()
	}
	// post returns whether the events of a batch were acknowledged.
	post := func(url string, n int) bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/events", strings.NewReader(batch(n)))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/x-ndjson")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		var answer struct{ Accepted int }
		return response.StatusCode == http.StatusAccepted && json.NewDecoder(response.Body).Decode(&answer) == nil && answer.Accepted == size
	}

	acknowledged := make([]bool, total/size)
	queue := make(chan int)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for n := range queue {
				acknowledged[n] = post(s.url, n)
			}
		})
	}
	for n := range acknowledged {
		if n == len(acknowledged)/2 {
			require.NoError(t, s.cmd.Process.Kill())
		}
		queue <- n
	}
	close(queue)
	senders.Wait()
	<-s.done
	before := 0
	for _, ok := range acknowledged {
		if ok {
			before++
		}
	}
	require.Positive(t, before, "some must have been acknowledged before the kill")
	require.Less(t, before, len(acknowledged), "some must not have been")
	t.Logf("killed after %d of %d events were acknowledged", before*size, total)

	s = start(t, data, first, "--simulate", "off")
	for n, ok := range acknowledged {
		if !ok {
			require.True(t, post(s.url, n))
		}
	}
	db, err := pgx.Connect(t.Context(), s.sql)
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	var rows, distinct, counted int
	require.Eventually(t, func() bool {
		err := db.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT event_id) FROM event_store WHERE source = 'kill'`).Scan(&rows, &distinct)
		return err == nil && distinct == total
	}, 60*time.Second, 100*time.Millisecond)
	require.Equal(t, total, rows, "each event is stored once")
	require.NoError(t, db.QueryRow(t.Context(), `SELECT sum(event_count) FROM traces WHERE correlation_id LIKE 'KILL-%'`).Scan(&counted))
	require.Equal(t, total, counted, "each event is counted once in its trace")
	s.interrupt()
}
