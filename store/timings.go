package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/internal/quantiles"
)

// StageTimes is how a stage got on with a tenant's events in a minute.
type StageTimes struct {
	TenantID, Pipeline, Stage string
	Minute                    time.Time // its beginning, UTC
	// Events are those of the tenant, Batches those that they were in, and Batched all events of these batches.
	Events, Batches, Batched int64
	// Took is how long the stage took for the batches that events were in. Age is how long ago events that passed had been received.
	Took, Age *quantiles.Histogram
}

// SourceStats is what became in a minute of events from a source.
type SourceStats struct {
	TenantID, Source string
	Minute           time.Time // its beginning, UTC
	Stored           int64
	Rejected         int64
	Duplicates       int64
	// Unmapped events were stored with a code that maps to neither a milestone nor an exception.
	Unmapped int64
	// Delay is how long after they occurred the stored events were received.
	Delay *quantiles.Histogram
	// LastAt is when the last of them was received.
	LastAt time.Time
}

// StageState is what a process says of a stage that it runs.
type StageState struct {
	Process  uuid.UUID
	Pipeline string
	Stage    string
	// Breaker is "closed", "half-open" or "open".
	Breaker string
	// Paused says that it stands still there because it, or a stage that is fused with it, was paused.
	Paused bool
	SeenAt time.Time
}

// Rows are written in the order of their key, so that concurrent callers never wait for each other in a circle. A process writes
// only its own, and what it writes replaces what it wrote.
const (
	putStageTimes = `
INSERT INTO stage_times (tenant_id, minute, pipeline, stage, process, events, batches, batched, took, age)
SELECT tenant_id, minute, pipeline, stage, $1, events, batches, batched, took, age
FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[])
    AS d (tenant_id, minute, pipeline, stage, events, batches, batched, took, age)
ON CONFLICT (tenant_id, minute, pipeline, stage, process) DO UPDATE SET
    events = excluded.events, batches = excluded.batches, batched = excluded.batched, took = excluded.took, age = excluded.age`

	putSourceStats = `
INSERT INTO source_stats (tenant_id, minute, source, process, stored, rejected, duplicates, unmapped, delay, last_at)
SELECT tenant_id, minute, source, $1, stored, rejected, duplicates, unmapped, delay, last_at
FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::timestamptz[])
    AS d (tenant_id, minute, source, stored, rejected, duplicates, unmapped, delay, last_at)
ON CONFLICT (tenant_id, minute, source, process) DO UPDATE SET
    stored = excluded.stored, rejected = excluded.rejected, duplicates = excluded.duplicates, unmapped = excluded.unmapped,
    delay = excluded.delay, last_at = excluded.last_at`

	putStageStates = `
INSERT INTO stage_processes (process, pipeline, stage, breaker, paused)
SELECT $1, pipeline, stage, breaker, paused FROM unnest($2::text[], $3::text[], $4::text[], $5::boolean[]) AS d (pipeline, stage, breaker, paused)
ON CONFLICT (process, pipeline, stage) DO UPDATE SET breaker = excluded.breaker, paused = excluded.paused, seen_at = now()`
)

