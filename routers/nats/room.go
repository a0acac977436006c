package nats

import (
	"context"
	"sync"
)

// room bounds the bytes of the messages of a topic that a subscriber holds or has asked for.
type room struct {
	least int // room for any one message

	mu    sync.Mutex
	left  int
	freed chan struct{} // closed when some comes back
}

func newRoom(bytes, least int) *room {
	return &room{least: least, left: bytes, freed: make(chan struct{})}
}

// acquire takes all that is left, once that is room for one message at least. It returns 0 when ctx ends.
func (r *room) acquire(ctx context.Context) int {
	for {
		r.mu.Lock()
		freed := r.freed
		if r.left >= r.least {
			n := r.left
			r.left = 0
			r.mu.Unlock()
			return n
		}
		r.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return 0
		}
	}
}

func (r *room) release(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += bytes
	close(r.freed)
	r.freed = make(chan struct{})
}

// messageOverhead is about what a message takes besides its payload, in bytes.
const messageOverhead = 512

func sizeOf(raw pulled) int { return len(raw.msg.Data) + messageOverhead }
