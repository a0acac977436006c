package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/faults"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/devstack/postgres"
	"github.com/rastrohq/rastro/store"
)

// cluster is a production system whose database and broker are reached through proxies that break.
type cluster struct {
	*environment
	t                *testing.T
	database, broker *faults.Proxy
	sql              *pgx.Conn           // past the proxy
	js               jetstream.JetStream // past the proxy; nil over SQS
	token            string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := newClusterOver(t, config.BrokerNATS)
	conn, err := natsgo.Connect(c.process.Broker.NATSURL)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	c.js, err = jetstream.New(conn)
	require.NoError(t, err)
	c.broker = c.before(&c.process.Broker.NATSURL)
	return c
}

// newClusterOver makes a cluster with a broker of a kind, which the caller puts a proxy before.
func newClusterOver(t *testing.T, kind string) *cluster {
	t.Helper()
	c := &cluster{environment: newEnvironmentOver(t, kind), t: t}
	c.process.Database.StatementTimeout = time.Second // what does not answer is given up after six
	var err error
	c.sql, err = pgx.Connect(t.Context(), c.process.Database.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.sql.Close(context.Background()) })
	c.database = c.before(&c.process.Database.URL)
	c.token, err = c.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", "events:write", "traces:read")
	require.NoError(t, err)
	return c
}

// before puts a proxy before the server that a URL names.
func (c *cluster) before(rawURL *string) *faults.Proxy {
	c.t.Helper()
	target, err := url.Parse(*rawURL)
	require.NoError(c.t, err)
	proxy, err := faults.Start(target.Host)
	require.NoError(c.t, err)
	c.t.Cleanup(proxy.Stop)
	target.Host = proxy.Address()
	*rawURL = target.String()
	return proxy
}

// ownDatabase gives the cluster a PostgreSQL server of its own, which can be stopped without harm to others. restart stops it and
// returns what starts it again, with its data.
func (c *cluster) ownDatabase() (restart func() (mend func() error)) {
	c.t.Helper()
	where := postgres.Config{DataDir: filepath.Join(c.t.TempDir(), "postgres")}
	server, err := postgres.Start(c.t.Context(), where)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, server.Stop(context.Background())) })
	c.process.Database.URL = server.URL()
	require.NoError(c.t, store.Migrate(c.t.Context(), server.URL(), slog.New(slog.DiscardHandler)))
	require.NoError(c.t, setUp(c.t.Context(), c.process))
	require.NoError(c.t, c.sql.Close(c.t.Context()))
	c.sql, err = pgx.Connect(c.t.Context(), server.URL())
	require.NoError(c.t, err)
	where.Port = server.Port()
	return func() func() error {
		require.NoError(c.t, c.sql.Close(c.t.Context()))
		require.NoError(c.t, server.Stop(c.t.Context()))
		return func() error {
			again, err := postgres.Start(c.t.Context(), where)
			if err != nil {
				return err
			}
			server = again
			c.sql, err = pgx.Connect(c.t.Context(), server.URL())
			return err
		}
	}
}

// stopServer has every process of the cluster's own server hang (SIGSTOP), but for that of the test's connection, and returns what
// has them go on.
func (c *cluster) stopServer() (mend func() error) {
	c.t.Helper()
	var self, postmaster int
	require.NoError(c.t, c.sql.QueryRow(c.t.Context(), "SELECT pg_backend_pid()").Scan(&self))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", self))
	require.NoError(c.t, err)
	_, parent, _ := strings.Cut(string(status), "\nPPid:")
	_, err = fmt.Sscan(parent, &postmaster)
	require.NoError(c.t, err)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", postmaster))
	require.NoError(c.t, err)
	pids := []int{postmaster}
	for child := range strings.FieldsSeq(string(children)) {
		pid, err := strconv.Atoi(child)
		require.NoError(c.t, err)
		if pid != self {
			pids = append(pids, pid)
		}
	}
	send := func(signal syscall.Signal) (err error) {
		for _, pid := range pids {
			if e := syscall.Kill(pid, signal); !errors.Is(e, syscall.ESRCH) { // it may have ended
				err = errors.Join(err, e)
			}
		}
		return err
	}
	require.NoError(c.t, send(syscall.SIGSTOP))
	c.t.Cleanup(func() { _ = send(syscall.SIGCONT) })
	return func() error { return send(syscall.SIGCONT) }
}

