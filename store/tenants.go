package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Tenant is whose events these are, and what is allowed to it.
type Tenant struct {
	ID      string
	Name    string
	Country string // ISO 3166-1 alpha-2
	// EventTypes and Sources are those allowed; empty allows any.
	EventTypes, Sources []string
	RetentionDays       int
	MaxPayloadBytes     int
	RatePerSecond       float64
	Active              bool
	// Preferences is a JSON object of the tenant's own. Its values are kept, its spacing is not.
	Preferences json.RawMessage
}

const upsertTenant = `
INSERT INTO tenant_tracking_settings AS t (tenant_id, name, country, event_types, sources, retention_days, max_payload_bytes,
    rate_per_second, active, preferences)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, country = excluded.country, event_types = excluded.event_types,
    sources = excluded.sources, retention_days = excluded.retention_days, max_payload_bytes = excluded.max_payload_bytes,
    rate_per_second = excluded.rate_per_second, active = excluded.active, preferences = excluded.preferences, updated_at = now()
WHERE (t.name, t.country, t.event_types, t.sources, t.retention_days, t.max_payload_bytes, t.rate_per_second, t.active,
    t.preferences) IS DISTINCT FROM (excluded.name, excluded.country, excluded.event_types, excluded.sources,
    excluded.retention_days, excluded.max_payload_bytes, excluded.rate_per_second, excluded.active, excluded.preferences)`

// ApplyTenants makes the settings of tenants what they are given as, all or none. Tenants that are not named stay as they are.
func (s *Store) ApplyTenants(ctx context.Context, tenants []Tenant) error {
	sorted := slices.SortedFunc(slices.Values(tenants), func(a, b Tenant) int { return cmp.Compare(a.ID, b.ID) })
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var batch pgx.Batch
		for _, t := range sorted {
			preferences := t.Preferences
			if len(preferences) == 0 {
				preferences = json.RawMessage("{}")
			}
			batch.Queue(upsertTenant, t.ID, t.Name, t.Country, append([]string{}, t.EventTypes...), append([]string{}, t.Sources...),
				t.RetentionDays, t.MaxPayloadBytes, t.RatePerSecond, t.Active, preferences)
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return fmt.Errorf("apply %d tenants: %w", len(tenants), err)
	}
	return nil
}

const tenantColumns = `tenant_id, name, country, event_types, sources, retention_days, max_payload_bytes, rate_per_second, active,
    preferences`

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
		&t.Active, &preferences)
	t.Preferences = preferences
	return t, err
}
