package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// waiting is a broker in whose queues waits what a test says.
type waiting struct {
	mu     sync.Mutex
	topics map[string]routers.Backlog
	away   bool
}

func (w *waiting) Backlog(_ context.Context, topic, _ string) (routers.Backlog, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return routers.Backlog{}, context.DeadlineExceeded
	}
	return w.topics[topic], nil
}

func (w *waiting) set(topic string, b routers.Backlog) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics[topic] = b
}

// watched is a system whose alerts are watched, on a clock of its own.
type watched struct {
	*edge

	queues  *waiting
	mu      sync.Mutex
	wrong   pipeline.Findings
	process uuid.UUID
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{queues: &waiting{topics: map[string]routers.Backlog{}}, process: uuid.New()}
	w.edge = newEdge(t, func(c *live.Config, d *live.Deps) {
		c.Alerts.Every, c.Alerts.GrowingFor = time.Second, time.Minute
		d.Backlogs = w.queues
		d.Loaded = func(context.Context) (live.Loaded, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return live.Loaded{Findings: w.wrong}, nil
		}
	})
	require.NoError(t, w.store.EnsurePartitions(t.Context(), time.Now()))
	require.NoError(t, w.store.AddTenants(t.Context(), []store.Tenant{{ID: "acme", Active: true}, {ID: "umbrella", Active: true}}))
	w.allRun("closed")
	return w
}

// pass has time pass, and waits until it was looked what is wrong since then.
func (w *watched) pass(d time.Duration) {
	w.t.Helper()
	w.offset.Add(int64(d))
	after := w.now()
	require.Eventually(w.t, func() bool {
		at, err := w.store.AlertsLookedAt(w.t.Context())
		require.NoError(w.t, err)
		return at.After(after)
	}, patience, 20*time.Millisecond)
}

// settle has so much time pass that what is over counts as over.
func (w *watched) settle() {
	w.t.Helper()
	w.pass(20 * time.Second)
	w.pass(20 * time.Second)
}

func (w *watched) list(header ...string) (list live.AlertList) {
	w.t.Helper()
	w.offset.Add(int64(time.Second)) // past what is remembered
	require.Equal(w.t, http.StatusOK, w.get("alerts", &list, header...))
	return list
}

func find(alerts []live.Alert, id string) (live.Alert, bool) {
	i := slices.IndexFunc(alerts, func(a live.Alert) bool { return a.ID == id })
	if i < 0 {
		return live.Alert{}, false
	}
	return alerts[i], true
}

// fires has an alert fire and returns it.
func (w *watched) fires(id string) live.Alert {
	w.t.Helper()
	list := w.list("X-Roles", operator)
	a, found := find(list.Items, id)
	require.True(w.t, found, "%s does not fire: %+v\npending: %+v", id, list.Items, list.Pending)
	require.NotEmpty(w.t, a.Message)
	require.NotNil(w.t, a.FiredAt)
	require.False(w.t, a.Since.After(w.now()))
	require.Greater(w.t, a.Value, 0.0)
	return a
}

func (w *watched) quiet(id string) {
	w.t.Helper()
	_, found := find(w.list("X-Roles", operator).Items, id)
	require.False(w.t, found, id)
}

func (w *watched) resolves(id string) {
	w.t.Helper()
	w.quiet(id)
	a, found := find(w.list("X-Roles", operator).Resolved, id)
	require.True(w.t, found, "%s is not remembered", id)
	require.NotNil(w.t, a.ResolvedAt)
	require.Equal(w.t, "resolved", a.State)
}

const operator = auth.RoleTracesRead + " " + auth.RoleOpsRead + " " + auth.RoleOpsWrite + " " + auth.RoleTenantsAll

// allRun has a process say that it runs all stages.
func (w *watched) allRun(breaker string) {
	w.t.Helper()
	_, all := plans(w.t)
	var states []store.StageState
	for _, hop := range all[0].Hops {
		for _, s := range hop.Stages {
			state := store.StageState{Pipeline: "tracking", Stage: s.Name, Breaker: "closed"}
			if s.Name == "persist" {
				state.Breaker = breaker
			}
			states = append(states, state)
		}
	}
	require.NoError(w.t, w.store.PutTimings(w.t.Context(), w.process, nil, nil, states))
}

