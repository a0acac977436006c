package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// StageWatch says that somebody looks at what a stage does to a tenant's events.
type StageWatch struct{ TenantID, Pipeline, Stage string }

// StageSample is what a stage did to an event. What is personal is not in it.
type StageSample struct {
	ID            int64     `json:"id" doc:"Later ones have larger ids" example:"4711"`
	TenantID      string    `json:"-"`
	Pipeline      string    `json:"pipeline" doc:"The pipeline" example:"tracking"`
	Stage         string    `json:"stage" doc:"The stage" example:"enrich"`
	At            time.Time `json:"at" doc:"When the stage was through with it"`
	UID           uuid.UUID `json:"uid" doc:"The event"`
	CorrelationID string    `json:"correlation_id" doc:"The journey" example:"0045123456"`
	Source        string    `json:"source" doc:"Who sent it" example:"LA-baggage"`
	EventType     string    `json:"event_type" doc:"The sender's code" example:"loaded"`
	Outcome       string    `json:"outcome" enum:"pass,drop,reject,retry" doc:"What the stage made of it"`
	Code          string    `json:"reason,omitempty" doc:"Why, as a short and stable code" example:"schema"`
	Message       string    `json:"message,omitempty" doc:"Why, in words"`
	Attempt       int       `json:"attempt" doc:"How often the process had tried it at the stage" example:"1"`
	Batch         int       `json:"batch_events" doc:"How many events were in its batch" example:"32"`
	Took          int64     `json:"took_us" doc:"How long the stage took for the batch, in microseconds" example:"1250"`
	Before        string    `json:"before" doc:"The event as the stage got it, as JSON; cut off when it is long, and without what is personal"`
	After         string    `json:"after" doc:"The event as the stage left it; empty when that is the same"`
}

const (
	// watchFor is how long samples are taken for who looked last.
	watchFor = 30 * time.Second
	// KeptSamples is how many samples of a tenant and stage are kept.
	KeptSamples = 200
	// sampleRetention is how long they are kept.
	sampleRetention = 15 * time.Minute

	watchStage = `
INSERT INTO stage_watches (tenant_id, pipeline, stage, until) VALUES ($1, $2, $3, now() + $4::interval)
ON CONFLICT (tenant_id, pipeline, stage) DO UPDATE SET until = excluded.until`

	insertSamples = `
INSERT INTO stage_samples (tenant_id, pipeline, stage, at, uid, correlation_id, source, event_type, outcome, code, message, attempt, batch, took, before, after)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::int[], $13::int[], $14::bigint[], $15::text[], $16::text[])`

	// dropSamples drops those of some stages that are more than are kept. Two who do it at once drop the same.
	dropSamples = `
DELETE FROM stage_samples s USING (
    SELECT k.tenant_id, k.pipeline, k.stage, (
        SELECT id FROM stage_samples WHERE tenant_id = k.tenant_id AND pipeline = k.pipeline AND stage = k.stage ORDER BY id DESC OFFSET $4 LIMIT 1) AS last
    FROM unnest($1::text[], $2::text[], $3::text[]) AS k (tenant_id, pipeline, stage)) o
WHERE s.tenant_id = o.tenant_id AND s.pipeline = o.pipeline AND s.stage = o.stage AND s.id <= o.last`
)

// WatchStage has samples taken of what a stage does to a tenant's events, for half a minute from now.
func (s *Store) WatchStage(ctx context.Context, w StageWatch) error {
	if _, err := s.exec(ctx, watchStage, storable(w.TenantID), w.Pipeline, w.Stage, watchFor); err != nil {
		return fmt.Errorf("watch a stage: %w", err)
	}
	return nil
}

// StageWatches returns what is looked at just now.
func (s *Store) StageWatches(ctx context.Context) ([]StageWatch, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT tenant_id, pipeline, stage FROM stage_watches WHERE until > now()")
	if err != nil {
		return nil, fmt.Errorf("read what is watched: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StageWatch])
	if err != nil {
		return nil, fmt.Errorf("read what is watched: %w", err)
	}
	return found, nil
}

// AddStageSamples keeps samples, in place of the oldest ones when there are many.
func (s *Store) AddStageSamples(ctx context.Context, samples []StageSample) error {
	if len(samples) == 0 {
		return nil
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	text := func(of func(StageSample) string) []string {
		return column(samples, func(t StageSample) string { return storable(of(t)) })
	}
	if _, err := s.pool.Exec(ctx, insertSamples,
		text(func(t StageSample) string { return t.TenantID }), text(func(t StageSample) string { return t.Pipeline }), text(func(t StageSample) string { return t.Stage }),
		column(samples, func(t StageSample) time.Time { return t.At }), column(samples, func(t StageSample) uuid.UUID { return t.UID }),
		text(func(t StageSample) string { return t.CorrelationID }), text(func(t StageSample) string { return t.Source }),
		text(func(t StageSample) string { return t.EventType }), text(func(t StageSample) string { return t.Outcome }),
		text(func(t StageSample) string { return t.Code }), text(func(t StageSample) string { return t.Message }),
		column(samples, func(t StageSample) int { return t.Attempt }), column(samples, func(t StageSample) int { return t.Batch }),
		column(samples, func(t StageSample) int64 { return t.Took }),
		text(func(t StageSample) string { return t.Before }), text(func(t StageSample) string { return t.After })); err != nil {
		return fmt.Errorf("keep samples: %w", err)
	}
	of := column(samples, func(t StageSample) StageWatch { return StageWatch{storable(t.TenantID), t.Pipeline, t.Stage} })
	slices.SortFunc(of, func(a, b StageWatch) int {
		return cmp.Or(cmp.Compare(a.TenantID, b.TenantID), cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(a.Stage, b.Stage))
	})
	of = slices.Compact(of)
	if _, err := s.pool.Exec(ctx, dropSamples, column(of, func(w StageWatch) string { return w.TenantID }), column(of, func(w StageWatch) string { return w.Pipeline }),
		column(of, func(w StageWatch) string { return w.Stage }), KeptSamples); err != nil {
		return fmt.Errorf("drop samples: %w", err)
	}
	return nil
}

// StageSamples returns the last samples, limit at most, of what a stage did to a tenant's events, the earliest of them first; only those behind
// one when after is its id.
func (s *Store) StageSamples(ctx context.Context, w StageWatch, after int64, limit int) ([]StageSample, error) {
	found, err := readAs(ctx, s, w.TenantID, pgx.RowToStructByPos[StageSample], `
SELECT id, tenant_id, pipeline, stage, at, uid, correlation_id, source, event_type, outcome, code, message, attempt, batch, took, before, after
FROM stage_samples WHERE tenant_id = $1 AND pipeline = $2 AND stage = $3 AND id > $4 ORDER BY id DESC LIMIT $5`,
		w.TenantID, w.Pipeline, w.Stage, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read samples: %w", err)
	}
	slices.Reverse(found)
	for i := range found {
		inUTC(&found[i].At)
	}
	return found, nil
}