// PutTimings writes what a process says of minutes in place of what it said of them before, and of its stages. To write the same
// again changes nothing.
func (s *Store) PutTimings(ctx context.Context, process uuid.UUID, times []StageTimes, sources []SourceStats, states []StageState) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	if len(times) > 0 {
		batch.Queue(putStageTimes, process,
			column(times, func(t StageTimes) string { return t.TenantID }), column(times, func(t StageTimes) time.Time { return t.Minute }),
			column(times, func(t StageTimes) string { return t.Pipeline }), column(times, func(t StageTimes) string { return t.Stage }),
			column(times, func(t StageTimes) int64 { return t.Events }), column(times, func(t StageTimes) int64 { return t.Batches }),
			column(times, func(t StageTimes) int64 { return t.Batched }),
			column(times, func(t StageTimes) []byte { return encoded(t.Took) }), column(times, func(t StageTimes) []byte { return encoded(t.Age) }))
	}
	if len(sources) > 0 {
		batch.Queue(putSourceStats, process,
			column(sources, func(c SourceStats) string { return c.TenantID }), column(sources, func(c SourceStats) time.Time { return c.Minute }),
			column(sources, func(c SourceStats) string { return c.Source }), column(sources, func(c SourceStats) int64 { return c.Stored }),
			column(sources, func(c SourceStats) int64 { return c.Rejected }), column(sources, func(c SourceStats) int64 { return c.Duplicates }),
			column(sources, func(c SourceStats) int64 { return c.Unmapped }), column(sources, func(c SourceStats) []byte { return encoded(c.Delay) }),
			column(sources, func(c SourceStats) time.Time { return c.LastAt }))
	}
	if len(states) > 0 {
		batch.Queue(putStageStates, process, column(states, func(c StageState) string { return c.Pipeline }),
			column(states, func(c StageState) string { return c.Stage }), column(states, func(c StageState) string { return c.Breaker }),
			column(states, func(c StageState) bool { return c.Paused }))
	}
	batch.Queue("COMMIT")
	if err := send(ctx, conn, &batch); err != nil {
		return fmt.Errorf("write timings: %w", err)
	}
	return nil
}

// encoded returns a histogram as it is stored; nil is one that is empty.
func encoded(h *quantiles.Histogram) []byte {
	if h == nil {
		h = &quantiles.Histogram{}
	}
	b, err := h.MarshalBinary()
	if err != nil {
		return nil // It never fails.
	}
	return b
}

// StageTimes returns how a tenant's stages got on in the minutes from one that from lies in until the one before to, the processes
// that ran them put together, in the order of minute, pipeline and stage.
func (s *Store) StageTimes(ctx context.Context, tenant string, from, to time.Time) ([]StageTimes, error) {
	scan := func(row pgx.CollectableRow) (t StageTimes, err error) {
		var took, age []byte
		t.TenantID, t.Took, t.Age = tenant, &quantiles.Histogram{}, &quantiles.Histogram{}
		if err := row.Scan(&t.Minute, &t.Pipeline, &t.Stage, &t.Events, &t.Batches, &t.Batched, &took, &age); err != nil {
			return t, err
		}
		inUTC(&t.Minute)
		if err := t.Took.UnmarshalBinary(took); err != nil {
			return t, err
		}
		return t, t.Age.UnmarshalBinary(age)
	}
	found, err := readAs(ctx, s, tenant, scan, `
SELECT minute, pipeline, stage, events, batches, batched, took, age FROM stage_times
WHERE tenant_id = $1 AND minute >= date_trunc('minute', $2::timestamptz) AND minute < $3
ORDER BY minute, pipeline, stage, process`, tenant, from, to)
	if err != nil {
		return nil, fmt.Errorf("read times of stages: %w", err)
	}
	merged := found[:0]
	for _, t := range found {
		last := len(merged) - 1
		if last < 0 || merged[last].Minute != t.Minute || merged[last].Pipeline != t.Pipeline || merged[last].Stage != t.Stage {
			merged = append(merged, t)
			continue
		}
		m := &merged[last]
		m.Events, m.Batches, m.Batched = m.Events+t.Events, m.Batches+t.Batches, m.Batched+t.Batched
		m.Took.Merge(t.Took)
		m.Age.Merge(t.Age)
	}
	return merged, nil
}

// maxSources bounds the sources of a tenant that are told of.
const maxSources = 500

