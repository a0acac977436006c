package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rastrohq/rastro/tracking"
)

const (
	traceEvents = `
SELECT ` + eventColumns + ` FROM event_store WHERE tenant_id = $1 AND correlation_id = $2
    AND ($3::timestamptz IS NULL OR received_at <= $3)`

	// aggregateEvents reads the journey that the aggregate was last seen on.
	aggregateEvents = `
SELECT ` + eventColumns + ` FROM event_store WHERE tenant_id = $1 AND ($3::timestamptz IS NULL OR received_at <= $3) AND correlation_id = (
    SELECT correlation_id FROM event_store WHERE tenant_id = $1 AND aggregate_id = $2
        AND ($3::timestamptz IS NULL OR received_at <= $3)
        AND ($4::timestamptz IS NULL OR CASE WHEN classifier IN ('', 'actual') THEN occurred_at ELSE received_at END <= $4)
    ORDER BY occurred_at DESC, uid DESC LIMIT 1)`
)

// Times narrow a trace; a zero one does not.
type Times struct {
	// AsOf leaves out what occurred later, and plans and estimates that were received later: what had happened by then. See
	// tracking.FoldAsOf.
	AsOf time.Time
	// KnownAt leaves out what was received later: what we knew then.
	KnownAt time.Time
}

// Trace returns the whole story of a journey, or ErrNotFound.
func (s *Store) Trace(ctx context.Context, tenant, correlationID string) (tracking.Trace, error) {
	return s.TraceAt(ctx, tenant, correlationID, Times{})
}

// TraceAt returns the story of a journey as it was, or ErrNotFound when it had not begun.
func (s *Store) TraceAt(ctx context.Context, tenant, correlationID string, times Times) (tracking.Trace, error) {
	return s.trace(ctx, tenant, traceEvents, correlationID, times)
}

// TraceByAggregate returns the journey with the latest event of an aggregate, or ErrNotFound. Identifiers are reused, so one
// aggregate may have been on several journeys.
func (s *Store) TraceByAggregate(ctx context.Context, tenant, aggregateID string) (tracking.Trace, error) {
	return s.TraceByAggregateAt(ctx, tenant, aggregateID, Times{})
}

// TraceByAggregateAt returns the journey that an aggregate was on then, as it was, or ErrNotFound.
func (s *Store) TraceByAggregateAt(ctx context.Context, tenant, aggregateID string, times Times) (tracking.Trace, error) {
	return s.trace(ctx, tenant, aggregateEvents, aggregateID, times)
}

func (s *Store) trace(ctx context.Context, tenant, sql, id string, times Times) (tracking.Trace, error) {
	args := []any{tenant, id, instant(times.KnownAt)}
	if sql == aggregateEvents {
		args = append(args, instant(times.AsOf))
	}
	events, err := readAs(ctx, s, tenant, scanEvent, sql, args...)
	if err != nil {
		return tracking.Trace{}, fmt.Errorf("read trace: %w", err)
	}
	trace := tracking.Fold(events)
	if !times.AsOf.IsZero() {
		trace = tracking.FoldAsOf(events, times.AsOf)
	}
	if len(trace.Events) == 0 {
		return tracking.Trace{}, ErrNotFound
	}
	return trace, nil
}

// readAs runs a query that sees the rows of one tenant and nothing else, in one round trip: a read-only transaction in the role
// that row-level security confines (Invariant 13).
func readAs[T any](ctx context.Context, s *Store, tenant string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	read := func(ctx context.Context, pool *pgxpool.Pool) ([]T, error) {
		return readFrom(ctx, pool, tenant, scan, sql, args)
	}
	if s.replica != nil {
		if found, err, done := readReplica(ctx, s.replica, read); done {
			return found, err
		}
	}
	return read(ctx, s.pool)
}

func readFrom[T any](ctx context.Context, pool *pgxpool.Pool, tenant string, scan pgx.RowToFunc[T], sql string, args []any) ([]T, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)

	var found []T
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
	batch.Queue("SET LOCAL ROLE rastro_query")
	batch.Queue("SELECT set_config('rastro.tenant_id', $1, true)", tenant)
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	batch.Queue("COMMIT")
	if err := send(ctx, conn, &batch); err != nil {
		return nil, err
	}
	return found, nil
}
