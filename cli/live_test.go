package cli

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
)

// An event that one process takes in and another stores shows on a stream of a third, with what it took.
func TestAnEventShowsLive(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	ingest, _ := e.serve(t, roleIngest)
	e.serve(t, roleProcessor)
	query, _ := e.serve(t, roleQuery)
	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", "ops:read", "traces:read")
	require.NoError(t, err)
	get := func(path string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, query+"/api/v1/"+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	stream := bufio.NewScanner(get("stream?events=trace&correlationPrefix=ROLE").Body) //nolint:bodyclose // get has it closed.
	status, answer := e.do(t, http.MethodPost, ingest+"/api/v1/events", loadedEvent)
	require.Equal(t, http.StatusAccepted, status, answer)
	for told := false; !told; {
		require.True(t, stream.Scan())
		told = strings.HasPrefix(stream.Text(), "data: ") && strings.Contains(stream.Text(), `"correlation_id":"ROLE-1"`)
	}
	require.Eventually(t, func() bool {
		var overview live.Overview
		response := get("overview") //nolint:bodyclose // get has it closed.
		return json.NewDecoder(response.Body).Decode(&overview) == nil && overview.Latency != nil && overview.Latency.Count == 1
	}, 20*time.Second, 200*time.Millisecond)
	var stages live.StageList
	require.NoError(t, json.NewDecoder(get("stages").Body).Decode(&stages)) //nolint:bodyclose // get has it closed.
	for _, s := range stages.Items {
		require.Equal(t, "closed", s.Breaker, s.ID)
		require.Equal(t, 1, s.Processes)
	}
}
