package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/tracking"
)

// The columns that traces can be sorted by; the first is the default.
const (
	SortLastEvent  = "last_event_at"
	SortFirstEvent = "first_event_at"
	SortUpdated    = "updated_at"
)

// TraceSorts lists them.
func TraceSorts() []string { return []string{SortLastEvent, SortFirstEvent, SortUpdated} }

// AnyValue stands for every value but none, where a filter says so.
const AnyValue = "any"

// TraceFilter says which traces are meant. What is empty does not matter; of each list one entry must match.
//
// Sources, types, milestones, locations, carriers and flights are those of any event that the trace ever had, those that were voided
// later included; milestones are of actual events only.
type TraceFilter struct {
	Statuses, Milestones, Kinds, Sources, Carriers, Locations, Flights, EventTypes []string
	// Exceptions and Anomalies may be AnyValue.
	Exceptions, Anomalies          []string
	CorrelationIDs, Aggregates     []string
	Prefix                         string // of the correlation id or of the id of an aggregate
	FirstEvent, LastEvent, Updated TimeRange
}

// Canonical returns the filter with carriers and flights as they are stored: LA 0047 is LA47.
func (f TraceFilter) Canonical() TraceFilter {
	f.Carriers, f.Flights = canonicalCarriers(f.Carriers), canonicalFlights(f.Flights)
	return f
}

func canonicalCarriers(given []string) []string {
	if given == nil {
		return nil
	}
	return column(given, strings.ToUpper)
}

func canonicalFlights(given []string) []string {
	if given == nil {
		return nil
	}
	return column(given, func(text string) string {
		text = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(text))
		if f, ok := tracking.ParseFlight(text); ok {
			return f.Carrier + strings.TrimLeft(f.Number, "0") + f.Suffix
		}
		return text
	})
}

// TraceItem is a trace in a list: a summary of it.
type TraceItem struct {
	CorrelationID   string     `json:"correlation_id" doc:"The journey" example:"0045123456"`
	AggregateID     string     `json:"aggregate_id" doc:"The thing of the earliest event" example:"0045123456"`
	Aggregates      []string   `json:"aggregates" doc:"The things of the journey, at most 100"`
	Kind            string     `json:"kind,omitempty" doc:"The trade" example:"baggage"`
	Status          string     `json:"status" doc:"How far the journey has come" example:"in_transit"`
	Exception       string     `json:"exception,omitempty" doc:"The trouble that is open" example:"on_hold"`
	Anomalies       []string   `json:"anomalies" doc:"What is odd about the journey"`
	FirstEventAt    *time.Time `json:"first_event_at,omitempty" doc:"When the first event occurred"`
	LastEventAt     *time.Time `json:"last_event_at,omitempty" doc:"When the last event occurred"`
	EstimatedAt     *time.Time `json:"estimated_at,omitempty" doc:"When delivery or, failing that, arrival is foreseen"`
	LastPlace       string     `json:"last_place,omitempty" doc:"Where the journey was last" example:"LIM"`
	EventCount      int        `json:"event_count" doc:"How many events are stored" example:"4"`
	VoidedCount     int        `json:"voided_count" doc:"How many of them no longer count"`
	UnknownCount    int        `json:"unknown_count" doc:"How many codes mean nothing to us"`
	PiecesTotal     *int       `json:"pieces_total,omitempty" doc:"How many pieces there are"`
	PiecesDelivered *int       `json:"pieces_delivered,omitempty" doc:"How many of them are delivered"`
	UpdatedAt       time.Time  `json:"updated_at" doc:"When the last event was received"`
}

// After returns the key behind the trace in lists of an order.
func (t TraceItem) After(sort string) SearchKey {
	at := &t.UpdatedAt
	switch sort {
	case SortFirstEvent:
		at = t.FirstEventAt
	case SortLastEvent, "":
		at = t.LastEventAt
	}
	if at == nil {
		at = &time.Time{} // of no trace with events
	}
	return SearchKey{At: *at, ID: t.CorrelationID}
}

const traceColumns = `t.correlation_id, t.aggregate_id, t.aggregates, t.kind, t.status, t.exception, t.anomalies, t.first_event_at, t.last_event_at,
    t.estimated_at, t.last_place, t.event_count, t.voided_count, t.unknown_count, t.pieces_total, t.pieces_delivered, t.updated_at`

func scanTraceItem(row pgx.CollectableRow) (TraceItem, error) {
	t, err := pgx.RowToStructByPos[TraceItem](row)
	for _, at := range []*time.Time{t.FirstEventAt, t.LastEventAt, t.EstimatedAt, &t.UpdatedAt} {
		if at != nil {
			inUTC(at)
		}
	}
	return t, err
}

