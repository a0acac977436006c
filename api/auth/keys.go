package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// minRSABits is the smallest RSA key that counts (RFC 7518, section 3.3).
const minRSABits = 2048

// keySet is the issuer's keys (JWKS, RFC 7517). They are fetched when first needed, when they are old, and when a token
// names a key that is not among them; the last at most once in a while, because anybody can make up key names.
type keySet struct {
	cfg       Config
	discovery *discovery
	now       func() time.Time
	logger    *slog.Logger
	group     singleflight.Group

	mu        sync.RWMutex
	keys      []jose.JSONWebKey
	version   uint64 // changes whenever keys do
	fetched   time.Time
	attempted time.Time
	failure   error // of the last attempt
}

// current is the version of the keys.
func (k *keySet) current() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.version
}

// VerifySignature implements oidc.KeySet: it returns the payload of a token that one of the keys signed.
func (k *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	token, err := jose.ParseSignedCompact(raw, k.cfg.algorithms())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	header := token.Signatures[0].Protected // never what is outside the signature
	candidates, err := k.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, err
	}
	for i := range candidates {
		if payload, err := token.Verify(&candidates[i]); err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%w by key %q", ErrSignature, header.KeyID)
}

// find returns the keys that may have made a signature; all that fit when the token names none.
func (k *keySet) find(ctx context.Context, kid, algorithm string) ([]jose.JSONWebKey, error) {
	found, age, failure := k.lookup(kid, algorithm)
	switch {
	case len(found) > 0 && age < k.cfg.KeysMaxAge:
		return found, nil
	case len(found) > 0 && failure != nil && age < k.cfg.KeysMaxAge+k.cfg.KeysMaxStale:
		k.attempt(ctx) // in an outage nobody waits for what is known
		return found, nil
	}
	if err := k.refresh(ctx); err != nil {
		return nil, err
	}
	found, age, failure = k.lookup(kid, algorithm)
	switch {
	case len(found) > 0 && age < k.cfg.KeysMaxAge+k.cfg.KeysMaxStale:
		return found, nil
	case failure != nil:
		return nil, failure
	default:
		return nil, fmt.Errorf("%w: the issuer has no key %q for %s", ErrSignature, kid, algorithm)
	}
}

func (k *keySet) lookup(kid, algorithm string) (found []jose.JSONWebKey, age time.Duration, failure error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, key := range k.keys {
		if (kid == "" || key.KeyID == kid) && (key.Algorithm == "" || key.Algorithm == algorithm) {
			found = append(found, key)
		}
	}
	return found, k.now().Sub(k.fetched), k.failure
}

// refresh fetches the keys unless that was just tried. Its outcome is in the fields; its error is only that ctx is
// over.
func (k *keySet) refresh(ctx context.Context) error {
	done := k.attempt(ctx)
	if done == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-done:
		return nil
	}
}

// attempt begins to fetch the keys, or joins who did; it returns nil when that was just tried.
func (k *keySet) attempt(ctx context.Context) <-chan singleflight.Result {
	if !k.due() {
		return nil
	}
	return k.group.DoChan("", func() (any, error) {
		if !k.due() {
			return nil, nil
		}
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.Timeout)
		defer cancel()
		keys, err := k.fetch(fetchCtx)
		k.settle(fetchCtx, keys, err)
		return nil, nil
	})
}

func (k *keySet) due() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	interval := k.cfg.RefetchInterval
	if k.failure != nil {
		interval = k.cfg.RetryInterval
	}
	return k.attempted.IsZero() || k.now().Sub(k.attempted) >= interval
}

func (k *keySet) settle(ctx context.Context, keys []jose.JSONWebKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempted = k.now()
	if err != nil {
		if k.failure == nil { // say it once an outage
			k.logger.WarnContext(ctx, "cannot fetch the issuer's keys", slog.String("issuer", k.cfg.Issuer), slog.Any("error", err))
		}
		k.failure = err
		return
	}
	if k.failure != nil {
		k.logger.InfoContext(ctx, "the issuer's keys are here again", slog.String("issuer", k.cfg.Issuer))
	}
	k.failure, k.fetched = nil, k.attempted
	if !slices.EqualFunc(k.keys, keys, sameKey) {
		k.keys = keys
		k.version++
	}
}

func sameKey(a, b jose.JSONWebKey) bool {
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && string(x) == string(y)
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	m, err := k.discovery.metadata(ctx)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := getJSON(ctx, k.discovery.client, m.keysURL, &set); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// RFC 7517, section 5: keys that are not understood are passed over.
		if err := json.Unmarshal(raw, &key); err == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: %s holds no key to check signatures with", ErrUnavailable, m.keysURL)
	}
	return keys, nil
}

// usable keeps public keys for signatures. A symmetric key in a public document must never count.
func usable(key jose.JSONWebKey) bool {
	if !key.Valid() || !key.IsPublic() || (key.Use != "" && key.Use != "sig") {
		return false
	}
	if public, ok := key.Key.(*rsa.PublicKey); ok {
		return public.N.BitLen() >= minRSABits
	}
	return true
}
