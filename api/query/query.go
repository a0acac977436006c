// Package query is the edge that answers where things are: traces, and what became of events.
package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/conditional"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Traces finds traces. Every method sees one tenant's data only; what is not there is an error that wraps store.ErrNotFound.
type Traces interface {
	TraceAt(ctx context.Context, tenant, correlationID string, times store.Times) (tracking.Trace, error)
	TraceByAggregateAt(ctx context.Context, tenant, aggregateID string, times store.Times) (tracking.Trace, error)
}

// Deps is what the edge works with.
type Deps struct {
	Traces Traces
	// Ledger is read for the balance and for duplicates; without one there are no operations for these.
	Ledger Ledger
	// Search finds traces and events by filters; without one there are no operations for that.
	Search Searcher
	Logger *slog.Logger
}

// Handler serves the query operations.
type Handler struct {
	deps    Deps
	closing sync.Once
	done    chan struct{} // closed when there are no more exports
}

// New returns the edge's handler. Close ends its exports.
func New(deps Deps) *Handler { return &Handler{deps: deps, done: make(chan struct{})} }

// Close ends the exports under way, so that a server can stop: whoever reads one sees that it broke off.
func (h *Handler) Close() { h.closing.Do(func() { close(h.done) }) }

// TimesInput asks for a trace as it was.
type TimesInput struct {
	AsOf    time.Time `query:"asOf" doc:"What had happened by then: without what occurred later, and without plans and estimates received later (RFC 3339)" example:"2026-06-20T12:00:00Z"`
	KnownAt time.Time `query:"knownAt" doc:"What was known then: without what was received later (RFC 3339)" example:"2026-06-20T12:00:00Z"`
}

func (t TimesInput) times() store.Times { return store.Times{AsOf: t.AsOf, KnownAt: t.KnownAt} }

type traceInput struct {
	auth.Whose
	TimesInput

	CorrelationID string `path:"correlationId" maxLength:"1024" doc:"The journey: air waybill, booking, parcel number, bag tag" example:"0045123456"`
}

type aggregateInput struct {
	auth.Whose
	TimesInput

	AggregateID string `query:"aggregateId" required:"true" minLength:"1" maxLength:"256" doc:"The thing: this bag, this ULD, this piece" example:"0045123456"`
}

// traceResponses documents a trace and its entity tag.
func traceResponses(api huma.API) map[string]*huma.Response {
	return map[string]*huma.Response{
		"200": {
			Description: "The trace",
			Headers: map[string]*huma.Param{
				"ETag": {Description: "Identifies this state of the trace, for If-None-Match", Schema: &huma.Schema{Type: "string"}},
			},
			Content: map[string]*huma.MediaType{
				typeJSON: {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[TraceAnswer](), true, "TraceAnswer")},
			},
		},
		"304": {Description: "The trace is as it was when it had the ETag that If-None-Match gives"},
	}
}

// Register adds the operations to an API whose requests were authenticated before they come here. Paths are relative to
// /api/v1.
func (h *Handler) Register(api huma.API) {
	bearer := []map[string][]string{{"bearer": {}}}
	huma.Register(api, huma.Operation{
		OperationID: "get-trace", Method: http.MethodGet, Path: "/api/v1/trace/{correlationId}", Tags: []string{"Traces"},
		Summary:     "The trace of a journey",
		Description: "Where it is, what it has reached, and every event that is known of it in order of occurrence. Needs the role traces:read.",
		Security:    bearer, Errors: []int{401, 403, 404, 422}, Responses: traceResponses(api),
	}, func(ctx context.Context, in *traceInput) (*huma.StreamResponse, error) {
		id, err := url.PathUnescape(in.CorrelationID)
		if err != nil {
			return nil, problem.New(http.StatusBadRequest, "malformed", "The correlation id in the address is not well escaped.")
		}
		return h.trace(ctx, in.Whose, "correlation id "+id, id, in.times(), h.deps.Traces.TraceAt)
	})
	huma.Register(api, huma.Operation{
		OperationID: "find-trace", Method: http.MethodGet, Path: "/api/v1/trace", Tags: []string{"Traces"},
		Summary:     "The trace of a thing",
		Description: "The journey that the thing was last seen on. Needs the role traces:read.",
		Security:    bearer, Errors: []int{401, 403, 404, 422}, Responses: traceResponses(api),
	}, func(ctx context.Context, in *aggregateInput) (*huma.StreamResponse, error) {
		return h.trace(ctx, in.Whose, "aggregate id "+in.AggregateID, in.AggregateID, in.times(), h.deps.Traces.TraceByAggregateAt)
	})
	if h.deps.Ledger != nil {
		h.registerLedger(api)
	}
	if h.deps.Search != nil {
		h.registerSearch(api)
	}
}

type find func(ctx context.Context, tenant, id string, times store.Times) (tracking.Trace, error)

func (h *Handler) trace(ctx context.Context, of auth.Whose, what, id string, times store.Times, find find) (*huma.StreamResponse, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleTracesRead, of)
	if err != nil {
		return nil, err
	}
	trace, err := find(ctx, tenant, id, times)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusNotFound, "not-found", fmt.Sprintf(
			"Tenant %s has no events with %s. Events show up a moment after they were accepted; check the id when they do not.",
			tenant, what))
	}
	if err != nil {
		return nil, h.unavailable(ctx, "read a trace", err)
	}
	answer, err := h.answer(ctx, tenant, trace)
	if err != nil {
		return nil, h.unavailable(ctx, "count copies", err)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode trace: %w", err)
	}
	return conditional.JSON(body, false), nil
}

func (h *Handler) unavailable(ctx context.Context, doing string, err error) error {
	h.deps.Logger.ErrorContext(ctx, "cannot "+doing, slog.Any("error", err))
	return problem.New(http.StatusServiceUnavailable, "unavailable", "The store does not answer just now; try again in a few seconds.")
}
