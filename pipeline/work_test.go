package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// seeing passes everything and notes what it saw.
func seeing(seen *[]string) pipeline.Stage {
	return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		*seen = append(*seen, e.EventID)
		return nil
	})
}

func ids(list []*pipeline.Work) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w.Event.EventID
	}
	return out
}

// Invariants 1 and 2: what an event leads to goes on right behind it and belongs to it, unless that event is to come again or
// was rejected.
func TestEmittedEventsGoOnBehindTheirOrigin(t *testing.T) {
	var seen []string
	emitting := pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		for i, e := range b.Pending() {
			b.Emit(i, &tracking.Event{EventID: e.EventID + "1"}, &tracking.Event{EventID: e.EventID + "2"})
			switch e.EventID {
			case "b":
				b.Drop(i, pipeline.Reason{Code: "split"})
			case "c":
				b.Retry(i, errors.New("not yet"))
			case "d":
				b.Reject(i, pipeline.Reason{Code: "bad"})
			}
		}
		return nil
	})
	chain := chains(t, true, emitting, seeing(&seen))[0]
	list := work("a", "b", "c", "d")
	emitted, err := chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "a1", "a2", "b1", "b2"}, seen)
	require.Equal(t, []string{"a1", "a2", "b1", "b2"}, ids(emitted))
	require.Same(t, list[0], emitted[1].Origin)
	require.Same(t, list[1], emitted[2].Origin)
	require.Equal(t, map[string]string{"a": "pass", "b": "drop s0", "c": "retry s0", "d": "reject s0"}, outcomes(list))
}

// What is emitted by what was emitted has that as its origin.
func TestEmittedEventsLeadToOthers(t *testing.T) {
	double := func(suffix string) pipeline.Stage {
		return pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
			for i, e := range b.Pending() {
				b.Emit(i, &tracking.Event{EventID: e.EventID + suffix})
			}
			return nil
		})
	}
	var seen []string
	chain := chains(t, true, double("x"), double("y"), seeing(&seen))[0]
	list := work("a", "b")
	emitted, err := chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "ay", "ax", "axy", "b", "by", "bx", "bxy"}, seen)
	require.Equal(t, []string{"ax", "bx", "ay", "axy", "by", "bxy"}, ids(emitted))
	require.Same(t, emitted[0], emitted[3].Origin)
}

// Another event may take an event's place, but not its identity; what is tried again or rejected is the event as it came.
func TestReplacingKeepsWhoseDeliveryItIs(t *testing.T) {
	again := true
	replacing := pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		for i, e := range b.Pending() {
			changed := e.Clone()
			changed.EventID, changed.Type, changed.TenantID, changed.UID = e.EventID+"'", "mapped", "other", uuid.New()
			b.Replace(i, changed)
			switch {
			case e.EventID == "again" && again:
				b.Retry(i, errors.New("not yet"))
			case e.EventID == "bad":
				b.Reject(i, pipeline.Reason{Code: "bad"})
				b.Replace(i, changed)
			}
		}
		return nil
	})
	chain := chains(t, true, replacing)[0]
	list := work("a", "again", "bad")
	given := map[*pipeline.Work]*tracking.Event{}
	for _, w := range list {
		w.Event.UID, w.Event.TenantID, w.Event.ReceivedAt = uuid.New(), "talma-pe", time.Now()
		given[w] = w.Event.Clone()
	}
	_, err := chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, "a'", list[0].Event.EventID)
	require.Equal(t, "mapped", list[0].Event.Type)
	require.Equal(t, given[list[0]].UID, list[0].Event.UID)
	require.Equal(t, "talma-pe", list[0].Event.TenantID)
	require.Equal(t, given[list[0]].ReceivedAt, list[0].Event.ReceivedAt)
	require.Equal(t, given[list[1]], list[1].Event)
	require.Equal(t, given[list[2]], list[2].Event)
	again = false
	_, err = chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, "again'", list[1].Event.EventID)
}

