package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

var limaTime = time.FixedZone("", -5*3600)

// story builds the events of a journey.
type story struct {
	id     string
	kind   tracking.Kind
	events []*tracking.Event
}

func (s *story) tell(at, code string, m tracking.Milestone, change func(e *tracking.Event)) {
	occurred, err := time.ParseInLocation("02 15:04:05", at, limaTime)
	if err != nil {
		panic(err)
	}
	n := len(s.events)
	e := &tracking.Event{
		UID: uuid.MustParse(fmt.Sprintf("01978d00-0000-7000-8000-%012d", n)), TenantID: "talma-pe", Source: "LA-baggage",
		EventID: fmt.Sprintf("e%d", n), CorrelationID: s.id, AggregateID: s.id, Kind: s.kind, Type: code, Classifier: tracking.Actual,
		OccurredAt: occurred.AddDate(2026, 5, 0), ReceivedAt: time.Date(2026, 6, 21, 0, n, 0, 0, time.UTC),
		Enrichment: tracking.Enrichment{Milestone: m},
	}
	if change != nil {
		change(e)
	}
	s.events = append(s.events, e)
}

func at(code, city, country string) func(*tracking.Event) {
	return func(e *tracking.Event) {
		e.Enrichment.Place = &tracking.Place{IATA: code, Name: "Airport", City: city, Country: country}
	}
}

func and(changes ...func(*tracking.Event)) func(*tracking.Event) {
	return func(e *tracking.Event) {
		for _, change := range changes {
			change(e)
		}
	}
}

func flight(number, from, to string) func(*tracking.Event) {
	return func(e *tracking.Event) {
		e.Transport = &tracking.Transport{Mode: "air", Carrier: "LA", Number: number, Date: "2026-06-20", Origin: from, Destination: to}
	}
}

func pieces(n, total int) func(*tracking.Event) {
	return func(e *tracking.Event) { e.Quantity = &tracking.Quantity{Pieces: n, TotalPieces: total} }
}

// bagStory has one of everything that a timeline can show.
func bagStory() *story {
	lima, cusco, flown := at("LIM", "Lima", "PE"), at("CUZ", "Cuzco", "PE"), flight("2047", "LIM", "CUZ")
	s := &story{id: "0455123456", kind: tracking.Baggage}
	s.tell("20 08:00:00", "checked_in", tracking.Accepted, lima)
	s.tell("20 09:10:00", "loaded", tracking.Loaded, and(at("MIA", "Miami", "US"), func(e *tracking.Event) { e.EventID = "wrong" }))
	s.tell("20 09:10:00", "loaded", tracking.Loaded, and(at("MIA", "Miami", "US"), func(e *tracking.Event) {
		e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"wrong"}, Reason: "did_not_occur"}
	}))
	s.tell("20 09:30:00", "loaded", tracking.Loaded, and(lima, flown))
	s.tell("20 09:31:00", "loaded", tracking.Loaded, and(lima, flown, func(e *tracking.Event) { e.EventID, e.Revision = "e3", 1 }))
	s.tell("20 08:20:30", "screened", tracking.Processing, and(lima, func(e *tracking.Event) { e.Location = &tracking.Location{Facility: "HBS-3"} }))
	s.tell("20 10:00:00", "departed", tracking.InTransit, and(lima, flown))
	s.tell("20 11:15:00", "departed", tracking.InTransit, func(e *tracking.Event) { e.Classifier = tracking.Estimated })
	s.tell("20 11:20:00", "arrived", tracking.Arrived, and(cusco, flown))
	s.tell("20 12:00:00", "missing", "", and(cusco, func(e *tracking.Event) { e.Enrichment.Exception = "missing" }))
	s.tell("20 12:05:00", "EVIL\x1b[2J", tracking.Unknown, func(e *tracking.Event) { e.Location = &tracking.Location{Name: "Depósito \u202e7"} })
	return s
}

func cargoStory() *story {
	s := &story{id: "045-12345675", kind: tracking.Cargo}
	lima, miami := at("LIM", "Lima", "PE"), at("MIA", "Miami", "US")
	s.tell("18 08:00:00", "RCS", tracking.Accepted, and(lima, pieces(10, 10)))
	s.tell("19 01:00:00", "DEP", tracking.InTransit, and(lima, flight("2476", "LIM", "MIA"), pieces(6, 10)))
	s.tell("19 09:00:00", "DEP", tracking.InTransit, and(lima, flight("2478", "LIM", "MIA"), pieces(4, 10)))
	s.tell("19 10:00:00", "RCF", tracking.Arrived, and(miami, flight("2476", "LIM", "MIA"), pieces(6, 10)))
	s.tell("19 18:00:00", "RCF", tracking.Arrived, and(miami, flight("2478", "LIM", "MIA"), pieces(4, 10)))
	s.tell("20 08:00:00", "DLV", tracking.Delivered, and(miami, pieces(6, 10)))
	s.tell("20 18:00:00", "DLV", tracking.Delivered, and(miami, pieces(4, 10)))
	return s
}

func (s *story) json(t *testing.T) string {
	t.Helper()
	body, err := json.Marshal(tracking.Fold(s.events))
	require.NoError(t, err)
	return string(body)
}

