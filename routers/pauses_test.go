package routers_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var eva = store.Actor{Subject: "eva", Name: "Eva Soto"}

// pausing is a bench whose processors follow what is paused in a database.
type pausing struct {
	*bench

	db *store.Store
}

func newPausing(t *testing.T, b *bench) *pausing {
	t.Helper()
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	db, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return &pausing{bench: b, db: db}
}

// follow has a bench's next processors follow what is paused, as a process of its own does.
func (p *pausing) follow() *routers.Pauses {
	p.t.Helper()
	pauses := routers.NewPauses(p.db, slog.New(slog.DiscardHandler))
	require.NoError(p.t, pauses.Start(p.t.Context()))
	p.pauses = pauses
	return pauses
}

func (p *pausing) pause(stage string) {
	p.t.Helper()
	_, _, err := p.db.PauseStage(p.t.Context(), "p", stage, eva, "the warehouse moves")
	require.NoError(p.t, err)
}

func (p *pausing) resume(stage string) {
	p.t.Helper()
	_, err := p.db.ResumeStage(p.t.Context(), "p", stage, eva, "")
	require.NoError(p.t, err)
}

// stands waits until the stage stands still, or goes on, in the last processor.
func (p *pausing) stands(stage string, still bool) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		value, known := stagePaused(p.t, p.metrics, stage)
		return known && value == still
	}, 20*time.Second, 5*time.Millisecond)
}

// stagePaused returns what the metric says of a stage.
func stagePaused(t *testing.T, registry *prometheus.Registry, stage string) (paused, known bool) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "rastro_stage_paused" && label.GetName() == "stage" && label.GetValue() == stage {
					return metric.GetGauge().GetValue() == 1, true
				}
			}
		}
	}
	return false, false
}

// delivered returns how often the broker has handed out messages of a topic.
func (b *bench) delivered(topic string) uint64 {
	b.t.Helper()
	consumer, err := b.js.Consumer(b.t.Context(), nats.StreamName(topic), "p")
	require.NoError(b.t, err)
	return consumer.CachedInfo().Delivered.Consumer
}

// waiting returns how many messages of a topic nobody has received.
func (b *bench) waiting(topic string) uint64 {
	b.t.Helper()
	consumer, err := b.js.Consumer(b.t.Context(), nats.StreamName(topic), "p")
	require.NoError(b.t, err)
	return consumer.CachedInfo().NumPending
}

func passing() pipeline.Stage {
	return pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil })
}

// Invariant 8: what waits for a paused stage is not received, burns no receive count, and all of it comes, once, when it is resumed. It is
// so in a process that starts meanwhile too, and when there is no process at all for a while.
func TestNothingIsReceivedWhilePaused(t *testing.T) {
	p := newPausing(t, newBench(t, passing()))
	following := p.follow()
	stop := p.run()
	p.send("before")
	p.receive("before")
	p.settled()
	p.pause("work")
	p.stands("work", true)
	waiting := names("e", 20)
	p.send(waiting...)
	require.Never(t, func() bool { return p.delivered("in") > 1 }, 2*time.Second, 50*time.Millisecond)
	require.EqualValues(t, 20, p.waiting("in"))
	p.stop(stop)
	following.Close()
	_, known := stagePaused(t, p.metrics, "work")
	require.False(t, known, "nobody runs it")

	// Another process.
	following = p.follow()
	defer following.Close()
	stop = p.run()
	paused, known := stagePaused(t, p.metrics, "work")
	require.True(t, known && paused, "it stands still before it receives")
	require.Never(t, func() bool { return p.delivered("in") > 1 }, 2*time.Second, 50*time.Millisecond)
	p.resume("work")
	once := map[string]int{}
	for _, id := range waiting {
		once[id] = 1
	}
	require.Equal(t, once, p.receive(waiting...))
	p.settled()
	require.EqualValues(t, 21, p.delivered("in"), "each was received once")
	require.Zero(t, p.state().NumRedelivered)
	require.Empty(t, p.letters.all())
	p.stop(stop)
}

