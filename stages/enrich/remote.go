package enrich

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/sony/gobreaker/v2"

	"github.com/rastrohq/rastro/pipeline"
)

// breakerFailures is how often in a row a source must fail before it is left alone.
const breakerFailures = 3

// overhead is about what a cached answer takes besides its key and value, in bytes.
const overhead = 128

// errUnfinished stands for a load that ended without saying how.
var errUnfinished = errors.New("the query was not finished")

// remote keeps the answers of a source elsewhere, asks for a key once however many batches wait for it, and leaves the source
// alone while it is down.
type remote struct {
	source  source
	config  Remote
	cache   *otter.Cache[string, cached]
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	now     func() time.Time
	logger  *slog.Logger

	last    atomic.Pointer[error] // why the source failed last
	skipped atomic.Int64          // events that passed without an entry since it began to fail

	mu      sync.Mutex
	flights map[string]*flight // by key.id
}

// cached is an answer with the time at which it was given.
type cached struct {
	answer
	at time.Time
}

// flight is a key that is being asked for.
type flight struct {
	landed chan struct{}
	answer answer
	err    error // why there is no answer
	// stopped says that whoever asked was told to stop, so that another must ask.
	stopped bool
}

func newRemote(s source, name string, c Remote, settings pipeline.Settings) *remote {
	r := &remote{
		source: s, config: c, now: settings.Now, flights: map[string]*flight{},
		logger: settings.Logger.With(slog.String("lookup", name)),
		cache: otter.Must(&otter.Options[string, cached]{
			MaximumWeight: c.Cache.MaxBytes,
			Weigher: func(id string, a cached) uint32 {
				return uint32(min(len(id)+len(a.value)+overhead, 1<<31))
			},
		}),
	}
	r.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: c.Pause,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) }, // no fault of the source
		OnStateChange: r.changed,
	})
	return r
}

func (r *remote) changed(_ string, from, to gobreaker.State) {
	switch {
	case to == gobreaker.StateClosed:
		r.logger.Info("the source of a lookup works again", slog.Int64("events_passed_without", r.skipped.Swap(0)))
	case from == gobreaker.StateClosed:
		r.logger.Warn("the source of a lookup keeps failing; it is left alone for a while",
			slog.Duration("pause", r.config.Pause), slog.Any("error", r.lastError()))
	}
}

// skip counts events that passed without an entry.
func (r *remote) skip(events int) { r.skipped.Add(int64(events)) }

// Close implements source.
func (r *remote) Close() error { return r.source.Close() }

// find implements source.
func (r *remote) find(ctx context.Context, keys []key) ([]answer, error) {
	answers, stale := make([]answer, len(keys)), make([]answer, len(keys))
	var open []int
	for i, k := range keys {
		if answers[i], stale[i] = r.kept(k); !answers[i].given {
			open = append(open, i)
		}
	}
	var failed error
	for len(open) > 0 {
		flights := r.depart(ctx, keys, open)
		again := open[:0:0]
		for n, i := range open {
			f := flights[n]
			select {
			case <-f.landed:
			case <-ctx.Done():
				return answers, ctx.Err()
			}
			switch {
			case f.answer.given:
				answers[i] = f.answer
			case f.stopped:
				again = append(again, i)
			case stale[i].given:
				answers[i] = stale[i]
			default:
				failed = f.err
			}
		}
		if ctx.Err() != nil {
			return answers, ctx.Err()
		}
		open = again
	}
	return answers, failed
}

// kept returns what the cache has for a key: an answer that is up to date, or one that serves while the source is down.
func (r *remote) kept(k key) (fresh, stale answer) {
	c, ok := r.cache.GetIfPresent(k.id)
	if !ok {
		return answer{}, answer{}
	}
	age, limit := r.now().Sub(c.at), r.limit(c.answer)
	switch {
	case age < limit:
		return c.answer, answer{}
	case age < limit+r.config.Cache.Stale:
		return answer{}, c.answer
	default:
		return answer{}, answer{}
	}
}

func (r *remote) limit(a answer) time.Duration {
	if a.value == nil {
		return r.config.Cache.NegativeTTL
	}
	return r.config.Cache.TTL
}

// depart returns a flight for each key that is open: that of another batch where there is one, else one of its own, which has
// landed when depart returns. As every batch sees to its own flights before it waits for others', none waits in a circle.
func (r *remote) depart(ctx context.Context, keys []key, open []int) []*flight {
	flights := make([]*flight, len(open))
	var own []*flight
	var asked []key
	r.mu.Lock()
	for n, i := range open {
		f, flying := r.flights[keys[i].id]
		if !flying {
			f = &flight{landed: make(chan struct{})}
			r.flights[keys[i].id] = f
			own, asked = append(own, f), append(asked, keys[i])
		}
		flights[n] = f
	}
	r.mu.Unlock()
	if len(own) > 0 {
		r.fly(ctx, asked, own)
	}
	return flights
}

// fly asks for keys and lands their flights, come what may.
func (r *remote) fly(ctx context.Context, keys []key, flights []*flight) {
	answers, err := []answer(nil), errUnfinished
	defer func() {
		stopped := ctx.Err() != nil
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, f := range flights {
			if i < len(answers) {
				f.answer = answers[i]
			}
			f.err, f.stopped = err, stopped
			delete(r.flights, keys[i].id)
			close(f.landed)
		}
	}()
	answers, err = r.ask(ctx, keys)
	now := r.now()
	for i, a := range answers {
		if a.refused != "" {
			r.logger.WarnContext(ctx, "a key is taken to have no entry", slog.String("key", quoted(keys[i].parts)), slog.String("reason", a.refused))
		}
		if a.given && r.limit(a)+r.config.Cache.Stale > 0 {
			r.cache.Set(keys[i].id, cached{a, now})
		}
	}
}

// ask asks the source, unless it is left alone.
func (r *remote) ask(ctx context.Context, keys []key) (answers []answer, err error) {
	report, err := r.breaker.Allow()
	if err != nil {
		return nil, fmt.Errorf("%w; it failed with: %w", err, r.lastError())
	}
	err = errUnfinished
	defer func() { report(err) }()
	if answers, err = r.source.find(ctx, keys); err != nil {
		if ctx.Err() == nil || !errors.Is(ctx.Err(), context.Canceled) {
			r.last.Store(&err)
			return answers, err
		}
		return answers, context.Canceled
	}
	return answers, nil
}

func (r *remote) lastError() error {
	if err := r.last.Load(); err != nil {
		return *err
	}
	return errUnfinished
}
