package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gofiber/fiber/v2"
	"github.com/maypok86/otter/v2"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// SessionConfig says how browsers sign in.
type SessionConfig struct {
	// ClientID is the dashboard's client at the issuer. Default: rastro-dashboard.
	ClientID string
	// ClientSecret is the client's secret. Default: empty, a public client.
	ClientSecret string
	// Scopes are asked for at sign-in. Default: openid profile email. Issuers that give refresh tokens only for
	// offline_access need that too; Keycloak does not.
	Scopes []string
	// PublicURL is the origin that browsers see, https://rastro.example, with no path. Default: empty, the request's
	// own; name it in production, where a proxy stands between.
	PublicURL string
	// BasePath is where the dashboard lies under PublicURL. Default: /.
	BasePath string
	// Key is the secret that cookies are sealed with, at least MinKeyBytes random bytes, the same on every replica.
	// Required.
	Key []byte
	// PreviousKeys still open cookies, so that a change of Key signs nobody out. Default: none.
	PreviousKeys [][]byte
	// RenewBefore is how long before its end an access token is renewed. Default: 1 min.
	RenewBefore time.Duration
	// MaxAge is how long a session lasts at most, from sign-in. Default: 12 h.
	MaxAge time.Duration
	// SignInTTL is how long somebody may take to sign in. Default: 10 min.
	SignInTTL time.Duration
}

// DefaultSessionConfig has every default, and the key given.
func DefaultSessionConfig(key []byte) SessionConfig {
	return SessionConfig{
		ClientID:    "rastro-dashboard",
		Scopes:      []string{"openid", "profile", "email"},
		BasePath:    "/",
		Key:         key,
		RenewBefore: time.Minute,
		MaxAge:      12 * time.Hour,
		SignInTTL:   10 * time.Minute,
	}
}

// Validate says what is wrong with the configuration, all of it at once.
func (c SessionConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("session config: "+format, args...)) }
	if c.ClientID == "" {
		bad("client id is empty")
	}
	if !slices.Contains(c.Scopes, oidc.ScopeOpenID) {
		bad("scopes lack %q", oidc.ScopeOpenID)
	}
	if c.PublicURL != "" && !isOrigin(c.PublicURL) {
		bad("public URL %q is no origin such as https://rastro.example; a path belongs into the base path", c.PublicURL)
	}
	if u, err := url.Parse(c.BasePath); err != nil || !strings.HasPrefix(c.BasePath, "/") || u.Path != c.BasePath || u.Host != "" {
		bad("base path %q is no path such as / or /ops/", c.BasePath)
	}
	for _, key := range append([][]byte{c.Key}, c.PreviousKeys...) {
		if len(key) < MinKeyBytes {
			bad("a key has %d bytes; use at least %d random ones", len(key), MinKeyBytes)
		}
	}
	if c.RenewBefore < 0 || c.MaxAge <= 0 || c.SignInTTL <= 0 {
		bad("durations must be positive")
	}
	return errors.Join(errs...)
}

func isOrigin(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && httpURL(raw) && strings.Trim(u.Path, "/") == ""
}

// The kinds of cookies.
const (
	accessCookie  = "access"
	refreshCookie = "refresh"
	idCookie      = "id"
	flowCookie    = "flow"
)

// sealed is what a session cookie holds.
type sealed struct {
	Token   string    `json:"t"`
	Started time.Time `json:"s"`
}

// Sessions keeps people signed in by sealed cookies alone: there is nothing to store, and nothing a page's script could
// read. It is safe for concurrent use.
type Sessions struct {
	cfg      SessionConfig
	verifier *Verifier
	sealer   *sealer
	flights  singleflight.Group
	renewed  *otter.Cache[[sha256.Size]byte, renewal]
	page     *template.Template
	logger   *slog.Logger
}

// NewSessions makes sessions whose access tokens verifier checks, exactly as it checks bearer tokens.
func NewSessions(cfg SessionConfig, verifier *Verifier, logger *slog.Logger) (*Sessions, error) {
	cfg.BasePath = strings.TrimSuffix(cfg.BasePath, "/") + "/"
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seal, err := newSealer(cfg.Key, cfg.PreviousKeys)
	if err != nil {
		return nil, err
	}
	page, err := template.New("page").Parse(pageSource)
	if err != nil {
		return nil, fmt.Errorf("parse sign-in page: %w", err)
	}
	return &Sessions{
		cfg: cfg, verifier: verifier, sealer: seal, page: page, logger: logger,
		renewed: otter.Must(&otter.Options[[sha256.Size]byte, renewal]{MaximumSize: maxRenewals}),
	}, nil
}

// BasePath is where the dashboard lies, with a slash at both ends.
func (s *Sessions) BasePath() string { return s.cfg.BasePath }

