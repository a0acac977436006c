package issuer

import (
	"context"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// GetClientByClientID implements op.OPStorage.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, ok := s.clients[id]
	if !ok {
		return nil, errForbidden
	}
	return c, nil
}

// AuthorizeClientIDSecret implements op.OPStorage.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	c, ok := s.clients[id]
	if !ok || !c.secretIs(secret) {
		return errForbidden
	}
	return nil
}

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *storage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if err := s.AuthorizeClientIDSecret(ctx, id, secret); err != nil {
		return nil, err
	}
	return s.clients[id], nil
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *storage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return serviceGrant(id, scopes)
}

// GetPrivateClaimsFromRequest implements op.CanGetPrivateClaimsFromRequest. The library has asked for the audience of
// the access token by now; what it asks for next is the ID token's.
func (s *storage) GetPrivateClaimsFromRequest(_ context.Context, req op.TokenRequest, _ []string) (map[string]any, error) {
	g, ok := req.(granted)
	if !ok {
		return nil, fmt.Errorf("token request of type %T", req)
	}
	g.access().apiAudience = ""
	return g.access().claims(), nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: the claims of ID tokens.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, req op.IDTokenRequest, _ []string) error {
	s.setUserinfo(info, req.GetSubject())
	return nil
}

// SetUserinfoFromToken implements op.OPStorage: the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, _, subject, _ string) error {
	s.setUserinfo(info, subject)
	return nil
}

func (s *storage) setUserinfo(info *oidc.UserInfo, subject string) {
	info.Subject = subject
	u, ok := s.users[subject]
	if !ok { // a service
		return
	}
	info.PreferredUsername, info.Name, info.GivenName, info.FamilyName = u.Username, u.Name(), u.GivenName, u.FamilyName
	info.Email, info.EmailVerified = u.Email, true
	info.AppendClaims("tenant", u.Tenant)
}

// SetUserinfoFromScopes implements op.OPStorage; the library wants it empty.
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// GetPrivateClaimsFromScopes implements op.OPStorage; GetPrivateClaimsFromRequest is asked instead.
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errors.New("claims without a request")
}

// SetIntrospectionFromToken implements op.OPStorage. Access tokens are JWTs that anyone can check; introspection tells
// nothing.
func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotFound
}

// GetKeyByIDAndClientID implements op.OPStorage; no client here signs assertions.
func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotFound
}

// ValidateJWTProfileScopes implements op.OPStorage; no client here signs assertions.
func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotFound
}
