package trial_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// Invariant 9: wherever the queues lie, the same becomes of events, also of those that are copied, routed past stages, emitted or
// stopped on the way.
func TestFusingChangesNothingOfWhatBecomesOfEvents(t *testing.T) {
	t.Parallel()
	kinds := []string{"plain", "drop", "reject", "split", "copy", "leave", "jump", "piece"}
	rapid.Check(t, func(t *rapid.T) {
		middle := rapid.Permutation([]string{"judge", "split", "route", "mark", "mark"}).Draw(t, "stages")
		source := func(fuse func(i int) bool) string {
			var b strings.Builder
			b.WriteString("pipeline: first\nfrom: in\nstages:\n")
			for i, stage := range append(slices.Clone(middle), "pass") {
				with := ""
				if stage == "route" {
					with = ", with: {to: [copies], target: last}"
				}
				name := fmt.Sprintf("s%d", i)
				if stage == "pass" {
					name = "last"
				}
				fmt.Fprintf(&b, "  - {use: %s, name: %s, fuse: %v%s}\n", stage, name, i > 0 && fuse(i), with)
			}
			return b.String() + "to: middle\n"
		}
		events := make([]*tracking.Event, rapid.IntRange(1, 12).Draw(t, "events"))
		for i := range events {
			events[i] = event(fmt.Sprintf("e%d", i), rapid.SampledFrom(kinds).Draw(t, "kind"))
		}
		outcome := func(first string) *heard {
			var h heard
			own := make([]*tracking.Event, len(events))
			for i, e := range events {
				own[i] = e.Clone()
			}
			require.NoError(t, tryRun(t.Context(), h.config(specs(t, builtIn(), first, second, third)), "in", own...))
			slices.Sort(h.outputs)
			slices.Sort(h.outcomes)
			return &h
		}
		fused := rapid.SliceOfN(rapid.Bool(), len(middle)+1, len(middle)+1).Draw(t, "fused")
		apart := outcome(source(func(int) bool { return false }))
		require.Equal(t, apart, outcome(source(func(i int) bool { return fused[i] })))
		require.Equal(t, apart, outcome(source(func(int) bool { return true })))
	})
}
