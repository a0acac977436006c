package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/internal/devstack/simulator"
	"github.com/rastrohq/rastro/tracking/formats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api speaks the ingest API's side: it judges events by the contract and remembers what it took.
type api struct {
	mu       sync.Mutex
	bodies   map[string][]string // accepted, by tenant, in order
	sizes    []int
	problems []string
	messages map[string]int // accepted, by carrier

	// before may answer in the API's place. It is called by one goroutine at a time.
	gate   sync.Mutex
	before func(tenant string, w http.ResponseWriter) (answered bool)
}

type apiResult struct {
	Index  int    `json:"index"`
	Status string `json:"status"`
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tenant, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-of-")
	carrier := strings.HasPrefix(r.URL.Path, "/api/v1/carriers/")
	if !ok || r.Method != http.MethodPost || !carrier && (r.URL.Path != "/api/v1/events" || r.Header.Get("Content-Type") != "application/json") {
		a.note("a request that is not the API's: " + r.Method + " " + r.URL.Path)
	}
	if a.before != nil {
		a.gate.Lock()
		answered := a.before(tenant, w)
		a.gate.Unlock()
		if answered {
			return
		}
	}
	if carrier {
		a.serveCarrier(w, r, tenant)
		return
	}
	var events []json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		a.note(err.Error())
	}
	results, accepted := make([]apiResult, len(events)), 0
	a.mu.Lock()
	for i, body := range events {
		results[i] = apiResult{i, "rejected"}
		if e, err := decode(body); err == nil && *e.TenantID == tenant {
			results[i].Status = "accepted"
			accepted++
			if a.bodies == nil {
				a.bodies = map[string][]string{}
			}
			a.bodies[tenant] = append(a.bodies[tenant], string(body))
		}
	}
	a.sizes = append(a.sizes, len(events))
	a.mu.Unlock()
	w.WriteHeader(map[bool]int{true: http.StatusAccepted, false: http.StatusUnprocessableEntity}[accepted > 0])
	err := json.NewEncoder(w).Encode(map[string]any{"accepted": accepted, "rejected": len(events) - accepted, "results": results})
	if err != nil {
		a.note(err.Error())
	}
}

// serveCarrier answers as the address of a carrier does.
func (a *api) serveCarrier(w http.ResponseWriter, r *http.Request, tenant string) {
	name, address, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v1/carriers/"), "/")
	carrier, err := shipped().Lookup(tenant, name)
	body, readErr := io.ReadAll(r.Body)
	if err := errors.Join(err, readErr); err != nil {
		a.note(err.Error())
		return
	}
	accepted, rejected := 0, 0
	results, err := carrier.Decode(carriers.Body{Bytes: body, Header: r.Header, ReceivedAt: time.Now()}, formats.Options{})
	for _, result := range results {
		if result.OK() {
			accepted++
		} else if !result.Aside() {
			rejected++
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.messages == nil {
		a.messages = map[string]int{}
	}
	a.messages[name] += accepted
	status := http.StatusAccepted
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case address == "capture" && rejected > 0:
		status = http.StatusBadRequest
	case rejected > 0 && accepted == 0:
		status = http.StatusUnprocessableEntity
	}
	w.Header().Set("X-Rastro-Accepted", strconv.Itoa(accepted))
	w.Header().Set("X-Rastro-Rejected", strconv.Itoa(rejected))
	w.WriteHeader(status)
}

func (a *api) note(problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problems = append(a.problems, problem)
}

func (a *api) accepted(tenant string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.bodies[tenant]...)
}

// RoundTrip lets a test reach the API without a network, so that it can run on synctest's clock.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	a.ServeHTTP(recorder, r)
	if recorder.Code == http.StatusTeapot {
		return nil, errors.New("connection reset by peer")
	}
	return recorder.Result(), nil
}

func configFor(a *api, logs io.Writer, rate float64) simulator.Config {
	return simulator.Config{
		URL: "http://rastro.test/", Seed: 1, EventsPerSecond: rate, HTTPClient: &http.Client{Transport: a},
		Logger:      slog.New(slog.NewTextHandler(logs, nil)),
		TokenSource: func(_ context.Context, tenant string) (string, error) { return "token-of-" + tenant, nil },
	}
}

