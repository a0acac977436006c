package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
)

// stagesOf is the shipped pipeline with other stages.
func stagesOf(stages string) string {
	return "pipeline: tracking\nfrom: events.ingested\nto: events.persisted\nstages:\n" + stages
}

const (
	apart       = "  - use: validate\n  - use: dedupe\n  - use: enrich\n    with: [milestone: {catalog: milestones.yaml}]\n  - use: persist\n"
	fusedEnd    = "  - use: validate\n  - use: dedupe\n  - use: enrich\n    with: [milestone: {catalog: milestones.yaml}]\n  - {use: persist, fuse: true}\n"
	without     = "  - use: validate\n  - use: filter\n    with: {keep: 'event.tenant_id != \"\"'}\n  - use: dedupe\n  - use: persist\n"
	renamed     = "  - use: validate\n  - {use: dedupe, name: once, batch: {events: 50}}\n  - use: persist\n"
	fusedWhole  = "  - use: validate\n  - {use: dedupe, fuse: true}\n  - {use: persist, fuse: true}\n"
	doesNotLint = "  - use: valdate\n"
	personal    = "  - use: persist\n    with: {personal: [{fields: [payload.name]}]}\n"
)

// reloadable is a process of all roles that reads its pipelines from a folder and notices when they change.
type reloadable struct {
	*environment
	t    *testing.T
	url  string
	file string
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newReloadable(t *testing.T, first string) *reloadable {
	t.Helper()
	r := &reloadable{environment: newEnvironment(t), t: t, log: &lockedBuffer{}}
	r.process.ConfigDir = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(r.process.ConfigDir, "pipelines"), 0o750))
	r.file = filepath.Join(r.process.ConfigDir, "pipelines", "tracking.yaml")
	r.write(first)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	app := newApp(options{}, surroundings{
		process: r.process, roles: allRoles(), logger: slog.New(slog.NewTextHandler(r.log, nil)), listener: listener, alone: true, watch: true,
	})
	require.NoError(t, startApp(t.Context(), app))
	t.Cleanup(func() { require.NoError(t, stopApp(context.Background(), app)) })
	r.url = "http://" + listener.Addr().String()
	return r
}

func (r *reloadable) write(stages string) {
	r.t.Helper()
	r.replace(r.file, stagesOf(stages))
}

