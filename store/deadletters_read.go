package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/tracking"
)

// The states of a dead letter.
const (
	// LetterOpen waits for somebody to redrive or discard it.
	LetterOpen = "open"
	// LetterRedriving was published again; what became of its event is not known yet.
	LetterRedriving = "redriving"
	// LetterStored was redriven, and its event is stored.
	LetterStored = "stored"
	// LetterPassed was redriven, and its event left its pipeline, which does not store it.
	LetterPassed = "passed"
	// LetterDropped was redriven, and a stage dropped its event.
	LetterDropped = "dropped"
	// LetterSuperseded was redriven, and its event rejected at another stage: another letter stands for it.
	LetterSuperseded = "superseded"
	// LetterDiscarded is not to be redriven.
	LetterDiscarded = "discarded"
)

// LetterStates lists every state of a dead letter.
func LetterStates() []string {
	return []string{LetterOpen, LetterRedriving, LetterStored, LetterPassed, LetterDropped, LetterSuperseded, LetterDiscarded}
}

// Letter is a dead letter with what became of it.
type Letter struct {
	ID            uuid.UUID  `json:"id" doc:"Identifies the letter"`
	UID           uuid.UUID  `json:"uid" doc:"The event; one that several stages rejected has several letters"`
	TenantID      string     `json:"tenant_id" doc:"Whose event it is; empty for a frame that could not be decoded"`
	Pipeline      string     `json:"pipeline" doc:"The pipeline in which it was rejected"`
	Stage         string     `json:"stage" doc:"The stage that rejected it"`
	Code          string     `json:"reason" doc:"Why, as a short and stable code" example:"schema"`
	Message       string     `json:"message" doc:"Why, in words"`
	Field         string     `json:"field,omitempty" doc:"JSON pointer to the offending part"`
	Source        string     `json:"source" doc:"Which carrier or system sent it"`
	EventType     string     `json:"event_type" doc:"The sender's code"`
	CorrelationID string     `json:"correlation_id" doc:"The journey"`
	Attempts      int        `json:"attempts" doc:"How often stages have tried the event, over all redrives"`
	TraceID       string     `json:"trace_id,omitempty" doc:"OpenTelemetry trace of the last rejection, when there was one"`
	At            time.Time  `json:"rejected_at" doc:"When it was rejected last"`
	State         string     `json:"state" enum:"open,redriving,stored,passed,dropped,superseded,discarded" doc:"What became of it"`
	ChangedAt     time.Time  `json:"changed_at" doc:"When the state changed last"`
	Redrives      int        `json:"redrives" doc:"How often it was redriven"`
	RedrivenAt    *time.Time `json:"redriven_at,omitempty" doc:"When it was redriven last"`
	JobID         *uuid.UUID `json:"job_id,omitempty" doc:"The job that redrove or discarded it last"`
	// Event is the original bytes. Lists leave it out.
	Event []byte `json:"-"`
	// Personal is what was kept apart of the event; only TakeLetters gives it. It is nil when its subject was forgotten.
	Personal *tracking.Personal `json:"-"`
	// PersonalError says that what was kept apart cannot be opened.
	PersonalError error `json:"-"`

	personalKey *uuid.UUID
	personal    []byte
}

// LetterFilter says which dead letters are meant. What is empty does not matter; of each list one entry must match.
type LetterFilter struct {
	IDs           []uuid.UUID `json:"id,omitempty" maxItems:"1000" doc:"Letters"`
	UIDs          []uuid.UUID `json:"uid,omitempty" maxItems:"1000" doc:"Events"`
	States        []string    `json:"state,omitempty" maxItems:"10" doc:"States"`
	Reasons       []string    `json:"reason,omitempty" maxItems:"100" doc:"Codes of why they were rejected"`
	Stages        []string    `json:"stage,omitempty" maxItems:"100" doc:"Stages that rejected them"`
	Pipelines     []string    `json:"pipeline,omitempty" maxItems:"100" doc:"Pipelines in which they were rejected"`
	Sources       []string    `json:"source,omitempty" maxItems:"100" doc:"Carriers or systems that sent them"`
	EventTypes    []string    `json:"event_type,omitempty" maxItems:"100" doc:"The senders' codes"`
	CorrelationID string      `json:"correlation_id,omitempty" doc:"The journey"`
	After         *time.Time  `json:"after,omitempty" doc:"Rejected at this time or later"`
	Before        *time.Time  `json:"before,omitempty" doc:"Rejected before this time"`
}

