package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/tracking"
)

// PassportEntry is one thing that became of an event.
type PassportEntry struct {
	At       time.Time  `json:"at" doc:"When it was noted; of a copy, when that was received"`
	Verdict  string     `json:"verdict" doc:"received, duplicate, dropped, rejected, or what was done to the dead letter: redriven, passed, superseded, discarded, failed" example:"rejected"`
	Pipeline string     `json:"pipeline,omitempty" doc:"The pipeline in which it was" example:"tracking"`
	Stage    string     `json:"stage,omitempty" doc:"The stage that said so" example:"validate"`
	Code     string     `json:"reason,omitempty" doc:"Why, as a short and stable code" example:"schema"`
	Message  string     `json:"message,omitempty" doc:"Why, in words"`
	Field    string     `json:"field,omitempty" doc:"JSON pointer to the offending part"`
	Attempts int        `json:"attempts,omitempty" doc:"How often stages had tried the event by then"`
	Of       *uuid.UUID `json:"of,omitempty" doc:"The event that it is a copy of"`
	LetterID *uuid.UUID `json:"dead_letter_id,omitempty" doc:"Its dead letter"`
	Who      string     `json:"who,omitempty" doc:"Who did it; absent when nobody did"`
	TraceID  string     `json:"trace_id,omitempty" doc:"OpenTelemetry trace, when there was one"`
}

// Passport is what is known of an event and of what became of it.
type Passport struct {
	UID uuid.UUID `json:"uid" doc:"The event"`
	// Outcome is how the event stands.
	Outcome string          `json:"outcome" enum:"stored,duplicate,dropped,dead_lettered" doc:"How the event stands" example:"stored"`
	Event   *tracking.Event `json:"event,omitempty" doc:"The event, when it is stored"`
	Entries []PassportEntry `json:"entries" doc:"What became of it, in order"`
	Copies  int64           `json:"copies" doc:"How many copies of it were dropped"`
}

// passportEntries reads what is noted of an event beside the event store. What a letter's story says of a rejection it says last at its own stage.
const passportEntries = `
SELECT received_at, 'duplicate', pipeline, stage, code, '', '', 0, of, NULL::uuid, '', '' FROM duplicates WHERE tenant_id = $1 AND uid = $2
UNION ALL
SELECT dropped_at, 'dropped', pipeline, stage, code, message, '', 0, NULL, NULL, '', '' FROM drops WHERE tenant_id = $1 AND uid = $2
UNION ALL
SELECT h.at, h.what, d.pipeline, d.stage, h.code, h.message, h.field, h.attempts, NULL, d.id, h.who, h.trace_id
FROM dead_letters d JOIN dead_letter_history h ON h.letter_id = d.id
WHERE d.tenant_id = $1 AND d.uid = $2 AND h.tenant_id = $1 AND h.what NOT IN ('stored', 'dropped')`

// Passport returns what became of an event, or ErrNotFound for one that was never seen, or is another tenant's.
func (s *Store) Passport(ctx context.Context, tenant string, uid uuid.UUID) (Passport, error) {
	p := Passport{UID: uid}
	events, err := readAs(ctx, s, tenant, scanEvent, "SELECT "+eventColumns+" FROM event_store WHERE tenant_id = $1 AND uid = $2", tenant, uid)
	if err != nil {
		return p, fmt.Errorf("read event: %w", err)
	}
	p.Entries, err = readAs(ctx, s, tenant, pgx.RowToStructByPos[PassportEntry], passportEntries, tenant, uid)
	if err != nil {
		return p, fmt.Errorf("read what became of an event: %w", err)
	}
	if len(events)+len(p.Entries) == 0 {
		return p, ErrNotFound
	}
	copies, err := s.Copies(ctx, tenant, []uuid.UUID{uid})
	if err != nil {
		return p, err
	}
	p.Copies = copies[uid]
	for i := range p.Entries {
		inUTC(&p.Entries[i].At)
		p.Outcome = outranking(p.Outcome, p.Entries[i].Verdict)
	}
	if len(events) > 0 {
		p.Event, p.Outcome = events[0], "stored"
		p.Entries = append(p.Entries, PassportEntry{At: p.Event.ReceivedAt, Verdict: "received"})
	} else if at := receivedAt(uid); at != nil {
		p.Entries = append(p.Entries, PassportEntry{At: *at, Verdict: "received"})
	}
	slices.SortStableFunc(p.Entries, func(a, b PassportEntry) int {
		if a.Verdict == "received" || b.Verdict == "received" { // whatever the clocks say
			return cmp.Compare(btoi(b.Verdict == "received"), btoi(a.Verdict == "received"))
		}
		return a.At.Compare(b.At)
	})
	return p, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// outranking returns how an event stands that is not stored, given one more verdict: a dead letter needs somebody, whatever else is known.
func outranking(outcome, verdict string) string {
	switch verdict {
	case "duplicate":
		return cmp.Or(outcome, "duplicate")
	case "dropped":
		return cmp.Or(outcome, "dropped")
	default:
		return "dead_lettered"
	}
}