// Routes: to a later stage of the hop, to one of another hop, out of the pipeline, and copies that later stages do not change.
func TestRoutes(t *testing.T) {
	routing := pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		for i, e := range b.Pending() {
			switch e.EventID {
			case "skips":
				b.Route(i, pipeline.Route{Stage: "s2"})
			case "away":
				b.Route(i, pipeline.Route{Stage: "elsewhere"})
			case "leaves":
				b.Route(i, pipeline.Route{Topics: []string{"x", "y"}, Leave: true})
			case "copied":
				b.Route(i, pipeline.Route{Topics: []string{"x"}})
			case "dropped":
				b.Route(i, pipeline.Route{Topics: []string{"x"}})
				b.Drop(i, pipeline.Reason{Code: "unwanted"})
			}
		}
		return nil
	})
	enriching := pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		e.Enrichment.Attributes = map[string]json.RawMessage{"late": []byte("1")}
		return nil
	})
	var middle, last []string
	chain := chains(t, true, routing, seeing(&middle), seeing(&last), enriching)[0]
	list := work("skips", "away", "leaves", "copied", "dropped", "plain")
	_, err := chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, []string{"copied", "plain"}, middle)
	require.Equal(t, []string{"skips", "copied", "plain"}, last)
	require.Equal(t, "elsewhere", list[1].Goto)
	require.True(t, list[2].Left)
	require.Equal(t, []string{"x", "y"}, []string{list[2].Copies[0].Topic, list[2].Copies[1].Topic})
	require.Len(t, list[3].Copies, 1)
	require.Empty(t, list[3].Copies[0].Event.Enrichment.Attributes, "a copy is the event as it was when it was routed")
	require.NotEmpty(t, list[3].Event.Enrichment.Attributes)
	require.Empty(t, list[4].Copies)
	for _, w := range []*pipeline.Work{list[0], list[1], list[2], list[3], list[5]} {
		require.Equal(t, pipeline.Pass, w.Verdict.Outcome)
	}
}

func TestWorkEntersAtTheStageNamed(t *testing.T) {
	var first, second []string
	chain := chains(t, true, seeing(&first), seeing(&second))[0]
	list, err := chain.Work([]*tracking.Event{{EventID: "a"}}, "s1")
	require.NoError(t, err)
	_, err = chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Empty(t, first)
	require.Equal(t, []string{"a"}, second)
	_, err = chain.Work(nil, "nowhere")
	require.ErrorContains(t, err, `there is no stage "nowhere" here`)
}

// What a stage did for an event counts also where another event made it panic.
func TestAPanicTakesNothingFromBatchMates(t *testing.T) {
	chain := chains(t, true, pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		for i, e := range b.Pending() {
			if e.EventID == "bad" {
				panic("out of order")
			}
			b.Emit(i, &tracking.Event{EventID: e.EventID + "1"})
			b.Replace(i, &tracking.Event{EventID: e.EventID + "'"})
			b.Route(i, pipeline.Route{Topics: []string{"x"}})
		}
		return nil
	}))[0]
	list := work("a", "bad", "b")
	emitted, err := chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a'": "pass", "bad": "reject s0", "b'": "pass"}, outcomes(list))
	require.Equal(t, []string{"a1", "b1"}, ids(emitted))
	require.Len(t, list[2].Copies, 1)
}

// guard refuses a stage.
type guard struct {
	refused map[string]bool
	told    map[string][]error
}

func (g guard) Allow(stage string) (report func(error), wait time.Duration, ok bool) {
	if g.refused[stage] {
		return nil, time.Minute, false
	}
	return func(err error) { g.told[stage] = append(g.told[stage], err) }, 0, true
}

// Invariant 8: a stage that is held back is not run and uses up nothing; what stands elsewhere goes on.
func TestAStageThatIsHeldBackUsesUpNothing(t *testing.T) {
	r := pipeline.NewRegistry()
	var calls int
	down := errors.New("database is down")
	for name, f := range map[string]pipeline.StageFunc{
		"one": func(context.Context, *pipeline.Batch) error { return nil },
		"two": func(_ context.Context, b *pipeline.Batch) error {
			calls++
			for i := range b.Pending() {
				b.Retry(i, down)
			}
			return nil
		},
		"three": func(context.Context, *pipeline.Batch) error { return down },
	} {
		require.NoError(t, r.Register(pipeline.Define(name, "", func() none { return none{} },
			func(none, pipeline.Settings) (pipeline.Stage, error) { return f, nil })))
	}
	spec, err := pipeline.Parse("p.yaml", []byte(`
pipeline: p
from: x
stages:
  - use: one
  - {use: two, fuse: true, retry: {attempts: 1}, on_error: drop, when: 'event.event_id != "passes"'}
  - {use: three, fuse: true}
`), r)
	require.NoError(t, err)
	g := guard{refused: map[string]bool{"two": true}, told: map[string][]error{}}
	chain, err := spec.Plan().Hops[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, g)
	require.NoError(t, err)
	list := work("waits", "passes")
	for range 3 {
		_, err = chain.Run(t.Context(), list, observed{})
		require.ErrorIs(t, err, down, "of the stage that did run")
		require.ErrorIs(t, list[0].Verdict.Err, pipeline.ErrPaused)
		require.Equal(t, time.Minute, list[0].Pause)
		require.Equal(t, "retry three", outcomes(list)["passes"])
	}
	require.Zero(t, calls)
	require.Equal(t, []error{nil}, g.told["one"], "nothing stands there any more")
	require.Len(t, g.told["three"], 3)
	require.ErrorIs(t, g.told["three"][0], down)
	delete(g.refused, "two")
	_, _ = chain.Run(t.Context(), list, observed{})
	require.Equal(t, pipeline.Retry, list[0].Verdict.Outcome, "the first of its attempts is left to it")
	_, _ = chain.Run(t.Context(), list, observed{})
	require.Equal(t, pipeline.Drop, list[0].Verdict.Outcome)
}

