package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Tenant is whose events these are, and what is allowed to it.
type Tenant struct {
	ID      string
	Name    string
	Country string // ISO 3166-1 alpha-2
	// EventTypes and Sources are those allowed; empty allows any.
	EventTypes, Sources []string
	// RetentionDays is how long journeys are kept, RetentionByKind that of kinds for which it is another; 0 in it keeps for ever.
	RetentionDays   int
	RetentionByKind map[string]int
	MaxPayloadBytes int
	RatePerSecond   float64
	Active          bool
	// Preferences is a JSON object of the tenant's own. Its values are kept, its spacing is not.
	Preferences json.RawMessage
}

// normalized returns the settings with what is left out as the store has it.
func (t Tenant) normalized() Tenant {
	t.EventTypes, t.Sources = append([]string{}, t.EventTypes...), append([]string{}, t.Sources...)
	if t.RetentionByKind == nil {
		t.RetentionByKind = map[string]int{}
	}
	if len(t.Preferences) == 0 {
		t.Preferences = json.RawMessage("{}")
	}
	return t
}

const tenantColumns = `tenant_id, name, country, event_types, sources, retention_days, max_payload_bytes, rate_per_second, active,
    preferences, retention_by_kind`

// Tenant returns the settings of a tenant, or ErrNotFound.
func (s *Store) Tenant(ctx context.Context, id string) (Tenant, error) {
	found, err := readAs(ctx, s, id, scanTenant, "SELECT "+tenantColumns+" FROM tenant_tracking_settings WHERE tenant_id = $1", id)
	if err != nil {
		return Tenant{}, fmt.Errorf("read tenant: %w", err)
	}
	if len(found) == 0 {
		return Tenant{}, ErrNotFound
	}
	return found[0], nil
}

// Tenants returns the settings of all tenants, in the order of their ids.
func (s *Store) Tenants(ctx context.Context) ([]Tenant, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT "+tenantColumns+" FROM tenant_tracking_settings ORDER BY tenant_id")
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	tenants, err := pgx.CollectRows(rows, scanTenant)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	return tenants, nil
}

func scanTenant(row pgx.CollectableRow) (t Tenant, err error) {
	var preferences []byte
	err = row.Scan(&t.ID, &t.Name, &t.Country, &t.EventTypes, &t.Sources, &t.RetentionDays, &t.MaxPayloadBytes, &t.RatePerSecond,
		&t.Active, &preferences, &t.RetentionByKind)
	t.Preferences = preferences
	if len(t.RetentionByKind) == 0 {
		t.RetentionByKind = nil
	}
	return t, err
}
