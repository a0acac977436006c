package trial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/tracking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type config struct {
	To     []string `yaml:"to"`
	Target string   `yaml:"target"`
}

// Destinations implements pipeline.Destined.
func (c config) Destinations() []pipeline.Destination {
	var all []pipeline.Destination
	for _, topic := range c.To {
		all = append(all, pipeline.Destination{Topic: topic})
	}
	if c.Target != "" {
		all = append(all, pipeline.Destination{Stage: c.Target})
	}
	return all
}

type stages map[string]func(c config, s pipeline.Settings) pipeline.Stage

func each(f func(e *tracking.Event) error) func(config, pipeline.Settings) pipeline.Stage {
	return func(config, pipeline.Settings) pipeline.Stage {
		return pipeline.Each(func(_ context.Context, e *tracking.Event) error { return f(e) })
	}
}

// builtIn are the stages that the tests' pipelines are made of. An event says by its type what is to become of it.
func builtIn() stages {
	return stages{
		"pass": each(func(*tracking.Event) error { return nil }),
		"judge": each(func(e *tracking.Event) error {
			switch e.Type {
			case "drop":
				return pipeline.Dropped(pipeline.Reason{Code: "dropped", Message: "as told"})
			case "reject":
				return pipeline.Rejected(pipeline.Reason{Code: "rejected", Message: "as told", Field: "/event_type"})
			}
			return nil
		}),
		"mark": each(func(e *tracking.Event) error {
			e.Enrichment.Exception += "+"
			return nil
		}),
		"split": func(config, pipeline.Settings) pipeline.Stage {
			return pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
				for i, e := range b.Pending() {
					if e.Type != "split" {
						continue
					}
					for n := range 2 {
						piece := e.Clone()
						piece.UID, piece.EventID, piece.Type = tracking.DeriveUID(e.UID, strconv.Itoa(n)), e.EventID+"."+strconv.Itoa(n), "piece"
						b.Emit(i, piece)
					}
					b.Drop(i, pipeline.Reason{Code: "split", Message: "into pieces"})
				}
				return nil
			})
		},
		"route": func(c config, _ pipeline.Settings) pipeline.Stage {
			return pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
				for i, e := range b.Pending() {
					switch e.Type {
					case "copy":
						b.Route(i, pipeline.Route{Topics: c.To})
					case "leave":
						b.Route(i, pipeline.Route{Topics: c.To, Leave: true})
					case "jump":
						b.Route(i, pipeline.Route{Stage: c.Target})
					}
				}
				return nil
			})
		},
	}
}

func specs(t require.TestingT, known stages, sources ...string) []pipeline.Spec {
	registry := pipeline.NewRegistry()
	for name, build := range known {
		require.NoError(t, registry.Register(pipeline.Define(name, "", func() config { return config{} },
			func(c config, s pipeline.Settings) (pipeline.Stage, error) { return build(c, s), nil })))
	}
	all := make([]pipeline.Spec, len(sources))
	for i, source := range sources {
		var err error
		all[i], err = pipeline.Parse("p.yaml", []byte(source), registry)
		require.NoError(t, err)
	}
	return all
}

func plans(specs []pipeline.Spec) []pipeline.Plan {
	all := make([]pipeline.Plan, len(specs))
	for i, spec := range specs {
		all[i] = spec.Plan()
	}
	return all
}

var start = time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)

func event(id, kind string) *tracking.Event {
	return &tracking.Event{UID: uuid.NewSHA1(uuid.Nil, []byte(id)), EventID: id, Type: kind, OccurredAt: start, ReceivedAt: start}
}

// heard is what a run told, as text.
type heard struct {
	outputs  []string
	outcomes []string
}

