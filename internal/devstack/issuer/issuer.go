package issuer

import (
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// maxBody bounds request bodies, in bytes.
const maxBody = 64 << 10

// Issuer gives out tokens. It is safe for concurrent use and starts no goroutines.
type Issuer struct {
	config   Config
	storage  *storage
	provider *op.Provider
	handler  http.Handler
	page     *template.Template
	logger   *slog.Logger
}

// New makes an issuer, and its signing key when there is none yet.
func New(cfg Config) (*Issuer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	base, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("parse issuer: %w", err)
	}
	key, err := loadKey(cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	tmpl, err := template.New("page").Parse(pageSource)
	if err != nil {
		return nil, fmt.Errorf("parse sign-in page: %w", err)
	}
	i := &Issuer{config: cfg, storage: newStorage(cfg, key), page: tmpl, logger: cfg.Logger}

	options := &op.Config{
		DefaultLogoutRedirectURI: cfg.Issuer + signedOutPath,
		CodeMethodS256:           true,
		AuthMethodPost:           true,
		GrantTypeRefreshToken:    true,
		SupportedUILocales:       []language.Tag{language.Spanish, language.English},
		SupportedScopes:          []string{"openid", "profile", "email", "offline_access"},
	}
	if _, err := rand.Read(options.CryptoKey[:]); err != nil {
		return nil, fmt.Errorf("make code key: %w", err)
	}
	// No CORS: tokens are fetched by servers, never by pages.
	i.provider, err = op.NewProvider(options, i.storage, op.StaticIssuer(cfg.Issuer), op.WithAllowInsecure(), op.WithCORSOptions(nil))
	if err != nil {
		return nil, fmt.Errorf("make OpenID provider: %w", err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET "+signInPath, i.showSignIn)
	mux.HandleFunc("POST "+signInPath, i.postSignIn)
	mux.HandleFunc("GET "+signedOutPath, i.showSignedOut)
	mux.Handle("/", i.provider)
	i.handler = http.StripPrefix(base.Path, http.MaxBytesHandler(owning(mux), maxBody))
	return i, nil
}

// owning gives handlers a query of their own. Fiber's adaptor makes requests out of memory that it reuses afterwards,
// and a sign-in under way keeps what it was asked.
func owning(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, address := *r, *r.URL
		address.RawQuery = strings.Clone(address.RawQuery)
		own.URL = &address
		next.ServeHTTP(w, &own)
	})
}

// Handler serves the issuer. It takes requests with their full path: mount it under the path of Config.Issuer without
// stripping that.
func (i *Issuer) Handler() http.Handler { return i.handler }

// Mint makes an access token for a service client, just as its token endpoint would for the scopes tenant:<tenant> and
// role:<role>.
func (i *Issuer) Mint(ctx context.Context, clientID, tenant string, roles ...string) (string, error) {
	c, ok := i.storage.clients[clientID]
	if !ok || !c.service() {
		return "", fmt.Errorf("mint token: %q is no service client", clientID)
	}
	scopes := []string{tenantScope + tenant}
	for _, r := range roles {
		scopes = append(scopes, roleScope+r)
	}
	g, err := serviceGrant(clientID, scopes)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	ctx = op.ContextWithIssuer(ctx, i.config.Issuer)
	token, _, _, err := op.CreateAccessToken(ctx, g, op.AccessTokenTypeJWT, i.provider, c, "")
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return token, nil
}
