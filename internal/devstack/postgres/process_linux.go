package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// dieWithParent has the kernel shut the server down when the thread that started it ends, and so when we are killed.
func dieWithParent(cmd *exec.Cmd, ephemeral bool) {
	cmd.SysProcAttr.Pdeathsig = fastShutdown
	if ephemeral {
		cmd.SysProcAttr.Pdeathsig = immediateShutdown
	}
}

// isPostmaster reports whether a running process is the postmaster of dataDir, and not one that got its pid later. The
// postmaster's working directory is its data directory.
func isPostmaster(pid int, dataDir string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	resolved, err := filepath.EvalSymlinks(dataDir)
	return err == nil && cwd == resolved
}
