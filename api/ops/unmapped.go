package ops

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/conditional"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Carriers are the carriers as they are configured, and the tables that they are read with.
type Carriers struct {
	Set    *carriers.Set
	Tables carriers.Tables
}

// UnmappedCode is a code that nothing knew, with what it may mean.
type UnmappedCode struct {
	store.UnmappedCode

	Key      string         `json:"key" doc:"The code as a key in YAML" example:"ZZ9"`
	File     string         `json:"file" doc:"The file of the configuration in which its meaning is to be written" example:"carriers/demo-native.yaml"`
	Proposal *CodesProposal `json:"proposal,omitempty" doc:"What it may mean; missing when nothing tells"`
}

// CodesProposal is what a code may mean.
type CodesProposal struct {
	Milestone  string  `json:"milestone,omitempty" doc:"The milestone" example:"arrived"`
	Exception  string  `json:"exception,omitempty" doc:"The exception" example:"delayed"`
	Confidence float64 `json:"confidence" doc:"How sure that is, from 0 to 1: for an order, no probability" example:"0.7"`
	Why        string  `json:"why" doc:"What it is taken from"`
	Line       string  `json:"line" doc:"The line for the carrier's table of codes" example:"ZZ9: arrived"`
}

// UnmappedPage is a page of codes.
type UnmappedPage struct {
	Items      []UnmappedCode `json:"items" doc:"Those that came most often first"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"For the next page; missing on the last. Counts go up meanwhile, so that a code may be on two pages"`
}

// UnmappedInput asks for codes.
type UnmappedInput struct {
	auth.Whose
	State  []string `query:"state,explode" enum:"open,applied,dismissed,all" doc:"What was decided about them. Default: open" example:"[\"open\"]"`
	Limit  int      `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Codes a page" example:"50"`
	Cursor string   `query:"cursor" maxLength:"8192" doc:"The next_cursor of the page before"`
}

type allUnmappedInput struct {
	UnmappedInput
	Of string `query:"carrier" maxLength:"1024" doc:"Only of this carrier, or that came under this source" example:"demo-native"`
}

type carrierUnmappedInput struct {
	UnmappedInput
	Carrier string `path:"carrier" maxLength:"1024" doc:"The carrier, or the source where that is no carrier's" example:"demo-native"`
}

// CodeInput names a code.
type CodeInput struct {
	auth.Whose
	Carrier string `path:"carrier" maxLength:"1024" doc:"The carrier, or the source where that is no carrier's" example:"demo-native"`
	Code    string `path:"code" maxLength:"1024" doc:"The code; case does not matter" example:"ZZ9"`
}

type applyInput struct {
	CodeInput
	Body applyBody
}

type applyBody struct {
	Milestone string `json:"milestone,omitempty" maxLength:"64" doc:"The milestone that it means, none for a code that moves nothing, or a word that milestones.yaml knows" example:"arrived"`
	Exception string `json:"exception,omitempty" maxLength:"64" doc:"The exception that it means" example:"delayed"`
	Reason    string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the record"`
}

type dismissInput struct {
	CodeInput
	Body dismissBody
}

type dismissBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the record"`
}

type codeJobInput struct {
	auth.Whose
	ID string `path:"id" doc:"The job" example:"0197a6f0-1c2b-7c3d-8e4f-000000000002"`
}

type codeJobOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the job is"`
	Body     store.CodeJob
}

