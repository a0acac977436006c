package http

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is a request that a service got.
type call struct {
	method, media, key string
	header             http.Header
	body               string
	types              []string // of the events, when the body is an array
}

// service is what the stage calls: it records what it gets and answers as the test says.
type service struct {
	*httptest.Server

	mu     sync.Mutex
	calls  []call
	inside atomic.Int32
	most   atomic.Int32
}

func serve(tb testing.TB, answer func(w http.ResponseWriter, r *http.Request, c call)) *service {
	tb.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := s.inside.Add(1); n > s.most.Load() {
			s.most.Store(n)
		}
		defer s.inside.Add(-1)
		body, _ := io.ReadAll(r.Body)
		c := call{r.Method, r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), r.Header, string(body), nil}
		var events []tracking.Event
		if json.Unmarshal(body, &events) == nil {
			for _, e := range events {
				c.types = append(c.types, e.Type)
			}
		}
		s.mu.Lock()
		s.calls = append(s.calls, c)
		s.mu.Unlock()
		answer(w, r, c)
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *service) got() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func ok(w http.ResponseWriter, _ *http.Request, _ call) { w.WriteHeader(http.StatusAccepted) }

func fails(status int) func(http.ResponseWriter, *http.Request, call) {
	return func(w http.ResponseWriter, _ *http.Request, _ call) { w.WriteHeader(status) }
}

func settings() pipeline.Settings {
	return pipeline.Settings{Name: "http", Pipeline: "p", Logger: slog.New(slog.DiscardHandler), Now: time.Now}
}

func open(tb testing.TB, s pipeline.Settings, url, more string) pipeline.Stage {
	tb.Helper()
	registry := pipeline.NewRegistry()
	require.NoError(tb, Register(registry))
	source := "pipeline: p\nfrom: a\nstages:\n  - use: http\n    with: {url: '" + url + "'" + more + "}\n"
	spec, err := pipeline.Parse("p.yaml", []byte(source), registry)
	require.NoError(tb, err)
	built, err := spec.Stages[0].Build("p", s)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, built.(io.Closer).Close()) })
	return built
}

// of returns an event of each type.
func of(types ...string) []*tracking.Event {
	events := make([]*tracking.Event, len(types))
	for i, typ := range types {
		events[i] = &tracking.Event{
			UID: uuid.New(), TenantID: "talma-pe", Source: "LA", EventID: fmt.Sprint(i), CorrelationID: "0045123456", Type: typ,
			OccurredAt: time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC), Payload: json.RawMessage(`{"note":"<5 & up>"}`),
		}
	}
	return events
}

func outcomes(batch *pipeline.Batch) []string {
	out := make([]string, batch.Len())
	for i := range out {
		v := batch.Verdict(i)
		out[i] = strings.TrimSpace(v.Outcome.String() + " " + v.Reason.Code)
	}
	return out
}

func process(tb testing.TB, s pipeline.Stage, events ...*tracking.Event) (*pipeline.Batch, error) {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	return batch, s.Process(context.Background(), batch)
}

