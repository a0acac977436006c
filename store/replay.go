package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// ErrReplaying says that another replay of the same database is under way.
var ErrReplaying = errors.New("another replay is under way")

// Replay says which traces to rebuild from their events, and what to do with what comes of it.
type Replay struct {
	// Tenant is whose traces to rebuild; empty for those of all.
	Tenant string
	// From and To have only traces rebuilt that have an event which was received at From or later and before To, and is in the
	// store when the replay begins; zero for no bound. When an event was received is the time in its uid. Rows without any
	// event are then not looked for.
	From, To time.Time
	// Swap puts the rebuilt rows that differ in the place of those in use.
	Swap bool
	// DryRun writes nothing at all. Without it, the rebuilt rows that differ are left in the table traces_replay.
	DryRun bool
	// Workers is how many parts are rebuilt at a time. Defaults to 2, and is bounded by the connections there are.
	Workers int
	// Progress is told from time to time how far the replay is; may be nil. It is never called twice at a time.
	Progress func(ReplayProgress)
	// Difference is told of every row that differs; may be nil. It is never called twice at a time.
	Difference func(TraceDifference)

	partEvents int // about so many events make a part; 0 for the default
}

// Validate reports what is wrong with the replay.
func (r Replay) Validate() error {
	var errs []error
	if r.Swap && r.DryRun {
		errs = append(errs, errors.New("a replay that writes nothing cannot swap"))
	}
	if !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) {
		errs = append(errs, fmt.Errorf("from %s is not before to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339)))
	}
	if r.Workers < 0 {
		errs = append(errs, fmt.Errorf("workers %d is negative", r.Workers))
	}
	return errors.Join(errs...)
}

// ReplayProgress is how far a replay is.
type ReplayProgress struct {
	Traces, Events int64
	// Total is about how many traces there are; 0 when that is not known.
	Total   int64
	Elapsed time.Duration
}

// ReplayReport is what came of a replay.
type ReplayReport struct {
	Traces int64 `json:"traces"` // rebuilt
	Events int64 `json:"events"` // that they were rebuilt from
	// Different is how many rows are not what their events come to. Missing is how many of these were not there at all, and
	// Bereft how many are there and have no events.
	Different int64 `json:"different"`
	Missing   int64 `json:"missing"`
	Bereft    int64 `json:"without_events"`
	// Kept is how many of Bereft had events by their chains, which retention did not remove. They are never removed: an audit needs
	// them to tell that events are gone.
	Kept int64 `json:"kept_as_evidence"`
	// Changed is how many rows were swapped in or, for want of events, removed, and Refolded how many of these had been written
	// since they were rebuilt, and were folded anew.
	Changed  int64         `json:"changed"`
	Refolded int64         `json:"refolded"`
	Elapsed  time.Duration `json:"elapsed_ns"`
}

// TraceDifference is a row of the read model that is not what its events come to.
type TraceDifference struct {
	TenantID      string            `json:"tenant_id"`
	CorrelationID string            `json:"correlation_id"`
	Fields        []FieldDifference `json:"fields"`
}

// FieldDifference is a column: what it had in the row in use, and what it has in the one rebuilt.
type FieldDifference struct {
	Field string `json:"field"`
	Had   string `json:"had"`
	Now   string `json:"now"`
}

// replayer is a replay under way.
type replayer struct {
	Replay
	store   *Store
	started time.Time

	mu     sync.Mutex
	report ReplayReport
	total  int64
}

const replayLock = "hashtextextended('rastro.replay', 0)"

// Replay rebuilds traces from the event store by the same fold that Persist advances them with, and compares them with the rows in
// use, in bounded memory and while events are being persisted: each part is read in one snapshot, in which rows and events belong
// together. Rows are swapped in under the lock that Persist takes, those that got events since from a new fold; an event that is
// persisted at any time during a replay counts.
func (s *Store) Replay(ctx context.Context, r Replay) (ReplayReport, error) {
	if err := r.Validate(); err != nil {
		return ReplayReport{}, fmt.Errorf("replay: %w", err)
	}
	if r.Workers == 0 {
		r.Workers = 2
	}
	// Each worker reads by one connection and writes by another, and one more keeps the lock.
	if s.config.MaxConns < 3 {
		return ReplayReport{}, fmt.Errorf("replay: it needs 3 connections, and the pool has %d", s.config.MaxConns)
	}
	r.Workers = min(r.Workers, int(s.config.MaxConns-1)/2)
	if r.partEvents == 0 {
		r.partEvents = partEvents
	}
	w := &replayer{Replay: r, store: s, started: time.Now()}
	err := w.run(ctx)
	w.report.Elapsed = time.Since(w.started)
	if err != nil {
		return w.report, fmt.Errorf("replay: %w", err)
	}
	return w.report, nil
}

func (w *replayer) run(ctx context.Context) error {
	conn, err := w.store.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	if !w.DryRun {
		var locked bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock("+replayLock+")").Scan(&locked); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if !locked {
			return ErrReplaying
		}
		defer unlockReplay(ctx, conn)
		if err := w.dropShadow(ctx, conn); err != nil { // what an earlier replay left
			return err
		}
		if err := makeShadow(ctx, conn); err != nil {
			return err
		}
	}
	if err := w.build(ctx, conn); err != nil {
		return err
	}
	if !w.Swap {
		return nil
	}
	if err := w.swap(ctx, conn); err != nil {
		return err
	}
	return w.dropShadow(ctx, conn)
}