func ages(d time.Duration, n uint64) *quantiles.Histogram {
	h := &quantiles.Histogram{}
	h.Add(d, n)
	return h
}

func (w *watched) timings(times []store.StageTimes, sources []store.SourceStats) {
	w.t.Helper()
	require.NoError(w.t, w.store.PutTimings(w.t.Context(), uuid.New(), times, sources, nil))
}

func (w *watched) counted(stage, outcome string, n int64) {
	w.t.Helper()
	require.NoError(w.t, w.store.AddStats(w.t.Context(), w.now(), []store.StatDelta{{TenantID: "acme", Pipeline: "tracking", Stage: stage, Outcome: outcome, Events: n}}))
}

func (w *watched) reject(n int, reason string) {
	w.t.Helper()
	letters := make([]store.DeadLetter, n)
	for i := range letters {
		letters[i] = store.DeadLetter{
			UID: uuid.Must(uuid.NewV7()), TenantID: "acme", Pipeline: "tracking", Stage: "validate", Code: reason, Source: "LA", At: w.now().UTC(), Event: []byte("{}"),
		}
	}
	require.NoError(w.t, w.store.AddDeadLetters(w.t.Context(), letters))
}

func TestBreakersAndProcesses(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.allRun("half-open")
	w.pass(time.Second)
	const breaker = "breaker-open:tracking:persist"
	require.Equal(t, "warning", w.fires(breaker).Severity)
	w.allRun("open")
	w.pass(2 * time.Second)
	a := w.fires(breaker)
	require.Equal(t, "critical", a.Severity)
	require.Equal(t, "RastroBreakerOpen", a.Runbook)
	require.Equal(t, live.RunbookBase+"RastroBreakerOpen.md", a.RunbookURL)
	w.allRun("closed")
	w.pass(2 * time.Second)
	w.fires(breaker) // what comes and goes is told of once
	w.settle()
	w.resolves(breaker)

	w.quiet("processors-missing:tracking")
	_, found := find(w.list().Resolved, breaker)
	require.True(t, found)
}

func TestNobodyRunsAPipeline(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const missing = "processors-missing:tracking"
	w.process = uuid.New()
	w.exec("DELETE FROM stage_processes")
	w.pass(time.Second)
	pending, found := find(w.list().Pending, missing)
	require.True(t, found, "it must last for a minute")
	require.Equal(t, "pending", pending.State)
	require.Nil(t, pending.FiredAt)
	for range 4 {
		w.pass(20 * time.Second)
	}
	a := w.fires(missing)
	require.True(t, a.Since.Equal(pending.Since), "since when it is so, not since it is told")
	w.allRun("closed")
	w.settle()
	w.resolves(missing)

	w.exec("DELETE FROM stage_processes")
	w.pass(time.Second)
	w.allRun("closed")
	w.pass(2 * time.Second)
	_, found = find(w.list().Pending, missing)
	require.False(t, found, "what did not last leaves nothing")
}