func TestWhatARequestHas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ more, media, begins, ends string }{
		"json":             {"", "application/json", `[{"uid":"`, `}]`},
		"ndjson":           {", format: ndjson", "application/x-ndjson", `{"uid":"`, "}\n"},
		"cloudevents":      {", format: cloudevents", "application/cloudevents-batch+json", `[{"specversion":"1.0"`, `}]`},
		"one":              {", body: one", "application/json", `{"uid":"`, `}`},
		"one of ndjson":    {", body: one, format: ndjson", "application/x-ndjson", `{"uid":"`, "}\n"},
		"one cloud event":  {", body: one, format: cloudevents", "application/cloudevents+json", `{"specversion":"1.0"`, `}`},
		"as one is called": {", method: PUT, headers: {X-Key: k}, token: t, idempotency: ''", "application/json", `[`, `]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, ok)
			batch, err := process(t, open(t, settings(), s.URL, c.more), of("a", "b")...)
			require.NoError(t, err)
			require.Equal(t, []string{"pass", "pass"}, outcomes(batch))
			calls := s.got()
			require.Len(t, calls, map[bool]int{true: 2, false: 1}[strings.Contains(c.more, "one")])
			got := calls[0]
			require.Equal(t, c.media, got.media)
			require.True(t, strings.HasPrefix(got.body, c.begins) && strings.HasSuffix(got.body, c.ends), got.body)
			require.Contains(t, got.body, `{"note":"<5 & up>"}`)
			if strings.Contains(c.more, "PUT") {
				require.Equal(t, []string{"PUT", "", "k", "Bearer t"}, []string{got.method, got.key, got.header.Get("X-Key"), got.header.Get("Authorization")})
			} else {
				require.Equal(t, "POST", got.method)
				require.Len(t, got.key, 32)
			}
		})
	}
}

func TestBatchesAreCutByNumberAndSize(t *testing.T) {
	t.Parallel()
	s := serve(t, ok)
	stage := open(t, settings(), s.URL, ", max_events: 3, max_bytes: 2000, parallel: 2")
	events := of("a", "b", "c", "d", "e", "f", "g", "h")
	events[3].Payload = json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`)
	_, err := process(t, stage, events...)
	require.NoError(t, err)
	var sizes []string
	for _, c := range s.got() {
		require.True(t, len(c.types) <= 1 || len(c.body) <= 2000)
		sizes = append(sizes, strings.Join(c.types, ""))
	}
	slices.Sort(sizes)
	require.Equal(t, []string{"abc", "d", "efg", "h"}, sizes)
	require.LessOrEqual(t, s.most.Load(), int32(2))
}

func TestTheSameEventsHaveTheSameIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := serve(t, ok)
	stage := open(t, settings(), s.URL, "")
	events := of("a", "b")
	for _, sent := range [][]*tracking.Event{events, events, events[:1], of("a", "b")} {
		_, err := process(t, stage, sent...)
		require.NoError(t, err)
	}
	calls := s.got()
	require.Equal(t, calls[0].key, calls[1].key)
	require.NotEqual(t, calls[0].key, calls[2].key)
	require.NotEqual(t, calls[0].key, calls[3].key)
}

