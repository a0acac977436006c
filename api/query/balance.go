package query

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Ledger knows what became of events. Every method sees one tenant's data only.
type Ledger interface {
	// Balance returns how a tenant's pipelines stand, in the order of their names.
	Balance(ctx context.Context, tenant string) ([]store.Balance, error)
	// Duplicates returns events that were dropped as copies, the latest first, limit at most, from behind a cursor on.
	Duplicates(ctx context.Context, tenant string, filter store.DuplicateFilter, after store.DuplicateCursor, limit int) ([]store.ExplainedDuplicate, error)
	// DuplicatesBySource sums them up, the source with most first.
	DuplicatesBySource(ctx context.Context, tenant string, filter store.DuplicateFilter) ([]store.DuplicateSource, error)
	// Copies returns how many copies of events were dropped, of those that have any.
	Copies(ctx context.Context, tenant string, uids []uuid.UUID) (map[uuid.UUID]int64, error)
}

// registerLedger adds the operations that read the ledger.
func (h *Handler) registerLedger(api huma.API) {
	bearer := []map[string][]string{{"bearer": {}}}
	huma.Register(api, huma.Operation{
		OperationID: "get-balance", Method: http.MethodGet, Path: "/api/v1/stats/balance", Tags: []string{"Operations"},
		Summary: "Whether everything reconciles",
		Description: "What became of every event of the tenant, by pipeline: received + emitted = passed + duplicates + dropped + dead-lettered + in flight, " +
			"exactly, whatever was killed or delivered again. Unlike the counts these are no statistics. Needs the role ops:read.",
		Security: bearer, Errors: []int{401, 403, 503},
	}, h.getBalance)
	huma.Register(api, huma.Operation{
		OperationID: "list-duplicates", Method: http.MethodGet, Path: "/api/v1/duplicates", Tags: []string{"Operations"},
		Summary: "Events that were dropped as copies",
		Description: "Which event each is a copy of, from which source, how much later and whether the same source sent it again; the latest first. " +
			"Needs the role traces:read.",
		Security: bearer, Errors: []int{400, 401, 403, 503},
	}, h.listDuplicates)
	huma.Register(api, huma.Operation{
		OperationID: "sum-duplicates", Method: http.MethodGet, Path: "/api/v1/duplicates/sources", Tags: []string{"Operations"},
		Summary:     "Which sources send copies",
		Description: "How many copies each source sent, its share of all of them, and the median delay. Needs the role traces:read.",
		Security:    bearer, Errors: []int{400, 401, 403, 503},
	}, h.sumDuplicates)
}

type balanceInput struct {
	auth.Whose

	Pipeline string `query:"pipeline" maxLength:"256" doc:"Only this pipeline" example:"tracking"`
}

// BalanceAnswer is how a tenant's pipelines stand.
type BalanceAnswer struct {
	At time.Time `json:"at" doc:"When it was read"`
	// Settled says that nothing is in flight and nothing is wrong.
	Settled   bool            `json:"settled" doc:"Whether nothing is in flight and nothing is wrong"`
	Pipelines []store.Balance `json:"pipelines" doc:"Each pipeline that has had an event"`
}

type balanceOutput struct {
	Body BalanceAnswer
}

func (h *Handler) getBalance(ctx context.Context, in *balanceInput) (*balanceOutput, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	balances, err := h.deps.Ledger.Balance(ctx, tenant)
	if err != nil {
		return nil, h.unavailable(ctx, "read the balance", err)
	}
	out := BalanceAnswer{At: time.Now().UTC(), Settled: true, Pipelines: []store.Balance{}}
	for _, b := range balances {
		if in.Pipeline == "" || b.Pipeline == in.Pipeline {
			out.Pipelines = append(out.Pipelines, b)
			out.Settled = out.Settled && b.Settled()
		}
	}
	return &balanceOutput{out}, nil
}

// DuplicatesFilter says which duplicates are meant.
type DuplicatesFilter struct {
	auth.Whose

	CorrelationID string    `query:"correlationId" maxLength:"1024" doc:"Only copies of events of this journey" example:"0045123456"`
	Source        string    `query:"source" maxLength:"256" doc:"Only copies that this source sent" example:"LA-baggage"`
	Since         time.Time `query:"since" doc:"Only copies received at this time or later (RFC 3339)" example:"2026-06-20T12:00:00Z"`
	Until         time.Time `query:"until" doc:"Only copies received before this time (RFC 3339)" example:"2027-06-20T12:00:00Z"`
}