// replace writes a file as careful editors do: another one takes its name.
func (r *reloadable) replace(file, text string) {
	r.t.Helper()
	next := file + ".next"
	require.NoError(r.t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(r.t, os.Rename(next, file))
}

// reloads returns how often the configuration was read again with a result.
func (r *reloadable) reloads(result string) int {
	r.t.Helper()
	response, err := http.Get(r.url + "/metrics")
	require.NoError(r.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	found := regexp.MustCompile(`rastro_config_reloads_total\{result="` + result + `"\} (\d+)`).FindSubmatch(body)
	if found == nil {
		return 0
	}
	var n int
	_, err = fmt.Sscan(string(found[1]), &n)
	require.NoError(r.t, err)
	return n
}

// change writes the pipeline and waits until that was noticed, with the result.
func (r *reloadable) change(stages, result string) {
	r.t.Helper()
	before := r.reloads(result)
	r.write(stages)
	require.Eventually(r.t, func() bool { return r.reloads(result) > before }, 30*time.Second, 20*time.Millisecond, "%s\n%s", stages, r.log)
}

// Invariant 11: whatever a reload changes, and also when it is refused, every event that was accepted is stored once, and none
// is left behind in a topic that no stage reads any more.
func TestReloadUnderLoadLosesNothing(t *testing.T) {
	r := newReloadable(t, apart)
	// Senders are always some way ahead of the next change, but no backlog builds up that a slow machine would not work off.
	const ahead = 3000
	var accepted, sequence, allowed atomic.Int64
	var senders sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 3 {
		senders.Go(func() {
			for ctx.Err() == nil {
				if sequence.Load() >= allowed.Load() {
					select {
					case <-time.After(2 * time.Millisecond):
					case <-ctx.Done():
					}
					continue
				}
				events := make([]string, 50)
				for i := range events {
					n := sequence.Add(1)
					events[i] = fmt.Sprintf(`{"event_id":"e%d","correlation_id":"c%d","aggregate_id":"c%d","event_type":"loaded","timestamp":"2026-06-20T22:55:01Z","payload":{}}`,
						n, n%500, n%500)
				}
				if status, answer := r.do(t, http.MethodPost, r.url+"/api/v1/events", "["+strings.Join(events, ",")+"]"); status != http.StatusAccepted {
					t.Errorf("%d %s", status, answer)
					return
				}
				accepted.Add(50)
			}
		})
	}
	for _, stages := range []string{fusedEnd, without, renamed, apart, fusedEnd, apart, fusedWhole} {
		before := accepted.Load()
		allowed.Store(before + ahead)
		require.Eventually(t, func() bool { return accepted.Load() > before+500 }, 30*time.Second, time.Millisecond)
		r.change(stages, "changed")
		r.change(doesNotLint, "refused")
	}
	require.Contains(t, r.log.String(), `unknown stage \"valdate\"; did you mean \"validate\"?`)
	stop()
	senders.Wait()

	db, err := pgx.Connect(t.Context(), r.process.Database.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	counts := func() (rows, distinct, letters int64) {
		require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT event_id), (SELECT count(*) FROM dead_letters) FROM event_store`).
			Scan(&rows, &distinct, &letters))
		return rows, distinct, letters
	}
	var rows, distinct, letters int64
	for deadline := time.Now().Add(30 * time.Second); distinct < accepted.Load() && time.Now().Before(deadline); {
		rows, distinct, letters = counts()
	}
	t.Logf("%d events accepted over 14 changes of the configuration, seven of them refused", accepted.Load())
	require.Equal(t, []int64{accepted.Load(), accepted.Load(), 0}, []int64{rows, distinct, letters}, r.log)
	require.NotContains(t, r.log.String(), "not everything of the old generation was finished")
}

// What did not change goes on as it is; a pipeline that is gone ends, and nothing is kept for it.
func TestReloadLeavesAloneWhatDidNotChange(t *testing.T) {
	r := newReloadable(t, apart)
	warnings := strings.Count(r.log.String(), "level=WARN")
	other := filepath.Join(filepath.Dir(r.file), "tap.yaml")
	changed := r.reloads("changed")
	r.replace(other, "pipeline: tap\nfrom: events.persisted\nstages:\n  - use: filter\n    with: {keep: 'false'}\n")
	require.Eventually(t, func() bool { return r.reloads("changed") == changed+1 }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, r.log.String(), "pipelines=[tap]")

	unchanged := r.reloads("unchanged")
	r.write(apart)
	require.Eventually(t, func() bool { return r.reloads("unchanged") == unchanged+1 }, 20*time.Second, 20*time.Millisecond)

	unchanged = r.reloads("unchanged")
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Eventually(t, func() bool { return r.reloads("unchanged") > unchanged }, 20*time.Second, 20*time.Millisecond)

	// A file that a stage reads is part of what it runs as.
	catalog, err := os.ReadFile(filepath.Join("..", "config", "milestones.yaml"))
	require.NoError(t, err)
	r.replace(filepath.Join(r.process.ConfigDir, "milestones.yaml"), string(catalog)+"\n# another\n")
	require.Eventually(t, func() bool { return r.reloads("changed") == changed+2 }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, r.log.String(), "pipelines=\"[tap tracking]\"")

	require.NoError(t, os.Remove(other))
	require.Eventually(t, func() bool { return r.reloads("changed") == changed+3 }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, warnings, strings.Count(r.log.String(), "level=WARN"), r.log)
}

// A pipeline that says what is personal does not run without the key that it is kept by: at the start, and on a reload.
func TestPersonalRulesNeedTheKey(t *testing.T) {
	t.Parallel()
	r := newReloadable(t, apart)
	require.Contains(t, r.log.String(), "RASTRO_PERSONAL_KEY is not set")
	r.change(personal, "refused")
	require.Contains(t, r.log.String(), `says what is personal, and RASTRO_PERSONAL_KEY is not set`)

	process := r.process
	again := func() error {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = listener.Close() }()
		app := newApp(options{}, surroundings{process: process, roles: allRoles(), logger: slog.New(slog.DiscardHandler), listener: listener})
		if err := startApp(t.Context(), app); err != nil {
			return err
		}
		return stopApp(context.Background(), app)
	}
	require.ErrorContains(t, again(), "RASTRO_PERSONAL_KEY is not set")
	process.Personal.Key = seal.NewMaster()
	require.NoError(t, again())
}
