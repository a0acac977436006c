package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LedgerMark says what became of up to 64 events of a tenant, a bit each: bit n stands for event 64 * Part + n of a frame. Bits
// that are not set say nothing, so that marks may be given in any order, in pieces, and any number of times.
type LedgerMark struct {
	// Frame is the message in which the events first came in, or the UID of the one event that a stage made.
	Frame    uuid.UUID `cbor:"1,keyasint"`
	Part     int32     `cbor:"2,keyasint,omitempty"`
	TenantID string    `cbor:"3,keyasint,omitempty"`
	// Received and Emitted are how events come into a pipeline: from a topic, and made by one of its stages.
	Received uint64 `cbor:"4,keyasint,omitempty"`
	Emitted  uint64 `cbor:"5,keyasint,omitempty"`
	// The rest is how they end: out of the end of the pipeline, dropped as a copy of another, dropped for any other reason, and
	// dead-lettered.
	Passed     uint64 `cbor:"6,keyasint,omitempty"`
	Duplicates uint64 `cbor:"7,keyasint,omitempty"`
	Dropped    uint64 `cbor:"8,keyasint,omitempty"`
	Rejected   uint64 `cbor:"9,keyasint,omitempty"`
}

// Balance is what became of the events of a tenant in a pipeline since the beginning.
//
//	Received + Emitted = Passed + Duplicates + Dropped + DeadLettered - Twice - Unreceived + InFlight
type Balance struct {
	Pipeline string `json:"pipeline" doc:"The pipeline"`
	Received int64  `json:"received" doc:"Events that came to the pipeline"`
	Emitted  int64  `json:"emitted" doc:"Events that its stages made, such as the parts of one that was split"`
	// Passed are through: stored, if the pipeline stores events.
	Passed       int64 `json:"passed" doc:"Events that left by the end of the pipeline, stored if it stores them, or by a route"`
	Duplicates   int64 `json:"duplicates" doc:"Events that were dropped as copies of others"`
	Dropped      int64 `json:"dropped" doc:"Events that were dropped for another reason"`
	DeadLettered int64 `json:"dead_lettered" doc:"Events that were dead-lettered"`
	Twice        int64 `json:"twice" doc:"Endings of events that had ended otherwise before: more than 0 is a fault"`
	Unreceived   int64 `json:"unreceived" doc:"Events that ended and were never received: more than 0 for longer than a moment is a fault"`
	InFlight     int64 `json:"in_flight" doc:"Events that came and have not ended"`
}

// Settled reports whether nothing is in flight and nothing is wrong.
func (b Balance) Settled() bool { return b.InFlight == 0 && b.Twice == 0 && b.Unreceived == 0 }

