package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Duplicate is an event that was dropped: as a copy of another or, when DroppedAt is set, for another reason.
type Duplicate struct {
	UID           uuid.UUID `cbor:"1,keyasint"`
	Of            uuid.UUID `cbor:"2,keyasint,omitzero"` // zero when the stage did not say
	TenantID      string    `cbor:"3,keyasint,omitempty"`
	Stage         string    `cbor:"4,keyasint"`
	Code          string    `cbor:"5,keyasint"`
	Source        string    `cbor:"6,keyasint,omitempty"`
	EventID       string    `cbor:"7,keyasint,omitempty"`
	EventType     string    `cbor:"8,keyasint,omitempty"`
	CorrelationID string    `cbor:"9,keyasint,omitempty"`
	ReceivedAt    time.Time `cbor:"10,keyasint"`
	// DroppedAt is set, with Message, of an event that was dropped for another reason than being a copy.
	DroppedAt time.Time `cbor:"11,keyasint,omitzero"`
	Message   string    `cbor:"12,keyasint,omitempty"`
}

const insertDuplicates = `
INSERT INTO duplicates (pipeline, uid, of, tenant_id, stage, code, source, event_id, event_type, correlation_id, received_at, first_received_at)
SELECT $1, d.* FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::timestamptz[], $12::timestamptz[]) AS d
ORDER BY 2
ON CONFLICT DO NOTHING`

const insertDrops = `
INSERT INTO drops (pipeline, uid, tenant_id, stage, code, message, source, event_type, correlation_id, received_at, dropped_at)
SELECT $1, d.* FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::timestamptz[], $11::timestamptz[]) AS d
ORDER BY 2
ON CONFLICT DO NOTHING`

func dropArgs(pipeline string, drops []Duplicate) []any {
	text := func(value func(Duplicate) string) []string {
		return column(drops, func(d Duplicate) string { return storable(value(d)) })
	}
	return []any{
		pipeline,
		column(drops, func(d Duplicate) uuid.UUID { return d.UID }),
		text(func(d Duplicate) string { return d.TenantID }),
		text(func(d Duplicate) string { return d.Stage }),
		text(func(d Duplicate) string { return d.Code }),
		text(func(d Duplicate) string { return d.Message }),
		text(func(d Duplicate) string { return d.Source }),
		text(func(d Duplicate) string { return d.EventType }),
		text(func(d Duplicate) string { return d.CorrelationID }),
		column(drops, func(d Duplicate) time.Time { return d.ReceivedAt }),
		column(drops, func(d Duplicate) time.Time { return d.DroppedAt }),
	}
}

func duplicateArgs(pipeline string, duplicates []Duplicate) []any {
	text := func(value func(Duplicate) string) []string {
		return column(duplicates, func(d Duplicate) string { return storable(value(d)) })
	}
	return []any{
		pipeline,
		column(duplicates, func(d Duplicate) uuid.UUID { return d.UID }),
		column(duplicates, func(d Duplicate) *uuid.UUID {
			if d.Of == uuid.Nil {
				return nil
			}
			return &d.Of
		}),
		text(func(d Duplicate) string { return d.TenantID }),
		text(func(d Duplicate) string { return d.Stage }),
		text(func(d Duplicate) string { return d.Code }),
		text(func(d Duplicate) string { return d.Source }),
		text(func(d Duplicate) string { return d.EventID }),
		text(func(d Duplicate) string { return d.EventType }),
		text(func(d Duplicate) string { return d.CorrelationID }),
		column(duplicates, func(d Duplicate) time.Time { return d.ReceivedAt }),
		column(duplicates, func(d Duplicate) *time.Time { return receivedAt(d.Of) }),
	}
}

// receivedAt returns when an event was received, to the millisecond, as its UUIDv7 (RFC 9562, section 5.7) tells; nil for a UID
// that is none.
func receivedAt(uid uuid.UUID) *time.Time {
	if uid.Version() != 7 {
		return nil
	}
	sec, nsec := uid.Time().UnixTime()
	at := time.Unix(sec, nsec).UTC()
	return &at
}

// How an event came to be a duplicate.
const (
	// Resent says that the same source sent the event again.
	Resent = "resent"
	// SecondSource says that another source had sent it before.
	SecondSource = "second_source"
)

// ExplainedDuplicate is an event that was dropped as a copy, with what is known of the one it is a copy of.
type ExplainedDuplicate struct {
	UID           uuid.UUID  `json:"uid" doc:"The event that was dropped"`
	Of            *uuid.UUID `json:"of,omitempty" doc:"The event that it is a copy of"`
	Pipeline      string     `json:"pipeline" doc:"The pipeline that dropped it"`
	Stage         string     `json:"stage" doc:"The stage that dropped it"`
	Code          string     `json:"code" doc:"The reason, short and stable"`
	Source        string     `json:"source" doc:"Who sent the copy"`
	EventID       string     `json:"event_id" doc:"The sender's id"`
	EventType     string     `json:"event_type" doc:"The sender's code"`
	CorrelationID string     `json:"correlation_id" doc:"The journey"`
	ReceivedAt    time.Time  `json:"received_at" doc:"When the copy was received"`
	FirstSource   string     `json:"first_source,omitempty" doc:"Who sent the one it is a copy of; absent while that is not stored"`
	FirstAt       *time.Time `json:"first_received_at,omitempty" doc:"When the one it is a copy of was received"`
	// Later is nil when FirstAt is. Below 0 the copy was received before and dealt with after.
	Later *float64 `json:"later_seconds,omitempty" doc:"How much later the copy was received, in seconds"`
	How   string   `json:"how,omitempty" enum:"resent,second_source" doc:"Whether the same source sent it again or another source had sent it; absent while the first is not stored"`
}

