//go:build unix

package postgres

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// helperEnv makes the test binary a process that starts a server on the named folder and waits to be killed.
const helperEnv = "RASTRO_POSTGRES_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		helper(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func helper(dir string) {
	syscall.Umask(0o077)
	s, err := Start(context.Background(), Config{DataDir: dir})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("pid", s.process.pid)
	<-s.Done()
}

func start(t *testing.T, config Config) *Server {
	t.Helper()
	config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s
}

func query[T any](t *testing.T, s *Server, sql string) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	return value
}

func exec1(t *testing.T, s *Server, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// openDir returns a folder that every user can reach, which t.TempDir is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "rastro-test-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// dataDir returns a folder for a server, and takes away what a server put elsewhere for it.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "postgres")
	t.Cleanup(func() {
		if p, known, err := knownPlace(dir); err == nil && known {
			require.NoError(t, os.RemoveAll(string(p)))
		}
	})
	return dir
}

func TestEphemeralServerServesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Ephemeral: true})
	require.Equal(t, Role, query[string](t, s, "SELECT current_user"))
	require.Equal(t, "off", query[string](t, s, "SELECT CASE WHEN rolsuper THEN 'on' ELSE 'off' END FROM pg_roles WHERE rolname = current_user"))
	require.Equal(t, "off", query[string](t, s, "SHOW fsync"))

	require.NoError(t, s.Stop(t.Context()))
	require.NoDirExists(t, string(s.place))
	require.False(t, isPostmaster(s.process.pid, s.place.data()))
	require.NoError(t, s.Stop(t.Context()), "stopping again does nothing")
}

func TestServerWantsThePassword(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Ephemeral: true})
	_, err := pgx.Connect(t.Context(), strings.Replace(s.URL(), s.password, "guess", 1))
	require.ErrorContains(t, err, "28P01")
	info, err := os.Stat(s.place.password())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := start(t, Config{DataDir: dir})
	require.Equal(t, "on", query[string](t, first, "SHOW fsync"))
	exec1(t, first, "CREATE TABLE kept AS SELECT 42 AS answer")
	require.NoError(t, first.Stop(t.Context()))

	began := time.Now()
	second := start(t, Config{DataDir: dir})
	require.Less(t, time.Since(began), 15*time.Second)
	require.Equal(t, 42, query[int](t, second, "SELECT answer FROM kept"))
}

func TestSecondStartOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s := start(t, Config{DataDir: dir})
	_, err := Start(t.Context(), Config{DataDir: dir})
	require.ErrorIs(t, err, errLocked)
	require.Equal(t, 1, query[int](t, s, "SELECT 1"), "the first server is left alone")
}

func TestStartStopsTheServerOfADeadProcess(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	abandoned := start(t, Config{DataDir: dir})
	exec1(t, abandoned, "CREATE TABLE kept AS SELECT 42 AS answer")
	require.NoError(t, unlock(abandoned.lock)) // What the kernel does for a process that dies.
	abandoned.lock = nil

	s := start(t, Config{DataDir: dir})
	<-abandoned.Done()
	require.Equal(t, 42, query[int](t, s, "SELECT answer FROM kept"))
}

func TestStalePIDFileOfAnUnrelatedProcess(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s := start(t, Config{DataDir: dir})
	require.NoError(t, s.Stop(t.Context()))
	pidFile := filepath.Join(s.place.data(), pidName)
	content := fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n127.0.0.1\n", os.Getpid(), s.place.data())
	require.NoError(t, os.WriteFile(pidFile, []byte(content), 0o600))
	require.NoError(t, s.as.give(pidFile))

	again := start(t, Config{DataDir: dir})
	require.Equal(t, 1, query[int](t, again, "SELECT 1"))
}

func TestKilledParentTakesTheServerWithIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child that its parent died")
	}
	dir := dataDir(t)
	self, err := os.Executable()
	require.NoError(t, err)
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), helperEnv+"="+dir)
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "pid ")))
	require.NoError(t, err, line)
	p, known, err := knownPlace(dir)
	require.NoError(t, err)
	require.True(t, known)
	require.True(t, isPostmaster(pid, p.data()))

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	require.Eventually(t, func() bool { return !isPostmaster(pid, p.data()) }, 15*time.Second, 20*time.Millisecond)

	s := start(t, Config{DataDir: dir})
	require.Equal(t, 1, query[int](t, s, "SELECT 1"))
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	port := listener.Addr().(*net.TCPAddr).Port
	dir := dataDir(t)
	_, err = Start(t.Context(), Config{DataDir: dir, Port: port})
	require.ErrorContains(t, err, fmt.Sprintf("port %d is taken", port))

	s := start(t, Config{DataDir: dir})
	require.NotEqual(t, port, s.Port())
}

func TestFailedStartShowsTheLog(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s := start(t, Config{DataDir: dir})
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, os.WriteFile(filepath.Join(s.place.data(), "postgresql.auto.conf"), []byte("no_such_setting = 1\n"), 0o600))
	require.NoError(t, s.as.give(filepath.Join(s.place.data(), "postgresql.auto.conf")))

	_, err := Start(t.Context(), Config{DataDir: dir})
	require.ErrorContains(t, err, "no_such_setting")
	require.ErrorContains(t, err, s.LogFile())
}

func TestRootPutsUnreachableDataElsewhere(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root serves as another user")
	}
	home := filepath.Join(t.TempDir(), "home")
	require.NoError(t, os.Mkdir(home, 0o700))
	dir := filepath.Join(home, "checkout", ".rastro", "postgres")
	first := start(t, Config{DataDir: dir})
	require.NotEqual(t, dir, string(first.place))
	exec1(t, first, "CREATE TABLE kept AS SELECT 42 AS answer")
	require.NoError(t, first.Stop(t.Context()))
	second := start(t, Config{DataDir: dir})
	require.Equal(t, first.place, second.place)
	require.Equal(t, 42, query[int](t, second, "SELECT answer FROM kept"))
	require.NoError(t, second.Stop(t.Context()))

	require.NoError(t, os.RemoveAll(dir), "removing the data folder starts afresh")
	third := start(t, Config{DataDir: dir})
	t.Cleanup(func() {
		require.NoError(t, third.Stop(context.Background()))
		require.NoError(t, os.RemoveAll(string(third.place)))
	})
	require.NotEqual(t, first.place, third.place)
	require.NoDirExists(t, string(first.place))
	require.False(t, query[bool](t, third, "SELECT to_regclass('kept') IS NOT NULL"))
}

func TestRootUsesADataFolderWithinReach(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root serves as another user")
	}
	dir := filepath.Join(openDir(t), ".rastro", "postgres")
	s := start(t, Config{DataDir: dir})
	require.Equal(t, dir, string(s.place))
	info, err := os.Stat(s.place.data())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

// TestOrdinaryUser runs the tests above as a user who is not root.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	as, err := serverAccount()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	binary, err := os.ReadFile(self)
	require.NoError(t, err)
	dir := openDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "test"), binary, 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o700))
	require.NoError(t, as.give(filepath.Join(dir, "tmp")))

	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "test"), "-test.run", "^(TestRestart|TestEphemeral|TestKilled)", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(dir, "tmp"), "HOME=" + filepath.Join(dir, "tmp")}
	as.apply(cmd)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "SKIP")
	require.Contains(t, string(out), "PASS: TestRestartKeepsData")
}

func TestSweepRemovesWhatKilledTestsLeft(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Ephemeral: true})
	old := time.Now().Add(-time.Hour)

	require.NoError(t, os.Chtimes(string(s.place), old, old))
	sweepEphemeral(t.Context(), s.as)
	require.DirExists(t, string(s.place), "a living server's folder stays")

	require.NoError(t, unlock(s.lock))
	s.lock = nil
	require.NoError(t, os.Chtimes(string(s.place), old, old))
	sweepEphemeral(t.Context(), s.as)
	<-s.Done()
	require.NoDirExists(t, string(s.place))
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"no folder":   {},
		"two folders": {Ephemeral: true, DataDir: "x"},
		"bad port":    {DataDir: "x", Port: 70000},
	} {
		_, err := Start(t.Context(), config)
		require.ErrorContains(t, err, "postgres configuration", name)
	}
}
