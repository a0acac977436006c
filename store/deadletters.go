package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// DeadLetter is an event that will never be right, and why.
type DeadLetter struct {
	UID           uuid.UUID
	TenantID      string
	Pipeline      string
	Stage         string
	Code          string // short and stable, for counting
	Message       string // for people
	Field         string // JSON pointer of the offending part, where there is one
	Source        string
	EventType     string
	CorrelationID string
	Attempts      int
	Event         json.RawMessage // the original bytes
	TraceID       string
	At            time.Time
}

const insertDeadLetters = `
INSERT INTO dead_letters (uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id,
    attempts, event, trace_id, at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::int[], $12::bytea[], $13::text[], $14::timestamptz[])
    AS d (uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id,
        attempts, event, trace_id, at)
ORDER BY uid, pipeline, stage
ON CONFLICT DO NOTHING`

// AddDeadLetters stores dead letters, all or none. One that is there already, with the same UID, pipeline and stage, stays as it
// is. Text that PostgreSQL cannot hold is mended; the event itself is kept byte for byte, whatever is wrong with it.
func (s *Store) AddDeadLetters(ctx context.Context, letters []DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	text := func(value func(DeadLetter) string) []string {
		return column(letters, func(d DeadLetter) string { return storable(value(d)) })
	}
	_, err := s.pool.Exec(ctx, insertDeadLetters,
		column(letters, func(d DeadLetter) uuid.UUID { return d.UID }),
		text(func(d DeadLetter) string { return d.TenantID }),
		text(func(d DeadLetter) string { return d.Pipeline }),
		text(func(d DeadLetter) string { return d.Stage }),
		text(func(d DeadLetter) string { return d.Code }),
		text(func(d DeadLetter) string { return d.Message }),
		text(func(d DeadLetter) string { return d.Field }),
		text(func(d DeadLetter) string { return d.Source }),
		text(func(d DeadLetter) string { return d.EventType }),
		text(func(d DeadLetter) string { return d.CorrelationID }),
		column(letters, func(d DeadLetter) int { return d.Attempts }),
		column(letters, func(d DeadLetter) []byte { return append([]byte{}, d.Event...) }), // Never nil, which is NULL.
		text(func(d DeadLetter) string { return d.TraceID }),
		column(letters, func(d DeadLetter) time.Time { return d.At }),
	)
	if err != nil {
		return fmt.Errorf("store %d dead letters: %w", len(letters), err)
	}
	return nil
}

// storable puts U+FFFD, the replacement character, where a text holds what PostgreSQL's text cannot: NUL and broken UTF-8.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}
