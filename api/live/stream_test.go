package live_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// job starts a job that discards a dead letter.
func (e *edge) job(tenant string) store.LetterJob {
	e.t.Helper()
	require.NoError(e.t, e.store.AddDeadLetters(e.t.Context(), []store.DeadLetter{{
		UID: uuid.Must(uuid.NewV7()), TenantID: tenant, Pipeline: "tracking", Stage: "validate", Code: "schema", Attempts: 1, Event: json.RawMessage(`{}`), At: time.Now(),
	}}))
	job, err := e.store.StartLetterJob(e.t.Context(), store.NewLetterJob{TenantID: tenant, Action: store.LetterDiscard, Rate: 1, Reason: "for " + tenant})
	require.NoError(e.t, err)
	require.Equal(e.t, store.JobRunning, job.State)
	return job
}

// work does what there is to do of all jobs.
func (e *edge) work() {
	e.t.Helper()
	holder := uuid.New()
	for range 20 {
		job, found, err := e.store.ClaimLetterJob(e.t.Context(), holder, time.Minute)
		require.NoError(e.t, err)
		if !found {
			return
		}
		_, _, _, err = e.store.TakeLetters(e.t.Context(), job.ID, holder, time.Minute, 10)
		require.NoError(e.t, err)
		require.NoError(e.t, e.store.ReleaseLetterJob(e.t.Context(), job.ID, holder))
	}
	require.Fail(e.t, "jobs come to no end")
}

func (r reader) mustNext(t *testing.T) sent {
	t.Helper()
	event, ok := r.next()
	require.True(t, ok, "the stream goes on: %v", r.Err())
	return event
}

// until reads changes of traces up to that of one.
func (r reader) until(t *testing.T, correlation string) sent {
	t.Helper()
	for {
		event := r.mustNext(t)
		require.Equal(t, "trace", event.name)
		if event.correlation(t) == correlation {
			return event
		}
	}
}

func (s sent) job(t *testing.T) (job store.LetterJob) {
	t.Helper()
	require.Equal(t, "job", s.name)
	require.NoError(t, json.Unmarshal([]byte(s.data), &job))
	return job
}

func TestAStreamTellsHowJobsGetOn(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.job("acme")
	e.work()
	e.job("umbrella")
	e.work()
	e.offset.Store(int64(time.Hour)) // what was over an hour ago is no news
	stream := e.stream("events=job")
	job := e.job("acme")
	told := stream.mustNext(t).job(t)
	require.Equal(t, job.ID, told.ID)
	require.Equal(t, store.JobRunning, told.State)
	e.work()
	told = stream.mustNext(t).job(t)
	require.Equal(t, job.ID, told.ID)
	require.Equal(t, store.JobDone, told.State)
	second := e.job("acme")
	require.Equal(t, second.ID, stream.mustNext(t).job(t).ID, "what is told once is not told again")
	foreign := e.job("umbrella")
	require.Equal(t, foreign.ID, e.stream("events=job", "X-Tenant", "umbrella").mustNext(t).job(t).ID, "what runs is told of at first")
}

// What tells of operations needs the role that reading them does.
func TestJobsAndConfigurationNeedTheirRole(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.job("acme")
	for _, event := range []string{"job", "config", "trace,job"} {
		require.Equal(t, http.StatusForbidden, e.get("stream?events="+event, nil, "X-Roles", auth.RoleTracesRead), event)
	}
	stream := e.stream("", "X-Roles", auth.RoleTracesRead)
	for ticks := 0; ticks < 2; {
		event := stream.mustNext(t)
		require.NotEqual(t, "job", event.name)
		if event.name == "tick" {
			ticks++
		}
	}
}

func TestAStreamTellsThatTheConfigurationIsAnother(t *testing.T) {
	t.Parallel()
	var edited atomic.Bool
	e := newEdge(t, func(_ *live.Config, d *live.Deps) {
		_, all := plans(t)
		d.Plans = func(context.Context) ([]pipeline.Plan, error) {
			if edited.Load() {
				return nil, nil
			}
			return all, nil
		}
	})
	stream := e.stream("events=config")
	require.True(t, stream.Scan()) // it has begun
	var before, after live.StageList
	require.Equal(t, http.StatusOK, e.get("stages", &before))
	edited.Store(true)
	e.offset.Store(int64(time.Minute)) // what was read is old now
	event := stream.mustNext(t)
	require.Equal(t, "config", event.name)
	require.Equal(t, http.StatusOK, e.get("stages", &after))
	require.NotEqual(t, before.Version, after.Version)
	require.JSONEq(t, fmt.Sprintf(`{"version":%q}`, after.Version), event.data)
}

