package cli

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/dashboard"
	"github.com/rastrohq/rastro/config"
	webapp "github.com/rastrohq/rastro/dashboard"
	"github.com/rastrohq/rastro/store"
)

// newVerifier makes the one check of tokens that every role and every issuer, Keycloak or the development one, goes through.
func newVerifier(process config.Process, logger *slog.Logger) (*auth.Verifier, error) {
	c := auth.DefaultConfig(process.Identity.Issuer)
	c.DiscoveryURL = process.Identity.DiscoveryURL
	c.Audience = process.Identity.Audience
	c.TenantClaim = process.Identity.TenantClaim
	c.RolesClaims = process.Identity.RoleClaims
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return auth.NewVerifier(c, &http.Client{Timeout: 10 * time.Second}, logger), nil
}

// newSessions makes the sessions of browsers, or none when no key seals them: then only bearer tokens are taken.
func newSessions(s surroundings, verifier *auth.Verifier, logger *slog.Logger) (*auth.Sessions, error) {
	if s.process.Identity.SessionKey == "" {
		return nil, nil //nolint:nilnil // no sessions is a way to run, and the middleware knows it
	}
	c := auth.DefaultSessionConfig([]byte(s.process.Identity.SessionKey))
	c.ClientID = s.process.Identity.ClientID
	c.ClientSecret = s.process.Identity.ClientSecret
	c.PublicURL = s.process.PublicURL
	return auth.NewSessions(c, verifier, logger)
}

// newVault makes what seals the secrets of carriers, or none when no key is set: then no signature can be checked.
func newVault(process config.Process) (*auth.Vault, error) {
	c := process.Credentials
	switch {
	case c.Key == "":
		return nil, nil //nolint:nilnil // no vault is a way to run, and the senders know it
	case c.PreviousKey == "":
		return auth.NewVault(c.Key)
	default:
		return auth.NewVault(c.Key, c.PreviousKey)
	}
}

// newSenders makes the one check of the API keys and signatures of carriers.
func newSenders(process config.Process, db *store.Store, vault *auth.Vault, logger *slog.Logger) (*auth.Senders, error) {
	c := auth.DefaultSendersConfig()
	c.Tolerance, c.MaxStale = process.Credentials.Tolerance, process.Credentials.MaxStale
	c.Hold = max(c.Hold, 2*process.Ingest.Timeout)
	return auth.NewSenders(c, db, vault, logger, time.Now)
}

// newRefusals makes what logs and counts the requests that are not let in.
func newRefusals(logger *slog.Logger, registerer prometheus.Registerer) (*auth.Refusals, error) {
	refusals := auth.NewRefusals(logger)
	return refusals, refusals.Register(registerer)
}

// serveDashboard adds the dashboard's pages and sign-in to the server.
func serveDashboard(server *httpServer, sessions *auth.Sessions, process config.Process) {
	server.pages = func() error {
		c := dashboard.DefaultConfig(webapp.Dist())
		c.Environment = process.Environment
		return dashboard.Register(server.app, c, sessions)
	}
}
