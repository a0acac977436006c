package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// floodSteps is how many events a journey has: one a request, so that each request tells of many journeys, as a sorter does.
	floodSteps = 5
	// floodAhead is how many events may be accepted and not yet be queryable. Senders wait for the rest of the system beyond: what
	// is measured is what can go on for ever.
	floodAhead = 20_000
)

// floodTypes are the events of a bag, in order.
var floodTypes = [floodSteps]string{"checked_in", "loaded", "departed", "arrived", "delivered"}

// flooding says how a flood is made.
type flooding struct {
	Connections int `json:"connections"`
	Batch       int `json:"events_per_request"`
	// Payload is about how many bytes a payload has; 0 for those of a sorter's scan.
	Payload int           `json:"payload_bytes,omitempty"`
	During  time.Duration `json:"-"`
	// Ahead is floodAhead, or 0 when nothing but ingest runs.
	Ahead int64 `json:"-"`
}

// floodFigures is what a flood found: what passes from HTTP to what a query shows while as much is sent as goes through.
type floodFigures struct {
	flooding
	Seconds      float64 `json:"seconds"`
	Accepted     int64   `json:"events_accepted"`
	Queryable    int64   `json:"events_queryable"`
	PerSecond    float64 `json:"events_per_second"`
	Requests     float64 `json:"requests_per_second"`
	Acknowledged summary `json:"post_to_acknowledged_ms"`
	// ProcessCPU and DatabaseCPU are microseconds of CPU an event.
	ProcessCPU  float64 `json:"process_cpu_us_per_event"`
	DatabaseCPU float64 `json:"database_cpu_us_per_event"`
	PeakRSS     float64 `json:"peak_rss_mib"`
	// Allocations and SQSRequests are of rastro, an event and a thousand events.
	Allocations float64     `json:"allocations_per_event"`
	SQSRequests float64     `json:"sqs_requests_per_1000_events"`
	Stages      []stageTime `json:"stages"`
}

func (f floodFigures) quantities() []quantity {
	return append([]quantity{
		{f.PerSecond, "events/s"}, {f.Requests, "requests/s"}, {f.ProcessCPU, "rastro-cpu-us/event"}, {f.DatabaseCPU, "postgres-cpu-us/event"},
		{f.Allocations, "allocs/event"}, {f.SQSRequests, "sqs-requests/1000-events"}, {f.PeakRSS, "rss-MiB"},
	}, f.Acknowledged.quantities()...)
}

// addStages says what each stage took, below a name.
func (f floodFigures) addStages(to *records, below string) {
	for _, stage := range f.Stages {
		to.add(below+"/"+stage.Stage, quantity{stage.Time, "us/event"}, quantity{stage.Events, "events/batch"})
	}
}

// flood sends as much as goes through, from connections that send one request after the other.
type flood struct {
	stack    *stack
	client   *http.Client // asks for figures
	sending  *fasthttp.Client
	how      flooding
	run      string // makes the journeys of this flood its own
	accepted atomic.Int64
	stored   atomic.Int64
	mu       sync.Mutex
	times    []float64
	first    error
}

func newFlood(s *stack, how flooding, run string) *flood {
	return &flood{
		stack: s, how: how, run: run, client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
		sending: &fasthttp.Client{MaxConnsPerHost: how.Connections, NoDefaultUserAgentHeader: true},
	}
}

// sender makes the requests of a connection. What senders take of the machine is not there for what they measure, so a request is not written
// anew each time: of the events of each step there is a body, in which numbers and times are exchanged.
type sender struct {
	how   flooding
	steps [floodSteps]steppedBody
}

// steppedBody is a request of events of one step, and where in it what changes stands.
type steppedBody struct {
	body []byte
	// journeys, tags and times begin, in digits, where an event's journey, its tag and its time do.
	journeys, tags, times []int
}

const (
	journeyDigits, tagDigits = 8, 6
	floodTime                = "2006-01-02T15:04:05.000000Z"
)

func newSender(how flooding, run string, connection int) *sender {
	s := &sender{how: how}
	for step := range s.steps {
		b := &s.steps[step]
		text := func(parts ...string) {
			for _, part := range parts {
				b.body = append(b.body, part...)
			}
		}
		changing := func(at *[]int, digits int) {
			*at = append(*at, len(b.body))
			b.body = append(b.body, strings.Repeat("0", digits)...)
		}
		id := func() {
			text(run, fmt.Sprintf("%02d", connection))
			changing(&b.journeys, journeyDigits)
		}
		text("[")
		for i := range how.Batch {
			if i > 0 {
				text(",")
			}
			text(`{"correlation_id":"`)
			id()
			text(`","aggregate_id":"`)
			id()
			text(`","event_id":"`)
			id()
			text(fmt.Sprintf(`-%d","kind":"baggage","source":"LA","event_type":"%s","timestamp":"`, step, floodTypes[step]))
			changing(&b.times, len(floodTime))
			text(`","payload":{"location":"LIM","flight":"LA2468","device":"scanner-17","belt":"B4","bag_tag":"0045`)
			changing(&b.tags, tagDigits)
			text(`","weight":21.5,"note":"priority, fragile, transfer from LA2047"`)
			if how.Payload > 0 {
				text(`,"more":"`, strings.Repeat("0123456789abcdef", how.Payload/16), `"`)
			}
			text("}}")
		}
		text("]")
	}
	return s
}