func TestQueues(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const lag, grows, untold = "queue-lag:tracking:persist:tracking.persist", "queue-growing:tracking:persist:tracking.persist", "queues-unknown"
	since := w.now().Add(-time.Minute)
	w.queues.set("tracking.persist", routers.Backlog{Ready: 3, Oldest: since})
	w.pass(6 * time.Second)
	a := w.fires(lag)
	require.Equal(t, "warning", a.Severity)
	require.WithinDuration(t, since, a.Since, time.Millisecond)
	require.InDelta(t, 30_000, a.Limit, 0.1)
	require.Greater(t, a.Value, a.Limit)
	for range 4 {
		w.pass(20 * time.Second)
	}
	require.Equal(t, "critical", w.fires(lag).Severity)

	// A queue that somebody has stopped is no trouble.
	_, _, err := w.store.PauseStage(t.Context(), "tracking", "persist", store.Actor{Subject: "ana"}, "a new database")
	require.NoError(t, err)
	w.timings([]store.StageTimes{{TenantID: "acme", Pipeline: "tracking", Stage: "persist", Minute: w.now().UTC().Truncate(time.Minute), Events: 5, Age: ages(5*time.Minute, 50)}}, nil)
	w.settle()
	w.resolves(lag)
	w.quiet("stage-late:tracking:persist")
	_, err = w.store.ResumeStage(t.Context(), "tracking", "persist", store.Actor{Subject: "ana"}, "it is there")
	require.NoError(t, err)
	w.pass(6 * time.Second)
	w.fires(lag)
	require.Equal(t, "critical", w.fires("stage-late:tracking:persist").Severity)

	// While the broker does not tell, nothing is known to be over.
	w.queues.mu.Lock()
	w.queues.away = true
	w.queues.mu.Unlock()
	for range 16 {
		w.pass(20 * time.Second)
	}
	w.fires(untold)
	w.fires(lag)
	w.queues.mu.Lock()
	w.queues.away = false
	w.queues.mu.Unlock()
	w.queues.set("tracking.persist", routers.Backlog{Ready: 500})
	w.settle()
	w.resolves(lag)
	w.resolves(untold)

	for _, depth := range []int64{520, 540, 560, 590} { // not by a quarter yet
		w.queues.set("tracking.persist", routers.Backlog{Ready: depth})
		w.pass(20 * time.Second)
	}
	w.quiet(grows)
	w.queues.set("tracking.persist", routers.Backlog{Ready: 700})
	w.pass(20 * time.Second)
	require.InDelta(t, 700, w.fires(grows).Value, 0)
	w.queues.set("tracking.persist", routers.Backlog{Ready: 400}) // less than when it began, if more than a few
	w.settle()
	w.resolves(grows)
}

func TestWhatTheDatabaseAndTheFilesLack(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const partitions, refused = "partitions-missing", "config-refused"
	w.mu.Lock()
	w.wrong = pipeline.Findings{{File: "x.yaml", Severity: pipeline.SeverityError, Message: "unknown stage"}}
	w.mu.Unlock()
	month := time.Now().UTC().AddDate(0, 1, 3-time.Now().UTC().Day())
	w.exec("DROP TABLE " + month.Format("event_store_2006_01"))
	for range 5 {
		w.pass(20 * time.Second)
	}
	require.InDelta(t, 1, w.fires(partitions).Value, 0)
	require.InDelta(t, 1, w.fires(refused).Value, 0)
	// What no page shows is for those who see all tenants.
	_, found := find(w.list().Items, partitions)
	require.False(t, found)
	_, found = find(w.list().Items, refused)
	require.True(t, found)
	require.False(t, slices.ContainsFunc(w.list().Watched, func(k live.WatchedKind) bool { return k.Kind == partitions }))
	require.Equal(t, http.StatusNotFound, w.send(http.MethodPost, "alerts/"+partitions+"/silence", `{"minutes":5,"reason":"known"}`, nil))
	w.mu.Lock()
	w.wrong = nil
	w.mu.Unlock()
	require.NoError(t, w.store.EnsurePartitions(t.Context(), time.Now()))
	w.settle()
	w.resolves(partitions)
	w.resolves(refused)
}

func TestStagesThatAreLateSlowAndTryAgain(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const late, slow, retries = "stage-late:tracking:dedupe", "pipeline-slow:tracking", "stage-retries:tracking:enrich"
	minute := w.now().UTC().Truncate(time.Minute)
	w.timings([]store.StageTimes{
		{TenantID: "acme", Pipeline: "tracking", Stage: "dedupe", Minute: minute, Events: 100, Age: ages(40*time.Second, 100)},
		{TenantID: "acme", Pipeline: "tracking", Stage: "persist", Minute: minute, Events: 100, Age: ages(9*time.Second, 100)},
		{TenantID: "umbrella", Pipeline: "tracking", Stage: "dedupe", Minute: minute, Events: 100, Age: ages(time.Second, 100)},
	}, nil)
	w.counted("enrich", "pass", 80)
	w.counted("enrich", "retry", 20)
	w.pass(2 * time.Second)
	require.Equal(t, "warning", w.fires(late).Severity)
	require.InDelta(t, 9000, w.fires(slow).Value, 300)
	require.InDelta(t, 0.2, w.fires(retries).Value, 0.001)
	// Another tenant's events are not late.
	var others live.AlertList
	require.Equal(t, http.StatusOK, w.get("alerts", &others, "X-Tenant", "umbrella"))
	require.Empty(t, others.Items)
	w.pass(32 * time.Minute)
	w.allRun("closed")
	w.pass(20 * time.Second)
	for _, id := range []string{late, slow, retries} {
		w.resolves(id)
	}
}

