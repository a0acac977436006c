//go:build e2e

package cli_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A browser finds a bag and a consignment among the simulated ones, reads their stories, and looks at carriers and configuration.
func TestEndToEndTraces(t *testing.T) {
	s := start(t, dataFolder(t), "127.0.0.1:0", "--simulate", "5")
	files := make([]string, 2)
	for i, name := range []string{"journey.ndjson", "consignment.ndjson"} {
		var err error
		files[i], err = filepath.Abs(filepath.Join("testdata", name))
		require.NoError(t, err)
	}
	token := s.token()
	require.Contains(t, s.must(append([]string{"send", "--json"}, files...)...), `"rejected":0`)
	s.traced(token, "/api/v1/trace/0045123456", 6)
	s.traced(token, "/api/v1/trace/157-53806270", 6)
	s.must("send", files[1]) // once more: each of its events has a copy now
	require.Eventually(t, func() bool {
		_, _, body := s.do(http.MethodGet, "/api/v1/duplicates?correlationId=157-53806270", token, "", nil)
		var found struct {
			Duplicates []struct{} `json:"duplicates"`
		}
		return json.Unmarshal(body, &found) == nil && len(found.Duplicates) == 6
	}, 30*time.Second, 50*time.Millisecond)

	cmd := exec.CommandContext(t.Context(), "npm", "run", "--silent", "e2e", "--", "traces.spec")
	cmd.Dir = "../dashboard"
	cmd.Env = append(os.Environ(), "RASTRO_E2E_URL="+s.url, "RASTRO_E2E_TRACE=0045123456", "RASTRO_E2E_AWB=157-53806270")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(string(out))
	s.interrupt()
}
