package auth

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
)

func TestTheWholeJourney(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	require.Equal(t, http.StatusUnauthorized, b.me().StatusCode)

	landed := b.signIn("rosa.quispe", "/api/v1/me?x=1")
	require.Equal(t, http.StatusOK, landed.StatusCode, landed.body)
	require.Equal(t, "/api/v1/me?x=1", landed.Request.URL.RequestURI(), "back where it began")
	var id Identity
	require.NoError(t, json.Unmarshal([]byte(landed.body), &id))
	require.Equal(t, "talma-pe", id.TenantID)
	require.Equal(t, "Rosa Quispe", id.Name)
	require.Equal(t, "rastro-dashboard", id.ClientID)
	require.Equal(t, []string{RoleEventsWrite, RoleOpsRead, RoleOpsWrite, RoleTracesRead}, id.Roles)

	for name, value := range b.cookies("/") {
		require.NotContains(t, value, "eyJ", "%s shows a token", name)
	}
	require.NotContains(t, b.cookies("/"), "rastro_id", "the ID token goes to the sign-in handlers alone")

	signOut := b.do(http.MethodPost, "/auth/sign-out", http.Header{"Sec-Fetch-Site": {"same-origin"}}, url.Values{})
	require.Equal(t, "home", signOut.body, "over the issuer's end_session back to the dashboard")
	require.Empty(t, b.cookies("/auth/"))
	require.Equal(t, http.StatusUnauthorized, b.me().StatusCode)
}

func TestSessionCookiesAreSealedAway(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(_ *issuer.Config, c *SessionConfig) { c.PublicURL = "" })
	b := s.browser(t)
	b.stay()
	started := b.get("/auth/sign-in")
	require.Equal(t, http.StatusSeeOther, started.StatusCode)
	require.Len(t, started.Cookies(), 1)
	to, err := url.Parse(started.Header.Get("Location"))
	require.NoError(t, err)
	q := to.Query()
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	for _, parameter := range []string{"code_challenge", "state", "nonce"} {
		require.GreaterOrEqual(t, len(q.Get(parameter)), 20, parameter)
	}
	for _, c := range started.Cookies() {
		require.True(t, c.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, c.SameSite)
		require.False(t, c.Secure, "plain http on loopback")
		require.Equal(t, "/auth/", c.Path)
	}

	public := newStand(t, func(i *issuer.Config, c *SessionConfig) {
		c.PublicURL, c.BasePath = "https://rastro.example", "/"
		i.Clients = []issuer.Client{issuer.WebClient("rastro-dashboard", "/", c.PublicURL)}
	}).browser(t)
	public.stay()
	secure := public.get("/auth/sign-in")
	require.True(t, strings.HasPrefix(secure.Cookies()[0].Name, "__Secure-rastro_flow"))
	require.True(t, secure.Cookies()[0].Secure)
	require.Contains(t, secure.Header.Get("Location"), url.QueryEscape("https://rastro.example/auth/callback"))
}

func TestBehindAPathPrefix(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(i *issuer.Config, c *SessionConfig) {
		c.BasePath = "/ops"
		i.Clients[0] = issuer.WebClient("rastro-dashboard", "/ops/")
	})
	b := s.browser(t)
	require.Equal(t, http.StatusOK, b.signIn("ivan.cardenas", "/ops/api/v1/me").StatusCode)
	require.Empty(t, b.cookies("/"), "other applications on the host see nothing")
	require.Equal(t, http.StatusOK, b.me().StatusCode)
	require.Equal(t, "home", b.do(http.MethodPost, "/ops/auth/sign-out", http.Header{"Origin": {s.url}}, url.Values{}).body)
}

