package auth

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
)

const serviceSecret = "only for this test"

// stand is the whole of it on loopback: the real issuer and the edges that trust it, on one port as in rastro dev.
type stand struct {
	url      string
	issuer   *issuer.Issuer
	config   issuer.Config
	verifier *Verifier
	sessions *Sessions
	clock    *clock
	down     atomic.Bool  // the issuer
	tokens   atomic.Int64 // requests to its token endpoint
}

func newStand(t *testing.T, change func(*issuer.Config, *SessionConfig)) *stand {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &stand{url: "http://" + listener.Addr().String(), clock: newClock()}

	s.config = issuer.DefaultConfig(s.url+"/oidc", serviceSecret)
	s.config.Now = s.clock.now
	cfg := DefaultSessionConfig(testKey)
	if change != nil {
		change(&s.config, &cfg)
	}
	s.issuer, err = issuer.New(s.config)
	require.NoError(t, err)
	s.verifier = newVerifier(DefaultConfig(s.config.Issuer), testClient(t), quiet(), s.clock.now)
	s.sessions, err = NewSessions(cfg, s.verifier, quiet())
	require.NoError(t, err)

	app := fiber.New(fiber.Config{ReadBufferSize: HeaderBytes, DisableStartupMessage: true})
	app.All("/oidc/*", func(c *fiber.Ctx) error {
		if s.down.Load() {
			return c.SendStatus(http.StatusBadGateway)
		}
		if strings.HasSuffix(c.Path(), "/token") {
			s.tokens.Add(1)
		}
		return c.Next()
	}, adaptor.HTTPHandler(s.issuer.Handler()))
	base := s.sessions.BasePath()
	app.Get(base+"auth/sign-in", s.sessions.SignIn)
	app.Get(base+"auth/callback", s.sessions.Callback)
	app.Post(base+"auth/sign-out", s.sessions.SignOut)
	app.Get(base, func(c *fiber.Ctx) error { return c.SendString("home") })
	app.All(base+"api/v1/me", Middleware(s.verifier, s.sessions), Me)

	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		require.NoError(t, app.ShutdownWithTimeout(5*time.Second))
		require.NoError(t, <-served)
	})
	return s
}

// browser is an HTTP client with cookies.
type browser struct {
	t      *testing.T
	client *http.Client
	stand  *stand
}

func (s *stand) browser(t *testing.T) *browser {
	t.Helper()
	cookies, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := testClient(t)
	client.Jar = cookies
	return &browser{t: t, client: client, stand: s}
}

type answer struct {
	*http.Response
	body string
}

func (b *browser) do(method, address string, header http.Header, form url.Values) answer {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.stand.url + address
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	if header != nil {
		req.Header = header.Clone()
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer func() { require.NoError(b.t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return answer{resp, string(body)}
}

func (b *browser) get(address string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, address, nil, nil)
}

// stay stops following redirects.
func (b *browser) stay() {
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}
func (b *browser) follow() { b.client.CheckRedirect = nil }

func (b *browser) cookies(path string) map[string]string {
	u, err := url.Parse(b.stand.url + path)
	require.NoError(b.t, err)
	all := map[string]string{}
	for _, c := range b.client.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

func (b *browser) set(name, value, path string) {
	u, err := url.Parse(b.stand.url)
	require.NoError(b.t, err)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: path}})
}

// choose fills in the sign-in page: one click.
func (b *browser) choose(page answer, username string) answer {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, page.StatusCode, page.body)
	users := b.stand.config.Users
	i := slices.IndexFunc(users, func(u issuer.User) bool { return u.Username == username })
	require.GreaterOrEqual(b.t, i, 0, username)
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page.body)
	require.NotNil(b.t, id, page.body)
	require.Contains(b.t, page.body, users[i].Name())
	return b.do(http.MethodPost, b.stand.config.Issuer+"/sign-in", nil, url.Values{"id": {id[1]}, "user": {users[i].Subject()}})
}

func (b *browser) signIn(username, returnTo string) answer {
	b.t.Helper()
	return b.choose(b.get(b.stand.sessions.BasePath()+"auth/sign-in?return_to="+url.QueryEscape(returnTo)), username)
}

func (b *browser) me() answer { b.t.Helper(); return b.get(b.stand.sessions.BasePath() + "api/v1/me") }

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

// callbackOf signs in up to the point where the browser would go back with a code.
func (b *browser) callbackOf(username string) *url.URL {
	b.t.Helper()
	page := b.get("/auth/sign-in?return_to=/api/v1/me")
	b.client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		if req.URL.Path == "/auth/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	stopped := b.choose(page, username)
	b.follow()
	back, err := url.Parse(stopped.Header.Get("Location"))
	require.NoError(b.t, err)
	require.Equal(b.t, "/auth/callback", back.Path)
	return back
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
