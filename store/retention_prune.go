package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// Letters that are open or being redriven stay, however old they are: somebody has yet to decide.
	pruneLetters = `
DELETE FROM dead_letters WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM dead_letters WHERE tenant_id = $1 AND state NOT IN ('open', 'redriving') AND changed_at < $2 LIMIT $3))`

	pruneLetterJobs = `
DELETE FROM dead_letter_jobs WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM dead_letter_jobs WHERE tenant_id = $1 AND state <> 'running' AND finished_at < $2 LIMIT $3))`

	tenantsOfLetters = `SELECT tenant_id FROM dead_letters UNION SELECT tenant_id FROM dead_letter_jobs`

	pruneStats = `DELETE FROM stage_stats WHERE ctid = ANY (ARRAY(SELECT ctid FROM stage_stats WHERE minute < $1 LIMIT $2))`

	// Runs are kept for as long as it takes to see what they did; what they cut stays in retention_cuts.
	pruneRuns = `
DELETE FROM retention_runs WHERE ctid = ANY (ARRAY(SELECT ctid FROM retention_runs WHERE started_at < $1 LIMIT $2))`
)

// runDays is how long runs are listed.
const runDays = 400

// prune removes what is old and no event: letters that were settled, counts by the minute, what became of captured documents, personal data of
// which the events are gone, and what other jobs prune besides.
func (w *retainer) prune(ctx context.Context) error {
	if err := w.pruneDeadLetters(ctx); err != nil {
		return err
	}
	if w.StatsDays > 0 {
		if err := w.pruneUntilDone(ctx, "stage_stats", pruneStats, w.Now.AddDate(0, 0, -w.StatsDays)); err != nil {
			return err
		}
	}
	if err := w.pruneUntilDone(ctx, "retention_runs", pruneRuns, w.Now.AddDate(0, 0, -runDays)); err != nil {
		return err
	}
	if err := w.pruneUntilDone(ctx, "captures", pruneCaptures, w.Now.AddDate(0, 0, -captureDays)); err != nil {
		return err
	}
	people, err := w.store.PrunePersonal(ctx, w.Now)
	w.pruned("personal_data", int64(people))
	if err != nil {
		return err
	}
	for _, prune := range []func(context.Context, time.Time) error{w.store.PruneLedger, w.store.PruneTimings, w.store.PruneChanges} {
		if err := prune(ctx, w.Now); err != nil {
			return err
		}
	}
	return w.store.dropClaimsBefore(ctx, w.Now.Add(-w.store.config.ClaimRetention))
}

// pruneDeadLetters removes letters, and jobs on letters, that have ended longer ago than the tenant keeps anything.
func (w *retainer) pruneDeadLetters(ctx context.Context) error {
	rows, err := w.store.pool.Query(ctx, tenantsOfLetters)
	if err != nil {
		return fmt.Errorf("list tenants of dead letters: %w", err)
	}
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list tenants of dead letters: %w", err)
	}
	slices.Sort(tenants)
	for _, tenant := range tenants {
		_, longest := w.policy.of(tenant).days()
		if longest == 0 {
			continue
		}
		before := w.Now.AddDate(0, 0, -longest)
		if err := w.pruneUntilDone(ctx, "dead_letters", pruneLetters, tenant, before); err != nil {
			return err
		}
		if err := w.pruneUntilDone(ctx, "dead_letter_jobs", pruneLetterJobs, tenant, before); err != nil {
			return err
		}
	}
	return nil
}

// pruneUntilDone deletes piece by piece, so that nobody waits long for a row.
func (w *retainer) pruneUntilDone(ctx context.Context, table, sql string, args ...any) error {
	for {
		n, err := w.pruneChunk(ctx, sql, args...)
		if err != nil {
			return fmt.Errorf("prune %s: %w", table, err)
		}
		w.pruned(table, n)
		if n < pruneChunk {
			return nil
		}
	}
}

func (w *retainer) pruneChunk(ctx context.Context, sql string, args ...any) (int64, error) {
	ctx, cancel := w.store.within(ctx)
	defer cancel()
	tag, err := w.store.pool.Exec(ctx, sql, append(args, pruneChunk)...)
	return tag.RowsAffected(), err
}

func (w *retainer) pruned(table string, rows int64) {
	if rows > 0 {
		w.report.Pruned[table] += rows
	}
}