func (h *heard) config(specs []pipeline.Spec) trial.Config {
	return trial.Config{
		Plans: plans(specs), Clock: trial.NewManual(start),
		Output: func(o trial.Output) error {
			h.outputs = append(h.outputs, fmt.Sprintf("%d %s%s > %s", o.Seq, o.Event.EventID, o.Event.Enrichment.Exception, o.Topic))
			return nil
		},
		Done: func(o trial.Outcome) error {
			h.outcomes = append(h.outcomes, fmt.Sprintf("%d %s %s %s %s %s %s e%d r%d", o.Seq, o.Event.EventID, o.Pipeline, o.Verdict.Outcome, o.Stage,
				o.Verdict.Reason.Code, strings.Join(o.Topics, ","), o.Emitted, o.Retries))
			return nil
		},
	}
}

func run(t *testing.T, c trial.Config, topic string, events ...*tracking.Event) {
	t.Helper()
	require.NoError(t, tryRun(t.Context(), c, topic, events...))
}

func tryRun(ctx context.Context, c trial.Config, topic string, events ...*tracking.Event) error {
	r, err := trial.New(c)
	if err != nil {
		return err
	}
	if err = r.Send(ctx, topic, events...); err == nil {
		err = r.Settle(ctx)
	}
	return errors.Join(err, r.Close())
}

const (
	first = `
pipeline: first
from: in
stages:
  - use: judge
  - use: split
  - use: route
    with: {to: [copies], target: last}
  - use: mark
  - use: pass
    name: last
to: middle`
	second = `
pipeline: second
from: middle
stages:
  - use: mark
to: [one, two]`
	third = `
pipeline: third
from: copies
stages:
  - use: judge
to: three`
)

func TestEventsGoWhereTheirPipelinesSendThem(t *testing.T) {
	t.Parallel()
	for _, fused := range []bool{false, true} {
		t.Run(fmt.Sprint("fused ", fused), func(t *testing.T) {
			t.Parallel()
			all := specs(t, builtIn(), first, second, third)
			for i := range all {
				all[i] = all[i].Fused(fused)
			}
			var h heard
			run(t, h.config(all), "in", event("a", ""), event("b", "drop"), event("c", "reject"), event("d", "split"), event("e", "copy"),
				event("f", "leave"), event("g", "jump"))
			slices.Sort(h.outputs)
			require.Equal(t, []string{
				"1 a++ > one", "1 a++ > two",
				"4 d.0++ > one", "4 d.0++ > two", "4 d.1++ > one", "4 d.1++ > two",
				"5 e > three", "5 e++ > one", "5 e++ > two",
				"6 f > three",
				"7 g+ > one", "7 g+ > two",
			}, h.outputs)
			slices.Sort(h.outcomes)
			require.Equal(t, []string{
				"1 a first pass   middle e0 r0", "1 a second pass   one,two e0 r0",
				"2 b first drop judge dropped  e0 r0",
				"3 c first reject judge rejected  e0 r0",
				"4 d first drop split split  e2 r0",
				"4 d.0 first pass   middle e0 r0", "4 d.0 second pass   one,two e0 r0",
				"4 d.1 first pass   middle e0 r0", "4 d.1 second pass   one,two e0 r0",
				"5 e first pass   copies,middle e0 r0", "5 e second pass   one,two e0 r0", "5 e third pass   three e0 r0",
				"6 f first pass   copies e0 r0", "6 f third pass   three e0 r0",
				"7 g first pass   middle e0 r0", "7 g second pass   one,two e0 r0",
			}, h.outcomes)
		})
	}
}

func TestATopicThatNobodyReads(t *testing.T) {
	t.Parallel()
	var h heard
	err := tryRun(t.Context(), h.config(specs(t, builtIn(), first)), "out", event("a", ""))
	require.ErrorContains(t, err, "send to out: no pipeline reads it")
}

