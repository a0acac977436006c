package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/tracking"
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
	// Personal is what of the event is personal; it is sealed, and must not be in Event.
	Personal *tracking.Personal
}

// incomingLetters are the letters given, as a table.
const incomingLetters = `
incoming AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::int[], $12::bytea[], $13::text[], $14::timestamptz[], $15::text[], $16::bytea[])
        AS d (uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id,
            attempts, event, trace_id, at, personal_key, personal))`

// Letters are locked in the order of their keys wherever several are, so that nobody waits in a circle.
const (
	insertDeadLetters = `
WITH ` + incomingLetters + `, added AS (
    INSERT INTO dead_letters (uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id,
        attempts, event, trace_id, at, personal_key, personal)
    SELECT uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id,
        attempts, event, trace_id, at, nullif(personal_key, '')::uuid, personal FROM incoming ORDER BY uid, pipeline COLLATE "C", stage COLLATE "C"
    ON CONFLICT (uid, pipeline, stage) DO NOTHING
    RETURNING id, tenant_id, at, code, message, field, attempts, trace_id)
INSERT INTO dead_letter_history (letter_id, tenant_id, at, what, code, message, field, attempts, trace_id)
SELECT id, tenant_id, at, 'rejected', code, message, field, attempts, trace_id FROM added`

	// answerRedrives settles letters whose events were redriven and have now been rejected again. What is rejected where it was
	// before opens that letter again; what is rejected elsewhere is another letter's affair. A letter that comes again, or late,
	// changes nothing: it is as old as what is known.
	answerRedrives = `
WITH ` + incomingLetters + `, latest AS (
    SELECT DISTINCT ON (uid, pipeline) * FROM incoming ORDER BY uid, pipeline, at DESC
), locked AS MATERIALIZED (
    SELECT d.id, d.uid, d.pipeline, d.stage, d.state, d.at
    FROM dead_letters d JOIN latest i ON d.uid = i.uid AND d.pipeline = i.pipeline
    ORDER BY d.uid, d.pipeline, d.stage
    FOR UPDATE OF d
), redriven AS (
    SELECT r.id, i.uid, i.pipeline, i.stage AS rejected_at, r.stage, i.at
    FROM locked r JOIN latest i ON r.uid = i.uid AND r.pipeline = i.pipeline
    WHERE r.state = 'redriving' AND r.at < i.at
), opened AS (
    UPDATE dead_letters d
    SET state = 'open', changed_at = now(), code = i.code, message = i.message, field = i.field,
        attempts = d.attempts + i.attempts, trace_id = i.trace_id, at = i.at
    FROM latest i
    WHERE d.uid = i.uid AND d.pipeline = i.pipeline AND d.stage = i.stage AND d.state <> 'open' AND d.at < i.at
        AND EXISTS (SELECT FROM redriven r WHERE r.uid = i.uid AND r.pipeline = i.pipeline)
    RETURNING d.id, d.tenant_id, i.at, 'rejected' AS what, i.code, i.message, i.field, d.attempts, i.trace_id
), superseded AS (
    UPDATE dead_letters d
    SET state = 'superseded', changed_at = now()
    FROM redriven r
    WHERE d.id = r.id AND r.rejected_at <> r.stage
    RETURNING d.id, d.tenant_id, r.at, 'superseded' AS what, '' AS code, 'rejected at stage ' || r.rejected_at AS message,
        '' AS field, 0 AS attempts, '' AS trace_id
)
INSERT INTO dead_letter_history (letter_id, tenant_id, at, what, code, message, field, attempts, trace_id)
SELECT * FROM opened UNION ALL SELECT * FROM superseded`
)

// AddDeadLetters stores dead letters, all or none. One that is there already, with the same UID, pipeline and stage, stays as it
// is unless its event was redriven meanwhile: then it was rejected again, and is open again with the reason of this time. Text
// that PostgreSQL cannot hold is mended; the event itself is kept byte for byte, whatever is wrong with it.
func (s *Store) AddDeadLetters(ctx context.Context, letters []DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	text := func(value func(DeadLetter) string) []string {
		return column(letters, func(d DeadLetter) string { return storable(value(d)) })
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	people, err := s.peopleOf(ctx, column(letters, DeadLetter.holder))
	if err != nil {
		return fmt.Errorf("store %d dead letters: %w", len(letters), err)
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	if people != nil { // The keys have to be known before anything is sealed.
		if err := people.queue(&batch); err != nil {
			return err
		}
		if err := send(ctx, conn, &batch); err != nil {
			return fmt.Errorf("make keys for dead letters: %w", err)
		}
		batch = pgx.Batch{}
	}
	personal, err := people.sealLetters(letters)
	if err != nil {
		return err
	}
	args := []any{
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
		column(personal, func(p letterPersonal) string { return p.key }),
		column(personal, func(p letterPersonal) []byte { return p.sealed }),
	}
	batch.Queue(insertDeadLetters, args...)
	batch.Queue(answerRedrives, args...)
	batch.Queue("COMMIT")
	if err := send(ctx, conn, &batch); err != nil {
		return fmt.Errorf("store %d dead letters: %w", len(letters), err)
	}
	return nil
}

// storable puts U+FFFD, the replacement character, where a text holds what PostgreSQL's text cannot: NUL and broken UTF-8.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}
