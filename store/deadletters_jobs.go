package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What a job does to dead letters.
const (
	LetterRedrive = "redrive"
	LetterDiscard = "discard"
)

// The states of a job.
const (
	JobRunning   = "running"
	JobDone      = "done"
	JobCancelled = "cancelled"
)

// MaxJobLetters is how many letters one job takes.
const MaxJobLetters = 100_000

// ErrTooManyLetters says that a filter matches more letters than one job takes.
var ErrTooManyLetters = fmt.Errorf("more than %d dead letters match: narrow the filter", MaxJobLetters)

// CountDiffersError says that a filter matches another number of letters than whoever asks expects.
type CountDiffersError struct{ Matched, Expected int }

// Error implements error.
func (e *CountDiffersError) Error() string {
	return fmt.Sprintf("%d dead letters match, and %d were expected", e.Matched, e.Expected)
}

// Actor is who does something.
type Actor struct {
	Subject string // as the issuer knows them
	Name    string // for people; may be empty
	Client  string // the program that they use
}

// who is the actor for people.
func (a Actor) who() string {
	if a.Name != "" {
		return a.Name
	}
	return a.Subject
}

// NewLetterJob asks for a job.
type NewLetterJob struct {
	TenantID string
	Action   string // LetterRedrive or LetterDiscard
	Filter   LetterFilter
	Reason   string
	// Rate is how many letters a second, at most.
	Rate float64
	By   Actor
	// Expected is how many letters the filter is thought to match; nil when nobody said. A tenth more or less is taken.
	Expected *int
}

// LetterJob redrives or discards the letters that a filter matched when it was asked for.
type LetterJob struct {
	ID          uuid.UUID       `json:"id" doc:"Identifies the job"`
	TenantID    string          `json:"tenant_id" doc:"Whose letters it works on"`
	Action      string          `json:"action" enum:"redrive,discard" doc:"What it does to them"`
	Filter      json.RawMessage `json:"filter" doc:"Which letters it was asked to take"`
	Reason      string          `json:"reason,omitempty" doc:"Why, in the words of who asked"`
	Rate        float64         `json:"rate_limit" doc:"How many letters a second, at most"`
	Who         string          `json:"who" doc:"Who asked for it"`
	CreatedAt   time.Time       `json:"created_at" doc:"When it was asked for"`
	StartedAt   *time.Time      `json:"started_at,omitempty" doc:"When the first letter was taken"`
	FinishedAt  *time.Time      `json:"finished_at,omitempty" doc:"When it ended"`
	CancelledAt *time.Time      `json:"cancelled_at,omitempty" doc:"When it was asked to stop"`
	State       string          `json:"state" enum:"running,done,cancelled" doc:"How it stands"`
	Total       int             `json:"total" doc:"How many letters it has taken on"`
	Redriven    int             `json:"redriven" doc:"How many were published again"`
	Discarded   int             `json:"discarded" doc:"How many were discarded"`
	Skipped     int             `json:"skipped" doc:"How many needed nothing, such as those that another job is redriving"`
	Failed      int             `json:"failed" doc:"How many could not be redriven"`
	Trouble     string          `json:"trouble,omitempty" doc:"Why it does not get on at present"`
}

// Settled returns how many letters the job is done with.
func (j LetterJob) Settled() int { return j.Redriven + j.Discarded + j.Skipped + j.Failed }

const jobColumns = `id, tenant_id, action, filter, reason, rate, who, created_at, started_at, finished_at, cancelled_at, state, total,
    redriven, discarded, skipped, failed, trouble`

func scanJob(row pgx.CollectableRow) (LetterJob, error) {
	j, err := pgx.RowToStructByPos[LetterJob](row)
	inUTC(&j.CreatedAt, j.StartedAt, j.FinishedAt, j.CancelledAt)
	return j, err
}

