package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"net/http"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestOnlyTheUsualAlgorithmsAreTakenUnlessConfigured(t *testing.T) {
	t.Parallel()
	clk, rsa, ed := newClock(), rsaSigner(t, "rsa", 2048), edSigner(t, "ed")
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for algorithm, s := range map[jose.SignatureAlgorithm]signer{
		jose.RS256: rsa, jose.RS384: rsa, jose.RS512: rsa, jose.PS256: rsa, jose.PS512: rsa, jose.EdDSA: ed,
		jose.ES256: ecSigner(t, "ec"), jose.ES384: {id: "ec384", private: key},
	} {
		s.algorithm = algorithm
		a := newAuthority(t, s)
		raw := s.sign(t, a.goodClaims(clk.now()))
		_, err := testVerifier(t, a, clk).Verify(t.Context(), raw)
		if algorithm == jose.RS256 || algorithm == jose.ES256 || algorithm == jose.EdDSA {
			require.NoError(t, err, algorithm)
			continue
		}
		require.ErrorContains(t, err, "unexpected signature algorithm", algorithm)
		cfg := DefaultConfig(a.issuer)
		cfg.Algorithms = []string{string(algorithm)}
		require.NoError(t, cfg.Validate())
		_, err = newVerifier(cfg, testClient(t), quiet(), clk.now).Verify(t.Context(), raw)
		require.NoError(t, err, algorithm)
	}
}

func TestClaimsBelowNamesWithDots(t *testing.T) {
	t.Parallel()
	roles := func(roles ...any) map[string]any { return map[string]any{"roles": roles} }
	c := claims{
		"resource_access": map[string]any{"api.example.com": roles("a"), "api": roles("b"), "x": "no object", "x.y": roles("c")},
		"flat.name":       "d",
		"flat":            map[string]any{"name": "hidden", "other.name": "e"},
	}
	for name, want := range map[string]any{
		"resource_access.api.example.com.roles": []any{"a"}, "resource_access.api.roles": []any{"b"}, "resource_access.x.y.roles": []any{"c"},
		"flat.name": "d", "flat.other.name": "e", "flat.none": nil, "resource_access.x.roles": nil, "none.at.all": nil, ".": nil, "": nil,
	} {
		require.Equal(t, want, c.at(name), name)
	}
}

func TestAMissingRoleIsLoggedAndCounted(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	var logs bytes.Buffer
	refusals := NewRefusals(slog.New(slog.NewTextHandler(&logs, nil)))
	registry := prometheus.NewRegistry()
	require.NoError(t, refusals.Register(registry))
	app := fiber.New()
	app.Use(Gate{Verifier: testVerifier(t, a, clk), Refusals: refusals}.Handler())
	app.Get("/required", Require(RoleOpsRead), whoAsks)
	app.Get("/asked", func(c *fiber.Ctx) error {
		id, _ := FromContext(c.UserContext())
		return MissingRole(c.UserContext(), id, RoleTenantsAll, "talma-ec").Write(c)
	})
	raw := key.sign(t, a.goodClaims(clk.now()))
	for path, want := range map[string]string{
		"/required": "role=ops:read asked_tenant=talma-pe", "/asked": "role=tenants:all asked_tenant=talma-ec",
	} {
		logs.Reset()
		req := bearer("Bearer " + raw)
		req.URL.Path, req.RequestURI = path, path
		require.Equal(t, http.StatusForbidden, call(t, app, req).StatusCode)
		require.Contains(t, logs.String(), "level=WARN msg=\"request refused\" reason=missing_role")
		require.Contains(t, logs.String(), "path="+path+" subject=0b1f2c3d-0000-4000-8000-000000000001 client=carrier-la tenant=talma-pe "+want)
		require.NotContains(t, logs.String(), raw)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Len(t, families[0].GetMetric(), 1)
	require.Equal(t, "missing_role", families[0].GetMetric()[0].GetLabel()[0].GetValue())
	require.InDelta(t, 2, families[0].GetMetric()[0].GetCounter().GetValue(), 0)
}
