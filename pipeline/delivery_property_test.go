package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// troubled is a stage that takes its time and has events tried again, as often as a seed says and never beyond its attempts by
// more than one.
type troubled struct {
	seed     uint64
	timeout  time.Duration
	attempts int
	emits    bool
	tries    map[string]int
}

// chance returns a number below n that is always the same for the same seed and key.
func (s *troubled) chance(n int, key string) int {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, s.seed, key) // a hash does not fail
	return int(h.Sum64() % uint64(n))
}

func (s *troubled) Process(_ context.Context, batch *pipeline.Batch) error {
	<-time.After(time.Duration(1 + s.chance(int(s.timeout), fmt.Sprint("took", s.tries))))
	for i, event := range batch.Pending() {
		s.tries[event.EventID]++
		n := s.tries[event.EventID]
		switch {
		case s.attempts > 0 && n <= s.chance(s.attempts+2, event.EventID):
			batch.Retry(i, errors.New("not yet"))
		case s.emits && s.chance(2, "emits"+event.EventID) == 0:
			child := event.Clone()
			child.EventID, child.UID = event.EventID+"+", uuid.NewSHA1(event.UID, []byte{1})
			batch.Emit(i, child)
		}
	}
	return nil
}

// runAsHop works on events until each is settled, as a hop does, and returns how long that took.
func runAsHop(t require.TestingT, chain *pipeline.Chain, events []*tracking.Event) time.Duration {
	start := time.Now()
	left, err := chain.Work(events, "")
	require.NoError(t, err)
	due := map[*pipeline.Work]time.Time{}
	for len(left) > 0 {
		var first time.Time
		var now []*pipeline.Work
		for _, w := range left {
			if at := due[w]; !at.After(time.Now()) {
				now = append(now, w)
			} else if first.IsZero() || at.Before(first) {
				first = at
			}
		}
		if len(now) == 0 {
			<-time.After(time.Until(first))
			continue
		}
		emitted, err := chain.Run(context.Background(), now, observed{})
		require.NoError(t, err)
		var next []*pipeline.Work
		for _, w := range append(left, emitted...) {
			if w.Verdict.Outcome == pipeline.Retry {
				next = append(next, w)
			}
		}
		for _, w := range append(now, emitted...) {
			due[w] = time.Now().Add(w.Pause)
		}
		left = next
	}
	return time.Since(start)
}

// What is computed before the first event is an upper bound of what a chain does.
func TestNoHopTakesLongerThanItsWorstCase(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(rt, "stages")
		var stages []pipeline.Stage
		text := "pipeline: a\nfrom: in\nstages:\n"
		for i := range n {
			s := &troubled{
				seed:     rapid.Uint64().Draw(rt, "seed"),
				timeout:  time.Duration(rapid.SampledFrom([]int{1, 20, 400}).Draw(rt, "timeout")) * time.Millisecond,
				attempts: rapid.IntRange(0, 4).Draw(rt, "attempts"),
				emits:    rapid.Bool().Draw(rt, "emits"),
				tries:    map[string]int{},
			}
			stages = append(stages, s)
			text += fmt.Sprintf("  - use: s%d\n    timeout: %s\n    fuse: %v\n", i, s.timeout, i > 0)
			if s.attempts > 0 {
				text += fmt.Sprintf("    retry: {attempts: %d, backoff: %dms, max_backoff: 150ms}\n    on_error: drop\n",
					s.attempts, rapid.IntRange(1, 150).Draw(rt, "backoff"))
			}
		}
		events := rapid.IntRange(1, 5).Draw(rt, "events")
		var took, worst time.Duration
		synctest.Test(t, func(t *testing.T) {
			spec, err := pipeline.Parse("a.yaml", []byte(text), traitsRegistry(t, stages...))
			require.NoError(t, err)
			hop := spec.Plan().Hops[0]
			chain, err := hop.Build("a", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, nil)
			require.NoError(t, err)
			list := make([]*tracking.Event, events)
			for i := range list {
				list[i] = &tracking.Event{EventID: fmt.Sprintf("e%d", i), UID: uuid.New()}
			}
			worst = hop.WorstCase().Total()
			took = runAsHop(t, chain, list)
		})
		if took > worst {
			rt.Fatalf("took %s, longer than the worst case of %s:\n%s", took, worst, text)
		}
	})
}

// The bound is no wider than it need be: a hop of one stage whose retries are used up and whose time is used up meets it but
// for the jitter.
func TestTheWorstCaseOfOneStageIsMet(t *testing.T) {
	const retry = "timeout: 2s\nretry: {attempts: 3, backoff: 100ms, max_backoff: 100ms}\non_error: drop"
	hop := hopOf(t, retry)
	worst := hop.WorstCase()
	synctest.Test(t, func(t *testing.T) {
		slow := pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
			<-time.After(2 * time.Second)
			batch.RetryPending(errors.New("not yet"))
			return nil
		})
		_, text, _ := strings.Cut(strings.ReplaceAll(one(retry), "use: stage", "use: s0"), "\n")
		spec, err := pipeline.Parse("a.yaml", []byte(text), traitsRegistry(t, slow))
		require.NoError(t, err)
		chain, err := spec.Plan().Hops[0].Build("a", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, nil)
		require.NoError(t, err)
		took := runAsHop(t, chain, []*tracking.Event{{EventID: "a"}})
		require.LessOrEqual(t, took, worst.Total())
		require.GreaterOrEqual(t, took, worst.Total()-worst.Pauses*2/3)
	})
}
