package cli

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serving is a process of its own that plays roles.
type serving struct {
	c    *cluster
	cmd  *exec.Cmd
	url  string
	done chan struct{} // closed when it has ended

	mu   sync.Mutex
	said bytes.Buffer
}

// Write gathers what the process says.
func (s *serving) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(p)
}

func (s *serving) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// spawn runs roles in a process of their own, which is ready when spawn returns. more are further environment variables.
func (c *cluster) spawn(more []string, roles ...string) *serving {
	c.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(c.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(c.t, err)
	address := listener.Addr().String()
	require.NoError(c.t, listener.Close())
	s := &serving{c: c, url: "http://" + address, done: make(chan struct{})}
	s.cmd = exec.CommandContext(context.Background(), os.Args[0], append([]string{"serve"}, roles...)...)
	s.cmd.Env = append(os.Environ(), asCommand+"=1", "RASTRO_LISTEN="+address, "RASTRO_DATABASE_URL="+c.process.Database.URL,
		"RASTRO_DATABASE_STATEMENT_TIMEOUT="+c.process.Database.StatementTimeout.String(),
		"RASTRO_NATS_URL="+c.process.Broker.NATSURL, "RASTRO_OIDC_ISSUER="+c.process.Identity.Issuer,
		"RASTRO_SESSION_KEY="+c.process.Identity.SessionKey, "RASTRO_CONFIG_DIR=", "RASTRO_LOG_LEVEL=info")
	s.cmd.Env = append(s.cmd.Env, more...)
	s.cmd.Stdout, s.cmd.Stderr = s, s
	require.NoError(c.t, s.cmd.Start())
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is in its ProcessState
	}()
	c.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if c.t.Failed() {
			c.t.Logf("%v said:\n%s", roles, s.words())
		}
	})
	require.Eventually(c.t, func() bool { return s.get("/readyz") == http.StatusOK }, 60*time.Second, 20*time.Millisecond, "%s", s.words())
	return s
}

// get returns the status of a request over a connection of its own; 0 when there is no answer.
func (s *serving) get(path string) int {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	request, err := http.NewRequestWithContext(s.c.t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		return 0
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// terminate asks the process to stop and requires that it does, well, within its deadline.
func (s *serving) terminate(deadline time.Duration) {
	t := s.c.t
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.done:
	case <-time.After(deadline):
		require.Fail(t, "it does not stop", s.words())
	}
	require.Zero(t, s.cmd.ProcessState.ExitCode(), s.words())
}

// Invariant 12, and what load balancers need: a process that is told to stop first says so at /readyz, goes on taking requests
// meanwhile, answers all that it has taken, and ends.
func TestIngestStopsWithoutFailingAnyRequest(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	leaving := c.spawn([]string{"RASTRO_SHUTDOWN_DELAY=3s", "RASTRO_SHUTDOWN_TIMEOUT=20s"}, roleIngest)
	staying := c.play(roleIngest, roleProcessor)
	require.NoError(t, c.broker.Delay(100*time.Millisecond)) // so that requests are in hand
	l := c.ledger("STOP")

	// Senders behind a load balancer, which asks /readyz every so often and sends requests to whoever is ready.
	var healthy sync.Map
	healthy.Store(leaving.url, true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				address := staying
				if ready, _ := healthy.Load(leaving.url); ready == true {
					address = leaving.url
				}
				l.post(client, address, l.take())
			}
		})
	}
	require.Eventually(t, func() bool { return l.count(http.StatusAccepted) > 50 }, 30*time.Second, 10*time.Millisecond)

	require.NoError(t, leaving.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return leaving.get("/readyz") == http.StatusServiceUnavailable }, 2500*time.Millisecond, 10*time.Millisecond,
		"it says that it stops before it stops listening")
	require.Equal(t, http.StatusOK, leaving.get("/livez"), "and still takes requests")
	healthy.Store(leaving.url, false)
	select {
	case <-leaving.done:
	case <-time.After(25 * time.Second):
		require.Fail(t, "it does not stop")
	}
	require.Zero(t, leaving.cmd.ProcessState.ExitCode(), leaving.words())
	require.Zero(t, leaving.get("/livez"), "new connections are refused")
	at := l.count(http.StatusAccepted)
	require.Eventually(t, func() bool { return l.count(http.StatusAccepted) > at }, 30*time.Second, 10*time.Millisecond)
	cancel()
	senders.Wait()
	require.NoError(t, c.broker.Mend())
	l.mu.Lock()
	failed := 0
	for _, wrong := range l.wrong {
		if !errorsWithTest(wrong) {
			failed++
			t.Log(wrong)
		}
	}
	l.mu.Unlock()
	require.Zero(t, failed, "requests that failed")
	require.Zero(t, l.count(http.StatusServiceUnavailable))
	l.resend(staying) // what the end of the test broke off
	l.requireStored(time.Minute)
}