// SourceStats returns what came to a tenant from each source from a time on until another, in the order of the sources. Minute is
// the first in which anything came.
func (s *Store) SourceStats(ctx context.Context, tenant string, from, to time.Time) ([]SourceStats, error) {
	scan := func(row pgx.CollectableRow) (c SourceStats, err error) {
		var delays [][]byte
		c.TenantID, c.Delay = tenant, &quantiles.Histogram{}
		err = row.Scan(&c.Source, &c.Minute, &c.Stored, &c.Rejected, &c.Duplicates, &c.Unmapped, &delays, &c.LastAt)
		inUTC(&c.Minute, &c.LastAt)
		for _, delay := range delays {
			if err == nil {
				err = c.Delay.UnmarshalBinary(delay)
			}
		}
		return c, err
	}
	found, err := readAs(ctx, s, tenant, scan, `
SELECT source, min(minute), sum(stored)::bigint, sum(rejected)::bigint, sum(duplicates)::bigint, sum(unmapped)::bigint, array_agg(delay), max(last_at)
FROM source_stats WHERE tenant_id = $1 AND minute >= date_trunc('minute', $2::timestamptz) AND minute < $3
GROUP BY source ORDER BY source LIMIT $4`, tenant, from, to, maxSources)
	if err != nil {
		return nil, fmt.Errorf("read statistics of sources: %w", err)
	}
	return found, nil
}

// SourceCadence is how often a source is heard of.
type SourceCadence struct {
	Source string
	// LastAt is when an event of it was received last.
	LastAt time.Time
	// UsualGap is what 19 of 20 gaps between minutes with events did not exceed; 0 when there were too few to tell.
	UsualGap time.Duration
}

// minGaps is how many gaps it takes to tell what is usual.
const minGaps = 5

// SourceCadences returns how often each source of a tenant was heard of since a time.
func (s *Store) SourceCadences(ctx context.Context, tenant string, since time.Time) ([]SourceCadence, error) {
	scan := func(row pgx.CollectableRow) (c SourceCadence, err error) {
		var gap *time.Duration
		var gaps int
		err = row.Scan(&c.Source, &c.LastAt, &gap, &gaps)
		inUTC(&c.LastAt)
		if gap != nil && gaps >= minGaps {
			c.UsualGap = *gap
		}
		return c, err
	}
	found, err := readAs(ctx, s, tenant, scan, `
SELECT source, max(last_at), percentile_disc(0.95) WITHIN GROUP (ORDER BY gap), count(gap)
FROM (
    SELECT source, last_at, minute - lag(minute) OVER (PARTITION BY source ORDER BY minute) AS gap
    FROM (SELECT source, minute, max(last_at) AS last_at FROM source_stats WHERE tenant_id = $1 AND minute >= $2 GROUP BY source, minute) m
) g GROUP BY source ORDER BY source LIMIT $3`, tenant, since, maxSources)
	if err != nil {
		return nil, fmt.Errorf("read cadence of sources: %w", err)
	}
	return found, nil
}

// stateFreshness is how old what a process says of its stages may be; it says so every few seconds.
const stateFreshness = 30 * time.Second

// StageStates returns what the processes that run say of the stages that they run.
func (s *Store) StageStates(ctx context.Context) ([]StageState, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
SELECT process, pipeline, stage, breaker, paused, seen_at FROM stage_processes WHERE seen_at > now() - $1::interval ORDER BY pipeline, stage, process`,
		stateFreshness)
	if err != nil {
		return nil, fmt.Errorf("read states of stages: %w", err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StageState])
	if err != nil {
		return nil, fmt.Errorf("read states of stages: %w", err)
	}
	for i := range states {
		inUTC(&states[i].SeenAt)
	}
	return states, nil
}

// timingRetention is how long timings are kept by the minute.
const timingRetention = 8 * 24 * time.Hour

// PruneTimings removes timings that are more than eight days old, samples of a while ago, and what processes said that are gone. Call it every hour; several
// processes may do so at once.
func (s *Store) PruneTimings(ctx context.Context, now time.Time) error {
	for _, old := range []struct {
		table, column string
		before        time.Time
	}{
		{"stage_times", "minute", now.Add(-timingRetention)}, {"source_stats", "minute", now.Add(-timingRetention)},
		{"stage_processes", "seen_at", now.Add(-time.Hour)}, {"stage_samples", "at", now.Add(-sampleRetention)},
		{"stage_watches", "until", now.Add(-time.Hour)},
	} {
		if err := s.pruneByAge(ctx, old.table, old.column, old.before); err != nil {
			return err
		}
	}
	return nil
}