// A stage that says when to come again does not fail.
func TestComingAgainLaterUsesUpNoAttempt(t *testing.T) {
	chain := chainsWith(t, true, []string{"retry: {attempts: 1}\n    on_error: drop"}, pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		b.RetryAfter(0, errors.New("too fast"), 40*time.Millisecond)
		return nil
	}))[0]
	list := work("a")
	for range 5 {
		_, err := chain.Run(t.Context(), list, observed{})
		require.NoError(t, err)
		require.Equal(t, pipeline.Retry, list[0].Verdict.Outcome)
		require.Equal(t, 40*time.Millisecond, list[0].Pause)
	}
}

// timed sends an event at the time it is asked, until that was confirmed.
type timed struct {
	pipeline.Stage
	sent   bool
	closed *[]string
	name   string
	fails  error
}

func (s *timed) Due(_ context.Context, now time.Time) ([]*tracking.Event, func(context.Context) error, error) {
	if s.sent {
		return nil, nil, s.fails
	}
	return []*tracking.Event{{EventID: now.UTC().Format(time.TimeOnly)}}, func(context.Context) error { s.sent = true; return nil }, s.fails
}

func (s *timed) Close() error {
	*s.closed = append(*s.closed, s.name)
	return s.fails
}

func TestStagesSendByThemselvesAndAreClosed(t *testing.T) {
	var seen, closed []string
	pass := pipeline.Each(func(context.Context, *tracking.Event) error { return nil })
	first := &timed{Stage: pass, closed: &closed, name: "first"}
	second := &timed{Stage: seeing(&seen), closed: &closed, name: "second", sent: true}
	chain := chains(t, true, first, second)[0]
	require.True(t, chain.Emits())
	require.False(t, chains(t, true, pass)[0].Emits())
	at := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	for range 2 {
		due, err := chain.Due(t.Context(), at)
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.Equal(t, "s0", due[0].Stage)
		_, err = chain.Run(t.Context(), due[0].Work, observed{})
		require.NoError(t, err)
		if len(seen) == 2 {
			require.NoError(t, due[0].Sent(t.Context()))
		}
	}
	require.Equal(t, []string{"10:00:00", "10:00:00"}, seen, "what was not confirmed is due again, behind the stage that sends it")
	due, err := chain.Due(t.Context(), at)
	require.NoError(t, err)
	require.Empty(t, due)
	second.fails = errors.New("cannot")
	_, err = chain.Due(t.Context(), at)
	require.ErrorContains(t, err, `stage "s1": what is due: cannot`)
	require.ErrorContains(t, chain.Close(), `close stage "s1": cannot`)
	require.Equal(t, []string{"second", "first"}, closed)
}

// What a stage says of an event goes to dead letters, logs and dashboards: no secret of its config goes with it.
func TestVerdictsKeepSecrets(t *testing.T) {
	type config struct {
		Token string `yaml:"token"`
	}
	r := pipeline.NewRegistry()
	require.NoError(t, r.Register(pipeline.Define("call", "", func() config { return config{} },
		func(c config, _ pipeline.Settings) (pipeline.Stage, error) {
			return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
				switch e.EventID {
				case "bad":
					return pipeline.Rejected(pipeline.Reason{Code: "bad", Message: "refused by ?token=" + c.Token})
				case "again":
					return errors.New("cannot reach ?token=" + c.Token)
				default:
					panic(c.Token)
				}
			}), nil
		})))
	resolver := values{secrets: map[string]string{"env:TOKEN": "hunter2"}}
	spec, err := pipeline.ParseContext(t.Context(), "p.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: call\n    with: {token: '${secret:env:TOKEN}'}\n"), r, resolver)
	require.NoError(t, err)
	chain, err := spec.Plan().Hops[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, nil)
	require.NoError(t, err)
	list := work("bad", "again", "panics")
	_, err = chain.Run(t.Context(), list, observed{})
	require.NoError(t, err)
	require.Equal(t, "refused by ?token=(redacted)", list[0].Verdict.Reason.Message)
	require.ErrorContains(t, list[1].Verdict.Err, "cannot reach ?token=(redacted)")
	require.NotContains(t, list[2].Verdict.Reason.Message, "hunter2")
}