// IssuerOrigin is the origin of the issuer, where the form that signs out is redirected to.
func (s *Sessions) IssuerOrigin() string {
	u, err := url.Parse(s.verifier.cfg.Issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (s *Sessions) authPath() string { return s.cfg.BasePath + "auth/" }

func (s *Sessions) cookiePath(kind string) string {
	if kind == accessCookie || kind == refreshCookie {
		return s.cfg.BasePath
	}
	return s.authPath() // only the sign-in handlers need the others
}

// origin is scheme and host as the browser sees them.
func (s *Sessions) origin(c *fiber.Ctx) string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	// The Host header itself: what X-Forwarded-Host says is anybody's word.
	return c.Protocol() + "://" + string(c.Request().Host())
}

func (s *Sessions) jar(c *fiber.Ctx) jar {
	return jar{c: c, secure: strings.HasPrefix(s.origin(c), "https://")}
}

func (s *Sessions) put(c *fiber.Ctx, kind string, value sealed) error {
	text, err := s.sealer.seal(kind, value)
	if err != nil {
		return err
	}
	left := value.Started.Add(s.cfg.MaxAge).Sub(s.verifier.now())
	return s.jar(c).write(kind, s.cookiePath(kind), text, left)
}

// get opens a session cookie. ok is false when there is none, or it is not ours, or its session has lasted long enough.
func (s *Sessions) get(c *fiber.Ctx, kind string) (value sealed, ok bool) {
	text := s.jar(c).read(kind, s.cookiePath(kind))
	if text == "" {
		return sealed{}, false
	}
	if err := s.sealer.open(kind, text, &value); err != nil {
		return sealed{}, false
	}
	return value, s.verifier.now().Before(value.Started.Add(s.cfg.MaxAge))
}

// Present reports whether a request comes with a session of ours that has not lasted long enough. It does not say that its
// tokens are still good: only a request to the API does.
func (s *Sessions) Present(c *fiber.Ctx) bool {
	for _, kind := range []string{accessCookie, refreshCookie} {
		if _, ok := s.get(c, kind); ok {
			return true
		}
	}
	return false
}

// SignInPath is the address that signs a person in and brings them back to the address given.
func (s *Sessions) SignInPath(returnTo string) string {
	return s.authPath() + "sign-in?return_to=" + url.QueryEscape(returnTo)
}

// end clears every cookie of the session.
func (s *Sessions) end(c *fiber.Ctx) {
	for _, kind := range []string{accessCookie, refreshCookie, idCookie} {
		s.jar(c).clear(kind, s.cookiePath(kind))
	}
}

// identify says whose session a request belongs to, and renews its access token when that is about to end.
func (s *Sessions) identify(c *fiber.Ctx) (Identity, error) {
	j := s.jar(c)
	if !j.present(accessCookie, s.cfg.BasePath) && !j.present(refreshCookie, s.cfg.BasePath) {
		return Identity{}, ErrMissing
	}
	if err := s.guard(c); err != nil {
		return Identity{}, err
	}
	ctx := c.UserContext()
	var id Identity
	err := ErrSessionEnded
	if access, ok := s.get(c, accessCookie); ok {
		id, err = s.verifier.Verify(ctx, access.Token)
	}
	good := err == nil
	if good && s.verifier.now().Add(s.cfg.RenewBefore).Before(id.ExpiresAt) {
		return id, nil
	}
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNoTenant) || errors.Is(err, ErrNoRole) {
		return Identity{}, err
	}
	refresh, ok := s.get(c, refreshCookie)
	switch {
	case !ok && good:
		return id, nil
	case !ok:
		s.end(c)
		return Identity{}, fmt.Errorf("%w: %w", ErrSessionEnded, err)
	}
	next, err := s.renew(ctx, refresh)
	switch {
	case err == nil:
		return next.identity, s.keep(c, next, refresh.Started)
	case good:
		// The token at hand is good still. Another replica may have used the refresh token a moment ago; its answer is
		// on the way.
		s.logger.DebugContext(ctx, "session not renewed yet", slog.Any("error", err))
		return id, nil
	case errors.Is(err, ErrSessionEnded):
		s.end(c)
	}
	return Identity{}, err
}

// keep writes renewed tokens into the session's cookies.
func (s *Sessions) keep(c *fiber.Ctx, next renewal, started time.Time) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	if err := s.put(c, accessCookie, sealed{Token: next.access, Started: started}); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	if err := s.put(c, refreshCookie, sealed{Token: next.refresh, Started: started}); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// oauth is the client at the issuer.
func (s *Sessions) oauth(ctx context.Context, redirectURI string) (*oauth2.Config, error) {
	m, err := s.verifier.discovery.metadata(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := m.endpoint
	// Said, not found out by trying: a failed try would spend the code.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if s.cfg.ClientSecret == "" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: s.cfg.ClientID, ClientSecret: s.cfg.ClientSecret, Endpoint: endpoint, RedirectURL: redirectURI, Scopes: s.cfg.Scopes,
	}, nil
}
