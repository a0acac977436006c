package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// signInTTL bounds how long somebody may look at the sign-in page.
	signInTTL = 10 * time.Minute
	// codeTTL is how long a code is valid: RFC 6749, section 4.1.2, wants it short.
	codeTTL = time.Minute
	// maxPending bounds the memory that unfinished sign-ins and refresh tokens take.
	maxPending = 10_000
)

// The scopes of client credentials that say what the token is for.
const (
	tenantScope = "tenant:"
	roleScope   = "role:"
)

var (
	errNotFound  = errors.New("not found")
	errForbidden = errors.New("unknown client or wrong secret")
)

// storage is what the library asks for clients, requests, tokens and keys: all in memory.
type storage struct {
	config  Config
	key     signingKey
	now     func() time.Time
	users   map[string]User // by subject
	clients map[string]*registered

	mu       sync.Mutex
	signIns  map[string]*signIn // by id
	codes    map[string]string  // code to id of the sign-in
	renewals map[string]*renewal
}

var (
	_ op.Storage                        = (*storage)(nil)
	_ op.ClientCredentialsStorage       = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest      = (*storage)(nil)
	_ op.CanGetPrivateClaimsFromRequest = (*storage)(nil)
)

func newStorage(cfg Config, key signingKey) *storage {
	s := &storage{
		config: cfg, key: key, now: cfg.Now,
		users: make(map[string]User), clients: make(map[string]*registered),
		signIns: make(map[string]*signIn), codes: make(map[string]string), renewals: make(map[string]*renewal),
	}
	for _, u := range cfg.Users {
		s.users[u.Subject()] = u
	}
	for _, c := range cfg.Clients {
		s.clients[c.ID] = &registered{Client: c, issuer: cfg.Issuer, idTTL: cfg.AccessTokenTTL}
	}
	return s
}

// CreateAuthRequest implements op.AuthStorage.
func (s *storage) CreateAuthRequest(_ context.Context, req *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if req.CodeChallenge == "" || req.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE is required: send a code_challenge with code_challenge_method S256")
	}
	if slices.Contains(req.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired().WithDescription("Nobody stays signed in here; ask without prompt=none.")
	}
	now := s.now()
	in := &signIn{
		id: rand.Text(), request: req, expires: now.Add(signInTTL),
		// Keycloak gives a refresh token without being asked for offline_access; so do we.
		grant: &grant{clientID: req.ClientID, scopes: withScope(req.Scopes, oidc.ScopeOfflineAccess)},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purge(now)
	if len(s.signIns) >= maxPending {
		return nil, oidc.ErrServerError().WithDescription("Too many sign-ins are under way; try again in a few minutes.")
	}
	s.signIns[in.id] = in
	return in.copied(), nil
}

// purge forgets what has expired. The caller holds the lock.
func (s *storage) purge(now time.Time) {
	for id, in := range s.signIns {
		if !now.Before(in.expires) {
			delete(s.codes, in.code)
			delete(s.signIns, id)
		}
	}
	maps.DeleteFunc(s.renewals, func(_ string, r *renewal) bool { return !now.Before(r.expires) })
}

// AuthRequestByID implements op.AuthStorage.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, err := s.pending(id)
	if err != nil {
		return nil, err
	}
	return in.copied(), nil
}

// pending finds a sign-in. The caller holds the lock.
func (s *storage) pending(id string) (*signIn, error) {
	in, ok := s.signIns[id]
	if !ok || !s.now().Before(in.expires) {
		return nil, fmt.Errorf("sign-in: %w", errNotFound)
	}
	return in, nil
}

// complete says who signs in.
func (s *storage) complete(id, subject string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, err := s.pending(id)
	if err != nil {
		return err
	}
	u, ok := s.users[subject]
	if !ok {
		return fmt.Errorf("user: %w", errNotFound)
	}
	in.became(u, s.now())
	in.done = true
	return nil
}

// SaveAuthCode implements op.AuthStorage. A sign-in has one code: a new one ends the old one.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, err := s.pending(id)
	if err != nil {
		return err
	}
	delete(s.codes, in.code)
	in.code, in.expires = code, s.now().Add(codeTTL)
	s.codes[code] = id
	return nil
}

// AuthRequestByCode implements op.AuthStorage. A code is spent by the first attempt to exchange it, whether that
// succeeds or not.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.codes[code]
	if !ok {
		return nil, fmt.Errorf("code: %w", errNotFound)
	}
	in, err := s.pending(id)
	delete(s.codes, code)
	delete(s.signIns, id)
	if err != nil {
		return nil, err
	}
	return in, nil
}

