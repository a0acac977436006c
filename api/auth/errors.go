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
	// ErrMissingRole: who is asking is known and lacks a role.
	ErrMissingRole = errors.New("missing role")
	// ErrSessionEnded: the browser session is over.
	ErrSessionEnded = errors.New("session ended")
	// ErrForgery: a request with a session cookie does not show that the dashboard made it.
	ErrForgery = errors.New("request not made by the dashboard")
	// ErrUnknownCredential: there is no such API key, or no credential that a message could be signed with.
	ErrUnknownCredential = errors.New("unknown credential")
	// ErrRevokedCredential: the credential has been revoked, or the secret's time after a rotation is over.
	ErrRevokedCredential = errors.New("revoked credential")
	// ErrExpiredCredential: the credential has expired.
	ErrExpiredCredential = errors.New("expired credential")
	// ErrWebhookHeaders: the headers of a signed message cannot be read.
	ErrWebhookHeaders = errors.New("malformed webhook headers")
	// ErrWebhookTime: a signed message is not of about now.
	ErrWebhookTime = errors.New("webhook timestamp out of tolerance")
	// ErrWebhookSignature: none of a credential's secrets made the signature.
	ErrWebhookSignature = errors.New("bad webhook signature")
	// ErrWebhookInHand: the same message is being taken just now.
	ErrWebhookInHand = errors.New("webhook message in hand")
	// ErrWebhookReused: another body was sent with the id of a message.
	ErrWebhookReused = errors.New("webhook id reused")
	// ErrCredentialScope: a credential was used for something else than sending events, or at another carrier's address.
	ErrCredentialScope = errors.New("credential used where it opens nothing")
	// ErrCredentialsUnavailable: credentials cannot be looked up, so nothing can be said about one that is not known.
	ErrCredentialsUnavailable = errors.New("credentials unavailable")
	// ErrUnavailable: the issuer cannot be reached, so nothing can be said about the token.
	ErrUnavailable = errors.New("issuer unavailable")
)

// retryAfter is what a client waits, in seconds, when the issuer cannot be reached.
const retryAfter = 5

const realm = `Bearer realm="rastro"`

const noCredential = "No credential that works here made this: the API key, or the signature of webhook-id.webhook-timestamp.body, is " +
	"not one that is known. Check the credential's id, its secret, and that the body is sent as it was signed."

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
		{ErrMissingRole, forbidden, "missing-role", "insufficient_scope",
			"This needs a role that the token does not carry. Ask your administrator for it."},
		{ErrCredentialsUnavailable, http.StatusServiceUnavailable, "unavailable", "",
			"Credentials cannot be looked up just now, and nothing of this request was accepted. Send the same request again in a few " +
				"seconds."},
		{ErrWebhookInHand, http.StatusServiceUnavailable, "webhook-in-hand", "",
			"A message with this webhook-id is being taken just now. Send it again in a few seconds to learn what became of it."},
		{ErrWebhookReused, http.StatusConflict, "webhook-id-reused", "",
			"Another body came with this webhook-id, and nothing of this request was accepted. Give each message an id of its own."},
		{ErrWebhookHeaders, unauthorized, "webhook-invalid", "",
			"The message is not signed as Standard Webhooks has it: webhook-id, webhook-timestamp in seconds and " +
				"webhook-signature as v1,<base64> are needed."},
		{ErrWebhookTime, unauthorized, "webhook-time", "",
			"The webhook-timestamp is too far from now. Check the sender's clock, and sign again for each try."},
		// Who cannot sign does not learn which credentials there are.
		{ErrUnknownCredential, unauthorized, "credential-invalid", "", noCredential},
		{ErrWebhookSignature, unauthorized, "credential-invalid", "", noCredential},
		{ErrRevokedCredential, unauthorized, "credential-revoked", "",
			"The credential has been revoked, or replaced by another. Ask the operator of this service for a new one."},
		{ErrExpiredCredential, unauthorized, "credential-expired", "",
			"The credential has expired. Ask the operator of this service for a new one."},
		{ErrCredentialScope, forbidden, "credential-scope", "",
			"This credential opens POST /api/v1/events and, where it is a carrier's, POST /api/v1/carriers/{carrier}/events of that " +
				"carrier only, and its capture interface, /api/v1/capture. For all else send an access token."},
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
func refuse(c *fiber.Ctx, err error) error { return refusalProblem(c, err).Write(c) }

// refusalProblem returns the problem that err is, and sets the headers that go with it.
func refusalProblem(c *fiber.Ctx, err error) *problem.Problem {
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
	return problem.New(r.status, r.kind, r.detail)
}
