package auth

import (
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
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
	app.All(base+"api/v1/me", Middleware(s.verifier, s.sessions), whoAsks)

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
