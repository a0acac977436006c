package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// The roles that tokens carry.
const (
	// RoleEventsWrite lets a carrier send events.
	RoleEventsWrite = "events:write"
	// RoleTracesRead lets a consumer read the traces of its tenant.
	RoleTracesRead = "traces:read"
	// RoleOpsRead lets operations read stages, queues, dead letters and settings.
	RoleOpsRead = "ops:read"
	// RoleOpsWrite lets operations redrive, discard, pause and resume.
	RoleOpsWrite = "ops:write"
	// RoleTenantsAll lets those who run the system do for any tenant what their other roles let them do for their own, and see
	// what belongs to no tenant, such as frames that cannot be decoded.
	RoleTenantsAll = "tenants:all"
	// RolePersonalRead lets somebody read what events say about people; each time is audited.
	RolePersonalRead = "personal:read"
	// RolePersonalForget lets somebody make that unreadable for ever.
	RolePersonalForget = "personal:forget"
)

// Roles lists every role there is.
func Roles() []string {
	return []string{RoleEventsWrite, RoleTracesRead, RoleOpsRead, RoleOpsWrite, RoleTenantsAll, RolePersonalRead, RolePersonalForget}
}

// HeaderBytes is the size of request headers that a server must take (fiber.Config.ReadBufferSize) for tokens and
// session cookies to fit: Fiber's own default of 4 kB is too small for them.
const HeaderBytes = 64 << 10

// Config says whose tokens are good.
type Config struct {
	// Issuer is the issuer's URL exactly as in the iss claim of its tokens. Required.
	Issuer string
	// DiscoveryURL is where this process reaches the issuer when that is not under its name, as in a container network;
	// the endpoints that this process calls are then called there too. Default: empty, the issuer is reached by its
	// name.
	DiscoveryURL string
	// Audience must be among the aud claim of a token. Default: rastro-api.
	Audience string
	// TenantClaim names the claim that holds the tenant; dots reach into objects. Default: tenant.
	TenantClaim string
	// RolesClaims name the claims that hold roles, a list or words parted by spaces; dots reach into objects, whose names may
	// hold dots themselves: resource_access.api.example.com.roles. The roles of all of them count. Default: realm_access.roles (Keycloak) and roles.
	RolesClaims []string
	// Algorithms are the signature algorithms taken, of RS*, PS*, ES* and EdDSA; "none" and the HMAC ones never are. Default:
	// RS256, ES256 and EdDSA.
	Algorithms []string
	// Leeway is how far the issuer's clock may be off. Default: 30 s.
	Leeway time.Duration
	// CacheSize bounds how many checked tokens are remembered. Default: 10 000.
	CacheSize int
	// CacheTTL bounds how long a checked token is remembered; never beyond its expiry nor a change of the issuer's
	// keys. Default: 60 s. Zero checks every token every time.
	CacheTTL time.Duration
	// KeysMaxAge is how often the issuer's keys are fetched anew, so that withdrawn ones stop counting. Default: 10
	// min.
	KeysMaxAge time.Duration
	// KeysMaxStale is how long known keys count while the issuer cannot be reached. Default: 24 h.
	KeysMaxStale time.Duration
	// RefetchInterval is the least time between two fetches that tokens of unknown keys provoke. Default: 10 s.
	RefetchInterval time.Duration
	// RetryInterval is the least time between a fetch that failed and the next. Default: 1 s.
	RetryInterval time.Duration
	// Timeout bounds one fetch from the issuer. Default: 5 s.
	Timeout time.Duration
}

// DefaultConfig is the configuration for an issuer, with every default.
func DefaultConfig(issuer string) Config {
	return Config{
		Issuer:          issuer,
		Audience:        "rastro-api",
		TenantClaim:     "tenant",
		RolesClaims:     []string{"realm_access.roles", "roles"},
		Algorithms:      []string{"RS256", "ES256", "EdDSA"},
		Leeway:          30 * time.Second,
		CacheSize:       10_000,
		CacheTTL:        time.Minute,
		KeysMaxAge:      10 * time.Minute,
		KeysMaxStale:    24 * time.Hour,
		RefetchInterval: 10 * time.Second,
		RetryInterval:   time.Second,
		Timeout:         5 * time.Second,
	}
}

// Validate says what is wrong with the configuration, all of it at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("auth config: "+format, args...)) }

	if !httpURL(c.Issuer) {
		bad("issuer %q is no http(s) URL", c.Issuer)
	}
	if c.DiscoveryURL != "" && !httpURL(c.DiscoveryURL) {
		bad("discovery URL %q is no http(s) URL", c.DiscoveryURL)
	}
	if c.Audience == "" {
		bad("audience is empty: a token for anybody would be good")
	}
	if c.TenantClaim == "" {
		bad("tenant claim is empty")
	}
	if len(c.RolesClaims) == 0 || slices.Contains(c.RolesClaims, "") {
		bad("roles claims are empty")
	}
	if len(c.Algorithms) == 0 {
		bad("no signature algorithm is taken")
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(knownAlgorithms(), a) {
			bad("signature algorithm %q is not one of %s", a, strings.Join(knownAlgorithms(), ", "))
		}
	}
	if c.Leeway < 0 || c.CacheTTL < 0 || c.KeysMaxAge <= 0 || c.KeysMaxStale < 0 || c.RefetchInterval <= 0 ||
		c.RetryInterval <= 0 || c.Timeout <= 0 {
		bad("durations must be positive")
	}
	if c.CacheSize < 1 {
		bad("cache size must be positive")
	}
	return errors.Join(errs...)
}

// knownAlgorithms are those that may be taken: signatures by a key that only the issuer has.
func knownAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

func (c Config) algorithms() []jose.SignatureAlgorithm {
	algs := make([]jose.SignatureAlgorithm, len(c.Algorithms))
	for i, a := range c.Algorithms {
		algs[i] = jose.SignatureAlgorithm(a)
	}
	return algs
}

func httpURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && u.Fragment == ""
}