// body returns the n-th request, which holds until the next is asked for.
func (s *sender) body(n int) []byte {
	b := s.steps[n%floodSteps]
	now := time.Now().UTC().Add(-time.Minute).Format(floodTime)
	perEvent := len(b.journeys) / s.how.Batch
	for i := range s.how.Batch {
		journey := n/floodSteps*s.how.Batch + i
		for _, at := range b.journeys[i*perEvent : (i+1)*perEvent] {
			putDigits(b.body[at:at+journeyDigits], journey)
		}
		putDigits(b.body[b.tags[i]:b.tags[i]+tagDigits], journey)
		copy(b.body[b.times[i]:], now)
	}
	return b.body
}

// putDigits writes the last digits of a number.
func putDigits(to []byte, n int) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
}

// settle waits until nothing becomes queryable any more of what was sent before, which would count as the flood's own.
func (f *flood) settle(ctx context.Context) error {
	const quiet = time.Second
	last, since := int64(-1), time.Now()
	for time.Since(since) < quiet {
		now, err := f.stack.metrics(ctx, f.client)
		if err != nil {
			return err
		}
		if n := now.queryable(); n != last {
			last, since = n, time.Now()
		}
		pause(ctx, 100*time.Millisecond)
	}
	return ctx.Err()
}

// measure floods for as long as it is to, once what was sent before is queryable.
func (f *flood) measure(ctx context.Context) (floodFigures, error) {
	figures := floodFigures{flooding: f.how}
	defer f.client.CloseIdleConnections()
	defer f.sending.CloseIdleConnections()
	if f.how.Ahead > 0 {
		if err := f.settle(ctx); err != nil {
			return figures, err
		}
	}
	told, err := f.stack.metrics(ctx, f.client)
	if err != nil {
		return figures, err
	}
	before := told.queryable()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var senders sync.WaitGroup
	process, database := f.stack.cpu()
	start := time.Now()
	for connection := range f.how.Connections {
		senders.Go(func() { f.send(sending, connection) })
	}
	for time.Since(start) < f.how.During && f.failed() == nil {
		now, err := f.stack.metrics(ctx, f.client)
		if err != nil {
			stop()
			senders.Wait()
			return figures, err
		}
		f.stored.Store(now.queryable() - before)
		pause(ctx, 100*time.Millisecond)
	}
	took := time.Since(start)
	processAfter, databaseAfter := f.stack.cpu()
	toldAfter, err := f.stack.metrics(ctx, f.client)
	figures.Queryable, figures.Accepted = f.stored.Load(), f.accepted.Load()
	stop()
	senders.Wait()
	if err := errors.Join(f.failed(), err); err != nil {
		return figures, err
	}
	counted := figures.Queryable
	if f.how.Ahead == 0 {
		counted = figures.Accepted
	}
	if counted == 0 {
		return figures, errors.New("nothing came through")
	}
	figures.Seconds = took.Seconds()
	figures.PerSecond = float64(counted) / took.Seconds()
	figures.Requests = float64(len(f.times)) / took.Seconds()
	figures.Acknowledged = summarise(f.times)
	figures.ProcessCPU = float64((processAfter - process).Microseconds()) / float64(counted)
	figures.DatabaseCPU = float64((databaseAfter - database).Microseconds()) / float64(counted)
	figures.PeakRSS = f.stack.peakRSS()
	figures.Allocations = (toldAfter.sum("go_memstats_mallocs_total") - told.sum("go_memstats_mallocs_total")) / float64(counted)
	figures.SQSRequests = toldAfter.per1000(told, float64(counted))
	figures.Stages = toldAfter.stages(told)
	return figures, nil
}

func (f *flood) send(ctx context.Context, connection int) {
	requests := newSender(f.how, f.run, connection)
	for n := 0; ctx.Err() == nil; n++ {
		for f.how.Ahead > 0 && f.accepted.Load()-f.stored.Load() > f.how.Ahead && ctx.Err() == nil {
			pause(ctx, time.Millisecond)
		}
		body := requests.body(n)
		start := time.Now()
		status, answer, err := f.post(body)
		switch took := milliseconds(time.Since(start)); {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.fail(err)
			return
		case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
			n-- // it is sent again
			pause(ctx, 10*time.Millisecond)
		case status != http.StatusAccepted:
			f.fail(fmt.Errorf("POST was answered %d: %.300s", status, answer))
			return
		default:
			f.accepted.Add(int64(f.how.Batch))
			f.mu.Lock()
			f.times = append(f.times, took)
			f.mu.Unlock()
		}
	}
}

// post sends a request by the client that takes the least.
func (f *flood) post(body []byte) (status int, answer []byte, err error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(f.stack.url + "/api/v1/events")
	request.Header.SetMethod(http.MethodPost)
	request.Header.SetContentType("application/json")
	request.Header.Set("Authorization", "Bearer "+f.stack.token)
	request.SetBodyRaw(body)
	if err := f.sending.DoTimeout(request, response, time.Minute); err != nil {
		return 0, nil, fmt.Errorf("send: %w", err)
	}
	return response.StatusCode(), bytes.Clone(response.Body()), nil
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *flood) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
	}
}

func (f *flood) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// queryable returns how many events persist has committed.
func (m metrics) queryable() int64 {
	return int64(m.sum("rastro_stage_events_total", `outcome="pass"`, `pipeline="tracking"`, `stage="persist"`))
}

// queryable returns how many events persist has committed since the process started.
func (f *flood) queryable(ctx context.Context) (int64, error) {
	told, err := f.stack.metrics(ctx, f.client)
	return told.queryable(), err
}
