package auth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

func TestReturnPath(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"/":                             "/",
		"/traces/BAG.001?tab=raw#top":   "/traces/BAG.001?tab=raw#top",
		"/traces?q=a%20b":               "/traces?q=a%20b",
		"/traces?q=100%":                "/traces?q=100%",
		"/queues?next=https://a.b/c":    "/queues?next=https://a.b/c",
		"":                              "/",
		"traces":                        "/",
		"//evil.example":                "/",
		"///evil.example":               "/",
		`/\evil.example`:                "/",
		`\\evil.example`:                "/",
		`/traces\..\..\evil`:            "/",
		"/%2fevil.example":              "/",
		"/%2Fevil.example":              "/",
		"/%252fevil.example":            "/",
		"/%5cevil.example":              "/",
		"/%255cevil.example":            "/",
		"https://evil.example/":         "/",
		"https:/evil.example":           "/",
		"javascript:alert(1)":           "/",
		"JaVaScRiPt:alert(1)":           "/",
		"data:text/html,x":              "/",
		"//user@evil.example/":          "/",
		"/\t/evil.example":              "/",
		"/%09/evil.example":             "/",
		"/a\r\nSet-Cookie: x=y":         "/",
		"/a%0d%0aSet-Cookie:x=y":        "/",
		"/.//evil.example":              "/",
		"/../evil":                      "/",
		"/%2e%2e/evil":                  "/",
		"/auth/sign-in?return_to=/a":    "/",
		"/%61uth/sign-in":               "/",
		" //evil.example":               "/",
		"http:evil.example":             "/",
		"/ok/%2e%2e%2f%2e%2e%2fevil":    "/",
		"//[::1]/":                      "/",
		strings.Repeat("/", 50) + "e.x": "/",
	} {
		require.Equal(t, want, returnPath(raw, "/"), "%q", raw)
	}
	for raw, want := range map[string]string{
		"/ops/":                "/ops/",
		"/ops/traces/1":        "/ops/traces/1",
		"/ops":                 "/ops/",
		"/":                    "/ops/",
		"/opsish/":             "/ops/",
		"/ops/../admin":        "/ops/",
		"/ops/%2e%2e/admin":    "/ops/",
		"/ops/auth/sign-in":    "/ops/",
		"/ops//evil.example":   "/ops//evil.example", // a path on this host still
		"/elsewhere?x=/ops/":   "/ops/",
		"https://a.b/ops/page": "/ops/",
	} {
		require.Equal(t, want, returnPath(raw, "/ops/"), "%q", raw)
	}
}

func FuzzReturnPath(f *testing.F) {
	for _, seed := range []string{"/a", "//e", `/\e`, "/%2f/e", "/a?b=%5c", "/%25252fe", "\x00"} {
		f.Add(seed)
	}
	own, err := url.Parse("https://rastro.example/")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw string) {
		got := returnPath(raw, "/")
		u, err := own.Parse(got)
		if err != nil || u.Host != own.Host || u.Scheme != own.Scheme {
			t.Fatalf("%q leads to %q, off this site", raw, got)
		}
		if strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Fatalf("%q leads to %q, which browsers read otherwise", raw, got)
		}
	})
}

func TestGuard(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method  string
		headers map[string]string
		public  string
		ok      bool
	}{
		"reading needs nothing":          {"GET", nil, "", true},
		"reading across sites":           {"GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, "", true},
		"own page":                       {"POST", map[string]string{"Sec-Fetch-Site": "same-origin", CSRFHeader: "1"}, "", true},
		"own page, old browser":          {"DELETE", map[string]string{"Origin": "http://rastro.example", CSRFHeader: "1"}, "", true},
		"own page behind TLS":            {"POST", map[string]string{"Origin": "https://x.example", CSRFHeader: "1"}, "https://x.example", true},
		"no header":                      {"POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, "", false},
		"header and nothing else":        {"POST", map[string]string{CSRFHeader: "1"}, "", false},
		"header with another value":      {"POST", map[string]string{"Sec-Fetch-Site": "same-origin", CSRFHeader: "0"}, "", false},
		"another site":                   {"POST", map[string]string{"Sec-Fetch-Site": "cross-site", CSRFHeader: "1"}, "", false},
		"a sister site":                  {"POST", map[string]string{"Sec-Fetch-Site": "same-site", CSRFHeader: "1"}, "", false},
		"typed in":                       {"POST", map[string]string{"Sec-Fetch-Site": "none", CSRFHeader: "1"}, "", false},
		"another origin":                 {"PUT", map[string]string{"Origin": "http://evil.example", CSRFHeader: "1"}, "", false},
		"opaque origin":                  {"PATCH", map[string]string{"Origin": "null", CSRFHeader: "1"}, "", false},
		"own host by another scheme":     {"POST", map[string]string{"Origin": "https://rastro.example", CSRFHeader: "1"}, "", false},
		"fetch metadata beats Origin":    {"POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://rastro.example", CSRFHeader: "1"}, "", false},
		"forwarded host is not believed": {"POST", map[string]string{"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example", CSRFHeader: "1"}, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := fiber.New()
			c := app.AcquireCtx(&fasthttp.RequestCtx{})
			defer app.ReleaseCtx(c)
			c.Request().Header.SetMethod(tt.method)
			c.Request().SetRequestURI("http://rastro.example/api/v1/x")
			c.Request().Header.SetHost("rastro.example")
			for k, v := range tt.headers {
				c.Request().Header.Set(k, v)
			}
			c.Method(tt.method)
			s := &Sessions{cfg: SessionConfig{PublicURL: tt.public, BasePath: "/"}}
			err := s.guard(c)
			if tt.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrForgery)
			}
		})
	}
}
