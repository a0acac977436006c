package live_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

func TestWhatIsAllowedToTheTenantIsToldToItAlone(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(_ *live.Config, d *live.Deps) {
		d.Limits = live.DefaultLimits()
		d.Limits.MaxEvents, d.Limits.RetentionDays = 500, 30
	})
	require.Equal(t, http.StatusNotFound, e.get("tenant", nil), "it has no settings yet")
	require.NoError(t, e.store.AddTenants(t.Context(), []store.Tenant{
		{
			ID: "acme", Name: "Acme", Country: "PE", Active: true, RatePerSecond: 200, MaxPayloadBytes: 1 << 18, RetentionDays: 400,
			RetentionByKind: map[string]int{"cargo": 0}, Sources: []string{"LA-baggage"},
		},
		{ID: "umbrella", Name: "Umbrella"},
	}))
	var own live.TenantSettings
	require.Equal(t, http.StatusOK, e.get("tenant", &own))
	require.Equal(t, live.TenantSettings{
		TenantName: live.TenantName{ID: "acme", Name: "Acme"}, Country: "PE", Active: true, RatePerSecond: 200, MaxPayloadBytes: 1 << 18,
		RetentionDays: 400, RetentionByKind: map[string]int{"cargo": 0}, EventTypes: []string{}, Sources: []string{"LA-baggage"},
		Preferences: json.RawMessage("{}"), Effective: own.Effective,
	}, own)
	require.Equal(t, []live.Setting{
		{Key: "active", Value: true, From: "default"},
		{Key: "rate_per_second", Value: 200.0, From: "tenant"},
		{Key: "max_payload_bytes", Value: 131072.0, From: "default"}, // which is lower than what the tenant may
		{Key: "max_body_bytes", Value: 4194304.0, From: "default"},
		{Key: "max_events", Value: 500.0, From: "process"},
		{Key: "retention_days", Value: 400.0, From: "tenant"},
		{Key: "retention_by_kind.cargo", From: "tenant"},
		{Key: "event_types", Value: []any{}, From: "default"},
		{Key: "sources", Value: []any{"LA-baggage"}, From: "tenant"},
	}, own.Effective)
	require.Equal(t, http.StatusForbidden, e.get("tenant?tenant=umbrella", nil))
	var other live.TenantSettings
	require.Equal(t, http.StatusOK, e.get("tenant?tenant=umbrella", &other, "X-Roles", "traces:read tenants:all"))
	require.Equal(t, "Umbrella", other.Name)
	require.Contains(t, other.Effective, live.Setting{Key: "active", Value: false, From: "tenant"})
	require.Contains(t, other.Effective, live.Setting{Key: "rate_per_second", From: "default"})
	require.Contains(t, other.Effective, live.Setting{Key: "retention_days", Value: 30.0, From: "process"})
}

func TestWhatHoldsForCarriersIsToldWithWhereItComesFrom(t *testing.T) {
	t.Parallel()
	tables, err := carriers.LoadTables(config.Files())
	require.NoError(t, err)
	set, findings := carriers.LoadSources([]pipeline.Source{
		{File: "carriers/loud.yaml", Text: []byte(`
carrier: loud
summary: Loud Air
tenant: acme
format: baggage
sources: [LA-baggage]
authentication: {hmac: true}
codes: {PU: picked_up}
defaults: {time_zone: America/Lima, station: }
limits: {events_per_second: 500, max_events: 20}
`)},
		{File: "carriers/anyone.yaml", Text: []byte("carrier: anyone\nformat: epcis\nlimits: {events_per_second: 5}\n")},
		{File: "carriers/others.yaml", Text: []byte("carrier: others\ntenant: umbrella\nformat: native\n")},
	}, tables)
	require.Empty(t, findings)
	e := newEdge(t, func(_ *live.Config, d *live.Deps) {
		d.Carriers = func(context.Context) (*carriers.Set, error) { return set, nil }
	})
	require.Equal(t, http.StatusNotFound, e.get("carriers/settings", nil), "the tenant has no settings yet")
	require.NoError(t, e.store.AddTenants(t.Context(), []store.Tenant{
		{ID: "acme", Active: true, RatePerSecond: 200, MaxPayloadBytes: 4096, EventTypes: []string{"loaded"}}, {ID: "umbrella", Active: true},
	}))
	var list live.CarrierSettingsList
	require.Equal(t, http.StatusOK, e.get("carriers/settings", &list))
	require.Len(t, list.Items, 2, "another tenant's carriers are as if they were not there")
	anyone, loud := list.Items[0], list.Items[1]
	require.Equal(t, []any{"anyone", true, "carriers/anyone.yaml"}, []any{anyone.Name, anyone.Shared, anyone.File})
	require.Contains(t, anyone.Effective, live.Setting{Key: "limits.events_per_second", Value: 5.0, From: "carrier"})
	for _, s := range anyone.Effective {
		require.NotEqual(t, "defaults.time_zone", s.Key, "its times have zones")
	}
	require.Equal(t, []any{"loud", "Loud Air", "baggage", "/api/v1/carriers/loud/events"}, []any{loud.Name, loud.Summary, loud.Format, loud.Address})
	require.Equal(t, []live.Setting{
		{Key: "defaults.source", Value: "loud", From: "default"},
		{Key: "sources", Value: []any{"LA-baggage"}, From: "carrier"},
		{Key: "defaults.time_zone", Value: "America/Lima", From: "carrier"},
		{Key: "defaults.station", From: "default"},
		{Key: "authentication.oidc", Value: false, From: "carrier"},
		{Key: "authentication.oidc.clients", Value: []any{}, From: "default"},
		{Key: "authentication.hmac", Value: true, From: "carrier"},
		{Key: "authentication.api_key", Value: false, From: "carrier"},
		{Key: "codes", Value: 1.0, From: "carrier"},
		{Key: "limits.events_per_second", Value: 200.0, From: "tenant"}, // the carrier might send more
		{Key: "limits.max_body_bytes", Value: 4194304.0, From: "default"},
		{Key: "limits.max_events", Value: 20.0, From: "carrier"},
		{Key: "limits.requests_in_hand", Value: 32.0, From: "default"},
		{Key: "max_payload_bytes", Value: 4096.0, From: "tenant"},
		{Key: "event_types", Value: []any{"loaded"}, From: "tenant"},
	}, loud.Effective)
	for source, want := range map[string]int{"loud": 1, "loud/7": 1, "LA-baggage": 1, "loudest": 0, "anyone": 1, "others": 0} {
		list.Items = nil
		require.Equal(t, http.StatusOK, e.get("carriers/settings?source="+source, &list))
		require.Len(t, list.Items, want, source)
	}
	require.Equal(t, http.StatusForbidden, e.get("carriers/settings?tenant=umbrella", nil))
	require.Equal(t, http.StatusForbidden, e.get("carriers/settings", nil, "X-Roles", "traces:read"))
}
