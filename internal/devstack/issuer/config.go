package issuer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Audience is the audience of every access token: what the edges expect in the aud claim.
const Audience = "rastro-api"

// The clients of DefaultConfig.
const (
	// WebClientID is the dashboard: a public client, authorization code with PKCE.
	WebClientID = "rastro-dashboard"
	// ServiceClientID is the command line and the carrier simulator: client credentials.
	ServiceClientID = "rastro-cli"
)

// Config says who may get tokens, and which.
type Config struct {
	// Issuer is the issuer's URL, the iss claim of its tokens, without a trailing slash: http://127.0.0.1:8080/oidc.
	// Required.
	Issuer string
	// Audience is the aud claim of access tokens, besides the client. Default: Audience.
	Audience string
	// Users are whom the sign-in page offers. Default: DemoUsers.
	Users []User
	// Clients are who may ask for tokens. Default: the dashboard and the command line.
	Clients []Client
	// KeyFile keeps the signing key (PKCS #8, PEM, mode 0600), so that tokens outlive a restart; it is created when
	// missing. Default: empty, a new key for each process.
	KeyFile string
	// AccessTokenTTL is how long an access token is valid. Default: 5 minutes, as in Keycloak.
	AccessTokenTTL time.Duration
	// RefreshTokenTTL is how long a refresh token is valid. They live in memory: a restart ends them. Default: 12
	// hours.
	RefreshTokenTTL time.Duration
	// Now is the clock that tokens end by. Default: time.Now.
	Now func() time.Time
	// Logger is told who signs in. Default: no log.
	Logger *slog.Logger
}

// Client is a program that asks for tokens. With a Secret it is a service that uses client credentials; without one it
// is a public client that signs people in by the code flow with PKCE.
type Client struct {
	ID     string
	Secret string
	// RedirectURIs are where codes may be sent. Those on a loopback host stand for every loopback host and port
	// (RFC 8252, section 7.3).
	RedirectURIs []string
	// PostLogoutRedirectURIs are where people may be sent after signing out; loopback as above.
	PostLogoutRedirectURIs []string
}

// DefaultConfig has the demo users, the dashboard at the root of any loopback address, and the command line with that
// secret.
func DefaultConfig(issuer, serviceSecret string) Config {
	return Config{
		Issuer:          issuer,
		Audience:        Audience,
		Users:           DemoUsers(),
		Clients:         []Client{WebClient(WebClientID, "/"), {ID: ServiceClientID, Secret: serviceSecret}},
		AccessTokenTTL:  5 * time.Minute,
		RefreshTokenTTL: 12 * time.Hour,
		Now:             time.Now,
		Logger:          slog.New(slog.DiscardHandler),
	}
}

// WebClient is a public client whose pages lie under basePath ("/", "/ops/") on any loopback address and at the public
// URLs given (https://rastro.example).
func WebClient(id, basePath string, publicURLs ...string) Client {
	base := "/" + strings.Trim(basePath, "/")
	c := Client{ID: id}
	for _, origin := range append([]string{"http://127.0.0.1"}, publicURLs...) {
		root := strings.TrimSuffix(strings.TrimSuffix(origin, "/")+base, "/")
		c.RedirectURIs = append(c.RedirectURIs, root+"/auth/callback")
		c.PostLogoutRedirectURIs = append(c.PostLogoutRedirectURIs, root+"/", root)
	}
	return c
}

// Validate says what is wrong with the configuration, all of it at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("issuer config: "+format, args...)) }

	switch u, err := url.Parse(c.Issuer); {
	case err != nil:
		bad("issuer: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		bad("issuer %q is no http(s) URL; give one such as http://127.0.0.1:8080/oidc", c.Issuer)
	case strings.HasSuffix(c.Issuer, "/"):
		bad("issuer %q ends in a slash; leave it out", c.Issuer)
	}
	if c.Audience == "" {
		bad("audience is empty")
	}
	if c.AccessTokenTTL <= 0 || c.RefreshTokenTTL <= 0 {
		bad("token lifetimes must be positive")
	}
	seen := map[string]bool{}
	for i, u := range c.Users {
		if u.Username == "" || u.Tenant == "" || seen[u.Username] {
			bad("user %d needs a username of its own and a tenant", i)
		}
		seen[u.Username] = true
	}
	clients := map[string]bool{}
	for i, cl := range c.Clients {
		if cl.ID == "" || clients[cl.ID] {
			bad("client %d needs an id of its own", i)
		}
		clients[cl.ID] = true
		if cl.Secret == "" && len(cl.RedirectURIs) == 0 {
			bad("client %q has neither a secret nor a redirect URI", cl.ID)
		}
	}
	return errors.Join(errs...)
}
