package store

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

var (
	someSources   = []string{"LA-baggage", "handler", "scanner"}
	someTypes     = []string{"loaded", "DEP", "arrived"}
	somePlaces    = []string{"LIM", "SCL", "MIA"}
	someCarriers  = []string{"LA", "AV"}
	someNumbers   = []string{"2047", "0012"}
	someMilestone = []string{"loaded", "in_transit", "arrived"}
)

// story makes events of a few journeys, in which everything that is searched by differs.
func story(tenant string, n, from int) []*tracking.Event {
	start := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	events := make([]*tracking.Event, n)
	for i := range events {
		k := from + i
		h := k * 2654435761 % 1000003
		pick := func(shift int, of []string) string { return of[h>>shift%len(of)] }
		e := newEvent(tenant, fmt.Sprintf("%03d-c", k/3), fmt.Sprint("e", k))
		e.AggregateID = fmt.Sprintf("bag%d", k/2)
		e.Source, e.Type, e.Location = pick(1, someSources), pick(3, someTypes), &tracking.Location{IATA: pick(5, somePlaces)}
		e.Transport = &tracking.Transport{Mode: "air", Carrier: pick(2, someCarriers), Number: pick(4, someNumbers)}
		e.Enrichment.Milestone = tracking.Milestone(pick(6, someMilestone))
		e.Kind = []tracking.Kind{tracking.Baggage, tracking.Cargo}[k/3%2]
		if h%5 == 0 {
			e.Classifier = tracking.Estimated
		}
		e.OccurredAt = start.Add(time.Duration(h%97) * time.Hour)
		e.ReceivedAt = start.Add(time.Duration(h%31) * time.Hour)
		events[i] = e
	}
	return events
}

func subset(t *rapid.T, name string, of []string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 2, rapid.ID[string]).Draw(t, name)
}

func holds(values []string, value string) bool {
	return len(values) == 0 || slices.Contains(values, value)
}

func (r TimeRange) holds(at time.Time) bool {
	return (r.From.IsZero() || !at.Before(r.From)) && (r.Until.IsZero() || at.Before(r.Until))
}

func anyRange(t *rapid.T, name string) (r TimeRange) {
	start := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	if rapid.Bool().Draw(t, name+" from") {
		r.From = start.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, name)) * time.Hour)
	}
	if rapid.Bool().Draw(t, name+" until") {
		r.Until = start.Add(time.Duration(rapid.IntRange(20, 100).Draw(t, name)) * time.Hour)
	}
	return r
}

func (f EventFilter) naive(e *tracking.Event) bool {
	return holds(f.CorrelationIDs, e.CorrelationID) && holds(f.Aggregates, e.AggregateID) && holds(f.Sources, e.Source) &&
		holds(f.EventTypes, e.Type) && holds(f.Kinds, string(e.Kind)) && holds(f.Milestones, string(e.Enrichment.Milestone)) &&
		holds(f.Classifiers, string(e.Classifier)) && holds(f.Locations, e.Location.IATA) && holds(f.Carriers, e.Transport.Carrier) &&
		holds(f.Flights, e.Transport.Carrier+strings.TrimLeft(e.Transport.Number, "0")) && f.Occurred.holds(e.OccurredAt) && f.Received.holds(e.ReceivedAt) &&
		(strings.HasPrefix(e.CorrelationID, f.Prefix) || strings.HasPrefix(e.AggregateID, f.Prefix))
}

// everyPage reads pages until there are none.
func everyPage[T any](t require.TestingT, page SearchPage, read func(SearchPage) ([]T, error), after func(T) SearchKey) (all []T) {
	for {
		found, err := read(page)
		require.NoError(t, err)
		all = append(all, found...)
		if len(found) < page.Limit {
			return all
		}
		key := after(found[len(found)-1])
		page.After = &key
	}
}

