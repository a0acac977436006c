package routers_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/tracking"
)

// newBenchOf is newBench for a pipeline `p` of several stages, given as the YAML below `stages:`.
func newBenchOf(t *testing.T, stages string, kinds map[string]pipeline.Stage, topics ...string) *bench {
	t.Helper()
	b := newBench(t, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil }))
	registry := pipeline.NewRegistry()
	for name, stage := range kinds {
		require.NoError(t, registry.Register(pipeline.Define(name, "", func() struct{} { return struct{}{} },
			func(struct{}, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
	}
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: in\nto: [out, also]\nstages:\n"+stages), registry)
	require.NoError(t, err)
	b.plan = spec.Plan()
	wanted := append(pipeline.Topics(b.plan), pipeline.Topic{Name: "out", Readers: []string{"test"}})
	for _, topic := range append(topics, "also") {
		wanted = append(wanted, pipeline.Topic{Name: topic, Readers: []string{"test"}})
	}
	require.NoError(t, b.transport.Provision(t.Context(), wanted))
	return b
}

// received waits until every one of the ids has come out of a topic.
func (b *bench) received(topic string, ids ...string) {
	b.t.Helper()
	require.Equal(b.t, b.receiveFrom(topic, ids...), func() map[string]int {
		once := map[string]int{}
		for _, id := range ids {
			once[id] = 1
		}
		return once
	}(), topic)
}

// Routes lead to topics, to a stage in the middle of another hop, and past the end; every topic of `to` gets what is passed.
func TestRoutesLeadThroughTheBroker(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][]string{}
	note := func(name string) pipeline.Stage {
		return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
			mu.Lock()
			defer mu.Unlock()
			seen[e.EventID] = append(seen[e.EventID], name)
			return nil
		})
	}
	route := pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
		for i, e := range batch.Pending() {
			switch e.EventID {
			case "jumps":
				batch.Route(i, pipeline.Route{Stage: "third"})
			case "leaves":
				batch.Route(i, pipeline.Route{Topics: []string{"side"}, Leave: true})
			case "copied":
				batch.Route(i, pipeline.Route{Topics: []string{"side"}})
			case "splits":
				batch.Emit(i, &tracking.Event{EventID: "part1", TenantID: "t"}, &tracking.Event{EventID: "part2", TenantID: "t"})
				batch.Drop(i, pipeline.Reason{Code: "split", Message: "into two"})
			}
		}
		return nil
	})
	b := newBenchOf(t, "  - use: route\n  - use: second\n  - {use: third, fuse: true}\n",
		map[string]pipeline.Stage{"route": route, "second": note("second"), "third": note("third")}, "side")
	stop := b.run()
	b.send("jumps", "leaves", "copied", "splits", "plain")
	through := []string{"jumps", "copied", "part1", "part2", "plain"}
	b.received("out", through...)
	b.received("also", through...)
	b.received("side", "leaves", "copied")
	b.settled()
	b.stop(stop)
	both := []string{"second", "third"}
	require.Equal(t, map[string][]string{"jumps": {"third"}, "copied": both, "part1": both, "part2": both, "plain": both}, seen)
	require.Empty(t, b.letters.all())
}

// Invariant 2: a frame is not acknowledged while anything that its events led to is not settled.
func TestAFrameWaitsForWhatItLedTo(t *testing.T) {
	var ready atomic.Bool
	split := pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
		for i := range batch.Pending() {
			batch.Emit(i, &tracking.Event{EventID: "part", TenantID: "t"})
			batch.Drop(i, pipeline.Reason{Code: "split", Message: "into one"})
		}
		return nil
	})
	slow := pipeline.Each(func(context.Context, *tracking.Event) error {
		if !ready.Load() {
			return errors.New("not yet")
		}
		return nil
	})
	b := newBenchOf(t, "  - use: split\n  - {use: slow, fuse: true}\n", map[string]pipeline.Stage{"split": split, "slow": slow})
	stop := b.run()
	b.send("whole")
	require.Eventually(t, func() bool { return b.state().NumAckPending == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Never(t, func() bool { return b.state().NumAckPending == 0 }, 300*time.Millisecond, 20*time.Millisecond)
	ready.Store(true)
	b.received("out", "part")
	b.settled()
	b.stop(stop)
}

// refusing is a transport that cannot publish to one topic for a while.
type refusing struct {
	routers.Transport
	topic   string
	refused atomic.Int64
	working atomic.Bool
}

func (r *refusing) Publisher() message.Publisher {
	return refusingPublisher{r.Transport.Publisher(), r}
}

type refusingPublisher struct {
	message.Publisher
	of *refusing
}

func (p refusingPublisher) Publish(topic string, messages ...*message.Message) error {
	if topic == p.of.topic && !p.of.working.Load() {
		p.of.refused.Add(1)
		return errors.New("no")
	}
	return p.Publisher.Publish(topic, messages...)
}

// What one topic took is not published to it again because another did not take it, and nothing is acknowledged before both did.
func TestOneTopicDoesNotHoldAnotherBack(t *testing.T) {
	pass := pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil })
	b := newBenchOf(t, "  - use: pass\n", map[string]pipeline.Stage{"pass": pass})
	flaky := &refusing{Transport: b.transport, topic: "also"}
	stop := b.runOn(flaky)
	b.send("a", "b")
	b.received("out", "a", "b")
	require.Eventually(t, func() bool { return flaky.refused.Load() >= 3 }, 20*time.Second, 5*time.Millisecond)
	require.Positive(t, b.state().NumAckPending)
	flaky.working.Store(true)
	b.received("also", "a", "b")
	b.settled()
	b.stop(stop)
	consumer, err := b.js.Consumer(t.Context(), "out", "test")
	require.NoError(t, err)
	require.Zero(t, consumer.CachedInfo().NumPending, "published once")
}

