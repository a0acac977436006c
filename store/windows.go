package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// WindowOwner says whose windows are meant: those of one stage of one pipeline, in whatever process it runs.
type WindowOwner struct{ Pipeline, Stage string }

// Window is a span of time in which the events of a key are aggregated.
type Window struct {
	// ID is a digest of all that tells the window from others: its owner, tenant, key and span.
	ID [32]byte
	// TenantID says whose events are in the window.
	TenantID string
	// Start and End are the span, to the microsecond. End is exclusive.
	Start, End time.Time
	// ClosesAt is from when on nobody joins.
	ClosesAt time.Time
	// About is what the owner must know to make something of the window: kept as it was given first.
	About []byte
}

// WindowMember is an event that is in a window.
type WindowMember struct {
	// Window is the ID of the window.
	Window [32]byte
	// UID identifies the event.
	UID uuid.UUID
	// Value is what the event brings to the window: kept as it was given first.
	Value []byte
}

// WindowLease says who takes windows, and for how long nobody else is to.
type WindowLease struct {
	// Holder is the same for as long as the process that takes the windows lives.
	Holder uuid.UUID
	// For is how long it has, unless it asks again.
	For time.Duration
}

// Whoever joins holds a share of the window's row until all it brings is committed, and whoever closes the window passes over
// rows that others hold (DueWindows). So an event has joined before its window is closed, or finds it closed: joinInsert is a
// statement of its own because it must see what was committed while joinHold waited. Windows that are missing are made in the
// order of their ids, so that makers never wait for each other in a circle.
const (
	joinMake = `
INSERT INTO aggregate_windows (id, tenant_id, pipeline, stage, window_start, window_end, closes_at, about)
SELECT id, tenant_id, $1, $2, window_start, window_end, closes_at, about
FROM unnest($3::bytea[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::bytea[])
    AS w (id, tenant_id, window_start, window_end, closes_at, about)
ORDER BY id
ON CONFLICT DO NOTHING`

	joinHold = `SELECT FROM aggregate_windows WHERE id = ANY($1::bytea[]) ORDER BY id FOR SHARE`

	joinInsert = `
INSERT INTO aggregate_members (window_id, uid, value)
SELECT m.window_id, m.uid, m.value
FROM unnest($1::bytea[], $2::uuid[], $3::bytea[]) AS m (window_id, uid, value)
    JOIN aggregate_windows w ON w.id = m.window_id
WHERE w.closed_at IS NULL
ORDER BY m.window_id, m.uid
ON CONFLICT DO NOTHING`

	joinRead = `
SELECT EXISTS (SELECT FROM aggregate_members held WHERE held.window_id = m.window_id AND held.uid = m.uid)
FROM unnest($1::bytea[], $2::uuid[]) WITH ORDINALITY AS m (window_id, uid, position)
ORDER BY m.position`
)

// JoinWindows has events join windows, which are made if need be, and reports of each member whether it is in its window: since
// this call or since an earlier one. A window that is closed, by now or by DueWindows, takes nobody. All joins of a call come
// about or, with an error, it is not known whether any did: the call may be repeated. It is one transaction in one round trip.
func (s *Store) JoinWindows(ctx context.Context, owner WindowOwner, now time.Time, windows []Window, members []WindowMember) ([]bool, error) {
	if len(members) == 0 {
		return nil, nil
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)

	open, joining := stillOpen(now, windows, members)
	joined := make([]bool, 0, len(members))
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	if len(joining) > 0 {
		ids := column(open, func(w Window) []byte { return w.ID[:] })
		batch.Queue(joinMake, owner.Pipeline, owner.Stage, ids,
			column(open, func(w Window) string { return storable(w.TenantID) }),
			column(open, func(w Window) time.Time { return w.Start }),
			column(open, func(w Window) time.Time { return w.End }),
			column(open, func(w Window) time.Time { return w.ClosesAt }),
			column(open, func(w Window) []byte { return append([]byte{}, w.About...) }))
		batch.Queue(joinHold, ids)
		batch.Queue(joinInsert,
			column(joining, func(m WindowMember) []byte { return m.Window[:] }),
			column(joining, func(m WindowMember) uuid.UUID { return m.UID }),
			column(joining, func(m WindowMember) []byte { return append([]byte{}, m.Value...) }))
	}
	batch.Queue(joinRead,
		column(members, func(m WindowMember) []byte { return m.Window[:] }),
		column(members, func(m WindowMember) uuid.UUID { return m.UID }),
	).Query(func(rows pgx.Rows) (err error) {
		joined, err = pgx.AppendRows(joined, rows, pgx.RowTo[bool])
		return err
	})
	batch.Queue("COMMIT")
	if err := send(ctx, conn, &batch); err != nil {
		return nil, fmt.Errorf("have %d events join windows: %w", len(members), err)
	}
	return joined, nil
}

