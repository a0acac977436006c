package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What the audit calls pausing a stage and having it go on.
const (
	PauseAction  = "stages.pause"
	ResumeAction = "stages.resume"
)

// StagePause says that a stage stands still because somebody paused it.
type StagePause struct {
	Pipeline string    `json:"pipeline" doc:"The pipeline" example:"tracking"`
	Stage    string    `json:"stage" doc:"The stage that was paused" example:"persist"`
	By       string    `json:"paused_by" doc:"Who paused it, as the issuer knows them" example:"eva"`
	Name     string    `json:"paused_by_name,omitempty" doc:"Who paused it, for people" example:"Eva Soto"`
	Reason   string    `json:"reason" doc:"Why, in their words" example:"the warehouse is being moved"`
	Since    time.Time `json:"since" doc:"Since when"`
}

// Who is who paused it, for people.
func (p StagePause) Who() string { return Actor{Subject: p.By, Name: p.Name}.who() }

// ID is the stage as pipeline.stage.
func (p StagePause) ID() string { return p.Pipeline + "." + p.Stage }

// stageChannel is where is told that stages were paused or go on. Which ones is to be read.
const stageChannel = "rastro_stages"

const pauseColumns = "pipeline, stage, paused_by, name, reason, since"

// PauseStage has a stage stand still in every process, and notes who wants it and why. When it does already that pause stays as it is
// and nothing is noted: changed is false then.
func (s *Store) PauseStage(ctx context.Context, pipeline, stage string, by Actor, reason string) (pause StagePause, changed bool, err error) {
	err = s.control(ctx, pipeline, stage, func(ctx context.Context, tx pgx.Tx) error {
		found, err := pauses(ctx, tx, `
INSERT INTO stage_controls (pipeline, stage, paused_by, name, reason) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (pipeline, stage) DO NOTHING RETURNING `+pauseColumns, pipeline, stage, storable(by.Subject), storable(by.Name), storable(reason))
		if err != nil {
			return err
		}
		if changed = len(found) == 1; changed {
			pause = found[0]
			return auditControl(ctx, tx, by, PauseAction, pipeline, stage, reason)
		}
		// It cannot go on meanwhile: control holds the stage.
		if found, err = pauses(ctx, tx, "SELECT "+pauseColumns+" FROM stage_controls WHERE pipeline = $1 AND stage = $2", pipeline, stage); err == nil && len(found) == 0 {
			err = ErrNotFound
		}
		if err == nil {
			pause = found[0]
		}
		return err
	})
	if err != nil {
		return StagePause{}, false, fmt.Errorf("pause stage %s.%s: %w", pipeline, stage, err)
	}
	return pause, changed, nil
}

// ResumeStage has a stage go on that was paused, and notes who wants it and why; changed is false when it was not paused.
func (s *Store) ResumeStage(ctx context.Context, pipeline, stage string, by Actor, reason string) (changed bool, err error) {
	err = s.control(ctx, pipeline, stage, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM stage_controls WHERE pipeline = $1 AND stage = $2", pipeline, stage)
		if err != nil {
			return err
		}
		if changed = tag.RowsAffected() == 1; !changed {
			return nil
		}
		return auditControl(ctx, tx, by, ResumeAction, pipeline, stage, reason)
	})
	if err != nil {
		return false, fmt.Errorf("resume stage %s.%s: %w", pipeline, stage, err)
	}
	return changed, nil
}

// control changes in one transaction whether a stage stands still, one who does so at a time, and tells those who listen.
func (s *Store) control(ctx context.Context, pipeline, stage string, change func(context.Context, pgx.Tx) error) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('rastro stage ' || $1 || '.' || $2, 0))", pipeline, stage); err != nil {
			return err
		}
		if err := change(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "SELECT pg_notify('"+stageChannel+"', '')")
		return err
	})
}

// auditControl notes what was done to a stage. It is of no tenant.
func auditControl(ctx context.Context, tx pgx.Tx, by Actor, action, pipeline, stage, reason string) error {
	filter, err := json.Marshal(map[string]string{"pipeline": pipeline, "stage": stage})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return auditAtOnce(ctx, tx, "", by, action, filter, 1, reason)
}

type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func pauses(ctx context.Context, db queryer, sql string, args ...any) ([]StagePause, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StagePause])
	for i := range found {
		inUTC(&found[i].Since)
	}
	return found, err
}

// PausedStages returns the stages that stand still because they were paused, in the order of pipeline and stage; those too that no
// pipeline has any more. A replica may not know of the latest.
func (s *Store) PausedStages(ctx context.Context) ([]StagePause, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	found, err := pauses(ctx, s.pool, "SELECT "+pauseColumns+" FROM stage_controls ORDER BY pipeline, stage")
	if err != nil {
		return nil, fmt.Errorf("read which stages are paused: %w", err)
	}
	return found, nil
}

// ListenStages is Listen for stages that are paused or go on.
func (s *Store) ListenStages(ctx context.Context, wake func()) error {
	return s.listen(ctx, stageChannel, wake)
}
