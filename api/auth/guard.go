package auth

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// CSRFHeader must be set to 1 on requests that change something with a session cookie: no form can set it, and another
// origin's script only after a preflight that is never granted.
const CSRFHeader = "X-Rastro-CSRF"

// guard refuses requests that another site may have made the browser send.
func (s *Sessions) guard(c *fiber.Ctx) error {
	switch c.Method() {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions:
		return nil
	}
	if c.Get(CSRFHeader) != "1" || !s.sameOrigin(c) {
		return ErrForgery
	}
	return nil
}

// sameOrigin believes Sec-Fetch-Site, which no script can set, and for browsers that do not send it Origin.
func (s *Sessions) sameOrigin(c *fiber.Ctx) bool {
	if site := c.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin := c.Get(fiber.HeaderOrigin)
	return origin != "" && strings.EqualFold(origin, s.origin(c))
}

// returnPath is where to go after signing in: a path under base on this very site. Whatever could lead elsewhere, to
// the sign-in itself, or nowhere becomes base.
func returnPath(raw, base string) string {
	u, err := url.Parse(raw)
	if err != nil || raw == "" || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return base
	}
	// Browsers and proxies may decode once more than we do: every layer must be harmless.
	for layer := raw; ; {
		if !strings.HasPrefix(layer, base) || strings.HasPrefix(layer, base+"auth/") || unsafePath(layer) {
			return base
		}
		next, err := url.PathUnescape(layer)
		if err != nil || next == layer {
			return raw
		}
		layer = next
	}
}

// unsafePath finds what browsers read as another host, or drop, or split a header with; and dot segments, which leave
// base.
func unsafePath(p string) bool {
	path, _, _ := strings.Cut(p, "?")
	path, _, _ = strings.Cut(path, "#")
	if strings.HasPrefix(p, "//") || strings.ContainsFunc(p, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return true
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
