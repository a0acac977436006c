package live

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// place is how far a stream has told: a position in the order of changes, and when that was by the database's clock. It is the id
// of an event of the stream.
type place struct {
	position store.ChangePosition
	at       time.Time
}

// String returns the place as an event's id: position and milliseconds since the Unix epoch.
func (p place) String() string { return fmt.Sprintf("%d.%d", p.position, p.at.UnixMilli()) }

// parsePlace reads an event's id.
func parsePlace(text string) (place, bool) {
	position, at, cut := strings.Cut(text, ".")
	n, errN := strconv.ParseUint(position, 10, 63)
	ms, errMs := strconv.ParseInt(at, 10, 64)
	if !cut || errN != nil || errMs != nil || ms < 0 || ms > 1<<52 {
		return place{}, false
	}
	return place{store.ChangePosition(n), time.UnixMilli(ms)}, true
}

// traceFilter says which traces a stream tells of. What is empty holds for all. Statuses, kinds, exceptions and what is here are looked at
// in the row of a trace, which is at hand; for the rest, which is deep, the store is asked.
type traceFilter struct {
	store.TraceFilter

	places []string // where it was last seen
	prefix string   // of the correlation id

	deep string // identifies what the store is asked; empty when there is nothing to ask
}

// match says whether the row of a trace is one that is meant.
func (f traceFilter) match(t store.TraceSummary) bool {
	among := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return among(f.Statuses, t.Status) && among(f.Kinds, t.Kind) && among(f.places, t.LastPlace) && strings.HasPrefix(t.CorrelationID, f.prefix) &&
		(among(f.Exceptions, t.Exception) || t.Exception != "" && slices.Contains(f.Exceptions, store.AnyValue))
}

// question returns what the store is asked.
func (f traceFilter) question() store.TraceFilter {
	q := f.TraceFilter
	q.Statuses, q.Kinds, q.Exceptions = nil, nil, nil
	return q
}

// maxFilter bounds what a filter says, in values and in bytes of each.
const maxFilter, maxFilterBytes = 50, 256

// newTraceFilter reads the filter of an address, whose parameters are those of GET /api/v1/traces and two more; the error is a Problem.
func newTraceFilter(values func(name string) []string) (traceFilter, error) {
	var f traceFilter
	for _, list := range []struct {
		name string
		of   *[]string
	}{
		{"status", &f.Statuses}, {"milestone", &f.Milestones}, {"kind", &f.Kinds}, {"source", &f.Sources}, {"carrier", &f.Carriers},
		{"location", &f.Locations}, {"flight", &f.Flights}, {"eventType", &f.EventTypes}, {"exception", &f.Exceptions}, {"anomaly", &f.Anomalies},
		{"place", &f.places}, {"correlationId", &f.CorrelationIDs}, {"aggregateId", &f.Aggregates},
	} {
		most := maxFilterBytes
		if strings.HasSuffix(list.name, "Id") {
			most = maxIDBytes
		}
		*list.of = values(list.name)
		if len(*list.of) > maxFilter || slices.ContainsFunc(*list.of, func(v string) bool { return len(v) > most }) {
			return f, invalid(list.name, fmt.Sprintf("at most %d values of %d bytes", maxFilter, most))
		}
	}
	for name, value := range map[string]*string{"q": &f.Prefix, "correlationPrefix": &f.prefix} {
		list := values(name)
		if len(list) > 1 || len(list) == 1 && len(list[0]) > maxIDBytes {
			return f, invalid(name, fmt.Sprintf("one value of %d bytes at most", maxIDBytes))
		}
		if len(list) == 1 {
			*value = list[0]
		}
	}
	for name, at := range map[string]*time.Time{
		"firstEventFrom": &f.FirstEvent.From, "firstEventUntil": &f.FirstEvent.Until, "lastEventFrom": &f.LastEvent.From,
		"lastEventUntil": &f.LastEvent.Until, "updatedFrom": &f.Updated.From, "updatedUntil": &f.Updated.Until,
	} {
		if err := readTime(name, values(name), at); err != nil {
			return f, err
		}
	}
	f.TraceFilter = f.Canonical()
	if question := f.question(); !reflect.DeepEqual(question, store.TraceFilter{}) {
		text, err := json.Marshal(question)
		if err != nil {
			return f, fmt.Errorf("encode a filter: %w", err)
		}
		f.deep = string(text)
	}
	return f, nil
}

