package auth

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
)

func TestRenewal(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	before := b.cookies("/")
	require.EqualValues(t, 1, s.tokens.Load())
	b.me()
	require.EqualValues(t, 1, s.tokens.Load(), "a fresh token is left alone")

	s.clock.advance(4*time.Minute + time.Second)
	require.Equal(t, http.StatusOK, b.me().StatusCode)
	require.EqualValues(t, 2, s.tokens.Load(), "renewed before its end")
	after := b.cookies("/")
	require.NotEqual(t, before["rastro_access"], after["rastro_access"])
	require.NotEqual(t, before["rastro_refresh"], after["rastro_refresh"])

	// A page's other requests were sent with the cookies of before; the refresh token in them is spent.
	late := s.browser(t)
	for name, value := range before {
		late.set(name, value, "/")
	}
	require.Equal(t, http.StatusOK, late.me().StatusCode)
	require.EqualValues(t, 2, s.tokens.Load())

	s.clock.advance(6 * time.Minute)
	require.Equal(t, http.StatusOK, b.me().StatusCode, "renewed after its end")
	require.EqualValues(t, 3, s.tokens.Load())

	s.clock.advance(12 * time.Hour)
	ended := b.me()
	require.Equal(t, http.StatusUnauthorized, ended.StatusCode)
	require.Contains(t, ended.body, "session-ended")
	require.Empty(t, b.cookies("/"), "what is over is cleared away")
}

func TestSessionsEndHoweverOftenRenewed(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(i *issuer.Config, _ *SessionConfig) { i.RefreshTokenTTL = 48 * time.Hour })
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	for range 3 {
		s.clock.advance(4*time.Hour - time.Minute)
		require.Equal(t, http.StatusOK, b.me().StatusCode)
	}
	s.clock.advance(3 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, b.me().StatusCode, "twelve hours after the sign-in")
}

func TestRenewalIsAskedForOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	s.clock.advance(6 * time.Minute)
	cookies := b.cookies("/")
	var wg sync.WaitGroup
	for range 20 {
		other := s.browser(t)
		for name, value := range cookies {
			other.set(name, value, "/")
		}
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/me", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := other.client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
				t.Error(resp.Status, err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 2, s.tokens.Load(), "one sign-in, one renewal")
}

func TestRenewalWithoutIssuer(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	s.down.Store(true)
	s.clock.advance(4*time.Minute + time.Second)
	require.Equal(t, http.StatusOK, b.me().StatusCode, "the token at hand is good still")
	s.clock.advance(2 * time.Minute)
	away := b.me()
	require.Equal(t, http.StatusServiceUnavailable, away.StatusCode)
	require.NotEmpty(t, b.cookies("/"), "the session is not to blame")
	s.down.Store(false)
	require.Equal(t, http.StatusOK, b.me().StatusCode)
}

func TestRevokedAtTheIssuer(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b, other := s.browser(t), s.browser(t)
	b.signIn("rosa.quispe", "/")
	other.signIn("rosa.quispe", "/")
	other.do(http.MethodPost, "/auth/sign-out", http.Header{"Origin": {s.url}}, url.Values{})
	s.clock.advance(4*time.Minute + time.Second)
	require.Equal(t, http.StatusOK, b.me().StatusCode, "good until its end")
	s.clock.advance(90 * time.Second)
	require.Equal(t, http.StatusUnauthorized, b.me().StatusCode)
	require.Empty(t, b.cookies("/"))
}