// inUTC has times in UTC; nil is none.
func inUTC(times ...*time.Time) {
	for _, t := range times {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// StartLetterJob notes a job for the letters that match at this moment, and who asked for it; RunLetterJob works on it. It
// fails with CountDiffersError or ErrTooManyLetters.
func (s *Store) StartLetterJob(ctx context.Context, n NewLetterJob) (LetterJob, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return LetterJob{}, fmt.Errorf("identify job: %w", err)
	}
	filter, err := encodeFilter(n.Filter)
	if err != nil {
		return LetterJob{}, err
	}
	var job LetterJob
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		letters, err := matching(ctx, tx, n.TenantID, n.Filter)
		if err != nil {
			return err
		}
		if n.Expected != nil && CountDiffers(len(letters), *n.Expected) {
			return &CountDiffersError{Matched: len(letters), Expected: *n.Expected}
		}
		reason, by := storable(n.Reason), Actor{storable(n.By.Subject), storable(n.By.Name), storable(n.By.Client)}
		rows, err := tx.Query(ctx, `
INSERT INTO dead_letter_jobs (id, tenant_id, action, filter, reason, rate, who, total, state, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $8 = 0 THEN 'done' ELSE 'running' END, CASE WHEN $8 = 0 THEN now() END)
RETURNING `+jobColumns, id, n.TenantID, n.Action, filter, reason, n.Rate, by.who(), len(letters))
		if err != nil {
			return err
		}
		if job, err = pgx.CollectExactlyOneRow(rows, scanJob); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `
INSERT INTO dead_letter_job_items (job_id, ordinal, letter_id, tenant_id)
SELECT $1, ordinal, letter_id, $2 FROM unnest($3::uuid[]) WITH ORDINALITY AS i (letter_id, ordinal)`, id, n.TenantID, letters); err != nil {
			return err
		}
		return audit(ctx, tx, n.TenantID, by, "dead_letters."+n.Action, filter, len(letters), reason, id)
	})
	if err != nil {
		return LetterJob{}, fmt.Errorf("start job: %w", err)
	}
	return job, nil
}

// CountDiffers reports whether a count is more than a tenth away from what was expected.
func CountDiffers(count, expected int) bool { return 10*max(count-expected, expected-count) > expected }

// matching returns the letters that a filter matches, those first that were rejected first. The database confines what is read
// to the tenant (Invariant 13).
func matching(ctx context.Context, tx pgx.Tx, tenant string, filter LetterFilter) ([]uuid.UUID, error) {
	q := filter.letters(tenant)
	var letters []uuid.UUID
	var batch pgx.Batch
	batch.Queue("SET LOCAL ROLE rastro_query")
	batch.Queue("SELECT set_config('rastro.tenant_id', $1, true)", tenant)
	batch.Queue("SELECT id FROM dead_letters WHERE "+q.text()+fmt.Sprintf(" ORDER BY at, id LIMIT %d", MaxJobLetters+1), q.args...).
		Query(func(rows pgx.Rows) (err error) {
			letters, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			return err
		})
	batch.Queue("RESET ROLE")
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	if len(letters) > MaxJobLetters {
		return nil, ErrTooManyLetters
	}
	return letters, nil
}

// LetterOutcomes counts the letters that a job redrove by what became of their events so far.
type LetterOutcomes struct {
	Stored        int `json:"stored" doc:"Their events are stored"`
	Passed        int `json:"passed" doc:"Their events left their pipeline, which does not store them"`
	Dropped       int `json:"dropped" doc:"A stage dropped their events: their stories say which, and why"`
	RejectedAgain int `json:"rejected_again" doc:"They were rejected again, at the same stage or another"`
	UnderWay      int `json:"under_way" doc:"Nothing is known yet: on their way"`
}

// LetterNote is something that is to be said of several letters of a job.
type LetterNote struct {
	Result  string    `json:"result" enum:"redriven,skipped,failed" doc:"What became of the letters"`
	Message string    `json:"message" doc:"What is to be said of that"`
	Count   int       `json:"count" doc:"Of how many letters"`
	Example uuid.UUID `json:"example" doc:"One of them"`
}

