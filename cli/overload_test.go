package cli

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bounds of the memory of a process, as docs/guarantees.md states them.
const (
	// baseMemory is what a process takes with nothing in hand.
	baseMemory = 192 << 20
	// connectionMemory is what a connection takes.
	connectionMemory = 96 << 10
	// bodyMemory is how much memory the room for bodies and frames takes at most, for each byte of it.
	bodyMemory = 6
)

// overloadTime is how long the overload lasts: 10 seconds, or as long as RASTRO_TEST_OVERLOAD says (5m).
func overloadTime(t *testing.T) time.Duration {
	t.Helper()
	long := os.Getenv("RASTRO_TEST_OVERLOAD")
	if long == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(long)
	require.NoError(t, err)
	return d
}

// memory returns how much memory a process has at most had at once, in bytes.
func (s *serving) memory() int64 {
	s.c.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(s.c.t, err)
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			var kilobytes int64
			_, err := fmt.Sscan(rest, &kilobytes)
			require.NoError(s.c.t, err)
			return kilobytes << 10
		}
	}
	require.Fail(s.c.t, "there is no VmHWM")
	return 0
}

// More is sent than the broker takes, ten times over. Ingest takes what it can and tells the others when to come again; its memory
// stays within the bound that follows from its configuration, everything that it accepted is stored, and once the overload is over
// it answers as fast as before.
func TestOverloadDegradesAndNeverBreaks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read from /proc")
	}
	const room, connections, senders = 8 << 20, 128, 96
	c := newCluster(t)
	c.play(roleProcessor)
	edge := c.before(&c.process.Broker.NATSURL) // only the edge's way to the broker is narrow
	ingest := c.spawn([]string{
		fmt.Sprintf("RASTRO_INGEST_MAX_IN_FLIGHT_BYTES=%d", room), fmt.Sprintf("RASTRO_MAX_CONNECTIONS=%d", connections),
		"RASTRO_INGEST_MAX_BODY_BYTES=2097152", "RASTRO_INGEST_TIMEOUT=4s",
	}, roleIngest)
	calm := func(prefix string) time.Duration {
		l := c.ledger(prefix)
		client := &http.Client{Timeout: time.Minute}
		for range 20 {
			require.Equal(t, http.StatusAccepted, l.post(client, ingest.url, l.take()))
		}
		l.requireStored(time.Minute)
		return l.slowest
	}
	before := calm("BEFORE")

	const kilobytes = 1024 // a second
	require.NoError(t, edge.Throttle(kilobytes))
	pad := strings.Repeat("x", 100<<10)
	alone := c.ledger("ALONE") // what this way carries without overload
	alone.pad = pad
	patient := &http.Client{Timeout: time.Minute}
	require.Equal(t, http.StatusAccepted, alone.post(patient, ingest.url, alone.take()), "what lies between takes in some")
	start := time.Now()
	for range 6 {
		require.Equal(t, http.StatusAccepted, alone.post(patient, ingest.url, alone.take()))
	}
	carried := 6 / time.Since(start).Seconds()

	l := c.ledger("OVER")
	l.pad = pad
	start = time.Now()
	stop := l.load(ingest.url, senders, 10*time.Millisecond)
	var unanswered atomic.Int64
	during(t, overloadTime(t), func() {
		if ingest.get("/livez") != http.StatusOK {
			unanswered.Add(1)
		}
	})
	stop()
	lasted := time.Since(start)
	require.NoError(t, edge.Mend())

	l.mu.Lock()
	var sent, taken int
	for status, n := range l.statuses {
		sent += n
		if status == http.StatusAccepted {
			taken = n
		}
	}
	l.mu.Unlock()
	t.Logf("%d requests of %d KiB: %v", sent, batchSize*100, l.statuses)
	require.GreaterOrEqual(t, sent, 10*taken, "it must be an overload")
	goodput := float64(taken) / lasted.Seconds()
	t.Logf("accepted %.2f requests a second; without overload %.2f", goodput, carried)
	require.NotZero(t, taken, "what can be taken is taken")
	if !raceEnabled { // with it the senders take all the processors, and the broker is not what is short
		require.Greater(t, goodput, carried/2, "what can be taken is taken")
	}
	for _, wrong := range l.wrong {
		require.Contains(t, wrong, "context canceled", "every refusal says when to come again")
	}
	require.Zero(t, unanswered.Load(), "the process must stay alive to whoever looks after it")

	bound := int64(baseMemory + connections*connectionMemory + bodyMemory*room)
	t.Logf("at most %d MiB of memory; the bound is %d MiB", ingest.memory()>>20, bound>>20)
	if !raceEnabled { // which takes several times the memory
		require.Less(t, ingest.memory(), bound)
	}
	l.requireStored(2 * time.Minute)
	require.Eventually(t, func() bool { return ingest.get("/readyz") == http.StatusOK }, 30*time.Second, 50*time.Millisecond)
	require.Less(t, calm("AFTER"), max(10*before, 500*time.Millisecond), "as fast as before")
	require.Zero(t, c.query("SELECT count(*) FROM dead_letters"))
	ingest.terminate(30 * time.Second)
}

// Who connects when as many are connected as may be is told to come again, and is let in once there is room.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.process.MaxConnections = 2
	address := c.play(roleIngest)
	l := c.ledger("CONN")
	clients := make([]*http.Client, 3)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	}
	require.Equal(t, http.StatusAccepted, l.post(clients[0], address, l.take()))
	require.Equal(t, http.StatusAccepted, l.post(clients[1], address, l.take()))
	require.Equal(t, http.StatusServiceUnavailable, l.post(clients[2], address, l.take()))
	require.Empty(t, l.wrong, "the answer says when to come again")
	clients[0].CloseIdleConnections()
	require.Eventually(t, func() bool { return l.post(clients[2], address, 3) == http.StatusAccepted }, 10*time.Second, 20*time.Millisecond)
	clients[1].CloseIdleConnections()
	clients[2].CloseIdleConnections()
}

// A topic that is full loses nothing: ingest says so, and takes events again once there is room.
func TestAFullTopicIsAnAnswer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.process.Broker.MaxBytes = 1 << 20
	c.process.Ingest.Timeout = 2 * time.Second
	ingest := c.play(roleIngest)
	l := c.ledger("FULL")
	l.pad = strings.Repeat("x", 20<<10)
	client := &http.Client{Timeout: time.Minute}
	for l.count(http.StatusServiceUnavailable) == 0 {
		l.post(client, ingest, l.take())
		require.Less(t, l.next, 100, "the topic must become full")
	}
	require.NotZero(t, l.count(http.StatusAccepted))
	c.play(roleProcessor)
	l.resend(ingest)
	require.Empty(t, l.wrong)
	l.requireStored(time.Minute)
}
