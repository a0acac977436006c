//go:build verify

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/store"
)

// program is where a program of PostgreSQL is on this machine.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	require.NoError(t, err)
	require.NotEmpty(t, found, "%s is not on this machine", name)
	return found[len(found)-1]
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// counts are what must be the same before and after.
func counts(t *testing.T, address string) map[string]int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	found := map[string]int64{}
	for _, table := range []string{"event_store", "traces", "dedupe_claims", "dead_letters", "ledger_marks", "duplicates", "audit_seals", "tenant_tracking_settings"} {
		var n int64
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n), table)
		found[table] = n
	}
	return found
}

// empty makes a database one that was just made.
func empty(t *testing.T, address string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

// post sends an event and returns the status; 0 when there was no answer.
func (e *environment) post(ctx context.Context, token, address, body string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/api/v1/events", strings.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func numbered(n int64) string {
	return strings.ReplaceAll(loadedEvent, "ROLE-1", fmt.Sprintf("DRILL-%d", n))
}

// The drill of docs/production.md: a backup is taken while events are stored, restored to a database of its own, and what is in it is whole:
// the audit finds nothing, every trace is the fold of its events, and counts are those of the moment.
func TestBackupAndRestore(t *testing.T) {
	e := newEnvironment(t)
	address, stop := e.serve(t, roleIngest, roleProcessor)
	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", roleEventsWrite)
	require.NoError(t, err)
	const events = 500
	for n := range int64(events) {
		require.Equal(t, http.StatusAccepted, e.post(t.Context(), token, address, numbered(n)))
	}
	require.Equal(t, http.StatusAccepted, e.post(t.Context(), token, address, numbered(1)), "a duplicate")
	require.Eventually(t, func() bool { return counts(t, e.process.Database.URL)["event_store"] == events }, 60*time.Second, 100*time.Millisecond)

	dump := filepath.Join(t.TempDir(), "rastro.dump")
	began := time.Now()
	sending, halt := context.WithCancel(t.Context())
	var accepted atomic.Int64
	accepted.Store(events)
	var more sync.WaitGroup
	more.Go(func() { // what is stored while the backup is taken
		for n := int64(events); sending.Err() == nil; n++ {
			if e.post(context.WithoutCancel(sending), token, address, numbered(n)) == http.StatusAccepted {
				accepted.Add(1)
			}
		}
	})
	output(t, program(t, "pg_dump"), "--format=custom", "--file="+dump, e.process.Database.URL)
	halt()
	more.Wait()
	stop()
	taken := time.Since(began)

	restored := databases.URL(t)
	empty(t, restored)
	output(t, program(t, "pg_restore"), "--no-owner", "--single-transaction", "--exit-on-error", "--dbname="+restored, dump)
	copied := counts(t, restored)
	t.Logf("backup %v, backup and restore %v, of it: %v", taken.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), copied)
	require.GreaterOrEqual(t, copied["event_store"], int64(events))
	require.Equal(t, copied["event_store"], copied["traces"], "each event is a journey of its own, and both are of one transaction")

	db, err := store.Open(t.Context(), store.Config{URL: restored})
	require.NoError(t, err)
	defer db.Close()
	report, err := db.Verify(t.Context(), store.AuditScope{}, func(f store.AuditFinding) { t.Errorf("%+v", f) }, func(string, int64, int64) {})
	require.NoError(t, err)
	require.Equal(t, copied["event_store"], report.Events)
	replay, err := db.Replay(t.Context(), store.Replay{DryRun: true})
	require.NoError(t, err)
	require.Zero(t, replay.Different+replay.Bereft, "%+v", replay)

	// And rastro goes on with it. What was acknowledged after the moment of the backup carriers send again; claims of what was not stored by
	// then would have it dropped as a copy, and go first. Then all of it is stored, once.
	e.process.Database.URL = restored
	conn, err := pgx.Connect(t.Context(), restored)
	require.NoError(t, err)
	freed, err := conn.Exec(t.Context(), "DELETE FROM dedupe_claims c WHERE NOT EXISTS (SELECT FROM event_store e WHERE e.uid = c.uid)")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	address, _ = e.serve(t, roleIngest, roleProcessor)
	for n := range accepted.Load() {
		require.Equal(t, http.StatusAccepted, e.post(t.Context(), token, address, numbered(n)))
	}
	whole := func() bool { return counts(t, restored)["event_store"] == accepted.Load() }
	if !waitFor(t, whole) {
		require.Equal(t, accepted.Load(), counts(t, restored)["event_store"])
	}
	t.Logf("%d claims of what was not stored freed; all %d events that were ever acknowledged are stored", freed.RowsAffected(), accepted.Load())
}

// waitFor reports whether something comes about within two minutes.
func waitFor(t *testing.T, condition func() bool) bool {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for ticker := time.NewTicker(200 * time.Millisecond); ; {
		if condition() {
			return true
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return false
		}
	}
}

// released is a process of one version of the binary.
type released struct {
	name, address string
	cmd           *exec.Cmd
	log           *bytes.Buffer
	done          chan error
}

