package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/faults"
)

// outage is how long the outages of the tests are: short ones, or as long as RASTRO_TEST_OUTAGE says (60s).
func outage(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	long := os.Getenv("RASTRO_TEST_OUTAGE")
	if long == "" {
		return short
	}
	d, err := time.ParseDuration(long)
	require.NoError(t, err)
	return d
}

// inHandAtMost is how many frames a hop of these tests may have received and not settled.
const inHandAtMost = 2 * 64

// during calls check again and again for as long as an outage lasts.
func during(t *testing.T, d time.Duration, check func()) {
	t.Helper()
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for end := time.After(d); ; {
		select {
		case <-end:
			return
		case <-pace.C:
			check()
		}
	}
}

// Invariant 8: an outage of the database is not a poison message. Ingest goes on accepting, nothing becomes a dead letter, hardly
// anything is delivered twice, and once the database is back everything that was accepted is stored.
func TestAnOutageOfTheDatabaseIsNotAPoisonMessage(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		fault func(*testing.T, *faults.Proxy)
		short time.Duration
		total bool   // nothing gets through
		own   string // what befalls the server itself, which no proxy sees
	}{
		"hanging": {nil, 10 * time.Second, true, "SIGSTOP"},
		"stopped": {nil, 4 * time.Second, true, "restart"},
		"gone":    {func(_ *testing.T, p *faults.Proxy) { p.Cut() }, 5 * time.Second, true, ""},
		"silent":  {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Silence()) }, 10 * time.Second, true, ""},
		"torn":    {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Reset()) }, 3 * time.Second, false, ""},
		"slow":    {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Delay(250*time.Millisecond)) }, 3 * time.Second, false, ""},
		"narrow":  {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Throttle(50)) }, 3 * time.Second, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			mend := c.database.Mend
			if f.own != "" {
				stop := c.ownDatabase()
				if f.own == "SIGSTOP" {
					stop = c.stopServer
				}
				f.fault = func(*testing.T, *faults.Proxy) { mend = stop() }
			}
			ingest, processor := c.play(roleIngest), c.play(roleProcessor)
			l := c.ledger("OUT")
			stop := l.load(ingest, 3, 30*time.Millisecond)
			require.Eventually(t, func() bool { return c.query("SELECT count(*) FROM event_store") > 0 }, 30*time.Second, 20*time.Millisecond)

			f.fault(t, c.database)
			accepted, opened := l.count(http.StatusAccepted), false
			during(t, outage(t, f.short), func() {
				opened = opened || c.metric(processor, `rastro_breaker_state{pipeline="tracking",stage="dedupe"}`) > 0
				_, inHand := c.waiting("events-ingested", "tracking")
				require.LessOrEqual(t, inHand, inHandAtMost, "no more is received than a hop may hold")
			})
			if f.total && !opened { // What hangs is found out by its time being over.
				require.Eventually(t, func() bool {
					return c.metric(processor, `rastro_breaker_state{pipeline="tracking",stage="dedupe"}`) > 0
				}, time.Minute, 50*time.Millisecond, "the breaker must open")
			}
			require.Greater(t, l.count(http.StatusAccepted), accepted, "ingest must go on accepting")
			require.NoError(t, mend())
			stop()

			require.Empty(t, l.wrong)
			require.Empty(t, l.open(), "ingest must not refuse anything: the broker is up")
			require.Less(t, l.slowest, 6*time.Second, "ingest must not wait for the database, which is given up after six seconds")
			l.requireStored(time.Minute)
			first, again := c.deliveries()
			require.LessOrEqual(t, again, inHandAtMost, "by the broker's own counts no more is delivered again than a hop may have in hand")
			t.Logf("%d frames delivered, %d of them again", first, again)
			require.Eventually(t, func() bool {
				return c.metric(processor, `rastro_breaker_state{pipeline="tracking",stage="dedupe"}`) == 0
			}, 10*time.Second, 50*time.Millisecond)
		})
	}
}

