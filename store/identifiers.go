package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// IdentifierHit is a journey that an identifier leads to.
type IdentifierHit struct {
	// By is "correlation", "aggregate" or "event".
	By            string
	Value         string
	CorrelationID string
}

// maxHits bounds the journeys of one aggregate: identifiers are reused.
const maxHits = 10

// FindIdentifier returns the journeys of a tenant that have any of the identifiers, or an event with a uid: those that are called so
// first, then those of things that are, the latest first.
func (s *Store) FindIdentifier(ctx context.Context, tenant string, identifiers []string, uid *uuid.UUID) ([]IdentifierHit, error) {
	hits, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[IdentifierHit], `
SELECT 'correlation', correlation_id, correlation_id FROM traces WHERE tenant_id = $1 AND correlation_id = ANY ($2)
UNION ALL
(SELECT 'event', uid::text, correlation_id FROM event_store WHERE uid = $3 AND tenant_id = $1)
UNION ALL
(SELECT 'aggregate', a.aggregate_id, a.correlation_id FROM unnest($2::text[]) AS k (id) CROSS JOIN LATERAL (
    SELECT aggregate_id, correlation_id, max(occurred_at) AS at FROM (
        SELECT aggregate_id, correlation_id, occurred_at FROM event_store
        WHERE tenant_id = $1 AND aggregate_id = k.id ORDER BY occurred_at DESC LIMIT 200) e
    WHERE correlation_id <> ALL ($2)
    GROUP BY aggregate_id, correlation_id ORDER BY at DESC LIMIT $4) a)`, tenant, identifiers, uid, maxHits)
	if err != nil {
		return nil, fmt.Errorf("find an identifier: %w", err)
	}
	return hits, nil
}