// query builds the conditions of a query, and its arguments.
type query struct {
	conditions []string
	args       []any
}

// arg adds an argument and returns its placeholder.
func (q *query) arg(value any) string {
	q.args = append(q.args, value)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *query) where(condition string, value any) {
	q.conditions = append(q.conditions, strings.ReplaceAll(condition, "?", q.arg(value)))
}

func (q *query) text() string { return strings.Join(q.conditions, " AND ") }

// letters returns a query for the letters of a tenant that a filter matches.
func (f LetterFilter) letters(tenant string) *query {
	q := &query{}
	q.where("tenant_id = ?", tenant)
	for _, list := range []struct {
		column string
		ids    []uuid.UUID
	}{{"id", f.IDs}, {"uid", f.UIDs}} {
		if len(list.ids) > 0 {
			q.where(list.column+" = ANY(?::uuid[])", list.ids)
		}
	}
	for _, list := range []struct {
		column string
		values []string
	}{
		{"state", f.States}, {"code", f.Reasons}, {"stage", f.Stages}, {"pipeline", f.Pipelines}, {"source", f.Sources},
		{"event_type", f.EventTypes},
	} {
		if len(list.values) > 0 {
			q.where(list.column+" = ANY(?::text[])", storables(list.values))
		}
	}
	if f.CorrelationID != "" {
		q.where("correlation_id = ?", storable(f.CorrelationID))
	}
	if f.After != nil {
		q.where("at >= ?", *f.After)
	}
	if f.Before != nil {
		q.where("at < ?", *f.Before)
	}
	return q
}

// storables are texts as they are stored: what was mended on the way in is found as well.
func storables(texts []string) []string { return column(texts, storable) }

const letterColumns = `id, uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id, attempts, trace_id,
    at, state, changed_at, redrives, redriven_at, job_id`

// wholeColumns are what else scanWholeLetter reads.
const wholeColumns = ", event, personal_key, personal"

func letterFields(l *Letter) []any {
	return []any{
		&l.ID, &l.UID, &l.TenantID, &l.Pipeline, &l.Stage, &l.Code, &l.Message, &l.Field, &l.Source, &l.EventType, &l.CorrelationID,
		&l.Attempts, &l.TraceID, &l.At, &l.State, &l.ChangedAt, &l.Redrives, &l.RedrivenAt, &l.JobID,
	}
}

func scanLetter(row pgx.CollectableRow) (l Letter, err error) {
	err = row.Scan(letterFields(&l)...)
	inUTC(&l.At, &l.ChangedAt, l.RedrivenAt)
	return l, err
}

func scanWholeLetter(row pgx.CollectableRow) (l Letter, err error) {
	err = row.Scan(append(letterFields(&l), &l.Event, &l.personalKey, &l.personal)...)
	inUTC(&l.At, &l.ChangedAt, l.RedrivenAt)
	return l, err
}

// LetterCursor is the last letter of a page.
type LetterCursor struct {
	At time.Time
	ID uuid.UUID
}

