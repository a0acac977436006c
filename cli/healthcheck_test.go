package cli

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthcheckAsksTheProcessOfItsMachine(t *testing.T) {
	ready := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case livePath:
			_, _ = w.Write([]byte(`{"status":"ok"}`))
		case readyPath:
			w.WriteHeader(ready)
			_, _ = w.Write([]byte(`{"dependencies":{"database":"unavailable"}}`))
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	run := func(listen string, args ...string) (string, int) {
		t.Helper()
		var out bytes.Buffer
		cmd := newRootCommand(options{}, streams{getenv: func(name string) string {
			return map[string]string{"RASTRO_LISTEN": listen, "HTTP_PROXY": "http://192.0.2.1:1"}[name]
		}})
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append([]string{"healthcheck"}, args...))
		code := exitCode(cmd.ExecuteContext(t.Context()))
		return strings.TrimSpace(out.String()), code
	}
	for _, listen := range []string{":" + port, "0.0.0.0:" + port, "127.0.0.1:" + port} {
		out, code := run(listen)
		require.Equal(t, exitOK, code, listen)
		require.JSONEq(t, `{"dependencies":{"database":"unavailable"}}`, out)
	}
	ready = http.StatusServiceUnavailable
	out, code := run(":" + port)
	require.Equal(t, exitFailure, code, "its database does not answer")
	require.Contains(t, out, "unavailable", "it says what is wrong")
	_, code = run(":"+port, "--live")
	require.Equal(t, exitOK, code, "and yet it lives")
	_, code = run("nowhere", "--url", server.URL+"/", "--live")
	require.Equal(t, exitOK, code, "an address counts before the variable")

	server.Close()
	_, code = run(":"+port, "--live")
	require.Equal(t, exitUnreachable, code)
	_, code = run("8080")
	require.Equal(t, exitUsage, code, "no address")
	_, code = run(":"+port, "--timeout", "0s")
	require.Equal(t, exitUsage, code)
}

func TestOwnAddress(t *testing.T) {
	for listen, want := range map[string]string{
		":8080": "http://127.0.0.1:8080", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://[::1]:1", "10.0.0.7:80": "http://10.0.0.7:80",
	} {
		got, err := ownAddress(listen)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