// ticking has one event to send, until that was confirmed.
type ticking struct {
	pipeline.StageFunc
	due       atomic.Bool
	asked     atomic.Int64
	confirmed atomic.Int64
	closed    atomic.Bool
}

func (s *ticking) Due(context.Context, time.Time) ([]*tracking.Event, func(context.Context) error, error) {
	s.asked.Add(1)
	if !s.due.Load() {
		return nil, nil, nil
	}
	return []*tracking.Event{{EventID: "window", TenantID: "t"}}, func(context.Context) error {
		s.due.Store(false)
		s.confirmed.Add(1)
		return nil
	}, nil
}

func (s *ticking) Close() error {
	s.closed.Store(true)
	return nil
}

// What a stage sends by itself is confirmed once it is published, and the stage is closed at the end.
func TestWhatAStageSendsByItselfIsPublishedAndConfirmed(t *testing.T) {
	stage := &ticking{StageFunc: func(context.Context, *pipeline.Batch) error { return nil }}
	stage.due.Store(true)
	b := newBenchOf(t, "  - use: tick\n", map[string]pipeline.Stage{"tick": stage})
	flaky := &refusing{Transport: b.transport, topic: "also"}
	stop := b.runOn(flaky)
	require.Eventually(t, func() bool { return flaky.refused.Load() >= 2 }, 20*time.Second, 5*time.Millisecond)
	require.Zero(t, stage.confirmed.Load(), "it was not published everywhere yet")
	flaky.working.Store(true)
	b.received("out", "window")
	b.received("also", "window")
	require.Eventually(t, func() bool { return stage.confirmed.Load() == 1 }, 10*time.Second, 5*time.Millisecond)
	require.False(t, stage.closed.Load())
	b.stop(stop)
	require.True(t, stage.closed.Load())
	asked := stage.asked.Load()
	require.Never(t, func() bool { return stage.asked.Load() != asked }, 1200*time.Millisecond, 100*time.Millisecond)
}

// Invariant 8: each stage has a breaker of its own; while one is open the hop receives nothing, and the other stages' failures do
// not count for it.
func TestEachStageHasABreakerOfItsOwn(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var first, second atomic.Int64
	kinds := map[string]pipeline.Stage{
		"first": pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { first.Add(1); return nil }),
		"second": pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
			second.Add(1)
			if down.Load() {
				return errors.New("lookup is down")
			}
			return nil
		}),
	}
	b := newBenchOf(t, "  - use: first\n  - {use: second, fuse: true, breaker: {failures: 1, pause: 1h}}\n", kinds)
	stop := b.run()
	b.send("one")
	// It has failed, its breaker is open, and nothing more is asked for.
	require.Eventually(t, func() bool { return second.Load() == 1 && b.breaker("second") == 2 && b.state().NumWaiting == 0 }, 10*time.Second, time.Millisecond)
	b.send(names("e", 5)...)
	require.Never(t, func() bool { return second.Load() > 1 || b.state().NumAckPending > 1 }, time.Second, 50*time.Millisecond)
	require.EqualValues(t, 1, first.Load(), "the stage that works is not run again for it")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.NoError(t, stop(ctx), "what waits for the outage to end is given back")

	down.Store(false)
	again := b.run()
	b.receive(append(names("e", 5), "one")...)
	b.settled()
	b.stop(again)
}

// A batch is not made larger once it has its bytes.
func TestBatchesAreCutByBytes(t *testing.T) {
	gate := make(chan struct{})
	var largest atomic.Int64
	stage := pipeline.StageFunc(func(ctx context.Context, batch *pipeline.Batch) error {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		if n := int64(batch.Len()); n > largest.Load() {
			largest.Store(n)
		}
		return nil
	})
	b := newBenchOf(t, "  - {use: work, workers: 1, batch: {events: 500, bytes: 1KiB}}\n", map[string]pipeline.Stage{"work": stage})
	stop := b.run()
	ids := names("e", 60) // of some 180 bytes each
	b.send(ids...)
	require.Eventually(t, func() bool { return b.state().NumAckPending >= 60 }, 10*time.Second, 5*time.Millisecond)
	close(gate)
	b.receive(ids...)
	b.stop(stop)
	require.Greater(t, largest.Load(), int64(2))
	require.Less(t, largest.Load(), int64(12))
}

// A frame for a stage that its hop does not have is kept as a dead letter.
func TestAFrameForAnUnknownStageIsDeadLettered(t *testing.T) {
	b := newBench(t, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil }))
	messages, err := b.codec.Encode([]*tracking.Event{{EventID: "a"}}, "gone", 1<<20)
	require.NoError(t, err)
	require.NoError(t, b.transport.Publisher().Publish("in", messages...))
	stop := b.run()
	require.Eventually(t, func() bool { return len(b.letters.all()) == 1 }, 10*time.Second, 5*time.Millisecond)
	b.settled()
	b.stop(stop)
	require.Contains(t, b.letters.all()[0].Message, `no stage "gone"`)
}
