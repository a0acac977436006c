package live

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

type searchInput struct {
	Whose

	Q string `query:"q" required:"true" minLength:"1" maxLength:"256" doc:"What to look for: an air waybill, a bag tag, a container, an event's id or any other identifier" example:"157-53806270"`
}

// Found is a journey that an identifier leads to.
type Found struct {
	By    string             `json:"by" enum:"correlation,aggregate,event" doc:"Whether the identifier is the journey's, a thing's or an event's"`
	Value string             `json:"value" doc:"The identifier in the form in which it was found"`
	Trace store.TraceSummary `json:"trace" doc:"The journey"`
	Link  string             `json:"link" doc:"Where the whole of it is"`
}

// SearchAnswer is what an identifier may be, and where it leads.
type SearchAnswer struct {
	Guesses []tracking.Guess `json:"guesses" doc:"What it may be, the likeliest first"`
	Exists  bool             `json:"exists" doc:"Whether it leads to anything of the tenant"`
	Found   []Found          `json:"found" doc:"The journeys that it leads to"`
}

type searchOutput struct{ Body SearchAnswer }

func (h *Handler) registerSearch(api huma.API) {
	huma.Register(api, operation("search", "search", "Traces", auth.RoleTracesRead, "What an identifier is, and where it leads",
		"Tells an identifier by its form and check digit, and looks for journeys, things and events that have it exactly, as it was given and "+
			"as it is written by convention.", http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.search)
}

func (h *Handler) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleTracesRead, in.Whose)
	if err != nil {
		return nil, err
	}
	answer := SearchAnswer{Guesses: tracking.DetectIdentifier(in.Q), Found: []Found{}}
	var forms []string
	var uid *uuid.UUID
	for _, g := range answer.Guesses {
		for _, form := range []string{g.Value, unhyphenated(g)} {
			if form != "" && !slices.Contains(forms, form) {
				forms = append(forms, form)
			}
		}
		if g.Kind == tracking.IdentifierEvent {
			if id, err := uuid.Parse(g.Value); err == nil {
				uid = &id
			}
		}
	}
	hits, err := h.deps.Reads.FindIdentifier(ctx, tenant, forms, uid)
	if err != nil {
		return nil, h.unavailable(ctx, "search", err)
	}
	correlations := make([]string, len(hits))
	for i, hit := range hits {
		correlations[i] = hit.CorrelationID
	}
	traces, err := h.deps.Reads.TraceSummaries(ctx, tenant, correlations)
	if err != nil {
		return nil, h.unavailable(ctx, "search", err)
	}
	for _, hit := range hits {
		for _, t := range traces {
			if t.CorrelationID == hit.CorrelationID {
				link := "/api/v1/trace/" + url.PathEscape(t.CorrelationID)
				answer.Found = append(answer.Found, Found{By: hit.By, Value: hit.Value, Trace: t, Link: link})
			}
		}
	}
	answer.Exists = len(answer.Found) > 0
	return &searchOutput{answer}, nil
}

// unhyphenated is the other form of an air waybill number.
func unhyphenated(g tracking.Guess) string {
	if g.Kind != tracking.IdentifierAirWaybill || len(g.Value) != 12 {
		return ""
	}
	return g.Value[:3] + g.Value[4:]
}
