//go:build unix && !linux

package postgres

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// dieWithParent does nothing: only Linux has such a signal. The next start on the same folder cleans up.
func dieWithParent(*exec.Cmd, bool) {}

// isPostmaster reports whether a running process is the postmaster of dataDir, and not one that got its pid later.
func isPostmaster(pid int, dataDir string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-p", strconv.Itoa(pid), "-o", "command=").Output() //nolint:gosec // A number.
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), dataDir)
}