// Letters returns the dead letters of a tenant that a filter matches, without their events, those first that were rejected
// last. after is the last letter of the page before; nil for the first page.
func (s *Store) Letters(ctx context.Context, tenant string, filter LetterFilter, after *LetterCursor, limit int) ([]Letter, error) {
	q := filter.letters(tenant)
	if after != nil {
		q.conditions = append(q.conditions, fmt.Sprintf("(at, id) < (%s, %s)", q.arg(after.At), q.arg(after.ID)))
	}
	letters, err := readAs(ctx, s, tenant, scanLetter,
		"SELECT "+letterColumns+" FROM dead_letters WHERE "+q.text()+" ORDER BY at DESC, id DESC LIMIT "+q.arg(limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	return letters, nil
}

// WholeLetters returns up to limit dead letters of a tenant that a filter matches, with their events, those first that were
// rejected first, and how many there are.
func (s *Store) WholeLetters(ctx context.Context, tenant string, filter LetterFilter, limit int) (letters []Letter, matched int, err error) {
	q := filter.letters(tenant)
	counts, err := readAs(ctx, s, tenant, pgx.RowTo[int], "SELECT count(*) FROM dead_letters WHERE "+q.text(), q.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count dead letters: %w", err)
	}
	letters, err = readAs(ctx, s, tenant, scanWholeLetter,
		"SELECT "+letterColumns+wholeColumns+" FROM dead_letters WHERE "+q.text()+" ORDER BY at, id LIMIT "+q.arg(limit), q.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("read dead letters: %w", err)
	}
	return letters, max(counts[0], len(letters)), nil
}

// LetterEntry is one line of a letter's story.
type LetterEntry struct {
	At       time.Time  `json:"at" doc:"When it happened"`
	What     string     `json:"what" enum:"rejected,redriven,stored,passed,dropped,superseded,discarded,failed" doc:"What happened"`
	Who      string     `json:"who,omitempty" doc:"Who did it; empty when nobody did"`
	JobID    *uuid.UUID `json:"job_id,omitempty" doc:"The job that it was part of"`
	Code     string     `json:"reason,omitempty" doc:"Why it was rejected, as a code"`
	Message  string     `json:"message,omitempty" doc:"Why, in words"`
	Field    string     `json:"field,omitempty" doc:"JSON pointer to the offending part"`
	Attempts int        `json:"attempts,omitempty" doc:"How often stages had tried the event by then"`
	TraceID  string     `json:"trace_id,omitempty" doc:"OpenTelemetry trace, when there was one"`
}

// Letter returns a dead letter with its event, and its story, oldest first; or ErrNotFound.
func (s *Store) Letter(ctx context.Context, tenant string, id uuid.UUID) (Letter, []LetterEntry, error) {
	letters, err := readAs(ctx, s, tenant, scanWholeLetter,
		"SELECT "+letterColumns+wholeColumns+" FROM dead_letters WHERE tenant_id = $1 AND id = $2", tenant, id)
	if err != nil {
		return Letter{}, nil, fmt.Errorf("read dead letter: %w", err)
	}
	if len(letters) == 0 {
		return Letter{}, nil, ErrNotFound
	}
	story, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[LetterEntry], `
SELECT at, what, who, job_id, code, message, field, attempts, trace_id
FROM dead_letter_history WHERE tenant_id = $1 AND letter_id = $2 ORDER BY seq`, tenant, id)
	if err != nil {
		return Letter{}, nil, fmt.Errorf("read story of dead letter: %w", err)
	}
	for i := range story {
		inUTC(&story[i].At)
	}
	return letters[0], story, nil
}

// LetterGroup counts the dead letters that have something in common. What they are not grouped by is empty.
type LetterGroup struct {
	Pipeline  string    `json:"pipeline,omitempty" doc:"The pipeline in which they were rejected"`
	Stage     string    `json:"stage,omitempty" doc:"The stage that rejected them"`
	Code      string    `json:"reason,omitempty" doc:"Why, as a code"`
	Source    string    `json:"source,omitempty" doc:"Which carrier or system sent them"`
	EventType string    `json:"event_type,omitempty" doc:"The sender's code"`
	State     string    `json:"state,omitempty" doc:"What became of them"`
	Count     int       `json:"count" doc:"How many there are"`
	Oldest    time.Time `json:"oldest" doc:"When the first of them was rejected"`
	Newest    time.Time `json:"newest" doc:"When the last of them was rejected"`
	Example   string    `json:"example" doc:"What is said of one of them"`
}

// groupColumns are what letters can be grouped by, and the columns of that.
var groupColumns = []struct{ name, column string }{
	{"pipeline", "pipeline"}, {"stage", "stage"}, {"reason", "code"}, {"source", "source"}, {"event_type", "event_type"}, {"state", "state"},
}

// maxGroups bounds what is answered; the rest is the smallest groups.
const maxGroups = 1000

// LetterGroups counts the dead letters of a tenant that a filter matches, the largest groups first. by names what they are
// grouped by: pipeline, stage, reason, source, event_type, state.
func (s *Store) LetterGroups(ctx context.Context, tenant string, filter LetterFilter, by []string) ([]LetterGroup, error) {
	q := filter.letters(tenant)
	selected := make([]string, len(groupColumns))
	var grouped []string
	for i, c := range groupColumns {
		selected[i] = "''"
		if slices.Contains(by, c.name) {
			selected[i] = c.column
			grouped = append(grouped, c.column)
		}
	}
	group := ""
	if len(grouped) > 0 {
		group = " GROUP BY " + strings.Join(grouped, ", ")
	}
	groups, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[LetterGroup],
		"SELECT "+strings.Join(selected, ", ")+", count(*), min(at), max(at), (array_agg(message ORDER BY at DESC))[1] FROM dead_letters WHERE "+
			q.text()+group+fmt.Sprintf(" HAVING count(*) > 0 ORDER BY count(*) DESC, 1, 2, 3, 4, 5, 6 LIMIT %d", maxGroups), q.args...)
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	for i := range groups {
		inUTC(&groups[i].Oldest, &groups[i].Newest)
	}
	return groups, nil
}