func (h *Handler) registerUnmapped(api huma.API) {
	page := map[string]*huma.Response{
		"200": {
			Description: "A page of codes",
			Headers: map[string]*huma.Param{
				"ETag": {Description: "Identifies this state of the page, for If-None-Match", Schema: &huma.Schema{Type: "string"}},
			},
			Content: map[string]*huma.MediaType{"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[UnmappedPage](), true, "")}},
		},
		"304": {Description: "The page is as it was when it had the ETag that If-None-Match gives"},
	}
	const about = "Codes that neither the carrier's table nor milestones.yaml knew when events with them were stored: how often they came, samples, " +
		"and what they may mean, with the line for the carrier's table."
	all := operation("list-unmapped-codes", http.MethodGet, "carriers/unmapped", auth.RoleOpsRead, "Codes of all carriers that nothing knows", about, 422, 503)
	one := operation("list-carrier-unmapped-codes", http.MethodGet, "carriers/{carrier}/unmapped", auth.RoleOpsRead, "Codes of a carrier that nothing knows", about, 404, 422, 503)
	job := operation("get-code-job", http.MethodGet, "carriers/unmapped/jobs/{id}", auth.RoleOpsRead, "How far traces are folded anew",
		"The job of a decision about a code.", 404, 503)
	apply := operation("apply-code", http.MethodPost, "carriers/{carrier}/unmapped/{code}/apply", auth.RoleOpsWrite, "Say what a code means",
		"From now on it means that, for events that are in the store as for those to come, and the traces concerned are folded anew: a job does it, "+
			"the answer comes before it is done. Events themselves stay as they were stored. The line belongs into the carrier's table as well, "+
			"for stages and subscribers to know the code. What was decided before is replaced.", 404, 422, 503)
	dismiss := operation("dismiss-code", http.MethodPost, "carriers/{carrier}/unmapped/{code}/dismiss", auth.RoleOpsWrite, "Dismiss a code",
		"It is not shown any more unless it is asked for. A meaning that it was given is taken back, and the traces concerned are folded anew.", 404, 422, 503)
	for _, op := range []*huma.Operation{&all, &one, &job, &apply, &dismiss} {
		op.Tags = []string{"Operations"}
	}
	all.Responses, one.Responses = page, page
	apply.DefaultStatus, dismiss.DefaultStatus = http.StatusAccepted, http.StatusAccepted
	huma.Register(api, all, func(ctx context.Context, in *allUnmappedInput) (*huma.StreamResponse, error) {
		return h.unmapped(ctx, &in.UnmappedInput, in.Of, false)
	})
	huma.Register(api, one, func(ctx context.Context, in *carrierUnmappedInput) (*huma.StreamResponse, error) {
		carrier, err := unescaped(in.Carrier)
		if err != nil {
			return nil, err
		}
		return h.unmapped(ctx, &in.UnmappedInput, carrier, true)
	})
	huma.Register(api, job, h.codeJob)
	huma.Register(api, withExample(apply, map[string]any{"milestone": "arrived", "reason": "their list of 12 May"}), h.applyCode)
	huma.Register(api, withExample(dismiss, map[string]any{"reason": "their heartbeat"}), func(ctx context.Context, in *dismissInput) (*codeJobOutput, error) {
		return h.decide(ctx, in.CodeInput, store.CodeDecision{Dismiss: true, Reason: in.Body.Reason}, nil)
	})
}

// unescaped reads a part of a path.
func unescaped(part string) (string, error) {
	text, err := url.PathUnescape(part)
	if err != nil || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", problem.New(http.StatusBadRequest, "malformed", "The address is not well escaped.")
	}
	return text, nil
}

// unmapped answers with the codes of a carrier, or of all when it names none. A carrier that must be there is looked for when there are none.
func (h *Handler) unmapped(ctx context.Context, in *UnmappedInput, carrier string, must bool) (*huma.StreamResponse, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	after, err := readUnmappedCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	configured, err := h.deps.Carriers(ctx)
	if err != nil {
		return nil, h.failed(ctx, "read the carriers", err)
	}
	states := in.State
	for _, state := range in.State {
		if state == stateAll {
			states = store.CodeStates()
		}
	}
	if len(states) == 0 {
		states = []string{store.CodeOpen}
	}
	filter := store.UnmappedFilter{Sources: sourcesOf(configured.Set, tenant), Carrier: carrier, States: states, After: after, Limit: in.Limit + 1}
	found, err := h.deps.Store.UnmappedCodes(ctx, tenant, filter)
	if err != nil {
		return nil, h.failed(ctx, "read unmapped codes", err)
	}
	if must && len(found) == 0 {
		if _, err := configured.Set.Lookup(tenant, carrier); err != nil {
			filter.States, filter.After, filter.Limit = nil, nil, 1
			if found, err := h.deps.Store.UnmappedCodes(ctx, tenant, filter); err != nil || len(found) == 0 {
				return nil, notFound("carrier, nor a source with unmapped codes,")
			}
		}
	}
	page := UnmappedPage{Items: []UnmappedCode{}}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		last := found[in.Limit-1]
		page.NextCursor = writeUnmappedCursor(store.UnmappedCursor{Count: last.Count, Carrier: last.Carrier, Code: last.Code})
	}
	proposer := carriers.NewProposer(configured.Set, configured.Tables, tenant)
	for _, c := range found {
		page.Items = append(page.Items, describeCode(c, configured.Set, tenant, proposer))
	}
	body, err := json.Marshal(page)
	if err != nil {
		return nil, fmt.Errorf("encode unmapped codes: %w", err)
	}
	return conditional.JSON(body, true), nil
}

