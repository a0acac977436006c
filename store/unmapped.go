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

	"github.com/rastrohq/rastro/tracking"
)

// The states of an unmapped code.
const (
	CodeOpen      = "open"
	CodeApplied   = "applied"
	CodeDismissed = "dismissed"
)

// CodeStates lists them.
func CodeStates() []string { return []string{CodeOpen, CodeApplied, CodeDismissed} }

// UnmappedCode is a code that nothing knew when events with it were stored, and what was decided about it.
type UnmappedCode struct {
	Carrier string    `json:"carrier" doc:"The carrier that sends it, or the source where that is no carrier's" example:"demo-native"`
	Code    string    `json:"code" doc:"The code, as it was sent first" example:"ZZ9"`
	Sources []string  `json:"sources" doc:"The sources of the events"`
	Kinds   []string  `json:"kinds" doc:"The kinds of things that the events are about"`
	Count   int64     `json:"count" doc:"How many events came with it that were stored"`
	FirstAt time.Time `json:"first_at" doc:"When the first of them was received"`
	LastAt  time.Time `json:"last_at" doc:"When the last of them was received"`
	State   string    `json:"state" enum:"open,applied,dismissed" doc:"What was decided about it"`
	// Decision is nil for one that is open.
	Decision *CodeDecided     `json:"decision,omitempty" doc:"Who decided, and what"`
	Samples  []UnmappedSample `json:"samples" doc:"Some of the last events with it that are in the store"`
}

// CodeDecided is what was decided about a code.
type CodeDecided struct {
	Milestone string    `json:"milestone,omitempty" doc:"The milestone that it means" example:"in_transit"`
	Exception string    `json:"exception,omitempty" doc:"The exception that it means" example:"delayed"`
	Reason    string    `json:"reason,omitempty" doc:"Why, in the words of who decided"`
	Who       string    `json:"who" doc:"Who decided"`
	At        time.Time `json:"at" doc:"When"`
}

// UnmappedSample is an event with an unmapped code.
type UnmappedSample struct {
	UID           uuid.UUID `json:"uid" doc:"The event"`
	CorrelationID string    `json:"correlation_id" doc:"Its journey"`
	OccurredAt    time.Time `json:"timestamp" doc:"When it happened"`
	// Payload is what was sent, of the latest sample only, and not when it is large.
	Payload json.RawMessage `json:"-"`
}

// CarrierSource says that a carrier sends under a source and those below it.
type CarrierSource struct{ Carrier, Source string }

// UnmappedFilter says which unmapped codes are meant.
type UnmappedFilter struct {
	// Sources are those of the carriers that there are. Sources of no carrier stand for themselves.
	Sources []CarrierSource
	// Carrier is whose codes: a carrier's, or those that came under a source among others; empty for all.
	Carrier string
	// Code is the one that is meant; empty for all.
	Code   string
	States []string // empty: any
	After  *UnmappedCursor
	Limit  int
}

// UnmappedCursor is the place behind a code in a list.
type UnmappedCursor struct {
	Count   int64  `json:"n"`
	Carrier string `json:"c"`
	Code    string `json:"k"`
}

// maxSamplePayload is how many bytes a payload may have that is read with a sample.
const maxSamplePayload = 16 << 10

