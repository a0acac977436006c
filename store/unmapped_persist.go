package store

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/tracking"
)

// meaningsLock is held, shared, by who stores events with codes that nothing knows, and alone by who decides what codes mean: who stores
// them then either knows the decision, or has committed before the traces are looked for that need it. It is taken before the
// epoch is joined, so that nobody who waits for it keeps an epoch from being sealed.
const meaningsLock = "hashtextextended('rastro.code_meanings', 0)"

// maxSamples is how many events of an unmapped code are kept as samples.
const maxSamples = 5

// unmapped reports whether nothing knew what an event means when it was enriched.
func unmapped(e *tracking.Event) bool {
	return e.Enrichment.Milestone == tracking.Unknown && e.Enrichment.Exception == ""
}

// meant gives an event the meaning that was decided for its code; meaning is as the function code_meaning has it.
func meant(e *tracking.Event, meaning *string) {
	if meaning == nil || !unmapped(e) {
		return
	}
	milestone, exception, _ := strings.Cut(*meaning, "/")
	e.Enrichment.Milestone, e.Enrichment.Exception = tracking.Milestone(milestone), exception
}

// meanings holds what was decided about codes of a batch that nothing knew when its events were enriched.
type meanings map[meaningKey]string

type meaningKey struct{ tenant, source, code string }

func meaningKeyOf(e *tracking.Event) meaningKey { return meaningKey{e.TenantID, e.Source, e.Type} }

// queue asks, in a transaction that begins, what was decided about the unmapped codes of rows. Nothing is asked when there are none.
func (m meanings) queue(batch *pgx.Batch, rows []eventRow) {
	asked := map[meaningKey]bool{}
	var tenants, sources, codes []string
	for _, row := range rows {
		if !unmapped(row.Event) {
			continue
		}
		if k := meaningKeyOf(row.Event); !asked[k] {
			asked[k] = true
			tenants, sources, codes = append(tenants, k.tenant), append(sources, k.source), append(codes, k.code)
		}
	}
	if len(tenants) == 0 {
		return
	}
	batch.Queue("SELECT pg_advisory_xact_lock_shared(" + meaningsLock + ")")
	batch.Queue(`
SELECT * FROM (
    SELECT tenant, source, code, code_meaning(tenant, source, code) AS meaning
    FROM unnest($1::text[], $2::text[], $3::text[]) AS k (tenant, source, code)) m
WHERE meaning IS NOT NULL`, tenants, sources, codes).Query(func(rows pgx.Rows) error {
		var k meaningKey
		var meaning string
		_, err := pgx.ForEachRow(rows, []any{&k.tenant, &k.source, &k.code, &meaning}, func() error {
			m[k] = meaning
			return nil
		})
		return err
	})
}

// of returns the event of a row as it is folded. What is stored is the row.
func (m meanings) of(row eventRow) *tracking.Event {
	if len(m) == 0 || !unmapped(row.Event) {
		return row.Event
	}
	meaning, ok := m[meaningKeyOf(row.Event)]
	if !ok {
		return row.Event
	}
	e := row.Clone()
	meant(e, &meaning)
	return e
}

// noteUnmapped counts the unmapped codes of rows that were newly stored. Rows of the inbox are taken in one order, so that two that note the
// same codes never wait for each other in a circle, and last, so that nobody who holds one waits for a trace.
const noteUnmapped = `
INSERT INTO unmapped_codes AS u (tenant_id, code_key, place_key, slot, source, kind, code, count, first_at, last_at, samples)
SELECT tenant, code_key(code), sha256(convert_to(source || E'\x01' || kind, 'UTF8')), pg_backend_pid() % 16, source, kind,
    (array_agg(code ORDER BY uid))[1], count(*), min(received), max(received), (array_agg(uid ORDER BY uid DESC))[1:5]
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[]) AS e (tenant, source, kind, code, uid, received)
GROUP BY tenant, code_key(code), source, kind ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, code_key, place_key, slot) DO UPDATE SET count = u.count + excluded.count,
    first_at = least(u.first_at, excluded.first_at), last_at = greatest(u.last_at, excluded.last_at),
    samples = (excluded.samples || u.samples)[1:5]`

// queueUnmapped notes the unmapped codes of rows that are newly stored; nothing when there are none.
func queueUnmapped(batch *pgx.Batch, rows []eventRow) {
	var unknown []eventRow
	for _, row := range rows {
		if unmapped(row.Event) {
			unknown = append(unknown, row)
		}
	}
	if len(unknown) == 0 {
		return
	}
	batch.Queue(noteUnmapped,
		column(unknown, func(r eventRow) string { return r.TenantID }), column(unknown, func(r eventRow) string { return r.Source }),
		column(unknown, func(r eventRow) string { return string(r.Kind) }), column(unknown, func(r eventRow) string { return r.Type }),
		column(unknown, func(r eventRow) uuid.UUID { return r.UID }), column(unknown, func(r eventRow) time.Time { return r.ReceivedAt }))
}
