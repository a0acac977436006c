package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// AuditEntry says who did what to the system.
type AuditEntry struct {
	ID       int64           `json:"id" doc:"Identifies the entry; later ones have larger ids"`
	TenantID string          `json:"tenant_id" doc:"Whose data it was done to"`
	At       time.Time       `json:"at" doc:"When it was done"`
	Subject  string          `json:"subject" doc:"Who did it, as the issuer knows them"`
	Name     string          `json:"name,omitempty" doc:"Who did it, for people"`
	Client   string          `json:"client,omitempty" doc:"The program that they used"`
	Action   string          `json:"action" example:"dead_letters.redrive" doc:"What was done"`
	Filter   json.RawMessage `json:"filter" doc:"To what it was done"`
	Count    int             `json:"count" doc:"How many that were"`
	Reason   string          `json:"reason,omitempty" doc:"Why, in their words"`
	JobID    *uuid.UUID      `json:"job_id,omitempty" doc:"The job that does it"`
}

// audit notes an action in the transaction that does it.
func audit(ctx context.Context, tx pgx.Tx, tenant string, by Actor, action string, filter []byte, count int, reason string, job uuid.UUID) error {
	_, err := tx.Exec(ctx, `
INSERT INTO ops_audit (tenant_id, subject, name, client, action, filter, count, reason, job_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, tenant, by.Subject, by.Name, by.Client, action, filter, count, reason, job)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Audit returns what was done to a tenant's data, the latest first. before is the last entry of the page before; 0 for the
// first page.
func (s *Store) Audit(ctx context.Context, tenant string, before int64, limit int) ([]AuditEntry, error) {
	entries, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[AuditEntry], `
SELECT id, tenant_id, at, subject, name, client, action, filter, count, reason, job_id
FROM ops_audit WHERE tenant_id = $1 AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, tenant, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	for i := range entries {
		inUTC(&entries[i].At)
	}
	return entries, nil
}