func (e *environment) startReleased(t *testing.T, binary, role string) *released {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	v := &released{name: filepath.Base(binary) + " " + role, address: "http://" + address, done: make(chan error, 1)}
	v.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), binary, "serve", role)
	v.cmd.Env = append(os.Environ(), e.variables(address)...)
	v.log = &bytes.Buffer{}
	v.cmd.Stderr = v.log
	require.NoError(t, v.cmd.Start())
	go func() { v.done <- v.cmd.Wait() }()
	t.Cleanup(func() { _ = v.cmd.Process.Kill() })
	require.Eventually(t, func() bool { return get(t, v.address+readyPath) == http.StatusOK }, 60*time.Second, 50*time.Millisecond, "%s: %s", v.name, v.log)
	return v
}

func (e *environment) variables(address string) []string {
	return []string{
		"RASTRO_LISTEN=" + address, "RASTRO_DATABASE_URL=" + e.process.Database.URL, "RASTRO_NATS_URL=" + e.process.Broker.NATSURL,
		"RASTRO_OIDC_ISSUER=" + e.process.Identity.Issuer, "RASTRO_LOG_LEVEL=warn", "RASTRO_SHUTDOWN_DELAY=2s",
	}
}

func get(t *testing.T, address string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// leave ends a version as an orchestrator does, once it takes no more requests.
func (v *released) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, v.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-v.done:
		require.NoError(t, err, "%s exits with 0", v.name)
	case <-time.After(60 * time.Second):
		require.Fail(t, v.name+" does not end")
	}
}

// An upgrade as docs/production.md says: the schema first, then new processes beside the old ones, which leave once the new ones are
// ready. Meanwhile events are sent as through a load balancer, to whoever is ready. No request fails, and what was acknowledged is stored
// once. RASTRO_VERIFY_OLD and RASTRO_VERIFY_NEW are the two binaries.
func TestUpgradeWithoutDowntime(t *testing.T) {
	before, after := os.Getenv("RASTRO_VERIFY_OLD"), os.Getenv("RASTRO_VERIFY_NEW")
	require.NotEmpty(t, before)
	require.NotEmpty(t, after)
	require.NotEqual(t, output(t, before, "version"), output(t, after, "version"), "two versions")
	e := newEnvironment(t)
	empty(t, e.process.Database.URL)
	migrate := func(binary string) {
		cmd := exec.CommandContext(t.Context(), binary, "migrate")
		cmd.Env = append(os.Environ(), e.variables("127.0.0.1:0")...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	migrate(before)
	oldIngest, oldProcessor := e.startReleased(t, before, roleIngest), e.startReleased(t, before, roleProcessor)

	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", roleEventsWrite)
	require.NoError(t, err)
	var targets atomic.Pointer[[]string]
	targets.Store(&[]string{oldIngest.address})
	var sent, failed atomic.Int64
	sending, halt := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for ticker := time.NewTicker(20 * time.Millisecond); sending.Err() == nil; <-ticker.C {
				n := sent.Add(1)
				to := *targets.Load()
				if status := e.post(context.WithoutCancel(sending), token, to[int(n)%len(to)], numbered(n)); status != http.StatusAccepted {
					failed.Add(1)
					t.Errorf("event %d was answered with %d", n, status)
				}
			}
		})
	}
	defer senders.Wait()
	defer halt()
	passed := func(more int64) {
		from := sent.Load()
		require.Eventually(t, func() bool { return sent.Load() > from+more }, 60*time.Second, 10*time.Millisecond)
	}
	passed(100)
	migrate(after) // the old ones go on with the new schema
	passed(100)
	newIngest, newProcessor := e.startReleased(t, after, roleIngest), e.startReleased(t, after, roleProcessor)
	targets.Store(&[]string{oldIngest.address, newIngest.address})
	passed(100)
	left := make(chan struct{})
	go func() { // the load balancer sees that it is not ready any more
		defer close(left)
		for get(t, oldIngest.address+readyPath) == http.StatusOK {
			select {
			case <-sending.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
		targets.Store(&[]string{newIngest.address})
	}()
	oldIngest.leave(t)
	<-left
	oldProcessor.leave(t)
	passed(100)
	halt()
	senders.Wait()
	require.Zero(t, failed.Load())
	stored := func() int64 { return counts(t, e.process.Database.URL)["event_store"] }
	if !waitFor(t, func() bool { return stored() == sent.Load() }) {
		t.Logf("of %d: %v\n%s\n%s", sent.Load(), counts(t, e.process.Database.URL), newProcessor.log, oldProcessor.log)
		require.Equal(t, sent.Load(), stored())
	}
	db, err := store.Open(t.Context(), store.Config{URL: e.process.Database.URL})
	require.NoError(t, err)
	defer db.Close()
	var balances []store.Balance
	even := func() bool {
		balances, err = db.Balance(t.Context(), "talma-pe")
		return err == nil && len(balances) == 1 && balances[0].Passed == sent.Load() && balances[0].InFlight == 0
	}
	require.True(t, waitFor(t, even), "%+v", balances)
	require.Zero(t, balances[0].Twice+balances[0].Unreceived+balances[0].DeadLettered)
	newIngest.leave(t)
	newProcessor.leave(t)
	printed, err := json.Marshal(balances[0])
	require.NoError(t, err)
	u, err := url.Parse(e.process.Broker.NATSURL)
	require.NoError(t, err)
	t.Logf("%d events through an upgrade, none failed; over %s: %s", sent.Load(), u.Scheme, printed)
}