// DuplicateFilter says which duplicates are meant. What is zero does not matter.
type DuplicateFilter struct {
	CorrelationID, Source string
	// Since and Until bound when the copies were received; Until is exclusive.
	Since, Until time.Time
}

func (f DuplicateFilter) args(tenant string) []any {
	bound := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	return []any{tenant, f.CorrelationID, f.Source, bound(f.Since), bound(f.Until)}
}

// DuplicateCursor is where a page of duplicates ends: the next one begins behind it. The zero cursor is the beginning.
type DuplicateCursor struct {
	ReceivedAt time.Time
	UID        uuid.UUID
	Pipeline   string
}

// After returns the cursor behind a duplicate.
func (d ExplainedDuplicate) After() DuplicateCursor {
	return DuplicateCursor{ReceivedAt: d.ReceivedAt, UID: d.UID, Pipeline: d.Pipeline}
}

// The event that a copy is of is looked up only among the tenant's own.
const duplicatesMeant = `
FROM duplicates d LEFT JOIN event_store e ON e.uid = d.of AND e.tenant_id = d.tenant_id
WHERE d.tenant_id = $1 AND ($2 = '' OR d.correlation_id = $2) AND ($3 = '' OR d.source = $3)
    AND ($4::timestamptz IS NULL OR d.received_at >= $4) AND ($5::timestamptz IS NULL OR d.received_at < $5)`

const selectDuplicates = `
SELECT d.uid, d.of, d.pipeline, d.stage, d.code, d.source, d.event_id, d.event_type, d.correlation_id, d.received_at,
    coalesce(e.source, ''), coalesce(e.received_at, d.first_received_at)` + duplicatesMeant + `
    AND ($6::timestamptz IS NULL OR (d.received_at, d.uid, d.pipeline) < ($6, $7::uuid, $8))
ORDER BY d.received_at DESC, d.uid DESC, d.pipeline DESC LIMIT $9`

// Duplicates returns a tenant's duplicates, the latest first, limit at most, from behind a cursor on.
func (s *Store) Duplicates(ctx context.Context, tenant string, filter DuplicateFilter, after DuplicateCursor, limit int) ([]ExplainedDuplicate, error) {
	var from *time.Time
	if after != (DuplicateCursor{}) {
		from = &after.ReceivedAt
	}
	found, err := readAs(ctx, s, tenant, scanDuplicate, selectDuplicates,
		append(filter.args(tenant), from, after.UID, after.Pipeline, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read duplicates: %w", err)
	}
	return found, nil
}

func scanDuplicate(row pgx.CollectableRow) (d ExplainedDuplicate, err error) {
	if err := row.Scan(&d.UID, &d.Of, &d.Pipeline, &d.Stage, &d.Code, &d.Source, &d.EventID, &d.EventType, &d.CorrelationID,
		&d.ReceivedAt, &d.FirstSource, &d.FirstAt); err != nil {
		return d, err
	}
	d.ReceivedAt = d.ReceivedAt.UTC()
	if d.FirstAt != nil {
		first := d.FirstAt.UTC()
		later := d.ReceivedAt.Sub(first).Seconds()
		d.FirstAt, d.Later = &first, &later
	}
	switch d.FirstSource {
	case "":
	case d.Source:
		d.How = Resent
	default:
		d.How = SecondSource
	}
	return d, nil
}

// DuplicateSource is how many duplicates a source sent.
type DuplicateSource struct {
	Source string `json:"source" doc:"Who sent the copies"`
	Events int64  `json:"events" doc:"How many copies"`
	// Share is of all duplicates that are meant, 0 to 1.
	Share float64 `json:"share" doc:"The part of all the duplicates that is this source's, 0 to 1"`
	// SecondSource counts those that another source had sent before.
	SecondSource int64 `json:"second_source" doc:"How many of them another source had sent before"`
	// MedianLater is nil when it is not known of any when the first came.
	MedianLater *float64 `json:"median_later_seconds,omitempty" doc:"How much later than the first the copies came, the median, in seconds"`
}

// DuplicatesBySource sums a tenant's duplicates up by their source, the one with most first.
func (s *Store) DuplicatesBySource(ctx context.Context, tenant string, filter DuplicateFilter) ([]DuplicateSource, error) {
	found, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[DuplicateSource], `
SELECT d.source, count(*), count(*)::float8 / sum(count(*)) OVER ()::float8, count(*) FILTER (WHERE e.source <> d.source),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.received_at - coalesce(e.received_at, d.first_received_at))::float8)`+
		duplicatesMeant+`
GROUP BY d.source ORDER BY 2 DESC, 1`, filter.args(tenant)...)
	if err != nil {
		return nil, fmt.Errorf("sum duplicates up: %w", err)
	}
	return found, nil
}

// Copies returns how many copies of a tenant's events were dropped, of those that have any.
func (s *Store) Copies(ctx context.Context, tenant string, uids []uuid.UUID) (map[uuid.UUID]int64, error) {
	type count struct {
		Of     uuid.UUID
		Copies int64
	}
	found, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[count], `
SELECT of, count(DISTINCT uid) FROM duplicates WHERE tenant_id = $1 AND of = ANY ($2::uuid[]) GROUP BY of`, tenant, uids)
	if err != nil {
		return nil, fmt.Errorf("count copies: %w", err)
	}
	copies := make(map[uuid.UUID]int64, len(found))
	for _, c := range found {
		copies[c.Of] = c.Copies
	}
	return copies, nil
}