func TestBalanceAlerts(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const lost, unreceived, twice = "balance-broken:tracking:in_flight", "balance-broken:tracking:unreceived", "balance-broken:tracking:twice"
	enter := func(m store.LedgerMark) {
		t.Helper()
		m.TenantID = "acme"
		require.NoError(t, w.store.AddLedger(t.Context(), "tracking", []store.LedgerMark{m}, nil))
	}
	frame, other := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	enter(store.LedgerMark{Frame: frame, Received: 0b111})
	enter(store.LedgerMark{Frame: other, Passed: 1})
	enter(store.LedgerMark{Frame: uuid.Must(uuid.NewV7()), Received: 1, Passed: 1, Dropped: 1})
	w.counted("validate", "pass", 10)
	w.pass(time.Second)
	w.quiet(lost) // they may be on their way: as many came
	w.quiet(unreceived)
	require.InDelta(t, 1, w.fires(twice).Value, 0)
	w.queues.set("tracking.dedupe", routers.Backlog{Ready: 1})
	for range 50 {
		w.pass(20 * time.Second)
	}
	require.InDelta(t, 1, w.fires(unreceived).Value, 0)
	w.quiet(lost) // something waits
	w.queues.set("tracking.dedupe", routers.Backlog{})
	w.pass(6 * time.Second)
	require.InDelta(t, 3, w.fires(lost).Value, 0)
	enter(store.LedgerMark{Frame: frame, Passed: 0b111})
	enter(store.LedgerMark{Frame: other, Received: 1})
	w.settle()
	w.resolves(lost)
	w.resolves(unreceived)
}

func TestDeadLetterAlerts(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const rising, open = "dead-letters-rising:tracking:validate:schema", "dead-letters-open"
	w.reject(3, "schema")
	w.counted("validate", "reject", 3)
	w.counted("validate", "pass", 997)
	w.pass(2 * time.Second)
	w.quiet(rising) // three in a thousand
	a := w.fires(open)
	require.Equal(t, "notice", a.Severity)
	require.InDelta(t, 3, a.Value, 0)
	w.reject(30, "schema")
	w.counted("validate", "reject", 30)
	w.pass(2 * time.Second)
	require.Equal(t, "warning", w.fires(rising).Severity)
	w.reject(120, "schema")
	w.counted("validate", "reject", 120)
	w.pass(2 * time.Second)
	require.Equal(t, "critical", w.fires(rising).Severity)
	w.exec("UPDATE dead_letters SET state = 'discarded'")
	w.settle()
	w.resolves(rising)
	w.resolves(open)
}

func TestCarrierAlerts(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	const silent, rejected, unmapped = "carrier-silent:LA", "carrier-rejected:ME", "carrier-unmapped:ME"
	var heard []store.SourceStats
	for i := range 20 { // each minute until a quarter of an hour ago
		at := w.now().UTC().Truncate(time.Minute).Add(-time.Duration(15+i) * time.Minute)
		heard = append(heard, store.SourceStats{TenantID: "acme", Source: "LA", Minute: at, Stored: 5, LastAt: at})
	}
	now := w.now().UTC().Truncate(time.Minute)
	heard = append(heard, store.SourceStats{TenantID: "acme", Source: "ME", Minute: now, Stored: 95, Rejected: 5, Unmapped: 10, LastAt: now})
	w.timings(nil, heard)
	w.pass(time.Second)
	a := w.fires(silent)
	require.True(t, a.Since.Equal(heard[0].LastAt), "since it was heard of last")
	require.InDelta(t, 600_000, a.Limit, 0.1)
	require.InDelta(t, 0.05, w.fires(rejected).Value, 0.0001)
	require.Equal(t, "notice", w.fires(unmapped).Severity)
	var carriers live.CarrierList
	require.Equal(t, http.StatusOK, w.get("carriers?window=1h", &carriers))
	require.Equal(t, []string{"silent", "failing"}, []string{carriers.Items[0].Health, carriers.Items[1].Health}, "the page of carriers goes by the same")

	w.pass(31 * time.Minute)
	at := w.now().UTC()
	w.timings(nil, []store.SourceStats{{TenantID: "acme", Source: "LA", Minute: at.Truncate(time.Minute), Stored: 1, LastAt: at}})
	w.allRun("closed")
	w.pass(61 * time.Second) // how often a source is heard of is read each minute
	w.resolves(silent)
	w.resolves(rejected)
	w.resolves(unmapped)
}

