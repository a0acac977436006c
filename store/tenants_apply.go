package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"
)

// What becomes of a tenant's settings.
const (
	TenantCreated   = "created"
	TenantChanged   = "changed"
	TenantUnchanged = "unchanged"
)

// TenantChange is what became, or would become, of the settings of one tenant.
type TenantChange struct {
	TenantID string `json:"id"`
	Change   string `json:"change"` // TenantCreated, TenantChanged or TenantUnchanged
	// Differences are in the order of the settings; those of a tenant that is created are from nothing.
	Differences []TenantDifference `json:"differences,omitempty"`
}

// TenantDifference is a setting that differs. A preference is named preferences.NAME; Before or After is nil where there is none.
type TenantDifference struct {
	Field  string `json:"field"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// AddTenants adds the tenants that do not exist, all or none: those that a system begins with, which no audit notes. Those that exist
// stay as they are.
func (s *Store) AddTenants(ctx context.Context, tenants []Tenant) error {
	_, err := s.writeTenants(ctx, tenants, nil, func(known *Tenant) bool { return known == nil })
	if err != nil {
		return fmt.Errorf("add %d tenants: %w", len(tenants), err)
	}
	return nil
}

// ChangeTenants makes the settings of tenants what they are given as, all or none, and notes who did what where something changed.
// Tenants that are not named stay as they are. The changes come in the order of the tenants' ids.
func (s *Store) ChangeTenants(ctx context.Context, tenants []Tenant, by Actor) ([]TenantChange, error) {
	changes, err := s.writeTenants(ctx, tenants, &by, func(*Tenant) bool { return true })
	if err != nil {
		return nil, fmt.Errorf("change %d tenants: %w", len(tenants), err)
	}
	return changes, nil
}

// PlanTenants returns what ChangeTenants would do, and does nothing.
func (s *Store) PlanTenants(ctx context.Context, tenants []Tenant) ([]TenantChange, error) {
	changes, err := s.writeTenants(ctx, tenants, nil, func(*Tenant) bool { return false })
	if err != nil {
		return nil, fmt.Errorf("plan %d tenants: %w", len(tenants), err)
	}
	return changes, nil
}

// writeTenants compares tenants with what is known of them and writes those that differ and that write says. It notes who did, unless
// by is nil.
func (s *Store) writeTenants(ctx context.Context, tenants []Tenant, by *Actor, write func(known *Tenant) bool) ([]TenantChange, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	sorted := slices.SortedFunc(slices.Values(tenants), func(a, b Tenant) int { return cmp.Compare(a.ID, b.ID) })
	changes := make([]TenantChange, len(sorted))
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// One at a time, so that two who add the same tenant do not meet.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('rastro.tenants'))"); err != nil {
			return err
		}
		known, err := tenantsByID(ctx, tx)
		if err != nil {
			return err
		}
		for i, t := range sorted {
			t = t.normalized()
			before := known[t.ID]
			if changes[i], err = t.changeFrom(before); err != nil {
				return fmt.Errorf("tenant %s: %w", t.ID, err)
			}
			if changes[i].Change == TenantUnchanged || !write(before) {
				continue
			}
			if err := writeTenant(ctx, tx, t, changes[i], by); err != nil {
				return fmt.Errorf("tenant %s: %w", t.ID, err)
			}
			known[t.ID] = &t
		}
		return nil
	})
	return changes, err
}

func tenantsByID(ctx context.Context, tx pgx.Tx) (map[string]*Tenant, error) {
	rows, err := tx.Query(ctx, "SELECT "+tenantColumns+" FROM tenant_tracking_settings")
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, scanTenant)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*Tenant, len(all))
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	return byID, nil
}

const upsertTenant = `
INSERT INTO tenant_tracking_settings (tenant_id, name, country, event_types, sources, retention_days, max_payload_bytes,
    rate_per_second, active, preferences, retention_by_kind)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, country = excluded.country, event_types = excluded.event_types,
    sources = excluded.sources, retention_days = excluded.retention_days, max_payload_bytes = excluded.max_payload_bytes,
    rate_per_second = excluded.rate_per_second, active = excluded.active, preferences = excluded.preferences,
    retention_by_kind = excluded.retention_by_kind, updated_at = now()`

func writeTenant(ctx context.Context, tx pgx.Tx, t Tenant, change TenantChange, by *Actor) error {
	_, err := tx.Exec(ctx, upsertTenant, t.ID, t.Name, t.Country, t.EventTypes, t.Sources, t.RetentionDays, t.MaxPayloadBytes,
		t.RatePerSecond, t.Active, t.Preferences, t.RetentionByKind)
	if err != nil || by == nil {
		return err
	}
	what, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return auditAtOnce(ctx, tx, t.ID, *by, "tenants.apply", what, 1, "")
}

// changeFrom compares settings with those before; nil are those of a tenant that does not exist.
func (t Tenant) changeFrom(known *Tenant) (TenantChange, error) {
	change := TenantChange{TenantID: t.ID, Change: TenantChanged}
	var before Tenant
	if known == nil {
		change.Change = TenantCreated
	} else {
		before = *known
	}
	before = before.normalized()
	for _, f := range []TenantDifference{
		{"name", before.Name, t.Name}, {"country", before.Country, t.Country}, {"event_types", before.EventTypes, t.EventTypes},
		{"sources", before.Sources, t.Sources}, {"retention_days", before.RetentionDays, t.RetentionDays},
		{"retention_by_kind", before.RetentionByKind, t.RetentionByKind},
		{"max_payload_bytes", before.MaxPayloadBytes, t.MaxPayloadBytes}, {"rate_per_second", before.RatePerSecond, t.RatePerSecond},
		{"active", before.Active, t.Active},
	} {
		if !reflect.DeepEqual(f.Before, f.After) {
			change.Differences = append(change.Differences, f)
		}
	}
	preferences, err := preferenceDifferences(before.Preferences, t.Preferences)
	if err != nil {
		return TenantChange{}, err
	}
	change.Differences = append(change.Differences, preferences...)
	if known != nil && len(change.Differences) == 0 {
		change.Change = TenantUnchanged
	}
	return change, nil
}

func preferenceDifferences(before, after json.RawMessage) ([]TenantDifference, error) {
	var b, a map[string]any
	for _, one := range []struct {
		raw  json.RawMessage
		into *map[string]any
	}{{before, &b}, {after, &a}} {
		if err := json.Unmarshal(one.raw, one.into); err != nil {
			return nil, fmt.Errorf("preferences: %w", err)
		}
	}
	names := maps.Clone(b)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, a)
	var differences []TenantDifference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !reflect.DeepEqual(b[name], a[name]) {
			differences = append(differences, TenantDifference{"preferences." + name, b[name], a[name]})
		}
	}
	return differences, nil
}
