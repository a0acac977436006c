package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func events(n int) []*tracking.Event {
	list := make([]*tracking.Event, n)
	for i := range list {
		list[i] = &tracking.Event{EventID: string(rune('a' + i))}
	}
	return list
}

// Invariant 1: whatever verdicts are given, in whatever order, each event ends with one, the first.
func TestFirstVerdictStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "events")
		batch := pipeline.NewBatch(events(n))
		want := make([]pipeline.Outcome, n)
		for range rapid.IntRange(0, 40).Draw(t, "verdicts") {
			i := rapid.IntRange(0, n-1).Draw(t, "index")
			outcome := rapid.SampledFrom([]pipeline.Outcome{pipeline.Drop, pipeline.Reject, pipeline.Retry}).Draw(t, "outcome")
			switch outcome {
			case pipeline.Drop:
				batch.Drop(i, pipeline.Reason{Code: "x"})
			case pipeline.Reject:
				batch.Reject(i, pipeline.Reason{Code: "x"})
			default:
				batch.Retry(i, errors.New("x"))
			}
			if want[i] == pipeline.Pass {
				want[i] = outcome
			}
		}
		pending := 0
		for i := range batch.Pending() {
			require.Equal(t, pipeline.Pass, want[i])
			pending++
		}
		require.Equal(t, pending, batch.PendingLen())
		for i := range n {
			require.Equal(t, want[i], batch.Verdict(i).Outcome)
		}
	})
}

func TestPendingSkipsWhatIsSettledOnTheWay(t *testing.T) {
	batch := pipeline.NewBatch(events(3))
	var seen []int
	for i := range batch.Pending() {
		seen = append(seen, i)
		batch.Drop(1, pipeline.Reason{Code: "x"})
	}
	require.Equal(t, []int{0, 2}, seen)
}

func TestEachGivesTheVerdictThatTheFunctionReturns(t *testing.T) {
	cause := errors.New("lookup is down")
	answers := map[string]error{
		"a": nil, "b": pipeline.Dropped(pipeline.Reason{Code: "duplicate"}), "c": pipeline.Rejected(pipeline.Reason{Code: "schema"}), "d": cause,
	}
	batch := pipeline.NewBatch(events(4))
	stage := pipeline.Each(func(_ context.Context, e *tracking.Event) error { return answers[e.EventID] })
	require.NoError(t, stage.Process(t.Context(), batch))
	require.Equal(t, pipeline.Pass, batch.Verdict(0).Outcome)
	require.Equal(t, pipeline.Verdict{Outcome: pipeline.Drop, Reason: pipeline.Reason{Code: "duplicate"}}, batch.Verdict(1))
	require.Equal(t, pipeline.Verdict{Outcome: pipeline.Reject, Reason: pipeline.Reason{Code: "schema"}}, batch.Verdict(2))
	require.Equal(t, pipeline.Verdict{Outcome: pipeline.Retry, Err: cause}, batch.Verdict(3))
}
