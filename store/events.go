package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/tracking"
)

// details is the part of an event that nothing is filtered by. The milestone has a column of its own.
type details struct {
	Location   *tracking.Location   `json:"location,omitempty"`
	Quantity   *tracking.Quantity   `json:"quantity,omitempty"`
	Transport  *tracking.Transport  `json:"transport,omitempty"`
	Corrects   *tracking.Correction `json:"corrects,omitempty"`
	Enrichment tracking.Enrichment  `json:"enrichment,omitzero"`
	// Personal says that there is personal data, which is kept apart.
	Personal bool `json:"personal,omitempty"`
}

// eventRow is an event with its details encoded.
type eventRow struct {
	*tracking.Event
	details []byte // nil when there are none
	chain   link   // known once the row's trace is locked
}

// offset is the one of the zone that the sender wrote the event's time in, in minutes.
func (r eventRow) offset() int16 {
	_, seconds := r.OccurredAt.Zone()
	return int16(seconds / 60) //nolint:gosec // Offsets are within a day.
}

// payload is nil when there is none.
func (r eventRow) payload() []byte {
	if len(r.Payload) == 0 {
		return nil
	}
	return r.Payload
}

// rowOf encodes an event. It fails for one that no database would take.
func rowOf(e *tracking.Event) (eventRow, error) {
	for name, at := range map[string]time.Time{"timestamp": e.OccurredAt, "received_at": e.ReceivedAt} {
		if year := at.Year(); year < 1 || year > 9999 {
			return eventRow{}, fmt.Errorf("%s: the year %d is not between 1 and 9999", name, year)
		}
	}
	d := details{Location: e.Location, Quantity: e.Quantity, Transport: e.Transport, Corrects: e.Corrects, Enrichment: e.Enrichment, Personal: e.Personal != nil}
	d.Enrichment.Milestone = ""
	if d.Location == nil && d.Quantity == nil && d.Transport == nil && d.Corrects == nil && d.Enrichment.IsZero() && !d.Personal {
		return eventRow{Event: e}, nil
	}
	encoded, err := json.Marshal(d)
	if err != nil {
		return eventRow{}, fmt.Errorf("encode details: %w", err)
	}
	if hasNUL(encoded) {
		return eventRow{}, errors.New("the event's details hold a text with a NUL character")
	}
	return eventRow{Event: e, details: encoded}, nil
}

// insertEvents takes the arguments that insertArgs makes. Whoever sends the rows sorts them by their uids, so that two batches that hold the
// same ones never wait for each other in a circle.
var insertEvents = `
INSERT INTO event_store (uid, tenant_id, correlation_id, aggregate_id, source, event_id, revision, kind, event_type, classifier,
    milestone, time_quality, occurred_at, utc_offset_minutes, received_at, payload, details,
    chain_epoch, chain_seq, chain_prev, chain_hash)
SELECT uid, tenant_id, correlation_id, aggregate_id, source, event_id, revision, kind, event_type, classifier,
    milestone, time_quality, occurred_at, utc_offset_minutes, received_at, payload::json, details::json,
    chain_epoch, chain_seq, chain_prev, chain_hash
FROM (` + sent(`uid uuid, tenant_id text, correlation_id text, aggregate_id text, source text, event_id text, revision bigint, kind text, `+
	`event_type text, classifier text, milestone text, time_quality text, occurred_at timestamptz, utc_offset_minutes smallint, `+
	`received_at timestamptz, payload text, details text, chain_epoch bigint, chain_seq bigint, chain_prev bytea, chain_hash bytea`) + `) AS e`

// insertArgs turns rows into columns.
func insertArgs(rows []eventRow) []any {
	return []any{
		column(rows, func(r eventRow) uuid.UUID { return r.UID }),
		column(rows, func(r eventRow) string { return r.TenantID }),
		column(rows, func(r eventRow) string { return r.CorrelationID }),
		column(rows, func(r eventRow) string { return r.AggregateID }),
		column(rows, func(r eventRow) string { return r.Source }),
		column(rows, func(r eventRow) string { return r.EventID }),
		column(rows, func(r eventRow) int64 { return r.Revision }),
		column(rows, func(r eventRow) string { return string(r.Kind) }),
		column(rows, func(r eventRow) string { return r.Type }),
		column(rows, func(r eventRow) string { return string(r.Classifier) }),
		column(rows, func(r eventRow) string { return string(r.Enrichment.Milestone) }),
		column(rows, func(r eventRow) string { return string(r.TimeQuality) }),
		column(rows, func(r eventRow) time.Time { return r.OccurredAt }),
		column(rows, eventRow.offset),
		column(rows, func(r eventRow) time.Time { return r.ReceivedAt }),
		column(rows, eventRow.payload),
		column(rows, func(r eventRow) []byte { return r.details }),
		column(rows, func(r eventRow) int64 { return r.chain.epoch }),
		column(rows, func(r eventRow) int64 { return r.chain.seq }),
		column(rows, func(r eventRow) []byte { return r.chain.prev }),
		column(rows, func(r eventRow) []byte { return r.chain.hash }),
	}
}

// column returns one value of each row.
func column[R, T any](rows []R, value func(R) T) []T {
	values := make([]T, len(rows))
	for i := range rows {
		values[i] = value(rows[i])
	}
	return values
}

// storedEventColumns are those of an event as it was persisted.
const storedEventColumns = `uid, tenant_id, correlation_id, aggregate_id, source, event_id, revision, kind, event_type, classifier,
    milestone, time_quality, occurred_at, utc_offset_minutes, received_at, payload, details`

// eventColumns is what scanEvent reads, in order.
const eventColumns = storedEventColumns + `,
    CASE WHEN milestone = 'unknown' THEN code_meaning(tenant_id, source, event_type) END`

// scanEvent reads an event back as it was persisted, but with the meaning that was decided for its code since, where nothing knew it then.
func scanEvent(row pgx.CollectableRow) (*tracking.Event, error) {
	var (
		e            tracking.Event
		milestone    tracking.Milestone
		offset       int16
		encoded      []byte
		payload      []byte
		decoded      details
		at, received time.Time
		meaning      *string
	)
	if err := row.Scan(&e.UID, &e.TenantID, &e.CorrelationID, &e.AggregateID, &e.Source, &e.EventID, &e.Revision, &e.Kind, &e.Type,
		&e.Classifier, &milestone, &e.TimeQuality, &at, &offset, &received, &payload, &encoded, &meaning); err != nil {
		return nil, err
	}
	if encoded != nil {
		if err := json.Unmarshal(encoded, &decoded); err != nil {
			return nil, errors.Join(errors.New("decode details of event "+e.UID.String()), err)
		}
	}
	e.OccurredAt, e.ReceivedAt = at.UTC(), received.UTC()
	if offset != 0 {
		e.OccurredAt = at.In(time.FixedZone("", int(offset)*60))
	}
	e.Location, e.Quantity, e.Transport, e.Corrects = decoded.Location, decoded.Quantity, decoded.Transport, decoded.Corrects
	e.Enrichment = decoded.Enrichment
	e.Enrichment.Milestone = milestone
	e.Payload = payload
	if decoded.Personal {
		e.Personal = &tracking.Personal{}
	}
	meant(&e, meaning)
	return &e, nil
}
