package query

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

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

// Counts reads totals, at most once a second a tenant however many watch.
type Counts struct {
	stats StatsStore
	now   func() time.Time

	mu   sync.Mutex
	last map[string]*cachedTotals
}

type cachedTotals struct {
	mu     sync.Mutex
	totals Totals
}

// NewCounts returns a reader of counts.
func NewCounts(stats StatsStore, now func() time.Time) *Counts {
	return &Counts{stats: stats, now: now, last: map[string]*cachedTotals{}}
}

// freshness is a little under the second at which streams tick, so that each tick reads anew.
const freshness = 900 * time.Millisecond

// Totals returns a tenant's totals, up to a second old.
func (c *Counts) Totals(ctx context.Context, tenant string) (Totals, error) {
	c.mu.Lock()
	cached, ok := c.last[tenant]
	if !ok {
		cached = &cachedTotals{}
		c.last[tenant] = cached
	}
	c.mu.Unlock()

	cached.mu.Lock()
	defer cached.mu.Unlock()
	now := c.now()
	if now.Sub(cached.totals.At) < freshness {
		return cached.totals, nil
	}
	stats, err := c.stats.Totals(ctx, tenant)
	if err != nil {
		return Totals{}, err
	}
	totals := Totals{At: now.UTC()}
	for _, s := range stats {
		totals.add(s.Stage, s.Outcome, s.Events)
	}
	cached.totals = totals
	return totals, nil
}

// History returns a tenant's totals as they stood at the end of each of the last minutes, oldest first, and now.
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
	// Backwards from now: what stood at the start of a minute is what stood at its end less what it brought.
	points := []Totals{now}
	running := now
	for minute := now.At.Truncate(time.Minute); now.At.Sub(minute) < window; minute = minute.Add(-time.Minute) {
		if brought := minutes[minute]; brought != nil {
			running = running.minus(*brought)
		}
		running.At = minute
		points = append(points, running)
	}
	slices.Reverse(points)
	return points, nil
}
