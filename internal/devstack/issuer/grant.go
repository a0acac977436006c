package issuer

import (
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// grant is what a token says: who may do what, for which tenant, through which client.
type grant struct {
	subject  string
	clientID string
	username string
	name     string
	email    string
	tenant   string
	roles    []string
	scopes   []string
	authTime time.Time

	// apiAudience is set while an access token is made: only that is meant for the API, and the library asks the same
	// request for the audience of the ID token, which is meant for the client alone.
	apiAudience string
}

func (g *grant) GetSubject() string     { return g.subject }
func (g *grant) GetClientID() string    { return g.clientID }
func (g *grant) GetScopes() []string    { return g.scopes }
func (g *grant) GetAuthTime() time.Time { return g.authTime }
func (g *grant) GetAMR() []string       { return nil }

func (g *grant) GetAudience() []string {
	if g.apiAudience == "" {
		return []string{g.clientID}
	}
	return []string{g.apiAudience, g.clientID}
}

// access lets storage reach the grant in every kind of request.
func (g *grant) access() *grant { return g }

type granted interface{ access() *grant }

// claims are the private claims of an access token, in Keycloak's shape.
func (g *grant) claims() map[string]any {
	c := map[string]any{
		"typ":                "Bearer",
		"azp":                g.clientID,
		"preferred_username": g.username,
		"realm_access":       map[string]any{"roles": slices.Clone(g.roles)},
		"tenant":             g.tenant,
		"scope":              strings.Join(g.scopes, " "),
	}
	if g.name != "" {
		c["name"] = g.name
	}
	if g.email != "" {
		c["email"] = g.email
	}
	return c
}

// became says whose grant it is.
func (g *grant) became(u User, at time.Time) {
	g.subject, g.username, g.name, g.email = u.Subject(), u.Username, u.Name(), u.Email
	g.tenant, g.roles, g.authTime = u.Tenant, u.Roles, at
}

// signIn is an authorization request: somebody who is about to sign in, or has and is on the way back with a code.
type signIn struct {
	*grant
	id      string
	request *oidc.AuthRequest
	code    string
	expires time.Time
	done    bool
}

func (s *signIn) GetID() string                      { return s.id }
func (s *signIn) GetACR() string                     { return "" }
func (s *signIn) GetNonce() string                   { return s.request.Nonce }
func (s *signIn) GetRedirectURI() string             { return s.request.RedirectURI }
func (s *signIn) GetResponseType() oidc.ResponseType { return s.request.ResponseType }
func (s *signIn) GetResponseMode() oidc.ResponseMode { return s.request.ResponseMode }
func (s *signIn) GetState() string                   { return s.request.State }
func (s *signIn) Done() bool                         { return s.done }

func (s *signIn) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: s.request.CodeChallenge, Method: s.request.CodeChallengeMethod}
}

// copied gives the library its own copy, so that it never reads what another request writes.
func (s *signIn) copied() *signIn {
	c, g := *s, *s.grant
	c.grant = &g
	return &c
}

// renewal is a refresh token.
type renewal struct {
	*grant
	expires time.Time
}

func (r *renewal) SetCurrentScopes(scopes []string) { r.scopes = scopes }

func (r *renewal) copied() *renewal {
	g := *r.grant
	return &renewal{grant: &g, expires: r.expires}
}

var (
	_ op.AuthRequest         = (*signIn)(nil)
	_ op.RefreshTokenRequest = (*renewal)(nil)
	_ op.TokenRequest        = (*grant)(nil)
)