// Whatever is asked for, the pages together are what a filter in Go finds, and another tenant's is not among it. Narrow and wide filters
// take different ways, so both are forced upon every one.
func TestEventsAreFoundAsANaiveFilterFindsThem(t *testing.T) {
	t.Parallel()
	s := open(t)
	events := story("acme", 150, 0)
	persistAll(t, s, events...)
	persistAll(t, s, story("umbrella", 30, 0)...)
	rapid.Check(t, func(rt *rapid.T) {
		f := EventFilter{
			Sources: subset(rt, "sources", someSources), EventTypes: subset(rt, "types", someTypes), Locations: subset(rt, "places", somePlaces),
			Carriers: subset(rt, "carriers", someCarriers), Flights: subset(rt, "flights", []string{"LA2047", "AV12", "LA12"}),
			Milestones: subset(rt, "milestones", someMilestone), Kinds: subset(rt, "kinds", []string{"baggage", "cargo"}),
			Classifiers: subset(rt, "classifiers", []string{"actual", "estimated"}), Occurred: anyRange(rt, "occurred"), Received: anyRange(rt, "received"),
		}
		if rapid.IntRange(0, 4).Draw(rt, "by id") == 0 {
			f.CorrelationIDs = subset(rt, "journeys", []string{"001-c", "002-c"})
			f.Aggregates = subset(rt, "things", []string{"bag1", "bag2", "bag3"})
		}
		f.Prefix = rapid.SampledFrom([]string{"", "", "bag1", "00", "001-c", "none"}).Draw(rt, "prefix")
		page := SearchPage{Sort: rapid.SampledFrom(EventSorts()).Draw(rt, "sort"), Ascending: rapid.Bool().Draw(rt, "asc"), Limit: rapid.IntRange(1, 60).Draw(rt, "limit")}
		wide := rapid.Bool().Draw(rt, "wide")
		found := everyPage(rt, page, func(p SearchPage) ([]*tracking.Event, error) {
			if wide {
				sql, args, err := f.search("acme").page(p, inOrder())
				require.NoError(rt, err)
				return readAs(context.Background(), s, "acme", scanEvent, sql, args...)
			}
			return s.SearchEvents(context.Background(), "acme", f, p)
		}, func(e *tracking.Event) SearchKey { return EventAfter(e, page.Sort) })
		var want []*tracking.Event
		for _, e := range events {
			if f.naive(e) {
				want = append(want, e)
			}
		}
		slices.SortFunc(want, func(a, b *tracking.Event) int {
			x, y := EventAfter(a, page.Sort), EventAfter(b, page.Sort)
			order := x.At.Compare(y.At)
			if order == 0 {
				order = strings.Compare(x.ID, y.ID)
			}
			if !page.Ascending {
				order = -order
			}
			return order
		})
		uids := func(of []*tracking.Event) []uuid.UUID {
			return column(of, func(e *tracking.Event) uuid.UUID { return e.UID })
		}
		require.Equal(rt, uids(want), uids(found))
		count, err := s.CountEvents(context.Background(), "acme", f)
		require.NoError(rt, err)
		require.Equal(rt, Count{len(want), true}, count)
	})
}

