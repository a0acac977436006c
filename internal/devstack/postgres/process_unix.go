//go:build unix && !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
)

// dieWithParent does nothing: only Linux has such a signal. The next start on the same folder cleans up.
func dieWithParent(*exec.Cmd, bool) {}

// isPostmaster reports whether a running process is the postmaster of dataDir, and not one that got its pid later.
func isPostmaster(pid int, dataDir string) bool {
	out, err := exec.Command("ps", "-p", strconv.Itoa(pid), "-o", "command=").Output() //nolint:gosec // A number.
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), dataDir)
}
