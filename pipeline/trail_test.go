package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Every stage that an event got through or ended at is in its trail, with how often it was tried there; what it is retried at is not yet.
func TestEventsLeaveATrail(t *testing.T) {
	down := true
	chain := chains(t, true,
		pipeline.Each(func(context.Context, *tracking.Event) error { return nil }),
		pipeline.Each(func(_ context.Context, e *tracking.Event) error {
			switch {
			case e.EventID == "slow" && down:
				return errors.New("lookup is down")
			case e.EventID == "dup":
				return pipeline.Dropped(pipeline.Reason{Code: "duplicate"})
			case e.EventID == "bad":
				return pipeline.Rejected(pipeline.Reason{Code: "schema"})
			}
			return nil
		}),
		pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))[0]
	list := work("ok", "slow", "dup", "bad", "ok too")
	require.NoError(t, runChain(t.Context(), chain, list, observed{}))
	trail := func(i int) (steps []any) {
		for _, s := range list[i].Trail.Steps() {
			require.False(t, s.At.IsZero())
			steps = append(steps, []any{s.Stage, s.Outcome, s.Attempt, s.Events})
		}
		return steps
	}
	ok := []any{[]any{"s0", pipeline.Pass, 1, 5}, []any{"s1", pipeline.Pass, 1, 5}, []any{"s2", pipeline.Pass, 1, 2}}
	require.Equal(t, ok, trail(0))
	require.Equal(t, ok[:1], trail(1))
	require.Equal(t, []any{ok[0], []any{"s1", pipeline.Drop, 1, 5}}, trail(2))
	require.Equal(t, []any{ok[0], []any{"s1", pipeline.Reject, 1, 5}}, trail(3))
	require.Same(t, list[0].Trail.Before.Before, list[4].Trail.Before.Before, "they came the same way")

	require.NoError(t, runChain(t.Context(), chain, list[1:2], observed{}))
	down = false
	require.NoError(t, runChain(t.Context(), chain, list[1:2], observed{}))
	require.Equal(t, []any{ok[0], []any{"s1", pipeline.Pass, 3, 1}, []any{"s2", pipeline.Pass, 1, 1}}, trail(1))
	require.Empty(t, (*pipeline.Trail)(nil).Steps())
}
