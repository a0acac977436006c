package dashboard

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	built "github.com/rastrohq/rastro/dashboard"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

const page = `<!doctype html><html><head><base href="/"><meta name="csp-nonce" content=""></head><body>Rastro</body></html>`

var script = strings.Repeat("console.log('rastro');\n", 200)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func unzipped(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}

func testFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		"index.html":            {Data: []byte(page)},
		"boot.js":               {Data: []byte("boot()")},
		"favicon.svg":           {Data: []byte("<svg/>")},
		"assets/app-abc.js":     {Data: []byte(script)},
		"assets/pre-abc.css":    {Data: []byte("body{color:red}")},
		"assets/pre-abc.css.gz": {Data: zipped(t, "body{color:red}")},
		"assets/inter.woff2":    {Data: bytes.Repeat([]byte{0, 1, 2, 3}, 600)},
	}
}

func edge(t *testing.T, base string) *fiber.App {
	t.Helper()
	cfg := auth.DefaultSessionConfig(bytes.Repeat([]byte("k"), auth.MinKeyBytes))
	cfg.BasePath = base
	logger := slog.New(slog.DiscardHandler)
	verifier := auth.NewVerifier(auth.DefaultConfig("https://id.example/realms/rastro"), &http.Client{Transport: down{}}, logger)
	sessions, err := auth.NewSessions(cfg, verifier, logger)
	require.NoError(t, err)
	app := fiber.New(fiber.Config{ErrorHandler: problem.Handler(func(_ *fiber.Ctx, err error) { t.Error(err) })})
	app.Get(sessions.BasePath()+"api/v1/me", verifier.Authenticate(), whoAsks)
	dashboard := DefaultConfig(testFiles(t))
	dashboard.BasePath = base
	require.NoError(t, Register(app, dashboard, sessions))
	return app
}

// whoAsks answers who is asking.
func whoAsks(c *fiber.Ctx) error {
	id, _ := auth.FromContext(c.UserContext())
	return c.JSON(id)
}

// down is an issuer that cannot be reached.
type down struct{}

func (down) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// reply is what is looked at of an answer besides its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

func get(t *testing.T, app *fiber.App, path string, header ...string) (reply, string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := app.Test(req, 5000)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header}, string(body)
}

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestThePageSaysWhichRastroItIs(t *testing.T) {
	t.Parallel()
	f := &files{page: page + environmentElement}
	require.Contains(t, f.index("/", "n", `prod "eu"`), `<meta name="rastro-environment" content="prod &#34;eu&#34;">`)
}

func TestIndex(t *testing.T) {
	t.Parallel()
	app := edge(t, "/")
	seen := map[string]bool{}
	for _, path := range []string{"/", "/index.html", "/traces/BAG.001?tab=raw"} {
		resp, body := get(t, app, path, "Accept", browser)
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", resp.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "same-origin", resp.Header.Get("Referrer-Policy"))
		require.Contains(t, body, `<base href="/">`)
		nonce := regexp.MustCompile(`<meta name="csp-nonce" content="([A-Z2-7]{20,})">`).FindStringSubmatch(body)
		require.NotNil(t, nonce, body)
		require.False(t, seen[nonce[1]], "a nonce is used once")
		seen[nonce[1]] = true
		policy := resp.Header.Get("Content-Security-Policy")
		require.Equal(t, "default-src 'self'; script-src 'self'; style-src 'self' 'nonce-"+nonce[1]+"'; img-src 'self' data:; "+
			"object-src 'none'; base-uri 'self'; form-action 'self' https://id.example; frame-ancestors 'none'", policy)
	}
}

