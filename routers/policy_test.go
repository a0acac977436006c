package routers_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// An event that has used up its attempts becomes a dead letter, and its frame is acknowledged.
func TestAnEventOutOfAttemptsIsDeadLettered(t *testing.T) {
	var tries atomic.Int64
	b := newBenchWith(t, "retry: {attempts: 3, backoff: 1ms}\n    on_error: dead_letter",
		pipeline.Each(func(_ context.Context, e *tracking.Event) error {
			if e.EventID == "poison" {
				tries.Add(1)
				return errors.New("lookup says no")
			}
			return nil
		}))
	stop := b.run()
	b.send("a", "poison", "b")
	require.Equal(t, map[string]int{"a": 1, "b": 1}, b.receive("a", "b"))
	require.Eventually(t, func() bool { return len(b.letters.all()) == 1 }, 10*time.Second, 5*time.Millisecond)
	b.settled()
	b.stop(stop)
	require.EqualValues(t, 4, tries.Load())
	letter := b.letters.all()[0]
	require.Equal(t, []string{"work", pipeline.CodeAttempts, "still fails after being tried again 3 times: lookup says no"},
		[]string{letter.Stage, letter.Code, letter.Message})
}

// Invariant 8: an outage that opens the breaker uses up no attempts, however few there are.
func TestAnOutageLeavesTheAttempts(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var calls atomic.Int64
	b := newBenchWith(t, "retry: {attempts: 1, backoff: 1ms, max_backoff: 2ms}\n    on_error: dead_letter\n    timeout: 20ms",
		pipeline.StageFunc(func(ctx context.Context, _ *pipeline.Batch) error {
			switch calls.Add(1); {
			case !down.Load():
				return nil
			case calls.Load()%2 == 0: // it hangs, too
				<-ctx.Done()
				return ctx.Err()
			default:
				return errors.New("database is down")
			}
		}))
	stop := b.run()
	b.send(names("e", 20)...)
	require.Eventually(t, func() bool { return calls.Load() >= 5 }, 20*time.Second, time.Millisecond) // the breaker opened at the third
	down.Store(false)
	b.receive(names("e", 20)...)
	b.settled()
	require.Zero(t, b.state().NumRedelivered)
	b.stop(stop)
	require.Empty(t, b.letters.all())
}

// Events wait as long as their own stage's backoff says, whatever their mates do.
func TestBackoffIsThatOfTheStage(t *testing.T) {
	times := make(chan time.Time, 10)
	b := newBenchWith(t, "retry: {backoff: 400ms}", pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		if e.EventID == "slow" {
			if times <- time.Now(); len(times) < 2 {
				return errors.New("lookup is down")
			}
		}
		return nil
	}))
	stop := b.run()
	b.send("slow")
	b.receive("slow")
	b.stop(stop)
	first, second := <-times, <-times
	require.GreaterOrEqual(t, second.Sub(first), 200*time.Millisecond) // half of it, at its most jittery
}

// A hop that lingers makes one batch of frames that come one after the other.
func TestLingerGathersFrames(t *testing.T) {
	sizes := make(chan int, 100)
	b := newBenchWith(t, "batch: {events: 10, linger: 5s}", pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
		sizes <- batch.Len()
		return nil
	}))
	stop := b.run()
	start := time.Now()
	b.send(names("e", 10)...)
	b.receive(names("e", 10)...)
	require.Less(t, time.Since(start), 5*time.Second, "a full batch must not linger")
	b.stop(stop)
	total, batches := 0, len(sizes)
	for range batches {
		total += <-sizes
	}
	require.Equal(t, 10, total)
	require.Equal(t, 1, batches)
}

// Invariant 12: nobody lingers when no more will come.
func TestCloseCutsLingeringShort(t *testing.T) {
	b := newBenchWith(t, "batch: {events: 10, linger: 10s}", pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	stop := b.run()
	b.send("a")
	require.Eventually(t, func() bool { return b.framesIn() == 1 }, 10*time.Second, 5*time.Millisecond)
	start := time.Now()
	b.stop(stop)
	require.Less(t, time.Since(start), 5*time.Second)
	require.Equal(t, map[string]int{"a": 1}, b.receive("a"))
}