func TestTraceTimeline(t *testing.T) {
	for name, s := range map[string]*story{"bag": bagStory(), "cargo": cargoStory()} {
		t.Run(name, func(t *testing.T) {
			plain, coloured := testdata(t, "trace-"+name+".txt"), testdata(t, "trace-"+name+"-colours.txt")
			api := newFakeAPI(t)
			api.run(t)
			api.traces["/api/v1/trace/"+s.id] = s.json(t)
			got := testRun{}.do(t, "trace", s.id)
			require.Zero(t, got.code, got.failure)
			require.Empty(t, got.err)
			golden(t, plain, got.out)
			require.NotContains(t, got.out, "\x1b", "no sender steers the terminal")

			got = testRun{tty: terminals{out: true}}.do(t, "trace", s.id)
			golden(t, coloured, got.out)
			for _, env := range []map[string]string{{"NO_COLOR": "1"}, {"TERM": "dumb"}} {
				got = testRun{tty: terminals{out: true}, env: env}.do(t, "trace", s.id)
				require.NotContains(t, got.out, "\x1b")
			}
		})
	}
}

func TestTraceLookup(t *testing.T) {
	api := newFakeAPI(t)
	api.run(t)
	body := bagStory().json(t)
	api.traces["/api/v1/trace/AWB%2F1"] = body
	api.traces["/api/v1/trace?aggregateId=piece+2"] = body
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"AWB/1"}, exitOK},
		{[]string{"AWB/1", "--by", "correlation"}, exitOK},
		{[]string{"AWB/1", "--by", "aggregate"}, exitNotFound},
		{[]string{"piece 2"}, exitOK},
		{[]string{"piece 2", "--by", "aggregate"}, exitOK},
		{[]string{"piece 2", "--by", "correlation"}, exitNotFound},
		{[]string{"nothing"}, exitNotFound},
		{[]string{"AWB/1", "--by", "hope"}, exitUsage},
		{[]string{""}, exitUsage},
		{nil, exitUsage},
		{[]string{"a", "b"}, exitUsage},
		{[]string{"AWB/1", "--token", "no"}, exitUnreachable},
		{[]string{"AWB/1", "--token", "no", "--url", "http://127.0.0.1:1"}, exitUnreachable},
	} {
		got := testRun{}.do(t, append([]string{"trace"}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %v", c.args, got.failure)
		if c.code == exitNotFound {
			require.ErrorContains(t, got.failure, "no trace of")
			require.ErrorContains(t, got.failure, "--tenant")
			require.Empty(t, got.out)
		}
	}
}

func TestTraceJSONIsAsReceived(t *testing.T) {
	api := newFakeAPI(t)
	api.run(t)
	api.traces["/api/v1/trace/1"] = `{"status":"loaded", "future_field":[1.0],"events":[]}`
	got := testRun{}.do(t, "trace", "1", "--json")
	require.Zero(t, got.code)
	require.Equal(t, api.traces["/api/v1/trace/1"]+"\n", got.out)

	api.traces["/api/v1/trace/1"] = `<html>`
	got = testRun{}.do(t, "trace", "1")
	require.Equal(t, exitFailure, got.code)
	require.ErrorContains(t, got.failure, "not a trace")
}

func TestTraceOfLittle(t *testing.T) {
	api := newFakeAPI(t)
	api.run(t)
	api.traces["/api/v1/trace/1"] = `{"correlation_id":"1","status":"unknown","tenant_id":"t","events":[{},{"event_type":"x"}]}`
	got := testRun{}.do(t, "trace", "1")
	require.Zero(t, got.code)
	require.Contains(t, got.out, "1  unknown\nt · 2 events\n")
	require.Contains(t, got.out, "no time")
}

// watched is an output that says when something is written.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	w.news <- struct{}{}
	return n, err
}

func TestTraceWatch(t *testing.T) {
	var polls atomic.Int64
	api := newFakeAPI(t)
	story := bagStory()
	whole := story.json(t)
	story.events = story.events[:3]
	begun := story.json(t)
	ctx, cancel := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/trace/", func(w http.ResponseWriter, _ *http.Request) {
		switch n := polls.Add(1); {
		case n <= 2:
			w.WriteHeader(http.StatusNotFound)
		case n <= 6:
			_, _ = io.WriteString(w, begun)
		default:
			_, _ = io.WriteString(w, whole)
		}
	})
	mux.HandleFunc("/api/v1/trace", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	api.Config.Handler = mux

	home(t)
	out := &watched{news: make(chan struct{}, 8)}
	view := &traceView{out: out, options: traceOptions{every: time.Millisecond}}
	options := &target{url: api.URL, token: "x"}
	client, err := options.connect(ctx, streams{getenv: func(string) string { return "" }})
	require.NoError(t, err)
	defer client.close()
	done := make(chan error, 1)
	go func() { done <- view.watch(ctx, client, "0455123456") }()
	<-out.news
	<-out.news
	after := polls.Load()
	require.Eventually(t, func() bool { return polls.Load() > after+3 }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, 2, strings.Count(out.text.String(), "Milestones"), "once for each change")

	view.clear = true
	require.NoError(t, view.print([]byte(whole)))
	require.Contains(t, out.text.String(), clearScreen)
}

func TestTraceWatchFailsAtOnceWhenItCannotBegin(t *testing.T) {
	home(t)
	got := testRun{}.do(t, "trace", "1", "--watch", "--url", "http://127.0.0.1:1", "--token", "x")
	require.Equal(t, exitUnreachable, got.code)
}
