package store

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/postgres"
	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/tracking"
)

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// cluster is a primary with a streaming replica.
type cluster struct {
	server, standby *postgres.Server
	config          Config
	store, reads    *Store
	log             log
}

func startServer(t *testing.T) *postgres.Server {
	t.Helper()
	server, err := postgres.Start(t.Context(), postgres.Config{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	return server
}

func newCluster(t *testing.T, maxLag time.Duration) *cluster {
	t.Helper()
	c := &cluster{server: startServer(t)}
	var err error
	require.NoError(t, Migrate(t.Context(), c.server.URL(), slog.New(slog.DiscardHandler)))
	c.standby, err = c.server.Replica(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.standby.Stop(context.Background())) })
	keys := seal.NewMaster()
	ring, err := seal.ParseRing(keys)
	require.NoError(t, err)
	c.config = Config{URL: c.server.URL(), ReadURL: c.standby.URL(), ReadMaxLag: maxLag, PersonalKeys: ring}
	c.store, err = Open(t.Context(), c.config)
	require.NoError(t, err)
	t.Cleanup(c.store.Close)
	require.NoError(t, c.store.EnsurePartitions(t.Context(), time.Now()))
	c.reads, err = c.store.OpenReads(t.Context(), slog.New(slog.NewTextHandler(&c.log, nil)))
	require.NoError(t, err)
	t.Cleanup(c.reads.Close)
	return c
}

// ask runs a statement as a superuser of a server.
func ask(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func (c *cluster) eventuallyLogs(t *testing.T, want string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(c.log.String(), want) == times }, 20*time.Second, 20*time.Millisecond,
		"%d times %q in:\n%s", times, want, &c.log)
}

// readsFrom reports whether reads see the replica.
func (c *cluster) readsFrom(t *testing.T) (replica bool) {
	t.Helper()
	found, err := readAs(t.Context(), c.reads, "acme", pgx.RowTo[bool], "SELECT pg_is_in_recovery()")
	require.NoError(t, err)
	return found[0]
}

