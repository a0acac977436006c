package issuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// registered implements op.Client.
type registered struct {
	Client
	issuer string
	idTTL  time.Duration
}

var _ op.Client = (*registered)(nil)

func (c *registered) GetID() string                    { return c.ID }
func (c *registered) RedirectURIs() []string           { return c.Client.RedirectURIs }
func (c *registered) PostLogoutRedirectURIs() []string { return c.Client.PostLogoutRedirectURIs }
func (c *registered) service() bool                    { return c.Secret != "" }

// ApplicationType is native, because the library then takes any port of a loopback redirect URI.
func (c *registered) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }

func (c *registered) AuthMethod() oidc.AuthMethod {
	if c.service() {
		return oidc.AuthMethodBasic
	}
	return oidc.AuthMethodNone
}

func (c *registered) ResponseTypes() []oidc.ResponseType {
	if c.service() {
		return nil
	}
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c *registered) GrantTypes() []oidc.GrantType {
	if c.service() {
		return []oidc.GrantType{oidc.GrantTypeClientCredentials}
	}
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

func (c *registered) LoginURL(id string) string {
	return c.issuer + signInPath + "?id=" + url.QueryEscape(id)
}

func (c *registered) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c *registered) IDTokenLifetime() time.Duration       { return c.idTTL }
func (c *registered) IsScopeAllowed(string) bool           { return false }
func (c *registered) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c *registered) ClockSkew() time.Duration             { return 0 }

// DevMode lets a registered redirect URI be plain http on another host than loopback.
func (c *registered) DevMode() bool { return true }

func (c *registered) RestrictAdditionalIdTokenScopes() func([]string) []string { return keep } //nolint:revive // library's name
func (c *registered) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return keep
}

func keep(scopes []string) []string { return scopes }

// secretIs compares in constant time, whatever the lengths.
func (c *registered) secretIs(secret string) bool {
	want, got := sha256.Sum256([]byte(c.Secret)), sha256.Sum256([]byte(secret))
	return c.service() && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
