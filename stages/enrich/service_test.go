package enrich

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

// gateService is a service that knows gates and does as it is told.
type gateService struct {
	*httptest.Server

	calls  atomic.Int32
	inside atomic.Int32
	most   atomic.Int32
	// answer stands in for the usual answer while it is set.
	answer atomic.Pointer[http.HandlerFunc]
}

func newGateService(tb testing.TB) *gateService {
	tb.Helper()
	s := &gateService{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if n := s.inside.Add(1); n > s.most.Load() {
			s.most.Store(n)
		}
		defer s.inside.Add(-1)
		if answer := s.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		gate := strings.TrimPrefix(r.URL.Path, "/gates/")
		switch {
		case strings.HasPrefix(gate, "A"):
			_, _ = fmt.Fprintf(w, ` {"gate":%q,"by":%q} `, gate, r.Header.Get("Authorization"))
		case gate == "null":
			_, _ = io.WriteString(w, "null")
		case strings.HasPrefix(gate, "?"):
			w.WriteHeader(http.StatusBadRequest)
		case gate == "huge":
			_, _ = w.Write(bytes.Repeat([]byte("1"), maxEntry+1))
		default:
			http.NotFound(w, r)
		}
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *gateService) says(answer http.HandlerFunc) {
	if answer == nil {
		s.answer.Store(nil)
		return
	}
	s.answer.Store(&answer)
}

func (s *gateService) fails(status int) {
	s.says(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func (s *gateService) step(more string) string {
	return "- lookup: {key: payload.gate, into: gate, http: {url: '" + s.URL + "/gates/{key}', token: t" + more + "}}"
}

// clock is a clock that the test moves.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.nanoseconds.Load()) }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

func entry(gate string) string { return fmt.Sprintf(`{"gate":%q,"by":"Bearer t"}`, gate) }

func TestLookupAtAService(t *testing.T) {
	t.Parallel()
	service := newGateService(t)
	stage := open(t, settings(), service.step(", parallel: 3"))
	keys := []string{"A1", "A2", "A1", "B1", "..", "?", "huge", "null", "A/3", "A4", "A5", "A6", "A7"}
	want := []string{entry("A1"), entry("A2"), entry("A1"), "", "", "", "", "", entry("A/3"), entry("A4"), entry("A5"), entry("A6"), entry("A7")}
	for range 2 {
		events := gateEvents(keys...)
		batch, err := lookUp(t, stage, events...)
		require.NoError(t, err)
		require.Equal(t, len(keys), batch.PendingLen())
		require.Equal(t, want, attributes("gate", events...))
	}
	require.EqualValues(t, 11, service.calls.Load(), "a key is asked for once, and one that would lead elsewhere never")
	require.LessOrEqual(t, service.most.Load(), int32(3))
}

func TestAnswersAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	service, clock := newGateService(t), &clock{}
	s := settings()
	s.Now = clock.now
	stage := open(t, s, service.step(", cache: {ttl: 10m, negative_ttl: 1m}"))
	ask := func() int32 {
		before := service.calls.Load()
		_, err := lookUp(t, stage, gateEvents("A1", "B1")...)
		require.NoError(t, err)
		return service.calls.Load() - before
	}
	require.EqualValues(t, 2, ask())
	require.EqualValues(t, 0, ask())
	clock.advance(time.Minute)
	require.EqualValues(t, 1, ask(), "that there is no B1 is out of date")
	clock.advance(9 * time.Minute)
	require.EqualValues(t, 2, ask())

	never := open(t, s, service.step(", cache: {ttl: 0s, negative_ttl: 0s}"))
	for range 2 {
		before := service.calls.Load()
		_, err := lookUp(t, never, gateEvents("A1", "B1")...)
		require.NoError(t, err)
		require.EqualValues(t, 2, service.calls.Load()-before)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	service := newGateService(t)
	stage := open(t, settings(), service.step(", cache: {max_bytes: 2000}"))
	for n := range 200 {
		_, err := lookUp(t, stage, gateEvents(fmt.Sprintf("A%d", n))...)
		require.NoError(t, err)
	}
	r := stage.(*theStage).steps[0].(*lookup).source.(*remote)
	r.cache.CleanUp()
	require.LessOrEqual(t, r.cache.WeightedSize(), uint64(2000))
	require.Positive(t, r.cache.EstimatedSize())
}

type theStage = stage

// Invariant 8: while the source is down events wait: the stage fails, and nothing is decided of them.
func TestEventsWaitForASourceThatIsDown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"401":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hang":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := newGateService(t)
			stage := open(t, settings(), service.step(", timeout: 100ms, pause: 1ms, parallel: 1"))
			_, err := lookUp(t, stage, gateEvents("A1")...)
			require.NoError(t, err)
			service.says(answer)
			events := gateEvents("A1", "B1", "C1")
			batch, err := lookUp(t, stage, events...)
			require.ErrorContains(t, err, "look up gate: ")
			require.NotContains(t, err.Error(), "/gates/")
			require.Equal(t, 3, batch.PendingLen())
			require.Equal(t, []string{entry("A1"), "", ""}, attributes("gate", events...), "what is known is added all the same")
			service.says(nil)
			_, err = lookUp(t, stage, events...)
			require.NoError(t, err)
		})
	}
}

