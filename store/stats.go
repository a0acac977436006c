package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// StatDelta counts events that came to an outcome at a stage.
type StatDelta struct {
	TenantID, Pipeline, Stage, Outcome string
	Events                             int64
}

// Stat is how many events came to an outcome at a stage.
type Stat struct {
	Pipeline string `json:"pipeline"`
	Stage    string `json:"stage"`
	Outcome  string `json:"outcome"`
	Events   int64  `json:"events"`
}

// StatMinute is a Stat of one minute.
type StatMinute struct {
	Minute time.Time `json:"minute"` // its beginning, UTC
	Stat
}

// Rows are added to in the order of their key, minutes before totals, so that concurrent callers never wait for each other in a
// circle.
const (
	addMinute = `
INSERT INTO stage_stats AS s (tenant_id, minute, pipeline, stage, outcome, events)
SELECT tenant_id, date_trunc('minute', $1::timestamptz), pipeline, stage, outcome, sum(events)
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) AS d (tenant_id, pipeline, stage, outcome, events)
GROUP BY tenant_id, pipeline, stage, outcome
ORDER BY tenant_id COLLATE "C", pipeline COLLATE "C", stage COLLATE "C", outcome COLLATE "C"
ON CONFLICT (tenant_id, minute, pipeline, stage, outcome) DO UPDATE SET events = s.events + excluded.events`

	addTotals = `
INSERT INTO stage_totals AS s (tenant_id, pipeline, stage, outcome, events)
SELECT tenant_id, pipeline, stage, outcome, sum(events)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS d (tenant_id, pipeline, stage, outcome, events)
GROUP BY tenant_id, pipeline, stage, outcome
ORDER BY tenant_id COLLATE "C", pipeline COLLATE "C", stage COLLATE "C", outcome COLLATE "C"
ON CONFLICT (tenant_id, pipeline, stage, outcome) DO UPDATE SET events = s.events + excluded.events`
)

// AddStats adds counts to those of the minute that at lies in, and to the totals. It is not idempotent: counts that are added twice count twice.
func (s *Store) AddStats(ctx context.Context, at time.Time, deltas []StatDelta) error {
	if len(deltas) == 0 {
		return nil
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)
	counts := []any{
		column(deltas, func(d StatDelta) string { return d.TenantID }),
		column(deltas, func(d StatDelta) string { return d.Pipeline }),
		column(deltas, func(d StatDelta) string { return d.Stage }),
		column(deltas, func(d StatDelta) string { return d.Outcome }),
		column(deltas, func(d StatDelta) int64 { return d.Events }),
	}
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	batch.Queue(addMinute, append([]any{at}, counts...)...)
	batch.Queue(addTotals, counts...)
	batch.Queue("COMMIT")
	if err := send(ctx, conn, &batch); err != nil {
		return fmt.Errorf("add %d counts: %w", len(deltas), err)
	}
	return nil
}

// Totals returns a tenant's counts since the beginning, in the order of pipeline, stage and outcome.
func (s *Store) Totals(ctx context.Context, tenant string) ([]Stat, error) {
	stats, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[Stat], `
SELECT pipeline, stage, outcome, events FROM stage_totals
WHERE tenant_id = $1 ORDER BY pipeline, stage, outcome`, tenant)
	if err != nil {
		return nil, fmt.Errorf("read totals: %w", err)
	}
	return stats, nil
}

// StatsByMinute returns a tenant's counts by minute, from the one that since lies in until now. Minutes in which nothing happened
// are left out.
func (s *Store) StatsByMinute(ctx context.Context, tenant string, since time.Time) ([]StatMinute, error) {
	scan := func(row pgx.CollectableRow) (m StatMinute, err error) {
		err = row.Scan(&m.Minute, &m.Pipeline, &m.Stage, &m.Outcome, &m.Events)
		m.Minute = m.Minute.UTC()
		return m, err
	}
	stats, err := readAs(ctx, s, tenant, scan, `
SELECT minute, pipeline, stage, outcome, events FROM stage_stats
WHERE tenant_id = $1 AND minute >= date_trunc('minute', $2::timestamptz)
ORDER BY minute, pipeline, stage, outcome`, tenant, since)
	if err != nil {
		return nil, fmt.Errorf("read counts by minute: %w", err)
	}
	return stats, nil
}
