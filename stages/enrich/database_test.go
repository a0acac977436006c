package enrich

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func newDatabaseOfGates(tb testing.TB) string {
	tb.Helper()
	url := databases.URL(tb)
	execute(tb, url, `
		CREATE TABLE gates (code text PRIMARY KEY, number int, zone text, opened timestamptz, id uuid, price numeric, tags text[], extra jsonb);
		INSERT INTO gates VALUES
			('A1', 1, 'north', '2026-06-20 12:00+02', '0197f2a0-0000-7000-8000-000000000001', 12345678901234567890.5, '{a,b}', '{"x": 1}'),
			('B"2', 2, NULL, NULL, NULL, NULL, NULL, NULL),
			('huge', 3, repeat('x', 70000), NULL, NULL, NULL, NULL, NULL);`)
	return url
}

func execute(tb testing.TB, url, sql string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	require.NoError(tb, err)
	_, err = conn.Exec(tb.Context(), sql)
	require.NoError(tb, err)
	require.NoError(tb, conn.Close(tb.Context()))
}

func pgStep(url, query, more string) string {
	return "- lookup: {key: payload.gate, into: gate, postgres: {url: '" + url + "', query: \"" + query + "\"" + more + "}}"
}

func TestLookupInADatabase(t *testing.T) {
	t.Parallel()
	url := newDatabaseOfGates(t)
	stage := open(t, settings(), pgStep(url, "SELECT number, zone, opened, id, price, tags, extra FROM gates WHERE code = $1 -- a gate", ""))
	events := gateEvents("A1", `B"2`, "C3", "A1", "a\x00b", "huge", "A1'; DROP TABLE gates; --")
	batch, err := lookUp(t, stage, events...)
	require.NoError(t, err)
	require.Equal(t, len(events), batch.PendingLen())
	got := attributes("gate", events...)
	require.Equal(t, `{"number":1,"zone":"north","opened":"2026-06-20T10:00:00+00:00","id":"0197f2a0-0000-7000-8000-000000000001",`+
		`"price":12345678901234567890.5,"tags":["a","b"],"extra":{"x": 1}}`, got[0])
	require.Equal(t, `{"number":2,"zone":null,"opened":null,"id":null,"price":null,"tags":null,"extra":null}`, got[1])
	require.Equal(t, got[0], got[3])
	for _, i := range []int{2, 4, 5, 6} {
		require.Empty(t, got[i])
	}
}

// A key that cannot be one has no entry; its batch mates have theirs.
func TestKeysThatTheDatabaseCannotTake(t *testing.T) {
	t.Parallel()
	stage := open(t, settings(), pgStep(newDatabaseOfGates(t), "SELECT zone FROM gates WHERE number = $1;", ""))
	events := gateEvents("x", "1", "two", "2", "99999999999", "3.5")
	_, err := lookUp(t, stage, events...)
	require.NoError(t, err)
	require.Equal(t, []string{"", `{"zone":"north"}`, "", `{"zone":null}`, "", ""}, attributes("gate", events...))
}

// One round trip a batch: the query is seen by the server as often as there are keys, between one pair of messages.
func TestABatchOfKeysIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	url := newDatabaseOfGates(t)
	proxy := newCountingProxy(t, url)
	stage := open(t, settings(), pgStep(proxy.url, "SELECT zone FROM gates WHERE code = $1", ", conns: 1"))
	_, err := lookUp(t, stage, gateEvents("A1")...) // connects and prepares
	require.NoError(t, err)
	before := proxy.turns.Load()
	_, err = lookUp(t, stage, gateEvents("A2", "A3", "A4", "A5", "A6", "A7", "A8")...)
	require.NoError(t, err)
	require.EqualValues(t, 1, proxy.turns.Load()-before)
}

func TestADatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	url := newDatabaseOfGates(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refused := "postgres://rastro:secret@" + listener.Addr().String() + "/x"
	require.NoError(t, listener.Close())
	execute(t, url, "CREATE SEQUENCE s")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for name, c := range map[string]struct{ url, query, want string }{
		"refused":      {refused, "SELECT zone FROM gates WHERE code = $1", "connection refused"},
		"hangs":        {"postgres://u@" + silent.Addr().String() + "/x?sslmode=disable", "SELECT zone FROM gates WHERE code = $1", "no answer within 300ms"},
		"slow":         {url, "SELECT pg_sleep(10) FROM gates WHERE $1 <> ''", "no answer within 300ms|statement timeout"},
		"wrong":        {url, "SELECT zone FROM gaits WHERE code = $1", `relation "gaits" does not exist`},
		"not a SELECT": {url, "DELETE FROM gates WHERE code = $1", "syntax error"},
		"writes":       {url, "SELECT setval('s', 1) FROM gates WHERE code = $1", "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage := open(t, settings(), pgStep(c.url, c.query, ", timeout: 300ms"))
			batch, err := lookUp(t, stage, gateEvents("A1", "A2")...)
			require.Error(t, err)
			require.Regexp(t, c.want, err.Error())
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, 2, batch.PendingLen())
		})
	}
}

func TestADatabaseThatComesBack(t *testing.T) {
	t.Parallel()
	url := newDatabaseOfGates(t)
	stage := open(t, settings(), pgStep(url, "SELECT zone FROM gates WHERE code = $1", ", pause: 1ms, cache: {ttl: 0s}"))
	_, err := lookUp(t, stage, gateEvents("A1")...)
	require.NoError(t, err)
	execute(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	require.Eventually(t, func() bool {
		events := gateEvents("A1")
		_, err := lookUp(t, stage, events...)
		return err == nil && attributes("gate", events...)[0] == `{"zone":"north"}`
	}, 10*time.Second, 10*time.Millisecond)
}

func TestAClosedStageDoesNotConnect(t *testing.T) {
	t.Parallel()
	built, err := tryOpen(settings(), pgStep(strings.Replace(newDatabaseOfGates(t), "rastro lookup", "", 1), "SELECT zone FROM gates WHERE code = $1", ""))
	require.NoError(t, err)
	require.NoError(t, built.(*stage).Close())
	_, err = lookUp(t, built, gateEvents("A1")...)
	require.ErrorIs(t, err, errClosed)
}
