package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rastrohq/rastro/internal/devstack/simulator"
)

const (
	// probesPerSecond is how many events a second are watched until a query shows them. Each is a journey of its own.
	probesPerSecond = 10
	// giveUp is when a probe counts as not seen.
	giveUp = 20 * time.Second
)

// loadFigures is what a load on a schedule found.
type loadFigures struct {
	Sent                  int64
	Acknowledged, Visible summary
	ProbesMissing         int
}

// load sends believable traffic of one tenant.
type load struct {
	stack  *stack
	client *http.Client
	events *simulator.Generator
	probes int
	begun  int64 // makes the probes of this load its own
	// perRequest is how many events a request carries.
	perRequest int
}

func newLoad(s *stack, perRequest int) *load {
	c := simulator.DefaultConfig()
	c.Tenants, c.EventsPerSecond, c.Seed = []string{"talma-pe"}, 1000, 1
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}
	return &load{
		stack: s, client: &http.Client{Transport: transport, Timeout: time.Minute}, events: simulator.NewGenerator(c), perRequest: perRequest, begun: time.Now().UnixMilli(),
	}
}

// request is one request on the schedule.
type request struct {
	body  string
	probe string // correlation id of the event in it that is watched; empty for none
}

// next makes a request.
func (l *load) next(withProbe bool) request {
	bodies := make([]string, 0, l.perRequest)
	var r request
	if withProbe {
		l.probes++
		r.probe = fmt.Sprintf("PROBE-%d-%d-%d", l.perRequest, l.begun, l.probes)
		bodies = append(bodies, fmt.Sprintf(`{"correlation_id":%q,"aggregate_id":%q,"event_type":"loaded","timestamp":%q,"source":"bench","payload":{"location":"LIM","flight":"LA2468"}}`,
			r.probe, r.probe, time.Now().Format(time.RFC3339)))
	}
	for len(bodies) < l.perRequest {
		if w := l.events.Next(); w.Valid {
			bodies = append(bodies, string(w.Body))
		}
	}
	r.body = "[" + strings.Join(bodies, ",") + "]"
	return r
}

// measured gathers what the requests found.
type measured struct {
	mu           sync.Mutex
	sent         int64
	acknowledged []float64
	visible      []float64
	missing      int
	first        error
}

// run sends rate events a second for a time and waits for what it sent.
func (l *load) run(ctx context.Context, rate int, during time.Duration) (loadFigures, error) {
	every := time.Second * time.Duration(l.perRequest) / time.Duration(rate)
	probeEach := max(1, rate/l.perRequest/probesPerSecond)
	var m measured
	var under sync.WaitGroup
	begin := time.Now()
	for i := 0; time.Duration(i)*every < during; i++ {
		r := l.next(i%probeEach == 0)
		scheduled := begin.Add(time.Duration(i) * every)
		timer := time.NewTimer(time.Until(scheduled))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			under.Wait()
			return loadFigures{}, ctx.Err()
		}
		under.Go(func() { l.send(ctx, r, scheduled, &m) })
	}
	under.Wait()
	return loadFigures{
		Sent: m.sent, Acknowledged: summarise(m.acknowledged), Visible: summarise(m.visible),
		ProbesMissing: m.missing,
	}, m.first
}

func (l *load) send(ctx context.Context, r request, scheduled time.Time, m *measured) {
	status, body, err := l.stack.do(ctx, l.client, http.MethodPost, "/api/v1/events", r.body)
	acknowledged := time.Since(scheduled)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("POST was answered %d: %s", status, body)
	}
	m.mu.Lock()
	m.sent += int64(l.perRequest)
	if err != nil && m.first == nil {
		m.first = err
	}
	m.acknowledged = append(m.acknowledged, milliseconds(acknowledged))
	m.mu.Unlock()
	if err != nil || r.probe == "" {
		return
	}
	seen := l.watch(ctx, r.probe)
	took := time.Since(scheduled)
	m.mu.Lock()
	defer m.mu.Unlock()
	if seen {
		m.visible = append(m.visible, milliseconds(took))
	} else {
		m.missing++
	}
}

// watch asks for a trace until it is there: every two milliseconds, and less often the longer it takes, so that asking is no load
// of its own where things are slow. What it finds is at most a tenth too long.
func (l *load) watch(ctx context.Context, correlation string) bool {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	begin := time.Now()
	for {
		status, _, err := l.stack.do(ctx, l.client, http.MethodGet, "/api/v1/trace/"+correlation, "")
		if err == nil && status == http.StatusOK {
			return true
		}
		if pause(ctx, max(2*time.Millisecond, time.Since(begin)/10)); ctx.Err() != nil {
			return false
		}
	}
}

// summary is the distribution of some latencies, in milliseconds.
type summary struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func (s summary) quantities() []quantity {
	return []quantity{{s.P50, "p50-ms"}, {s.P95, "p95-ms"}, {s.P99, "p99-ms"}, {s.Max, "max-ms"}}
}

func summarise(list []float64) summary {
	if len(list) == 0 {
		return summary{}
	}
	slices.Sort(list)
	at := func(q float64) float64 { return list[min(len(list)-1, int(q*float64(len(list))))] }
	return summary{P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: list[len(list)-1]}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
