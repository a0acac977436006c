package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// Plan is a Spec laid out in hops: what runs where, and which topics lie between. It is derived, immutable, and the one
// source for whatever needs to know the topics.
type Plan struct {
	Pipeline string
	Summary  string
	// DeadLetters is the topic that gets what stages reject.
	DeadLetters string
	// Ledger is the topic that gets what became of events, for the books that have to balance.
	Ledger string
	Hops   []Hop
}

// Hop is one or more fused stages behind one topic.
type Hop struct {
	// Name is the name of the hop's first stage.
	Name string
	// From is the topic that the hop reads.
	From string
	// To are the topics that get what the hop passes; none when nothing reads it.
	To []string
	// Workers is how many batches the hop works on at once in one process.
	Workers int
	// Batch is how the hop makes its batches.
	Batch  Batching
	Stages []StageSpec
}

// Plan lays the spec out in hops. A stage is reached over its own topic, `PIPELINE.STAGE`, the first over the pipeline's
// From; a fused stage shares the hop of the one before it.
func (s Spec) Plan() Plan {
	plan := Plan{Pipeline: s.Name, Summary: s.Summary, DeadLetters: s.Name + ".dead_letters", Ledger: s.Name + ".ledger"}
	for _, stage := range s.Stages {
		// Invariant 9: fused or not, it is the same stages in the same order.
		if stage.Fuse && len(plan.Hops) > 0 {
			last := &plan.Hops[len(plan.Hops)-1]
			last.Stages = append(last.Stages, stage)
			continue
		}
		from := s.From
		if len(plan.Hops) > 0 {
			from = s.Name + "." + stage.Name
			plan.Hops[len(plan.Hops)-1].To = []string{from}
		}
		plan.Hops = append(plan.Hops, Hop{
			Name: stage.Name, From: from, Workers: stage.Workers, Batch: stage.Batch, Stages: []StageSpec{stage},
		})
	}
	if len(plan.Hops) > 0 {
		plan.Hops[len(plan.Hops)-1].To = s.To
	}
	return plan
}

// Entry returns the topic over which a stage is reached, and at which stage of its hop events are to enter: none when it is
// the first.
func (p Plan) Entry(stage string) (topic, entry string, ok bool) {
	for _, hop := range p.Hops {
		for i, s := range hop.Stages {
			if s.Name != stage {
				continue
			}
			if i > 0 {
				entry = stage
			}
			return hop.From, entry, true
		}
	}
	return "", "", false
}

// HopOf returns the hop that a stage runs in.
func (p Plan) HopOf(stage string) (hop Hop, ok bool) {
	i := slices.IndexFunc(p.Hops, func(h Hop) bool { return slices.Contains(h.StageNames(), stage) })
	if i < 0 {
		return Hop{}, false
	}
	return p.Hops[i], true
}

// StageNames returns the names of the hop's stages, in their order.
func (h Hop) StageNames() []string {
	names := make([]string, len(h.Stages))
	for i, stage := range h.Stages {
		names[i] = stage.Name
	}
	return names
}

// Topics returns the topics that the hop writes to, each once.
func (h Hop) Topics() []string {
	topics := slices.Clone(h.To)
	for _, stage := range h.Stages {
		for _, d := range stage.Destinations() {
			if d.Topic != "" && !slices.Contains(topics, d.Topic) {
				topics = append(topics, d.Topic)
			}
		}
	}
	return topics
}

// Build makes the hop's stages, which guard may hold back when it is not nil. settings are those of the process; each stage
// gets them with its own name and logger. The chain must be closed.
func (h Hop) Build(pipeline string, settings Settings, guard Guard) (*Chain, error) {
	chain := &Chain{now: settings.Now, guard: guard}
	for _, spec := range h.Stages {
		stage, err := spec.Build(pipeline, settings)
		if err != nil {
			return nil, errors.Join(err, chain.Close())
		}
		chain.links = append(chain.links, link{spec: spec, stage: stage})
	}
	return chain, nil
}

// Build makes the stage alone, as it stands in the pipeline named: what its definition's constructor returns. settings are
// those of the process; the stage gets them with its own name and logger.
func (s StageSpec) Build(pipeline string, settings Settings) (Stage, error) {
	own := settings
	own.Pipeline, own.Name = pipeline, s.Name
	own.Logger = s.secrets.logger(settings.Logger).With(slog.String("pipeline", pipeline), slog.String("stage", s.Name))
	stage, err := s.definition.build(s.config, own)
	if err != nil {
		return nil, fmt.Errorf("build stage %q of pipeline %q: %w", s.Name, pipeline, s.secrets.ScrubError(err))
	}
	return stage, nil
}

// Config returns the stage's own config as it was decoded: what `with` says over the defaults.
func (s StageSpec) Config() any { return s.config }

// PassesOn reports whether any event may go on from the stage to the next one.
func (s StageSpec) PassesOn() bool { return s.passesOn() }

// Deduplicates reports whether the stage lets only one copy of an event pass.
func (s StageSpec) Deduplicates() bool {
	d, ok := trait[Deduplicating](s.config)
	return ok && d.Deduplicates()
}

// Destinations returns where the stage may send events to besides the next stage.
func (s StageSpec) Destinations() []Destination {
	if d, ok := trait[Destined](s.config); ok {
		return d.Destinations()
	}
	return nil
}
