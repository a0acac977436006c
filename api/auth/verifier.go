package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 16 << 10

// Verifier checks access tokens. It is safe for concurrent use, and fetches the issuer's keys when it first needs them.
type Verifier struct {
	cfg       Config
	client    *http.Client
	discovery *discovery
	keys      *keySet
	checked   *otter.Cache[[sha256.Size]byte, checked]
	now       func() time.Time
	logger    *slog.Logger
}

// checked is a token that was found good.
type checked struct {
	identity Identity
	until    time.Time
	version  uint64 // of the keys that it was checked with
}

// NewVerifier makes a verifier. cfg should have been validated; client reaches the issuer.
func NewVerifier(cfg Config, client *http.Client, logger *slog.Logger) *Verifier {
	return newVerifier(cfg, client, logger, time.Now)
}

func newVerifier(cfg Config, client *http.Client, logger *slog.Logger, now func() time.Time) *Verifier {
	d := &discovery{cfg: cfg, client: client, now: now}
	return &Verifier{
		cfg: cfg, client: client, discovery: d, now: now, logger: logger,
		keys: &keySet{cfg: cfg, discovery: d, now: now, logger: logger},
		// No expiry calculator: entries carry their own end, and the cache needs no goroutine.
		checked: otter.Must(&otter.Options[[sha256.Size]byte, checked]{MaximumSize: max(cfg.CacheSize, 1)}),
	}
}

// Ready fetches the issuer's keys unless they are known; its error wraps ErrUnavailable. It is a readiness check:
// nothing needs it to have been called.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.keys.current() > 0 {
		return nil
	}
	if err := v.keys.refresh(ctx); err != nil {
		return err
	}
	v.keys.mu.RLock()
	defer v.keys.mu.RUnlock()
	return v.keys.failure
}

// Verify checks an access token and says whose it is. Its errors wrap one of the package's: ErrUnavailable when the
// issuer cannot be asked, ErrNoTenant and ErrNoRole when the token is good and opens nothing, the others when it is no
// good.
func (v *Verifier) Verify(ctx context.Context, raw string) (Identity, error) {
	if raw == "" {
		return Identity{}, ErrMissing
	}
	if len(raw) > maxToken {
		return Identity{}, fmt.Errorf("%w: %d bytes, more than %d", ErrMalformed, len(raw), maxToken)
	}
	now, version, sum := v.now(), v.keys.current(), sha256.Sum256([]byte(raw))
	if hit, ok := v.checked.GetIfPresent(sum); ok && hit.version == version && now.Before(hit.until) {
		return hit.identity.clone(), nil
	}
	payload, err := v.keys.VerifySignature(ctx, raw)
	if err != nil {
		return Identity{}, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return Identity{}, err
	}
	expiry, err := c.check(v.cfg, now)
	if err != nil {
		return Identity{}, err
	}
	id, err := c.identity(v.cfg, expiry)
	if err != nil {
		return Identity{}, err
	}
	until := now.Add(v.cfg.CacheTTL)
	if end := expiry.Add(v.cfg.Leeway); end.Before(until) {
		until = end
	}
	v.checked.Set(sum, checked{identity: id, until: until, version: version})
	return id.clone(), nil
}

// clone keeps callers from changing what the cache holds.
func (id Identity) clone() Identity {
	id.Roles = slices.Clone(id.Roles)
	return id
}