// Invariant 2, 9: whenever the process dies, and however the stages are fused, every event ends as it does otherwise.
func TestNothingIsLostWhenTheProcessDies(t *testing.T) {
	t.Parallel()
	all := specs(t, builtIn(), first, second, third)
	rapid.Check(t, func(t *rapid.T) {
		fused := rapid.Bool().Draw(t, "fused")
		laid := make([]pipeline.Spec, len(all))
		for i := range all {
			laid[i] = all[i].Fused(fused)
		}
		var events []*tracking.Event
		for i := range rapid.IntRange(1, 12).Draw(t, "events") {
			kind := rapid.SampledFrom([]string{"", "drop", "reject", "split", "copy", "leave", "jump"}).Draw(t, "kind")
			events = append(events, event(strconv.Itoa(i), kind))
		}
		var want, got heard
		require.NoError(t, tryRun(t.Context(), want.config(laid), "in", events...))
		c := got.config(laid)
		at := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 4).Draw(t, "deaths")
		moment := 0
		c.Crash = func(trial.Moment) bool {
			moment++
			return slices.Contains(at, moment)
		}
		c.Around = trial.NewFaults(trial.Fault{Stage: "mark", Times: rapid.IntRange(0, 2).Draw(t, "retries")}).Around
		require.NoError(t, tryRun(t.Context(), c, "in", events...))
		require.Equal(t, distinct(want.outputs), distinct(got.outputs))
		require.Equal(t, distinct(endings(want.outcomes)), distinct(endings(got.outcomes)))
	})
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// endings are outcomes without how often the event was retried.
func endings(outcomes []string) []string {
	short := make([]string, len(outcomes))
	for i, o := range outcomes {
		short[i] = o[:strings.LastIndex(o, " r")]
	}
	return short
}

const retried = `
pipeline: p
from: in
stages:
  - use: pass
    name: work
    retry: {attempts: 2}
    on_error: %s
to: out`

// Attempts are used up and on_error is honoured, without waiting.
func TestRetriesHonourTheStagesPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		onError string
		times   int
		want    string
	}{
		{"dead_letter", 2, "1 a p pass   out e0 r2"},
		{"dead_letter", 3, "1 a p reject work attempts  e0 r2"},
		{"drop", 3, "1 a p drop work attempts  e0 r2"},
	} {
		var h heard
		all := specs(t, builtIn(), fmt.Sprintf(retried, c.onError))
		config := h.config(all)
		config.Around = trial.NewFaults(trial.Fault{Pipeline: "p", Stage: "work", Times: c.times}).Around
		run(t, config, "in", event("a", ""))
		require.Equal(t, []string{c.want}, h.outcomes)
		require.Equal(t, start.Add(2*time.Second), config.Clock.Now(), "each retry moves the clock by a second")
	}
}

// Invariant 8: an outage uses up no attempts.
func TestAnOutageUsesUpNoAttempts(t *testing.T) {
	t.Parallel()
	var h heard
	c := h.config(specs(t, builtIn(), fmt.Sprintf(retried, "dead_letter")))
	c.Around = trial.NewFaults(trial.Fault{Stage: "work", Batches: 10, Err: errors.New("down")}).Around
	run(t, c, "in", event("a", ""), event("b", ""))
	require.Equal(t, []string{"1 a p pass   out e0 r10", "2 b p pass   out e0 r10"}, h.outcomes)
}

func TestFaultsChooseTheirEvents(t *testing.T) {
	t.Parallel()
	when, err := pipeline.CompileCondition(`event.event_id == "b"`)
	require.NoError(t, err)
	var h heard
	c := h.config(specs(t, builtIn(), fmt.Sprintf(retried, "drop")))
	c.Around = trial.NewFaults(trial.Fault{Stage: "work", Times: 1, When: when}, trial.Fault{Pipeline: "other", Stage: "work", Skip: true}).Around
	run(t, c, "in", event("a", ""), event("b", ""))
	require.Equal(t, []string{"1 a p pass   out e0 r0", "2 b p pass   out e0 r1"}, h.outcomes)

	h = heard{}
	c = h.config(specs(t, builtIn(), first))
	c.Around = trial.NewFaults(trial.Fault{Stage: "judge", Skip: true}).Around
	run(t, c, "in", event("a", "reject"))
	require.Equal(t, []string{"1 a first pass   middle e0 r0"}, h.outcomes)
}