func TestWhoIsNotSignedInIsSentToSignInAndBack(t *testing.T) {
	t.Parallel()
	app := edge(t, "/")
	resp, _ := get(t, app, "/traces/BAG.001?tab=raw", "Accept", browser, "Sec-Fetch-Mode", "navigate")
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, "/auth/sign-in?return_to=%2Ftraces%2FBAG.001%3Ftab%3Draw", resp.Header.Get("Location"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
}

func TestFiles(t *testing.T) {
	t.Parallel()
	app := edge(t, "/")
	for path, want := range map[string]struct{ contentType, cache, body string }{
		"/boot.js":            {"text/javascript; charset=utf-8", "no-cache", "boot()"},
		"/favicon.svg":        {"image/svg+xml", "no-cache", "<svg/>"},
		"/assets/app-abc.js":  {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable", script},
		"/assets/pre-abc.css": {"text/css; charset=utf-8", "public, max-age=31536000, immutable", "body{color:red}"},
	} {
		resp, body := get(t, app, path)
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.Equal(t, want.contentType, resp.Header.Get("Content-Type"))
		require.Equal(t, want.cache, resp.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Empty(t, resp.Header.Get("Content-Encoding"))
		require.Equal(t, want.body, body)

		etag := resp.Header.Get("ETag")
		again, empty := get(t, app, path, "If-None-Match", `"x", `+strings.TrimPrefix(etag, "W/"))
		require.Equal(t, http.StatusNotModified, again.StatusCode)
		require.Empty(t, empty)
		require.Equal(t, etag, again.Header.Get("ETag"))
	}
	for _, path := range []string{"/assets/app-abc.js", "/assets/pre-abc.css"} {
		plain, text := get(t, app, path)
		resp, body := get(t, app, path, "Accept-Encoding", "gzip, deflate, br")
		require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", resp.Header.Get("Vary"))
		require.Equal(t, "Accept-Encoding", plain.Header.Get("Vary"), "caches must know")
		require.Equal(t, text, unzipped(t, body))
	}
	refused, _ := get(t, app, "/assets/app-abc.js", "Accept-Encoding", "gzip;q=0, identity")
	require.Empty(t, refused.Header.Get("Content-Encoding"))
	resp, _ := get(t, app, "/assets/inter.woff2", "Accept-Encoding", "gzip")
	require.Equal(t, "font/woff2", resp.Header.Get("Content-Type"))
	require.Empty(t, resp.Header.Get("Content-Encoding"), "compressed already")
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"/", "/ops/"} {
		app := edge(t, base)
		for path, accept := range map[string]string{
			"assets/old-chunk.js":     browser,
			"assets":                  browser,
			"assets/pre-abc.css.gz":   browser,
			"api/v1/nothing":          browser,
			"api":                     browser,
			"auth/nothing":            browser,
			"traces/BAG001":           "application/json",
			"robots.txt":              "*/*",
			"assets/../../etc/passwd": "*/*",
		} {
			resp, body := get(t, app, base+path, "Accept", accept)
			require.Equal(t, http.StatusNotFound, resp.StatusCode, path)
			require.Equal(t, problem.ContentType, resp.Header.Get("Content-Type"), path)
			require.Contains(t, body, "/problems/not-found")
		}
		resp, _ := get(t, app, base+"api/v1/me", "Accept", browser)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "routes of others stay theirs")
		resp, body := get(t, app, base+"auth/sign-in")
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.Contains(t, body, base+"auth/sign-in", "the way to try again")
	}
}

func TestUnderAPathPrefix(t *testing.T) {
	t.Parallel()
	app := edge(t, "/ops")
	for _, path := range []string{"/ops/", "/ops/traces/1"} {
		resp, body := get(t, app, path, "Accept", browser)
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.Contains(t, body, `<base href="/ops/">`)
	}
	resp, _ := get(t, app, "/ops", "Accept", browser)
	require.Equal(t, http.StatusPermanentRedirect, resp.StatusCode)
	require.Equal(t, "/ops/", resp.Header.Get("Location"))
	resp, _ = get(t, app, "/ops/assets/app-abc.js")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	resp, _ = get(t, app, "/assets/app-abc.js")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	sessions, err := auth.NewSessions(auth.DefaultSessionConfig(bytes.Repeat([]byte("k"), auth.MinKeyBytes)),
		auth.NewVerifier(auth.DefaultConfig("https://id.example"), &http.Client{Transport: down{}}, logger), logger)
	require.NoError(t, err)
	for want, cfg := range map[string]Config{
		"no files":          {BasePath: "/"},
		"is no path":        {Files: testFiles(t), BasePath: "ops"},
		"differs":           {Files: testFiles(t), BasePath: "/ops/"},
		"read dashboard":    {Files: fstest.MapFS{}, BasePath: "/"},
		"must hold <base":   {Files: fstest.MapFS{"index.html": {Data: []byte("<html>")}}, BasePath: "/"},
		`must hold <meta n`: {Files: fstest.MapFS{"index.html": {Data: []byte(baseElement)}}, BasePath: "/"},
	} {
		require.ErrorContains(t, Register(fiber.New(), cfg, sessions), want)
	}
}

// What the repository embeds, built or not, can be served.
func TestServesWhatIsEmbedded(t *testing.T) {
	t.Parallel()
	all, err := load(built.Dist())
	require.NoError(t, err)
	html := all.index("/ops/", "the-nonce", "")
	require.Contains(t, html, `<base href="/ops/">`)
	require.Contains(t, html, `content="the-nonce"`)
	for name, f := range all.byName {
		require.NotEqual(t, "text/plain; charset=utf-8", f.contentType, name)
	}
}
