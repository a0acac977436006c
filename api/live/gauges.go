package live

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/store"
)

// Latency is a distribution of durations. It comes of histograms that all processes and minutes have been put together in, and is
// exact to 3%.
type Latency struct {
	Count uint64  `json:"count" doc:"How many events it is of"`
	P50   float64 `json:"p50_ms" doc:"Half of them took no longer, in milliseconds"`
	P95   float64 `json:"p95_ms" doc:"19 of 20 took no longer"`
	P99   float64 `json:"p99_ms" doc:"99 of 100 took no longer"`
	Max   float64 `json:"max_ms" doc:"None took longer"`
}

// latencyOf returns nil when there is nothing to tell: unknown is not 0.
func latencyOf(h *quantiles.Histogram) *Latency {
	if h == nil || h.Count() == 0 {
		return nil
	}
	at := func(q float64) float64 {
		d, _ := h.Quantile(q)
		return milliseconds(d)
	}
	return &Latency{Count: h.Count(), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: at(1)}
}

// milliseconds returns a duration to three digits or so, which is more than is known of it.
func milliseconds(d time.Duration) float64 { return rounded(float64(d) / float64(time.Millisecond)) }

// rounded keeps four significant digits.
func rounded(x float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	unit := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*unit) / unit
}

// StageGauge is how a stage gets on just now.
type StageGauge struct {
	In       float64  `json:"in_per_second" doc:"Events a second that came to an outcome here"`
	Out      float64  `json:"out_per_second" doc:"Events a second that went on"`
	Dropped  float64  `json:"dropped_per_second" doc:"Events a second that were dropped, copies included"`
	Rejected float64  `json:"rejected_per_second" doc:"Events a second that were dead-lettered"`
	Retried  float64  `json:"retried_per_second" doc:"Times a second that an event is to be tried again"`
	P95      *float64 `json:"p95_ms,omitempty" doc:"What the stage takes for a batch, 19 of 20 times, in milliseconds; of the last two minutes"`
	Age      *float64 `json:"age_ms,omitempty" doc:"How long ago the events had been received that it lets pass, 19 of 20 of them; of the last two minutes"`
}

// Gauges is how everything of a tenant gets on just now.
type Gauges struct {
	InFlight int64                 `json:"in_flight" doc:"Events that are under way"`
	Latency  *Latency              `json:"latency,omitempty" doc:"From received to stored, of the last two minutes"`
	Stages   map[string]StageGauge `json:"stages" doc:"Each stage, as pipeline/stage"`
}

// gauges reads how tenants get on, at most once a second each however many watch.
type gauges struct {
	store  *store.Store
	counts *Counts
	now    func() time.Time

	mu   sync.Mutex
	last map[string]*cachedGauges
}

type cachedGauges struct {
	mu     sync.Mutex
	at     time.Time
	gauges Gauges
	times  []store.StageTimes
	timed  time.Time
}

func newGauges(db *store.Store, counts *Counts, now func() time.Time) *gauges {
	return &gauges{store: db, counts: counts, now: now, last: map[string]*cachedGauges{}}
}

// timingsFreshness is how old times may be; processes tell them every two seconds.
const timingsFreshness = 2 * time.Second

func (g *gauges) of(ctx context.Context, tenant string) (Gauges, error) {
	g.mu.Lock()
	cached, ok := g.last[tenant]
	if !ok {
		cached = &cachedGauges{}
		g.last[tenant] = cached
	}
	g.mu.Unlock()
	cached.mu.Lock()
	defer cached.mu.Unlock()
	now := g.now()
	if !cached.at.IsZero() && now.Sub(cached.at).Abs() < freshness {
		return cached.gauges, nil
	}
	rates, err := g.counts.Rates(ctx, tenant)
	if err != nil {
		return Gauges{}, err
	}
	balances, err := g.store.Balance(ctx, tenant)
	if err != nil {
		return Gauges{}, err
	}
	if cached.timed.IsZero() || now.Sub(cached.timed).Abs() >= timingsFreshness {
		if cached.times, err = g.store.StageTimes(ctx, tenant, now.Add(-time.Minute), now.Add(time.Minute)); err != nil {
			return Gauges{}, err
		}
		cached.timed = now
	}
	cached.gauges, cached.at = gaugesOf(rates, balances, cached.times), now
	return cached.gauges, nil
}