// errorsWithTest reports whether an error is only that the test had ended.
func errorsWithTest(wrong string) bool { return strings.Contains(wrong, context.Canceled.Error()) }

// Invariant 12: processors that are told to stop under load finish what they have in hand. Nothing that was finished is delivered
// again, and nothing is lost.
func TestProcessorsStopUnderLoad(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ingest := c.play(roleIngest)
	c.play(roleProcessor) // one that stays
	l := c.ledger("TERM")
	stop := l.load(ingest, 8, time.Millisecond)
	for range 3 {
		leaving := c.spawn([]string{"RASTRO_SHUTDOWN_DELAY=0s", "RASTRO_SHUTDOWN_TIMEOUT=15s"}, roleProcessor)
		stored := c.query("SELECT count(*) FROM event_store")
		require.Eventually(t, func() bool { return c.query("SELECT count(*) FROM event_store") > stored+100 }, 30*time.Second, 10*time.Millisecond)
		leaving.terminate(20 * time.Second)
		require.NotContains(t, leaving.words(), `"level":"ERROR"`)
	}
	stop()
	require.Empty(t, l.wrong)
	l.requireStored(time.Minute)
	first, again := c.deliveries()
	t.Logf("%d frames delivered, %d of them again", first, again)
	for stage, n := range c.repeated() {
		require.Zero(t, n, "stage %s worked on events that it had finished", stage)
	}
}

// repeated returns how many events each stage passed more often than there are events.
func (c *cluster) repeated() map[string]int {
	c.t.Helper()
	all := c.query("SELECT count(*) FROM event_store")
	repeated := map[string]int{}
	for _, stage := range []string{"validate", "dedupe", "enrich", "persist"} {
		passed := func() int {
			return c.query("SELECT coalesce(sum(events), 0) FROM stage_totals WHERE pipeline = 'tracking' AND outcome = 'pass' AND stage = '" + stage + "'")
		}
		require.Eventually(c.t, func() bool { return passed() >= all }, 10*time.Second, 50*time.Millisecond, stage)
		repeated[stage] = passed() - all
	}
	return repeated
}

// While the database hangs a processor cannot finish what it has in hand. It stops within its deadline all the same, and what it
// lets go of is stored by another.
func TestAProcessorStopsWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ingest := c.play(roleIngest)
	l := c.ledger("HANG")
	leaving := c.spawn([]string{"RASTRO_SHUTDOWN_DELAY=0s", "RASTRO_SHUTDOWN_TIMEOUT=3s"}, roleProcessor)
	stop := l.load(ingest, 4, 5*time.Millisecond)
	require.Eventually(t, func() bool { return c.query("SELECT count(*) FROM event_store") > 100 }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, c.database.Silence())
	at := l.count(http.StatusAccepted)
	require.Eventually(t, func() bool { return l.count(http.StatusAccepted) > at+100 }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, leaving.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-leaving.done:
	case <-time.After(30 * time.Second): // its deadline is three seconds; a machine may be slow
		require.Fail(t, "it does not stop")
	}
	require.Zero(t, leaving.cmd.ProcessState.ExitCode(), "what it let go of is given back: %s", leaving.words())
	require.Contains(t, leaving.words(), "given back to the broker")
	require.NoError(t, c.database.Mend())
	stop()
	c.play(roleProcessor)
	l.requireStored(time.Minute)
}