func TestTracesAreFoundAsANaiveFilterFindsThem(t *testing.T) {
	t.Parallel()
	s := open(t)
	events := story("acme", 150, 0)
	persistAll(t, s, events...)
	persistAll(t, s, story("umbrella", 30, 0)...)
	byTrace := map[string][]*tracking.Event{}
	for _, e := range events {
		byTrace[e.CorrelationID] = append(byTrace[e.CorrelationID], e)
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := TraceFilter{
			Sources: subset(rt, "sources", someSources), EventTypes: subset(rt, "types", someTypes), Locations: subset(rt, "places", somePlaces),
			Carriers: subset(rt, "carriers", someCarriers), Flights: subset(rt, "flights", []string{"LA2047", "AV12", "LA12"}),
			Milestones: subset(rt, "milestones", someMilestone), Kinds: subset(rt, "kinds", []string{"baggage", "cargo"}),
			Statuses: subset(rt, "statuses", someMilestone), FirstEvent: anyRange(rt, "first"), LastEvent: anyRange(rt, "last"), Updated: anyRange(rt, "updated"),
			Prefix: rapid.SampledFrom([]string{"", "", "00", "003", "bag4", "ba"}).Draw(rt, "prefix"),
		}
		if rapid.IntRange(0, 4).Draw(rt, "by thing") == 0 {
			f.Aggregates = subset(rt, "things", []string{"bag1", "bag2", "bag30"})
		}
		page := SearchPage{Sort: rapid.SampledFrom(TraceSorts()).Draw(rt, "sort"), Ascending: rapid.Bool().Draw(rt, "asc"), Limit: rapid.IntRange(1, 30).Draw(rt, "limit")}
		wide, gathered := rapid.Bool().Draw(rt, "wide"), rapid.IntRange(0, 10).Draw(rt, "gathered")
		found := everyPage(rt, page, func(p SearchPage) ([]TraceItem, error) {
			if wide {
				b := f.search("acme")
				sql, args, err := b.page(p, way{-1, gathered%(len(b.selectors)+1) - 1})
				require.NoError(rt, err)
				return readAs(context.Background(), s, "acme", scanTraceItem, sql, args...)
			}
			return s.SearchTraces(context.Background(), "acme", f, p)
		}, func(item TraceItem) SearchKey { return item.After(page.Sort) })
		want := []string{}
		for id, of := range byTrace {
			if f.naive(id, of) {
				want = append(want, id)
			}
		}
		ids := column(found, func(item TraceItem) string { return item.CorrelationID })
		require.ElementsMatch(rt, want, ids)
		require.True(rt, slices.IsSortedFunc(found, func(a, b TraceItem) int {
			if page.Ascending {
				return a.After(page.Sort).At.Compare(b.After(page.Sort).At)
			}
			return b.After(page.Sort).At.Compare(a.After(page.Sort).At)
		}))
		count, err := s.CountTraces(context.Background(), "acme", f)
		require.NoError(rt, err)
		require.Equal(rt, Count{len(want), true}, count)
	})
}

func (f TraceFilter) naive(id string, events []*tracking.Event) bool {
	trace := tracking.Fold(events)
	some := func(values []string, of func(*tracking.Event) string) bool {
		return len(values) == 0 || slices.ContainsFunc(events, func(e *tracking.Event) bool { return slices.Contains(values, of(e)) })
	}
	return holds(f.Statuses, string(trace.Status)) && holds(f.Kinds, string(trace.Kind)) &&
		f.FirstEvent.holds(trace.FirstEventAt) && f.LastEvent.holds(trace.LastEventAt) && f.Updated.holds(trace.UpdatedAt) &&
		some(f.Sources, func(e *tracking.Event) string { return e.Source }) && some(f.EventTypes, func(e *tracking.Event) string { return e.Type }) &&
		some(f.Locations, func(e *tracking.Event) string { return e.Location.IATA }) && some(f.Carriers, carrierOf) && some(f.Flights, flightOf) &&
		some(f.Aggregates, func(e *tracking.Event) string { return e.AggregateID }) &&
		(f.Prefix == "" || strings.HasPrefix(id, f.Prefix) ||
			slices.ContainsFunc(events, func(e *tracking.Event) bool { return strings.HasPrefix(e.AggregateID, f.Prefix) })) &&
		some(f.Milestones, func(e *tracking.Event) string {
			if e.Classifier != tracking.Actual {
				return ""
			}
			return string(e.Enrichment.Milestone)
		})
}