// stillOpen returns the windows that are open by the clock, each once in the order of their ids, and who is to join them.
func stillOpen(now time.Time, windows []Window, members []WindowMember) (open []Window, joining []WindowMember) {
	isOpen := make(map[[32]byte]bool, len(windows))
	for _, w := range windows {
		if now.Before(w.ClosesAt) && !isOpen[w.ID] {
			isOpen[w.ID] = true
			open = append(open, w)
		}
	}
	slices.SortFunc(open, func(a, b Window) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, m := range members {
		if isOpen[m.Window] {
			joining = append(joining, m)
		}
	}
	return open, joining
}

// A row that is held, by somebody who joins the window or takes it as well, is passed over: it is due again the next time.
const takeDue = `
WITH due AS MATERIALIZED (
    SELECT id FROM aggregate_windows
    WHERE pipeline = $1 AND stage = $2 AND sent_at IS NULL AND closes_at <= $3
        AND (holder IS NULL OR holder = $4 OR held_until <= $3)
    ORDER BY closes_at, id
    LIMIT $6
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE aggregate_windows w
SET closed_at = coalesce(w.closed_at, $3), holder = $4, held_until = $3::timestamptz + $5::interval
FROM due WHERE w.id = due.id
RETURNING w.id, w.tenant_id, w.window_start, w.window_end, w.closes_at, w.about`

// DueWindows closes the windows whose time has come, the first to close first, takes them for the lease's holder and returns
// them, limit at most. What a holder has taken and not sent is returned to it again; others get it when the lease is over.
func (s *Store) DueWindows(ctx context.Context, owner WindowOwner, lease WindowLease, now time.Time, limit int) ([]Window, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, takeDue, owner.Pipeline, owner.Stage, now, lease.Holder, lease.For, limit)
	if err != nil {
		return nil, fmt.Errorf("take windows: %w", err)
	}
	windows, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Window, err error) {
		var id []byte
		err = row.Scan(&id, &w.TenantID, &w.Start, &w.End, &w.ClosesAt, &w.About)
		copy(w.ID[:], id)
		w.Start, w.End, w.ClosesAt = w.Start.UTC(), w.End.UTC(), w.ClosesAt.UTC()
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("take windows: %w", err)
	}
	slices.SortFunc(windows, func(a, b Window) int {
		if c := a.ClosesAt.Compare(b.ClosesAt); c != 0 {
			return c
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return windows, nil
}

// Members are read in pages, so that no statement takes longer with the size of a window: the first of each window in one go,
// the others of those that have more one by one.
const (
	firstMembers = 1000
	moreMembers  = 10_000

	readFirstMembers = `
SELECT m.window_id, m.uid, m.value
FROM unnest($1::bytea[]) AS w (id)
    CROSS JOIN LATERAL (SELECT * FROM aggregate_members WHERE window_id = w.id ORDER BY uid LIMIT $2) AS m`

	readMoreMembers = `
SELECT window_id, uid, value FROM aggregate_members WHERE window_id = $1 AND uid > $2 ORDER BY uid LIMIT $3`
)

// EachWindowMember calls visit for every member of windows, in no particular order. A member's Value is good until visit returns.
// An error of visit ends it.
func (s *Store) EachWindowMember(ctx context.Context, windows [][32]byte, visit func(WindowMember) error) error {
	ids := column(windows, func(id [32]byte) []byte { return id[:] })
	seen := make(map[[32]byte]int, len(windows))
	last := make(map[[32]byte]uuid.UUID)
	err := s.eachMember(ctx, func(m WindowMember) error {
		seen[m.Window]++
		if before := last[m.Window]; bytes.Compare(m.UID[:], before[:]) > 0 {
			last[m.Window] = m.UID
		}
		return visit(m)
	}, readFirstMembers, ids, firstMembers)
	if err != nil {
		return err
	}
	for id, n := range seen {
		after := last[id]
		for n >= firstMembers {
			n = 0
			err := s.eachMember(ctx, func(m WindowMember) error {
				n, after = n+1, m.UID
				return visit(m)
			}, readMoreMembers, id[:], after, moreMembers)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) eachMember(ctx context.Context, visit func(WindowMember) error, sql string, args ...any) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("read members of windows: %w", err)
	}
	var (
		m  WindowMember
		id []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &m.UID, &m.Value}, func() error {
		copy(m.Window[:], id)
		return visit(m)
	})
	if err != nil {
		return fmt.Errorf("read members of windows: %w", err)
	}
	return nil
}

const markSent = `UPDATE aggregate_windows SET sent_at = $2 WHERE id = ANY($1::bytea[]) AND closed_at IS NOT NULL AND sent_at IS NULL`

// SentWindows says that what came of windows was sent: they are no longer due.
func (s *Store) SentWindows(ctx context.Context, now time.Time, windows [][32]byte) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if _, err := s.pool.Exec(ctx, markSent, column(windows, func(id [32]byte) []byte { return id[:] }), now); err != nil {
		return fmt.Errorf("mark %d windows as sent: %w", len(windows), err)
	}
	return nil
}

const (
	lockSent = `
SELECT id FROM aggregate_windows WHERE pipeline = $1 AND stage = $2 AND sent_at <= $3 ORDER BY sent_at LIMIT $4
FOR UPDATE SKIP LOCKED`

	// deleteMembers deletes by place, as members never change theirs.
	deleteMembers = `
DELETE FROM aggregate_members WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM aggregate_members WHERE window_id = ANY($1::bytea[]) LIMIT $2))`

	deleteWindows = `DELETE FROM aggregate_windows WHERE id = ANY($1::bytea[])`
)

// PruneWindows forgets windows that were sent by an instant, with their members, limit at most, and returns how many. Several
// processes may do so at once.
func (s *Store) PruneWindows(ctx context.Context, owner WindowOwner, sentBy time.Time, limit int) (int, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	pruned := 0
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockSent, owner.Pipeline, owner.Stage, sentBy, limit)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil || len(ids) == 0 {
			return err
		}
		for deleted := int64(moreMembers); deleted == moreMembers; {
			tag, err := tx.Exec(ctx, deleteMembers, ids, moreMembers)
			if err != nil {
				return err
			}
			deleted = tag.RowsAffected()
		}
		pruned = len(ids)
		_, err = tx.Exec(ctx, deleteWindows, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget windows: %w", err)
	}
	return pruned, nil
}
