//go:build verify

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is in an image, run as an orchestrator runs it: RASTRO_VERIFY_IMAGE is a program that gives what it is called with to the image's
// entrypoint, as the image's user, below the image's root, which is read-only. RASTRO_VERIFY_COMMAND is the image's command as JSON.
// deploy/verify/images makes both. The process must be nobody in particular, its health check must tell how it is, and it must work:
// against a real PostgreSQL, a real broker and an issuer.
func TestTheImageServes(t *testing.T) {
	image := os.Getenv("RASTRO_VERIFY_IMAGE")
	require.NotEmpty(t, image)
	var command []string
	require.NoError(t, json.Unmarshal([]byte(os.Getenv("RASTRO_VERIFY_COMMAND")), &command))
	require.Equal(t, "serve", command[0])
	e := newEnvironment(t)
	empty(t, e.process.Database.URL)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), image, args...)
		cmd.Env = append(e.variables(address), "PATH="+os.Getenv("PATH"), "RASTRO_SESSION_KEY="+e.process.Identity.SessionKey,
			"RASTRO_PUBLIC_URL=http://"+address)
		return cmd
	}
	health := func(args ...string) int {
		cmd := run(append([]string{"healthcheck"}, args...)...)
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode()
	}
	require.Equal(t, exitUnreachable, health("--live"), "nobody is there yet")
	out, err := run("migrate").CombinedOutput()
	require.NoError(t, err, string(out))

	cmd := run(command...)
	log := &bytes.Buffer{}
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ready := func() bool { return get(t, "http://"+address+readyPath) == http.StatusOK }
	if !waitFor(t, ready) {
		_ = cmd.Process.Kill()
		<-done
		require.Fail(t, "it does not become ready", log.String())
	}
	require.Zero(t, health("--live"))
	require.Zero(t, health())
	requireNobody(t, cmd.Process.Pid)

	if slices.Contains(command, roleDashboard) {
		response, err := http.Get("http://" + address + "/") //nolint:noctx // the process of this test
		require.NoError(t, err)
		page, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Contains(t, string(page), "<script", "the web pages are built in")
	} else {
		status, answer := e.do(t, http.MethodPost, "http://"+address+"/api/v1/events", loadedEvent)
		require.Equal(t, http.StatusAccepted, status, answer)
		require.True(t, waitFor(t, func() bool {
			status, _ := e.do(t, http.MethodGet, "http://"+address+"/api/v1/trace/ROLE-1", "")
			return status == http.StatusOK
		}), log)
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-done:
		require.NoError(t, err, log.String())
	case <-time.After(60 * time.Second):
		require.Fail(t, "it does not end", log.String())
	}
	require.Equal(t, exitUnreachable, health("--live"), "nobody is there any more")
}

// requireNobody checks that a process is the user of the images, may do nothing beyond that, and has a root that it cannot write to.
func requireNobody(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	fields := map[string]string{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	const user = "65532 65532 65532 65532"
	require.Equal(t, user, fields["Uid"])
	require.Equal(t, user, fields["Gid"])
	require.Empty(t, fields["Groups"])
	require.Equal(t, "0000000000000000", fields["CapEff"])
	require.Equal(t, "1", fields["NoNewPrivs"])
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	require.NoError(t, err)
	readOnly := false
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/" {
			readOnly = slices.Contains(strings.Split(f[5], ","), "ro")
		}
	}
	require.True(t, readOnly, "the root can be written to:\n%s", mounts)
}
