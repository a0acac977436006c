package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TrailStep is what a stage made of events.
type TrailStep struct {
	Stage string `cbor:"1,keyasint" json:"s"`
	// Version identifies the configuration of the pipeline, as pipeline.Version does.
	Version string `cbor:"2,keyasint" json:"v"`
	// Outcome is pass, drop or reject.
	Outcome string `cbor:"3,keyasint" json:"o"`
	// At is when the stage began with the batch that they were in, in microseconds since the Unix epoch; Took is how long it
	// took for it, in microseconds.
	At   int64 `cbor:"4,keyasint" json:"at"`
	Took int64 `cbor:"5,keyasint" json:"us"`
	// Attempt counts how often the process that says so tried them at the stage, from 1.
	Attempt int `cbor:"6,keyasint" json:"n"`
	// Events is how many events were in the batch.
	Events int `cbor:"7,keyasint" json:"of"`
}

// Trail is how some events of a tenant came through a pipeline.
type Trail struct {
	TenantID string `cbor:"1,keyasint,omitempty"`
	// UIDs are those of the events, 16 bytes each, one behind the other.
	UIDs  []byte      `cbor:"2,keyasint"`
	Steps []TrailStep `cbor:"3,keyasint"`
}

const (
	// trailDays is how long it is known how events came through the stages.
	trailDays = 31

	// trailSpan is how far apart the events of a row were received at most. Trails are looked for by that time: their rows
	// need no index of their events, of which there are many times as many.
	trailSpan = time.Second

	insertTrails = `
INSERT INTO event_trails (pipeline, tenant_id, first_at, last_at, uids, steps)
SELECT $1, t.* FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bytea[], $6::jsonb[]) AS t`

	selectTrails = `
SELECT pipeline, uids, steps FROM event_trails
WHERE tenant_id = $1 AND first_at > $2::timestamptz - $3::interval AND first_at <= $2 AND last_at >= $2 AND position($4::bytea IN uids) > 0
ORDER BY id`

	pruneTrails = `
DELETE FROM event_trails WHERE id = ANY (ARRAY(
    SELECT id FROM event_trails WHERE noted_at < $1::timestamptz - make_interval(days => $2::int) ORDER BY noted_at LIMIT $3))`
)

// trailRow is what is stored of a trail.
type trailRow struct {
	tenant      string
	first, last time.Time
	uids        []byte
	steps       string
}

// rows cuts a trail into rows of events that were received together. Events whose uids do not tell when are left out.
func (t Trail) rows() ([]trailRow, error) {
	steps, err := json.Marshal(t.Steps)
	if err != nil {
		return nil, fmt.Errorf("encode how events came: %w", err)
	}
	var uids []uuid.UUID
	for uid := range slices.Chunk(t.UIDs, len(uuid.UUID{})) {
		if u, err := uuid.FromBytes(uid); err == nil && u.Version() == 7 {
			uids = append(uids, u)
		}
	}
	slices.SortFunc(uids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	var rows []trailRow
	for _, uid := range uids {
		at := *receivedAt(uid)
		if n := len(rows); n == 0 || at.Sub(rows[n-1].first) >= trailSpan {
			rows = append(rows, trailRow{tenant: storable(t.TenantID), first: at, steps: storable(string(steps))})
		}
		row := &rows[len(rows)-1]
		row.last, row.uids = at, append(row.uids, uid[:]...)
	}
	return rows, nil
}

// trailArgs returns the arguments of insertTrails; nil when there is nothing to insert.
func trailArgs(pipeline string, trails []Trail) ([]any, error) {
	var rows []trailRow
	for _, t := range trails {
		cut, err := t.rows()
		if err != nil {
			return nil, err
		}
		rows = append(rows, cut...)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return []any{
		pipeline,
		column(rows, func(r trailRow) string { return r.tenant }),
		column(rows, func(r trailRow) time.Time { return r.first }), column(rows, func(r trailRow) time.Time { return r.last }),
		column(rows, func(r trailRow) []byte { return r.uids }), column(rows, func(r trailRow) string { return r.steps }),
	}, nil
}

// walked is how an event came through a pipeline, once.
type walked struct {
	pipeline string
	steps    []TrailStep
}

// trails returns how an event came through its pipelines, in the order in which that was noted. What was noted twice, because a message was
// delivered again, is returned once.
func (s *Store) trails(ctx context.Context, tenant string, uid uuid.UUID) ([]walked, error) {
	at := receivedAt(uid)
	if at == nil {
		return nil, nil
	}
	scan := func(row pgx.CollectableRow) (w walked, err error) {
		var uids []byte
		if err := row.Scan(&w.pipeline, &uids, &w.steps); err != nil {
			return w, err
		}
		for known := range slices.Chunk(uids, len(uid)) { // the bytes may also lie across two others
			if bytes.Equal(known, uid[:]) {
				return w, nil
			}
		}
		return walked{}, nil
	}
	found, err := readAs(ctx, s, tenant, scan, selectTrails, tenant, *at, trailSpan, uid[:])
	if err != nil {
		return nil, fmt.Errorf("read how an event came: %w", err)
	}
	var all []walked
	for _, w := range found {
		again := slices.ContainsFunc(all, func(known walked) bool { return known.pipeline == w.pipeline && slices.Equal(known.steps, w.steps) })
		if len(w.steps) > 0 && !again {
			all = append(all, w)
		}
	}
	return all, nil
}
