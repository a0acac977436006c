package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
)

// StatsStore reads the counts that processes keep.
type StatsStore interface {
	// Totals returns the counts of a tenant since the beginning.
	Totals(ctx context.Context, tenant string) ([]store.Stat, error)
	// StatsByMinute returns the counts of a tenant by minute since a time.
	StatsByMinute(ctx context.Context, tenant string, since time.Time) ([]store.StatMinute, error)
}

// Totals is how many events of a tenant ended how, so far.
type Totals struct {
	At          time.Time `json:"at" doc:"When it was counted"`
	Accepted    int64     `json:"accepted" doc:"Events that were accepted"`
	Stored      int64     `json:"stored" doc:"Events that reached the end of their pipeline and are stored"`
	Duplicates  int64     `json:"duplicates" doc:"Events that were dropped as duplicates of others"`
	Dropped     int64     `json:"dropped" doc:"Events that a stage dropped on purpose, duplicates included"`
	DeadLetters int64     `json:"dead_letters" doc:"Events that a stage rejected"`
}

// add counts events that ended at a stage with an outcome.
func (t *Totals) add(stage, outcome string, n int64) {
	switch outcome {
	case "accepted":
		t.Accepted += n
	case "drop":
		t.Dropped += n
		if stage == "dedupe" {
			t.Duplicates += n
		}
	case "reject":
		t.DeadLetters += n
	case "pass":
		if stage == "persist" {
			t.Stored += n
		}
	}
}

func (t Totals) minus(o Totals) Totals {
	t.Accepted -= o.Accepted
	t.Stored -= o.Stored
	t.Duplicates -= o.Duplicates
	t.Dropped -= o.Dropped
	t.DeadLetters -= o.DeadLetters
	return t
}

// Counts reads totals, at most once a second a tenant however many watch, and remembers those of the last minutes while somebody
// does.
type Counts struct {
	stats StatsStore
	now   func() time.Time

	mu   sync.Mutex
	last map[string]*cachedTotals
}

type cachedTotals struct {
	mu      sync.Mutex
	samples []Totals     // a second apart while somebody watches, the latest last
	stages  []stageCount // of the last seconds, the latest last
}

// stageCount is what stages had counted at a time.
type stageCount struct {
	at     time.Time
	events map[outcomeKey]int64
}

type outcomeKey struct{ pipeline, stage, outcome string }

// NewCounts returns a reader of counts.
func NewCounts(stats StatsStore, now func() time.Time) *Counts {
	return &Counts{stats: stats, now: now, last: map[string]*cachedTotals{}}
}

const (
	// freshness is a little under the second at which streams tick, so that each tick reads anew.
	freshness = 900 * time.Millisecond
	// maxSamples is how many seconds are remembered.
	maxSamples = 300
	// rateWindow is over how long rates are taken: processes report twice a second, so that less would only show when they do.
	rateWindow = 10 * time.Second
)

// of returns what is remembered of a tenant, locked.
func (c *Counts) of(tenant string) *cachedTotals {
	c.mu.Lock()
	cached, ok := c.last[tenant]
	if !ok {
		cached = &cachedTotals{}
		c.last[tenant] = cached
	}
	c.mu.Unlock()
	cached.mu.Lock()
	return cached
}

// Totals returns a tenant's totals, up to a second old.
func (c *Counts) Totals(ctx context.Context, tenant string) (Totals, error) {
	cached := c.of(tenant)
	defer cached.mu.Unlock()
	return c.refresh(ctx, tenant, cached)
}

