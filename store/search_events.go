package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/tracking"
)

// The columns that events can be sorted by; the first is the default.
const (
	SortReceived = "received_at"
	SortOccurred = "occurred_at"
)

// EventSorts lists them.
func EventSorts() []string { return []string{SortReceived, SortOccurred} }

// EventFilter says which events are meant. What is empty does not matter; of each list one entry must match.
type EventFilter struct {
	UIDs                                                                            []uuid.UUID
	CorrelationIDs, Aggregates, Sources, EventTypes, Kinds, Milestones, Classifiers []string
	Locations, Carriers, Flights                                                    []string
	Prefix                                                                          string // of the correlation id or of the id of the aggregate
	Occurred, Received                                                              TimeRange
}

// Canonical returns the filter with carriers and flights as they are stored: LA 0047 is LA47.
func (f EventFilter) Canonical() EventFilter {
	f.Carriers, f.Flights = canonicalCarriers(f.Carriers), canonicalFlights(f.Flights)
	return f
}

// EventAfter returns the key behind an event in lists of an order.
func EventAfter(e *tracking.Event, sort string) SearchKey {
	if sort == SortOccurred {
		return SearchKey{At: e.OccurredAt, ID: e.UID.String()}
	}
	return SearchKey{At: e.ReceivedAt, ID: e.UID.String()}
}

func (f EventFilter) search(tenant string) search {
	b := search{tenant: tenant, table: "event_store", columns: eventColumns, id: "uid", idType: "uuid", sorts: EventSorts(), where: f.columns}
	if len(f.UIDs)+len(f.CorrelationIDs)+len(f.Aggregates) > 0 {
		b.narrow = f.ids
		return b // few enough
	}
	both := func(values []string) []string { // a plan may name a milestone as well
		return append(facets(facetMilestone, values), facets(facetForeseen, values)...)
	}
	for _, wanted := range [][]string{
		facets(facetSource, storables(f.Sources)), facets(facetType, storables(f.EventTypes)), facets(facetKind, storables(f.Kinds)),
		both(storables(f.Milestones)), facets(facetLocation, storables(f.Locations)), facets(facetCarrier, storables(f.Carriers)),
		facets(facetFlight, storables(f.Flights)),
	} {
		if len(wanted) > 0 {
			sel := facetSelector(tenant, wanted)
			sel.holds = nil // the event says so itself
			b.selectors = append(b.selectors, sel)
		}
	}
	if f.Prefix != "" {
		sel := idSelector(tenant, storable(f.Prefix))
		sel.holds = nil // as above
		b.selectors = append(b.selectors, sel)
	}
	return b
}

// effectiveMilestone is the milestone that an event is read with.
const effectiveMilestone = `CASE WHEN t.milestone = 'unknown'
    THEN coalesce(split_part(code_meaning(t.tenant_id, t.source, t.event_type), '/', 1), 'unknown') ELSE t.milestone END`

func (f EventFilter) ids(q *query) {
	if len(f.UIDs) > 0 {
		q.where("t.uid = ANY(?::uuid[])", f.UIDs)
	}
	if len(f.CorrelationIDs) > 0 {
		q.where("t.correlation_id = ANY(?::text[])", storables(f.CorrelationIDs))
	}
	if len(f.Aggregates) > 0 {
		q.where("t.aggregate_id = ANY(?::text[])", storables(f.Aggregates))
	}
}

func (f EventFilter) columns(q *query, _ string) {
	for _, by := range []struct {
		condition string
		values    []string
	}{
		{"t.source = ANY(?::text[])", f.Sources}, {"t.event_type = ANY(?::text[])", f.EventTypes}, {"t.kind = ANY(?::text[])", f.Kinds},
		{effectiveMilestone + " = ANY(?::text[])", f.Milestones}, {"t.classifier = ANY(?::text[])", f.Classifiers},
		{"event_places(t.details::jsonb) && ?::text[]", f.Locations}, {"event_carrier(t.details::jsonb) = ANY(?::text[])", f.Carriers},
		{"event_flight(t.details::jsonb) = ANY(?::text[])", f.Flights},
	} {
		if len(by.values) > 0 {
			q.where(by.condition, storables(by.values))
		}
	}
	if f.Prefix != "" {
		prefix := storable(f.Prefix)
		q.conditions = append(q.conditions, "("+within(q, "t.correlation_id", prefix)+" OR "+within(q, "t.aggregate_id", prefix)+")")
	}
	f.Occurred.where(q, "t.occurred_at")
	f.Received.where(q, "t.received_at")
}

// SearchEvents returns a page of the events of a tenant that a filter matches.
func (s *Store) SearchEvents(ctx context.Context, tenant string, filter EventFilter, page SearchPage) ([]*tracking.Event, error) {
	found, err := searchRows(ctx, s, filter.search(tenant), page, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("search events: %w", err)
	}
	return found, nil
}

// CountEvents counts the events of a tenant that a filter matches, up to CountBound.
func (s *Store) CountEvents(ctx context.Context, tenant string, filter EventFilter) (Count, error) {
	count, err := s.countRows(ctx, filter.search(tenant))
	if err != nil {
		return Count{}, fmt.Errorf("count events: %w", err)
	}
	return count, nil
}
