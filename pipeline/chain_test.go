package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// observed counts outcomes by stage.
type observed map[string]int

func (o observed) Observe(stage string, batch *pipeline.Batch, _ time.Duration) {
	for i := range batch.Len() {
		o[stage+" "+batch.Verdict(i).Outcome.String()]++
	}
}

type none struct{}

// chains builds the hops of a pipeline whose stages are the functions given, in order.
func chains(t require.TestingT, fused bool, stages ...pipeline.Stage) []*pipeline.Chain {
	return chainsWith(t, fused, nil, stages...)
}

// chainsWith is chains with further settings of each stage, as lines of YAML.
func chainsWith(t require.TestingT, fused bool, settings []string, stages ...pipeline.Stage) []*pipeline.Chain {
	r := pipeline.NewRegistry()
	var yaml strings.Builder
	yaml.WriteString("pipeline: p\nfrom: x\nstages:\n")
	for i, stage := range stages {
		name := fmt.Sprintf("s%d", i)
		require.NoError(t, r.Register(pipeline.Define(name, "", func() none { return none{} },
			func(none, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
		fmt.Fprintf(&yaml, "  - use: %s\n    fuse: %v\n", name, fused && i > 0)
		if i < len(settings) && settings[i] != "" {
			fmt.Fprintf(&yaml, "    %s\n", settings[i])
		}
	}
	spec, err := pipeline.Parse("p.yaml", []byte(yaml.String()), r)
	require.NoError(t, err)
	plan := spec.Plan()
	var built []*pipeline.Chain
	for _, hop := range plan.Hops {
		chain, err := hop.Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, nil)
		require.NoError(t, err)
		built = append(built, chain)
	}
	return built
}

func work(ids ...string) []*pipeline.Work {
	list := make([]*pipeline.Work, len(ids))
	for i, id := range ids {
		list[i] = &pipeline.Work{Event: &tracking.Event{EventID: id}}
	}
	return list
}

func outcomes(list []*pipeline.Work) map[string]string {
	got := map[string]string{}
	for _, w := range list {
		got[w.Event.EventID] = strings.TrimSpace(w.Verdict.Outcome.String() + " " + w.Stage)
	}
	return got
}

// Invariant 4: only what is retried goes round again, and at the stage that asked for it.
func TestRetryConcernsOnlyWhatIsRetried(t *testing.T) {
	seen := map[string][]string{}
	note := func(stage string, fail func(id string) error) pipeline.Stage {
		return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
			seen[e.EventID] = append(seen[e.EventID], stage)
			return fail(e.EventID)
		})
	}
	down := true
	chain := chains(t, true,
		note("first", func(string) error { return nil }),
		note("second", func(id string) error {
			switch {
			case id == "slow" && down:
				return errors.New("lookup is down")
			case id == "dup":
				return pipeline.Dropped(pipeline.Reason{Code: "duplicate"})
			case id == "bad":
				return pipeline.Rejected(pipeline.Reason{Code: "schema"})
			}
			return nil
		}),
		note("third", func(string) error { return nil }))[0]

	list := work("ok", "slow", "dup", "bad")
	counts := observed{}
	require.NoError(t, runChain(t.Context(), chain, list, counts))
	require.Equal(t, map[string]string{"ok": "pass", "slow": "retry s1", "dup": "drop s1", "bad": "reject s1"}, outcomes(list))
	require.Equal(t, observed{
		"s0 pass": 4, "s1 pass": 1, "s1 retry": 1, "s1 drop": 1, "s1 reject": 1, "s2 pass": 1,
	}, counts)

	down = false
	require.NoError(t, runChain(t.Context(), chain, list, observed{}))
	require.Equal(t, "pass", outcomes(list)["slow"])
	require.Equal(t, []string{"first", "second", "second", "third"}, seen["slow"])
	require.Equal(t, []string{"first", "second", "third"}, seen["ok"], "a batch mate must not run again")
	require.Equal(t, []string{"first", "second"}, seen["bad"])
}

// Invariant 5: an error of the stage retries what the stage had not settled, and nothing else.
func TestErrorOfAStageIsARetryOfTheRest(t *testing.T) {
	chain := chains(t, true, pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		b.Reject(0, pipeline.Reason{Code: "schema"})
		return errors.New("database is down")
	}))[0]
	list := work("bad", "good")
	err := runChain(t.Context(), chain, list, observed{})
	require.ErrorContains(t, err, `stage "s0": database is down`)
	require.Equal(t, map[string]string{"bad": "reject s0", "good": "retry s0"}, outcomes(list))
	require.ErrorContains(t, list[1].Verdict.Err, "database is down")
	require.Equal(t, 1, list[1].Attempts)
}

func TestPanicRejectsOnlyTheEventThatCausesIt(t *testing.T) {
	chain := chains(t, true, pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
		for _, e := range b.Pending() {
			if e.EventID == "poison" {
				panic("index out of range")
			}
		}
		return nil
	}))[0]
	list := work("a", "poison", "b")
	require.NoError(t, runChain(t.Context(), chain, list, observed{}))
	require.Equal(t, map[string]string{"a": "pass", "poison": "reject s0", "b": "pass"}, outcomes(list))
	require.Equal(t, "panic", list[1].Verdict.Reason.Code)
	require.Contains(t, list[1].Verdict.Reason.Message, "index out of range")
}

// Invariant 9: for any stages and events, running them fused ends the same as running them each in a hop of its own.
func TestFusingDoesNotChangeWhatBecomesOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := make([]pipeline.Stage, rapid.IntRange(1, 4).Draw(t, "stages"))
		settings := make([]string, len(stages))
		for i := range stages {
			settings[i] = rapid.SampledFrom([]string{
				"", `when: event.event_id < "c"`, `when: event.source != "0" && event.event_id != "a"`, "when: event.payload.n > 1",
			}).Draw(t, "when")
			drop := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 2).Draw(t, "drop")
			reject := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 2).Draw(t, "reject")
			stages[i] = pipeline.Each(func(_ context.Context, e *tracking.Event) error {
				e.Source += fmt.Sprint(i)
				for _, id := range drop {
					if id == e.EventID {
						return pipeline.Dropped(pipeline.Reason{Code: "x"})
					}
				}
				for _, id := range reject {
					if id == e.EventID {
						return pipeline.Rejected(pipeline.Reason{Code: "y"})
					}
				}
				return nil
			})
		}
		run := func(fused bool) map[string]string {
			ends := map[string]string{}
			list := work("a", "b", "c", "d", "e")
			list[1].Event.Payload, list[2].Event.Payload = json.RawMessage(`{"n":2}`), json.RawMessage(`{"n":"two"}`)
			for _, chain := range chainsWith(t, fused, settings, stages...) {
				if err := runChain(context.Background(), chain, list, observed{}); err != nil {
					t.Fatal(err)
				}
				var passed []*pipeline.Work
				for _, w := range list {
					ends[w.Event.EventID] = fmt.Sprint(w.Verdict.Outcome, w.Stage, w.Event.Source)
					if w.Verdict.Outcome == pipeline.Pass {
						passed = append(passed, &pipeline.Work{Event: w.Event}) // as another hop gets it
					}
				}
				list = passed
			}
			return ends
		}
		if fused, apart := run(true), run(false); fmt.Sprint(fused) != fmt.Sprint(apart) {
			t.Fatalf("fused %v\napart %v", fused, apart)
		}
	})
}

// runChain runs a chain whose stages emit nothing.
func runChain(ctx context.Context, chain *pipeline.Chain, work []*pipeline.Work, observer pipeline.Observer) error {
	_, err := chain.Run(ctx, work, observer)
	return err
}