func TestAnEventThatIsRetriedForEverEndsTheRun(t *testing.T) {
	t.Parallel()
	var h heard
	c := h.config(specs(t, builtIn(), first))
	c.MaxRetries = 5
	down := errors.New("lookup is down")
	c.Around = func(context.Context, trial.Place, *pipeline.Batch, pipeline.Stage) error { return down }
	err := tryRun(t.Context(), c, "in", event("a", ""))
	require.ErrorIs(t, err, trial.ErrStuck)
	require.ErrorIs(t, err, down)
	require.ErrorContains(t, err, `at stage "judge" of pipeline "first"`)
}

func TestErrorsOfTheListenerEndTheRun(t *testing.T) {
	t.Parallel()
	for _, broken := range []func(*trial.Config){
		func(c *trial.Config) { c.Output = func(trial.Output) error { return io.ErrClosedPipe } },
		func(c *trial.Config) { c.Done = func(trial.Outcome) error { return io.ErrClosedPipe } },
		func(c *trial.Config) {
			c.Carry = func(*tracking.Event) (*tracking.Event, int, error) { return nil, 0, io.ErrClosedPipe }
		},
	} {
		var h heard
		c := h.config(specs(t, builtIn(), first))
		broken(&c)
		require.ErrorIs(t, tryRun(t.Context(), c, "in", event("a", "")), io.ErrClosedPipe)
	}
}

func TestItStopsWhenItIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := trial.Config{Plans: plans(specs(t, builtIn(), first))}
	c.Around = func(context.Context, trial.Place, *pipeline.Batch, pipeline.Stage) error {
		cancel()
		return errors.New("down")
	}
	require.ErrorIs(t, tryRun(ctx, c, "in", event("a", "")), context.Canceled)
}

// Batches are as large as the hop says, and events wait no longer than a retry of their own.
func TestBatches(t *testing.T) {
	t.Parallel()
	var sizes []int
	known := builtIn()
	known["work"] = func(config, pipeline.Settings) pipeline.Stage {
		return pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
			sizes = append(sizes, b.Len())
			return nil
		})
	}
	events := make([]*tracking.Event, 25)
	for i := range events {
		events[i] = event(strconv.Itoa(i), "")
		events[i].Payload = []byte(`"` + strings.Repeat("x", 510) + `"`)
	}
	var h heard
	run(t, h.config(specs(t, known, "pipeline: p\nfrom: in\nstages: [{use: work, batch: 10}]")), "in", events...)
	require.Equal(t, []int{10, 10, 5}, sizes)
	sizes = nil
	run(t, h.config(specs(t, known, "pipeline: p\nfrom: in\nstages: [{use: work, batch: {bytes: 6KiB}}]")), "in", events...)
	require.Equal(t, []int{8, 8, 8, 1}, sizes)
}

// A hop further on sees the event as the topic carries it, and a copy that is routed is not changed by what comes after.
func TestTopicsCarryEvents(t *testing.T) {
	t.Parallel()
	var h heard
	c := h.config(specs(t, builtIn(), second))
	carried := 0
	c.Carry = func(e *tracking.Event) (*tracking.Event, int, error) {
		carried++
		e = e.Clone()
		e.EventID += "'"
		return e, 1, nil
	}
	sent := event("a", "")
	run(t, c, "middle", sent)
	require.Equal(t, []string{"1 a'+ > one", "1 a'+ > two"}, h.outputs)
	require.Equal(t, 1, carried)
	require.Equal(t, "a", sent.EventID)
	require.Empty(t, sent.Enrichment.Exception)
}

// gather is a stage that takes every event and sends one by itself when a minute is over. It is open while it is built.
type gather struct {
	open  *int
	count *int
	until time.Time
}

func (g *gather) Process(_ context.Context, b *pipeline.Batch) error {
	for i := range b.Pending() {
		*g.count++
		b.Drop(i, pipeline.Reason{Code: "gathered", Message: "counted"})
	}
	return nil
}

func (g *gather) Due(_ context.Context, now time.Time) ([]*tracking.Event, func(context.Context) error, error) {
	if *g.count == 0 || now.Before(g.until) {
		return nil, nil, nil
	}
	return []*tracking.Event{event("sum "+strconv.Itoa(*g.count), "")}, func(context.Context) error {
		*g.count = 0
		return nil
	}, nil
}

