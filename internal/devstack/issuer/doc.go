// Package issuer is an OpenID Connect issuer in process, for development and tests: rastro dev signs people in and
// checks tokens by the same code as production does against Keycloak, so authentication is never off.
//
// It speaks discovery, JWKS, the authorization code flow with PKCE (RFC 7636, S256 only), client credentials, refresh
// tokens with rotation, userinfo and RP-initiated logout. Its access tokens have the shape of Keycloak's. It asks for
// no password: whoever reaches its sign-in page may be any of its demo users, which is why it must never face a network
// that is not yours.
package issuer