const (
	// Writers of a pipeline's ledger take turns: what one adds to the totals depends on what others have written.
	ledgerLock = "SELECT pg_advisory_xact_lock(hashtextextended('rastro.ledger.' || $1::text, 0))"

	// addMarks adds bits to marks, and those that are new to the totals. LIMIT has each mark looked up by itself, whatever is known of
	// the table when the statement is planned.
	addMarks = `
WITH given AS (
    SELECT tenant_id, frame, part, bit_or(received) AS received, bit_or(emitted) AS emitted, bit_or(passed) AS passed,
        bit_or(duplicates) AS duplicates, bit_or(dropped) AS dropped, bit_or(rejected) AS rejected
    FROM unnest($2::text[], $3::uuid[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
        AS m (tenant_id, frame, part, received, emitted, passed, duplicates, dropped, rejected)
    GROUP BY tenant_id, frame, part
), change AS (
    SELECT g.tenant_id, g.frame, g.part, g.received & ~coalesce(m.received, 0) AS received, g.emitted & ~coalesce(m.emitted, 0) AS emitted,
        g.passed & ~coalesce(m.passed, 0) AS passed, g.duplicates & ~coalesce(m.duplicates, 0) AS duplicates,
        g.dropped & ~coalesce(m.dropped, 0) AS dropped, g.rejected & ~coalesce(m.rejected, 0) AS rejected,
        ledger_twice(g.passed | coalesce(m.passed, 0), g.duplicates | coalesce(m.duplicates, 0), g.dropped | coalesce(m.dropped, 0),
            g.rejected | coalesce(m.rejected, 0))
            - ledger_twice(coalesce(m.passed, 0), coalesce(m.duplicates, 0), coalesce(m.dropped, 0), coalesce(m.rejected, 0)) AS twice,
        bit_count((~(g.received | g.emitted | coalesce(m.received | m.emitted, 0))
                & (g.passed | g.duplicates | g.dropped | g.rejected | coalesce(m.passed | m.duplicates | m.dropped | m.rejected, 0)))::bit(64))
            - bit_count((~coalesce(m.received | m.emitted, 0)
                & coalesce(m.passed | m.duplicates | m.dropped | m.rejected, 0))::bit(64)) AS unreceived
    FROM given g LEFT JOIN LATERAL (
        SELECT received, emitted, passed, duplicates, dropped, rejected FROM ledger_marks
        WHERE pipeline = $1 AND tenant_id = g.tenant_id AND frame = g.frame AND part = g.part LIMIT 1) m ON true
), changed AS (
    SELECT * FROM change WHERE received | emitted | passed | duplicates | dropped | rejected <> 0
), written AS (
    INSERT INTO ledger_marks AS m (tenant_id, pipeline, frame, part, received, emitted, passed, duplicates, dropped, rejected)
    SELECT tenant_id, $1, frame, part, received, emitted, passed, duplicates, dropped, rejected FROM changed
    ON CONFLICT (tenant_id, pipeline, frame, part) DO UPDATE SET
        received = m.received | excluded.received, emitted = m.emitted | excluded.emitted, passed = m.passed | excluded.passed,
        duplicates = m.duplicates | excluded.duplicates, dropped = m.dropped | excluded.dropped, rejected = m.rejected | excluded.rejected
)
INSERT INTO ledger_totals AS t (tenant_id, pipeline, received, emitted, passed, duplicates, dropped, rejected, twice, unreceived)
SELECT tenant_id, $1, sum(bit_count(received::bit(64))), sum(bit_count(emitted::bit(64))), sum(bit_count(passed::bit(64))),
    sum(bit_count(duplicates::bit(64))), sum(bit_count(dropped::bit(64))), sum(bit_count(rejected::bit(64))), sum(twice), sum(unreceived)
FROM changed GROUP BY tenant_id
ON CONFLICT (tenant_id, pipeline) DO UPDATE SET
    received = t.received + excluded.received, emitted = t.emitted + excluded.emitted, passed = t.passed + excluded.passed,
    duplicates = t.duplicates + excluded.duplicates, dropped = t.dropped + excluded.dropped, rejected = t.rejected + excluded.rejected,
    twice = t.twice + excluded.twice, unreceived = t.unreceived + excluded.unreceived`
)

// AddLedger enters what became of events of a pipeline, and how they came through its stages, all or nothing.
//
// Invariant 14: what is known already is not counted again.
func (s *Store) AddLedger(ctx context.Context, pipeline string, marks []LedgerMark, duplicates []Duplicate, trails ...Trail) error {
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	batch.Queue(keepPlans) // to plan addMarks takes several times as long as to run it
	walked, err := trailArgs(pipeline, trails)
	if err != nil {
		return err
	}
	if walked != nil { // before the lock, for which others wait
		batch.Queue(insertTrails, walked...)
	}
	if len(marks) > 0 {
		batch.Queue(ledgerLock, pipeline)
		batch.Queue(addMarks, append([]any{pipeline}, markArgs(marks)...)...)
	}
	var copies, drops []Duplicate
	for _, d := range duplicates {
		if d.DroppedAt.IsZero() {
			copies = append(copies, d)
		} else {
			drops = append(drops, d)
		}
	}
	if len(copies) > 0 {
		batch.Queue(insertDuplicates, duplicateArgs(pipeline, copies)...)
	}
	if len(drops) > 0 {
		batch.Queue(insertDrops, dropArgs(pipeline, drops)...)
	}
	if batch.Len() == 2 {
		return nil
	}
	batch.Queue("COMMIT")
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)
	if err := send(ctx, conn, &batch); err != nil {
		return fmt.Errorf("enter %d marks and %d duplicates in the ledger of pipeline %q: %w", len(marks), len(duplicates), pipeline, err)
	}
	return nil
}

