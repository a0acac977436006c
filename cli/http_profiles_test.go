package cli

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProfilesAreForOperators(t *testing.T) {
	s := newOpsStand(t)
	s.url, _ = s.serve(t, roleQuery)
	operator := s.token("talma-pe", roleOpsRead, roleOpsWrite)
	for _, path := range []string{"heap", "goroutine", "profile?seconds=1"} {
		path = "/api/v1/debug/pprof/" + path
		status, _, _ := s.ask("", http.MethodGet, path, nil)
		require.Equal(t, http.StatusUnauthorized, status)
		status, _, _ = s.ask(s.token("talma-pe", roleOpsRead), http.MethodGet, path, nil)
		require.Equal(t, http.StatusForbidden, status)
		status, _, body := s.ask(operator, http.MethodGet, path, nil)
		require.Equal(t, http.StatusOK, status)
		unpacked, err := gzip.NewReader(bytes.NewReader(body))
		require.NoError(t, err, "a profile is a gzipped protocol buffer")
		profile, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.Contains(t, string(profile), "runtime.")
	}
	status, _, _ := s.ask(operator, http.MethodGet, "/api/v1/debug/pprof/cmdline", nil)
	require.Equal(t, http.StatusNotFound, status, "the command line may hold what is not to be shown")
	for _, seconds := range []string{"0", "0.5", "61", "soon"} {
		status, _, _ = s.ask(operator, http.MethodGet, "/api/v1/debug/pprof/profile?seconds="+seconds, nil)
		require.Equal(t, http.StatusBadRequest, status, seconds)
	}
}
