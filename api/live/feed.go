package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/rastrohq/rastro/store"
)

// feed follows the changes of all tenants' traces for the streams of a process: one connection listens, one query reads what has
// changed, and one query a tenant that is watched reads the traces, with the rights of that tenant.
//
// Notifications only say when to look. What is there to be seen is told by the order of transactions, which survives a broken
// connection: whatever was committed after the position of the feed is found by the next look.
type feed struct {
	config Config
	store  *store.Store
	logger *slog.Logger
	wake   chan struct{}
	stop   context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex
	tenants  map[string]map[*subscription]struct{}
	warm     bool // somebody watches, and position says from where
	position store.ChangePosition

	// Only the goroutine that polls uses these.
	seen   map[int64]store.ChangePosition // read already, of transactions that may come before others
	looked time.Time                      // the database's clock when it was read last
}

const (
	// pause is how long changes gather between two looks, however many there are.
	pause = 100 * time.Millisecond
	// maxTraces is how many traces of a tenant are read at one look; of more, streams tell that much has changed.
	maxTraces = 2000
	// keptChanges is how long changes can be read at least.
	keptChanges = 50 * time.Minute
	// maxSeen bounds what is remembered while a transaction of hours holds the order up; beyond, changes may be told twice.
	maxSeen = 20_000
)

func newFeed(config Config, db *store.Store, logger *slog.Logger) *feed {
	return &feed{
		config: config, store: db, logger: logger, wake: make(chan struct{}, 1), stop: func() {},
		tenants: map[string]map[*subscription]struct{}{}, seen: map[int64]store.ChangePosition{},
	}
}

func (f *feed) start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.tasks.Go(func() { f.listen(ctx) })
	f.tasks.Go(func() { f.run(ctx) })
}

func (f *feed) close() {
	f.stop()
	f.tasks.Wait()
}

// listen has the feed woken by notifications. Without any the feed looks every so often.
func (f *feed) listen(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 10*time.Second
	for failing := false; ; {
		err := f.store.Listen(ctx, func() {
			failing = false
			wait.Reset()
			select {
			case f.wake <- struct{}{}:
			default:
			}
		})
		if ctx.Err() != nil {
			return
		}
		if !failing {
			f.logger.WarnContext(ctx, "not told of changes; looking every so often until it works again", slog.Any("error", err))
		}
		failing = true
		if !sleep(ctx, wait.NextBackOff()) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *feed) run(ctx context.Context) {
	ticker := time.NewTicker(f.config.Poll)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-f.wake:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		more, err := f.look(ctx)
		for more && err == nil && ctx.Err() == nil {
			more, err = f.look(ctx)
		}
		if err != nil && !failing && ctx.Err() == nil {
			f.logger.WarnContext(ctx, "cannot read changes for streams; they catch up when it works again", slog.Any("error", err))
		}
		failing = err != nil
		if !sleep(ctx, min(pause, f.config.Poll)) {
			return
		}
	}
}

// look reads what has changed and hands it on. An error leaves the position as it was, so that the next look makes up for it.
func (f *feed) look(ctx context.Context) (more bool, err error) {
	f.mu.Lock()
	from, warm := f.position, f.warm
	f.mu.Unlock()
	if !warm {
		clear(f.seen)
		f.looked = time.Time{}
		return false, nil
	}
	skip := make([]int64, 0, len(f.seen))
	for id := range f.seen {
		skip = append(skip, id)
	}
	news, err := f.store.TraceChanges(ctx, from, skip)
	if err != nil {
		return false, err
	}
	changed, all := map[string][]string{}, map[string]bool{}
	for _, c := range news.Changes {
		if f.watched(c.TenantID) {
			changed[c.TenantID] = append(changed[c.TenantID], c.CorrelationIDs...)
			all[c.TenantID] = all[c.TenantID] || len(c.CorrelationIDs) == 0
		}
		f.seen[c.ID] = c.Position
	}
	read, err := f.read(ctx, changed, all)
	if err != nil {
		for _, c := range news.Changes {
			delete(f.seen, c.ID)
		}
		return false, err
	}
	// A position behind the last one is that of another database, put in the place of the one before.
	lost := news.Next < from || !f.looked.IsZero() && news.At.Sub(f.looked) > keptChanges
	f.looked = news.At
	f.tell(news, read, lost)
	for id, position := range f.seen {
		if position < news.Next || lost {
			delete(f.seen, id)
		}
	}
	if len(f.seen) > maxSeen {
		clear(f.seen)
		return false, nil
	}
	return news.More, nil
}

// reading is what was read of traces that have changed, by tenant.
type reading struct {
	traces map[string][]store.TraceSummary
	// meant are the traces that the filters mean that the store was asked for.
	meant map[string]map[string]map[string]bool
	// many are the tenants of whom too many have changed, or any may have.
	many map[string]bool
}