// A code is a carrier's by the longest of the carriers' sources that its own is, or is below; so is what was decided about it.
const readUnmapped = `
WITH u AS (
    SELECT u.*, coalesce(s.carrier, u.source) AS of_carrier, m.decided_at, m.dismissed, m.milestone, m.exception, m.reason, m.who
    FROM unmapped_codes u
    LEFT JOIN LATERAL (
        SELECT s.carrier FROM unnest($2::text[], $3::text[]) AS s (carrier, source)
        WHERE u.source = s.source OR starts_with(u.source, s.source || '/') ORDER BY length(s.source) DESC, s.carrier LIMIT 1) s ON true
    LEFT JOIN LATERAL (
        SELECT m.* FROM code_meanings m
        WHERE m.tenant_id = u.tenant_id AND m.code_key = u.code_key AND (u.source = m.source OR starts_with(u.source, m.source || '/'))
        ORDER BY length(m.source) DESC LIMIT 1) m ON true
    WHERE u.tenant_id = $1 AND ($5 = '' OR u.code_key = code_key($5))
), g AS (
    SELECT of_carrier, min(code) AS code, array_agg(DISTINCT source) AS sources, array_agg(DISTINCT kind) AS kinds, sum(count)::bigint AS count,
        min(first_at) AS first_at, max(last_at) AS last_at,
        CASE WHEN bool_or(decided_at IS NULL) THEN 'open' WHEN bool_or(NOT dismissed) THEN 'applied' ELSE 'dismissed' END AS state,
        (array_agg(jsonb_build_object('milestone', milestone, 'exception', exception, 'reason', reason, 'who', who, 'at', decided_at)
            ORDER BY dismissed, decided_at DESC) FILTER (WHERE decided_at IS NOT NULL))[1] AS decision,
        string_agg(array_to_string(samples, ','), ',') AS samples
    FROM u GROUP BY of_carrier, code_key
)
SELECT of_carrier, code, sources, kinds, count, first_at, last_at, state, decision, samples FROM g
WHERE ($4 = '' OR of_carrier = $4 OR $4 = ANY(sources)) AND (cardinality($6::text[]) = 0 OR state = ANY($6::text[]))
    AND ($7::bigint IS NULL OR count < $7 OR count = $7 AND (of_carrier, code) > ($8, $9))
ORDER BY count DESC, of_carrier, code LIMIT $10`

// UnmappedCodes returns the unmapped codes of a tenant that a filter matches, those that came most often first.
func (s *Store) UnmappedCodes(ctx context.Context, tenant string, f UnmappedFilter) ([]UnmappedCode, error) {
	var count *int64
	var after UnmappedCursor
	if f.After != nil {
		after = *f.After
		count = &after.Count
	}
	states := storables(f.States)
	sampled := map[uuid.UUID][2]int{} // which code's, and which of its samples
	var uids, latest []uuid.UUID
	found, err := readAs(ctx, s, tenant, func(row pgx.CollectableRow) (c UnmappedCode, err error) {
		var decision []byte
		var samples string
		if err := row.Scan(&c.Carrier, &c.Code, &c.Sources, &c.Kinds, &c.Count, &c.FirstAt, &c.LastAt, &c.State, &decision, &samples); err != nil {
			return c, err
		}
		inUTC(&c.FirstAt, &c.LastAt)
		if c.State != CodeOpen {
			c.Decision = &CodeDecided{}
			if err := json.Unmarshal(decision, c.Decision); err != nil {
				return c, fmt.Errorf("decode decision: %w", err)
			}
			inUTC(&c.Decision.At)
		}
		c.Samples, err = samplesOf(samples)
		return c, err
	}, readUnmapped, tenant,
		column(f.Sources, func(s CarrierSource) string { return storable(s.Carrier) }), column(f.Sources, func(s CarrierSource) string { return storable(s.Source) }),
		storable(f.Carrier), storable(f.Code), states, count, storable(after.Carrier), storable(after.Code), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("read unmapped codes: %w", err)
	}
	for i, c := range found {
		for j, sample := range c.Samples {
			uids, sampled[sample.UID] = append(uids, sample.UID), [2]int{i, j}
			if j == 0 {
				latest = append(latest, sample.UID)
			}
		}
	}
	return found, s.readSamples(ctx, tenant, found, uids, latest, sampled)
}

// samplesOf returns the latest of some events, whose ids hold when they were received.
func samplesOf(list string) ([]UnmappedSample, error) {
	var samples []UnmappedSample
	for text := range bytes.SplitSeq([]byte(list), []byte(",")) {
		uid, err := uuid.ParseBytes(text)
		if err != nil {
			return nil, fmt.Errorf("decode sample: %w", err)
		}
		samples = append(samples, UnmappedSample{UID: uid})
	}
	slices.SortFunc(samples, func(a, b UnmappedSample) int { return bytes.Compare(b.UID[:], a.UID[:]) })
	return samples[:min(len(samples), maxSamples)], nil
}