// While the broker does not take events, nobody is told that it did: what is answered 202 is stored, once, and what is answered
// 503 may be sent again without harm.
func TestAnOutageOfTheBrokerAcceptsNothingByHalves(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		fault func(*testing.T, *faults.Proxy)
		total bool
	}{
		"gone":   {func(_ *testing.T, p *faults.Proxy) { p.Cut() }, true},
		"silent": {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Silence()) }, true},
		"torn":   {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Reset()) }, false},
		"slow":   {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Delay(250*time.Millisecond)) }, false},
		"narrow": {func(t *testing.T, p *faults.Proxy) { t.Helper(); require.NoError(t, p.Throttle(50)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.process.Ingest.Timeout = 5 * time.Second
			ingest := c.play(roleIngest)
			c.play(roleProcessor)
			l := c.ledger("BRK")
			stop := l.load(ingest, 3, 30*time.Millisecond)
			require.Eventually(t, func() bool { return c.query("SELECT count(*) FROM event_store") > 0 }, 30*time.Second, 20*time.Millisecond)
			f.fault(t, c.broker)
			during(t, outage(t, 4*time.Second), func() {})
			if f.total { // who waits for the broker is told so only once the ingest timeout is over
				require.Eventually(t, func() bool { return l.count(http.StatusServiceUnavailable) > 0 }, time.Minute, 20*time.Millisecond)
			}
			require.NoError(t, c.broker.Mend())
			stop()
			require.Empty(t, l.wrong)
			require.Less(t, l.slowest, 15*time.Second, "nobody waits for much longer than the ingest timeout of five seconds")
			l.resend(ingest)
			l.requireStored(time.Minute)
			t.Logf("answered: %v", l.statuses)
		})
	}
}

const lookupPipeline = `pipeline: gates
summary: Adds what a service knows of the gate.
from: events.ingested
stages:
  - use: enrich
    name: gate
    with:
      - lookup: {key: payload.gate, into: gate, http: {url: "%URL%/{key}", timeout: 200ms, pause: 200ms, cache: {ttl: 0s, negative_ttl: 0s}}}
to: events.gated
`

// A service that hangs or fails holds up the stage that asks it, and no other pipeline; once it works again nothing is missing.
func TestALookupServiceTripsItsOwnStageOnly(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answer := http.StatusOK
	set := func(status int) { mu.Lock(); defer mu.Unlock(); answer = status }
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		status := answer
		mu.Unlock()
		if status == 0 { // hangs
			<-r.Context().Done()
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"terminal":"T1"}`))
	}))
	t.Cleanup(service.Close)
	c := newCluster(t)
	c.process.ConfigDir = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(c.process.ConfigDir, "pipelines"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(c.process.ConfigDir, "pipelines", "gates.yaml"),
		[]byte(strings.ReplaceAll(lookupPipeline, "%URL%", service.URL)), 0o600))
	ingest, processor := c.play(roleIngest), c.play(roleProcessor)
	passed := func() float64 {
		return c.metric(processor, `rastro_stage_events_total{outcome="pass",pipeline="gates",stage="gate"}`)
	}
	l := c.ledger("GATE")
	for i, status := range []int{0, http.StatusInternalServerError} {
		stop := l.load(ingest, 2, 50*time.Millisecond)
		require.Eventually(t, func() bool { return passed() > float64(i) }, 30*time.Second, 20*time.Millisecond)
		set(status)
		require.Eventually(t, func() bool {
			return c.metric(processor, `rastro_breaker_state{pipeline="gates",stage="gate"}`) > 0
		}, 30*time.Second, 20*time.Millisecond, "its breaker opens")
		before := l.count(http.StatusAccepted)
		require.Eventually(t, func() bool { return l.count(http.StatusAccepted) >= before+20 }, 30*time.Second, 20*time.Millisecond)
		stop()
		l.requireStored(30 * time.Second) // by the other pipeline, meanwhile
		require.Zero(t, c.metric(processor, `rastro_breaker_state{pipeline="tracking",stage="enrich"}`))
		require.Less(t, passed(), float64(l.count(http.StatusAccepted)*batchSize))
		set(http.StatusOK)
		require.Eventually(t, func() bool { return passed() == float64(l.count(http.StatusAccepted)*batchSize) }, 30*time.Second, 50*time.Millisecond,
			"everything catches up")
	}
	require.Empty(t, l.wrong)
	_, again := c.deliveries()
	require.LessOrEqual(t, again, inHandAtMost)
}
