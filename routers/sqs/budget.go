package sqs

import (
	"context"
	"sync"
	"time"
)

// budget bounds what a subscriber holds, by count and by bytes.
type budget struct {
	mu          sync.Mutex
	count, size int           // free
	freed       chan struct{} // closed when some comes back
}

func newBudget(count, size int) *budget {
	return &budget{count: count, size: size, freed: make(chan struct{})}
}

// patience is how long a poller waits for room for a full receive once it has room for one message: asking for ten at a time
// is ten times cheaper, and what is in hand is work enough for that long.
const patience = 50 * time.Millisecond

// acquire takes room for up to want messages of each bytes, and for one at least. It returns 0 when ctx ends.
func (b *budget) acquire(ctx context.Context, want, each int) int {
	n, freed := b.take(want, want, each)
	for n == 0 { // no room for all: wait for room for one
		if free := b.free(want, each); free > 0 {
			break
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return 0
		}
		n, freed = b.take(want, want, each)
	}
	for enough := time.After(patience); n == 0; {
		select {
		case <-freed:
			n, freed = b.take(want, want, each)
		case <-enough:
			if n, _ = b.take(1, want, each); n == 0 { // another poller was quicker
				return b.acquire(ctx, want, each)
			}
		case <-ctx.Done():
			return 0
		}
	}
	return n
}

// take takes room for at least least and at most most messages, or nothing. It returns a channel that is closed when more room
// comes.
func (b *budget) take(least, most, each int) (int, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(most, b.count, b.size/each)
	if n < least {
		return 0, b.freed
	}
	b.count -= n
	b.size -= n * each
	return n, b.freed
}

func (b *budget) free(most, each int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(most, b.count, b.size/each)
}

// release gives room back.
func (b *budget) release(count, size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count += count
	b.size += size
	close(b.freed)
	b.freed = make(chan struct{})
}