// readSamples fills in the samples, and leaves out those that are in the store no more.
func (s *Store) readSamples(ctx context.Context, tenant string, of []UnmappedCode, uids, latest []uuid.UUID, where map[uuid.UUID][2]int) error {
	if len(uids) == 0 {
		return nil
	}
	read, err := readAs(ctx, s, tenant, func(row pgx.CollectableRow) (e UnmappedSample, err error) {
		err = row.Scan(&e.UID, &e.CorrelationID, &e.OccurredAt, (*[]byte)(&e.Payload))
		inUTC(&e.OccurredAt)
		return e, err
	}, `
SELECT uid, correlation_id, occurred_at, CASE WHEN uid = ANY($3) AND octet_length(payload::text) <= $4 THEN payload END
FROM event_store WHERE tenant_id = $1 AND uid = ANY($2)`, tenant, uids, latest, maxSamplePayload)
	if err != nil {
		return fmt.Errorf("read samples: %w", err)
	}
	for _, e := range read {
		at := where[e.UID]
		of[at[0]].Samples[at[1]] = e
	}
	for i := range of {
		of[i].Samples = slices.DeleteFunc(of[i].Samples, func(e UnmappedSample) bool { return e.CorrelationID == "" })
	}
	return nil
}

// CodeDecision decides about an unmapped code.
type CodeDecision struct {
	TenantID string
	Carrier  string
	// Sources are those that the carrier sends under; what is below them is meant as well.
	Sources []string
	Code    string
	// Dismiss says that the code is of no interest, and takes back what it was said to mean. Otherwise Meaning is what it means.
	Dismiss bool
	Meaning tracking.Meaning
	Reason  string
	By      Actor
}

func (d CodeDecision) action() string {
	if d.Dismiss {
		return "dismiss"
	}
	return "apply"
}

// CodeJob folds the traces anew that have events with a code about which something was decided.
type CodeJob struct {
	ID         uuid.UUID  `json:"id" doc:"Identifies the job"`
	Carrier    string     `json:"carrier" doc:"Whose code"`
	Code       string     `json:"code" doc:"The code"`
	Action     string     `json:"action" enum:"apply,dismiss" doc:"What was decided"`
	Milestone  string     `json:"milestone,omitempty" doc:"The milestone that it means from now on"`
	Exception  string     `json:"exception,omitempty" doc:"The exception that it means from now on"`
	Reason     string     `json:"reason,omitempty" doc:"Why, in the words of who decided"`
	Who        string     `json:"who" doc:"Who decided"`
	CreatedAt  time.Time  `json:"created_at" doc:"When"`
	FinishedAt *time.Time `json:"finished_at,omitempty" doc:"When all traces had been folded anew"`
	State      string     `json:"state" enum:"running,done" doc:"How it stands"`
	Total      int64      `json:"total" doc:"How many events there are with the code"`
	Done       int64      `json:"done" doc:"How many of them have been seen to"`
	Traces     int64      `json:"traces" doc:"How many traces were folded anew; a long one may count more than once"`
	Changed    int64      `json:"changed" doc:"How many of these have another status or other trouble than before"`
}

const codeJobColumns = `id, carrier, code, action, milestone, exception, reason, who, created_at, finished_at, state, total, done, traces, changed`

func scanCodeJob(row pgx.CollectableRow) (CodeJob, error) {
	j, err := pgx.RowToStructByPos[CodeJob](row)
	inUTC(&j.CreatedAt, j.FinishedAt)
	return j, err
}

// decidedEvents holds for the events that a decision is about: $1 is the tenant, $2 the code, $3 the sources.
const decidedEvents = `tenant_id = $1 AND milestone = 'unknown' AND code_key(event_type) = code_key($2)
    AND EXISTS (SELECT FROM unnest($3::text[]) AS s (source) WHERE event_store.source = s.source OR starts_with(event_store.source, s.source || '/'))`

// DecideCode notes what was decided about a code of which there are events, for those to come as for those in the store, and a job that
// folds their traces anew; RefoldCodes works on it. ErrNotFound says that there is no such event.
func (s *Store) DecideCode(ctx context.Context, d CodeDecision) (CodeJob, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return CodeJob{}, fmt.Errorf("identify job: %w", err)
	}
	by := Actor{storable(d.By.Subject), storable(d.By.Name), storable(d.By.Client)}
	d.Carrier, d.Code, d.Reason, d.Sources = storable(d.Carrier), storable(d.Code), storable(d.Reason), storables(d.Sources)
	if d.Dismiss {
		d.Meaning = tracking.Meaning{}
	}
	filter, err := json.Marshal(map[string]any{
		"carrier": d.Carrier, "sources": d.Sources, "code": d.Code, "milestone": d.Meaning.Milestone, "exception": d.Meaning.Exception,
	})
	if err != nil {
		return CodeJob{}, fmt.Errorf("encode decision: %w", err)
	}
	var job CodeJob
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+meaningsLock+")"); err != nil {
			return err
		}
		total, upTo, err := countDecided(ctx, tx, d)
		if err != nil {
			return err
		}
		if err := writeDecision(ctx, tx, d, by); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
