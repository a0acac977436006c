// Package auth says who is asking. It checks OpenID Connect access tokens (signature by JWKS with rotation, issuer,
// audience, lifetime; RFC 7519, RFC 9068), whether they come as bearer tokens (RFC 6750) or in the sealed cookies of a
// browser session, and it signs people in by the authorization code flow with PKCE (RFC 7636), so that no token ever
// reaches the browser's JavaScript. Authentication is never off: development has its own issuer, and the same code.
package auth
