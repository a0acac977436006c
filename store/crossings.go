package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// CrossingAction is what the audit calls a request for another tenant's data.
const CrossingAction = "tenants.access"

// Crossing is a request for the data of another tenant than that of who asks.
type Crossing struct {
	Method string `json:"method"`
	Path   string `json:"path"`            // escaped
	Query  string `json:"query,omitempty"` // escaped
}

// NoteCrossing notes in a tenant's audit that somebody of another tenant asked for its data. The tenant is empty for what belongs to
// none.
func (s *Store) NoteCrossing(ctx context.Context, tenant string, by Actor, what Crossing) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	filter, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return auditAtOnce(ctx, s.pool, tenant, by, CrossingAction, filter, 1, "")
}
