package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/problem"
)

// lacking is an error about somebody who is known and lacks a role.
type lacking struct {
	id     Identity
	role   string
	tenant string // whose data was asked for
}

func (l *lacking) Error() string { return ErrMissingRole.Error() + " " + l.role }
func (l *lacking) Unwrap() error { return ErrMissingRole }

func (l *lacking) attributes() []any {
	return []any{
		slog.String("subject", clipped(l.id.Subject)), slog.String("client", clipped(l.id.ClientID)), slog.String("tenant", l.id.TenantID),
		slog.String("role", l.role), slog.String("asked_tenant", clipped(l.tenant)),
	}
}

type watchKey struct{}

// watcher is where operations report refusals of a request.
type watcher struct {
	refusals *Refusals
	about    []any // the request
}

// watch returns a context for a request that came in, by which MissingRole notes that it goes no further.
func (r *Refusals) watch(ctx context.Context, c *fiber.Ctx) context.Context {
	return context.WithValue(ctx, watchKey{}, watcher{r, requestAttributes(c)})
}

// MissingRole returns the answer to who lacks a role for what they ask of a tenant, which is their own when it is empty, and notes the
// refusal.
func MissingRole(ctx context.Context, id Identity, role, tenant string) *problem.Problem {
	if tenant == "" {
		tenant = id.TenantID
	}
	if w, ok := ctx.Value(watchKey{}).(watcher); ok {
		w.refusals.log(ctx, &lacking{id, role, tenant}, w.about)
	}
	return problem.New(http.StatusForbidden, "missing-role",
		fmt.Sprintf("This needs the role %s, and the token has %s. Ask your administrator for it.", role, strings.Join(id.Roles, ", ")))
}
