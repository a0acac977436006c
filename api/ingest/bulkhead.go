package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
)

const (
	// carrierPart is what part of the room for bodies one carrier may take at most.
	carrierPart = 4
	// hopeless is how many requests of a carrier must come one after the other of which nothing can be taken before it is told to
	// pause, and pause for how long: reading and decoding what will never be taken costs the others.
	hopeless = 20
	pause    = 5 * time.Second
	// rateBurst is for how many seconds of its rate a carrier may send at once.
	rateBurst = 10
)

// bulkheads keep carriers apart: each has its own room, its own rate and its own breaker.
type bulkheads struct {
	bytes int64 // that one carrier may have in hand
	now   func() time.Time

	mu  sync.Mutex
	all map[string]*bulkhead
}

// bulkhead is what one carrier of one tenant may take.
type bulkhead struct {
	limits   carriers.Limits
	requests *semaphore.Weighted
	bytes    *semaphore.Weighted
	most     int64 // bytes
	limiter  *rate.Limiter
	breaker  *gobreaker.TwoStepCircuitBreaker[any]
}

func newBulkheads(c Config, now func() time.Time) *bulkheads {
	return &bulkheads{bytes: max(c.MaxInFlightBytes/carrierPart, int64(c.MaxBodyBytes), minBody), now: now, all: map[string]*bulkhead{}}
}

// of returns that of a carrier for those who send for a tenant; the tenant is empty while it is not known.
func (b *bulkheads) of(tenant string, c *carriers.Carrier) *bulkhead {
	name := partyOf(tenant, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.all[name]; known != nil && known.limits == c.Limits {
		return known
	}
	one := &bulkhead{
		limits: c.Limits, most: b.bytes, requests: semaphore.NewWeighted(int64(c.Limits.RequestsInHand)), bytes: semaphore.NewWeighted(b.bytes),
		breaker: gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Name: name, MaxRequests: 1, Timeout: pause,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= hopeless },
		}),
	}
	if perSecond := c.Limits.EventsPerSecond; perSecond > 0 {
		one.limiter = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond*rateBurst)))
	}
	b.all[name] = one
	return one
}

// partyOf names a carrier of a tenant among those who wait.
func partyOf(tenant string, c *carriers.Carrier) string {
	if c == nil {
		return tenant
	}
	return tenant + "/" + c.Name
}

// stay is one request's place in a bulkhead. Whoever has it must leave it.
type stay struct {
	in      *bulkhead
	bytes   int64
	settle  func(error)
	settled bool
}

var errHopeless = errors.New("nothing of the request could be taken")

// enter waits for a place for a request with so many bytes. The errors are problems.
func (b *bulkhead) enter(ctx context.Context, c *fiber.Ctx, name string, bytes int64) (*stay, error) {
	settle, err := b.breaker.Allow()
	if err != nil {
		c.Set(fiber.HeaderRetryAfter, fmt.Sprint(int(pause/time.Second)))
		return nil, problem.New(http.StatusServiceUnavailable, "carrier-paused", fmt.Sprintf(
			"Nothing could be taken of the last %d requests of carrier %s, so it is not read for a moment. Mend what their answers named, and "+
				"send again after Retry-After seconds.", hopeless, name))
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	s := &stay{in: b, bytes: min(bytes, b.most), settle: settle}
	if err := b.requests.Acquire(ctx, 1); err != nil {
		s.settle(nil)
		return nil, b.full(c, name)
	}
	if err := b.bytes.Acquire(ctx, s.bytes); err != nil {
		b.requests.Release(1)
		s.settle(nil)
		return nil, b.full(c, name)
	}
	return s, nil
}

func (b *bulkhead) full(c *fiber.Ctx, name string) error {
	c.Set(fiber.HeaderRetryAfter, "2")
	return problem.New(http.StatusTooManyRequests, "carrier-busy", fmt.Sprintf(
		"Carrier %s has more in hand here than it may (%d requests, or %d bytes), and nothing of this request was accepted. Send it again "+
			"after Retry-After seconds, and fewer at once.", name, b.limits.RequestsInHand, b.most))
}

// reserve takes n events out of the carrier's rate and returns zero, or returns how long to wait before trying again.
func (b *bulkhead) reserve(now time.Time, n int) time.Duration { return reserve(b.limiter, now, n) }

// leave gives the place back. err is how the request ended, and refused whether it was read, and none of its events taken.
func (s *stay) leave(err error, refused bool) {
	if s.settled {
		return
	}
	s.settled = true
	s.in.bytes.Release(s.bytes)
	s.in.requests.Release(1)
	// What the sender did wrong in what it sent counts against it; who it is, how fast it is and what we lack does not.
	p, ok := errors.AsType[*problem.Problem](err)
	if refused || ok && (p.Status == http.StatusBadRequest || p.Status == http.StatusUnprocessableEntity) {
		s.settle(errHopeless)
		return
	}
	s.settle(nil)
}
