package auth

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/problem"
)

func call(t *testing.T, app *fiber.App, req *http.Request) answer {
	t.Helper()
	resp, err := app.Test(req, 5000)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp, string(body)}
}

func bearer(header string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, "/me", nil)
	if header != "" {
		req.Header.Set("Authorization", header)
	}
	return req
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	v := testVerifier(t, a, clk)
	app := fiber.New(fiber.Config{ReadBufferSize: HeaderBytes})
	app.Get("/me", v.Authenticate(), whoAsks)
	app.Get("/ops", v.Authenticate(), Require(RoleOpsRead), whoAsks)
	app.Get("/bare", Require(RoleOpsRead))
	good := key.sign(t, a.goodClaims(clk.now()))
	expired := key.sign(t, with(a.goodClaims(clk.now()), map[string]any{"exp": clk.now().Add(-time.Hour).Unix()}))

	resp := call(t, app, bearer("bearer "+good))
	body := resp.body
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	var me map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &me))
	require.Equal(t, map[string]any{
		"subject": "0b1f2c3d-0000-4000-8000-000000000001", "client_id": "carrier-la", "name": "Rosa Quispe", "tenant_id": "talma-pe",
		"roles": []any{"events:write", "traces:read"}, "expires_at": clk.now().Add(5 * time.Minute).UTC().Format(time.RFC3339),
	}, me)

	refused := func(path, header string, status int, kind, challenge string) answer {
		t.Helper()
		req := bearer(header)
		req.URL.Path, req.RequestURI = path, path
		resp := call(t, app, req)
		body := resp.body
		require.Equal(t, status, resp.StatusCode, body)
		require.Equal(t, problem.ContentType, resp.Header.Get("Content-Type"))
		require.Equal(t, challenge, resp.Header.Get("WWW-Authenticate"))
		var p problem.Problem
		require.NoError(t, json.Unmarshal([]byte(body), &p))
		require.Equal(t, "/problems/"+kind, p.Type)
		require.Equal(t, status, p.Status)
		require.NotEmpty(t, p.Detail)
		require.NotContains(t, body, good)
		return resp
	}
	refused("/me", "", 401, "unauthenticated", realm)
	refused("/me", "Basic cm9zYTpzZWNyZXQ=", 401, "unauthenticated", realm)
	refused("/me", "Bearer", 401, "unauthenticated", realm)
	refused("/me", "Bearer "+good[:len(good)-6]+"AAAAAA", 401, "token-invalid",
		realm+`, error="invalid_token", error_description="bad signature"`)
	refused("/me", "Bearer "+expired, 401, "token-expired", realm+`, error="invalid_token", error_description="expired token"`)
	refused("/me", "Bearer "+key.sign(t, with(a.goodClaims(clk.now()), map[string]any{"tenant": nil})), 403, "no-tenant",
		realm+`, error="insufficient_scope", error_description="token without a tenant"`)
	refused("/ops", "Bearer "+good, 403, "missing-role", realm+`, error="insufficient_scope", scope="ops:read"`)
	refused("/bare", "", 401, "unauthenticated", realm)

	a.down.Store(true)
	clk.advance(time.Minute)
	resp = refused("/me", "Bearer "+ecSigner(t, "new").sign(t, a.goodClaims(clk.now())), 503, "issuer-unavailable", "")
	require.Equal(t, "5", resp.Header.Get("Retry-After"))
}

func TestEveryRefusalIsComplete(t *testing.T) {
	t.Parallel()
	for _, r := range refusals() {
		require.Equal(t, r.err, refusalOf(r.err).err)
		require.NotEmpty(t, r.kind)
		require.NotEmpty(t, r.detail)
		require.NotContains(t, r.err.Error(), `"`, "it stands in a quoted string")
		if r.challenge != "" {
			require.Contains(t, []int{401, 403}, r.status)
		}
	}
	require.Equal(t, ErrMalformed, refusalOf(io.EOF).err, "what is not known opens nothing")
}

// The identity must be there for handlers behind Huma, which wraps the context.
func TestFromContextInHuma(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	app := fiber.New()
	app.Use(testVerifier(t, a, clk).Authenticate())
	api := humafiber.New(app, huma.DefaultConfig("test", "1"))
	type answer struct{ Body Identity }
	huma.Get(api, "/who", func(ctx context.Context, _ *struct{}) (*answer, error) {
		id, ok := FromContext(ctx)
		if !ok {
			return nil, huma.Error500InternalServerError("nobody")
		}
		return &answer{id}, nil
	})
	req := bearer("Bearer " + key.sign(t, a.goodClaims(clk.now())))
	req.URL.Path, req.RequestURI = "/who", "/who"
	resp := call(t, app, req)
	body := resp.body
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Contains(t, body, `"tenant_id":"talma-pe"`)

	_, ok := FromContext(t.Context())
	require.False(t, ok)
}

// whoAsks answers who is asking.
func whoAsks(c *fiber.Ctx) error {
	id, ok := FromContext(c.UserContext())
	if !ok {
		return refuse(c, ErrMissing)
	}
	return c.JSON(id)
}
