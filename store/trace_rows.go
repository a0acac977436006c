package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rastrohq/rastro/tracking"
)

// traceRow is a row of traces: its state, and the summary that the state comes to.
type traceRow struct {
	tracking.Summary
	state                 []byte
	aggregates, anomalies string // JSON
	head                  chainHead
	facets                knownFacets
	fresh                 bool       // The row is not there yet.
	place                 pgtype.TID // where the row is, if it is there
}

// compareRowKeys orders rows by their keys, as PostgreSQL's collation C does.
func compareRowKeys(a, b traceRow) int {
	return cmp.Or(strings.Compare(a.TenantID, b.TenantID), strings.Compare(a.CorrelationID, b.CorrelationID))
}

func traceRowOf(state *tracking.State) (traceRow, error) {
	encoded, err := state.MarshalBinary()
	if err != nil {
		return traceRow{}, err
	}
	row := traceRow{Summary: state.Summary(), state: encoded}
	if row.aggregates, err = jsonList(row.Aggregates); err != nil {
		return traceRow{}, err
	}
	row.anomalies, err = jsonList(row.Anomalies)
	return row, err
}

func jsonList(list []string) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("encode list: %w", err)
	}
	return string(encoded), nil
}

const (
	setFold = `
UPDATE traces t SET
    aggregate_id = r.aggregate_id, aggregates = r.aggregates::jsonb, kind = r.kind, status = r.status, exception = r.exception,
    anomalies = r.anomalies::jsonb, first_event_at = r.first_event_at, last_event_at = r.last_event_at,
    estimated_at = r.estimated_at, last_place = r.last_place, event_count = r.event_count, voided_count = r.voided_count,
    unknown_count = r.unknown_count, pieces_total = r.pieces_total, pieces_delivered = r.pieces_delivered, state = r.state,
    updated_at = r.updated_at`
	// foldColumns are the columns of traces that the fold owns. Others may be there, which a replay leaves as they are.
	foldColumns = `tenant_id, correlation_id, aggregate_id, aggregates, kind, status, exception, anomalies, first_event_at, last_event_at,
    estimated_at, last_place, event_count, voided_count, unknown_count, pieces_total, pieces_delivered, state, updated_at`
	// sentFold are they as they are sent: lists as text.
	sentFold = `tenant_id text, correlation_id text, aggregate_id text, aggregates text, kind text, status text, exception text, ` +
		`anomalies text, first_event_at timestamptz, last_event_at timestamptz, estimated_at timestamptz, last_place text, event_count int, ` +
		`voided_count int, unknown_count int, pieces_total int, pieces_delivered int, state bytea, updated_at timestamptz`
	// What stands in the row besides the fold: the head of the chain, and the facets.
	sentBesides = `, chain_seq bigint, chain_hash bytea, facets_known bytea`
)

var (
	// updateFold takes the arguments that foldArgs makes. The rows are locked already, so their order does not matter.
	updateFold = setFold + `
FROM (` + sent(sentFold) + `) AS r
WHERE t.tenant_id = r.tenant_id AND t.correlation_id = r.correlation_id`

	// updateTraces takes the arguments that traceArgs makes, and those of placesOf. A row that is locked stays where it is until it is
	// written, so it need not be looked for a second time.
	updateTraces = setFold + `, chain_seq = r.chain_seq, chain_hash = r.chain_hash, facets_known = r.facets_known
FROM (` + sent(sentFold+sentBesides+`, place tid`) + `) AS r
WHERE t.ctid = r.place`

	// insertTraces takes the arguments that traceArgs makes. Whoever sends the rows sorts them by their keys, for the reason that
	// lockTraces gives.
	insertTraces = `
INSERT INTO traces (` + foldColumns + `, chain_seq, chain_hash, facets_known)
SELECT tenant_id, correlation_id, aggregate_id, aggregates::jsonb, kind, status, exception, anomalies::jsonb, first_event_at, last_event_at,
    estimated_at, last_place, event_count, voided_count, unknown_count, pieces_total, pieces_delivered, state, updated_at, chain_seq,
    chain_hash, facets_known
FROM (` + sent(sentFold+sentBesides) + `) AS r`
)

// traceArgs turns rows into columns.
func traceArgs(rows []traceRow) []any {
	return append(foldArgs(rows),
		column(rows, func(r traceRow) int64 { return r.head.seq }),
		column(rows, func(r traceRow) []byte { return r.head.hash }),
		column(rows, func(r traceRow) []byte { return r.facets }),
	)
}

// placesOf are where rows are that were locked.
func placesOf(rows []traceRow) []pgtype.TID {
	return column(rows, func(r traceRow) pgtype.TID { return r.place })
}

// foldArgs turns what the fold of a trace comes to into columns.
func foldArgs(rows []traceRow) []any {
	return []any{
		column(rows, func(r traceRow) string { return r.TenantID }),
		column(rows, func(r traceRow) string { return r.CorrelationID }),
		column(rows, func(r traceRow) string { return r.AggregateID }),
		column(rows, func(r traceRow) string { return r.aggregates }),
		column(rows, func(r traceRow) string { return string(r.Kind) }),
		column(rows, func(r traceRow) string { return string(r.Status) }),
		column(rows, func(r traceRow) string { return r.Exception }),
		column(rows, func(r traceRow) string { return r.anomalies }),
		column(rows, func(r traceRow) *time.Time { return instant(r.FirstEventAt) }),
		column(rows, func(r traceRow) *time.Time { return instant(r.LastEventAt) }),
		column(rows, func(r traceRow) *time.Time { return r.EstimatedAt }),
		column(rows, func(r traceRow) string { return r.lastPlace() }),
		column(rows, func(r traceRow) int32 { return counted(r.EventCount) }),
		column(rows, func(r traceRow) int32 { return counted(r.VoidedCount) }),
		column(rows, func(r traceRow) int32 { return counted(r.UnknownCount) }),
		column(rows, func(r traceRow) *int32 { return r.pieces(func(p *tracking.Pieces) int { return p.Total }) }),
		column(rows, func(r traceRow) *int32 {
			return r.pieces(func(p *tracking.Pieces) int { return p.ByMilestone[tracking.Delivered] })
		}),
		column(rows, func(r traceRow) []byte { return r.state }),
		column(rows, func(r traceRow) time.Time { return r.UpdatedAt }),
	}
}

// instant returns nil for the time of nothing.
func instant(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// lastPlace is the shortest sure name of where the journey was last.
func (r traceRow) lastPlace() string {
	if r.LastLocation == nil {
		return ""
	}
	l := r.LastLocation.Location
	return cmp.Or(l.IATA, l.UNLocode, l.ICAO, l.GLN, l.Name, l.Facility)
}

func (r traceRow) pieces(count func(*tracking.Pieces) int) *int32 {
	if r.Pieces == nil {
		return nil
	}
	n := counted(count(r.Pieces))
	return &n
}

// counted is a count as its column holds it. The fold has the count itself.
func counted(n int) int32 { return int32(max(math.MinInt32, min(n, math.MaxInt32))) }