func describeCode(c store.UnmappedCode, set *carriers.Set, tenant string, proposer *carriers.Proposer) UnmappedCode {
	one := UnmappedCode{UnmappedCode: c, Key: carriers.CodeKey(c.Code), File: "milestones.yaml"}
	if carrier, err := set.Lookup(tenant, c.Carrier); err == nil {
		one.File = "carriers/" + carrier.Name + ".yaml"
	}
	if one.Samples == nil {
		one.Samples = []store.UnmappedSample{}
	}
	var payload []byte
	if len(c.Samples) > 0 {
		payload = c.Samples[0].Payload
	}
	if p, ok := proposer.Propose(c.Carrier, c.Code, c.Kinds, payload); ok {
		one.Proposal = &CodesProposal{
			Milestone: string(p.Milestone), Exception: p.Exception, Confidence: p.Confidence, Why: p.Why, Line: carriers.CodeLine(c.Code, p.Meaning),
		}
	}
	return one
}

// sourcesOf lists under which sources the carriers send that a tenant sees.
func sourcesOf(set *carriers.Set, tenant string) []store.CarrierSource {
	var all []store.CarrierSource
	for _, c := range set.All() {
		if !c.For(tenant) {
			continue
		}
		for _, source := range c.SentUnder() {
			all = append(all, store.CarrierSource{Carrier: c.Name, Source: source})
		}
	}
	return all
}

func (h *Handler) applyCode(ctx context.Context, in *applyInput) (*codeJobOutput, error) {
	return h.decide(ctx, in.CodeInput, store.CodeDecision{Reason: in.Body.Reason}, func(tables carriers.Tables) (tracking.Meaning, error) {
		m, err := tables.Said(in.Body.Milestone, in.Body.Exception)
		if wrong, ok := errors.AsType[*carriers.SaidError](err); ok {
			p := problem.New(http.StatusUnprocessableEntity, "validation", "What the code is to mean is not right.")
			p.Errors = []problem.Field{{Field: wrong.Field, Code: "invalid", Message: wrong.Message}}
			return m, p
		}
		return m, err
	})
}

// decide notes a decision and begins to fold the traces anew. meaning is nil for one that has none.
func (h *Handler) decide(ctx context.Context, in CodeInput, d store.CodeDecision, meaning func(carriers.Tables) (tracking.Meaning, error)) (*codeJobOutput, error) {
	identity, tenant, err := auth.Authorize(ctx, auth.RoleOpsWrite, in.Whose)
	if err != nil {
		return nil, err
	}
	if d.Carrier, err = unescaped(in.Carrier); err != nil {
		return nil, err
	}
	if d.Code, err = unescaped(in.Code); err != nil {
		return nil, err
	}
	configured, err := h.deps.Carriers(ctx)
	if err != nil {
		return nil, h.failed(ctx, "read the carriers", err)
	}
	if meaning != nil {
		if d.Meaning, err = meaning(configured.Tables); err != nil {
			return nil, err
		}
	}
	d.TenantID, d.By, d.Sources = tenant, actor(identity), []string{d.Carrier}
	if carrier, err := configured.Set.Lookup(tenant, d.Carrier); err == nil {
		d.Sources = carrier.SentUnder()
	}
	job, err := h.deps.Store.DecideCode(ctx, d)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("unmapped code of this carrier")
	}
	if err != nil {
		return nil, h.failed(ctx, "decide about a code", err)
	}
	h.refolder.nudge()
	return &codeJobOutput{Status: http.StatusAccepted, Location: "/api/v1/carriers/unmapped/jobs/" + job.ID.String(), Body: job}, nil
}

func (h *Handler) codeJob(ctx context.Context, in *codeJobInput) (*codeJobOutput, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	id, err := identified(in.ID, "job")
	if err != nil {
		return nil, err
	}
	job, err := h.deps.Store.CodeJob(ctx, tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("job")
	}
	if err != nil {
		return nil, h.failed(ctx, "read a job", err)
	}
	return &codeJobOutput{Status: http.StatusOK, Location: "/api/v1/carriers/unmapped/jobs/" + job.ID.String(), Body: job}, nil
}

func writeUnmappedCursor(c store.UnmappedCursor) string {
	encoded, _ := json.Marshal(c) //nolint:errchkjson // texts and a number always can be
	return base64.RawURLEncoding.EncodeToString(encoded)
}

func readUnmappedCursor(text string) (*store.UnmappedCursor, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no cursor is the first page
	}
	var c store.UnmappedCursor
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(decoded, &c)
	}
	if err != nil || c.Carrier == "" {
		return nil, invalid("cursor", "it is none that was given with a page")
	}
	return &c, nil
}