func (f TraceFilter) search(tenant string) search {
	b := search{
		tenant: tenant, table: "traces", columns: traceColumns, id: "correlation_id", idType: "text", sorts: TraceSorts(), keysFirst: true,
	}
	for _, by := range []struct {
		letter string
		values []string
	}{
		{facetMilestone, f.Milestones}, {facetSource, f.Sources}, {facetCarrier, f.Carriers}, {facetLocation, f.Locations},
		{facetFlight, f.Flights}, {facetType, f.EventTypes},
	} {
		if len(by.values) > 0 {
			b.selectors = append(b.selectors, facetSelector(tenant, facets(by.letter, storables(by.values))))
		}
	}
	if len(f.Aggregates) > 0 {
		b.selectors = append(b.selectors, aggregateSelector(tenant, storables(f.Aggregates)))
	}
	if f.Prefix != "" {
		b.selectors = append(b.selectors, idSelector(tenant, storable(f.Prefix)))
	}
	if len(f.CorrelationIDs) > 0 {
		b.narrow = func(q *query) { q.where("t.correlation_id = ANY(?::text[])", storables(f.CorrelationIDs)) }
	}
	b.where = f.columns
	return b
}

// columns adds the conditions on what traces hold themselves, when they are sorted by a column.
func (f TraceFilter) columns(q *query, sort string) {
	one := func(column string, values []string) {
		switch {
		case len(values) == 1: // so that the index of the column gives the order, too
			q.where(column+" = ?::text", storable(values[0]))
		case len(values) > 1:
			q.where(column+" = ANY(?::text[])", storables(values))
		}
	}
	one("t.status", f.Statuses)
	one("t.kind", f.Kinds)
	if len(f.Exceptions) > 0 {
		q.conditions = append(q.conditions, "t.exception <> ''")
		if !slices.Contains(f.Exceptions, AnyValue) {
			one("t.exception", f.Exceptions)
		}
	}
	if len(f.Anomalies) > 0 {
		q.conditions = append(q.conditions, "t.anomalies <> '[]'")
		if !slices.Contains(f.Anomalies, AnyValue) {
			q.where("jsonb_exists_any(t.anomalies, ?::text[])", storables(f.Anomalies))
		}
	}
	f.FirstEvent.where(q, "t.first_event_at")
	f.LastEvent.where(q, "t.last_event_at")
	f.Updated.where(q, "t.updated_at")
	switch sort {
	case SortFirstEvent, SortLastEvent: // what has events has these, and they are in the index
		q.conditions = append(q.conditions, "t."+sort+" IS NOT NULL")
	default:
		q.conditions = append(q.conditions, "t.event_count > 0")
	}
}

// SearchTraces returns a page of the traces of a tenant that a filter matches.
//
// A trace whose events come in while pages are read moves to where it belongs by then; by first event traces stay where they are.
func (s *Store) SearchTraces(ctx context.Context, tenant string, filter TraceFilter, page SearchPage) ([]TraceItem, error) {
	found, err := searchRows(ctx, s, filter.search(tenant), page, scanTraceItem)
	if err != nil {
		return nil, fmt.Errorf("search traces: %w", err)
	}
	return found, nil
}

// MatchTraces returns those of some traces of a tenant that a filter matches, by their correlation ids.
func (s *Store) MatchTraces(ctx context.Context, tenant string, filter TraceFilter, correlations []string) ([]string, error) {
	if len(filter.CorrelationIDs) > 0 {
		correlations = slices.DeleteFunc(slices.Clone(correlations), func(id string) bool { return !slices.Contains(filter.CorrelationIDs, id) })
	}
	if len(correlations) == 0 {
		return nil, nil
	}
	filter.CorrelationIDs = correlations
	q := &query{}
	sql := "SELECT t.correlation_id " + filter.search(tenant).from(q, inOrder(), "")
	found, err := readAs(ctx, s, tenant, pgx.RowTo[string], sql, q.args...)
	if err != nil {
		return nil, fmt.Errorf("match traces: %w", err)
	}
	return found, nil
}

// CountTraces counts the traces of a tenant that a filter matches, up to CountBound.
func (s *Store) CountTraces(ctx context.Context, tenant string, filter TraceFilter) (Count, error) {
	count, err := s.countRows(ctx, filter.search(tenant))
	if err != nil {
		return Count{}, fmt.Errorf("count traces: %w", err)
	}
	return count, nil
}