// maxNotes is how many notes of a job are told, the most frequent ones.
const maxNotes = 20

// LetterJob returns a job of a tenant, what became of the letters that it redrove, and what is to be said of those that it could
// not redrive, or not as usual; or ErrNotFound.
func (s *Store) LetterJob(ctx context.Context, tenant string, id uuid.UUID) (LetterJob, LetterOutcomes, []LetterNote, error) {
	jobs, err := readAs(ctx, s, tenant, scanJob, "SELECT "+jobColumns+" FROM dead_letter_jobs WHERE tenant_id = $1 AND id = $2", tenant, id)
	if err != nil {
		return LetterJob{}, LetterOutcomes{}, nil, fmt.Errorf("read job: %w", err)
	}
	if len(jobs) == 0 {
		return LetterJob{}, LetterOutcomes{}, nil, ErrNotFound
	}
	outcomes, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[LetterOutcomes], `
SELECT count(*) FILTER (WHERE state = 'stored'), count(*) FILTER (WHERE state = 'passed'), count(*) FILTER (WHERE state = 'dropped'),
    count(*) FILTER (WHERE state IN ('open', 'superseded')),
    count(*) FILTER (WHERE state = 'redriving')
FROM dead_letters d
WHERE tenant_id = $1 AND job_id = $2 AND EXISTS (SELECT FROM dead_letter_job_items i
    WHERE i.job_id = $2 AND i.letter_id = d.id AND (i.result = 'redriven' OR i.state = 'sending'))`, tenant, id)
	if err != nil {
		return LetterJob{}, LetterOutcomes{}, nil, fmt.Errorf("read outcomes of job: %w", err)
	}
	notes, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[LetterNote], `
SELECT result, detail, count(*), (array_agg(letter_id ORDER BY ordinal))[1] FROM dead_letter_job_items
WHERE tenant_id = $1 AND job_id = $2 AND detail <> '' GROUP BY result, detail ORDER BY count(*) DESC, result, detail LIMIT $3`, tenant, id, maxNotes)
	if err != nil {
		return LetterJob{}, LetterOutcomes{}, nil, fmt.Errorf("read notes of job: %w", err)
	}
	return jobs[0], outcomes[0], notes, nil
}

// LetterJobs returns the latest jobs of a tenant.
func (s *Store) LetterJobs(ctx context.Context, tenant string, limit int) ([]LetterJob, error) {
	jobs, err := readAs(ctx, s, tenant, scanJob,
		"SELECT "+jobColumns+" FROM dead_letter_jobs WHERE tenant_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2", tenant, limit)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, nil
}

// CancelLetterJob asks a job of a tenant to stop; letters that it has not begun with stay as they are. A job that has ended, or
// was asked before, stays as it is. It returns ErrNotFound when there is no such job.
func (s *Store) CancelLetterJob(ctx context.Context, tenant string, id uuid.UUID, by Actor) error {
	by = Actor{storable(by.Subject), storable(by.Name), storable(by.Client)}
	ctx, cancel := s.within(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var filter []byte
		var left int
		err := tx.QueryRow(ctx, `
UPDATE dead_letter_jobs SET cancelled_at = now()
WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND cancelled_at IS NULL
RETURNING filter, total - redriven - discarded - skipped - failed`, tenant, id).Scan(&filter, &left)
		if errors.Is(err, pgx.ErrNoRows) {
			var known bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM dead_letter_jobs WHERE tenant_id = $1 AND id = $2)", tenant, id).Scan(&known); err != nil {
				return err
			}
			if !known {
				return ErrNotFound
			}
			return nil
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, tenant, by, "dead_letters.cancel", filter, left, "", id)
	})
	if err != nil {
		return fmt.Errorf("cancel job: %w", err)
	}
	return nil
}