// Invariant 13, for each kind of event: whatever another tenant does, a stream says nothing of it.
func TestNoKindOfEventTellsOfAnotherTenant(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.persist("acme", "acme 1", tracking.Loaded)
	e.persist("umbrella", "umbrella 1", tracking.Loaded)
	stream := e.stream("")
	e.timings("umbrella")
	for range 3 {
		e.persist("umbrella", "umbrella 2", tracking.Lost)
		e.job("umbrella")
	}
	require.NoError(t, e.store.AddStats(t.Context(), e.now(), []store.StatDelta{
		{TenantID: "umbrella", Pipeline: "tracking", Stage: "persist", Outcome: "pass", Events: 7777},
		{TenantID: "umbrella", Pipeline: "tracking", Stage: "ingest", Outcome: "accepted", Events: 7777},
	}))
	e.spoil("umbrella")
	_, err := e.store.Replay(t.Context(), store.Replay{Swap: true}) // which has umbrella's streams read anew
	require.NoError(t, err)

	foreign := e.stream("events=trace,job", "X-Tenant", "umbrella")
	for name := ""; name != "job"; {
		name = foreign.mustNext(t).name
	}
	e.persist("acme", "acme last", tracking.Delivered)
	e.job("acme")
	left := map[string]bool{"history": true, "tick": true, "trace": true, "job": true}
	for len(left) > 0 {
		event := stream.mustNext(t)
		require.NotContains(t, event.data, "umbrella")
		require.NotContains(t, event.data, "7777")
		require.NotContains(t, event.data, "latency", "acme has none")
		require.NotEqual(t, "resync", event.name)
		delete(left, event.name)
	}
}

// spoil has rows of a tenant not be what their events come to.
func (e *edge) spoil(tenant string) {
	e.t.Helper()
	conn, err := pgx.Connect(e.t.Context(), e.at)
	require.NoError(e.t, err)
	_, err = conn.Exec(e.t.Context(), "UPDATE traces SET status = 'returned' WHERE tenant_id = $1", tenant)
	require.NoError(e.t, err)
	require.NoError(e.t, conn.Close(e.t.Context()))
}

func TestAReplayHasListsReadAnew(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.persist("acme", "A", tracking.Loaded)
	e.persist("umbrella", "B", tracking.Loaded)
	e.spoil("acme")
	acme, umbrella := e.stream("events=trace"), e.stream("events=trace", "X-Tenant", "umbrella")
	e.persist("acme", "A2", tracking.Loaded)
	last := acme.until(t, "A2") // what was changed right before the stream began may be told, too
	_, err := e.store.Replay(t.Context(), store.Replay{Swap: true})
	require.NoError(t, err)
	event := acme.mustNext(t)
	require.Equal(t, "resync", event.name)
	require.JSONEq(t, `{"reason":"many"}`, event.data)
	resumed := e.stream("events=trace", "Last-Event-ID", last.id).mustNext(t)
	require.Equal(t, "resync", resumed.name)
	e.persist("umbrella", "B", tracking.Delivered)
	for event = umbrella.until(t, "B"); !strings.Contains(event.data, "delivered"); { // whose rows are right is not disturbed
		event = umbrella.until(t, "B")
	}
	e.persist("acme", "A", tracking.Delivered)
	acme.until(t, "A") // and it goes on
}

// slow opens a stream and reads nothing of it.
func (e *edge) slow(query string) *net.TCPConn {
	e.t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(e.url, "http://"), "/api/v1/")
	conn, err := (&net.Dialer{}).DialContext(e.t.Context(), "tcp", host)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = conn.Close() })
	tcp := conn.(*net.TCPConn)
	require.NoError(e.t, tcp.SetReadBuffer(4096))
	require.NoError(e.t, tcp.SetReadDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(tcp, "GET /api/v1/stream?%s HTTP/1.1\r\nHost: %s\r\n\r\n", query, host)
	require.NoError(e.t, err)
	return tcp
}

