package auth

import (
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/problem"
)

// Authenticate is Middleware without browser sessions.
func (v *Verifier) Authenticate() fiber.Handler { return Middleware(v, nil) }

// Middleware is a Gate's handler without the credentials of carriers.
func Middleware(v *Verifier, sessions *Sessions) fiber.Handler {
	return Gate{Verifier: v, Sessions: sessions, Refusals: NewRefusals(v.logger)}.Handler()
}

func identify(c *fiber.Ctx, v *Verifier, sessions *Sessions) (Identity, error) {
	if header := c.Get(fiber.HeaderAuthorization); header != "" {
		scheme, raw, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "bearer") {
			return Identity{}, fmt.Errorf("%w: another authorization scheme than Bearer", ErrMissing)
		}
		// Fiber reuses the header's memory after the request.
		return v.Verify(c.UserContext(), strings.Clone(strings.TrimSpace(raw)))
	}
	if sessions == nil {
		return Identity{}, ErrMissing
	}
	return sessions.identify(c)
}

// Require lets a request pass when who is asking has the role; it comes after Middleware.
func Require(role string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, ok := FromContext(c.UserContext())
		if !ok {
			return refuse(c, ErrMissing)
		}
		if !id.Has(role) {
			return missingRole(c, id, role).Write(c)
		}
		return c.Next()
	}
}

// missingRole is the answer to who lacks a role.
func missingRole(c *fiber.Ctx, id Identity, role string) *problem.Problem {
	c.Set(fiber.HeaderWWWAuthenticate, realm+`, error="insufficient_scope", scope="`+role+`"`)
	return MissingRole(c.UserContext(), id, role, "")
}
