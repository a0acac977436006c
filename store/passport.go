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
	Verdict  string     `json:"verdict" doc:"received; what a stage made of it: passed, duplicate, dropped, rejected; or what was done to the dead letter: redriven, passed, superseded, discarded, failed" example:"rejected"`
	Pipeline string     `json:"pipeline,omitempty" doc:"The pipeline in which it was" example:"tracking"`
	Stage    string     `json:"stage,omitempty" doc:"The stage that said so" example:"validate"`
	Code     string     `json:"reason,omitempty" doc:"Why, as a short and stable code" example:"schema"`
	Message  string     `json:"message,omitempty" doc:"Why, in words"`
	Field    string     `json:"field,omitempty" doc:"JSON pointer to the offending part"`
	Attempts int        `json:"attempts,omitempty" doc:"How often the stage had tried the event by then"`
	Of       *uuid.UUID `json:"of,omitempty" doc:"The event that it is a copy of"`
	LetterID *uuid.UUID `json:"dead_letter_id,omitempty" doc:"Its dead letter"`
	Who      string     `json:"who,omitempty" doc:"Who did it; absent when nobody did"`
	TraceID  string     `json:"trace_id,omitempty" doc:"OpenTelemetry trace, when there was one"`

	// How the stage came to its verdict is known for a month.
	Version  string   `db:"-" json:"config_version,omitempty" doc:"Identifies the configuration of the pipeline that the stage ran with, as in /api/v1/stages/{id}" example:"3f1c9a0b77de"`
	TookMS   *float64 `db:"-" json:"took_ms,omitempty" doc:"How long the stage took for the batch that the event was in, in milliseconds" example:"1.25"`
	WaitedMS *float64 `db:"-" json:"waited_ms,omitempty" doc:"How long it had waited until then, since it was received or the stage before was through with it; clocks of several machines may differ" example:"4.5"`
	Batch    int      `db:"-" json:"batch_events,omitempty" doc:"How many events were in the batch" example:"32"`
}

// Passport is what is known of an event and of what became of it.
type Passport struct {
	UID uuid.UUID `json:"uid" doc:"The event"`
	// Outcome is how the event stands.
	Outcome string          `json:"outcome" enum:"stored,duplicate,dropped,dead_lettered,passed" doc:"How the event stands; passed when it went through its pipeline and is not stored, or not any more" example:"stored"`
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
	walks, err := s.trails(ctx, tenant, uid)
	if err != nil {
		return p, err
	}
	if len(events)+len(p.Entries)+len(walks) == 0 {
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
	for _, w := range walks {
		p.walk(w, uid)
	}
	p.Outcome = cmp.Or(p.Outcome, verdictPassed)
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

const verdictPassed = "passed"

// walk adds how the event came through a pipeline. What is noted of a stage's verdict elsewhere is told once.
func (p *Passport) walk(w walked, uid uuid.UUID) {
	before := receivedAt(uid)
	for _, s := range w.steps {
		began := time.UnixMicro(s.At).UTC()
		took, ended := ms(time.Duration(s.Took)*time.Microsecond), began.Add(time.Duration(s.Took)*time.Microsecond)
		known := PassportEntry{
			At: ended, Verdict: verdictPassed, Pipeline: w.pipeline, Stage: s.Stage, Attempts: s.Attempt, Version: s.Version, TookMS: &took, Batch: s.Events,
		}
		if before != nil {
			waited := max(0, ms(began.Sub(*before)))
			known.WaitedMS = &waited
		}
		before = &ended
		if s.Outcome == "pass" {
			p.Entries = append(p.Entries, known)
			continue
		}
		i := slices.IndexFunc(p.Entries, func(e PassportEntry) bool {
			return e.Version == "" && e.Pipeline == w.pipeline && e.Stage == s.Stage && e.Verdict != verdictPassed &&
				(e.Verdict == "rejected") == (s.Outcome == "reject")
		})
		if i < 0 { // what was noted of it is gone
			known.Verdict = map[string]string{"drop": "dropped", "reject": "rejected"}[s.Outcome]
			p.Outcome = outranking(p.Outcome, known.Verdict)
			p.Entries = append(p.Entries, known)
			continue
		}
		e := &p.Entries[i]
		e.At, e.Version, e.TookMS, e.WaitedMS, e.Batch, e.Attempts = known.At, known.Version, known.TookMS, known.WaitedMS, known.Batch, known.Attempts
	}
}

// ms returns a duration in milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

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
