package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/store"
)

// What a sender's request became can be found by the trace that the sender names: the answer says it, and so does the dead letter.
func TestADeadLetterNamesItsSendersTrace(t *testing.T) {
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	s := newOpsStand(t)
	s.url, _ = s.serve(t, roleIngest, roleProcessor, roleQuery)
	sender, err := s.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", "events:write")
	require.NoError(t, err)
	for _, named := range []string{"00-" + traceID + "-" + parent + "-01", ""} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/events", strings.NewReader(
			`{"correlation_id":"TRACED`+named+`","aggregate_id":"BAG","event_type":"loaded","source":"LA","timestamp":"`+
				time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339)+`","payload":{"location":"LIM"}}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+sender)
		request.Header.Set("Content-Type", "application/json")
		if named != "" {
			request.Header.Set("traceparent", named)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusAccepted, response.StatusCode)
		answered := strings.Split(response.Header.Get("traceparent"), "-")
		require.Len(t, answered, 4)
		if named != "" {
			require.Equal(t, traceID, answered[1])
			require.NotEqual(t, parent, answered[2])
		}
		var letters []store.Letter
		require.Eventually(t, func() bool {
			_, _, body := s.ask(s.token("talma-pe", roleOpsRead), http.MethodGet, "/api/v1/dead-letters?correlationId=TRACED"+named, nil)
			letters = decodeAs[ops.LetterPage](t, body).Items
			return len(letters) == 1
		}, 20*time.Second, 20*time.Millisecond)
		require.Equal(t, "future", letters[0].Code)
		require.Equal(t, answered[1], letters[0].TraceID)
	}
}
