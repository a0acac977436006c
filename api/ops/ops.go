// Package ops is the edge from which the system is looked after: its dead letters, the jobs that redrive and discard them, the stages
// that are paused, the codes of carriers that nothing knows, and the record of who did what.
package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// Deps is what the edge works with. All of it must be given.
type Deps struct {
	Store    *store.Store
	Redriver *routers.Redriver
	// Plans returns the pipelines as they are configured today.
	Plans func(ctx context.Context) ([]pipeline.Plan, error)
	// Carriers returns the carriers as they are configured today.
	Carriers func(ctx context.Context) (Carriers, error)
	// Trial returns what stages are given when they are only tried: nothing that they do with it lasts.
	Trial  func(clock trial.Clock) pipeline.Settings
	Logger *slog.Logger
	Now    func() time.Time
}

// Handler serves the operations and runs the jobs.
type Handler struct {
	deps     Deps
	runner   *runner
	refolder *refolder
}

// New returns the edge's handler.
func New(config Config, deps Deps) (*Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	deps.Plans, deps.Carriers = cached(deps.Plans, deps.Now), cached(deps.Carriers, deps.Now)
	return &Handler{deps: deps, runner: newRunner(config, deps), refolder: newRefolder(config, deps)}, nil
}

// Start runs jobs until Close is called.
func (h *Handler) Start() {
	h.runner.start()
	h.refolder.start()
}

// Close lets go of the jobs that run here, for other processes to go on with.
func (h *Handler) Close() {
	h.runner.close()
	h.refolder.close()
}

// planFreshness is how old the configuration may be that letters are redriven into, and codes are looked up in.
const planFreshness = 5 * time.Second

// cached returns read with what it returned last, while that is fresh.
func cached[T any](read func(context.Context) (T, error), now func() time.Time) func(context.Context) (T, error) {
	var mu sync.Mutex
	var last T
	var at time.Time
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if !at.IsZero() && now().Sub(at) < planFreshness {
			return last, nil
		}
		fresh, err := read(ctx)
		if err != nil {
			var none T
			return none, fmt.Errorf("read the configuration: %w", err)
		}
		last, at = fresh, now()
		return last, nil
	}
}

// Register adds the operations to an API whose requests were authenticated before they come here.
func (h *Handler) Register(api huma.API) {
	for _, register := range []func(huma.API){
		h.registerReads, h.registerActions, h.registerJobs, h.registerPersonal, h.registerStages, h.registerUnmapped,
	} {
		register(api)
	}
}

// operation describes an operation on dead letters that needs a role.
func operation(id, method, path, role, summary, description string, statuses ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: "/api/v1/" + path, Tags: []string{"Dead letters"}, Summary: summary,
		Description: description + " Needs the role " + role + ".",
		Security:    []map[string][]string{{"bearer": {}}},
		Errors:      append([]int{http.StatusUnauthorized, http.StatusForbidden}, statuses...),
	}
}

// withExample gives the body of an operation an example.
func withExample(op huma.Operation, example any) huma.Operation {
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Example: example}}}
	return op
}

// Whose says whose data is asked for. It is exported, as the others are that inputs are made of: Huma passes over what is not.
type Whose struct {
	auth.Whose

	Unowned bool `query:"unowned" doc:"What belongs to no tenant, such as frames that cannot be decoded; needs the role tenants:all, and is noted in the audit" example:"false"`
}

// authorize returns who asks, and for which tenant's data, when their roles allow it; the error is a Problem.
func authorize(ctx context.Context, role string, of Whose) (auth.Identity, string, error) {
	if !of.Unowned {
		return auth.Authorize(ctx, role, of.Whose)
	}
	identity, _, err := auth.Authorize(ctx, role, auth.Whose{})
	if err != nil {
		return auth.Identity{}, "", err
	}
	if of.Tenant != "" {
		return auth.Identity{}, "", problem.New(http.StatusUnprocessableEntity, "validation", "Ask for a tenant's letters or for those of none, not for both.")
	}
	return identity, "", auth.Cross(ctx, identity, "")
}

func actor(identity auth.Identity) store.Actor {
	return store.Actor{Subject: identity.Subject, Name: identity.Name, Client: identity.ClientID}
}

// identified reads an id of a path; the error is a Problem.
func identified(text, what string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.UUID{}, notFound(what)
	}
	return id, nil
}

func notFound(what string) error {
	return problem.New(http.StatusNotFound, "not-found", "There is no such "+what+", or it is another tenant's.")
}

// failed turns an error of the store into a Problem.
func (h *Handler) failed(ctx context.Context, doing string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound("thing")
	}
	h.deps.Logger.ErrorContext(ctx, "cannot "+doing, slog.Any("error", err))
	return problem.New(http.StatusServiceUnavailable, "unavailable", "The store does not answer just now; try again in a few seconds.")
}