// A paused stage has those stand still that are fused with it, and no others: what comes before works on and fills its queue.
func TestAHopIsPausedAsAWhole(t *testing.T) {
	for name, stages := range map[string]string{
		"apart": "  - use: first\n  - use: second\n  - use: third\n",
		"fused": "  - use: first\n  - use: second\n  - {use: third, fuse: true}\n",
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]int{}
			note := func(stage string) pipeline.Stage {
				return pipeline.Each(func(context.Context, *tracking.Event) error {
					mu.Lock()
					defer mu.Unlock()
					seen[stage]++
					return nil
				})
			}
			count := func(stage string) int {
				mu.Lock()
				defer mu.Unlock()
				return seen[stage]
			}
			p := newPausing(t, newBenchOf(t, stages, map[string]pipeline.Stage{"first": note("first"), "second": note("second"), "third": note("third")}))
			defer p.follow().Close()
			stop := p.run()
			p.pause("third")
			p.stands("third", true)
			fused, known := stagePaused(t, p.metrics, "second")
			require.True(t, known)
			require.Equal(t, name == "fused", fused)
			first, known := stagePaused(t, p.metrics, "first")
			require.True(t, known)
			require.False(t, first)

			queue, before := "p.third", "second"
			if name == "fused" {
				queue, before = "p.second", "first"
			}
			waiting := names("e", 20)
			p.send(waiting...)
			require.Eventually(t, func() bool { return count(before) == 20 }, 20*time.Second, 5*time.Millisecond)
			p.settled()
			require.Zero(t, p.delivered(queue))
			require.Zero(t, count("third"))
			p.pause("second")
			p.resume("third")
			p.pause("first") // whoever knows of this knows of what was before
			p.stands("first", true)
			if name == "apart" {
				p.stands("third", false)
			} else {
				require.False(t, p.goesOn("third"), "two pauses of a hop are to be taken back one by one")
			}
			p.resume("second")
			p.resume("first")
			p.received("out", waiting...)
			require.Empty(t, p.letters.all())
			p.stop(stop)
		})
	}
}

// goesOn reports whether the stage does not stand still.
func (p *pausing) goesOn(stage string) bool {
	paused, known := stagePaused(p.t, p.metrics, stage)
	return known && !paused
}

// What is in hand when a stage is paused is finished, and a paused stage holds up no shutdown.
func TestWhatIsInHandIsFinishedWhilePaused(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	p := newPausing(t, newBench(t, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
		entered <- struct{}{}
		<-release
		return nil
	})))
	defer p.follow().Close()
	stop := p.run()
	p.send("in hand")
	<-entered
	p.pause("work")
	p.stands("work", true)
	close(release)
	p.receive("in hand")
	p.settled()
	p.stop(stop)
}

// The breakers and who pauses hold a hop each for itself.
func TestAPauseOutlastsAnOutageAndTheOtherWayRound(t *testing.T) {
	var mu sync.Mutex
	down := true
	tried := 0
	p := newPausing(t, newBench(t, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		tried++
		if down {
			return context.DeadlineExceeded
		}
		return nil
	})))
	defer p.follow().Close()
	stop := p.run()
	p.send("first")
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return tried >= 4
	}, 20*time.Second, time.Millisecond) // the breaker is open
	p.pause("work")
	p.stands("work", true)
	p.send("second")
	mu.Lock()
	down = false
	mu.Unlock()
	p.receive("first") // it closes
	p.settledBut(1)
	require.Never(t, func() bool { return p.delivered("in") > 1 }, time.Second, 50*time.Millisecond)
	p.resume("work")
	p.receive("second")
	p.stop(stop)
}

// settledBut waits until all is settled but what nobody has received.
func (b *bench) settledBut(waiting uint64) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { s := b.state(); return s.NumPending == waiting && s.NumAckPending == 0 }, 10*time.Second, 10*time.Millisecond)
}

// What was known last holds while the database is away, and a process that cannot ask does not start.
func TestAPauseHoldsWhileTheDatabaseIsAway(t *testing.T) {
	p := newPausing(t, newBench(t, passing()))
	defer p.follow().Close()
	stop := p.run()
	p.pause("work")
	p.stands("work", true)
	p.db.Close()
	require.Error(t, routers.NewPauses(p.db, slog.New(slog.DiscardHandler)).Start(t.Context()))
	p.send("e")
	require.Never(t, func() bool { return p.delivered("in") > 0 }, 3*time.Second, 50*time.Millisecond)
	p.stop(stop)
}
