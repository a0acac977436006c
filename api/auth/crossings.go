package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// Whose says whose data an operation is asked for. It is embedded in the inputs of operations.
type Whose struct {
	Tenant string `query:"tenant" maxLength:"128" doc:"Whose data; the token's tenant by default. Another one needs the role tenants:all, and is noted in that tenant's audit" example:"talma-pe"`
}

// CrossingStore keeps who reached over to another tenant's data.
type CrossingStore interface {
	NoteCrossing(ctx context.Context, tenant string, by store.Actor, what store.Crossing) error
}

// Crossings notes each request for another tenant's data in that tenant's audit.
type Crossings struct {
	store  CrossingStore
	logger *slog.Logger
}

// NewCrossings returns what notes such requests.
func NewCrossings(store CrossingStore, logger *slog.Logger) *Crossings {
	return &Crossings{store: store, logger: logger}
}

type crossingKey struct{}

// crossing is a request by somebody who may reach over.
type crossing struct {
	*Crossings

	what store.Crossing
}

// Watch returns a context for a request with which Cross notes what it is; Gate does so. Requests without one cross nothing.
func (x *Crossings) Watch(ctx context.Context, c *fiber.Ctx) context.Context {
	path, query, _ := strings.Cut(c.OriginalURL(), "?")
	return context.WithValue(ctx, crossingKey{}, crossing{x, store.Crossing{
		Method: strings.Clone(c.Method()), Path: clipped(path), Query: clipped(query),
	}})
}

// Authorize returns who asks, and for which tenant's data, when they have the role (an empty one is everybody's) and, for another
// tenant's, tenants:all as well; the latter is noted. The error is a Problem.
func Authorize(ctx context.Context, role string, of Whose) (id Identity, tenant string, err error) {
	id, ok := FromContext(ctx)
	if !ok {
		return Identity{}, "", problem.New(http.StatusUnauthorized, "unauthenticated", "Send a bearer token.")
	}
	if role != "" && !id.Has(role) {
		return Identity{}, "", MissingRole(ctx, id, role, of.Tenant)
	}
	if of.Tenant == "" || of.Tenant == id.TenantID {
		return id, id.TenantID, nil
	}
	if err := Cross(ctx, id, of.Tenant); err != nil {
		return Identity{}, "", err
	}
	return id, of.Tenant, nil
}

// Cross lets somebody reach over to the data of another tenant, or of none when that is empty: it returns nil when they have the
// role tenants:all, and it is noted that they did; else a Problem. What cannot be noted is not done.
func Cross(ctx context.Context, id Identity, tenant string) error {
	if !id.Has(RoleTenantsAll) {
		return MissingRole(ctx, id, RoleTenantsAll, tenant)
	}
	x, ok := ctx.Value(crossingKey{}).(crossing)
	if !ok {
		return errors.New("a request for another tenant's data that nobody would note")
	}
	by := store.Actor{Subject: id.Subject, Name: id.Name, Client: id.ClientID}
	if err := x.store.NoteCrossing(ctx, tenant, by, x.what); err != nil {
		x.logger.ErrorContext(ctx, "cannot note a request for another tenant's data", slog.Any("error", err))
		return problem.New(http.StatusServiceUnavailable, "unavailable",
			"Requests for another tenant's data are noted in its audit, which cannot be written just now; try again in a few seconds.")
	}
	return nil
}