// read reads the traces that have changed, each tenant's as that tenant.
func (f *feed) read(ctx context.Context, changed map[string][]string, all map[string]bool) (reading, error) {
	r := reading{traces: map[string][]store.TraceSummary{}, meant: map[string]map[string]map[string]bool{}, many: map[string]bool{}}
	for tenant, correlations := range changed {
		slices.Sort(correlations)
		correlations = slices.Compact(correlations)
		if all[tenant] || len(correlations) > maxTraces {
			r.many[tenant] = true
			continue
		}
		var err error
		if r.traces[tenant], err = f.store.TraceSummaries(ctx, tenant, correlations); err != nil {
			return reading{}, err
		}
		r.meant[tenant] = map[string]map[string]bool{}
		for deep, filter := range f.questions(tenant) {
			if r.meant[tenant][deep], err = f.ask(ctx, tenant, filter, r.traces[tenant]); err != nil {
				return reading{}, err
			}
		}
	}
	return r, nil
}

// questions returns what the filters of a tenant's streams ask the store, each once.
func (f *feed) questions(tenant string) map[string]traceFilter {
	f.mu.Lock()
	defer f.mu.Unlock()
	questions := map[string]traceFilter{}
	for s := range f.tenants[tenant] {
		if s.filter.deep != "" {
			questions[s.filter.deep] = s.filter
		}
	}
	return questions
}

// ask returns which of some traces a filter means.
func (f *feed) ask(ctx context.Context, tenant string, filter traceFilter, traces []store.TraceSummary) (map[string]bool, error) {
	correlations := make([]string, len(traces))
	for i, t := range traces {
		correlations[i] = t.CorrelationID
	}
	found, err := f.store.MatchTraces(ctx, tenant, filter.question(), correlations)
	if err != nil {
		return nil, err
	}
	meant := make(map[string]bool, len(found))
	for _, correlation := range found {
		meant[correlation] = true
	}
	return meant, nil
}

func (f *feed) watched(tenant string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tenants[tenant]) > 0
}

// tell hands what was read to the streams, and moves on.
func (f *feed) tell(news store.ChangeFeed, read reading, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = news.Next
	at := place{news.Next, news.At}
	for tenant, subscriptions := range f.tenants {
		for s := range subscriptions {
			switch {
			case lost:
				s.resync("gap", at)
			case read.many[tenant]:
				s.resync("many", at)
			default:
				meant, asked := read.meant[tenant][s.filter.deep]
				if !asked && s.filter.deep != "" && len(read.traces[tenant]) > 0 {
					s.resync("many", at) // it began while the store was asked
					continue
				}
				s.offer(read.traces[tenant], meant, at)
			}
		}
	}
}

// subscribe returns a subscription to the changes of a tenant from now on, or from where another stream ended. It must be
// unsubscribed.
func (f *feed) subscribe(ctx context.Context, tenant string, filter traceFilter, after *place) (*subscription, error) {
	horizon, now, err := f.store.ChangeHorizon(ctx)
	if err != nil {
		return nil, err
	}
	here := place{horizon, now}
	s := newSubscription(tenant, filter, f.config.MaxPending, here)
	f.mu.Lock()
	if f.tooMany(s) {
		f.mu.Unlock()
		return nil, errTooManyFilters
	}
	if f.tenants[tenant] == nil {
		f.tenants[tenant] = map[*subscription]struct{}{}
	}
	f.tenants[tenant][s] = struct{}{}
	if !f.warm {
		f.warm, f.position = true, horizon
	}
	f.mu.Unlock()
	if after == nil {
		return s, nil
	}
	if err := f.resume(ctx, s, *after, here); err != nil {
		f.unsubscribe(s)
		return nil, err
	}
	return s, nil
}

// deepFilters is how many filters of a tenant's streams the store is asked for at each look: one to five of the streams it may have.
func (c Config) deepFilters() int { return max(1, c.MaxTenantStreams/5) }

var errTooManyFilters = errors.New("too many filters")

// tooMany says whether a subscription would have the store asked too much.
func (f *feed) tooMany(s *subscription) bool {
	deep := map[string]bool{}
	for other := range f.tenants[s.tenant] {
		deep[other.filter.deep] = true
	}
	delete(deep, "")
	return s.filter.deep != "" && !deep[s.filter.deep] && len(deep) >= f.config.deepFilters()
}

// resume has a stream told what has changed since another one ended. Whatever changes meanwhile the feed tells.
func (f *feed) resume(ctx context.Context, s *subscription, after, here place) error {
	if after.position > here.position || here.at.Sub(after.at) > f.config.Resume {
		s.resync("expired", here)
		return nil
	}
	correlations, all, err := f.store.ChangedSince(ctx, s.tenant, after.position)
	if err != nil {
		return err
	}
	if !all || len(correlations) > maxTraces {
		s.resync("many", here)
		return nil
	}
	if len(correlations) == 0 {
		return nil
	}
	traces, err := f.store.TraceSummaries(ctx, s.tenant, correlations)
	if err != nil {
		return fmt.Errorf("resume a stream: %w", err)
	}
	var meant map[string]bool
	if s.filter.deep != "" {
		if meant, err = f.ask(ctx, s.tenant, s.filter, traces); err != nil {
			return fmt.Errorf("resume a stream: %w", err)
		}
	}
	s.offer(traces, meant, here)
	return nil
}

func (f *feed) unsubscribe(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tenants[s.tenant], s)
	if len(f.tenants[s.tenant]) == 0 {
		delete(f.tenants, s.tenant)
	}
	f.warm = len(f.tenants) > 0
}
