package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// partitionDrop is the transaction that drops a month. Everything that takes long is done while nobody but writers of that month waits;
// event_store itself is locked only for the moment in which the partition leaves it.
type partitionDrop struct {
	*retainer

	month  month
	counts []RetentionCount
	reason string // why it is held up
}

const (
	// retention_journeys are the journeys with rows in the partition: how many, and how many they have elsewhere.
	makeJourneys = `
CREATE TEMPORARY TABLE retention_journeys ON COMMIT DROP AS
SELECT tenant_id, correlation_id, count(*) AS here, 0::bigint AS elsewhere, max(received_at) AS last FROM %s GROUP BY tenant_id, correlation_id`

	lockJourneys = `
SELECT count(*) FROM (
    SELECT FROM traces t JOIN retention_journeys j USING (tenant_id, correlation_id) ORDER BY t.tenant_id, t.correlation_id FOR UPDATE OF t) l`

	// retention_straddlers are those that have more rows than are here. It is a table so that the planner knows how few they are.
	makeStraddlers = `
CREATE TEMPORARY TABLE retention_straddlers ON COMMIT DROP AS
SELECT j.tenant_id, j.correlation_id FROM retention_journeys j JOIN traces t USING (tenant_id, correlation_id) WHERE j.here <> ` + chained

	countElsewhere = `
UPDATE retention_journeys j SET elsewhere = o.rows, last = greatest(j.last, o.last)
FROM (
    SELECT e.tenant_id, e.correlation_id, count(*) AS rows, max(e.received_at) AS last
    FROM event_store e JOIN retention_straddlers s USING (tenant_id, correlation_id)
    WHERE e.uid < $1 OR e.uid >= $2
    GROUP BY e.tenant_id, e.correlation_id
) o
WHERE j.tenant_id = o.tenant_id AND j.correlation_id = o.correlation_id`

	sumJourneys = `
SELECT j.tenant_id, t.kind, count(*), sum(j.here + j.elsewhere)::bigint, max(greatest(j.last, t.updated_at)),
    max(j.correlation_id) FILTER (WHERE t.tenant_id IS NULL)
FROM retention_journeys j LEFT JOIN traces t USING (tenant_id, correlation_id)
GROUP BY j.tenant_id, t.kind ORDER BY j.tenant_id, t.kind`

	miscounted = `
SELECT j.tenant_id, j.correlation_id, j.here + j.elsewhere, ` + chained + `
FROM retention_journeys j JOIN traces t USING (tenant_id, correlation_id) WHERE j.here + j.elsewhere <> ` + chained + ` LIMIT 100`

	epochsDropped = `
SELECT tenant_id, chain_epoch FROM %s WHERE chain_epoch IS NOT NULL GROUP BY tenant_id, chain_epoch
UNION
SELECT e.tenant_id, e.chain_epoch FROM event_store e JOIN retention_straddlers s USING (tenant_id, correlation_id)
WHERE e.chain_epoch IS NOT NULL AND (e.uid < $1 OR e.uid >= $2)`

	hashesDropped = `
SELECT e.tenant_id, e.chain_epoch, e.chain_hash, e.uid >= $3 AND e.uid < $4 OR s.tenant_id IS NOT NULL
FROM event_store e JOIN unnest($1::text[], $2::bigint[]) AS k (tenant_id, chain_epoch) USING (tenant_id, chain_epoch)
LEFT JOIN retention_straddlers s ON s.tenant_id = e.tenant_id AND s.correlation_id = e.correlation_id
WHERE e.chain_epoch BETWEEN $5 AND $6
ORDER BY e.tenant_id, e.chain_epoch, e.chain_hash`

	deletePeopleElsewhere = `
DELETE FROM personal_data p USING event_store e, retention_straddlers s
WHERE e.tenant_id = s.tenant_id AND e.correlation_id = s.correlation_id AND p.uid = e.uid
    AND (e.uid < $1 OR e.uid >= $2)`

	deleteElsewhere = `
DELETE FROM event_store e USING retention_straddlers s
WHERE e.tenant_id = s.tenant_id AND e.correlation_id = s.correlation_id AND s.tenant_id = $3
    AND (e.uid < $1 OR e.uid >= $2)`

	deletePeopleHere = `DELETE FROM personal_data WHERE uid >= $1 AND uid < $2`

	deleteJourneyFacets = `
DELETE FROM trace_facets f USING retention_journeys j WHERE f.tenant_id = j.tenant_id AND f.correlation_id = j.correlation_id`

	deleteJourneys = `
DELETE FROM traces t USING retention_journeys j WHERE t.tenant_id = j.tenant_id AND t.correlation_id = j.correlation_id`
)

func (d *partitionDrop) run(ctx context.Context, tx pgx.Tx) error {
	if err := cutWork(ctx, tx); err != nil {
		return err
	}
	// Before any trace is locked: who seals waits for writers, who wait for traces.
	for _, sql := range []string{auditLock, "LOCK TABLE " + d.month.name + " IN SHARE MODE", fmt.Sprintf(makeJourneys, d.month.name),
		"ALTER TABLE retention_journeys ADD PRIMARY KEY (tenant_id, correlation_id)", "ANALYZE retention_journeys"} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	if err := d.lock(ctx, tx); err != nil {
		return err
	}
	seals, err := d.reseal(ctx, tx)
	if err != nil {
		return err
	}
	if err := d.cut(ctx, tx, seals); err != nil {
		return err
	}
	return d.detach(ctx, tx)
}