// maxIDBytes is how long an id in a filter may be.
const maxIDBytes = 1024

// readTime reads a time of an address, when there is one; the error is a Problem.
func readTime(name string, values []string, into *time.Time) error {
	if len(values) == 0 {
		return nil
	}
	at, err := time.Parse(time.RFC3339, values[0])
	if err != nil || len(values) > 1 || at.Year() < 1 || at.Year() > 9999 {
		return invalid(name, "one time as RFC 3339, such as 2026-06-20T12:00:00Z")
	}
	*into = at
	return nil
}

// subscription is what waits for one client: of each trace the latest state only, and no more traces than there is room for.
type subscription struct {
	tenant string
	filter traceFilter
	max    int
	ready  chan struct{} // something waits

	mu      sync.Mutex
	pending map[string]store.TraceSummary
	reason  string // why the client has to read anew; empty when it need not
	place   place
}

func newSubscription(tenant string, filter traceFilter, most int, at place) *subscription {
	return &subscription{tenant: tenant, filter: filter, max: most, place: at, ready: make(chan struct{}, 1), pending: map[string]store.TraceSummary{}}
}

// offer adds traces that have changed by a place. A trace that the filter does not hold for any more is not told. meant are those that the
// store says are meant, when the filter asks it.
func (s *subscription) offer(traces []store.TraceSummary, meant map[string]bool, at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move(at)
	for _, t := range traces {
		if s.filter.match(t) && (s.filter.deep == "" || meant[t.CorrelationID]) {
			s.pending[t.CorrelationID] = t
		} else {
			delete(s.pending, t.CorrelationID)
		}
	}
	if len(s.pending) > s.max {
		s.reason = "slow"
	}
	if s.reason != "" {
		clear(s.pending) // The client reads them anew.
	}
	s.signal()
}

// resync has the client told to read anew.
func (s *subscription) resync(reason string, at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place, s.reason = at, reason
	clear(s.pending)
	s.signal()
}

// anew has the client told to read anew, as far as it has been told already.
func (s *subscription) anew(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = reason
	clear(s.pending)
	s.signal()
}

func (s *subscription) move(at place) {
	if at.position >= s.place.position {
		s.place = at
	}
}

func (s *subscription) signal() {
	if s.reason == "" && len(s.pending) == 0 {
		return
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take returns what waits, and how far all of that goes.
func (s *subscription) take() (traces []store.TraceSummary, reason string, at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.pending {
		traces = append(traces, t)
	}
	slices.SortFunc(traces, func(a, b store.TraceSummary) int {
		return cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), strings.Compare(a.CorrelationID, b.CorrelationID))
	})
	reason, s.reason = s.reason, ""
	clear(s.pending)
	return traces, reason, s.place
}

// streamCount counts the open streams.
type streamCount struct {
	mu       sync.Mutex
	all      int
	byTenant map[string]int
}

// retryStream is when to come again where there are too many streams, in seconds.
const retryStream = "10"

// enter counts one stream more, unless there are too many; the error is a Problem.
func (c *streamCount) enter(tenant string, config Config) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byTenant == nil {
		c.byTenant = map[string]int{}
	}
	switch {
	case c.byTenant[tenant] >= config.MaxTenantStreams:
		return problem.New(http.StatusTooManyRequests, "too-many-streams", fmt.Sprintf(
			"The tenant has %d streams open at this process, which is as many as it may have; close some, or come again after Retry-After seconds.", config.MaxTenantStreams))
	case c.all >= config.MaxStreams:
		return problem.New(http.StatusTooManyRequests, "too-many-streams",
			"As many streams are open as this process serves; come again after Retry-After seconds.")
	}
	c.all++
	c.byTenant[tenant]++
	return nil
}

func (c *streamCount) leave(tenant string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.byTenant[tenant]--; c.byTenant[tenant] == 0 {
		delete(c.byTenant, tenant)
	}
}
