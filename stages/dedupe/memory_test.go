package dedupe

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/store"
)

type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// What is in memory answers as the database does, whoever claims what and whenever.
func TestMemoryIsLikeTheStore(t *testing.T) {
	t.Parallel()
	clock := &handClock{now: time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)}
	database := openStore(t, databases.URL(t), store.WithClock(clock.Now))
	memory := NewMemory(clock.Now)
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		uids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
		for range rapid.IntRange(1, 5).Draw(t, "calls") {
			claims := make([]store.Claim, rapid.IntRange(1, 6).Draw(t, "claims"))
			for i := range claims {
				key := fmt.Sprint(round, rapid.IntRange(0, 3).Draw(t, "key"))
				claims[i] = store.Claim{Key: sha256.Sum256([]byte(key)), UID: rapid.SampledFrom(uids).Draw(t, "uid")}
			}
			want, err := database.Claim(t.Context(), time.Hour, claims)
			require.NoError(t, err)
			got, err := memory.Claim(t.Context(), time.Hour, claims)
			require.NoError(t, err)
			require.Equal(t, want, got)
			clock.add(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour - time.Minute, time.Hour}).Draw(t, "later"))
		}
	})
}

func TestMemoryRefusesNoWindow(t *testing.T) {
	t.Parallel()
	_, err := NewMemory(time.Now).Claim(t.Context(), 0, nil)
	require.ErrorContains(t, err, "window")
}

// Claims that are over take no memory.
func TestMemoryForgetsWhatIsOver(t *testing.T) {
	t.Parallel()
	clock := &handClock{now: time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)}
	memory := NewMemory(clock.Now)
	most := 0
	for i := range 100_000 {
		_, err := memory.Claim(t.Context(), time.Minute, []store.Claim{{Key: sha256.Sum256([]byte(fmt.Sprint(i))), UID: uuid.New()}})
		require.NoError(t, err)
		clock.add(time.Second)
		most = max(most, memory.Len())
	}
	require.LessOrEqual(t, most, sweepFrom)
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	memory := NewMemory(time.Now)
	var group sync.WaitGroup
	holders := make([]uuid.UUID, 8)
	for i := range holders {
		group.Go(func() {
			got, err := memory.Claim(t.Context(), time.Hour, []store.Claim{{Key: [32]byte{1}, UID: uuid.New()}})
			if err == nil {
				holders[i] = got[0]
			}
		})
	}
	group.Wait()
	for _, holder := range holders {
		require.Equal(t, holders[0], holder)
	}
}