func TestCallbackRefuses(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	altered := func(u *url.URL, parameter, value string) string {
		c, q := *u, u.Query()
		q.Set(parameter, value)
		c.RawQuery = q.Encode()
		return c.String()
	}
	fails := func(t *testing.T, b *browser, address string, status int) {
		t.Helper()
		got := b.get(address)
		require.Equal(t, status, got.StatusCode, got.body)
		require.Contains(t, got.Header.Get("Content-Type"), "text/html")
		require.Contains(t, got.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, got.body, "/auth/sign-in", "a way on")
		require.Equal(t, http.StatusUnauthorized, b.me().StatusCode, "no session began")
	}
	t.Run("another state", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		back := b.callbackOf("rosa.quispe")
		state := back.Query().Get("state")
		fails(t, b, altered(back, "state", state[:len(state)-1]+"!"), http.StatusBadRequest)
		fails(t, b, altered(back, "state", ""), http.StatusBadRequest)
	})
	t.Run("another browser", func(t *testing.T) {
		t.Parallel()
		fails(t, s.browser(t), s.browser(t).callbackOf("rosa.quispe").String(), http.StatusBadRequest)
	})
	t.Run("a code that was used", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		back := b.callbackOf("rosa.quispe")
		flows := b.cookies("/auth/")
		require.Equal(t, http.StatusOK, b.get(back.String()).StatusCode)

		thief := s.browser(t)
		fails(t, thief, back.String(), http.StatusBadRequest)
		for name, value := range flows { // even with the cookie of the sign-in
			thief.set(name, value, "/auth/")
		}
		fails(t, thief, back.String(), http.StatusUnauthorized)
	})
	t.Run("another code", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		fails(t, b, altered(b.callbackOf("rosa.quispe"), "code", "made-up"), http.StatusUnauthorized)
	})
	t.Run("somebody else's code", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		stolen := s.browser(t).callbackOf("camila.restrepo").Query().Get("code")
		fails(t, b, altered(b.callbackOf("rosa.quispe"), "code", stolen), http.StatusUnauthorized) // PKCE: wrong verifier
	})
	t.Run("the issuer says no", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		fails(t, b, altered(b.callbackOf("rosa.quispe"), "error", "access_denied"), http.StatusUnauthorized)
	})
	t.Run("another issuer's answer", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		fails(t, b, altered(b.callbackOf("rosa.quispe"), "iss", "https://evil.example"), http.StatusBadRequest)
	})
	t.Run("an ID token for another sign-in", func(t *testing.T) {
		t.Parallel()
		b := s.browser(t)
		back := b.callbackOf("rosa.quispe")
		kind := flowKind(back.Query().Get("state"))
		name := "rastro_" + kind
		var f flow
		require.NoError(t, s.sessions.sealer.open(kind, strings.TrimPrefix(b.cookies("/auth/")[name], "1."), &f))
		f.Nonce = "of another sign-in"
		text, err := s.sessions.sealer.seal(kind, f)
		require.NoError(t, err)
		b.set(name, "1."+text, "/auth/")
		fails(t, b, back.String(), http.StatusUnauthorized)
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		own := newStand(t, nil)
		b := own.browser(t)
		back := b.callbackOf("rosa.quispe")
		own.clock.advance(11 * time.Minute)
		fails(t, b, back.String(), http.StatusBadRequest)
	})
}

func TestSignInWithoutIssuer(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	s.down.Store(true)
	got := s.browser(t).do(http.MethodGet, "/auth/sign-in", http.Header{"Accept-Language": {"en-GB,en"}}, nil)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Equal(t, "5", got.Header.Get("Retry-After"))
	require.Contains(t, got.body, "cannot be reached")
}

func TestAccountThatOpensNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(i *issuer.Config, _ *SessionConfig) {
		i.Users = []issuer.User{{Username: "nobody", GivenName: "Nadie", Tenant: "talma-pe", Roles: []string{"guest"}}}
	})
	b := s.browser(t)
	got := b.signIn("nobody", "/")
	require.Equal(t, http.StatusForbidden, got.StatusCode)
	require.Contains(t, got.body, "administrador")
	require.Equal(t, http.StatusUnauthorized, b.me().StatusCode)
}

func TestTamperedSessions(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	good := b.cookies("/")
	flip := func(v string) string {
		i := len(v) / 2
		return v[:i] + string(map[bool]byte{true: 'A', false: 'B'}[v[i] != 'A']) + v[i+1:]
	}
	for name, cookies := range map[string]map[string]string{
		"altered":          {"rastro_access": flip(good["rastro_access"]), "rastro_refresh": flip(good["rastro_refresh"])},
		"swapped":          {"rastro_access": good["rastro_refresh"], "rastro_refresh": good["rastro_access"]},
		"a bare token":     {"rastro_access": "1.eyJhbGciOiJub25lIn0.e30."},
		"cut off":          {"rastro_access": good["rastro_access"][:40]},
		"of another build": {"rastro_access": "1." + strings.Repeat("A", 200)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			thief := s.browser(t)
			for k, v := range cookies {
				thief.set(k, v, "/")
			}
			got := thief.me()
			require.Equal(t, http.StatusUnauthorized, got.StatusCode)
			require.Contains(t, got.body, "session-ended")
		})
	}
	t.Run("key changed", func(t *testing.T) {
		t.Parallel()
		other := newStand(t, func(_ *issuer.Config, c *SessionConfig) { c.Key = bytes.Repeat([]byte("o"), MinKeyBytes) })
		old := other.browser(t)
		for k, v := range good {
			old.set(k, v, "/")
		}
		require.Equal(t, http.StatusUnauthorized, old.me().StatusCode)
	})
	t.Run("access lost, refresh kept", func(t *testing.T) {
		t.Parallel()
		half := s.browser(t)
		half.set("rastro_refresh", good["rastro_refresh"], "/")
		require.Equal(t, http.StatusOK, half.me().StatusCode)
	})
}

