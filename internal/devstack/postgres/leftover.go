package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidName is the file in which a postmaster says who it is. It outlives a postmaster that was killed.
const pidName = "postmaster.pid"

// stopLeftover stops the server that an earlier process left on the data directory, if there is one, and removes what it left
// behind. The caller holds the lock of the folder, so the server is nobody's.
func stopLeftover(ctx context.Context, dataDir string) error {
	pid, err := postmasterPID(dataDir)
	if err != nil {
		return err
	}
	if pid != 0 && isPostmaster(pid, dataDir) {
		if err := stopStranger(ctx, pid, dataDir); err != nil {
			return fmt.Errorf("stop the PostgreSQL (process %d) that was left on %s: %w", pid, dataDir, err)
		}
	}
	// The pid of a killed postmaster may belong to another process by now, and PostgreSQL would take that for a running server.
	if err := os.Remove(filepath.Join(dataDir, pidName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale %s: %w", pidName, err)
	}
	return nil
}

// postmasterPID returns the process that the data directory's pid file names, or 0.
func postmasterPID(dataDir string) (int, error) {
	content, err := os.ReadFile(filepath.Join(dataDir, pidName)) //nolint:gosec // A path of ours.
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", pidName, err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return 0, nil //nolint:nilerr // Cut short by a crash: it names nobody.
	}
	return pid, nil
}

// stopStranger stops a postmaster that is no child of ours: politely, then less so.
func stopStranger(ctx context.Context, pid int, dataDir string) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{fastShutdown, 10 * time.Second}, {immediateShutdown, 5 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
		if err := signal(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		gone, err := poll(ctx, step.wait, func() bool { return !isPostmaster(pid, dataDir) })
		if gone || err != nil {
			return err
		}
	}
	return errors.New("it does not die")
}

// poll asks until the answer is yes (true), the time is up (false) or ctx ends.
func poll(ctx context.Context, wait time.Duration, ask func() bool) (bool, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-timeout.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}
