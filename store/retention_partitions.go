package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const eventPartitionLayout = "event_store_2006_01"

// listPartitions asks the catalogue for the partitions of events.
const listPartitions = `
SELECT relname::text FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'event_store'::regclass ORDER BY relname`

// month is a partition of event_store.
type month struct {
	name     string
	from, to time.Time
}

// months returns the partitions that are months, the oldest first.
func (s *Store) months(ctx context.Context) ([]month, error) {
	rows, err := s.pool.Query(ctx, listPartitions)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	var months []month
	for _, name := range names {
		// Names that are months in any other way are somebody else's.
		if from, err := time.Parse(eventPartitionLayout, name); err == nil && eventPartition(from).name == name {
			months = append(months, month{name, from, from.AddDate(0, 1, 0)})
		}
	}
	return months, nil
}

// partitions drops the partitions of which everything is over. It returns the spans of those that wait to be dropped.
func (w *retainer) partitions(ctx context.Context) (waiting []timeSpan, err error) {
	months, err := w.store.months(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range months {
		if w.Now.Before(m.to) {
			continue // it is still being written
		}
		p, due, err := w.plan(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("partition %s: %w", m.name, err)
		}
		if p.Action == "" {
			continue
		}
		if p.Action == PartitionDropped && !w.DryRun {
			if p, err = w.drop(ctx, m, p, due); err != nil {
				return nil, fmt.Errorf("drop partition %s: %w", m.name, err)
			}
		}
		if p.Action == PartitionWaits {
			waiting = append(waiting, timeSpan{m.from, m.to})
		}
		w.report.Partitions = append(w.report.Partitions, p)
	}
	return waiting, nil
}

// plan says what is to become of a month. due is when what is over in it is deleted by row if it could not be dropped.
func (w *retainer) plan(ctx context.Context, m month) (p PartitionRetention, due time.Time, err error) {
	p = PartitionRetention{Name: m.name, From: m.from, To: m.to}
	rows, err := w.store.pool.Query(ctx, fmt.Sprintf(tenantsStored, m.name))
	if err != nil {
		return p, due, fmt.Errorf("list tenants: %w", err)
	}
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return p, due, fmt.Errorf("list tenants: %w", err)
	}
	if len(tenants) == 0 {
		// EnsurePartitions makes the month before this one.
		if m.to.AddDate(0, 1, 0).Before(w.Now) {
			p.Action, p.Reason = PartitionDropped, "it is empty"
		}
		return p, due, nil
	}
	var begins, ends time.Time // when the first is over, and all are
	for _, tenant := range tenants {
		shortest, longest := w.policy.of(tenant).days()
		if shortest != 0 {
			if at := m.from.AddDate(0, 0, shortest); begins.IsZero() || at.Before(begins) {
				begins = at
			}
		}
		if longest == 0 {
			ends = endless
		} else if at := m.to.AddDate(0, 0, longest); at.After(ends) {
			ends = at
		}
	}
	if begins.IsZero() || w.Now.Before(begins) {
		return p, due, nil // nothing of it can be over
	}
	due = begins.Add(w.Grace)
	switch {
	case !w.Now.Before(ends):
		p.Action, p.Until = PartitionDropped, due
		reason, err := w.holdUp(ctx, m, &p)
		if err != nil || reason == "" {
			return p, due, err
		}
		return w.heldUp(p, due, reason), due, nil
	case !due.Before(ends) && w.Now.Before(due):
		p.Action, p.Until, p.Reason = PartitionWaits, ends, "all of it is over then"
	default:
		p.Action, p.Reason = PartitionRows, "others keep what is in it longer"
	}
	return p, due, nil
}

// endless is when what is kept for ever is over.
var endless = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // A constant.

// heldUp is what becomes of a month that would be dropped and cannot be.
func (w *retainer) heldUp(p PartitionRetention, due time.Time, reason string) PartitionRetention {
	p.Action, p.Reason, p.Until, p.Traces, p.Events = PartitionRows, reason, time.Time{}, 0, 0
	if w.Now.Before(due) {
		p.Action, p.Until = PartitionWaits, due
	}
	return p
}

