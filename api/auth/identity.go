package auth

import (
	"context"
	"slices"
	"time"
)

// Identity is who is asking: what a token that was checked says.
type Identity struct {
	// Subject identifies the person or service at the issuer.
	Subject string `json:"subject" doc:"Who is asking, as the issuer knows them"`
	// ClientID is the program that the token was given to.
	ClientID string `json:"client_id" doc:"The program that the token was given to"`
	// Name is for people to read; empty when the token says none.
	Name string `json:"name" doc:"Name, for people to read"`
	// TenantID is whose data the token opens.
	TenantID string `json:"tenant_id" doc:"Whose data the token opens"`
	// Roles are those of Roles that the token has, sorted.
	Roles []string `json:"roles" doc:"What the token allows"`
	// ExpiresAt is when the token ends, UTC.
	ExpiresAt time.Time `json:"expires_at" doc:"When the token ends"`
	// CredentialID is the credential that was used instead of a token; empty for tokens and sessions.
	CredentialID string `json:"credential_id,omitempty" doc:"The credential that was used instead of a token"`
	// Carrier is whose address the credential opens; empty for tokens, which open any.
	Carrier string `json:"carrier,omitempty" doc:"Whose address the credential opens"`
	// Source is what events must come from; empty leaves that to the events.
	Source string `json:"source,omitempty" doc:"What the events must come from"`
}

// Has reports whether the identity has the role.
func (id Identity) Has(role string) bool { return slices.Contains(id.Roles, role) }

type contextKey struct{}

// NewContext returns a context that carries the identity.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns who is asking. It finds what Middleware left in a request's user context, in Fiber handlers
// (c.UserContext()) and Huma handlers alike.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(contextKey{}).(Identity)
	return id, ok
}
