package live

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/store"
)

// Limits are what processes are configured to take of anybody, and how long they keep it.
type Limits struct {
	// MaxBodyBytes is the largest request body, in bytes. Defaults to 4 MiB.
	MaxBodyBytes int
	// MaxEvents is the most events in a request. Defaults to 10,000.
	MaxEvents int
	// MaxEventBytes is the largest payload of an event, in bytes. Defaults to 128 KiB.
	MaxEventBytes int
	// RetentionDays is how long journeys are kept of tenants that do not say so. Defaults to 0: for ever.
	RetentionDays int
}

// DefaultLimits returns the defaults, which are those of the process.
func DefaultLimits() Limits {
	return Limits{MaxBodyBytes: 4 << 20, MaxEvents: 10_000, MaxEventBytes: 128 << 10}
}

// Where a setting comes from.
const (
	fromDefault = "default"
	fromProcess = "process"
	fromTenant  = "tenant"
	fromCarrier = "carrier"
)

// Setting is a setting as it takes effect.
type Setting struct {
	Key   string `json:"key" doc:"Which setting: its name in a carrier's file or in tenants.yaml, or max_body_bytes and max_events of the process" example:"limits.events_per_second"`
	Value any    `json:"value" doc:"What holds; null when there is no limit, and nothing set" example:"100"`
	From  string `json:"from" enum:"default,process,tenant,carrier" doc:"Where it comes from: built in, an environment variable of the process, the tenant's settings, or the carrier's file. Of several limits it is the lowest that holds"`
}

// effective gathers settings.
type effective []Setting

func (e *effective) add(key string, value any, from string) {
	*e = append(*e, Setting{key, value, from})
}

// set adds a setting that one place may set.
func (e *effective) set(key string, value any, set bool, from string) {
	if !set {
		from = fromDefault
	}
	e.add(key, value, from)
}

// limit is a limit that a place sets; 0 is none.
type limit struct {
	value float64
	from  string
}

// lowest adds the lowest of some limits.
func (e *effective) lowest(key string, limits ...limit) {
	limits = slices.DeleteFunc(limits, func(l limit) bool { return l.value <= 0 })
	if len(limits) == 0 {
		e.add(key, nil, fromDefault)
		return
	}
	l := slices.MinFunc(limits, func(a, b limit) int { return cmp.Compare(a.value, b.value) })
	e.add(key, l.value, l.from)
}

// processLimit is a limit of the process.
func processLimit(value, builtIn int) limit {
	if value == builtIn {
		return limit{float64(value), fromDefault}
	}
	return limit{float64(value), fromProcess}
}

// ofTenant returns what takes effect for a tenant, whoever sends.
func (l Limits) ofTenant(t store.Tenant) []Setting {
	var e effective
	usual := DefaultLimits()
	e.set("active", t.Active, !t.Active, fromTenant)
	e.lowest("rate_per_second", limit{t.RatePerSecond, fromTenant})
	e.lowest("max_payload_bytes", processLimit(l.MaxEventBytes, usual.MaxEventBytes), limit{float64(t.MaxPayloadBytes), fromTenant})
	e.lowest("max_body_bytes", processLimit(l.MaxBodyBytes, usual.MaxBodyBytes))
	e.lowest("max_events", processLimit(l.MaxEvents, usual.MaxEvents))
	if t.RetentionDays > 0 {
		e.add("retention_days", t.RetentionDays, fromTenant)
	} else {
		e.lowest("retention_days", limit{float64(l.RetentionDays), fromProcess})
	}
	for _, kind := range slices.Sorted(maps.Keys(t.RetentionByKind)) {
		e.lowest("retention_by_kind."+kind, limit{float64(t.RetentionByKind[kind]), fromTenant})
		e[len(e)-1].From = fromTenant // for ever is said as well
	}
	e.set("event_types", listed(t.EventTypes), len(t.EventTypes) > 0, fromTenant)
	e.set("sources", listed(t.Sources), len(t.Sources) > 0, fromTenant)
	return e
}