func TestChangesByCookieNeedTheDashboard(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	post := func(header http.Header) int {
		return b.do(http.MethodPost, "/api/v1/me", header, url.Values{}).StatusCode
	}
	require.Equal(t, http.StatusForbidden, post(nil))
	require.Equal(t, http.StatusForbidden, post(http.Header{"Sec-Fetch-Site": {"cross-site"}, CSRFHeader: {"1"}}))
	require.Equal(t, http.StatusOK, post(http.Header{"Sec-Fetch-Site": {"same-origin"}, CSRFHeader: {"1"}}))
	require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/auth/sign-out", nil, url.Values{}).StatusCode)
	require.Equal(t, http.StatusOK, b.me().StatusCode, "another site signs nobody out")

	token, err := s.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-ec", RoleTracesRead)
	require.NoError(t, err)
	got := b.do(http.MethodPost, "/api/v1/me", http.Header{"Authorization": {"Bearer " + token}}, url.Values{})
	require.Equal(t, http.StatusOK, got.StatusCode, "programs with tokens need no such thing")
	require.Contains(t, got.body, "talma-ec", "the header goes before the cookie")
}

func TestSignOutForScripts(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	b := s.browser(t)
	b.signIn("rosa.quispe", "/")
	got := b.do(http.MethodPost, "/auth/sign-out",
		http.Header{"Accept": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}}, url.Values{})
	var body struct{ Location string }
	require.NoError(t, json.Unmarshal([]byte(got.body), &body))
	require.True(t, strings.HasPrefix(body.Location, s.config.Issuer+"/end_session?"), body.Location)
	require.Equal(t, "home", b.get(body.Location).body)
	require.Equal(t, http.StatusUnauthorized, b.me().StatusCode)
}

func TestReturnToStaysHere(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	for _, evil := range []string{"//evil.example", `/\evil.example`, "https://evil.example", "/%2fevil.example", "/%5cevil.example"} {
		landed := s.browser(t).signIn("rosa.quispe", evil)
		require.Equal(t, s.url+"/", landed.Request.URL.String(), evil)
	}
}

func TestOversizeTokens(t *testing.T) {
	t.Parallel()
	big := func(n int) func(*issuer.Config, *SessionConfig) {
		return func(i *issuer.Config, _ *SessionConfig) {
			i.Users = []issuer.User{{Username: "big", GivenName: "B", Tenant: "talma-pe", Roles: []string{RoleTracesRead}}}
			for range n {
				i.Users[0].Roles = append(i.Users[0].Roles, strings.Repeat("r", 1000))
			}
		}
	}
	s := newStand(t, big(8))
	b := s.browser(t)
	require.Equal(t, http.StatusOK, b.signIn("big", "/api/v1/me").StatusCode, "in chunks")
	require.Greater(t, len(b.cookies("/")), 3)
	require.Equal(t, http.StatusOK, b.me().StatusCode)

	tooBig := newStand(t, big(30)).browser(t)
	require.Equal(t, http.StatusUnauthorized, tooBig.signIn("big", "/").StatusCode)
	require.Empty(t, tooBig.cookies("/"))
}

func TestSessionConfigValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultSessionConfig(testKey).Validate())
	for want, change := range map[string]func(*SessionConfig){
		"client id":  func(c *SessionConfig) { c.ClientID = "" },
		"openid":     func(c *SessionConfig) { c.Scopes = nil },
		"public URL": func(c *SessionConfig) { c.PublicURL = "https://rastro.example/ops" },
		"base path":  func(c *SessionConfig) { c.BasePath = "//evil.example/" },
		"bytes":      func(c *SessionConfig) { c.Key = nil },
		"a key has":  func(c *SessionConfig) { c.PreviousKeys = [][]byte{{1}} },
		"durations":  func(c *SessionConfig) { c.MaxAge = 0 },
	} {
		c := DefaultSessionConfig(testKey)
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}
