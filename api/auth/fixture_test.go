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
		// fasthttp keeps the Date header by a goroutine of the whole process, and a stopped server's pool wakes once more.
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

func rsaSigner(t testing.TB, id string, bits int) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return signer{id, jose.RS256, key}
}

func ecSigner(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signer{id, jose.ES256, key}
}

func edSigner(t testing.TB, id string) signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return signer{id, jose.EdDSA, key}
}

// sign makes a token of any claims, good or odd.
func (s signer) sign(t testing.TB, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return s.signBytes(t, payload)
}

func (s signer) signBytes(t testing.TB, payload []byte) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: jose.JSONWebKey{Key: s.private, KeyID: s.id}}, nil)
	require.NoError(t, err)
	signed, err := made.Sign(payload)
	require.NoError(t, err)
	raw, err := signed.CompactSerialize()
	require.NoError(t, err)
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

func newAuthority(t testing.TB, signers ...signer) *authority {
	t.Helper()
	a := &authority{}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
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

func testClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testVerifier(t testing.TB, a *authority, c *clock) *Verifier {
	t.Helper()
	cfg := DefaultConfig(a.issuer)
	require.NoError(t, cfg.Validate())
	return newVerifier(cfg, testClient(t), quiet(), c.now)
}
