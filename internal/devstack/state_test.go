package devstack_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// home gives the test a home, a temporary folder and a working directory of its own.
func home(t *testing.T) (cache string) {
	t.Helper()
	cache = t.TempDir()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("TMPDIR", t.TempDir())
	t.Chdir(t.TempDir())
	return filepath.Join(cache, "rastro", devstack.StateFile)
}

func livez(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func state(t *testing.T, url string) devstack.State {
	t.Helper()
	return devstack.State{
		URL: url, Issuer: url + "/oidc", TokenURL: url + "/oidc/oauth/token", ClientID: "rastro-cli", ClientSecret: "s3cret",
		PID: os.Getpid(), StartedAt: time.Date(2026, 6, 20, 10, 5, 0, 0, time.UTC), DataDir: t.TempDir(), Version: "v0.1.0",
	}
}

// deadPID returns the id of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	command := exec.Command("true")
	require.NoError(t, command.Run())
	return command.Process.Pid
}

func TestWriteThenFind(t *testing.T) {
	userCopy := home(t)
	want := state(t, livez(t))
	require.NoError(t, want.Write())

	for _, path := range []string{filepath.Join(want.DataDir, devstack.StateFile), userCopy} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
	}
	left, err := filepath.Glob(filepath.Join(want.DataDir, "*"))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file stays behind")

	for _, dataDir := range []string{want.DataDir, ""} {
		got, err := devstack.Find(t.Context(), dataDir)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestFindOrder(t *testing.T) {
	home(t)
	user := state(t, livez(t))
	require.NoError(t, user.Write())

	working := state(t, livez(t))
	working.DataDir = devstack.DefaultDataDir
	require.NoError(t, working.Write())
	require.NoError(t, user.Write()) // the user's copy is again the first one's

	named := state(t, livez(t))
	write(t, named.DataDir, named)

	got, err := devstack.Find(t.Context(), named.DataDir)
	require.NoError(t, err)
	require.Equal(t, named.URL, got.URL)

	got, err = devstack.Find(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, working.URL, got.URL)

	require.NoError(t, os.RemoveAll(devstack.DefaultDataDir))
	got, err = devstack.Find(t.Context(), t.TempDir())
	require.NoError(t, err)
	require.Equal(t, user.URL, got.URL)
}

func write(t *testing.T, dir string, s devstack.State) {
	t.Helper()
	body, err := json.Marshal(s)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, devstack.StateFile), body, 0o600))
}

func TestFindPassesOverStale(t *testing.T) {
	home(t)
	running := state(t, livez(t))
	require.NoError(t, running.Write())

	stale := state(t, "http://127.0.0.1:1")
	stale.PID = deadPID(t)
	write(t, stale.DataDir, stale)

	got, err := devstack.Find(t.Context(), stale.DataDir)
	require.NoError(t, err)
	require.Equal(t, running.URL, got.URL)
}

func TestFindPrefersOneThatAnswers(t *testing.T) {
	home(t)
	running := state(t, livez(t))
	require.NoError(t, running.Write())

	silent := state(t, "http://127.0.0.1:1") // its process is there: this very test
	write(t, silent.DataDir, silent)
	got, err := devstack.Find(t.Context(), silent.DataDir)
	require.NoError(t, err)
	require.Equal(t, running.URL, got.URL)

	require.NoError(t, running.Remove())
	got, err = devstack.Find(t.Context(), silent.DataDir)
	require.NoError(t, err)
	require.Equal(t, silent.URL, got.URL, "a process that is there may only be busy")
}

// A stack in a container shares its data folder but not its process ids.
func TestFindTrustsLivezOverThePID(t *testing.T) {
	home(t)
	elsewhere := state(t, livez(t))
	elsewhere.PID = deadPID(t)
	write(t, elsewhere.DataDir, elsewhere)
	got, err := devstack.Find(t.Context(), elsewhere.DataDir)
	require.NoError(t, err)
	require.Equal(t, elsewhere.URL, got.URL)
}

func TestFindSaysWhatToDo(t *testing.T) {
	home(t)
	_, err := devstack.Find(t.Context(), "")
	require.ErrorIs(t, err, devstack.ErrNotRunning)
	for _, hint := range []string{"make run", "rastro dev", "--url", "--token"} {
		require.ErrorContains(t, err, hint)
	}

	stale := state(t, "http://127.0.0.1:1")
	stale.PID = deadPID(t)
	require.NoError(t, stale.Write())
	_, err = devstack.Find(t.Context(), stale.DataDir)
	require.ErrorIs(t, err, devstack.ErrNotRunning)
	require.ErrorContains(t, err, "which is gone")
}

func TestFindHonoursContext(t *testing.T) {
	home(t)
	require.NoError(t, state(t, livez(t)).Write())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := devstack.Find(ctx, "")
	require.ErrorIs(t, err, context.Canceled)
}

func TestFindRefusesWhatOthersCouldHaveWritten(t *testing.T) {
	home(t)
	s := state(t, livez(t))
	write(t, s.DataDir, s)
	path := filepath.Join(s.DataDir, devstack.StateFile)
	require.NoError(t, os.Chmod(path, 0o666))
	_, err := devstack.Find(t.Context(), s.DataDir)
	require.ErrorIs(t, err, devstack.ErrNotRunning)
	require.ErrorContains(t, err, "others could have written it")

	if os.Geteuid() != 0 {
		return // only root may give files away
	}
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Chown(path, 65534, 65534))
	_, err = devstack.Find(t.Context(), s.DataDir)
	require.ErrorContains(t, err, "another user")
}

func TestFindRefusesOtherFiles(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "text": "hello", "no address": "{}", "not http": `{"url":"file:///etc","token_url":"http://x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			home(t)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, devstack.StateFile), []byte(body), 0o600))
			_, err := devstack.Find(t.Context(), dir)
			require.ErrorIs(t, err, devstack.ErrNotRunning)
			require.ErrorContains(t, err, "not a dev state")
		})
	}
}

func TestRemoveOnlyOurs(t *testing.T) {
	userCopy := home(t)
	first := state(t, livez(t))
	require.NoError(t, first.Write())
	second := state(t, livez(t))
	second.StartedAt = first.StartedAt.Add(time.Minute)
	require.NoError(t, second.Write())

	require.NoError(t, first.Remove())
	require.NoFileExists(t, filepath.Join(first.DataDir, devstack.StateFile))
	require.FileExists(t, userCopy, "the second run's")

	require.NoError(t, second.Remove())
	require.NoFileExists(t, userCopy)
	require.NoError(t, second.Remove(), "twice is fine")
}

func TestWithoutHomeTheTemporaryFolderServes(t *testing.T) {
	home(t)
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	want := state(t, livez(t))
	require.NoError(t, want.Write())
	got, err := devstack.Find(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, want, got)

	entries, err := filepath.Glob(filepath.Join(os.TempDir(), "rastro-*"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := os.Stat(entries[0])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	// A folder that others can write, or a link, is no place for a secret.
	require.NoError(t, os.Chmod(entries[0], 0o777))
	require.ErrorContains(t, want.Write(), "others could have written it")
	require.NoError(t, os.RemoveAll(entries[0]))
	require.NoError(t, os.Symlink(t.TempDir(), entries[0]))
	require.Error(t, want.Write())
	require.FileExists(t, filepath.Join(want.DataDir, devstack.StateFile))
}

func TestWriteNeedsADataFolder(t *testing.T) {
	home(t)
	require.Error(t, devstack.State{}.Write())
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	require.Error(t, devstack.State{DataDir: filepath.Join(blocked, "data")}.Write())
}