// play runs a simulator for a time of synctest's clock.
func play(t *testing.T, c simulator.Config, d time.Duration) simulator.Stats {
	t.Helper()
	s, err := simulator.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, s.Run(ctx))
	return s.Stats()
}

func TestHoldsItsRate(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{2, 20, 500} {
		synctest.Test(t, func(t *testing.T) {
			var logs bytes.Buffer
			a := &api{}
			seconds := 10 + 1000/rate // the longer, the fewer
			stats := play(t, configFor(a, &logs, rate), time.Duration(seconds*float64(time.Second)))
			require.InEpsilon(t, rate*seconds, stats.Accepted+stats.Rejected, 0.05)
			require.Zero(t, stats.Unexpected)
			require.Equal(t, stats.Malformed, stats.Rejected)
			require.Positive(t, stats.Accepted)
			require.False(t, stats.Failing)
			require.Zero(t, stats.Retries)
			require.Empty(t, a.problems)
			require.Empty(t, logs.String())
		})
	}
}

func TestRequestsAreOfSomeTenToAHundredEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &api{}
		play(t, configFor(a, io.Discard, 500), 4*time.Second)
		for _, size := range a.sizes {
			require.GreaterOrEqual(t, size, 10)
			require.LessOrEqual(t, size, 100)
		}
	})
}

// All formats are sent, a part of the rate and no more of it than one request after the other allows.
func TestCarriersAreHeard(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]float64{20: 0.2 * 20, 250: 25} {
		synctest.Test(t, func(t *testing.T) {
			a, seconds := &api{}, 400/want+60
			stats := play(t, configFor(a, io.Discard, rate), time.Duration(seconds*float64(time.Second)))
			require.Zero(t, stats.Unexpected)
			require.InEpsilon(t, want*seconds, stats.Carriers, 0.05)
			require.InEpsilon(t, rate*seconds, stats.Accepted+stats.Rejected, 0.05)
			for _, c := range shipped().All() {
				require.Positive(t, a.messages[c.Name], c.Name)
			}
			require.Empty(t, a.problems)
		})
	}
}

// An outage loses nothing of any story, and is told of in two lines.
func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calm := &api{}
		play(t, configFor(calm, io.Discard, 20), 3*time.Minute)

		var logs bytes.Buffer
		began, failures := time.Now(), 0
		rough := &api{}
		rough.before = func(_ string, w http.ResponseWriter) bool {
			since := time.Since(began)
			if since < 20*time.Second || since > time.Minute {
				return false
			}
			failures++
			switch failures % 4 {
			case 0:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 1:
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
			case 2:
				w.WriteHeader(http.StatusTeapot) // as a connection that breaks
			default:
				w.WriteHeader(http.StatusInternalServerError)
			}
			return true
		}
		stats := play(t, configFor(rough, &logs, 20), 3*time.Minute)
		require.Positive(t, stats.Retries)
		require.Less(t, stats.Retries, int64(150), "it backs off")
		require.False(t, stats.Failing)
		require.Equal(t, 2, strings.Count(logs.String(), "\n"), logs.String())
		require.Contains(t, logs.String(), "level=WARN")
		require.Contains(t, logs.String(), "delivers again")

		for _, tenant := range simulator.DefaultTenants() {
			got, want := rough.accepted(tenant), calm.accepted(tenant)
			require.Greater(t, len(got), len(want)/2)
			require.Equal(t, ids(t, want[:len(got)]), ids(t, got), "the same story, only later")
		}
	})
}

// ids reduces events to what does not depend on the clock.
func ids(t *testing.T, bodies []string) []string {
	t.Helper()
	all := make([]string, len(bodies))
	for i, body := range bodies {
		e, err := decode([]byte(body))
		require.NoError(t, err)
		all[i] = *e.CorrelationID + " " + *e.Type + " " + e.EventID
	}
	return all
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		a := &api{before: func(_ string, w http.ResponseWriter) bool {
			at = append(at, time.Now())
			w.Header().Set("Retry-After", "11")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}}
		c := configFor(a, io.Discard, 20)
		c.Tenants = []string{"talma-ec"}
		stats := play(t, c, time.Minute)
		require.True(t, stats.Failing)
		require.GreaterOrEqual(t, len(at), 5)
		for i := range at[1:] {
			require.Equal(t, 11*time.Second, at[i+1].Sub(at[i]))
		}
	})
}

func TestOneTenantInTroubleHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		a := &api{before: func(tenant string, w http.ResponseWriter) bool {
			if tenant == "talma-ec" {
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return tenant == "talma-ec"
		}}
		stats := play(t, configFor(a, &logs, 20), time.Minute)
		require.Empty(t, a.accepted("talma-ec"))
		require.InEpsilon(t, 0.8*20*60, stats.Accepted+stats.Rejected, 0.1)
		require.Equal(t, 1, strings.Count(logs.String(), "\n"), logs.String())
	})
}

func TestARefusedRequestIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		a := &api{before: func(_ string, w http.ResponseWriter) bool {
			w.WriteHeader(http.StatusBadRequest)
			_, err := io.WriteString(w, `{"detail":"The body cannot be read."}`)
			return err == nil
		}}
		stats := play(t, configFor(a, &logs, 20), time.Minute)
		require.Zero(t, stats.Accepted)
		require.Zero(t, stats.Retries)
		require.Equal(t, stats.Unexpected, stats.Rejected-stats.Malformed)
		require.Contains(t, logs.String(), "The body cannot be read.")
		require.Equal(t, 1, strings.Count(logs.String(), "\n"))
	})
}

func TestWithoutATokenItKeepsTrying(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, tries := &api{}, 0
		c := configFor(a, io.Discard, 20)
		c.Tenants = []string{"talma-mx"}
		c.TokenSource = func(_ context.Context, tenant string) (string, error) {
			if tries++; tries < 4 {
				return "", errors.New("the issuer is not there yet")
			}
			return "token-of-" + tenant, nil
		}
		stats := play(t, c, time.Minute)
		require.EqualValues(t, 3, stats.Retries)
		require.Positive(t, stats.Accepted)
	})
}

// Over a real connection, Run ends at once when told to, even in the middle of a request.
func TestRunStopsPromptly(t *testing.T) {
	t.Parallel()
	requests := make(chan struct{}, 16)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body) // so that the server notices when the client goes
		if err != nil {
			return
		}
		requests <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	c := configFor(nil, io.Discard, 100)
	c.URL, c.HTTPClient = server.URL, nil
	s, err := simulator.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-requests
	stopped := time.Now()
	cancel()
	require.NoError(t, <-done)
	require.Less(t, time.Since(stopped), 2*time.Second)
	require.Zero(t, s.Stats().Requests)
}

func TestOverARealConnection(t *testing.T) {
	t.Parallel()
	a := &api{}
	server := httptest.NewServer(a)
	defer server.Close()
	c := configFor(nil, io.Discard, 400)
	c.URL, c.HTTPClient = server.URL, nil
	s, err := simulator.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	require.Eventually(t, func() bool { return s.Stats().Accepted > 200 }, 20*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.Zero(t, s.Stats().Unexpected)
	require.Empty(t, a.problems)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := configFor(&api{}, io.Discard, 1)
	for name, spoil := range map[string]func(*simulator.Config){
		"URL":             func(c *simulator.Config) { c.URL = "localhost:8080" },
		"TokenSource":     func(c *simulator.Config) { c.TokenSource = nil },
		"EventsPerSecond": func(c *simulator.Config) { c.EventsPerSecond = -1 },
		"JourneyTime":     func(c *simulator.Config) { c.JourneyTime = -1 },
		"Tenants":         func(c *simulator.Config) { c.Tenants = []string{"a", "a"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := good
			spoil(&bad)
			_, err := simulator.New(bad)
			require.ErrorContains(t, err, name)
		})
	}
	require.InDelta(t, 20, simulator.DefaultConfig().EventsPerSecond, 0)
	require.Len(t, simulator.DefaultConfig().Tenants, 4)
}
