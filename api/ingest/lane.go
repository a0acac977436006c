package ingest

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// errLaneFull says that a request's turn did not come in time.
var errLaneFull = errors.New("more waits for the broker than it takes")

// Bounds of what is on its way to the broker at once, in bytes.
const (
	leastLane = 256 << 10
	firstLane = 1 << 20
)

// lane lets no more be on its way to the broker than the broker takes while those who send it wait for the answer. Were everything
// handed on that there is memory for, a slow broker would be busy with events whose senders have given up, and send again, and hardly
// anything would be accepted at all.
//
// How much that is shows in how long the broker takes. The lane widens while it is used and the broker is quick, twofold at
// most in the time that the broker takes, and is halved when the broker is slow or fails. One request, however large, always
// fits. Those who wait come in turn, one of each party: a flood of one party makes the others wait for one of its requests, and not
// for all of them. Those of one party come in their order.
type lane struct {
	most int64         // the widest that it may be, in bytes
	slow time.Duration // longer than this is slow; less than half of it is quick

	mu      sync.Mutex
	width   int64 // bytes that may be on their way
	used    int64 // bytes that are
	halved  time.Time
	parties map[string]*list.List // those of whom some wait: of *turn each
	ring    list.List             // of their names, in the order in which they come
}

// turn is one request's place in the queue.
type turn struct {
	bytes int64
	come  chan struct{} // closed when it has come
}

func newLane(most int64, slow time.Duration) *lane {
	return &lane{most: most, slow: slow, width: min(most, firstLane), parties: map[string]*list.List{}}
}

// enter waits for room for so many bytes of a party; errLaneFull when ctx ends first. Without an error the caller must leave.
func (l *lane) enter(ctx context.Context, party string, bytes int64) error {
	l.mu.Lock()
	if l.ring.Len() == 0 && l.fits(bytes) {
		l.used += bytes
		l.mu.Unlock()
		return nil
	}
	t := &turn{bytes: bytes, come: make(chan struct{})}
	if l.parties[party] == nil {
		l.parties[party] = list.New()
		l.ring.PushBack(party)
	}
	place := l.parties[party].PushBack(t)
	l.mu.Unlock()
	select {
	case <-t.come:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-t.come: // just now; whoever has a turn may as well take it
		return nil
	default:
	}
	l.parties[party].Remove(place)
	l.admit() // it may have been in the way of smaller ones
	return errLaneFull
}

// leave gives the room back, and learns from how long the broker took and whether it took everything.
func (l *lane) leave(bytes int64, now time.Time, took time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !ok || took > l.slow:
		if now.Sub(l.halved) > l.slow { // what is on its way already tells nothing of the new width
			l.width, l.halved = max(l.width/2, min(l.most, leastLane)), now
		}
	case took < l.slow/2 && 2*l.used >= l.width:
		l.width = min(l.width+bytes, l.most)
	}
	l.used -= bytes
	l.admit()
}

func (l *lane) fits(bytes int64) bool { return l.used == 0 || l.used+bytes <= l.width }

// admit lets in those whose turn has come. The caller holds mu.
func (l *lane) admit() {
	for first := l.ring.Front(); first != nil; first = l.ring.Front() {
		party := first.Value.(string) //nolint:forcetypeassert // there is nothing else in it
		turns := l.parties[party]
		next := turns.Front()
		if next == nil {
			l.ring.Remove(first)
			delete(l.parties, party)
			continue
		}
		t := next.Value.(*turn) //nolint:forcetypeassert // as above
		if !l.fits(t.bytes) {
			return
		}
		turns.Remove(next)
		l.ring.MoveToBack(first)
		l.used += t.bytes
		close(t.come)
	}
}
