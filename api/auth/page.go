package auth

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
)

//go:embed page.html
var pageSource string

var errRefused = errors.New("the identity provider refused the sign-in")

type failurePage struct{ Lang, Nonce, Heading, Text, Again, AgainURL string }

// fail answers a browser whose sign-in failed with a page that says what to do.
func (s *Sessions) fail(c *fiber.Ctx, err error) error {
	status, es, en := explain(err)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	s.logger.Log(c.UserContext(), level, "sign-in failed", slog.Any("error", err))

	p := failurePage{
		Lang: "es", Nonce: rand.Text(), Heading: "No se pudo entrar", Text: es,
		Again: "Intentar de nuevo", AgainURL: s.authPath() + "sign-in",
	}
	if strings.HasPrefix(strings.ToLower(c.Get(fiber.HeaderAcceptLanguage)), "en") {
		p.Lang, p.Heading, p.Text, p.Again = "en", "Sign-in failed", en, "Try again"
	}
	var body bytes.Buffer
	if err := s.page.Execute(&body, p); err != nil {
		return fmt.Errorf("render sign-in page: %w", err)
	}
	if status == http.StatusServiceUnavailable {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(retryAfter))
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderContentSecurityPolicy,
		"default-src 'none'; style-src 'nonce-"+p.Nonce+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return c.Status(status).Send(body.Bytes())
}

// explain says what a failed sign-in means, in Spanish and English.
func explain(err error) (status int, es, en string) {
	switch {
	case errors.Is(err, ErrUnavailable):
		return http.StatusServiceUnavailable,
			"No se puede llegar al proveedor de identidad. Espere unos segundos e intente de nuevo.",
			"The identity provider cannot be reached. Wait a few seconds and try again."
	case errors.Is(err, errFlow):
		return http.StatusBadRequest,
			"Este acceso caducó, ya se usó o empezó en otro navegador. Empiece de nuevo.",
			"This sign-in expired, was used already or began in another browser. Start again."
	case errors.Is(err, ErrNoTenant):
		return http.StatusForbidden,
			"Su cuenta no pertenece a ningún inquilino. Pida a su administrador que la asigne a uno.",
			"Your account belongs to no tenant. Ask your administrator to assign it to one."
	case errors.Is(err, ErrNoRole):
		return http.StatusForbidden,
			"Su cuenta no tiene ningún rol en Rastro. Pida a su administrador los que necesite.",
			"Your account has no role in Rastro. Ask your administrator for those you need."
	case expected(err), errors.Is(err, errRefused):
		return http.StatusUnauthorized,
			"El proveedor de identidad no confirmó el acceso. Empiece de nuevo.",
			"The identity provider did not confirm the sign-in. Start again."
	default:
		return http.StatusInternalServerError,
			"Algo falló de nuestro lado. Intente de nuevo.",
			"Something went wrong on our side. Try again."
	}
}