// flood changes n traces of long names, and waits until a client that reads has been told of all.
func (e *edge) flood(fast reader, round, n int) {
	e.t.Helper()
	want := map[string]bool{}
	events := make([]*tracking.Event, n)
	at := time.Now().UTC().Truncate(time.Microsecond)
	for i := range events {
		id := fmt.Sprint(round, " ", i, " ", strings.Repeat("x", 1000))
		want[id] = true
		events[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: "acme", Source: "s", EventID: id, CorrelationID: id, AggregateID: id, Kind: tracking.Baggage,
			Type: "x", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at, Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
		}
	}
	for some := range slices.Chunk(events, 40) {
		_, err := e.store.Persist(e.t.Context(), some)
		require.NoError(e.t, err)
		told := 0
		for told < len(some) {
			event := fast.mustNext(e.t)
			require.Equal(e.t, "trace", event.name, "who reads is not bothered by who does not")
			require.True(e.t, want[event.correlation(e.t)])
			told++
		}
	}
}

// A client that does not read costs no more than what waits for it; then it is told to read anew, and nobody else notices.
func TestASlowClientIsToldToReadAnew(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *live.Config, _ *live.Deps) { c.MaxPending = 50 })
	fast := reader{longLines(e.open("stream?events=trace"))} //nolint:bodyclose // open has it closed.
	slow := e.slow("events=trace")
	const traces = 1200 // of 2.5 kB each
	e.flood(fast, 1, traces)
	lines := reader{longLines(&http.Response{Body: slow})}
	told := 0
	event := lines.mustNext(t)
	for ; event.name == "trace"; event = lines.mustNext(t) {
		told++
	}
	require.Equal(t, "resync", event.name)
	require.JSONEq(t, `{"reason":"slow"}`, event.data)
	require.Less(t, told, traces/2, "what it does not take is not kept")
	e.persist("acme", "after", tracking.Delivered)
	lines.until(t, "after") // it goes on with what comes then
}

func longLines(response *http.Response) *bufio.Scanner {
	s := bufio.NewScanner(response.Body)
	s.Buffer(nil, 1<<20)
	return s
}

// One that takes nothing at all is cut off, so that its place is free; the others are as before.
func TestAClientThatTakesNothingLosesItsPlace(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *live.Config, _ *live.Deps) {
		c.MaxPending, c.MaxTenantStreams, c.Stall = 50, 2, 500*time.Millisecond
	})
	fast := reader{longLines(e.open("stream?events=trace"))} //nolint:bodyclose // open has it closed.
	e.slow("events=trace")
	require.Eventually(t, func() bool { return e.get("stream?events=job", nil) == http.StatusTooManyRequests }, 10*time.Second, 20*time.Millisecond)
	for round := 0; ; round++ {
		require.Less(t, round, 100, "it never is cut off")
		e.flood(fast, round, 120)
		response := e.open("stream?events=job") //nolint:bodyclose // open has it closed.
		if response.StatusCode == http.StatusOK {
			break
		}
		require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	}
	e.flood(fast, 1000, 40)
}

// A client that is interrupted time and again, and goes on with the last id that it read, misses no change and sees no trace go back.
func TestAnInterruptedClientMissesNothing(t *testing.T) {
	t.Parallel()
	first := newEdge(t, nil)
	edges := []*edge{first, newEdgeOn(t, first.at, nil)}
	const journeys, changes = 5, 100
	written, more := make(chan error, 1), make(chan struct{}, changes)
	more <- struct{}{}
	beginning := first.stream("events=trace,tick").mustNext(t)
	require.NotEmpty(t, beginning.id)
	go func() {
		var err error
		for i := range changes {
			if i%10 == 0 { // a few for each that was told
				<-more
			}
			at := time.Now().UTC().Truncate(time.Microsecond)
			_, err = first.store.Persist(context.WithoutCancel(t.Context()), []*tracking.Event{{
				UID: uuid.Must(uuid.NewV7()), TenantID: "acme", Source: "s", EventID: fmt.Sprint(i), CorrelationID: fmt.Sprint("c", i%journeys),
				AggregateID: "a", Type: "x", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at,
				Enrichment: tracking.Enrichment{Milestone: tracking.Processing},
			}})
			if err != nil {
				break
			}
		}
		written <- err
	}()
	last, counts, interrupted, again := beginning.id, map[string]int{}, 0, 0
	complete := func() bool {
		for i := range journeys {
			if counts[fmt.Sprint("c", i)] < changes/journeys {
				return false
			}
		}
		return true
	}
	for ; !complete(); interrupted++ {
		stream := edges[interrupted%2].stream("events=trace", "Last-Event-ID", last)
		for n := 0; n < 1+interrupted%2 && !complete(); {
			event := stream.mustNext(t)
			require.Equal(t, "trace", event.name)
			var trace store.TraceSummary
			require.NoError(t, json.Unmarshal([]byte(event.data), &trace))
			require.GreaterOrEqual(t, trace.EventCount, counts[trace.CorrelationID], "%s goes back", trace.CorrelationID)
			if trace.EventCount == counts[trace.CorrelationID] {
				again++
			}
			counts[trace.CorrelationID] = trace.EventCount
			if event.id != "" { // whoever is interrupted before is told again
				last = event.id
				n++
				select {
				case more <- struct{}{}:
				default:
				}
			}
		}
	}
	require.NoError(t, <-written)
	require.Greater(t, interrupted, 5)
	t.Logf("%d interruptions, %d told again", interrupted, again)
	require.LessOrEqual(t, again, interrupted*journeys, "only what changed just before is told again")
}