// ofCarrier returns what takes effect for what a carrier sends for a tenant.
func (l Limits) ofCarrier(c *carriers.Carrier, t store.Tenant) []Setting {
	var e effective
	usual := DefaultLimits()
	says := func(key string, value any) { e.set(key, value, c.Says(key), fromCarrier) }
	says("defaults.source", c.Defaults.Source)
	says("sources", listed(c.Sources))
	if !c.Zoned() {
		says("defaults.time_zone", cmp.Or(c.Defaults.TimeZone, "UTC"))
	}
	says("defaults.station", orNull(c.Defaults.Station))
	proofs := c.Says("authentication")
	e.set("authentication.oidc", c.Authentication.OIDC, proofs, fromCarrier)
	e.set("authentication.oidc.clients", listed(c.Authentication.Clients), len(c.Authentication.Clients) > 0, fromCarrier)
	e.set("authentication.hmac", c.Authentication.HMAC, proofs, fromCarrier)
	e.set("authentication.api_key", c.Authentication.APIKey, proofs, fromCarrier)
	e.set("codes", len(c.Codes), len(c.Codes) > 0, fromCarrier)
	e.lowest("limits.events_per_second", limit{t.RatePerSecond, fromTenant}, limit{c.Limits.EventsPerSecond, fromCarrier})
	e.lowest("limits.max_body_bytes", processLimit(l.MaxBodyBytes, usual.MaxBodyBytes), limit{float64(c.Limits.MaxBodyBytes), fromCarrier})
	e.lowest("limits.max_events", processLimit(l.MaxEvents, usual.MaxEvents), limit{float64(c.Limits.MaxEvents), fromCarrier})
	says("limits.requests_in_hand", c.Limits.RequestsInHand)
	e.lowest("max_payload_bytes", processLimit(l.MaxEventBytes, usual.MaxEventBytes), limit{float64(t.MaxPayloadBytes), fromTenant})
	e.set("event_types", listed(t.EventTypes), len(t.EventTypes) > 0, fromTenant)
	return e
}

func listed(values []string) []string { return append([]string{}, values...) }

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// CarrierSettings is a carrier as its file says, and what takes effect for what it sends.
type CarrierSettings struct {
	Name      string    `json:"name" doc:"The carrier: the name of its file" example:"acme"`
	Summary   string    `json:"summary,omitempty" doc:"Who it is" example:"Acme Express, by webhook"`
	Shared    bool      `json:"shared" doc:"Whether any tenant's senders may use it, each for its own tenant"`
	File      string    `json:"file" doc:"Its file, in the folder of the configuration" example:"carriers/acme.yaml"`
	Address   string    `json:"address" doc:"Where it sends to" example:"/api/v1/carriers/acme/events"`
	Format    string    `json:"format" doc:"How its bodies are written" example:"mapped"`
	Shape     string    `json:"shape,omitempty" doc:"The mapping that is shipped and reads them" example:"fedex"`
	Effective []Setting `json:"effective" doc:"What takes effect for what it sends, and where each setting comes from"`
}

// CarrierSettingsList is the settings of carriers.
type CarrierSettingsList struct {
	Items []CarrierSettings `json:"items" doc:"The carriers, in the order of their names. A source that none of them sends under sends to /api/v1/events, where the tenant's settings alone hold"`
}

type carrierSettingsInput struct {
	Whose

	Source string `query:"source" doc:"Only carriers that send under this source" example:"demo-fedex" maxLength:"256"`
}

type carrierSettingsOutput struct{ Body CarrierSettingsList }

func (h *Handler) registerCarrierSettings(api huma.API) {
	if h.deps.Carriers == nil {
		return
	}
	huma.Register(api, operation("list-carrier-settings", "carriers/settings", "Operations", auth.RoleOpsRead, "What holds for carriers",
		"The carriers that the tenant's senders may use, each with the settings that take effect: what its file says, or else what the tenant's "+
			"settings, the process or the defaults do. Credentials are not among them. Carriers whose files have errors are left out: get-config has those.",
		http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.carrierSettings)
}

func (h *Handler) carrierSettings(ctx context.Context, in *carrierSettingsInput) (*carrierSettingsOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	settings, err := h.settingsOf(ctx, tenant)
	if err != nil {
		return nil, err
	}
	set, err := remember(&h.cache, "carrier files", planFreshness, h.deps.Now, func() (*carriers.Set, error) {
		return h.deps.Carriers(context.WithoutCancel(ctx))
	})
	if err != nil {
		return nil, h.unavailable(ctx, "read the carriers", err)
	}
	list := CarrierSettingsList{Items: []CarrierSettings{}}
	for _, c := range set.All() {
		if !c.For(tenant) || in.Source != "" && !c.Sends(in.Source) {
			continue
		}
		list.Items = append(list.Items, CarrierSettings{
			Name: c.Name, Summary: c.Summary, Shared: c.Tenant == "", File: "carriers/" + c.Name + ".yaml", Address: "/api/v1/carriers/" + c.Name + "/events",
			Format: c.Format, Shape: c.Shape, Effective: h.deps.Limits.ofCarrier(c, settings),
		})
	}
	return &carrierSettingsOutput{list}, nil
}

// settingsOf returns a tenant's settings; the error is a Problem.
func (h *Handler) settingsOf(ctx context.Context, id string) (store.Tenant, error) {
	t, err := h.deps.Store.Tenant(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return t, problem.New(http.StatusNotFound, "not-found", "There are no settings of the tenant "+id+".")
	}
	if err != nil {
		return t, h.unavailable(ctx, "read the tenant's settings", err)
	}
	return t, nil
}