const (
	// checkedLetters are so many letters at once.
	checkedLetters = 1000

	// settleStored looks less and less often as time goes by. What has left its pipeline may yet be stored by another one: for a day.
	settleStored = `
WITH due AS MATERIALIZED (
    SELECT id, uid, redriven_at FROM dead_letters
    WHERE state IN ('redriving', 'passed') AND next_check_at IS NOT NULL AND next_check_at <= now()
    ORDER BY next_check_at LIMIT $1
), locked AS MATERIALIZED (
    SELECT d.id, EXISTS (SELECT FROM event_store e WHERE e.uid = d.uid) AS stored
    FROM dead_letters d JOIN due USING (id) WHERE d.state IN ('redriving', 'passed')
    ORDER BY d.uid, d.pipeline, d.stage
    FOR UPDATE OF d SKIP LOCKED
), settled AS (
    UPDATE dead_letters d
    SET state = CASE WHEN l.stored THEN 'stored' ELSE d.state END,
        changed_at = CASE WHEN l.stored THEN now() ELSE d.changed_at END,
        next_check_at = CASE WHEN l.stored OR d.state = 'passed' AND now() - d.redriven_at > interval '1 day' THEN NULL
            ELSE now() + greatest(interval '1 second', (now() - d.redriven_at) / 8) END
    FROM locked l WHERE d.id = l.id
    RETURNING d.id, d.tenant_id, d.state
), noted AS (
    INSERT INTO dead_letter_history (letter_id, tenant_id, at, what)
    SELECT id, tenant_id, now(), 'stored' FROM settled WHERE state = 'stored'
)
SELECT count(*) FILTER (WHERE state = 'stored'), count(*) FROM settled`
)

// SettleLetters finds out which events are stored by now that were redriven, and settles their letters. It returns how many.
func (s *Store) SettleLetters(ctx context.Context) (int, error) {
	settled := 0
	for {
		stored, looked, err := s.settleSome(ctx)
		if err != nil {
			return settled, fmt.Errorf("settle dead letters: %w", err)
		}
		settled += stored
		if looked < checkedLetters {
			return settled, nil
		}
	}
}

func (s *Store) settleSome(ctx context.Context) (stored, looked int, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, settleStored, checkedLetters).Scan(&stored, &looked)
	return stored, looked, err
}

// encodeFilter returns a filter as it is kept with what was done to the letters it matched.
func encodeFilter(filter LetterFilter) ([]byte, error) {
	encoded, err := json.Marshal(filter)
	if err != nil {
		return nil, fmt.Errorf("encode filter: %w", err)
	}
	return []byte(strings.ReplaceAll(string(encoded), `\u0000`, `\ufffd`)), nil // jsonb cannot hold NUL
}