// Each kind is tested above, and has a runbook that the page of alerts leads to.
func TestEveryKindOfAlertHasARunbook(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	page, err := os.ReadFile("../../docs/alerts.md")
	require.NoError(t, err)
	list := w.list("X-Roles", operator)
	require.Len(t, list.Watched, 16)
	for _, kind := range list.Watched {
		text, err := os.ReadFile("../../docs/runbooks/" + kind.Runbook + ".md")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "# "+kind.Runbook+"\n"), kind.Runbook)
		require.Contains(t, string(page), fmt.Sprintf("| `%s` |", kind.Kind))
		require.Contains(t, string(page), "(runbooks/"+kind.Runbook+".md)")
	}
}

// send does what changes something.
func (e *edge) send(method, path, body string, into any, header ...string) int {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(body))
	require.NoError(e.t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Roles", auth.RoleOpsRead+" "+auth.RoleOpsWrite)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, response.Body.Close()) }()
	if into != nil {
		require.NoError(e.t, json.NewDecoder(response.Body).Decode(into))
	}
	return response.StatusCode
}

func TestSilences(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	require.NoError(t, w.store.PutTimings(t.Context(), uuid.New(), nil, nil, []store.StageState{{Pipeline: "tracking", Stage: "persist", Breaker: "open"}}))
	w.reject(1, "schema")
	w.pass(time.Second)
	const id = "breaker-open:tracking:persist"
	before := w.list()
	require.Equal(t, live.AlertCounts{Critical: 1, Notice: 1}, before.Counts)
	require.Equal(t, id, before.Items[0].ID, "the worst first")

	path := "alerts/" + strings.ReplaceAll(id, ":", "%3A") + "/silence" // as browsers escape it
	for body, status := range map[string]int{
		`{"minutes":60}`:                                                 http.StatusUnprocessableEntity,
		`{"reason":"known"}`:                                             http.StatusUnprocessableEntity,
		`{"minutes":60,"reason":"   "}`:                                  http.StatusUnprocessableEntity,
		`{"minutes":20160,"reason":"known"}`:                             http.StatusUnprocessableEntity,
		`{"minutes":-5,"reason":"known"}`:                                http.StatusUnprocessableEntity,
		`{"minutes":60,"until":"2026-01-01T00:00:00Z","reason":"known"}`: http.StatusUnprocessableEntity,
		`{"until":"2026-01-01T00:00:00Z","reason":"known"}`:              http.StatusUnprocessableEntity,
		`{"until":"9999-01-01T00:00:00Z","reason":"known"}`:              http.StatusUnprocessableEntity,
	} {
		require.Equal(t, status, w.send(http.MethodPost, path, body, nil), body)
	}
	require.Equal(t, http.StatusForbidden, w.send(http.MethodPost, path, `{"minutes":60,"reason":"known"}`, nil, "X-Roles", auth.RoleOpsRead))
	require.Equal(t, http.StatusNotFound, w.send(http.MethodPost, "alerts/carrier-silent:LA/silence", `{"minutes":60,"reason":"known"}`, nil))
	require.Equal(t, http.StatusOK, w.send(http.MethodDelete, path, "", nil), "it is not silenced, and stays so")
	require.Equal(t, http.StatusForbidden, w.send(http.MethodDelete, path, "", nil, "X-Roles", auth.RoleOpsRead))

	var silenced live.Alert
	require.Equal(t, http.StatusOK, w.send(http.MethodPost, path, `{"minutes":60,"reason":"a new database"}`, &silenced))
	require.Equal(t, "a new database", silenced.Silence.Reason)
	require.WithinDuration(t, w.now().Add(time.Hour), silenced.Silence.Until, time.Minute)
	list := w.list()
	require.Equal(t, live.AlertCounts{Notice: 1, Silenced: 1}, list.Counts)
	require.Equal(t, id, list.Items[1].ID, "below the others")
	require.NotNil(t, list.Items[1].Silence)
	// Nobody else has silenced it.
	var others live.AlertList
	require.Equal(t, http.StatusOK, w.get("alerts", &others, "X-Tenant", "umbrella"))
	require.Equal(t, live.AlertCounts{Critical: 1}, others.Counts)

	w.pass(59 * time.Minute)
	w.allRun("open")
	w.pass(10 * time.Second)
	require.NotNil(t, w.fires(id).Silence)
	w.offset.Add(int64(time.Minute))
	require.Nil(t, w.fires(id).Silence, "it has ended by itself")

	require.Equal(t, http.StatusOK, w.send(http.MethodPost, path, `{"minutes":60,"reason":"again"}`, nil))
	var heard live.Alert
	require.Equal(t, http.StatusOK, w.send(http.MethodDelete, path, "", &heard))
	require.Nil(t, heard.Silence)
	require.Nil(t, w.fires(id).Silence)
	var audit live.AuditTrail
	require.Equal(t, http.StatusOK, w.get("audit", &audit))
	actions := make([]string, len(audit.Items))
	for i, entry := range audit.Items {
		actions[i] = entry.Action
	}
	require.Equal(t, []string{"alerts.unsilence", "alerts.silence", "alerts.silence"}, actions)
	require.Equal(t, "a new database", audit.Items[2].Reason)
	require.Contains(t, string(audit.Items[2].Filter), id)
}