// journeysOf sums up the journeys with rows in a partition.
const journeysOf = `
SELECT p.tenant_id, t.kind, count(*), sum(p.rows)::bigint, max(greatest(p.last, t.updated_at)), max(p.correlation_id) FILTER (WHERE t.tenant_id IS NULL)
FROM (SELECT tenant_id, correlation_id, count(*) AS rows, max(received_at) AS last FROM %s GROUP BY tenant_id, correlation_id) p
LEFT JOIN traces t USING (tenant_id, correlation_id)
GROUP BY p.tenant_id, t.kind ORDER BY p.tenant_id, t.kind`

// holdUp counts what is in a month and says why it cannot be dropped; nothing when it can.
func (w *retainer) holdUp(ctx context.Context, m month, p *PartitionRetention) (reason string, err error) {
	var counts []RetentionCount
	err = w.longRead(ctx, func(tx pgx.Tx) error {
		counts, reason, err = w.sumUp(ctx, tx, fmt.Sprintf(journeysOf, m.name))
		return err
	})
	if err != nil || reason != "" {
		return reason, err
	}
	p.Traces, p.Events = 0, 0
	for _, c := range counts {
		p.Traces += c.Traces
		p.Events += c.Events
	}
	return "", nil
}

// sumUp counts the journeys that a query sums up as journeysOf does, and says why they cannot all be cut.
func (w *retainer) sumUp(ctx context.Context, tx pgx.Tx, sql string) (counts []RetentionCount, reason string, err error) {
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return nil, "", fmt.Errorf("sum up journeys: %w", err)
	}
	var tenant string
	var kind, unlisted *string
	var traces, events int64
	var last time.Time
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &kind, &traces, &events, &last, &unlisted}, func() error {
		if unlisted != nil {
			reason = fmt.Sprintf("journey %q of tenant %q has events and no row in traces: `rastro audit verify` says more", *unlisted, tenant)
			if !w.AcceptFindings {
				w.find(tenant, *unlisted, "the journey has events and no row in traces: `rastro audit verify` says more; it is kept")
			}
			return nil
		}
		rule := w.policy.of(tenant).of(*kind)
		if !rule.over(last) && reason == "" {
			reason = fmt.Sprintf("journeys of tenant %q are not over: an event was received at %s", tenant, last.UTC().Format(time.RFC3339))
		}
		// Kinds without a rule of their own are one.
		same := func(c RetentionCount) bool { return c.TenantID == tenant && c.Kind == rule.kind }
		if i := slices.IndexFunc(counts, same); i >= 0 {
			counts[i].Traces += traces
			counts[i].Events += events
		} else {
			counts = append(counts, RetentionCount{TenantID: tenant, Kind: rule.kind, Days: rule.days, Before: rule.before, Traces: traces, Events: events})
		}
		kind, unlisted = nil, nil
		return nil
	}); err != nil {
		return nil, "", fmt.Errorf("sum up journeys: %w", err)
	}
	return counts, reason, nil
}

// errHeldUp says that a partition cannot be dropped.
var errHeldUp = errors.New("held up")

// drop drops a month, with the journeys that have events in it.
func (w *retainer) drop(ctx context.Context, m month, p PartitionRetention, due time.Time) (PartitionRetention, error) {
	w.progress(m.name, "")
	d := partitionDrop{retainer: w, month: m}
	err := pgx.BeginFunc(ctx, w.store.pool, func(tx pgx.Tx) error { return d.run(ctx, tx) })
	if errors.Is(err, errHeldUp) || errors.Is(err, errUnsound) {
		return w.heldUp(p, due, d.reason), nil
	}
	if err != nil {
		return p, err
	}
	p.Traces, p.Events, p.Until = 0, 0, time.Time{}
	for _, c := range d.counts {
		w.cutDone(c.TenantID, w.policy.of(c.TenantID).of(c.Kind), m.name, c.Traces, c.Events)
		p.Traces += c.Traces
		p.Events += c.Events
	}
	w.progress(m.name, "")
	return p, nil
}

// uidBounds are the first uid of a month, and the first after it.
func (m month) uidBounds() (first, after uuid.UUID) { return firstUUIDv7(m.from), firstUUIDv7(m.to) }
