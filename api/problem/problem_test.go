package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/problem"
)

func TestEveryErrorBecomesAProblem(t *testing.T) {
	index := 3
	detailed := problem.New(http.StatusForbidden, "other-tenant", "The token is for another tenant.")
	detailed.Errors = []problem.Field{{Index: &index, Field: "tenant_id", Code: "other_tenant", Message: "is not the token's"}}
	for name, c := range map[string]struct {
		err      error
		status   int
		kind     string
		says     string
		internal bool
	}{
		"a problem":         {detailed, 403, "other-tenant", "another tenant", false},
		"a wrapped problem": {fmt.Errorf("accept: %w", detailed), 403, "other-tenant", "another tenant", false},
		"no such route":     {fiber.ErrNotFound, 404, "not-found", "openapi.json", false},
		"no such method":    {fiber.ErrMethodNotAllowed, 405, "method-not-allowed", "openapi.json", false},
		"a large body":      {fiber.ErrRequestEntityTooLarge, 413, "too-large", "smaller", false},
		"another of fiber":  {fiber.NewError(http.StatusTeapot, "short and stout"), 418, "request", "short and stout", false},
		"anything else":     {errors.New("password=hunter2"), 500, "internal", "nothing of this request was accepted", true},
	} {
		t.Run(name, func(t *testing.T) {
			var logged error
			app := fiber.New(fiber.Config{ErrorHandler: problem.Handler(func(_ *fiber.Ctx, err error) { logged = err })})
			app.Get("/", func(ctx *fiber.Ctx) error {
				ctx.Locals("requestid", "req-1")
				return c.err
			})
			response, err := app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			require.NoError(t, err)
			defer func() { require.NoError(t, response.Body.Close()) }()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, response.StatusCode)
			require.Equal(t, problem.ContentType, response.Header.Get("Content-Type"))
			var got problem.Problem
			require.NoError(t, json.Unmarshal(body, &got))
			require.Equal(t, "/problems/"+c.kind, got.Type)
			require.Equal(t, c.status, got.Status)
			require.Equal(t, "req-1", got.Instance, "the request must be found in the logs by it")
			require.Contains(t, got.Detail, c.says)
			require.NotContains(t, string(body), "hunter2", "what is inside stays inside")
			if c.internal {
				require.ErrorIs(t, logged, c.err)
			} else {
				require.NoError(t, logged, "what is the client's fault is not logged as ours")
			}
			if c.kind == "other-tenant" {
				require.Equal(t, detailed.Errors, got.Errors)
			}
		})
	}
}
