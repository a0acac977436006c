package dashboard

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/conditional"
	"github.com/rastrohq/rastro/api/problem"
)

// Config says what is served, and where.
type Config struct {
	// Files are the built dashboard, with index.html at the root. Required.
	Files fs.FS
	// BasePath is the path that browsers see the dashboard under; the proxy must leave it in the request. It must be
	// that of the sessions. Default: /.
	BasePath string
	// Environment is what the page calls this Rastro, such as production. Default: empty, and nothing is shown.
	Environment string
}

// DefaultConfig serves the files at the root.
func DefaultConfig(files fs.FS) Config { return Config{Files: files, BasePath: "/"} }

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Files == nil {
		errs = append(errs, errors.New("dashboard config: no files"))
	}
	if !strings.HasPrefix(c.BasePath, "/") || strings.ContainsAny(c.BasePath, "?#*:<>\"'") {
		errs = append(errs, fmt.Errorf("dashboard config: base path %q is no path such as / or /ops/", c.BasePath))
	}
	return errors.Join(errs...)
}

// Register adds the dashboard's routes to router, which must answer the root of the host; every other route must have
// been added before, because what nobody else answers is the dashboard's: a page of the application for people, a
// problem for programs.
//
//	GET  auth/sign-in   to the issuer, and back to ?return_to=
//	GET  auth/callback  where the issuer sends the browser
//	POST auth/sign-out
//	GET  *              the files; index.html for every other address that a person navigates to, once signed in
func Register(router fiber.Router, cfg Config, sessions *auth.Sessions) error {
	cfg.BasePath = strings.TrimSuffix(cfg.BasePath, "/") + "/"
	if err := cfg.Validate(); err != nil {
		return err
	}
	if sessions.BasePath() != cfg.BasePath {
		return fmt.Errorf("dashboard config: base path %q differs from that of the sessions, %q", cfg.BasePath, sessions.BasePath())
	}
	s, err := load(cfg.Files)
	if err != nil {
		return err
	}
	d := &site{base: cfg.BasePath, environment: cfg.Environment, files: s, formAction: "'self' " + sessions.IssuerOrigin(), sessions: sessions}

	if cfg.BasePath != "/" {
		router.Get(strings.TrimSuffix(cfg.BasePath, "/"), d.addSlash)
	}
	router.Get(cfg.BasePath+"auth/sign-in", sessions.SignIn)
	router.Get(cfg.BasePath+"auth/callback", sessions.Callback)
	router.Post(cfg.BasePath+"auth/sign-out", sessions.SignOut)
	router.Get(cfg.BasePath+"*", d.serve)
	return nil
}

// site serves what load found.
type site struct {
	base string
	// environment is what this Rastro is called.
	environment string
	files       *files
	formAction  string
	sessions    *auth.Sessions
}

// addSlash sends /ops to /ops/. Fiber answers both by the same route unless it routes strictly.
func (d *site) addSlash(c *fiber.Ctx) error {
	if strings.HasSuffix(c.Path(), "/") {
		return d.index(c)
	}
	return c.Redirect(d.base, http.StatusPermanentRedirect)
}

func (d *site) serve(c *fiber.Ctx) error {
	name := strings.TrimPrefix(c.Path(), d.base)
	if name == "" || name == indexName {
		return d.index(c)
	}
	if f, ok := d.files.byName[name]; ok {
		return d.file(c, name, f)
	}
	if !d.navigation(c, name) {
		return notFound(c)
	}
	return d.index(c)
}

// navigation tells a person who goes to a page of the application from a reference to a file or an operation that is
// not there: answering those with a page would only hide the fault.
func (d *site) navigation(c *fiber.Ctx, name string) bool {
	for _, prefix := range []string{"assets", "api", "auth"} {
		if name == prefix || strings.HasPrefix(name, prefix+"/") {
			return false
		}
	}
	return strings.Contains(c.Get(fiber.HeaderAccept), fiber.MIMETextHTML)
}

func notFound(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return problem.New(http.StatusNotFound, "not-found", "There is nothing at this address; GET /openapi.json lists what there is.").
		Write(c)
}

// index serves the application's page, with the base path and a nonce of its own. It is never compressed: it is small,
// and its bytes differ each time. A person who is not signed in is sent to do that first, and comes back to the same address;
// from a browser that does not say what it is about (Sec-Fetch-Mode), the application itself sends them.
func (d *site) index(c *fiber.Ctx) error {
	if c.Get("Sec-Fetch-Mode") == "navigate" && !d.sessions.Present(c) {
		c.Set(fiber.HeaderCacheControl, "no-store")
		return c.Redirect(d.sessions.SignInPath(strings.Clone(c.OriginalURL())), http.StatusSeeOther)
	}
	nonce := rand.Text()
	d.secure(c)
	c.Set(fiber.HeaderContentSecurityPolicy, d.policy(nonce))
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.SendString(d.files.index(d.base, nonce, d.environment))
}

// policy is the content security policy of the application's page. Browsers hold forms to form-action through
// redirects, and signing out is redirected to the issuer.
func (d *site) policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'self'",
		"script-src 'self'",
		"style-src 'self' 'nonce-" + nonce + "'",
		"img-src 'self' data:",
		"object-src 'none'",
		"base-uri 'self'",
		"form-action " + d.formAction,
		"frame-ancestors 'none'",
	}, "; ")
}

func (d *site) secure(c *fiber.Ctx) {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("Cross-Origin-Resource-Policy", "same-origin")
	c.Set(fiber.HeaderPermissionsPolicy, "camera=(), geolocation=(), microphone=(), payment=()")
}

// file serves one file. The names of those in assets/ change with their content, so browsers may keep them for ever.
func (d *site) file(c *fiber.Ctx, name string, f *file) error {
	d.secure(c)
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
	c.Set(fiber.HeaderCacheControl, "no-cache")
	if strings.HasPrefix(name, assetsDir) {
		c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	}
	c.Set(fiber.HeaderETag, f.etag)
	c.Set(fiber.HeaderContentType, f.contentType)
	body := f.plain
	if f.gzipped != nil {
		c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
		// Who says nothing would take anything (RFC 9110, section 12.5.3), but most who say nothing cannot decompress.
		if c.Get(fiber.HeaderAcceptEncoding) != "" && c.AcceptsEncodings("gzip") == "gzip" {
			c.Set(fiber.HeaderContentEncoding, "gzip")
			body = f.gzipped
		}
	}
	if conditional.Matches(c.Get(fiber.HeaderIfNoneMatch), f.etag) {
		return c.SendStatus(http.StatusNotModified)
	}
	return c.Send(body)
}