// play runs roles in this process and returns their address.
func (c *cluster) play(roles ...string) (address string) {
	c.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(c.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(c.t, err)
	app := newApp(options{}, surroundings{process: c.process, roles: roles, logger: c.logger(), listener: listener})
	require.NoError(c.t, startApp(c.t.Context(), app))
	c.t.Cleanup(func() { require.NoError(c.t, stopApp(context.Background(), app)) })
	return "http://" + listener.Addr().String()
}

// logger says what the system says when RASTRO_TEST_LOG is set.
func (c *cluster) logger() *slog.Logger {
	if os.Getenv("RASTRO_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(c.t.Output(), nil))
}

// ledger is what senders were told.
type ledger struct {
	c      *cluster
	prefix string
	pad    string // makes events larger

	mu       sync.Mutex
	next     int
	accepted map[int]bool // by batch
	refused  map[int]bool
	statuses map[int]int
	slowest  time.Duration // of the answers with 202
	wrong    []string
}

// batchSize is how many events a request of a ledger holds.
const batchSize = 5

func (c *cluster) ledger(prefix string) *ledger {
	return &ledger{c: c, prefix: prefix, accepted: map[int]bool{}, refused: map[int]bool{}, statuses: map[int]int{}}
}

func (l *ledger) body(n int) string {
	events := make([]string, batchSize)
	for i := range events {
		events[i] = fmt.Sprintf(`{"correlation_id":"%[1]s-%[2]d","aggregate_id":"%[1]s-%[2]d","event_type":"loaded","source":"%[1]s",`+
			`"timestamp":"2026-06-20T22:55:01-05:00","event_id":"%[2]d-%[3]d","payload":{"location":"LIM","gate":"A%[3]d","pad":"%[4]s"}}`, l.prefix, n, i, l.pad)
	}
	return "[" + strings.Join(events, ",") + "]"
}

// post sends a batch, and notes what was answered; 0 when nothing was.
func (l *ledger) post(client *http.Client, address string, n int) int {
	start := time.Now()
	status, problem := 0, ""
	request, err := http.NewRequestWithContext(l.c.t.Context(), http.MethodPost, address+"/api/v1/events", strings.NewReader(l.body(n)))
	if err == nil {
		request.Header.Set("Authorization", "Bearer "+l.c.token)
		request.Header.Set("Content-Type", "application/json")
		var response *http.Response
		if response, err = client.Do(request); err == nil {
			answer, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			status, problem = response.StatusCode, complaint(response, answer)
		}
	}
	if err != nil {
		problem = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[status]++
	if problem != "" {
		l.wrong = append(l.wrong, problem)
	}
	if status != http.StatusAccepted {
		l.refused[n] = true
		return status
	}
	delete(l.refused, n)
	l.accepted[n] = true
	l.slowest = max(l.slowest, time.Since(start))
	return status
}

// complaint returns what is wrong with an answer: with 202 all events must be accepted, and whoever is refused must be told by a
// problem when to come again.
func complaint(response *http.Response, body []byte) string {
	var answer struct {
		Accepted int
		Type     string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Sprintf("%d: %v: %s", response.StatusCode, err, body)
	}
	switch response.StatusCode {
	case http.StatusAccepted:
		if answer.Accepted != batchSize {
			return fmt.Sprintf("202 for %d events", answer.Accepted)
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if response.Header.Get("Retry-After") == "" || answer.Type == "" || response.Header.Get("Content-Type") != "application/problem+json" {
			return fmt.Sprintf("%d without Retry-After or problem: %v %s", response.StatusCode, response.Header, body)
		}
	default:
		return fmt.Sprintf("%d: %s", response.StatusCode, body)
	}
	return ""
}

// take returns the number of the next batch.
func (l *ledger) take() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

// load has senders post batches, each one every so often, until the function that it returns is called.
func (l *ledger) load(address string, senders int, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(l.c.t.Context())
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			pace := time.NewTicker(every)
			defer pace.Stop()
			for ctx.Err() == nil {
				l.post(client, address, l.take())
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

// resend sends what was refused until it is accepted.
func (l *ledger) resend(address string) {
	l.c.t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for _, n := range l.open() {
		require.Eventually(l.c.t, func() bool { return l.post(client, address, n) == http.StatusAccepted }, time.Minute, 50*time.Millisecond)
	}
}

// open returns the batches that were refused, and not accepted since.
func (l *ledger) open() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var open []int
	for n := range l.refused {
		open = append(open, n)
	}
	slices.Sort(open)
	return open
}

func (l *ledger) count(status int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statuses[status]
}

// requireStored waits until every event that was accepted is stored, and requires that each is stored once, that nothing of what
// was refused is stored twice, and that nothing is a dead letter.
func (l *ledger) requireStored(within time.Duration) {
	t := l.c.t
	t.Helper()
	l.mu.Lock()
	var want []string
	for n := range l.accepted {
		for i := range batchSize {
			want = append(want, fmt.Sprintf("%d-%d", n, i))
		}
	}
	undecided := len(l.refused)
	l.mu.Unlock()
	slices.Sort(want)
	var stored []string
	deadline := time.Now().Add(within)
	for pace := time.NewTicker(50 * time.Millisecond); ; <-pace.C {
		rows, err := l.c.sql.Query(t.Context(), "SELECT event_id FROM event_store WHERE source = $1", l.prefix)
		require.NoError(t, err)
		stored, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		slices.Sort(stored)
		// What was refused may be stored as well.
		if len(stored) >= len(want) && containsAll(stored, want) || time.Now().After(deadline) {
			break
		}
	}
	distinct := slices.Compact(slices.Clone(stored))
	require.Len(t, stored, len(distinct), "an event is stored twice")
	if undecided == 0 {
		require.Equal(t, want, stored, "accepted and stored must be the same")
	} else {
		for _, id := range want {
			_, found := slices.BinarySearch(stored, id)
			require.True(t, found, "%s was accepted and is not stored", id)
		}
	}
	require.Zero(t, l.c.query("SELECT count(*) FROM dead_letters"), "dead letters")
	require.Equal(t, len(distinct), l.c.query("SELECT coalesce(sum(event_count), 0) FROM traces WHERE correlation_id LIKE '"+l.prefix+"-%'"), "traces")
}

// containsAll reports whether all that is wanted is there; both are sorted.
func containsAll(there, want []string) bool {
	for _, id := range want {
		if _, found := slices.BinarySearch(there, id); !found {
			return false
		}
	}
	return true
}

func (c *cluster) query(sql string) (n int) {
	c.t.Helper()
	require.NoError(c.t, c.sql.QueryRow(c.t.Context(), sql).Scan(&n))
	return n
}

// deliveries returns how many frames the broker has delivered, and how many of these deliveries were not the first.
func (c *cluster) deliveries() (first, again int) {
	c.t.Helper()
	streams := c.js.ListStreams(c.t.Context())
	for s := range streams.Info() {
		stream, err := c.js.Stream(c.t.Context(), s.Config.Name)
		require.NoError(c.t, err)
		readers := stream.ListConsumers(c.t.Context())
		for r := range readers.Info() {
			first += int(r.Delivered.Stream)
			again += int(r.Delivered.Consumer) - int(r.Delivered.Stream)
		}
		require.NoError(c.t, readers.Err())
	}
	require.NoError(c.t, streams.Err())
	return first, again
}

// waiting returns how many frames wait for the hop that reads a topic, those in hand included.
func (c *cluster) waiting(stream, reader string) (pending, inHand int) {
	c.t.Helper()
	consumer, err := c.js.Consumer(c.t.Context(), stream, reader)
	require.NoError(c.t, err)
	info := consumer.CachedInfo()
	return int(info.NumPending), info.NumAckPending
}

// metric returns the value of a metric as an address tells it, with its labels as they are written; 0 when it is not there.
func (c *cluster) metric(address, name string) (value float64) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, address+"/metrics", http.NoBody)
	require.NoError(c.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	for line := range strings.Lines(string(body)) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			_, err := fmt.Sscan(rest, &value)
			require.NoError(c.t, err)
		}
	}
	return value
}
