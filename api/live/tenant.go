package live

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
)

// TenantSettings is what is allowed to a tenant, and what it prefers.
type TenantSettings struct {
	TenantName

	Country         string          `json:"country,omitempty" doc:"Where it is: ISO 3166-1 alpha-2" example:"PE"`
	Active          bool            `json:"active" doc:"Whether its events are taken"`
	RatePerSecond   float64         `json:"rate_per_second" doc:"How many events a second it may send" example:"200"`
	MaxPayloadBytes int             `json:"max_payload_bytes" doc:"How large the payload of one of its events may be" example:"262144"`
	RetentionDays   int             `json:"retention_days" doc:"How long its journeys are kept after their last event" example:"400"`
	RetentionByKind map[string]int  `json:"retention_by_kind" doc:"The kinds for which that is another, in days; 0 keeps for ever"`
	EventTypes      []string        `json:"event_types" doc:"The senders' codes that it may send; none allows any"`
	Sources         []string        `json:"sources" doc:"The carriers and systems that may send for it; none allows any"`
	Preferences     json.RawMessage `json:"preferences" doc:"What it prefers, such as language and time_zone"`
	Effective       []Setting       `json:"effective" doc:"What takes effect of all that, and where each setting comes from: what is left out above has a default, or is said by the process"`
}

type tenantOutput struct{ Body TenantSettings }

func (h *Handler) registerTenant(api huma.API) {
	huma.Register(api, operation("get-tenant", "tenant", "Identity", auth.RoleTracesRead, "What is allowed to the tenant",
		"The tenant's limits, how long its journeys are kept, and what it prefers. They are set in config/tenants.yaml or with `rastro tenant`.",
		http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.tenant)
}

func (h *Handler) tenant(ctx context.Context, in *Whose) (*tenantOutput, error) {
	_, id, err := authorize(ctx, auth.RoleTracesRead, *in)
	if err != nil {
		return nil, err
	}
	t, err := h.settingsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	out := TenantSettings{
		TenantName: TenantName{t.ID, t.Name}, Country: t.Country, Active: t.Active, RatePerSecond: t.RatePerSecond, MaxPayloadBytes: t.MaxPayloadBytes,
		RetentionDays: t.RetentionDays, RetentionByKind: t.RetentionByKind, EventTypes: t.EventTypes, Sources: t.Sources, Preferences: t.Preferences,
		Effective: h.deps.Limits.ofTenant(t),
	}
	if out.RetentionByKind == nil {
		out.RetentionByKind = map[string]int{}
	}
	if len(out.Preferences) == 0 {
		out.Preferences = json.RawMessage("{}")
	}
	return &tenantOutput{out}, nil
}