// What a filter finds is what it matches of all traces; nobody else's are matched.
func TestTracesAreMatchedAsTheyAreFound(t *testing.T) {
	t.Parallel()
	s := open(t)
	persistAll(t, s, story("acme", 90, 0)...)
	persistAll(t, s, story("umbrella", 30, 0)...)
	var all []string
	for i := range 31 {
		all = append(all, fmt.Sprintf("%03d-c", i))
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := TraceFilter{
			Sources: subset(rt, "sources", someSources), EventTypes: subset(rt, "types", someTypes), Locations: subset(rt, "places", somePlaces),
			Carriers: subset(rt, "carriers", someCarriers), Flights: subset(rt, "flights", []string{"LA2047", "AV12"}), Milestones: subset(rt, "milestones", someMilestone),
			Aggregates: subset(rt, "things", []string{"bag1", "bag2"}), Prefix: rapid.SampledFrom([]string{"", "00", "bag1"}).Draw(rt, "prefix"),
			CorrelationIDs: subset(rt, "journeys", []string{"001-c", "002-c"}), LastEvent: anyRange(rt, "last"),
		}
		asked := rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID[string]).Draw(rt, "asked")
		items, err := s.SearchTraces(context.Background(), "acme", f, SearchPage{Limit: 1000})
		require.NoError(rt, err)
		var want []string
		for _, item := range items {
			if slices.Contains(asked, item.CorrelationID) {
				want = append(want, item.CorrelationID)
			}
		}
		got, err := s.MatchTraces(context.Background(), "acme", f, asked)
		require.NoError(rt, err)
		require.ElementsMatch(rt, want, got)
		got, err = s.MatchTraces(context.Background(), "nobody", f, asked)
		require.NoError(rt, err)
		require.Empty(rt, got)
	})
}

// A row that is there throughout is on one page exactly, whatever comes in meanwhile.
func TestPagesAreStableUnderInserts(t *testing.T) {
	t.Parallel()
	s := open(t)
	events := story("acme", 120, 0)
	persistAll(t, s, events...)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := s.Persist(context.Background(), story("acme", 9, 3000+9*i)); err != nil {
				done <- err
				return
			}
		}
	}()
	for round := range 12 {
		page := SearchPage{Sort: EventSorts()[round%2], Ascending: round%4 < 2, Limit: 7}
		seen := map[uuid.UUID]int{}
		for range 60 { // what comes in may be faster than pages are read
			found, err := s.SearchEvents(t.Context(), "acme", EventFilter{}, page)
			require.NoError(t, err)
			for _, e := range found {
				seen[e.UID]++
			}
			if len(found) < page.Limit {
				break
			}
			key := EventAfter(found[len(found)-1], page.Sort)
			page.After = &key
		}
		for _, n := range seen {
			require.Equal(t, 1, n)
		}
		if page.After != nil && !page.Ascending { // as far as was read
			for _, e := range events {
				at := EventAfter(e, page.Sort).At
				require.True(t, seen[e.UID] == 1 || !at.After(page.After.At), "missed")
			}
		}
	}
	close(stop)
	require.NoError(t, <-done)
}

var scanned = regexp.MustCompile(`Seq Scan on (event_store\w*|traces|trace_facets)`)

