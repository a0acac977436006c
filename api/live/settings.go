package live

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// Settings are what is allowed to a tenant, as `rastro tenant apply` set them.
type Settings struct {
	ID              string          `json:"id" doc:"The tenant" example:"talma-pe"`
	Name            string          `json:"name" doc:"Its name, for people" example:"Talma Perú"`
	Country         string          `json:"country,omitempty" doc:"ISO 3166-1 alpha-2" example:"PE"`
	Active          bool            `json:"active" doc:"Whether it may send" example:"true"`
	EventTypes      []string        `json:"event_types" doc:"The codes that it may send; none allows any"`
	Sources         []string        `json:"sources" doc:"The sources that it may send from; none allows any"`
	RetentionDays   int             `json:"retention_days,omitempty" doc:"Days after its last event that a journey is kept; missing for what the system's configuration says" example:"2557"`
	RetentionByKind map[string]int  `json:"retention_by_kind" doc:"The same for kinds of journeys for which it is another; 0: for ever"`
	MaxPayloadBytes int             `json:"max_payload_bytes,omitempty" doc:"The largest payload of an event; missing for what the system's configuration says" example:"131072"`
	RatePerSecond   float64         `json:"rate_per_second,omitempty" doc:"Events a second that each ingest process takes; missing: no limit" example:"50000"`
	Preferences     json.RawMessage `json:"preferences" doc:"What it prefers, such as language and time_zone"`
}

type settingsOutput struct{ Body Settings }

func (h *Handler) registerSettings(api huma.API) {
	huma.Register(api, operation("get-settings", "settings", "Operations", auth.RoleOpsRead, "The settings of the tenant",
		"What may be sent, how much, how fast, and how long it is kept. Whoever looks after the system changes them (`rastro tenant apply`).",
		http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.settings)
}

func (h *Handler) settings(ctx context.Context, in *struct{ Whose }) (*settingsOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	t, err := h.deps.Store.Tenant(ctx, tenant)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusNotFound, "not-found", "The tenant has no settings: it may send anything that the system takes.")
	}
	if err != nil {
		return nil, h.unavailable(ctx, "read the tenant's settings", err)
	}
	s := Settings{
		ID: t.ID, Name: t.Name, Country: t.Country, Active: t.Active, EventTypes: append([]string{}, t.EventTypes...), Sources: append([]string{}, t.Sources...),
		RetentionDays: t.RetentionDays, RetentionByKind: t.RetentionByKind, MaxPayloadBytes: t.MaxPayloadBytes, RatePerSecond: t.RatePerSecond,
		Preferences: t.Preferences,
	}
	if s.RetentionByKind == nil {
		s.RetentionByKind = map[string]int{}
	}
	if len(s.Preferences) == 0 {
		s.Preferences = json.RawMessage("{}")
	}
	return &settingsOutput{s}, nil
}
