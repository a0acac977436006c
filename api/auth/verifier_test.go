package auth

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVerifyTellsWhoIsAsking(t *testing.T) {
	t.Parallel()
	for _, key := range []signer{rsaSigner(t, "rsa", 2048), ecSigner(t, "ec"), edSigner(t, "ed")} {
		t.Run(key.id, func(t *testing.T) {
			t.Parallel()
			clk := newClock()
			a := newAuthority(t, key)
			id, err := testVerifier(t, a, clk).Verify(t.Context(), key.sign(t, a.goodClaims(clk.now())))
			require.NoError(t, err)
			require.Equal(t, Identity{
				Subject: "0b1f2c3d-0000-4000-8000-000000000001", ClientID: "carrier-la", Name: "Rosa Quispe", TenantID: "talma-pe",
				Roles: []string{RoleEventsWrite, RoleTracesRead}, ExpiresAt: clk.now().Add(5 * time.Minute).UTC(),
			}, id)
			require.True(t, id.Has(RoleTracesRead))
			require.False(t, id.Has(RoleOpsRead))
		})
	}
}

// The shapes are those of Keycloak 26 with the mappers that its documentation describes.
func TestVerifyReadsTheShapesOfIssuers(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	base := a.goodClaims(clk.now())
	tests := map[string]struct {
		changes map[string]any
		config  func(*Config)
		want    func(*Identity)
	}{
		"service account": {
			changes: map[string]any{
				"name": nil, "preferred_username": "service-account-la", "client_id": "carrier-la", "aud": "rastro-api",
				"realm_access": map[string]any{"roles": []string{"default-roles-rastro", "uma_authorization", "events:write"}},
			},
			want: func(id *Identity) { id.Name, id.Roles = "service-account-la", []string{RoleEventsWrite} },
		},
		"attribute mapper that writes a list": {
			changes: map[string]any{"tenant": []string{"talma-ec"}},
			want:    func(id *Identity) { id.TenantID = "talma-ec" },
		},
		"top-level roles besides realm roles": {
			changes: map[string]any{"roles": []string{"ops:read", "traces:read", "unheard:of"}},
			want:    func(id *Identity) { id.Roles = []string{RoleEventsWrite, RoleOpsRead, RoleTracesRead} },
		},
		"claim names with dots, roles in scope": {
			changes: map[string]any{
				"https://rastro.example/tenant": "talma-mx", "tenant": nil, "realm_access": nil, "scope": "openid ops:write events:write",
			},
			config: func(c *Config) { c.TenantClaim, c.RolesClaims = "https://rastro.example/tenant", []string{"scope"} },
			want:   func(id *Identity) { id.TenantID, id.Roles = "talma-mx", []string{RoleEventsWrite, RoleOpsWrite} },
		},
		"tenant in an object": {
			changes: map[string]any{"tenant": nil, "organization": map[string]any{"id": "talma-co"}},
			config:  func(c *Config) { c.TenantClaim = "organization.id" },
			want:    func(id *Identity) { id.TenantID = "talma-co" },
		},
		"client_id without azp": {
			changes: map[string]any{"azp": nil, "client_id": "other"},
			want:    func(id *Identity) { id.ClientID = "other" },
		},
		"fractional expiry": {
			changes: map[string]any{"exp": float64(clk.now().Unix()) + 60.5},
			want:    func(id *Identity) { id.ExpiresAt = clk.now().Add(60500 * time.Millisecond).UTC() },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := testVerifier(t, a, clk)
			if tt.config != nil {
				cfg := v.cfg
				tt.config(&cfg)
				v = newVerifier(cfg, testClient(t), quiet(), clk.now)
			}
			want, err := v.Verify(t.Context(), key.sign(t, with(base, map[string]any{
				// what both configurations of the table find
				"https://rastro.example/tenant": "talma-pe", "organization": map[string]any{"id": "talma-pe"},
				"scope": "events:write traces:read",
			})))
			require.NoError(t, err)
			tt.want(&want)
			got, err := v.Verify(t.Context(), key.sign(t, with(base, tt.changes)))
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), rsaSigner(t, "k", 2048)
	a := newAuthority(t, key)
	v := testVerifier(t, a, clk)
	now, good := clk.now(), a.goodClaims(clk.now())
	changed := func(changes map[string]any) string { return key.sign(t, with(good, changes)) }
	parts := strings.Split(key.sign(t, good), ".")
	b64 := base64.RawURLEncoding.EncodeToString

	foreign := rsaSigner(t, "k", 2048) // the same name, another key
	payload, err := json.Marshal(with(good, map[string]any{"tenant": "talma-ec"}))
	require.NoError(t, err)

	tests := map[string]struct {
		raw  string
		want error
	}{
		"nothing":                   {"", ErrMissing},
		"junk":                      {"junk", ErrMalformed},
		"three dots":                {"a.b.c", ErrMalformed},
		"too long":                  {strings.Repeat("a", maxToken+1), ErrMalformed},
		"alg none":                  {b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", ErrMalformed},
		"alg none, spelt otherwise": {b64([]byte(`{"alg":"nOnE","kid":"k"}`)) + "." + parts[1] + ".", ErrMalformed},
		"HS256 by the public key":   {hs256(t, key, parts[1]), ErrMalformed},
		"JSON serialization":        {fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2]), ErrMalformed},
		"other payload":             {parts[0] + "." + b64(payload) + "." + parts[2], ErrSignature},
		"other signature":           {parts[0] + "." + parts[1] + "." + b64([]byte("forged")), ErrSignature},
		"no signature":              {parts[0] + "." + parts[1] + ".", ErrSignature},
		"other key, same name":      {foreign.sign(t, good), ErrSignature},
		"unknown key":               {rsaSigner(t, "new", 2048).sign(t, good), ErrSignature},
		"key inside the token": {
			b64([]byte(`{"alg":"RS256","jwk":`+mustJSON(t, foreign.public())+`}`)) + "." + parts[1] + "." + parts[2], ErrSignature,
		},
		"claims are no object": {key.signBytes(t, []byte(`["a"]`)), ErrMalformed},
		"claims are two":       {key.signBytes(t, []byte(`{} {}`)), ErrMalformed},
		"claims are null":      {key.signBytes(t, []byte(`null`)), ErrMalformed},
		"other issuer":         {changed(map[string]any{"iss": "https://evil.example"}), ErrIssuer},
		"issuer with a slash":  {changed(map[string]any{"iss": a.issuer + "/"}), ErrIssuer},
		"no issuer":            {changed(map[string]any{"iss": nil}), ErrIssuer},
		"other audience":       {changed(map[string]any{"aud": "account"}), ErrAudience},
		"part of the audience": {changed(map[string]any{"aud": "rastro-api-2"}), ErrAudience},
		"no audience":          {changed(map[string]any{"aud": nil}), ErrAudience},
		"expired":              {changed(map[string]any{"exp": now.Add(-31 * time.Second).Unix()}), ErrExpired},
		"expired by a hair":    {changed(map[string]any{"exp": now.Add(-30 * time.Second).Unix()}), ErrExpired},
		"no expiry":            {changed(map[string]any{"exp": nil}), ErrMalformed},
		"expiry as text":       {changed(map[string]any{"exp": "tomorrow"}), ErrMalformed},
		"expiry out of range":  {changed(map[string]any{"exp": 1e300}), ErrMalformed},
		"not yet":              {changed(map[string]any{"nbf": now.Add(31 * time.Second).Unix()}), ErrNotYetValid},
		"ID token by typ":      {changed(map[string]any{"typ": "ID"}), ErrNotAccess},
		"ID token by at_hash":  {changed(map[string]any{"typ": nil, "at_hash": "x"}), ErrNotAccess},
		"refresh token":        {changed(map[string]any{"typ": "Refresh"}), ErrNotAccess},
		"no subject":           {changed(map[string]any{"sub": nil}), ErrMalformed},
		"no tenant":            {changed(map[string]any{"tenant": nil}), ErrNoTenant},
		"empty tenant":         {changed(map[string]any{"tenant": ""}), ErrNoTenant},
		"two tenants":          {changed(map[string]any{"tenant": []string{"talma-pe", "talma-ec"}}), ErrNoTenant},
		"tenant with a space":  {changed(map[string]any{"tenant": "talma pe"}), ErrNoTenant},
		"long tenant":          {changed(map[string]any{"tenant": strings.Repeat("t", maxTenant+1)}), ErrNoTenant},
		"tenant is a number":   {changed(map[string]any{"tenant": 7}), ErrNoTenant},
		"no roles":             {changed(map[string]any{"realm_access": nil}), ErrNoRole},
		"unknown roles only":   {changed(map[string]any{"realm_access": map[string]any{"roles": []string{"admin"}}}), ErrNoRole},
		"roles are a number":   {changed(map[string]any{"realm_access": map[string]any{"roles": 7}}), ErrNoRole},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := v.Verify(t.Context(), tt.raw)
			require.ErrorIs(t, err, tt.want)
			require.Empty(t, id)
			require.True(t, expected(err))
		})
	}
	t.Run("within the leeway", func(t *testing.T) {
		t.Parallel()
		_, err := v.Verify(t.Context(), changed(map[string]any{
			"exp": now.Add(-29 * time.Second).Unix(), "nbf": now.Add(29 * time.Second).Unix(),
		}))
		require.NoError(t, err)
	})
}