func (f DuplicatesFilter) filter() store.DuplicateFilter {
	return store.DuplicateFilter{CorrelationID: f.CorrelationID, Source: f.Source, Since: f.Since, Until: f.Until}
}

type duplicatesInput struct {
	DuplicatesFilter

	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many to return at most" example:"100"`
	Cursor string `query:"cursor" maxLength:"512" doc:"The cursor of the page before"`
}

// Duplicates is a page of events that were dropped as copies.
type Duplicates struct {
	Duplicates []store.ExplainedDuplicate `json:"duplicates" doc:"The latest first"`
	// Cursor leads to the next page; it is absent on the last.
	Cursor string `json:"cursor,omitempty" doc:"Leads to the next page; absent on the last"`
}

type duplicatesOutput struct {
	Body Duplicates
}

func (h *Handler) listDuplicates(ctx context.Context, in *duplicatesInput) (*duplicatesOutput, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleTracesRead, in.Whose)
	if err != nil {
		return nil, err
	}
	after, ok := decodeCursor(in.Cursor)
	if !ok {
		return nil, problem.New(http.StatusBadRequest, "malformed", "The cursor is not one that an answer gave; leave it out to begin anew.")
	}
	// One more than is asked for tells whether there is another page.
	found, err := h.deps.Ledger.Duplicates(ctx, tenant, in.filter(), after, in.Limit+1)
	if err != nil {
		return nil, h.unavailable(ctx, "read duplicates", err)
	}
	out := Duplicates{Duplicates: found}
	if len(found) > in.Limit {
		out.Duplicates = found[:in.Limit]
		out.Cursor = encodeCursor(out.Duplicates[in.Limit-1].After())
	}
	return &duplicatesOutput{out}, nil
}

// A cursor is opaque to clients: time in microseconds, uid and pipeline.
func encodeCursor(c store.DuplicateCursor) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s %s", c.ReceivedAt.UnixMicro(), c.UID, c.Pipeline))
}

func decodeCursor(text string) (c store.DuplicateCursor, ok bool) {
	if text == "" {
		return c, true
	}
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return c, false
	}
	parts := strings.SplitN(string(plain), " ", 3)
	if len(parts) != 3 {
		return c, false
	}
	at, errAt := strconv.ParseInt(parts[0], 10, 64)
	uid, errUID := uuid.Parse(parts[1])
	return store.DuplicateCursor{ReceivedAt: time.UnixMicro(at).UTC(), UID: uid, Pipeline: parts[2]}, errAt == nil && errUID == nil
}

type duplicateSourcesInput struct {
	DuplicatesFilter
}

// DuplicateSources is who sends copies.
type DuplicateSources struct {
	Sources []store.DuplicateSource `json:"sources" doc:"The source with most first"`
}

type duplicateSourcesOutput struct {
	Body DuplicateSources
}

func (h *Handler) sumDuplicates(ctx context.Context, in *duplicateSourcesInput) (*duplicateSourcesOutput, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleTracesRead, in.Whose)
	if err != nil {
		return nil, err
	}
	sources, err := h.deps.Ledger.DuplicatesBySource(ctx, tenant, in.filter())
	if err != nil {
		return nil, h.unavailable(ctx, "sum duplicates up", err)
	}
	return &duplicateSourcesOutput{DuplicateSources{sources}}, nil
}

// TraceAnswer is a trace, and how many copies its events had.
type TraceAnswer struct {
	tracking.Trace
	// Copies are by the UID of the event.
	Copies map[string]int64 `json:"copies,omitempty" doc:"How many copies of each event were dropped, by its uid; those without are left out"`
}

// CopyCount returns how many copies there were of all events.
func (a TraceAnswer) CopyCount() int {
	n := 0
	for _, copies := range a.Copies {
		n += int(copies)
	}
	return n
}

// answer adds the copies to a trace.
func (h *Handler) answer(ctx context.Context, tenant string, trace tracking.Trace) (TraceAnswer, error) {
	answer := TraceAnswer{Trace: trace}
	if h.deps.Ledger == nil || len(trace.Events) == 0 {
		return answer, nil
	}
	uids := make([]uuid.UUID, len(trace.Events))
	for i := range trace.Events {
		uids[i] = trace.Events[i].UID
	}
	copies, err := h.deps.Ledger.Copies(ctx, tenant, uids)
	if err != nil {
		return answer, err
	}
	if len(copies) > 0 {
		answer.Copies = make(map[string]int64, len(copies))
	}
	for uid, n := range copies {
		answer.Copies[uid.String()] = n
	}
	return answer, nil
}