// No search reads a large table from end to end.
func TestNoSearchScans(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.pool.Exec(t.Context(), `
INSERT INTO event_store SELECT ('0'||substr(md5(i::text), 2, 11)||'70008000000000000000')::uuid, 'acme', 'c'||i/4, 'a'||i/2, 's'||i%7, 'e'||i, 0, 'baggage', 't'||i%20, 'actual',
    'loaded', '', now() - i * interval '1 second', 0, now() - i * interval '1 second', NULL,
    jsonb_build_object('location', jsonb_build_object('iata', 'L'||i%50), 'transport', jsonb_build_object('carrier', 'LA', 'number', (i/40)::text))
FROM generate_series(1, 30000) i;
INSERT INTO traces (tenant_id, correlation_id, status, first_event_at, last_event_at, event_count)
SELECT 'acme', 'c'||i, 's'||i%9, now() - i * interval '1 minute', now() - i * interval '1 second', 4 FROM generate_series(0, 7500) i;
INSERT INTO trace_facets SELECT DISTINCT tenant_id, facet, correlation_id FROM event_store, event_facets(source, event_type, kind, classifier, milestone, details::jsonb) AS f (facet);`)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)
	found := map[string]way{} // which way is, whatever the page
	read := func(b search, page SearchPage, what string) {
		best, known := found[what]
		if !known {
			var err error
			best, err = s.wayOf(t.Context(), b)
			require.NoError(t, err)
			found[what] = best
			for _, sel := range b.selectors {
				q := &query{}
				requireNoScan(t, s, what, sel.ids(q)+" "+aboutAsFew, q.args)
			}
		}
		ways := []way{best}
		if !strings.HasSuffix(what, "nothing") { // as for a value that many have
			ways = append(ways, inOrder())
			if b.keysFirst && len(b.selectors) > 0 { // as for one that some have
				ways = append(ways, way{-1, 0})
			}
		}
		for _, way := range ways {
			sql, args, err := b.page(page, way)
			require.NoError(t, err)
			requireNoScan(t, s, what, sql, args)
		}
	}
	for _, ascending := range []bool{false, true} {
		for _, sort := range TraceSorts() {
			page := SearchPage{Sort: sort, Ascending: ascending, Limit: 50, After: &SearchKey{time.Now().Add(-time.Hour), "c100"}}
			for what, f := range map[string]TraceFilter{
				"all": {}, "status": {Statuses: []string{"s1"}}, "source": {Sources: []string{"s1"}}, "flight": {Flights: []string{"LA7"}},
				"location": {Locations: []string{"L7"}}, "type": {EventTypes: []string{"t1", "t2"}}, "thing": {Aggregates: []string{"a10"}},
				"prefix": {Prefix: "c1234"}, "nothing": {Sources: []string{"none"}}, "journeys": {CorrelationIDs: []string{"c1", "c2"}},
				"two": {Sources: []string{"s1"}, Flights: []string{"LA7"}}, "trouble": {Exceptions: []string{AnyValue}}, "odd": {Anomalies: []string{AnyValue}},
			} {
				read(f.search("acme"), page, "traces by "+what)
			}
		}
		for _, sort := range EventSorts() {
			page := SearchPage{Sort: sort, Ascending: ascending, Limit: 50, After: &SearchKey{time.Now().Add(-time.Hour), newUID().String()}}
			for what, f := range map[string]EventFilter{
				"all": {}, "source": {Sources: []string{"s1"}}, "flight": {Flights: []string{"LA7"}}, "location": {Locations: []string{"L7"}},
				"journey": {CorrelationIDs: []string{"c1"}}, "thing": {Aggregates: []string{"a10"}}, "uid": {UIDs: []uuid.UUID{newUID()}},
				"received": {Received: TimeRange{From: time.Now().Add(-2 * time.Hour)}}, "nothing": {Sources: []string{"none"}},
				"prefix": {Prefix: "c1234"}, "prefix in journeys": {Prefix: "c1", CorrelationIDs: []string{"c1"}},
			} {
				read(f.search("acme"), page, "events by "+what)
			}
		}
	}
	requireNoScan(t, s, "trace", traceEvents, []any{"acme", "c1", nil})
	requireNoScan(t, s, "trace of a thing", aggregateEvents, []any{"acme", "a1", nil, nil})
}

func requireNoScan(t *testing.T, s *Store, what, sql string, args []any) {
	t.Helper()
	plan, err := readAs(t.Context(), s, "acme", pgx.RowTo[string], "EXPLAIN "+sql, args...)
	require.NoError(t, err, what)
	text := strings.Join(plan, "\n")
	for _, found := range scanned.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(found[1], "event_store_2") { // an empty month: a scan of nothing
			continue
		}
		t.Errorf("%s scans %s:\n%s\n%s", what, found[1], sql, text)
	}
}
