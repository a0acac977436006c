package issuer

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process beside it finds the issuer at its URL, until it is closed.
func TestServedIssuerIsFoundAtItsURL(t *testing.T) {
	s, err := Serve(t.Context(), time.Hour)
	require.NoError(t, err)
	token, err := s.Mint(t.Context(), ServiceClientID, "talma-pe", "events:write")
	require.NoError(t, err)
	require.NotEmpty(t, token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func() (*http.Response, error) { return client.Get(s.URL + "/.well-known/openid-configuration") } //nolint:noctx // a test
	answer, err := get()
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	s.Close()
	_, err = get()
	require.Error(t, err)
}
