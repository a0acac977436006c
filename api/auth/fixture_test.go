package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps the Date header by a goroutine of the whole process, and a stopped server's pool wakes once
		// more.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now().Truncate(time.Second)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// signer is a key pair of an issuer under test.
type signer struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   any
}

func (s signer) public() jose.JSONWebKey {
	key := jose.JSONWebKey{Key: s.private, KeyID: s.id, Algorithm: string(s.algorithm), Use: "sig"}
	return key.Public()
}

func rsaSigner(tb testing.TB, id string, bits int) signer {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(tb, err)
	return signer{id, jose.RS256, key}
}

func ecSigner(tb testing.TB, id string) signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return signer{id, jose.ES256, key}
}

func edSigner(tb testing.TB, id string) signer {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	return signer{id, jose.EdDSA, key}
}

// sign makes a token of any claims, good or odd.
func (s signer) sign(tb testing.TB, claims any) string {
	tb.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(tb, err)
	return s.signBytes(tb, payload)
}

func (s signer) signBytes(tb testing.TB, payload []byte) string {
	tb.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: jose.JSONWebKey{Key: s.private, KeyID: s.id}}, nil)
	require.NoError(tb, err)
	signed, err := made.Sign(payload)
	require.NoError(tb, err)
	raw, err := signed.CompactSerialize()
	require.NoError(tb, err)
	return raw
}

// authority is an issuer that serves discovery and keys over real HTTP and can be broken at will.
type authority struct {
	server *httptest.Server
	down   atomic.Bool
	keyHit atomic.Int64

	mu     sync.Mutex
	issuer string
	keys   []any
}

func newAuthority(tb testing.TB, signers ...signer) *authority {
	tb.Helper()
	a := &authority{}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	tb.Cleanup(a.server.Close)
	a.issuer = a.server.URL
	a.publish(signers...)
	return a
}

func (a *authority) publish(signers ...signer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = nil
	for _, s := range signers {
		a.keys = append(a.keys, s.public())
	}
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	if a.down.Load() {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var body any
	switch r.URL.Path {
	case wellKnown:
		body = map[string]any{
			"issuer": a.issuer, "jwks_uri": a.issuer + "/keys",
			"authorization_endpoint": a.issuer + "/authorize", "token_endpoint": a.issuer + "/token",
			"end_session_endpoint": a.issuer + "/logout",
		}
	case "/keys":
		a.keyHit.Add(1)
		body = map[string]any{"keys": a.keys}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// goodClaims are those of a token that opens the API, in Keycloak's shape.
func (a *authority) goodClaims(at time.Time) map[string]any {
	return map[string]any{
		"iss": a.issuer, "sub": "0b1f2c3d-0000-4000-8000-000000000001", "aud": []string{"rastro-api", "account"},
		"exp": at.Add(5 * time.Minute).Unix(), "iat": at.Unix(), "nbf": at.Unix(), "typ": "Bearer", "azp": "carrier-la",
		"name": "Rosa Quispe", "tenant": "talma-pe",
		"realm_access": map[string]any{"roles": []string{"offline_access", "traces:read", "events:write"}},
	}
}

// with returns the claims with some changed; nil removes one.
func with(claims, changes map[string]any) map[string]any {
	c := maps.Clone(claims)
	for k, v := range changes {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

func testClient(tb testing.TB) *http.Client {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testVerifier(tb testing.TB, a *authority, c *clock) *Verifier {
	tb.Helper()
	cfg := DefaultConfig(a.issuer)
	require.NoError(tb, cfg.Validate())
	return newVerifier(cfg, testClient(tb), quiet(), c.now)
}
