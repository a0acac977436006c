package dedupe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
)

// Memory is Claims that end with the process, for trials: what the store promises of a claim holds here as well. It is safe
// for concurrent use. A claim takes about 150 bytes until its window is over.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	held    map[[32]byte]held
	longest time.Duration // window that was asked for
	sweepAt int           // how many claims there are to be when those that are over are thrown away
}

type held struct {
	uid uuid.UUID
	at  time.Time
}

const sweepFrom = 1024

// NewMemory returns Memory without claims that goes by a clock.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, held: map[[32]byte]held{}, sweepAt: sweepFrom}
}

// Claim implements Claims.
func (m *Memory) Claim(ctx context.Context, window time.Duration, claims []store.Claim) ([]uuid.UUID, error) {
	if window <= 0 {
		return nil, fmt.Errorf("claim within %s: the window must be above 0", window)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.longest = max(m.longest, window)
	holders := make([]uuid.UUID, len(claims))
	for i, claim := range claims {
		holder, taken := m.held[claim.Key]
		if !taken || !holder.at.After(now.Add(-window)) {
			holder = held{uid: claim.UID, at: now}
			m.held[claim.Key] = holder
		}
		holders[i] = holder.uid
	}
	m.sweep(now)
	return holders, nil
}

// sweep throws away what is over, whenever there are twice as many claims as the last time left: it costs each claim little.
func (m *Memory) sweep(now time.Time) {
	if len(m.held) < m.sweepAt {
		return
	}
	for key, holder := range m.held {
		if !holder.at.After(now.Add(-m.longest)) {
			delete(m.held, key)
		}
	}
	m.sweepAt = max(sweepFrom, 2*len(m.held))
}

// Len returns how many claims are remembered, those among them that are over but not yet thrown away.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.held)
}