INSERT INTO code_jobs (id, tenant_id, carrier, code, sources, action, milestone, exception, reason, who, state, finished_at, total, after_uid, upto_uid)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN $11 = 0 THEN 'done' ELSE 'running' END, CASE WHEN $11 = 0 THEN now() END, $11, $12, $13)
RETURNING `+codeJobColumns, id, d.TenantID, d.Carrier, d.Code, d.Sources, d.action(), string(d.Meaning.Milestone), d.Meaning.Exception, d.Reason,
			by.who(), total, uuid.Nil, upTo)
		if err != nil {
			return err
		}
		if job, err = pgx.CollectExactlyOneRow(rows, scanCodeJob); err != nil {
			return err
		}
		return audit(ctx, tx, d.TenantID, by, "codes."+d.action(), filter, int(total), d.Reason, id)
	})
	if err != nil {
		return CodeJob{}, fmt.Errorf("decide about a code: %w", err)
	}
	return job, nil
}

// countDecided counts the events that a decision is about, and returns the last of them. Nobody stores any while it does.
func countDecided(ctx context.Context, tx pgx.Tx, d CodeDecision) (total int64, upTo uuid.UUID, err error) {
	var known bool
	if err := tx.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM unmapped_codes u WHERE u.tenant_id = $1 AND u.code_key = code_key($2)
    AND EXISTS (SELECT FROM unnest($3::text[]) AS s (source) WHERE u.source = s.source OR starts_with(u.source, s.source || '/')))`,
		d.TenantID, d.Code, d.Sources).Scan(&known); err != nil {
		return 0, upTo, err
	}
	if !known {
		return 0, upTo, ErrNotFound
	}
	var last *uuid.UUID
	if err := tx.QueryRow(ctx, `
SELECT count(*), (SELECT uid FROM event_store WHERE `+decidedEvents+` ORDER BY uid DESC LIMIT 1) FROM event_store WHERE `+decidedEvents,
		d.TenantID, d.Code, d.Sources).Scan(&total, &last); err != nil {
		return 0, upTo, fmt.Errorf("count events: %w", err)
	}
	if last != nil {
		upTo = *last
	}
	return total, upTo, nil
}

// writeDecision puts a decision in the place of what was decided for the same sources and those below them.
func writeDecision(ctx context.Context, tx pgx.Tx, d CodeDecision, by Actor) error {
	if _, err := tx.Exec(ctx, `
DELETE FROM code_meanings m USING unnest($3::text[]) AS s (source)
WHERE m.tenant_id = $1 AND m.code_key = code_key($2) AND (m.source = s.source OR starts_with(m.source, s.source || '/'))`,
		d.TenantID, d.Code, d.Sources); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
INSERT INTO code_meanings (tenant_id, code_key, source, code, carrier, dismissed, milestone, exception, reason, who)
SELECT $1, code_key($2), source, $2, $4, $5, $6, $7, $8, $9 FROM unnest($3::text[]) AS s (source)`,
		d.TenantID, d.Code, d.Sources, d.Carrier, d.Dismiss, string(d.Meaning.Milestone), d.Meaning.Exception, d.Reason, by.who())
	return err
}

// CodeJob returns a job of a tenant, or ErrNotFound.
func (s *Store) CodeJob(ctx context.Context, tenant string, id uuid.UUID) (CodeJob, error) {
	jobs, err := readAs(ctx, s, tenant, scanCodeJob, "SELECT "+codeJobColumns+" FROM code_jobs WHERE tenant_id = $1 AND id = $2", tenant, id)
	if err != nil {
		return CodeJob{}, fmt.Errorf("read job: %w", err)
	}
	if len(jobs) == 0 {
		return CodeJob{}, ErrNotFound
	}
	return jobs[0], nil
}
