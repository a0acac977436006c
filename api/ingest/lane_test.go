package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A broker takes so many bytes a second, one request after the other, and far more is sent than it takes. Nearly all that it takes
// must be of senders who still wait for the answer; once it is quick again everything is taken.
func TestTheLaneKeepsASlowBrokerUseful(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const body, timeout, senders = 500 << 10, 4 * time.Second, 90
		l := newLane(64<<20, timeout/2)
		var speed atomic.Int64           // bytes a second
		broker := make(chan struct{}, 1) // holds what it is busy with
		var done, late, refused atomic.Int64
		send := func() {
			soon, cancel := context.WithTimeout(t.Context(), timeout/2)
			defer cancel()
			start := time.Now()
			if l.enter(soon, "", body) != nil {
				refused.Add(1)
				return
			}
			entered := time.Now()
			broker <- struct{}{} // it is sent also when nobody waits for it any more
			<-time.After(time.Duration(float64(body) / float64(speed.Load()) * float64(time.Second)))
			<-broker
			ok := time.Since(start) <= timeout
			if ok {
				done.Add(1)
			} else {
				late.Add(1)
			}
			l.leave(body, time.Now(), time.Since(entered), ok)
		}
		load := func(d time.Duration) {
			var group sync.WaitGroup
			end := time.Now().Add(d)
			for range senders {
				group.Go(func() {
					for time.Now().Before(end) {
						send()
						<-time.After(10 * time.Millisecond)
					}
				})
			}
			group.Wait()
			synctest.Wait()
		}
		speed.Store(500 << 20)
		load(10 * time.Second)
		require.Zero(t, late.Load())
		require.Zero(t, refused.Load(), "a quick broker takes everything")
		require.Greater(t, l.width, int64(20<<20), "the lane widens when it is used")

		speed.Store(1000 << 10) // two requests a second
		load(30 * time.Second)  // in which it finds out
		done.Store(0)
		late.Store(0)
		load(300 * time.Second)
		require.Greater(t, done.Load(), int64(550), "of 600 that the broker has taken")
		require.Less(t, late.Load(), int64(10))
		require.NotZero(t, refused.Load())

		speed.Store(500 << 20)
		load(5 * time.Second)
		refused.Store(0)
		load(5 * time.Second)
		require.Zero(t, refused.Load(), "it recovers")
		require.Zero(t, l.used)
	})
}

// A request that is larger than the lane has it for itself; who gives up is not in the way; those who wait come in order.
func TestTheLaneLetsEveryoneHaveATurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(1000, time.Second)
		require.NoError(t, l.enter(t.Context(), "", 5000))
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		given := make(chan error, 1)
		go func() { given <- l.enter(brief, "", 900) }()
		synctest.Wait()
		var order []int
		var mu sync.Mutex
		for i := range 4 {
			go func() {
				if l.enter(t.Context(), "", 300) == nil {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
				}
			}()
			synctest.Wait()
		}
		require.ErrorIs(t, <-given, errLaneFull)
		l.leave(5000, time.Now(), time.Millisecond, true)
		synctest.Wait()
		require.ElementsMatch(t, []int{0, 1, 2}, order, "three fit, the first who came")
		for range 4 {
			l.leave(300, time.Now(), time.Millisecond, true)
			synctest.Wait()
		}
		require.Equal(t, 3, order[3])
		require.Zero(t, l.used)

		for range 5 {
			require.NoError(t, l.enter(t.Context(), "", 10))
			l.leave(10, time.Now(), time.Millisecond, true)
		}
		require.Equal(t, int64(1000), l.width, "it never is wider than it may be")
		start := time.Now()
		for i := range 20 {
			require.NoError(t, l.enter(t.Context(), "", 10))
			l.leave(10, start.Add(time.Duration(i)*time.Hour), 2*time.Second, true)
		}
		require.Equal(t, int64(1000), l.width, "a lane of less than the least stays as it is")
	})
}

// A party that floods the lane makes another wait for one request of its own, not for all that it has waiting.
func TestTheLaneIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(1000, time.Second)
		require.NoError(t, l.enter(t.Context(), "first", 1000))
		var order []string
		var mu sync.Mutex
		wait := func(party string) {
			go func() {
				if l.enter(t.Context(), party, 1000) == nil {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, party)
				}
			}()
			synctest.Wait()
		}
		for range 50 {
			wait("flood")
		}
		wait("calm")
		wait("calm")
		wait("other")
		for range 54 {
			l.leave(1000, time.Now(), time.Millisecond, true)
			synctest.Wait()
		}
		require.Equal(t, []string{"flood", "calm", "other", "flood", "calm", "flood"}, order[:6])
		require.Len(t, order, 53)
		require.Zero(t, l.used)
		require.Empty(t, l.parties)
		require.Zero(t, l.ring.Len())
	})
}

// Who gives up leaves nothing behind.
func TestTheLaneForgetsThoseWhoGaveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane(1000, time.Second)
		require.NoError(t, l.enter(t.Context(), "a", 1000))
		for i := range 20 {
			brief, cancel := context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, l.enter(brief, string(rune('a'+i)), 900), errLaneFull)
			cancel()
		}
		l.leave(1000, time.Now(), time.Millisecond, true)
		require.Empty(t, l.parties)
		require.Zero(t, l.used)
	})
}