// Who comes back when the changes that they missed are not kept any more is told to read anew, and goes on from there.
func TestWhoComesBackTooLateReadsAnew(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	stream := e.stream("events=trace")
	e.persist("acme", "A", tracking.Loaded)
	last := stream.mustNext(t)
	e.persist("acme", "missed", tracking.Loaded)
	require.NoError(t, e.store.PruneChanges(t.Context(), time.Now().Add(61*time.Minute)))
	position, at, _ := strings.Cut(last.id, ".")
	for _, ago := range []time.Duration{16 * time.Minute, 61 * time.Minute} {
		var ms int64
		_, err := fmt.Sscan(at, &ms)
		require.NoError(t, err)
		back := e.stream("events=trace", "Last-Event-ID", fmt.Sprint(position, ".", ms-ago.Milliseconds()))
		event := back.mustNext(t)
		require.Equal(t, "resync", event.name)
		require.JSONEq(t, `{"reason":"expired"}`, event.data)
		e.persist("acme", fmt.Sprint("after ", ago), tracking.Loaded)
		back.until(t, fmt.Sprint("after ", ago))
	}
}

// A process that leaves ends its streams and takes no more, and answers everything else; its clients go on at another.
func TestClientsOfAProcessThatLeavesGoOnElsewhere(t *testing.T) {
	t.Parallel()
	leaving := newEdge(t, nil)
	staying := newEdgeOn(t, leaving.at, nil)
	stream := leaving.stream("events=trace")
	leaving.persist("acme", "A", tracking.Loaded)
	last := stream.until(t, "A")
	leaving.handler.Leave()
	_, ok := stream.next()
	require.False(t, ok)
	require.NoError(t, stream.Err(), "it ends, and does not break")
	response := leaving.open("stream") //nolint:bodyclose // open has it closed.
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, leaving.get("stats", nil))
	leaving.persist("acme", "meanwhile", tracking.Loaded)
	staying.stream("events=trace", "Last-Event-ID", last.id).until(t, "meanwhile")
}

// A stream takes the filters of a search: what it tells is what the search would find.
func TestAStreamTakesTheFiltersOfASearch(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	streams := map[string]reader{}
	for _, query := range []string{
		"source=LA", "source=other", "carrier=la", "flight=LA+0047", "flight=LA48", "location=LIM", "location=SCL", "eventType=loaded&eventType=x", "milestone=loaded",
		"milestone=delivered", "q=wa", "q=no", "aggregateId=bag", "correlationId=wanted", "lastEventFrom=2001-01-01T00:00:00Z", "lastEventFrom=2999-01-01T00:00:00Z",
		"exception=any", "status=loaded&location=LIM",
	} {
		streams[query] = e.stream("events=trace&" + query)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	event := func(correlation, aggregate string, change func(*tracking.Event)) {
		event := &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: "acme", Source: "LA", EventID: uuid.NewString(), CorrelationID: correlation, AggregateID: aggregate, Type: "loaded",
			Classifier: tracking.Actual, OccurredAt: now, ReceivedAt: now, Location: &tracking.Location{IATA: "LIM"},
			Transport: &tracking.Transport{Carrier: "LA", Number: "0047"}, Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
		}
		if change != nil {
			change(event)
		}
		_, err := e.store.Persist(t.Context(), []*tracking.Event{event})
		require.NoError(t, err)
	}
	event("wanted", "bag", nil)
	// What every filter means comes last, so that nobody waits for what is not told.
	event("no-end", "bag", func(e *tracking.Event) {
		e.Source, e.Transport.Number, e.Location.IATA, e.Enrichment.Milestone, e.Enrichment.Exception = "other", "48", "SCL", tracking.Delivered, "damaged"
		e.OccurredAt = time.Date(2999, 6, 1, 0, 0, 0, 0, time.UTC)
	})
	event("wa-end", "bag", func(e *tracking.Event) { e.Source = "other" })
	for query, want := range map[string][]string{
		"source=LA": {"wanted"}, "source=other": {"no-end", "wa-end"}, "carrier=la": {"wanted", "no-end", "wa-end"}, "flight=LA+0047": {"wanted", "wa-end"}, "flight=LA48": {"no-end"},
		"location=LIM": {"wanted", "wa-end"}, "location=SCL": {"no-end"}, "eventType=loaded&eventType=x": {"wanted", "no-end", "wa-end"}, "milestone=loaded": {"wanted", "wa-end"},
		"milestone=delivered": {"no-end"}, "q=wa": {"wanted", "wa-end"}, "q=no": {"no-end"}, "aggregateId=bag": {"wanted", "no-end", "wa-end"}, "correlationId=wanted": {"wanted"},
		"lastEventFrom=2001-01-01T00:00:00Z": {"wanted", "no-end", "wa-end"}, "lastEventFrom=2999-01-01T00:00:00Z": {"no-end"}, "exception=any": {"no-end"},
		"status=loaded&location=LIM": {"wanted", "wa-end"},
	} {
		got := make([]string, len(want)) // what changed in one look is told by its id
		for i := range got {
			got[i] = streams[query].mustNext(t).correlation(t)
		}
		require.ElementsMatch(t, want, got, query)
	}
	for _, query := range []string{"lastEventFrom=yesterday", "updatedUntil=2026-01-01T00:00:00Z&updatedUntil=2026-01-01T00:00:00Z", "q=a&q=b", "flight=" + strings.Repeat("x", 300)} {
		require.Equal(t, http.StatusUnprocessableEntity, e.get("stream?"+query, nil), query)
	}
}