func (g *gather) Close() error {
	*g.open--
	return nil
}

// What a stage sends by itself is sent when its time has come and, when the process dies before that is noted, again.
func TestStagesSendByThemselves(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		open, count := 0, 0
		known := builtIn()
		known["gather"] = func(config, pipeline.Settings) pipeline.Stage {
			open++
			return &gather{&open, &count, start.Add(time.Minute)}
		}
		var h heard
		c := h.config(specs(t, known, "pipeline: p\nfrom: in\nstages: [{use: gather}, {use: mark, fuse: true}]\nto: out"))
		c.Around = trial.NewFaults().Around
		crashed := false
		c.Crash = func(m trial.Moment) bool {
			die := crash && !crashed && m.Published && c.Clock.Now().After(start)
			crashed = crashed || die
			return die
		}
		r, err := trial.New(c)
		require.NoError(t, err)
		require.True(t, r.Emits())
		require.NoError(t, r.Send(t.Context(), "in", event("a", ""), event("b", "")))
		require.NoError(t, r.Pass(t.Context(), 59*time.Second))
		require.Empty(t, h.outputs)
		require.NoError(t, r.Pass(t.Context(), time.Hour))
		require.Equal(t, []string{"0 sum 2+ > out"}, distinct(h.outputs))
		require.Len(t, h.outputs, map[bool]int{false: 1, true: 2}[crash])
		require.Equal(t, crash, crashed)
		require.Zero(t, count)
		require.Equal(t, 1, open)
		require.NoError(t, r.Close())
		require.Zero(t, open, "stages are closed")
	}
}

func TestOnTheWallClockRetriesWait(t *testing.T) {
	t.Parallel()
	var h heard
	c := h.config(specs(t, builtIn(), "pipeline: p\nfrom: in\nstages: [{use: pass, retry: {backoff: 40ms}}]\nto: out"))
	c.Clock = nil
	c.Around = trial.NewFaults(trial.Fault{Stage: "pass", Times: 1}).Around
	began := time.Now()
	run(t, c, "in", event("a", ""))
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond) // half of it, at its most jittery
	require.Equal(t, []string{"1 a > out"}, h.outputs)
}

// What waits to be retried does not pile up without a bound, and what has left takes no memory.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while") // and needs the heap for itself
	}
	heapAfter := func(n int) uint64 {
		left := 0
		c := trial.Config{
			Plans:  plans(specs(t, builtIn(), first, second, third)),
			Output: func(trial.Output) error { left++; return nil },
		}
		r, err := trial.New(c)
		require.NoError(t, err)
		for i := 0; i < n; i += 500 {
			batch := make([]*tracking.Event, 500)
			for j := range batch {
				batch[j] = event(strconv.Itoa(i+j), "")
			}
			require.NoError(t, r.Send(t.Context(), "in", batch...))
		}
		require.Equal(t, 2*n, left)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		require.NoError(t, r.Close())
		return m.HeapAlloc
	}
	small, large := heapAfter(10_000), heapAfter(200_000)
	require.Less(t, large, small+1<<20)
}

func TestSendWaitsWhileTooManyAreRetried(t *testing.T) {
	t.Parallel()
	var h heard
	c := h.config(specs(t, builtIn(), fmt.Sprintf(retried, "dead_letter")))
	c.MaxInFlight = 10
	c.Around = trial.NewFaults(trial.Fault{Stage: "work", Batches: 20}).Around
	r, err := trial.New(c)
	require.NoError(t, err)
	for i := range 11 {
		require.NoError(t, r.Send(t.Context(), "in", event(strconv.Itoa(i), "")))
		if i < 10 {
			require.Empty(t, h.outputs)
		}
	}
	require.Len(t, h.outputs, 11, "the eleventh waited until the outage was over")
	_, waiting := r.Next()
	require.False(t, waiting)
	require.NoError(t, r.Close())
}