func TestASourceThatKeepsFailingIsLeftAlone(t *testing.T) {
	t.Parallel()
	service := newGateService(t)
	service.fails(http.StatusServiceUnavailable)
	s := settings()
	var log syncBuffer
	s.Logger = slog.New(slog.NewTextHandler(&log, nil))
	stage := open(t, s, service.step(", on_failure: skip, pause: 200ms"))
	for n := range 20 {
		events := gateEvents(fmt.Sprintf("A%d", n))
		batch, err := lookUp(t, stage, events...)
		require.NoError(t, err)
		require.Equal(t, 1, batch.PendingLen())
		require.Equal(t, []string{`["gate"]`}, attributes(SkippedLookups, events...))
		require.Equal(t, []string{""}, attributes("gate", events...))
	}
	require.EqualValues(t, breakerFailures, service.calls.Load())
	require.Contains(t, log.String(), "keeps failing")
	require.Contains(t, log.String(), "503 Service Unavailable")
	require.Equal(t, 1, strings.Count(log.String(), "\n"), "once, not for every batch")

	service.says(nil)
	require.Eventually(t, func() bool {
		events := gateEvents("A1")
		_, err := lookUp(t, stage, events...)
		return err == nil && attributes("gate", events...)[0] == entry("A1")
	}, 10*time.Second, 20*time.Millisecond)
	require.Regexp(t, `works again.* events_passed_without=\d\d`, log.String())

	waiting := open(t, settings(), service.step(", pause: 1h"))
	service.fails(http.StatusServiceUnavailable)
	for range breakerFailures {
		_, err := lookUp(t, waiting, gateEvents("A1")...)
		require.ErrorContains(t, err, "503 Service Unavailable")
	}
	before := service.calls.Load()
	_, err := lookUp(t, waiting, gateEvents("A1")...)
	require.ErrorContains(t, err, "circuit breaker is open; it failed with: answer 503")
	require.Equal(t, before, service.calls.Load())
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestAnOldAnswerServesWhileTheSourceIsDown(t *testing.T) {
	t.Parallel()
	service, clock := newGateService(t), &clock{}
	s := settings()
	s.Now = clock.now
	stage := open(t, s, service.step(", cache: {ttl: 1m, stale: 1h}, pause: 1ms"))
	_, err := lookUp(t, stage, gateEvents("A1", "B1")...)
	require.NoError(t, err)
	service.fails(http.StatusInternalServerError)
	clock.advance(30 * time.Minute)
	events := gateEvents("A1", "B1")
	_, err = lookUp(t, stage, events...)
	require.NoError(t, err)
	require.Equal(t, []string{entry("A1"), ""}, attributes("gate", events...))
	clock.advance(time.Hour)
	_, err = lookUp(t, stage, gateEvents("A1")...)
	require.Error(t, err)
}

func TestSkippedLookupsAreNamedOnce(t *testing.T) {
	t.Parallel()
	event := &tracking.Event{}
	for _, name := range []string{"gate", "belt", "gate"} {
		markSkipped(event, name)
	}
	require.Equal(t, []string{`["gate","belt"]`}, attributes(SkippedLookups, event))
}

// However many batches want a key at once, the service is asked once; and if whoever asks is told to stop, another asks.
func TestAKeyIsAskedForOnceAtATime(t *testing.T) {
	t.Parallel()
	service := newGateService(t)
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	service.says(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
			_, _ = io.WriteString(w, `{"n":1}`)
		case <-r.Context().Done():
		}
	})
	stage := open(t, settings(), service.step(", timeout: 10s"))
	first, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		batch := pipeline.NewBatch(gateEvents("A1"))
		stopped <- stage.Process(first, batch)
	}()
	<-arrived
	var workers sync.WaitGroup
	results := make(chan string, 8)
	for range cap(results) {
		workers.Go(func() {
			events := gateEvents("A1")
			if _, err := lookUp(t, stage, events...); err != nil {
				results <- err.Error()
				return
			}
			results <- attributes("gate", events...)[0]
		})
	}
	cancel()
	require.ErrorIs(t, <-stopped, context.Canceled)
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Error("nobody asked again")
	}
	close(release)
	workers.Wait()
	close(results)
	for result := range results {
		require.Equal(t, `{"n":1}`, result)
	}
	require.EqualValues(t, 2, service.calls.Load())
}