// The store is asked for so many filters at each look and no more, however many streams there are.
func TestFiltersOfStreamsAreBounded(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for i := range 20 {
		e.stream(fmt.Sprint("events=trace&source=", i))
	}
	require.Equal(t, http.StatusTooManyRequests, e.get("stream?events=trace&source=20", nil))
	e.stream("events=trace&source=7")
	e.stream("events=trace&status=loaded")
	e.stream("events=trace&source=20", "X-Tenant", "umbrella")
}

// Who looks at a stage is shown what it does to the events of their tenant, on the stream and by asking, and never what is personal.
func TestAStageIsLookedAt(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	var samples live.Samples
	require.Equal(t, http.StatusNotFound, e.get("stages/tracking.none/samples", nil))
	require.Equal(t, http.StatusForbidden, e.get("stages/tracking.enrich/samples", nil, "X-Roles", auth.RoleTracesRead))
	require.Equal(t, http.StatusOK, e.get("stages/tracking.enrich/samples", &samples))
	require.Empty(t, samples.Items)
	stream := e.stream("events=sample&stage=tracking.enrich")
	for query, status := range map[string]int{
		"events=sample": http.StatusUnprocessableEntity, "events=sample&stage=none": http.StatusNotFound, "events=sample&stage=a&stage=b": http.StatusUnprocessableEntity,
	} {
		require.Equal(t, status, e.get("stream?"+query, nil), query)
	}
	require.Equal(t, http.StatusForbidden, e.get("stream?events=sample&stage=tracking.enrich", nil, "X-Roles", auth.RoleTracesRead))
	watches, err := e.store.StageWatches(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.StageWatch{{TenantID: "acme", Pipeline: "tracking", Stage: "enrich"}}, watches)
	sample := func(tenant, code string) store.StageSample {
		return store.StageSample{TenantID: tenant, Pipeline: "tracking", Stage: "enrich", At: time.Now(), UID: uuid.New(), Code: code, Outcome: "pass", Before: `{"a":1}`}
	}
	require.NoError(t, e.store.AddStageSamples(t.Context(), []store.StageSample{sample("umbrella", "foreign"), sample("acme", "one"), sample("acme", "two")}))
	for _, code := range []string{"one", "two"} {
		event := stream.mustNext(t)
		require.Equal(t, "sample", event.name)
		require.Contains(t, event.data, `"reason":"`+code+`"`)
	}
	require.Equal(t, http.StatusOK, e.get("stages/tracking.enrich/samples", &samples))
	require.Len(t, samples.Items, 2)
	require.Equal(t, `{"a":1}`, samples.Items[0].Before)
	require.Equal(t, http.StatusOK, e.get(fmt.Sprintf("stages/tracking.enrich/samples?after=%d", samples.Items[0].ID), &samples))
	require.Len(t, samples.Items, 1)
}
