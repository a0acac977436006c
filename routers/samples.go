package routers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// SampleStore takes samples of what stages do to events, and knows which are looked at.
type SampleStore interface {
	StageWatches(ctx context.Context) ([]store.StageWatch, error)
	AddStageSamples(ctx context.Context, samples []store.StageSample) error
}

const (
	// watchesEvery is how often it is asked what is looked at.
	watchesEvery = 2 * time.Second
	// samplesPerSecond is how many samples a process takes of a tenant's events at a stage.
	samplesPerSecond = 10
	// maxSamples bounds the samples that wait to be stored.
	maxSamples = 500
	// maxSampleBytes is how much of an event is kept.
	maxSampleBytes = 16 << 10
)

// sampler takes samples of what is looked at. While nothing is it costs a look at a map.
type sampler struct {
	store   SampleStore
	watched atomic.Pointer[map[store.StageWatch]struct{}]
	looked  time.Time // when it was asked last; only of the recorder's goroutine

	mu      sync.Mutex
	second  time.Time
	taken   map[store.StageWatch]int // in this second
	waiting []store.StageSample
}

// take says which of the events a sample is to be taken of.
func (s *sampler) take(pipelineName, stage string, work []*pipeline.Work, now time.Time) (picked []int) {
	watched := s.watched.Load()
	if watched == nil || len(*watched) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Truncate(time.Second); !second.Equal(s.second) {
		s.second, s.taken = second, map[store.StageWatch]int{}
	}
	for i, w := range work {
		of := store.StageWatch{TenantID: w.Event.TenantID, Pipeline: pipelineName, Stage: stage}
		if _, ok := (*watched)[of]; ok && s.taken[of] < samplesPerSecond {
			s.taken[of]++
			picked = append(picked, i)
		}
	}
	return picked
}

func (s *sampler) add(samples []store.StageSample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, samples[:min(len(samples), maxSamples-len(s.waiting))]...)
}

// flush stores what was taken, and asks what is looked at when it is time to. What could not be stored is forgotten: nobody waits for
// samples of a while ago.
func (s *sampler) flush(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	samples := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	if err := s.store.AddStageSamples(ctx, samples); err != nil {
		return err
	}
	if now.Sub(s.looked).Abs() < watchesEvery {
		return nil
	}
	s.looked = now
	watches, err := s.store.StageWatches(ctx)
	watched := make(map[store.StageWatch]struct{}, len(watches))
	for _, w := range watches {
		watched[w] = struct{}{}
	}
	s.watched.Store(&watched)
	return err
}

// Preview implements pipeline.Previewer: it takes samples where somebody looks.
func (o stageObserver) Preview(stage string, work []*pipeline.Work) func(batch *pipeline.Batch, took time.Duration) {
	if o.sampler == nil {
		return nil
	}
	picked := o.sampler.take(o.pipeline, stage, work, o.now())
	if len(picked) == 0 {
		return nil
	}
	samples := make([]store.StageSample, len(picked))
	for n, i := range picked {
		e := work[i].Event
		samples[n] = store.StageSample{
			TenantID: e.TenantID, Pipeline: o.pipeline, Stage: stage, UID: e.UID, CorrelationID: e.CorrelationID, Source: e.Source, EventType: e.Type,
			Attempt: work[i].Attempts + 1, Batch: len(work), Before: o.shown(e),
		}
	}
	return func(batch *pipeline.Batch, took time.Duration) {
		for n, i := range picked {
			s, verdict := &samples[n], batch.Verdict(i)
			s.At, s.Took, s.Outcome = o.now().UTC(), took.Microseconds(), verdict.Outcome.String()
			s.Code, s.Message = verdict.Reason.Code, verdict.Reason.Message
			if verdict.Err != nil {
				s.Message = verdict.Err.Error()
			}
			s.Message = withoutPersonal(s.Message, o.personal.Apply(batch.Event(i)).Personal)
			if after := o.shown(batch.Event(i)); after != s.Before {
				s.After = after
			}
		}
		o.sampler.add(samples)
	}
}

// shown returns an event as who looks may see it.
func (o stageObserver) shown(e *tracking.Event) string {
	body, err := asReceived(o.personal.Apply(e).Masked())
	if err != nil {
		return ""
	}
	return string(body[:min(len(body), maxSampleBytes)])
}