// Batches that want each other's keys do not wait for each other for ever.
func TestBatchesDoNotWaitInACircle(t *testing.T) {
	t.Parallel()
	service := newGateService(t)
	stage := open(t, settings(), service.step(", cache: {ttl: 0s}"))
	var workers sync.WaitGroup
	for n := range 8 {
		workers.Go(func() {
			for round := range 20 {
				keys := []string{fmt.Sprintf("A%d", (n+round)%5), fmt.Sprintf("A%d", (n+2*round+1)%5), "B"}
				if _, err := lookUp(t, stage, gateEvents(keys...)...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
}

// Being told to stop is neither an outage nor a reason to let events pass without an entry.
func TestBeingToldToStopIsNoFailure(t *testing.T) {
	t.Parallel()
	service := newGateService(t)
	arrived := make(chan struct{}, 10)
	service.says(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	stage := open(t, settings(), service.step(", on_failure: skip, pause: 1h"))
	for range breakerFailures + 2 {
		ctx, cancel := context.WithCancel(t.Context())
		events := gateEvents("A1")
		go func() {
			<-arrived
			cancel()
		}()
		require.ErrorIs(t, stage.Process(ctx, pipeline.NewBatch(events)), context.Canceled)
		require.Empty(t, events[0].Enrichment.Attributes)
	}
	service.says(nil)
	events := gateEvents("A1")
	_, err := lookUp(t, stage, events...)
	require.NoError(t, err)
	require.Equal(t, entry("A1"), attributes("gate", events...)[0], "the breaker is closed")
}

func TestExerciseLookups(t *testing.T) {
	service := newGateService(t)
	url := newDatabaseOfGates(t)
	for name, with := range map[string]string{
		"csv":  "- lookup: {key: payload.gate, into: gate, csv: {file: gates.csv, key: code}, on_missing: drop}",
		"http": strings.TrimSuffix(service.step(""), "}") + ", on_missing: reject}",
		"postgres": "- lookup: {key: [payload.gate], into: gate, postgres: {url: '" + url +
			"', query: SELECT zone FROM gates WHERE code = $1}, on_missing: reject}",
	} {
		t.Run(name, func(t *testing.T) {
			stagetest.Exercise(t, stagetest.Subject{
				Register: Register, With: with,
				Settings: func(testing.TB) pipeline.Settings { return withFiles(gates) },
				Events: func() []*tracking.Event {
					events := append(gateEvents("A1", "A1", "C9"), &tracking.Event{})
					for _, e := range events {
						e.UID = uuid.New()
					}
					return events
				},
				Invalid: []string{"- lookup: {}", "- lookup: {key: payload.gate, into: gate}", "- lookup: {key: payload.gate, into: gate, http: {url: 'https://h/'}}"},
			})
		})
	}
}