// refuses answers with a status when a request has an event of a type that begins with "bad".
func refuses(status int) func(http.ResponseWriter, *http.Request, call) {
	return func(w http.ResponseWriter, _ *http.Request, c call) {
		if !slices.ContainsFunc(c.types, func(s string) bool { return strings.HasPrefix(s, "bad") }) {
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"title":"Unprocessable","detail":"no such flight"}`)
	}
}

func TestAnEventThatIsRefusedIsFoundAndRejected(t *testing.T) {
	t.Parallel()
	s := serve(t, refuses(http.StatusUnprocessableEntity))
	batch, err := process(t, open(t, settings(), s.URL, ""), of("a", "b", "bad", "c", "d", "bad", "e")...)
	require.NoError(t, err)
	require.Equal(t, []string{"pass", "pass", "reject http_422", "pass", "pass", "reject http_422", "pass"}, outcomes(batch))
	require.Equal(t, "the service answered 422 Unprocessable Entity: no such flight", batch.Verdict(2).Reason.Message)
}

func TestAnEventThatTheServiceFailsAtIsFoundAndTriedAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, call){
		"500": refuses(http.StatusInternalServerError),
		"garbage": func(w http.ResponseWriter, _ *http.Request, c call) {
			if slices.Contains(c.types, "bad") {
				_, _ = io.WriteString(w, "<html>")
				return
			}
			_ = json.NewEncoder(w).Encode(make([]int, len(c.types)))
		},
	} {
		s := serve(t, answer)
		more := ""
		if name == "garbage" {
			more = ", response: attributes, into: n"
		}
		batch, err := process(t, open(t, settings(), s.URL, more), of("bad", "bad", "c", "d", "bad", "e")...)
		require.NoError(t, err)
		require.Equal(t, []string{"retry", "retry", "pass", "pass", "retry", "pass"}, outcomes(batch), name)
	}
}

// A service that fails at everything is not asked for each event.
func TestAServiceThatFailsAtEverythingIsNotFlooded(t *testing.T) {
	t.Parallel()
	s := serve(t, fails(http.StatusInternalServerError))
	batch, err := process(t, open(t, settings(), s.URL, ""), of(strings.Split(strings.Repeat("a,", 99)+"a", ",")...)...)
	require.NoError(t, err)
	require.Less(t, len(s.got()), 30)
	for i := range batch.Len() {
		require.Equal(t, pipeline.Retry, batch.Verdict(i).Outcome)
		require.ErrorContains(t, batch.Verdict(i).Err, "500 Internal Server Error")
	}
}

// Invariant 8: a service that is down is no event's fault.
func TestAnOutageIsNoEventsFault(t *testing.T) {
	t.Parallel()
	leaked := serve(t, func(http.ResponseWriter, *http.Request, call) { t.Error("another host was called") })
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, call){
		"503": fails(http.StatusServiceUnavailable), "429": fails(http.StatusTooManyRequests), "401": fails(http.StatusUnauthorized),
		"404": fails(http.StatusNotFound), "304": fails(http.StatusNotModified),
		"reset": func(http.ResponseWriter, *http.Request, call) { panic(http.ErrAbortHandler) },
		"hang":  func(_ http.ResponseWriter, r *http.Request, _ call) { <-r.Context().Done() },
		"redirect": func(w http.ResponseWriter, r *http.Request, _ call) {
			http.Redirect(w, r, leaked.URL, http.StatusTemporaryRedirect)
		},
		"slow": func(w http.ResponseWriter, r *http.Request, _ call) {
			_, _ = io.WriteString(w, "[")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, answer)
			batch, err := process(t, open(t, settings(), s.URL+"/?key=secret", ", timeout: 100ms, token: secret"), of("a", "b")...)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, 2, batch.PendingLen())
		})
	}
}

func TestAServiceIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	config := settings()
	config.Now = func() time.Time { return time.Unix(1_800_000_000+now.Load(), 0) }
	var down atomic.Bool
	down.Store(true)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ call) {
		if down.Load() {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	stage := open(t, config, s.URL, "")
	_, err := process(t, stage, of("a")...)
	require.ErrorContains(t, err, "429 Too Many Requests")
	down.Store(false)
	now.Store(6)
	_, err = process(t, stage, of("a")...)
	require.ErrorContains(t, err, "left alone for another 1s")
	require.Len(t, s.got(), 1)
	now.Store(7)
	_, err = process(t, stage, of("a")...)
	require.NoError(t, err)
}

// What was answered is not sent again because another request of the batch was not.
func TestWhatWasAnsweredIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		if down.Load() && c.types[0] == "late" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintf(w, "[%q]", c.types[0])
	})
	stage := open(t, settings(), s.URL, ", max_events: 1, parallel: 1, response: attributes, into: n")
	events := of("a", "b", "late", "c")
	batch, err := process(t, stage, events...)
	require.ErrorContains(t, err, "503")
	require.Equal(t, 4, batch.PendingLen())
	down.Store(false)
	again := make([]*tracking.Event, len(events)) // as they come with a redelivery
	for i, e := range events {
		again[i] = e.Clone()
		again[i].Enrichment.Attributes = nil
	}
	batch, err = process(t, stage, again...)
	require.NoError(t, err)
	require.Equal(t, 4, batch.PendingLen())
	var sent []string
	for _, c := range s.got() {
		sent = append(sent, c.types...)
	}
	require.Equal(t, []string{"a", "b", "late", "late", "c"}, sent)
	for i, want := range []string{`"a"`, `"b"`, `"late"`, `"c"`} {
		require.Equal(t, want, string(again[i].Enrichment.Attributes["n"]))
	}
	_, err = process(t, stage, again[:1]...)
	require.NoError(t, err)
	require.Len(t, s.got(), 6, "once only: the next delivery is sent")
}

func TestEventsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := serve(t, ok)
	events := of("a", "b", "c")
	events[1].EventID = ""
	batch, err := process(t, open(t, settings(), s.URL, ", format: cloudevents"), events...)
	require.NoError(t, err)
	require.Equal(t, []string{"pass", "reject http_encode", "pass"}, outcomes(batch))
	events = of("a", "b")
	events[0].Payload = json.RawMessage("{")
	batch, err = process(t, open(t, settings(), s.URL, ""), events...)
	require.NoError(t, err)
	require.Equal(t, []string{"reject http_encode", "pass"}, outcomes(batch))
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	array := func(w http.ResponseWriter, _ *http.Request, _ call) { _, _ = io.WriteString(w, `[{"risk":3},null]`) }
	for name, c := range map[string]struct {
		more   string
		answer func(http.ResponseWriter, *http.Request, call)
		want   []string
	}{
		"of several": {"", array, []string{`{"risk":3}`, ""}},
		"of one":     {", body: one", array, []string{`[{"risk":3},null]`, `[{"risk":3},null]`}},
		"none":       {"", fails(http.StatusNoContent), []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.answer)
			shared := map[string]json.RawMessage{"before": json.RawMessage("1")}
			events := of("a", "b")
			events[0].Enrichment.Attributes, events[1].Enrichment.Attributes = shared, shared
			_, err := process(t, open(t, settings(), s.URL, ", response: attributes, into: screening"+c.more), events...)
			require.NoError(t, err)
			require.Len(t, shared, 1, "a map that may be shared is not written to")
			for i, e := range events {
				require.Equal(t, c.want[i], string(e.Enrichment.Attributes["screening"]))
				require.Equal(t, "1", string(e.Enrichment.Attributes["before"]))
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	events := of("a", "b", "c", "d", "e")
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ call) {
		_, _ = fmt.Fprintf(w, `{"results":[
			{"index":3,"outcome":"retry","reason":"being screened","retry_after":1.5},
			{"index":0,"outcome":"pass","attributes":{"risk":{"score":3},"by":"x"}},
			{"uid":%q,"outcome":"drop","code":"seen","reason":"we have it"},
			{"index":2,"outcome":"reject","code":"embargo","reason":"not to be\ncarried","field":"/payload/goods"},
			{"index":4,"outcome":"reject","code":"Not A Code"}]}`, events[1].UID)
	})
	batch, err := process(t, open(t, settings(), s.URL, ", response: verdicts"), events...)
	require.NoError(t, err)
	require.Equal(t, []string{"pass", "drop seen", "reject embargo", "retry", "reject http_verdict"}, outcomes(batch))
	require.Equal(t, `{"score":3}`, string(events[0].Enrichment.Attributes["risk"]))
	require.Equal(t, pipeline.Reason{Code: "embargo", Message: "not to be carried", Field: "/payload/goods"}, batch.Verdict(2).Reason)
	require.ErrorContains(t, batch.Verdict(3).Err, "being screened")
	require.Equal(t, 1500*time.Millisecond, batch.Verdict(3).After)
	require.NotEmpty(t, batch.Verdict(4).Reason.Message)
}

func TestVerdictsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	items := func(n int) []*item {
		var list []*item
		for _, e := range of(make([]string, n)...) {
			list = append(list, &item{event: e})
		}
		return list
	}
	for body, want := range map[string]string{
		"":     "decode answer",
		"{":    "decode answer",
		"null": "no result for event 0",
		`[]`:   "no result for event 0",
		`{"results":[{"index":0,"outcome":"pass"}]}`:                                                     "no result for event 1 of 2",
		`[{"outcome":"pass"}]`:                                                                           "result 0: it needs index or uid",
		`[{"index":2,"outcome":"pass"}]`:                                                                 "index 2 of 2 events",
		`[{"index":-1,"outcome":"pass"}]`:                                                                "index -1 of 2 events",
		`[{"index":0,"outcome":"pass"},{"index":0,"outcome":"drop"}]`:                                    "result 1: event 0 has two",
		`[{"uid":"0197f2a0-0000-7000-8000-000000000001","outcome":"pass"}]`:                              "no event of the request",
		`[{"index":0,"outcome":"fine"}]`:                                                                 `outcome "fine" is not`,
		`[{"index":0,"outcome":"pass","attributes":{"A b":1}}]`:                                          `"A b" cannot name`,
		`[{"index":0,"outcome":"pass","attributes":{"a":"` + strings.Repeat("x", maxAttributes) + `"}}]`: "more than 65536 bytes",
	} {
		_, err := readVerdicts([]byte(body), items(2))
		require.ErrorContains(t, err, want, body)
	}
}

func TestAnswersThatAreTooLong(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte(" "), maxAnswer+1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ call) { _, _ = w.Write(long) })
	batch, err := process(t, open(t, settings(), s.URL, ", response: verdicts"), of("a")...)
	require.NoError(t, err)
	require.Equal(t, []string{"retry"}, outcomes(batch))
	require.ErrorContains(t, batch.Verdict(0).Err, "more than 4194304 bytes")
	batch, err = process(t, open(t, settings(), s.URL, ""), of("a")...)
	require.NoError(t, err)
	require.Equal(t, []string{"pass"}, outcomes(batch), "nobody reads it")
}

// Whatever a service answers, the events are settled or the answer is refused as a whole.
func FuzzReadVerdicts(f *testing.F) {
	f.Add([]byte(`{"results":[{"index":0,"outcome":"pass","attributes":{"a":1}},{"index":1,"outcome":"retry","retry_after":1e300}]}`))
	f.Add([]byte(`[{"uid":"0197f2a0-0000-7000-8000-000000000001","outcome":"drop","code":"x","reason":"\u0000"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items := []*item{{event: &tracking.Event{UID: uuid.New()}}, {event: &tracking.Event{UID: uuid.New()}}}
		verdicts, err := readVerdicts(body, items)
		if err != nil {
			return
		}
		require.Len(t, verdicts, 2)
		for _, v := range verdicts {
			ends := v.Outcome == pipeline.Drop || v.Outcome == pipeline.Reject
			require.True(t, !ends || codePattern.MatchString(v.Reason.Code) && v.Reason.Message != "" && len(v.Reason.Message) <= maxReason)
			require.True(t, v.Outcome != pipeline.Retry || v.Err != nil && v.After >= 0 && v.After <= 5*time.Minute)
		}
	})
}

func TestBeingToldToStop(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request, _ call) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	stage := open(t, settings(), s.URL, "")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	batch := pipeline.NewBatch(of("a"))
	require.ErrorIs(t, stage.Process(ctx, batch), context.Canceled)
	require.Equal(t, 1, batch.PendingLen())
}

// The stage takes no longer than it says.
func TestTheWorstCaseIsKept(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ call) {
		select { // just in time, and then it refuses
		case <-time.After(60 * time.Millisecond):
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
	})
	stage := open(t, settings(), s.URL, ", timeout: 100ms")
	start := time.Now()
	batch, err := process(t, stage, of("a", "b", "c", "d", "e", "f", "g", "h")...)
	require.Error(t, err)
	require.Less(t, time.Since(start), 2*time.Second)
	require.Positive(t, batch.PendingLen())

	config := Defaults()
	config.Timeout, config.MaxEvents, config.Parallel = time.Second, 10, 2
	for events, want := range map[int]time.Duration{1: 2 * time.Second, 20: 2 * time.Second, 21: 4 * time.Second, 50: 6 * time.Second} {
		require.Equal(t, want, config.WorstCase(events))
	}
	config.Body = BodyOne
	require.Equal(t, 10*time.Second, config.WorstCase(10))
	var _ pipeline.Timed = config
}
