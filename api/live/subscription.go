package live

import (
	"cmp"
	"fmt"
	"net/http"
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

// traceFilter says which traces a stream tells of: what the row of a trace can answer. What is empty holds for all.
type traceFilter struct {
	status, kind, exception, place []string
	aggregate, prefix              string
}

func (f traceFilter) match(t store.TraceSummary) bool {
	among := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return among(f.status, t.Status) && among(f.kind, t.Kind) && among(f.exception, t.Exception) && among(f.place, t.LastPlace) &&
		(f.aggregate == "" || f.aggregate == t.AggregateID) && strings.HasPrefix(t.CorrelationID, f.prefix)
}

// maxFilter bounds what a filter says, in values and in bytes of each.
const maxFilter, maxFilterBytes = 50, 256

// newTraceFilter reads the filter of an address; the error is a Problem.
func newTraceFilter(values func(name string) []string) (traceFilter, error) {
	var f traceFilter
	for name, list := range map[string]*[]string{"status": &f.status, "kind": &f.kind, "exception": &f.exception, "place": &f.place} {
		*list = values(name)
		if len(*list) > maxFilter || slices.ContainsFunc(*list, func(v string) bool { return len(v) > maxFilterBytes }) {
			return f, invalid(name, fmt.Sprintf("at most %d values of %d bytes", maxFilter, maxFilterBytes))
		}
	}
	for name, value := range map[string]*string{"aggregateId": &f.aggregate, "correlationPrefix": &f.prefix} {
		list := values(name)
		if len(list) > 1 || len(list) == 1 && len(list[0]) > 1024 {
			return f, invalid(name, "one value of 1024 bytes at most")
		}
		if len(list) == 1 {
			*value = list[0]
		}
	}
	return f, nil
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

// offer adds traces that have changed by a place. A trace that the filter does not hold for any more is not told.
func (s *subscription) offer(traces []store.TraceSummary, at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move(at)
	for _, t := range traces {
		if s.filter.match(t) {
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
