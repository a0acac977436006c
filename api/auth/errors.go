package auth

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/problem"
)

// What can be wrong with credentials. Verify wraps one of these.
var (
	// ErrMissing: the request carries no credentials.
	ErrMissing = errors.New("no credentials")
	// ErrMalformed: the token is no signed JWT, or one without the claims that every access token has.
	ErrMalformed = errors.New("malformed token")
	// ErrSignature: no key of the issuer made the signature, or its algorithm is not taken.
	ErrSignature = errors.New("bad signature")
	// ErrIssuer: another issuer made the token.
	ErrIssuer = errors.New("wrong issuer")
	// ErrAudience: the token is meant for something else.
	ErrAudience = errors.New("wrong audience")
	// ErrNotAccess: the token is an ID or refresh token.
	ErrNotAccess = errors.New("not an access token")
	// ErrExpired: the token has expired.
	ErrExpired = errors.New("expired token")
	// ErrNotYetValid: the token's time has not come.
	ErrNotYetValid = errors.New("token not yet valid")
	// ErrNoTenant: the token is good and names no tenant.
	ErrNoTenant = errors.New("token without a tenant")
	// ErrNoRole: the token is good and has no role that this system knows.
	ErrNoRole = errors.New("token without a role")
	// ErrSessionEnded: the browser session is over.
	ErrSessionEnded = errors.New("session ended")
	// ErrForgery: a request with a session cookie does not show that the dashboard made it.
	ErrForgery = errors.New("request not made by the dashboard")
	// ErrUnavailable: the issuer cannot be reached, so nothing can be said about the token.
	ErrUnavailable = errors.New("issuer unavailable")
)

// retryAfter is what a client waits, in seconds, when the issuer cannot be reached.
const retryAfter = 5

const realm = `Bearer realm="rastro"`

type refusal struct {
	err    error
	status int
	kind   string
	// challenge is the error code of RFC 6750, section 3.1; empty when the request carried no credentials at all.
	challenge string
	detail    string
}

// refusals is in the order of precedence; the last entry stands for every other error.
func refusals() []refusal {
	const token = "invalid_token"
	unauthorized, forbidden := http.StatusUnauthorized, http.StatusForbidden
	return []refusal{
		{ErrUnavailable, http.StatusServiceUnavailable, "issuer-unavailable", "",
			"The identity provider cannot be reached, so the token cannot be checked. Nothing is wrong with your request: " +
				"send it again in a few seconds."},
		{ErrMissing, unauthorized, "unauthenticated", "",
			"Send an access token: Authorization: Bearer <token>. Browsers sign in at auth/sign-in."},
		{ErrExpired, unauthorized, "token-expired", token,
			"The access token has expired. Get a new one from the identity provider and send the request again."},
		{ErrNotYetValid, unauthorized, "token-invalid", token,
			"The access token is not valid yet. Check the clock of the machine that got it."},
		{ErrIssuer, unauthorized, "token-invalid", token,
			"The access token comes from another issuer. Get one from the identity provider that this service trusts."},
		{ErrAudience, unauthorized, "token-invalid", token,
			"The access token is meant for another audience. Ask the identity provider for one whose audience includes this API."},
		{ErrNotAccess, unauthorized, "token-invalid", token,
			"This is not an access token. Send the access token, not the ID token or the refresh token."},
		{ErrSignature, unauthorized, "token-invalid", token,
			"The signature of the access token is not that of the identity provider. Get a new token."},
		{ErrSessionEnded, unauthorized, "session-ended", "", "Your session is over. Sign in again at auth/sign-in."},
		{ErrForgery, forbidden, "csrf", "",
			"Requests that change something with a session cookie must come from the dashboard's own origin and carry the " +
				"header X-Rastro-CSRF: 1. Programs send a bearer token instead."},
		{ErrNoTenant, forbidden, "no-tenant", "insufficient_scope",
			"The access token names no tenant. Ask your administrator to assign your account to one."},
		{ErrNoRole, forbidden, "no-role", "insufficient_scope",
			"The access token has none of the roles events:write, traces:read, ops:read, ops:write. " +
				"Ask your administrator for those you need."},
		{ErrMalformed, unauthorized, "token-invalid", token,
			"The access token cannot be read: it must be a signed JWT with its expiry and subject. " +
				"Get a new one from the identity provider."},
	}
}

func refusalOf(err error) refusal {
	all := refusals()
	for _, r := range all {
		if errors.Is(err, r.err) {
			return r
		}
	}
	return all[len(all)-1]
}

// expected reports whether an error is the client's or the issuer's, rather than ours.
func expected(err error) bool {
	for _, r := range refusals() {
		if errors.Is(err, r.err) {
			return true
		}
	}
	return false
}

// refuse answers with the problem that err is. The text of err stays here: it may quote the token.
func refuse(c *fiber.Ctx, err error) error {
	r := refusalOf(err)
	switch {
	case r.status == http.StatusServiceUnavailable:
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(retryAfter))
	case r.challenge != "":
		c.Set(fiber.HeaderWWWAuthenticate, realm+`, error="`+r.challenge+`", error_description="`+r.err.Error()+`"`)
	case r.status == http.StatusUnauthorized:
		c.Set(fiber.HeaderWWWAuthenticate, realm)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return problem.New(r.status, r.kind, r.detail).Write(c)
}