// Ended returns, for each mark that is asked for by its frame, part and tenant, the bits of the events that have ended in a
// pipeline, in whatever way.
func (s *Store) Ended(ctx context.Context, pipeline string, asked []LedgerMark) ([]uint64, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
SELECT coalesce(m.passed | m.duplicates | m.dropped | m.rejected, 0)
FROM unnest($2::text[], $3::uuid[], $4::int[]) WITH ORDINALITY AS a (tenant_id, frame, part, place)
LEFT JOIN ledger_marks m ON m.pipeline = $1 AND m.tenant_id = a.tenant_id AND m.frame = a.frame AND m.part = a.part
ORDER BY a.place`, pipeline,
		column(asked, func(m LedgerMark) string { return storable(m.TenantID) }),
		column(asked, func(m LedgerMark) uuid.UUID { return m.Frame }),
		column(asked, func(m LedgerMark) int32 { return m.Part }))
	if err != nil {
		return nil, fmt.Errorf("read ledger of pipeline %q: %w", pipeline, err)
	}
	ended, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (uint64, error) {
		var bits int64
		err := row.Scan(&bits)
		return uint64(bits), err //nolint:gosec // Bits, not a number.
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger of pipeline %q: %w", pipeline, err)
	}
	return ended, nil
}

func markArgs(marks []LedgerMark) []any {
	bits := func(of func(LedgerMark) uint64) []int64 {
		return column(marks, func(m LedgerMark) int64 { return int64(of(m)) }) //nolint:gosec // Bits, not a number.
	}
	return []any{
		column(marks, func(m LedgerMark) string { return storable(m.TenantID) }),
		column(marks, func(m LedgerMark) uuid.UUID { return m.Frame }),
		column(marks, func(m LedgerMark) int32 { return m.Part }),
		bits(func(m LedgerMark) uint64 { return m.Received }),
		bits(func(m LedgerMark) uint64 { return m.Emitted }),
		bits(func(m LedgerMark) uint64 { return m.Passed }),
		bits(func(m LedgerMark) uint64 { return m.Duplicates }),
		bits(func(m LedgerMark) uint64 { return m.Dropped }),
		bits(func(m LedgerMark) uint64 { return m.Rejected }),
	}
}

// Balance returns how a tenant's pipelines stand, in the order of their names. What processes know and have not yet entered is
// not in it: that waits in the pipelines' ledger topics.
func (s *Store) Balance(ctx context.Context, tenant string) ([]Balance, error) {
	balances, err := readAs(ctx, s, tenant, scanBalance, `
SELECT pipeline, received, emitted, passed, duplicates, dropped, rejected, twice, unreceived FROM ledger_totals
WHERE tenant_id = $1 ORDER BY pipeline`, tenant)
	if err != nil {
		return nil, fmt.Errorf("read balance: %w", err)
	}
	return balances, nil
}

func scanBalance(row pgx.CollectableRow) (b Balance, err error) {
	err = row.Scan(&b.Pipeline, &b.Received, &b.Emitted, &b.Passed, &b.Duplicates, &b.Dropped, &b.DeadLettered, &b.Twice, &b.Unreceived)
	b.InFlight = b.Received + b.Emitted + b.Twice + b.Unreceived - b.Passed - b.Duplicates - b.Dropped - b.DeadLettered
	return b, err
}

const (
	// ledgerDays is how long a complete mark is kept. What is delivered again later than that is counted again, and so it is
	// longer than a frame can be under way after all of its events have ended: it lacks only its acknowledgement.
	ledgerDays = 7
	// duplicateDays is how long duplicates are explained.
	duplicateDays = 92

	pruneChunk = 10_000

	// A mark that is not complete stays: it is what is in flight, or lost.
	pruneMarks = `
DELETE FROM ledger_marks WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ledger_marks
    WHERE noted_on < ($1::timestamptz AT TIME ZONE 'UTC')::date - $2::int
        AND received | emitted = passed | duplicates | dropped | rejected
    LIMIT $3))`

	pruneDrops = `
DELETE FROM drops WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM drops WHERE received_at < $1::timestamptz - make_interval(days => $2::int) LIMIT $3))`

	pruneDuplicates = `
DELETE FROM duplicates WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM duplicates WHERE received_at < $1::timestamptz - make_interval(days => $2::int) LIMIT $3))`
)

// PruneLedger removes marks that are complete and more than a week old, duplicates of more than three months ago, and how events came through
// the stages more than a month ago. The
// balance stays as it is. Call it every hour; several processes may do so at once.
func (s *Store) PruneLedger(ctx context.Context, now time.Time) error {
	for _, old := range []struct {
		sql  string
		days int
	}{
		{pruneMarks, ledgerDays}, {pruneDuplicates, duplicateDays}, {pruneDrops, duplicateDays}, {pruneTrails, trailDays},
	} {
		for {
			// Piece by piece, so that nobody waits long for a row.
			n, err := s.pruneSome(ctx, old.sql, now, old.days)
			if err != nil {
				return fmt.Errorf("prune ledger: %w", err)
			}
			if n == 0 {
				break
			}
		}
	}
	return nil
}

func (s *Store) pruneSome(ctx context.Context, sql string, now time.Time, days int) (int64, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, sql, now, days, pruneChunk)
	return tag.RowsAffected(), err
}