func (c *Counts) refresh(ctx context.Context, tenant string, cached *cachedTotals) (Totals, error) {
	now := c.now()
	if n := len(cached.samples); n > 0 && now.Sub(cached.samples[n-1].At).Abs() < freshness {
		return cached.samples[n-1], nil
	}
	stats, err := c.stats.Totals(ctx, tenant)
	if err != nil {
		return Totals{}, err
	}
	totals := Totals{At: now.UTC()}
	events := make(map[outcomeKey]int64, len(stats))
	for _, s := range stats {
		totals.add(s.Stage, s.Outcome, s.Events)
		events[outcomeKey{s.Pipeline, s.Stage, s.Outcome}] += s.Events
	}
	stale := func(at time.Time, within time.Duration) bool { return now.Sub(at) > within || at.After(now) }
	cached.samples = slices.DeleteFunc(cached.samples, func(t Totals) bool { return stale(t.At, maxSamples*time.Second) })
	cached.stages = slices.DeleteFunc(cached.stages, func(s stageCount) bool { return stale(s.at, rateWindow+freshness) })
	cached.samples = append(cached.samples, totals)
	cached.stages = append(cached.stages, stageCount{totals.At, events})
	return totals, nil
}

// Rates returns how many events a second came to each outcome at each stage, over the last ten seconds or for as long as somebody
// has watched; none when that is less than a moment.
func (c *Counts) Rates(ctx context.Context, tenant string) (map[outcomeKey]float64, error) {
	cached := c.of(tenant)
	defer cached.mu.Unlock()
	if _, err := c.refresh(ctx, tenant, cached); err != nil {
		return nil, err
	}
	first, last := cached.stages[0], cached.stages[len(cached.stages)-1]
	elapsed := last.at.Sub(first.at).Seconds()
	if elapsed <= 0 {
		return nil, nil
	}
	rates := make(map[outcomeKey]float64, len(last.events))
	for key, n := range last.events {
		rates[key] = float64(n-first.events[key]) / elapsed
	}
	return rates, nil
}

// History returns a tenant's totals, oldest first: as they stood at the start of each minute of the window, from when somebody
// watches by the second, and now.
func (c *Counts) History(ctx context.Context, tenant string, window time.Duration) ([]Totals, error) {
	now, err := c.Totals(ctx, tenant)
	if err != nil {
		return nil, err
	}
	stats, err := c.stats.StatsByMinute(ctx, tenant, now.At.Add(-window))
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	minutes := map[time.Time]*Totals{}
	for _, s := range stats {
		if minutes[s.Minute] == nil {
			minutes[s.Minute] = &Totals{}
		}
		minutes[s.Minute].add(s.Stage, s.Outcome, s.Events)
	}
	cached := c.of(tenant)
	seconds := slices.DeleteFunc(slices.Clone(cached.samples), func(t Totals) bool { return !t.At.Before(now.At) || now.At.Sub(t.At) > window })
	cached.mu.Unlock()
	points := append(seconds, now)
	// Backwards from now: what stood at the start of a minute is what stood at its end less what it brought.
	first := points[0].At
	var before []Totals
	running := now
	for minute := now.At.Truncate(time.Minute); now.At.Sub(minute) < window; minute = minute.Add(-time.Minute) {
		if brought := minutes[minute]; brought != nil {
			running = running.minus(*brought)
		}
		running.At = minute
		if minute.Before(first) {
			before = append(before, running)
		}
	}
	slices.Reverse(before)
	return append(before, points...), nil
}

type countsOutput struct {
	Body Totals
}

func (h *Handler) registerCounts(api huma.API) {
	op := operation("get-counts", "stats", "Operations", auth.RoleTracesRead, "Counts of events",
		"How many events of the tenant were accepted, stored, dropped and dead-lettered so far.", http.StatusServiceUnavailable)
	huma.Register(api, op, func(ctx context.Context, in *struct{ Whose }) (*countsOutput, error) {
		_, tenant, err := authorize(ctx, auth.RoleTracesRead, in.Whose)
		if err != nil {
			return nil, err
		}
		totals, err := h.counts.Totals(ctx, tenant)
		if err != nil {
			return nil, h.unavailable(ctx, "read counts", err)
		}
		return &countsOutput{totals}, nil
	})
}