// Whatever the query role reads can be read from a hot standby, and gives what the primary gives.
func TestEveryReadWorksOnAReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t, time.Minute)
	fill(t, c.store, "acme")
	require.Eventually(t, func() bool { _, err := c.reads.Trace(t.Context(), "acme", "c1"); return err == nil }, 20*time.Second, 20*time.Millisecond)
	c.eventuallyLogs(t, "reads go to the read replica", 1)
	// A store that has nothing but the replica shows that each read was done there.
	config := c.config
	config.URL, config.ReadURL = config.ReadURL, ""
	alone, err := Open(t.Context(), config)
	require.NoError(t, err)
	defer alone.Close()
	written := get[string](t, c.store, "SELECT pg_current_wal_lsn()::text")
	require.Eventually(t, func() bool { return get[bool](t, alone, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", written) }, 20*time.Second, 20*time.Millisecond)
	for name, read := range everyRead(t) {
		want, err := read(c.store)
		require.NoError(t, err, name)
		for which, s := range map[string]*Store{"replica alone": alone, "reads": c.reads} {
			got, err := read(s)
			require.NoError(t, err, "%s: %s", which, name)
			require.Equal(t, want, got, "%s: %s", which, name)
		}
	}
	// What writes goes to the primary.
	persistAll(t, c.reads, newEvent("acme", "c9", "e9"))
	_, err = c.store.Trace(t.Context(), "acme", "c9")
	require.NoError(t, err)
}

// everyRead lists the calls that the query role's reads are made of.
func everyRead(t *testing.T) map[string]func(*Store) (any, error) {
	t.Helper()
	ctx, since := t.Context(), time.Now().Add(-time.Hour)
	page := SearchPage{Limit: 10}
	letters, until := LetterFilter{}, time.Now().Add(time.Hour)
	return map[string]func(*Store) (any, error){
		"trace":         func(s *Store) (any, error) { return s.Trace(ctx, "acme", "c1") },
		"trace as of":   func(s *Store) (any, error) { return s.TraceAt(ctx, "acme", "c1", Times{KnownAt: until, AsOf: until}) },
		"by aggregate":  func(s *Store) (any, error) { return s.TraceByAggregate(ctx, "acme", "0045123456") },
		"search traces": func(s *Store) (any, error) { return s.SearchTraces(ctx, "acme", TraceFilter{}, page) },
		"count traces":  func(s *Store) (any, error) { return s.CountTraces(ctx, "acme", TraceFilter{}) },
		"search events": func(s *Store) (any, error) { return s.SearchEvents(ctx, "acme", EventFilter{}, page) },
		"count events":  func(s *Store) (any, error) { return s.CountEvents(ctx, "acme", EventFilter{}) },
		"passport":      func(s *Store) (any, error) { return s.Passport(ctx, "acme", firstUID(t, s)) },
		"balance":       func(s *Store) (any, error) { return s.Balance(ctx, "acme") },
		"duplicates": func(s *Store) (any, error) {
			return s.Duplicates(ctx, "acme", DuplicateFilter{}, DuplicateCursor{}, 10)
		},
		"by source":      func(s *Store) (any, error) { return s.DuplicatesBySource(ctx, "acme", DuplicateFilter{}) },
		"copies":         func(s *Store) (any, error) { return s.Copies(ctx, "acme", []uuid.UUID{firstUID(t, s)}) },
		"identifier":     func(s *Store) (any, error) { return s.FindIdentifier(ctx, "acme", []string{"c1"}, nil) },
		"summaries":      func(s *Store) (any, error) { return s.TraceSummaries(ctx, "acme", []string{"c1"}) },
		"totals":         func(s *Store) (any, error) { return s.Totals(ctx, "acme") },
		"by minute":      func(s *Store) (any, error) { return s.StatsByMinute(ctx, "acme", since) },
		"stage times":    func(s *Store) (any, error) { return s.StageTimes(ctx, "acme", since, until) },
		"stage states":   func(s *Store) (any, error) { return s.StageStates(ctx) },
		"source stats":   func(s *Store) (any, error) { return s.SourceStats(ctx, "acme", since, until) },
		"cadences":       func(s *Store) (any, error) { return s.SourceCadences(ctx, "acme", since) },
		"letters":        func(s *Store) (any, error) { return s.Letters(ctx, "acme", letters, nil, 10) },
		"letter groups":  func(s *Store) (any, error) { return s.LetterGroups(ctx, "acme", letters, []string{"stage"}) },
		"tenant":         func(s *Store) (any, error) { return s.Tenant(ctx, "acme") },
		"tenants":        func(s *Store) (any, error) { return s.Tenants(ctx) },
		"audit":          func(s *Store) (any, error) { return s.Audit(ctx, "acme", 0, 10) },
		"schema version": func(s *Store) (any, error) { current, _, err := s.SchemaVersion(ctx); return current, err },
	}
}

func firstUID(t *testing.T, s *Store) uuid.UUID {
	t.Helper()
	found, err := s.SearchEvents(t.Context(), "acme", EventFilter{}, SearchPage{Limit: 1})
	require.NoError(t, err)
	return found[0].UID
}

// A replica that is behind is not read until it has caught up, and one that has gone not until it is back.
func TestReadsGoToThePrimaryWhileTheReplicaCannotServe(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	c.eventuallyLogs(t, "reads go to the read replica", 1)
	require.True(t, c.readsFrom(t))
	ask(t, c.standby.SuperuserURL(), "SELECT pg_wal_replay_pause()")
	persistAll(t, c.store, newEvent("acme", "c1", "e1"))
	c.eventuallyLogs(t, "the read replica is behind", 1)
	require.False(t, c.readsFrom(t))
	_, err := c.reads.Trace(t.Context(), "acme", "c1")
	require.NoError(t, err, "what the replica lacks is read at the primary")
	ask(t, c.standby.SuperuserURL(), "SELECT pg_wal_replay_resume()")
	c.eventuallyLogs(t, "reads go to the read replica", 2)
	require.True(t, c.readsFrom(t))

	// A read that is under way when the replica goes is answered by the primary.
	reading := make(chan error, 1)
	go func() {
		found, err := readAs(t.Context(), c.reads, "acme", pgx.RowTo[string],
			"SELECT CASE WHEN pg_is_in_recovery() THEN pg_sleep(60)::text ELSE 'primary' END")
		if err == nil && found[0] != "primary" {
			t.Errorf("read %q", found[0])
		}
		reading <- err
	}()
	conn, err := pgx.Connect(t.Context(), c.standby.SuperuserURL())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var n int
		return conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").Scan(&n) == nil && n == 1
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, c.standby.Stop(t.Context()))
	require.NoError(t, <-reading)
	c.eventuallyLogs(t, "the read replica does not answer", 1)
	require.False(t, c.readsFrom(t))
	require.NotContains(t, c.log.String(), "password")

	// It starts without one, and a primary that is read in its place is not written to by mistake.
	again, err := c.store.OpenReads(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer again.Close()
	_, err = again.Trace(t.Context(), "acme", "c1")
	require.NoError(t, err)
}

// Reads go on at a replica while the primary is away, however far behind it is.
func TestReadsOutliveThePrimary(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	persistAll(t, c.store, newEvent("acme", "c1", "e1"))
	require.Eventually(t, func() bool {
		found, err := readAs(t.Context(), c.reads, "acme", pgx.RowTo[bool], "SELECT pg_is_in_recovery() FROM traces")
		return err == nil && len(found) == 1 && found[0]
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, c.server.Stop(t.Context()))
	_, err := c.reads.Trace(t.Context(), "acme", "c1")
	require.NoError(t, err)
	require.Error(t, c.reads.Ping(t.Context()))
}

func TestWithoutAReplicaThePrimaryIsRead(t *testing.T) {
	t.Parallel()
	s := open(t)
	reads, err := s.OpenReads(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	persistAll(t, reads, newEvent("acme", "c1", "e1"))
	_, err = reads.Trace(t.Context(), "acme", "c1")
	require.NoError(t, err)
	reads.Close()
	require.NoError(t, s.Ping(t.Context()), "the pool is the other store's")
}

// Reads ask for nothing that a session may not which is read only.
func TestReadsNeedNoRightToWrite(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	fill(t, withKeys(t, url, seal.NewMaster()), "acme")
	readOnly, err := withSettings(url, map[string]string{"default_transaction_read_only": "on"})
	require.NoError(t, err)
	s := openURL(t, readOnly)
	for name, read := range everyRead(t) {
		_, err := read(s)
		require.NoError(t, err, name)
	}
	_, err = s.Persist(t.Context(), []*tracking.Event{newEvent("acme", "c2", "e2")})
	require.ErrorContains(t, err, "read-only transaction")
}

// While the replica does not answer no read waits for it.
func TestAReplicaThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replica{logger: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r.set(ctx, replicaReady, 0, nil)
		entered, left := make(chan struct{}), make(chan bool)
		go func() {
			_, _, done := readReplica(ctx, r, func(ctx context.Context, _ *pgxpool.Pool) ([]int, error) {
				close(entered)
				<-ctx.Done()
				return nil, ctx.Err()
			})
			left <- done
		}()
		<-entered
		r.set(ctx, replicaDown, 0, context.DeadlineExceeded)
		require.False(t, <-left)
		_, usable := r.usable()
		require.False(t, usable)
	})
}
