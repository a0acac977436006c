package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// RedriveEnd is how an event ended that a job redrove: it left its pipeline, or a stage dropped it.
type RedriveEnd struct {
	UID      uuid.UUID `cbor:"1,keyasint"`
	TenantID string    `cbor:"2,keyasint,omitempty"`
	// Job is the job that redrove it.
	Job uuid.UUID `cbor:"3,keyasint"`
	// Passed says that it left its pipeline; if not, it was dropped.
	Passed bool `cbor:"4,keyasint,omitempty"`
	// Stage dropped it, and Code and Message say why.
	Stage   string `cbor:"5,keyasint,omitempty"`
	Code    string `cbor:"6,keyasint,omitempty"`
	Message string `cbor:"7,keyasint,omitempty"`
}

// story is what the letter's story says of the end.
func (e RedriveEnd) story() string {
	switch {
	case e.Passed:
		return "its event left the pipeline, which does not store it"
	case e.Message != "":
		return "dropped at stage " + e.Stage + ": " + e.Message
	default:
		return "dropped at stage " + e.Stage
	}
}

// endRedrives settles letters that are still being redriven, by the very job that the end is of: what is told twice, or late,
// changes nothing. A letter of which nobody looks whether its event is stored is of one that was stored before.
const endRedrives = `
WITH given AS (
    SELECT DISTINCT ON (uid, tenant_id, job_id) *
    FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::bool[], $6::text[], $7::text[]) AS e (uid, tenant_id, job_id, passed, code, message)
    ORDER BY uid, tenant_id, job_id, passed
), locked AS MATERIALIZED (
    SELECT d.id, g.passed, g.code, g.message, d.next_check_at IS NULL AS stored_before,
        EXISTS (SELECT FROM event_store e WHERE e.uid = d.uid) AS stored
    FROM dead_letters d JOIN given g ON d.uid = g.uid AND d.tenant_id = g.tenant_id AND d.job_id = g.job_id
    WHERE d.pipeline = $1 AND d.state = 'redriving'
    ORDER BY d.uid, d.pipeline, d.stage
    FOR UPDATE OF d
), ended AS (
    UPDATE dead_letters d
    SET state = CASE WHEN NOT l.passed THEN 'dropped' WHEN l.stored THEN 'stored' ELSE 'passed' END, changed_at = now(),
        next_check_at = CASE WHEN l.passed AND NOT l.stored THEN now() END
    FROM locked l WHERE d.id = l.id
    RETURNING d.id, d.tenant_id, d.state, d.job_id, l.code, CASE WHEN d.state <> 'stored' THEN l.message
        WHEN l.stored_before THEN 'its event was stored already' ELSE '' END AS message
)
INSERT INTO dead_letter_history (letter_id, tenant_id, at, what, job_id, code, message)
SELECT id, tenant_id, now(), state, job_id, code, message FROM ended
ON CONFLICT DO NOTHING`

// EndRedrives settles the dead letters of a pipeline's events that were redriven and have ended: as stored, as dropped or, of
// an event that left the pipeline and is not stored, as passed. Saying it twice has the effect of saying it once.
func (s *Store) EndRedrives(ctx context.Context, pipeline string, ends []RedriveEnd) error {
	if len(ends) == 0 {
		return nil
	}
	text := func(value func(RedriveEnd) string) []string {
		return column(ends, func(e RedriveEnd) string { return storable(value(e)) })
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, endRedrives, pipeline,
		column(ends, func(e RedriveEnd) uuid.UUID { return e.UID }),
		text(func(e RedriveEnd) string { return e.TenantID }),
		column(ends, func(e RedriveEnd) uuid.UUID { return e.Job }),
		column(ends, func(e RedriveEnd) bool { return e.Passed }),
		text(func(e RedriveEnd) string { return e.Code }),
		text(RedriveEnd.story))
	if err != nil {
		return fmt.Errorf("end %d redrives of pipeline %q: %w", len(ends), pipeline, err)
	}
	return nil
}
