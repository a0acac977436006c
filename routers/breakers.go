package routers

import (
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/rastrohq/rastro/pipeline"
)

// breakers are the circuit breakers of a hop's stages. While any of them is open, or somebody has paused the hop, it receives nothing.
// They implement pipeline.Guard.
type breakers struct {
	gate   *Gate
	stages map[string]*stageBreaker // never changed once made

	mu     sync.Mutex
	open   map[string]bool
	paused bool
}

type stageBreaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	pause   time.Duration
}

func newBreakers(p *Processor, planned pipeline.Hop, gate *Gate, logger *slog.Logger) *breakers {
	b := &breakers{gate: gate, stages: map[string]*stageBreaker{}, open: map[string]bool{}}
	for _, stage := range planned.Stages {
		circuit := newBreaker(p, stage.Name, stage.Breaker, func(open bool) {
			if open {
				logger.Warn("the stage keeps failing; receiving is paused until it works again", slog.String("stage", stage.Name))
			} else {
				logger.Info("the stage works again; receiving", slog.String("stage", stage.Name))
			}
			b.set(stage.Name, open)
		})
		b.stages[stage.Name] = &stageBreaker{circuit, stage.Breaker.Pause}
	}
	return b
}

// set notes that a stage's breaker opened or closed.
//
// Invariant 8: while a stage's dependency is down nothing is received.
func (b *breakers) set(stage string, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if open {
		b.open[stage] = true
	} else {
		delete(b.open, stage)
	}
	b.gate.set(b.paused || len(b.open) > 0)
}

// pause notes that the hop was paused, or is to go on.
//
// Invariant 8: what waits for it burns no receive count either.
func (b *breakers) pause(paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = paused
	b.gate.set(b.paused || len(b.open) > 0)
}

// Allow implements pipeline.Guard.
func (b *breakers) Allow(stage string) (report func(error), wait time.Duration, ok bool) {
	s, known := b.stages[stage]
	if !known {
		return func(error) {}, 0, true
	}
	report, err := s.circuit.Allow()
	if err != nil {
		// When its pause began is the breaker's own affair: asking twice in it costs nothing.
		return nil, s.pause/2 + time.Millisecond, false
	}
	return report, 0, true
}

// newBreaker makes a breaker that tells when it opens and when it closes again.
func newBreaker(p *Processor, name string, c pipeline.Breaker, changed func(open bool)) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	state := p.config.Metrics.breaker.WithLabelValues(p.config.Plan.Pipeline, name)
	record := func(string) {}
	if timings, ok := p.config.Recorder.(TimingsRecorder); ok {
		record = func(state string) { timings.RecordBreaker(p.config.Plan.Pipeline, name, state) }
	}
	record(gobreaker.StateClosed.String())
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: c.Pause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return int(counts.ConsecutiveFailures) >= c.Failures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			state.Set(float64(to))
			record(to.String())
			switch {
			case to == gobreaker.StateClosed:
				changed(false)
			case from == gobreaker.StateClosed:
				changed(true)
			}
		},
	})
}
