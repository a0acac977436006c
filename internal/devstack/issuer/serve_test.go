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
	get := func() (int, error) {
		answer, err := client.Get(s.URL + "/.well-known/openid-configuration")
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	status, err := get()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	s.Close()
	_, err = get()
	require.Error(t, err)
}