// hs256 makes the classic forgery: the public key, which anybody has, taken for an HMAC secret.
func hs256(t *testing.T, key signer, payload string) string {
	t.Helper()
	private, ok := key.private.(*rsa.PrivateKey)
	require.True(t, ok)
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	require.NoError(t, err)
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k"}`)) + "." + payload
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestCacheNeverOutlivesTheToken(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	v := testVerifier(t, a, clk)
	raw := key.sign(t, with(a.goodClaims(clk.now()), map[string]any{"exp": clk.now().Add(20 * time.Second).Unix()}))
	first, err := v.Verify(t.Context(), raw)
	require.NoError(t, err)
	require.Equal(t, 1, v.checked.EstimatedSize())

	first.Roles[0] = "spoilt by a caller"
	again, err := v.Verify(t.Context(), raw)
	require.NoError(t, err)
	require.NotContains(t, again.Roles, "spoilt by a caller")

	clk.advance(49 * time.Second)
	_, err = v.Verify(t.Context(), raw)
	require.NoError(t, err, "within expiry and leeway")
	clk.advance(time.Second)
	_, err = v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, ErrExpired, "expired, though remembered")
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), edSigner(t, "k")
	a := newAuthority(t, key)
	cfg := DefaultConfig(a.issuer)
	cfg.CacheSize = 8
	v := newVerifier(cfg, testClient(t), quiet(), clk.now)
	for i := range 100 {
		_, err := v.Verify(t.Context(), key.sign(t, with(a.goodClaims(clk.now()), map[string]any{"jti": i})))
		require.NoError(t, err)
	}
	v.checked.CleanUp()
	require.LessOrEqual(t, v.checked.EstimatedSize(), 8)
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig("https://id.example/realms/rastro").Validate())
	for want, change := range map[string]func(*Config){
		"issuer":           func(c *Config) { c.Issuer = "id.example" },
		"discovery URL":    func(c *Config) { c.DiscoveryURL = "keycloak:8080" },
		"audience":         func(c *Config) { c.Audience = "" },
		"tenant claim":     func(c *Config) { c.TenantClaim = "" },
		"roles claims":     func(c *Config) { c.RolesClaims = nil },
		`"none"`:           func(c *Config) { c.Algorithms = []string{"none"} },
		`"HS256"`:          func(c *Config) { c.Algorithms = []string{"RS256", "HS256"} },
		"no signature alg": func(c *Config) { c.Algorithms = nil },
		"durations":        func(c *Config) { c.Leeway = -1 },
		"cache size":       func(c *Config) { c.CacheSize = 0 },
	} {
		c := DefaultConfig("https://id.example")
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}