// DeleteAuthRequest implements op.AuthStorage.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in, ok := s.signIns[id]; ok {
		delete(s.codes, in.code)
		delete(s.signIns, id)
	}
	return nil
}

// CreateAccessToken implements op.AuthStorage.
func (s *storage) CreateAccessToken(_ context.Context, req op.TokenRequest) (string, time.Time, error) {
	g, ok := req.(granted)
	if !ok {
		return "", time.Time{}, fmt.Errorf("token request of type %T", req)
	}
	g.access().apiAudience = s.config.Audience
	return rand.Text(), s.now().Add(s.config.AccessTokenTTL), nil
}

// CreateAccessAndRefreshTokens implements op.AuthStorage. A refresh token is good for one use: it is replaced by the
// next.
func (s *storage) CreateAccessAndRefreshTokens(
	ctx context.Context, req op.TokenRequest, current string,
) (id, refresh string, expires time.Time, err error) {
	g, ok := req.(granted)
	if !ok {
		return "", "", time.Time{}, fmt.Errorf("token request of type %T", req)
	}
	now := s.now()
	next := &renewal{grant: new(grant), expires: now.Add(s.config.RefreshTokenTTL)}
	*next.grant = *g.access()
	refresh = rand.Text() + rand.Text()

	s.mu.Lock()
	defer s.mu.Unlock()
	if current != "" {
		last, known := s.renewals[current]
		if !known {
			return "", "", time.Time{}, oidc.ErrInvalidGrant().WithDescription("the refresh token was used already")
		}
		delete(s.renewals, current)
		next.expires = last.expires
	}
	s.purge(now)
	if len(s.renewals) >= maxPending {
		return "", "", time.Time{}, oidc.ErrServerError().WithDescription("Too many people are signed in.")
	}
	s.renewals[refresh] = next
	id, expires, err = s.CreateAccessToken(ctx, req)
	return id, refresh, expires, err
}

// TokenRequestByRefreshToken implements op.AuthStorage.
func (s *storage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.renewals[token]
	if !ok || !s.now().Before(r.expires) {
		return nil, op.ErrInvalidRefreshToken
	}
	return r.copied(), nil
}

// TerminateSession implements op.AuthStorage.
func (s *storage) TerminateSession(_ context.Context, subject, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.renewals, func(_ string, r *renewal) bool { return r.subject == subject && r.clientID == clientID })
	return nil
}

// RevokeToken implements op.AuthStorage. Access tokens are valid until they expire; refresh tokens end here. Tokens
// nobody knows are no error (RFC 7009, section 2.2).
func (s *storage) RevokeToken(_ context.Context, token, _, clientID string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.renewals[token]; ok && r.clientID == clientID {
		delete(s.renewals, token)
	}
	return nil
}

// GetRefreshTokenInfo implements op.AuthStorage.
func (s *storage) GetRefreshTokenInfo(_ context.Context, clientID, token string) (subject, tokenID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.renewals[token]
	if !ok || r.clientID != clientID {
		return "", "", op.ErrInvalidRefreshToken
	}
	return r.subject, token, nil
}

// SigningKey implements op.AuthStorage.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

// SignatureAlgorithms implements op.AuthStorage.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.key.SignatureAlgorithm()}, nil
}

// KeySet implements op.AuthStorage.
func (s *storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey{s.key}}, nil }

// Health implements op.Storage.
func (s *storage) Health(context.Context) error { return nil }

func withScope(scopes []string, scope string) []string {
	if slices.Contains(scopes, scope) {
		return slices.Clone(scopes)
	}
	return append(slices.Clone(scopes), scope)
}

// serviceGrant reads tenant and roles out of the scopes a service asks for: any tenant, because this is for
// development.
func serviceGrant(clientID string, scopes []string) (*grant, error) {
	g := &grant{subject: "service:" + clientID, clientID: clientID, username: "service-account-" + clientID, name: clientID}
	for _, scope := range scopes {
		switch {
		case strings.HasPrefix(scope, tenantScope) && g.tenant == "":
			g.tenant = strings.TrimPrefix(scope, tenantScope)
		case strings.HasPrefix(scope, tenantScope):
			return nil, oidc.ErrInvalidScope().WithDescription("a token is for one tenant; ask for two tokens")
		case strings.HasPrefix(scope, roleScope):
			g.roles = append(g.roles, strings.TrimPrefix(scope, roleScope))
		default:
			g.scopes = append(g.scopes, scope)
		}
	}
	if g.tenant == "" || len(g.roles) == 0 {
		return nil, oidc.ErrInvalidScope().WithDescription(
			"say which tenant and roles the token is for: scope=\"tenant:talma-pe role:events:write role:traces:read\"")
	}
	return g, nil
}