func TestTheStreamTellsOfAlerts(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.pass(time.Second)
	require.Equal(t, http.StatusForbidden, w.get("stream?events=alert", nil, "X-Roles", auth.RoleTracesRead))
	stream := w.stream("events=history,alert")
	first, ok := stream.next()
	require.True(t, ok)
	require.Equal(t, "history", first.name)
	next := func() (news live.AlertNews) {
		t.Helper()
		for {
			s, ok := stream.next()
			require.True(t, ok)
			if s.name == "alert" {
				require.NoError(t, json.Unmarshal([]byte(s.data), &news))
				return news
			}
		}
	}
	const id = "breaker-open:tracking:persist"
	w.allRun("half-open")
	w.pass(2 * time.Second)
	news := next()
	require.Equal(t, []string{id, "fired", "warning"}, []string{news.ID, news.Change, news.Severity})
	require.Equal(t, live.AlertCounts{Warning: 1}, news.Counts)
	w.allRun("open")
	w.pass(2 * time.Second)
	news = next()
	require.Equal(t, []string{"changed", "critical"}, []string{news.Change, news.Severity})
	require.Equal(t, http.StatusOK, w.send(http.MethodPost, "alerts/"+id+"/silence", `{"minutes":60,"reason":"known"}`, nil))
	news = next()
	require.Equal(t, "silenced", news.Change)
	require.Equal(t, live.AlertCounts{Silenced: 1}, news.Counts)
	w.allRun("closed")
	w.settle()
	news = next()
	require.Equal(t, []string{"resolved", "resolved"}, []string{news.Change, news.State})
	require.NotNil(t, news.ResolvedAt)
}

// Several processes look in turns, and say the same; one that starts anew knows since when it is so.
func TestProcessesAgreeOnAlerts(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.allRun("open")
	w.pass(time.Second)
	const id = "breaker-open:tracking:persist"
	since := w.fires(id).Since
	other := newEdgeOn(t, w.at, func(c *live.Config, d *live.Deps) {
		c.Alerts.Every = time.Second
		d.Backlogs, d.Now = w.queues, w.now
	})
	for range 3 {
		w.pass(2 * time.Second)
		var list live.AlertList
		require.Equal(t, http.StatusOK, other.get("alerts", &list))
		a, found := find(list.Items, id)
		require.True(t, found)
		require.True(t, a.Since.Equal(since))
	}
}

func TestAlertConfigIsChecked(t *testing.T) {
	t.Parallel()
	require.NoError(t, live.DefaultAlertConfig().Validate())
	c := live.DefaultConfig()
	c.Alerts.Every, c.Alerts.VeryLate, c.Alerts.RejectedShare, c.Alerts.SilentTimes = 0, time.Second, 2, 0
	err := c.Validate()
	for _, name := range []string{"Every", "VeryLate", "RejectedShare", "SilentTimes"} {
		require.ErrorContains(t, err, name)
	}
}
