package auth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// noted is an audit in memory, which is away when it has an error.
type noted struct {
	tenants []string
	what    []store.Crossing
	away    error
}

func (n *noted) NoteCrossing(_ context.Context, tenant string, _ store.Actor, what store.Crossing) error {
	if n.away == nil {
		n.tenants, n.what = append(n.tenants, tenant), append(n.what, what)
	}
	return n.away
}

func TestAnotherTenantsDataNeedsTheRoleAndANote(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	audit := &noted{}
	crossings := NewCrossings(audit, slog.New(slog.NewTextHandler(&said, nil)))
	ask := func(watched bool, of Whose, roles ...string) (tenant string, status int) {
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Get("/traces/:id", func(c *fiber.Ctx) error {
			ctx := NewContext(c.UserContext(), Identity{Subject: "rosa", TenantID: "acme", Roles: roles})
			if watched {
				ctx = crossings.Watch(ctx, c)
			}
			var err error
			_, tenant, err = Authorize(ctx, RoleTracesRead, of)
			status = http.StatusOK
			if err != nil {
				status = http.StatusInternalServerError
			}
			if p, ok := errors.AsType[*problem.Problem](err); ok {
				status = p.Status
			}
			return nil
		})
		response, err := app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/traces/a%2Fb?tenant=umbrella&q=%27", http.NoBody))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return tenant, status
	}
	for _, c := range []struct {
		of     Whose
		roles  []string
		tenant string
		status int
		noted  int
	}{
		{Whose{}, []string{RoleTracesRead}, "acme", 200, 0},
		{Whose{"acme"}, []string{RoleTracesRead}, "acme", 200, 0},
		{Whose{"umbrella"}, []string{RoleTracesRead}, "", 403, 0},
		{Whose{"umbrella"}, []string{RoleTenantsAll}, "", 403, 0},
		{Whose{"Acme"}, []string{RoleTracesRead}, "", 403, 0},
		{Whose{"umbrella"}, []string{RoleTracesRead, RoleTenantsAll}, "umbrella", 200, 1},
		{Whose{"acme"}, []string{RoleTracesRead, RoleTenantsAll}, "acme", 200, 0},
		{Whose{}, nil, "", 403, 0},
	} {
		before := len(audit.tenants)
		tenant, status := ask(true, c.of, c.roles...)
		require.Equal(t, []any{c.tenant, c.status, c.noted}, []any{tenant, status, len(audit.tenants) - before}, "%+v", c)
	}
	require.Equal(t, []store.Crossing{{Method: "GET", Path: "/traces/a%2Fb", Query: "tenant=umbrella&q=%27"}}, audit.what)

	_, status := ask(false, Whose{"umbrella"}, RoleTracesRead, RoleTenantsAll)
	require.Equal(t, http.StatusInternalServerError, status, "nobody would note it")
	audit.away = errors.New("the database is away")
	_, status = ask(true, Whose{"umbrella"}, RoleTracesRead, RoleTenantsAll)
	require.Equal(t, http.StatusServiceUnavailable, status, "what cannot be noted is not done")
	require.Contains(t, said.String(), "the database is away")
}
