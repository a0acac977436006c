package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrLeaseLost says that a job is another process's by now, or has ended.
var ErrLeaseLost = errors.New("the job is not held any more")

// LetterPatience is how long a redrive is taken to be under way when nothing is heard of the event. After that the letter may
// be redriven again.
const LetterPatience = 10 * time.Minute

// ClaimLetterJob returns a job that has work left and nobody works on, and has it held by holder for a while; false when there
// is none. A holder that has died is succeeded when its time is up.
func (s *Store) ClaimLetterJob(ctx context.Context, holder uuid.UUID, lease time.Duration) (LetterJob, bool, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
UPDATE dead_letter_jobs SET holder = $1, held_until = now() + $2, started_at = coalesce(started_at, now())
WHERE id = (SELECT id FROM dead_letter_jobs WHERE state = 'running' AND (held_until IS NULL OR held_until < now())
    ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING `+jobColumns, holder, lease)
	if err != nil {
		return LetterJob{}, false, fmt.Errorf("claim job: %w", err)
	}
	job, err := pgx.CollectExactlyOneRow(rows, scanJob)
	if errors.Is(err, pgx.ErrNoRows) {
		return LetterJob{}, false, nil
	}
	if err != nil {
		return LetterJob{}, false, fmt.Errorf("claim job: %w", err)
	}
	return job, true, nil
}

// ReleaseLetterJob lets go of a job, so that another process need not wait to take over.
func (s *Store) ReleaseLetterJob(ctx context.Context, job, holder uuid.UUID) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, "UPDATE dead_letter_jobs SET held_until = NULL, holder = NULL WHERE id = $1 AND holder = $2", job, holder)
	if err != nil {
		return fmt.Errorf("release job: %w", err)
	}
	return nil
}

// HoldLetterJob has a job held for a while longer and notes why it does not get on: empty when it does. ErrLeaseLost says that
// somebody else holds it.
func (s *Store) HoldLetterJob(ctx context.Context, job, holder uuid.UUID, lease time.Duration, trouble string) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, "UPDATE dead_letter_jobs SET held_until = now() + $3, trouble = $4 WHERE id = $1 AND holder = $2 AND state = 'running'",
		job, holder, lease, storable(trouble))
	if err != nil {
		return fmt.Errorf("hold job: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrLeaseLost
	}
	return nil
}

// jobStep is a transaction that works on a job.
type jobStep struct {
	tx        pgx.Tx
	job       LetterJob
	now       time.Time
	cancelled bool
}

// step runs f in a transaction in which the job is held, and holds it for a while longer.
func (s *Store) step(ctx context.Context, job, holder uuid.UUID, lease time.Duration, f func(jobStep) error) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		step := jobStep{tx: tx}
		j := &step.job
		err := tx.QueryRow(ctx, `
UPDATE dead_letter_jobs SET held_until = now() + $3, trouble = '' WHERE id = $1 AND holder = $2 AND state = 'running'
RETURNING id, tenant_id, action, who, reason, now(), cancelled_at IS NOT NULL`, job, holder, lease).
			Scan(&j.ID, &j.TenantID, &j.Action, &j.Who, &j.Reason, &step.now, &step.cancelled)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrLeaseLost
		}
		if err != nil {
			return err
		}
		return f(step)
	})
}

// jobItem is a letter that a job has not done with.
type jobItem struct {
	letter  uuid.UUID
	sending bool
}

// verdict is what a job does about a letter.
type verdict struct {
	letter Letter
	// send says that the letter is to be published, begin that it is so for the first time.
	send, begin bool
	// result settles the item, when there is one.
	result, detail string
	// state is the letter's from now on, when it changes.
	state string
}

// judge decides what a job does about a letter, which the transaction has locked.
func judge(job LetterJob, item jobItem, letter Letter, now time.Time) verdict {
	v := verdict{letter: letter}
	if item.sending {
		// Whoever worked on the job died, or could not publish. What has been heard of the event since says that it was published.
		v.send = letter.State == LetterRedriving && letter.JobID != nil && *letter.JobID == job.ID
		if !v.send {
			v.result = "redriven"
		}
		return v
	}
	underWay := letter.State == LetterRedriving && letter.RedrivenAt != nil && now.Sub(*letter.RedrivenAt) < LetterPatience
	switch {
	case underWay:
		v.result, v.detail = "skipped", "a redrive of it is under way"
	case letter.State == LetterStored:
		v.result, v.detail = "skipped", "its event is stored"
	case letter.State == LetterSuperseded:
		v.result, v.detail = "skipped", "its event was rejected at another stage since: see the letter of that"
	case job.Action == LetterDiscard && letter.State == LetterDiscarded:
		v.result, v.detail = "skipped", "it is discarded already"
	case job.Action == LetterDiscard:
		v.result, v.state = "discarded", LetterDiscarded
	default:
		v.send, v.begin, v.state = true, true, LetterRedriving
	}
	return v
}

// TakeLetters begins with the next letters of a job, at most n, and returns those that are to be published; each of them must be
// settled by SettleJobLetters. What was taken before and not settled is returned again. done says that the job has ended.
//
// That a letter is being redriven is noted, once a job, before it is published: whoever dies in between is succeeded by
// somebody who publishes it again, under the same UID.
func (s *Store) TakeLetters(ctx context.Context, job, holder uuid.UUID, lease time.Duration, n int) (send []Letter, taken int, done bool, err error) {
	err = s.step(ctx, job, holder, lease, func(step jobStep) error {
		items, err := step.items(ctx, n)
		if err != nil {
			return err
		}
		taken = len(items)
		if taken == 0 {
			done = true
			return step.finish(ctx)
		}
		verdicts, err := step.judge(ctx, items)
		if err != nil {
			return err
		}
		for _, v := range verdicts {
			if v.send {
				send = append(send, v.letter)
			}
		}
		return step.apply(ctx, verdicts)
	})
	if err != nil {
		return nil, 0, false, fmt.Errorf("take dead letters: %w", err)
	}
	if err := s.openLetters(ctx, send); err != nil {
		return nil, 0, false, fmt.Errorf("take dead letters: %w", err)
	}
	return send, taken, done, nil
}

// items returns what is next: first what was begun with.
func (j jobStep) items(ctx context.Context, n int) ([]jobItem, error) {
	states := []string{"sending", "pending"}
	if j.cancelled {
		states = states[:1]
	}
	rows, err := j.tx.Query(ctx, `
SELECT letter_id, state = 'sending' FROM dead_letter_job_items
WHERE job_id = $1 AND state = ANY($2::text[]) AND state <> 'done' ORDER BY state DESC, ordinal LIMIT $3`, j.job.ID, states, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (item jobItem, err error) {
		err = row.Scan(&item.letter, &item.sending)
		return item, err
	})
}

// judge locks the letters of items and decides about them, in the order of the items.
func (j jobStep) judge(ctx context.Context, items []jobItem) ([]verdict, error) {
	rows, err := j.tx.Query(ctx, `
SELECT `+letterColumns+wholeColumns+` FROM dead_letters WHERE id = ANY($1::uuid[]) AND tenant_id = $2
ORDER BY uid, pipeline, stage FOR UPDATE`, column(items, func(i jobItem) uuid.UUID { return i.letter }), j.job.TenantID)
	if err != nil {
		return nil, err
	}
	letters, err := pgx.CollectRows(rows, scanWholeLetter)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]Letter, len(letters))
	for _, l := range letters {
		byID[l.ID] = l
	}
	verdicts := make([]verdict, len(items))
	for i, item := range items {
		letter, there := byID[item.letter]
		if !there {
			verdicts[i] = verdict{letter: Letter{ID: item.letter}, result: "skipped", detail: "it is not there any more"}
			continue
		}
		verdicts[i] = judge(j.job, item, letter, j.now)
	}
	return verdicts, nil
}

// apply does what was decided.
func (j jobStep) apply(ctx context.Context, verdicts []verdict) error {
	var begun, discarded, sending []uuid.UUID
	var results []LetterResult
	for _, v := range verdicts {
		switch {
		case v.result != "":
			results = append(results, LetterResult{ID: v.letter.ID, Result: v.result, Detail: v.detail})
		case v.begin:
			sending = append(sending, v.letter.ID)
		}
		switch v.state {
		case LetterRedriving:
			begun = append(begun, v.letter.ID)
		case LetterDiscarded:
			discarded = append(discarded, v.letter.ID)
		}
	}
	var batch pgx.Batch
	if len(begun) > 0 {
		// Of an event that is stored already, such as one that a later pipeline rejected, that says nothing.
		batch.Queue(`
UPDATE dead_letters d SET state = 'redriving', changed_at = now(), redriven_at = now(), redrives = redrives + 1, job_id = $2,
    next_check_at = CASE WHEN EXISTS (SELECT FROM event_store e WHERE e.uid = d.uid) THEN NULL ELSE now() END
WHERE id = ANY($1::uuid[])`, begun, j.job.ID)
		j.note(&batch, begun, "redriven")
	}
	if len(discarded) > 0 {
		batch.Queue("UPDATE dead_letters SET state = 'discarded', changed_at = now(), job_id = $2 WHERE id = ANY($1::uuid[])", discarded, j.job.ID)
		j.note(&batch, discarded, "discarded")
	}
	if len(sending) > 0 {
		batch.Queue("UPDATE dead_letter_job_items SET state = 'sending' WHERE job_id = $1 AND letter_id = ANY($2::uuid[])", j.job.ID, sending)
	}
	j.settle(&batch, results)
	return j.tx.SendBatch(ctx, &batch).Close()
}

// note adds a line to the stories of letters.
func (j jobStep) note(batch *pgx.Batch, letters []uuid.UUID, what string) {
	batch.Queue(`
INSERT INTO dead_letter_history (letter_id, tenant_id, at, what, who, job_id, message)
SELECT letter_id, $2, now(), $3, $4, $5, $6 FROM unnest($1::uuid[]) AS l (letter_id)`,
		letters, j.job.TenantID, what, j.job.Who, j.job.ID, j.job.Reason)
}

// settle queues what became of items, each of which counts once.
func (j jobStep) settle(batch *pgx.Batch, results []LetterResult) {
	if len(results) == 0 {
		return
	}
	batch.Queue(`
WITH settled AS (
    UPDATE dead_letter_job_items i SET state = 'done', result = r.result, detail = r.detail
    FROM unnest($2::uuid[], $3::text[], $4::text[]) AS r (letter_id, result, detail)
    WHERE i.job_id = $1 AND i.letter_id = r.letter_id AND i.state <> 'done'
    RETURNING i.result
), counts AS (
    SELECT count(*) FILTER (WHERE result = 'redriven') AS redriven, count(*) FILTER (WHERE result = 'discarded') AS discarded,
        count(*) FILTER (WHERE result = 'skipped') AS skipped, count(*) FILTER (WHERE result = 'failed') AS failed
    FROM settled
)
UPDATE dead_letter_jobs j SET redriven = j.redriven + c.redriven, discarded = j.discarded + c.discarded,
    skipped = j.skipped + c.skipped, failed = j.failed + c.failed
FROM counts c WHERE j.id = $1`, j.job.ID,
		column(results, func(r LetterResult) uuid.UUID { return r.ID }),
		column(results, func(r LetterResult) string { return r.Result }),
		column(results, func(r LetterResult) string { return storable(r.Detail) }))
}

func (j jobStep) finish(ctx context.Context) error {
	_, err := j.tx.Exec(ctx, `
UPDATE dead_letter_jobs SET finished_at = now(), held_until = NULL, holder = NULL, state = CASE
    WHEN redriven + discarded + skipped + failed < total THEN 'cancelled' ELSE 'done' END
WHERE id = $1`, j.job.ID)
	return err
}

// LetterResult is what became of a letter that was taken.
type LetterResult struct {
	ID uuid.UUID
	// Result is "redriven" or "failed".
	Result string
	// Detail says why it failed, or what is not as usual.
	Detail string
	// Over says that nothing more is to be heard of the letter: what it was is on its way under other names.
	Over bool
}

// SettleJobLetters notes what became of letters that TakeLetters returned. One that failed is open again.
func (s *Store) SettleJobLetters(ctx context.Context, job, holder uuid.UUID, lease time.Duration, results []LetterResult) error {
	results = slices.SortedFunc(slices.Values(results), func(a, b LetterResult) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	err := s.step(ctx, job, holder, lease, func(step jobStep) error {
		var failed, over []LetterResult
		for _, r := range results {
			switch {
			case r.Result == "failed":
				failed = append(failed, r)
			case r.Over:
				over = append(over, r)
			}
		}
		// Locked in the order of their keys, as everywhere.
		if _, err := step.tx.Exec(ctx, "SELECT FROM dead_letters WHERE id = ANY($1::uuid[]) ORDER BY uid, pipeline, stage FOR UPDATE",
			column(slices.Concat(failed, over), func(r LetterResult) uuid.UUID { return r.ID })); err != nil {
			return err
		}
		var batch pgx.Batch
		step.end(&batch, failed, LetterOpen, "failed")
		step.end(&batch, over, LetterStored, "stored")
		step.annotate(&batch, results)
		step.settle(&batch, results)
		return step.tx.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return fmt.Errorf("settle dead letters: %w", err)
	}
	return nil
}

// annotate adds to the stories of letters what is not as usual about their redrives, before their items are settled.
func (j jobStep) annotate(batch *pgx.Batch, results []LetterResult) {
	noted := slices.DeleteFunc(slices.Clone(results), func(r LetterResult) bool { return r.Result == "failed" || r.Over || r.Detail == "" })
	if len(noted) == 0 {
		return
	}
	batch.Queue(`
UPDATE dead_letter_history h SET message = concat_ws('; ', nullif(h.message, ''), r.detail)
FROM unnest($1::uuid[], $2::text[]) AS r (id, detail), dead_letter_job_items i
WHERE h.letter_id = r.id AND h.job_id = $3 AND h.what = 'redriven' AND i.job_id = $3 AND i.letter_id = r.id AND i.state <> 'done'`,
		column(noted, func(r LetterResult) uuid.UUID { return r.ID }),
		column(noted, func(r LetterResult) string { return storable(r.Detail) }), j.job.ID)
}

// end queues the end of redrives that this job has begun.
func (j jobStep) end(batch *pgx.Batch, results []LetterResult, state, what string) {
	if len(results) == 0 {
		return
	}
	batch.Queue(`
WITH ended AS (
    UPDATE dead_letters d SET state = $4, changed_at = now(), next_check_at = NULL
    FROM unnest($1::uuid[], $2::text[]) AS r (id, detail)
    WHERE d.id = r.id AND d.state = 'redriving' AND d.job_id = $3
    RETURNING d.id, d.tenant_id, r.detail
)
INSERT INTO dead_letter_history (letter_id, tenant_id, at, what, job_id, message)
SELECT id, tenant_id, now(), $5, $3, detail FROM ended
ON CONFLICT DO NOTHING`,
		column(results, func(r LetterResult) uuid.UUID { return r.ID }),
		column(results, func(r LetterResult) string { return storable(r.Detail) }), j.job.ID, state, what)
}
