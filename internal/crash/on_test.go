//go:build chaos

package crash_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/crash"
)

// passing says that this process is one that only passes a point.
const passing = "RASTRO_TEST_PASS_POINT"

func TestMain(m *testing.M) {
	if point := os.Getenv(passing); point != "" {
		crash.At(crash.Point(point))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// pass has another process pass a point, and returns how it ended.
func pass(t *testing.T, point crash.Point, plan string) syscall.WaitStatus {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), passing+"="+string(point), crash.Variable+"="+plan)
	_ = cmd.Run() // how it ended is what we look at
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	return status
}

func TestAProcessCrashesWhereItIsTold(t *testing.T) {
	for _, point := range crash.Points() {
		status := pass(t, point, string(point)+":1")
		require.True(t, status.Signaled(), point)
		require.Equal(t, syscall.SIGKILL, status.Signal(), point)
	}
	require.Equal(t, syscall.SIGKILL, pass(t, crash.Committed, "claim:0,commit:1").Signal())
}

func TestAProcessCrashesNowhereElse(t *testing.T) {
	for _, plan := range []string{"", "claim:0", "commit:1", "commit:1,publish:1"} {
		status := pass(t, crash.Claimed, plan)
		require.True(t, status.Exited(), plan)
		require.Zero(t, status.ExitStatus(), plan)
	}
}

func TestAPlanThatCannotBeReadIsTold(t *testing.T) {
	for _, plan := range []string{"claim", "claim:2", "claim:-1", "claim:x", "nowhere:0.5", ","} {
		status := pass(t, crash.Claimed, plan)
		require.True(t, status.Exited(), plan)
		require.Equal(t, 2, status.ExitStatus(), plan)
	}
}