// lock locks the journeys, and gives up when not all of them are over and as they were stored.
func (d *partitionDrop) lock(ctx context.Context, tx pgx.Tx) error {
	var locked int64
	if err := tx.QueryRow(ctx, lockJourneys).Scan(&locked); err != nil {
		return fmt.Errorf("lock journeys: %w", err)
	}
	for _, sql := range []string{makeStraddlers, "ANALYZE retention_straddlers"} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("look for rows elsewhere: %w", err)
		}
	}
	first, after := d.month.uidBounds()
	if _, err := tx.Exec(ctx, countElsewhere, first, after); err != nil {
		return fmt.Errorf("look for rows elsewhere: %w", err)
	}
	var err error
	if d.counts, d.reason, err = d.sumUp(ctx, tx, sumJourneys); err != nil {
		return err
	}
	if d.reason != "" {
		return errHeldUp
	}
	if d.AcceptFindings {
		return nil
	}
	rows, err := tx.Query(ctx, miscounted)
	if err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	var tenant, correlation string
	var there, expected int64
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &correlation, &there, &expected}, func() error {
		d.find(tenant, correlation, keptForCount, there, expected)
		d.reason = "journeys in it are not as they were stored"
		return nil
	}); err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	if d.reason != "" {
		return errHeldUp
	}
	return nil
}

// reseal returns the seals of what will be left of the epochs that what is cut was written in.
func (d *partitionDrop) reseal(ctx context.Context, tx pgx.Tx) ([]Seal, error) {
	first, after := d.month.uidBounds()
	rows, err := tx.Query(ctx, fmt.Sprintf(epochsDropped, d.month.name), first, after)
	if err != nil {
		return nil, fmt.Errorf("list epochs: %w", err)
	}
	epochs := map[sealedEpoch]bool{}
	var at sealedEpoch
	if _, err := pgx.ForEachRow(rows, []any{&at.tenant, &at.epoch}, func() error {
		epochs[at] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list epochs: %w", err)
	}
	last, err := lastSealsOf(ctx, tx, epochs)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	tenants, numbers := make([]string, 0, len(last)), make([]int64, 0, len(last))
	for at := range last {
		tenants, numbers = append(tenants, at.tenant), append(numbers, at.epoch)
	}
	if rows, err = tx.Query(ctx, hashesDropped, tenants, numbers, first, after, slices.Min(numbers), slices.Max(numbers)); err != nil {
		return nil, fmt.Errorf("read hashes: %w", err)
	}
	seals, unsound, err := reseal(rows, last)
	if err != nil {
		return nil, err
	}
	if len(unsound) > 0 && !d.AcceptFindings {
		d.keep(unsound)
		d.reason = "rows in it are not those that were sealed"
		return nil, errUnsound
	}
	return seals, nil
}

// cut notes what is cut, tenant by tenant, and deletes all of it but the partition.
func (d *partitionDrop) cut(ctx context.Context, tx pgx.Tx, seals []Seal) error {
	first, after := d.month.uidBounds()
	if _, err := tx.Exec(ctx, deletePeopleElsewhere, first, after); err != nil {
		return fmt.Errorf("delete personal data: %w", err)
	}
	for i, c := range d.counts {
		c.Partition = d.month.name
		var own []Seal
		if i == 0 || d.counts[i-1].TenantID != c.TenantID {
			own = sealsOfTenant(seals, c.TenantID)
		}
		if err := d.noteCut(ctx, tx, c, own); err != nil {
			return err
		}
		if i+1 < len(d.counts) && d.counts[i+1].TenantID == c.TenantID {
			continue
		}
		if err := d.announceLatest(ctx, tx, c.TenantID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteElsewhere, first, after, c.TenantID); err != nil {
			return fmt.Errorf("delete rows elsewhere: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, deletePeopleHere, first, after); err != nil {
		return fmt.Errorf("delete personal data: %w", err)
	}
	for _, sql := range []string{deleteJourneyFacets, deleteJourneys} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("delete journeys: %w", err)
		}
	}
	return nil
}

// announceLatest has event_store let go all rows of a tenant that any of its cuts in this transaction lets go.
func (d *partitionDrop) announceLatest(ctx context.Context, tx pgx.Tx, tenant string) error {
	_, err := tx.Exec(ctx, `
SELECT set_config('rastro.retention_cut', id::text, true) FROM retention_cuts
WHERE tenant_id = $1 AND xid = pg_current_xact_id() ORDER BY before DESC LIMIT 1`, tenant)
	if err != nil {
		return fmt.Errorf("announce the cut: %w", err)
	}
	return nil
}

func sealsOfTenant(seals []Seal, tenant string) []Seal {
	var own []Seal
	for _, seal := range seals {
		if seal.TenantID == tenant {
			own = append(own, seal)
		}
	}
	return own
}

const (
	// detachTries is how often the lock on event_store is asked for, for detachWait each: writers wait behind whoever asks for it.
	detachTries = 30
	detachWait  = "500ms"
	detachPause = time.Second
)

// detach takes the partition out of event_store and drops it. Readers and writers of events are kept out only now.
func (d *partitionDrop) detach(ctx context.Context, tx pgx.Tx) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			for _, sql := range []string{
				"SET LOCAL lock_timeout = '" + detachWait + "'", partitionLock, "LOCK TABLE event_store IN ACCESS EXCLUSIVE MODE",
				"ALTER TABLE event_store DETACH PARTITION " + d.month.name, "DROP TABLE " + d.month.name,
			} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		})
		// Not to be had in time, or two waited for each other.
		if state := sqlState(err); try == detachTries || state != "55P03" && state != "40P01" {
			if err != nil {
				return fmt.Errorf("take it out of event_store: %w", err)
			}
			return nil
		}
		select {
		case <-time.After(detachPause):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}
