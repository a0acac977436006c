package routers

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// TimingsStore takes what a process says of minutes, in place of what it said of them before.
type TimingsStore interface {
	PutTimings(ctx context.Context, process uuid.UUID, times []store.StageTimes, sources []store.SourceStats, states []store.StageState) error
}

// TimingsRecorder is a Recorder that keeps more than counts. It must not block either.
type TimingsRecorder interface {
	// RecordBatch notes how long a stage took for a batch that it has just settled, at the time now.
	RecordBatch(pipelineName, stage string, batch *pipeline.Batch, took time.Duration, now time.Time)
	// RecordBreaker notes the state of a stage's circuit breaker: "closed", "half-open" or "open".
	RecordBreaker(pipelineName, stage, state string)
	// RecordPaused notes whether a stage stands still because it, or one that is fused with it, was paused by hand.
	RecordPaused(pipelineName, stage string, paused bool)
}

const (
	// storingStage is the stage at which events are stored.
	storingStage = "persist"
	// maxSources bounds the sources of a tenant that are told apart in a minute; whoever sends may name any.
	maxSources = 200
	// otherSources stands for the sources beyond.
	otherSources = "(others)"
	// maxMinutes bounds how many minutes are kept while they cannot be stored.
	maxMinutes = 30
)

// timings is what a process has seen by the minute. A minute is kept as a whole until it is over and stored, so that storing it
// replaces what was stored of it: nothing counts twice.
type timings struct {
	minutes map[time.Time]*minuteTimings
	states  map[stageName]stageState
}

// stageState is how a stage stands in this process.
type stageState struct {
	breaker string
	paused  bool
}

type stageName struct{ pipeline, stage string }

type minuteTimings struct {
	stages  map[stageTimesKey]*store.StageTimes
	sources map[sourceKey]*store.SourceStats
	known   map[string]int // sources of a tenant
	dirty   bool
}

type stageTimesKey struct{ tenant, pipeline, stage string }

type sourceKey struct{ tenant, source string }

func newTimings() timings {
	return timings{minutes: map[time.Time]*minuteTimings{}, states: map[stageName]stageState{}}
}

func (t *timings) minute(now time.Time) *minuteTimings {
	at := now.UTC().Truncate(time.Minute)
	m := t.minutes[at]
	if m == nil {
		m = &minuteTimings{stages: map[stageTimesKey]*store.StageTimes{}, sources: map[sourceKey]*store.SourceStats{}, known: map[string]int{}}
		t.minutes[at] = m
		if len(t.minutes) > maxMinutes {
			oldest := slices.MinFunc(slices.Collect(maps.Keys(t.minutes)), time.Time.Compare)
			delete(t.minutes, oldest)
		}
	}
	m.dirty = true
	return m
}

func (m *minuteTimings) stage(tenant string, name stageName, at time.Time) *store.StageTimes {
	key := stageTimesKey{tenant, name.pipeline, name.stage}
	s := m.stages[key]
	if s == nil {
		s = &store.StageTimes{
			TenantID: tenant, Pipeline: name.pipeline, Stage: name.stage, Minute: at.UTC().Truncate(time.Minute),
			Took: &quantiles.Histogram{}, Age: &quantiles.Histogram{},
		}
		m.stages[key] = s
	}
	return s
}

func (m *minuteTimings) source(tenant, source string, at time.Time) *store.SourceStats {
	key := sourceKey{tenant, source}
	if s := m.sources[key]; s != nil {
		return s
	}
	if m.known[tenant] >= maxSources {
		key.source = otherSources
		if s := m.sources[key]; s != nil {
			return s
		}
	}
	m.known[tenant]++
	s := &store.SourceStats{TenantID: tenant, Source: key.source, Minute: at.UTC().Truncate(time.Minute), Delay: &quantiles.Histogram{}}
	m.sources[key] = s
	return s
}

// record notes a batch. Neighbours mostly share tenant and source, so what they are counted in is looked up once.
func (t *timings) record(name stageName, batch *pipeline.Batch, took time.Duration, now time.Time) {
	m := t.minute(now)
	var stage *store.StageTimes
	var source *store.SourceStats
	seen := make(map[string]struct{}, 1)
	for i := range batch.Len() {
		e, verdict := batch.Event(i), batch.Verdict(i)
		if verdict.Outcome == pipeline.Retry {
			continue
		}
		if stage == nil || stage.TenantID != e.TenantID {
			stage = m.stage(e.TenantID, name, now)
			if _, again := seen[e.TenantID]; !again {
				seen[e.TenantID] = struct{}{}
				stage.Batches++
				stage.Batched += int64(batch.Len())
			}
		}
		stage.Events++
		stage.Took.Add(took, 1)
		duplicate := verdict.Outcome == pipeline.Drop && isDuplicate(verdict.Reason)
		stored := verdict.Outcome == pipeline.Pass && name.stage == storingStage
		if verdict.Outcome == pipeline.Pass {
			stage.Age.Add(now.Sub(e.ReceivedAt), 1)
		}
		if !stored && !duplicate && verdict.Outcome != pipeline.Reject {
			continue
		}
		if source == nil || source.TenantID != e.TenantID || source.Source != e.Source {
			source = m.source(e.TenantID, e.Source, now)
		}
		if e.ReceivedAt.After(source.LastAt) {
			source.LastAt = e.ReceivedAt
		}
		switch {
		case duplicate:
			source.Duplicates++
		case !stored:
			source.Rejected++
		default:
			source.Stored++
			source.Delay.Add(e.ReceivedAt.Sub(e.OccurredAt), 1)
			if e.Enrichment.Milestone.Rank() == 0 && e.Enrichment.Exception == "" {
				source.Unmapped++
			}
		}
	}
}

// take returns copies of what is to be stored.
func (t *timings) take() (times []store.StageTimes, sources []store.SourceStats, states []store.StageState) {
	for _, m := range t.minutes {
		if !m.dirty {
			continue
		}
		m.dirty = false
		for _, s := range m.stages {
			c := *s
			c.Took, c.Age = s.Took.Clone(), s.Age.Clone()
			times = append(times, c)
		}
		for _, s := range m.sources {
			c := *s
			c.Delay = s.Delay.Clone()
			sources = append(sources, c)
		}
	}
	for name, state := range t.states {
		states = append(states, store.StageState{Pipeline: name.pipeline, Stage: name.stage, Breaker: state.breaker, Paused: state.paused})
	}
	slices.SortFunc(times, func(a, b store.StageTimes) int {
		return cmp.Or(strings.Compare(a.TenantID, b.TenantID), a.Minute.Compare(b.Minute), strings.Compare(a.Pipeline, b.Pipeline), strings.Compare(a.Stage, b.Stage))
	})
	slices.SortFunc(sources, func(a, b store.SourceStats) int {
		return cmp.Or(strings.Compare(a.TenantID, b.TenantID), a.Minute.Compare(b.Minute), strings.Compare(a.Source, b.Source))
	})
	return times, sources, states
}

// keep has all minutes stored again, since it failed.
func (t *timings) keep() {
	for _, m := range t.minutes {
		m.dirty = true
	}
}

// forget lets go of the minutes that are over for a minute and stored. Nobody who read the clock in one is still about to record.
func (t *timings) forget(now time.Time) {
	over := now.UTC().Truncate(time.Minute).Add(-time.Minute)
	maps.DeleteFunc(t.minutes, func(at time.Time, m *minuteTimings) bool { return !m.dirty && at.Before(over) })
}
