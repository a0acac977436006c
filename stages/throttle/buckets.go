package throttle

import (
	"container/list"
	"crypto/sha256"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// lostAfter is how long after its turn an event may come for it. One that does not come was taken elsewhere, or is lost to a
// deadline, and is not waited for.
const lostAfter = 5 * time.Minute

// buckets holds a bucket of tokens for each key that came of late. It is safe for concurrent use.
type buckets struct {
	limit   rate.Limit
	burst   int
	maxWait time.Duration
	maxKeys int
	// idle is how long after its last use a bucket is as good as a new one: full, and nobody waits for its tokens.
	idle time.Duration

	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element
	// recent holds *bucket, the last used first.
	recent *list.List
}

type bucket struct {
	key    [sha256.Size]byte
	tokens *rate.Limiter
	used   time.Time
	// turns are when the events may pass that were given one and have not come for it.
	turns map[uuid.UUID]time.Time
	// swept is when turns was last rid of what is lost.
	swept time.Time
}

func newBuckets(limit rate.Limit, burst int, maxWait time.Duration, maxKeys int) *buckets {
	const year = 365 * 24 * time.Hour
	filling := time.Duration(min(float64(burst)/float64(limit)*float64(time.Second), float64(year)))
	return &buckets{
		limit: limit, burst: burst, maxWait: maxWait, maxKeys: maxKeys, idle: max(filling, lostAfter) + maxWait,
		byKey: map[[sha256.Size]byte]*list.Element{}, recent: list.New(),
	}
}

// allow reports whether an event of the key may pass now, and takes a token if so.
func (b *buckets) allow(key [sha256.Size]byte, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bucket(key, now).tokens.AllowN(now, 1)
}

// reserve returns how long an event has to wait for its turn: 0 when it may pass now. An event that has a turn keeps it.
func (b *buckets) reserve(key [sha256.Size]byte, uid uuid.UUID, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.bucket(key, now)
	if at, ok := found.turns[uid]; ok {
		if wait := at.Sub(now); wait > 0 {
			return wait
		}
		delete(found.turns, uid)
		return 0
	}
	token := found.tokens.ReserveN(now, 1)
	wait := token.DelayFrom(now)
	switch {
	case wait == 0:
		return 0
	case wait > b.maxWait:
		token.CancelAt(now)
		return b.maxWait
	default:
		found.turns[uid] = now.Add(wait)
		return wait
	}
}

// bucket returns that of a key, made if need be.
func (b *buckets) bucket(key [sha256.Size]byte, now time.Time) *bucket {
	for last := b.recent.Back(); last != nil && now.Sub(last.Value.(*bucket).used) > b.idle; last = b.recent.Back() {
		b.forget(last)
	}
	if element, ok := b.byKey[key]; ok {
		b.recent.MoveToFront(element)
		found := element.Value.(*bucket)
		found.used = now
		found.sweep(now)
		return found
	}
	if b.recent.Len() >= b.maxKeys {
		b.forget(b.recent.Back())
	}
	made := &bucket{key: key, tokens: rate.NewLimiter(b.limit, b.burst), used: now, turns: map[uuid.UUID]time.Time{}, swept: now}
	b.byKey[key] = b.recent.PushFront(made)
	return made
}

// sweep forgets the turns that nobody came for.
func (b *bucket) sweep(now time.Time) {
	if now.Sub(b.swept) <= lostAfter {
		return
	}
	b.swept = now
	maps.DeleteFunc(b.turns, func(_ uuid.UUID, at time.Time) bool { return now.Sub(at) > lostAfter })
}

func (b *buckets) forget(element *list.Element) {
	delete(b.byKey, element.Value.(*bucket).key)
	b.recent.Remove(element)
}
