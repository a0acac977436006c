package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Capture is what became of a document that was captured over the EPCIS interface.
type Capture struct {
	TenantID string
	ID       uuid.UUID
	Carrier  string
	// CreatedAt is when the document came, and FinishedAt when it was known what became of it, to the microsecond.
	CreatedAt, FinishedAt time.Time
	// Behaviour says what was to become of the others when an event was refused.
	Behaviour string
	// Accepted and Rejected are how many of its events were.
	Accepted, Rejected int
	// Errors is a JSON array of what was wrong.
	Errors json.RawMessage
}

// captureDays is for how many days it is told what became of a document.
const captureDays = 30

const (
	// saveCaptures has the later word where a document is told of twice, as one is that was sent again after it could not be taken.
	saveCaptures = `
INSERT INTO captures (tenant_id, id, carrier, created_at, finished_at, behaviour, accepted, rejected, errors)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::int[], $8::int[], $9::text[])
ON CONFLICT (tenant_id, id) DO UPDATE SET carrier = excluded.carrier, created_at = excluded.created_at, finished_at = excluded.finished_at,
    behaviour = excluded.behaviour, accepted = excluded.accepted, rejected = excluded.rejected, errors = excluded.errors`

	captureColumns = `tenant_id, id, carrier, created_at, finished_at, behaviour, accepted, rejected, errors`

	readCapture = `SELECT ` + captureColumns + ` FROM captures WHERE tenant_id = $1 AND carrier = $2 AND id = $3`

	readCaptures = `
SELECT ` + captureColumns + ` FROM captures
WHERE tenant_id = $1 AND carrier = $2 AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
ORDER BY created_at DESC, id DESC LIMIT $5`

	pruneCaptures = `DELETE FROM captures WHERE ctid = ANY (ARRAY(SELECT ctid FROM captures WHERE created_at < $1 LIMIT $2))`
)

// SaveCaptures keeps what became of documents, each of which is another, for a month.
func (s *Store) SaveCaptures(ctx context.Context, captures []Capture) error {
	if len(captures) == 0 {
		return nil
	}
	if _, err := s.exec(ctx, saveCaptures,
		column(captures, func(c Capture) string { return storable(c.TenantID) }), column(captures, func(c Capture) uuid.UUID { return c.ID }),
		column(captures, func(c Capture) string { return storable(c.Carrier) }), column(captures, func(c Capture) time.Time { return c.CreatedAt }),
		column(captures, func(c Capture) time.Time { return c.FinishedAt }), column(captures, func(c Capture) string { return storable(c.Behaviour) }),
		column(captures, func(c Capture) int { return c.Accepted }), column(captures, func(c Capture) int { return c.Rejected }),
		column(captures, func(c Capture) string { return storable(string(c.Errors)) })); err != nil {
		return fmt.Errorf("keep what became of documents: %w", err)
	}
	return nil
}

// Capture returns what became of a document that a carrier of a tenant sent. An error wraps ErrNotFound when nothing is known of it.
func (s *Store) Capture(ctx context.Context, tenant, carrier string, id uuid.UUID) (Capture, error) {
	found, err := readAs(ctx, s, tenant, scanCapture, readCapture, tenant, carrier, id)
	if err != nil {
		return Capture{}, fmt.Errorf("read what became of a document: %w", err)
	}
	if len(found) == 0 {
		return Capture{}, fmt.Errorf("capture %s: %w", id, ErrNotFound)
	}
	return found[0], nil
}

// Captures returns what became of the documents that a carrier of a tenant sent, limit at most, the latest of them first; only those behind
// one when that is not nil.
func (s *Store) Captures(ctx context.Context, tenant, carrier string, behind *Capture, limit int) ([]Capture, error) {
	var at *time.Time
	var id uuid.UUID
	if behind != nil {
		at, id = &behind.CreatedAt, behind.ID
	}
	found, err := readAs(ctx, s, tenant, scanCapture, readCaptures, tenant, carrier, at, id, limit)
	if err != nil {
		return nil, fmt.Errorf("list what became of documents: %w", err)
	}
	return found, nil
}

func scanCapture(row pgx.CollectableRow) (c Capture, err error) {
	var text string
	err = row.Scan(&c.TenantID, &c.ID, &c.Carrier, &c.CreatedAt, &c.FinishedAt, &c.Behaviour, &c.Accepted, &c.Rejected, &text)
	c.Errors = json.RawMessage(text)
	inUTC(&c.CreatedAt, &c.FinishedAt)
	return c, err
}