func FuzzVerify(f *testing.F) {
	clk, key := newClock(), edSigner(f, "k")
	a := newAuthority(f, key)
	v := testVerifier(f, a, clk)
	good := key.sign(f, a.goodClaims(clk.now()))
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30.")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k","crit":["exp"]}`)) + ".e30.AAAA")
	f.Fuzz(func(t *testing.T, raw string) {
		id, err := v.Verify(t.Context(), raw)
		if err == nil && strings.Split(raw, ".")[1] != strings.Split(good, ".")[1] {
			t.Fatalf("a token we did not sign was taken: %q is %+v", raw, id)
		}
		if err != nil && !expected(err) {
			t.Fatalf("an error that no refusal stands for: %v", err)
		}
	})
}

func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"https://id.example","aud":"rastro-api","exp":4102444800,"sub":"s","tenant":"t","roles":"ops:read"}`))
	f.Add([]byte(`{"exp":1e999}`))
	f.Add([]byte(`{"exp":-0.5,"nbf":null,"aud":[1,"rastro-api"],"realm_access":{"roles":{}}}`))
	cfg := DefaultConfig("https://id.example")
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := parseClaims(payload)
		if err != nil {
			return
		}
		expiry, err := c.check(cfg, time.Unix(1_790_000_000, 0))
		if err != nil {
			return
		}
		id, err := c.identity(cfg, expiry)
		if err == nil && (id.TenantID == "" || len(id.Roles) == 0 || id.Subject == "" || id.ExpiresAt.IsZero()) {
			t.Fatalf("half an identity: %+v", id)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	clk, key := newClock(), rsaSigner(b, "k", 2048)
	a := newAuthority(b, key)
	raw := key.sign(b, a.goodClaims(clk.now()))
	for name, ttl := range map[string]time.Duration{"remembered": time.Minute, "each time": 0} {
		b.Run(name, func(b *testing.B) {
			cfg := DefaultConfig(a.issuer)
			cfg.CacheTTL = ttl
			v := newVerifier(cfg, testClient(b), quiet(), clk.now)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