// unlockReplay gives the lock up, or the connection, with which the lock ends.
func unlockReplay(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock("+replayLock+")"); err != nil {
		_ = conn.Conn().Close(ctx)
	}
}

// noteSwapped notes of each tenant of whom rows were rebuilt that its lists are to be read anew: one change a tenant, however many
// rows were swapped.
const noteSwapped = `
INSERT INTO trace_changes (tenant_id, correlation_ids) SELECT DISTINCT tenant_id, '{}'::text[] FROM traces_replay`

// dropShadow drops the table of the rebuilt traces, if there is one. Before that, a replay that swaps has live lists told of what is in it:
// also of what another one, which was interrupted, may have swapped.
func (w *replayer) dropShadow(ctx context.Context, conn *pgxpool.Conn) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('traces_replay') IS NOT NULL").Scan(&there); err != nil || !there {
		return err
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if w.Swap {
			if _, err := tx.Exec(ctx, noteSwapped); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "DROP TABLE traces_replay")
		return err
	})
	if err != nil {
		return fmt.Errorf("drop table of the rebuilt traces: %w", err)
	}
	w.store.traceChanged()
	return nil
}

// makeShadow makes an empty table of the columns that the fold owns.
func makeShadow(ctx context.Context, conn *pgxpool.Conn) error {
	for _, sql := range []string{
		"CREATE UNLOGGED TABLE traces_replay AS SELECT " + foldColumns + ", xmin::text AS had_version FROM traces WITH NO DATA",
		"ALTER TABLE traces_replay ADD PRIMARY KEY (tenant_id, correlation_id), ADD bereft boolean NOT NULL DEFAULT false",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make table for the rebuilt traces: %w", err)
		}
	}
	return nil
}

// build rebuilds all parts, Workers at a time.
func (w *replayer) build(ctx context.Context, conn *pgxpool.Conn) error {
	group, ctx := errgroup.WithContext(ctx)
	parts := make(chan replayPart)
	group.Go(func() error {
		defer close(parts)
		return w.plan(ctx, conn, func(p replayPart) error {
			select {
			case parts <- p:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range w.Workers {
		group.Go(func() error {
			for part := range parts {
				if err := w.rebuildPart(ctx, part); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// settle counts what was rebuilt and tells of the rows that differ.
func (w *replayer) settle(some ReplayReport, differences []TraceDifference) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.Traces += some.Traces
	w.report.Events += some.Events
	w.report.Different += int64(len(differences))
	w.report.Missing += some.Missing
	w.report.Bereft += some.Bereft
	w.report.Kept += some.Kept
	if w.Difference != nil {
		for _, d := range differences {
			w.Difference(d)
		}
	}
	if w.Progress != nil {
		w.Progress(ReplayProgress{Traces: w.report.Traces, Events: w.report.Events, Total: w.total, Elapsed: time.Since(w.started)})
	}
}

// beginner is a pool or a connection.
type beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// inSnapshot runs f in a transaction in which all reads see one and the same state, for as long as it takes.
func inSnapshot(ctx context.Context, db beginner, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		return f(tx)
	})
}
