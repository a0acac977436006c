package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// partition is one part of a partitioned table. Names and bounds are made here and hold nothing that needs quoting.
type partition struct {
	parent, name string
	from, to     string // bounds as SQL literals; to is exclusive
	// fallback is the default partition of the parent, which may hold rows of this one; empty when there is none.
	fallback string
	// appendOnly has TRUNCATE refused.
	appendOnly bool
}

// EnsurePartitions makes the partitions that events and claims around now need: the months from the previous to the one after
// next, and the days from yesterday to the day after tomorrow. It drops the days of claims that are past their retention.
// Call it at start and every hour; several processes may do so at once.
func (s *Store) EnsurePartitions(ctx context.Context, now time.Time) error {
	now = now.UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for ahead := -1; ahead <= 2; ahead++ {
		if err := s.ensurePartition(ctx, eventPartition(month.AddDate(0, ahead, 0))); err != nil {
			return err
		}
	}
	for ahead := -1; ahead <= 2; ahead++ {
		if err := s.ensurePartition(ctx, claimPartition(now.AddDate(0, 0, ahead))); err != nil {
			return err
		}
	}
	return s.dropClaimsBefore(ctx, now.Add(-s.config.ClaimRetention))
}

// eventPartition is the partition of event_store for the month that begins at start.
func eventPartition(start time.Time) partition {
	return partition{
		parent: "event_store", name: start.Format("event_store_2006_01"), fallback: "event_store_default", appendOnly: true,
		from: quote(firstUUIDv7(start).String()), to: quote(firstUUIDv7(start.AddDate(0, 1, 0)).String()),
	}
}

const claimPartitionLayout = "dedupe_claims_2006_01_02"

// claimPartition is the partition of dedupe_claims for a day in UTC.
func claimPartition(day time.Time) partition {
	return partition{
		parent: "dedupe_claims", name: day.Format(claimPartitionLayout),
		from: quote(day.Format(time.DateOnly)), to: quote(day.AddDate(0, 0, 1).Format(time.DateOnly)),
	}
}

func quote(literal string) string { return "'" + literal + "'" }

// firstUUIDv7 returns the smallest UUIDv7 (RFC 9562, section 5.7) of an instant: its milliseconds, then the version and the
// variant, then zeros.
func firstUUIDv7(at time.Time) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	id[6], id[8] = 0x70, 0x80
	return id
}

// partitionLock serializes the making and dropping of partitions, so that two processes do not fail on each other.
const partitionLock = "SELECT pg_advisory_xact_lock(hashtextextended('rastro.partitions', 0))"

// partitionExists asks the catalogue itself: to_regclass may answer from a cache that is older than partitionLock.
const partitionExists = `
SELECT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = $1::text::regclass AND relname = $2)`

func (s *Store) ensurePartition(ctx context.Context, p partition) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var exists bool
	if err := s.pool.QueryRow(ctx, partitionExists, p.parent, p.name).Scan(&exists); err != nil {
		return fmt.Errorf("look for partition %s: %w", p.name, err)
	}
	if exists {
		return nil
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Attaching needs only a weak lock on the parent, but must wait for readers of the fallback; writers must not pile up
		// behind that wait, so it is cut short and tried again in an hour.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '3s'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, partitionLock); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, partitionExists, p.parent, p.name).Scan(&exists); err != nil || exists {
			return err
		}
		return p.create(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("make partition %s: %w", p.name, err)
	}
	return nil
}

// create makes the partition and moves to it what the fallback holds of it.
func (p partition) create(ctx context.Context, tx pgx.Tx) error {
	statements := []string{fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)", p.name, p.parent)}
	if p.appendOnly {
		statements = append(statements, fmt.Sprintf("CREATE TRIGGER event_store_no_truncate BEFORE TRUNCATE ON %s "+
			"FOR EACH STATEMENT EXECUTE FUNCTION event_store_refuse()", p.name))
	}
	if p.fallback != "" {
		var occupied bool
		if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s WHERE uid >= %s AND uid < %s)",
			p.fallback, p.from, p.to)).Scan(&occupied); err != nil {
			return err
		}
		if occupied {
			// Not a change of any event: each is in its new place before it leaves the old one, and only the owner can do it.
			statements = append(statements,
				fmt.Sprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", p.fallback),
				fmt.Sprintf("INSERT INTO %s SELECT * FROM %s WHERE uid >= %s AND uid < %s", p.name, p.fallback, p.from, p.to),
				fmt.Sprintf("ALTER TABLE %s DISABLE TRIGGER event_store_append_only", p.fallback),
				fmt.Sprintf("DELETE FROM %s WHERE uid >= %s AND uid < %s", p.fallback, p.from, p.to),
				fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER event_store_append_only", p.fallback))
		}
	}
	statements = append(statements, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
		p.parent, p.name, p.from, p.to))
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// dropClaimsBefore drops the days of claims that ended before an instant.
func (s *Store) dropClaimsBefore(ctx context.Context, before time.Time) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx,
		"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'dedupe_claims'::regclass")
	if err != nil {
		return fmt.Errorf("list claim partitions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list claim partitions: %w", err)
	}
	for _, name := range names {
		day, err := time.Parse(claimPartitionLayout, name)
		if err != nil || day.AddDate(0, 0, 1).After(before) {
			continue // Somebody else's partition, or still needed.
		}
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			_, lockErr := tx.Exec(ctx, "SET LOCAL lock_timeout = '3s'")
			_, orderErr := tx.Exec(ctx, partitionLock)
			if err := errors.Join(lockErr, orderErr); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+pgx.Identifier{name}.Sanitize())
			return err
		})
		if err != nil {
			return fmt.Errorf("drop partition %s: %w", name, err)
		}
	}
	return nil
}