func gaugesOf(rates map[outcomeKey]float64, balances []store.Balance, times []store.StageTimes) Gauges {
	all := Gauges{Stages: map[string]StageGauge{}}
	for _, b := range balances {
		all.InFlight += b.InFlight
	}
	for key, rate := range rates {
		if key.stage == ingestStage {
			continue
		}
		s := all.Stages[key.pipeline+"/"+key.stage]
		rate = rounded(rate)
		switch key.outcome {
		case "pass":
			s.Out, s.In = s.Out+rate, s.In+rate
		case "drop":
			s.Dropped, s.In = s.Dropped+rate, s.In+rate
		case "reject":
			s.Rejected, s.In = s.Rejected+rate, s.In+rate
		case "retry":
			s.Retried += rate
		}
		all.Stages[key.pipeline+"/"+key.stage] = s
	}
	for key, merged := range mergeTimes(times) {
		s := all.Stages[key]
		s.P95, s.Age = quantile(merged.Took, 0.95), quantile(merged.Age, 0.95)
		all.Stages[key] = s
	}
	all.Latency = latencyOf(endToEnd(times))
	return all
}

// The names by which counts go: what ingest has accepted, and the stage at which events are stored.
const (
	ingestStage  = "ingest"
	storingStage = "persist"
)

func quantile(h *quantiles.Histogram, q float64) *float64 {
	d, ok := h.Quantile(q)
	if !ok {
		return nil
	}
	ms := milliseconds(d)
	return &ms
}

// mergeTimes puts the minutes of each stage together, by pipeline/stage.
func mergeTimes(times []store.StageTimes) map[string]store.StageTimes {
	merged := map[string]store.StageTimes{}
	for _, t := range times {
		key := t.Pipeline + "/" + t.Stage
		m, ok := merged[key]
		if !ok {
			m = store.StageTimes{Pipeline: t.Pipeline, Stage: t.Stage, Took: &quantiles.Histogram{}, Age: &quantiles.Histogram{}}
		}
		m.Events, m.Batches, m.Batched = m.Events+t.Events, m.Batches+t.Batches, m.Batched+t.Batched
		m.Took.Merge(t.Took)
		m.Age.Merge(t.Age)
		merged[key] = m
	}
	return merged
}

// endToEnd returns how long it took from receiving events to storing them.
func endToEnd(times []store.StageTimes) *quantiles.Histogram {
	all := &quantiles.Histogram{}
	for _, t := range times {
		if t.Stage == storingStage {
			all.Merge(t.Age)
		}
	}
	return all
}

// changedStages returns the stages that are not as they were.
func changedStages(before, now map[string]StageGauge) map[string]StageGauge {
	changed := map[string]StageGauge{}
	for name, s := range now {
		if was, known := before[name]; !known || !sameGauge(was, s) {
			changed[name] = s
		}
	}
	return changed
}

func sameGauge(a, b StageGauge) bool {
	same := func(x, y *float64) bool { return x == y || x != nil && y != nil && *x == *y }
	ok := same(a.P95, b.P95) && same(a.Age, b.Age)
	a.P95, a.Age, b.P95, b.Age = nil, nil, nil, nil
	return ok && a == b
}

// worstFirst returns the names of stages, those that are the furthest behind first.
func worstFirst(stages map[string]StageGauge) []string {
	names := make([]string, 0, len(stages))
	for name := range stages {
		names = append(names, name)
	}
	age := func(name string) float64 {
		if at := stages[name].Age; at != nil {
			return *at
		}
		return -1
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(age(b), age(a)), strings.Compare(a, b)) })
	return names
}
