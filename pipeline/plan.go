package pipeline

import (
	"fmt"
	"log/slog"
)

// Plan is a Spec laid out in hops: what runs where, and which topics lie between. It is derived, immutable, and the one
// source for whatever needs to know the topics.
type Plan struct {
	Pipeline string
	Summary  string
	// DeadLetters is the topic that gets what stages reject.
	DeadLetters string
	Hops        []Hop
}

// Hop is one or more fused stages behind one topic.
type Hop struct {
	// Name is the name of the hop's first stage.
	Name string
	// From is the topic that the hop reads.
	From string
	// To is the topic that gets what the hop passes; empty when nothing reads it.
	To string
	// Workers is how many batches the hop works on at once in one process.
	Workers int
	// Batch is how the hop makes its batches.
	Batch  Batching
	Stages []StageSpec
}

// Plan lays the spec out in hops. A stage is reached over its own topic, `PIPELINE.STAGE`, the first over the pipeline's
// From; a fused stage shares the hop of the one before it.
func (s Spec) Plan() Plan {
	plan := Plan{Pipeline: s.Name, Summary: s.Summary, DeadLetters: s.Name + ".dead_letters"}
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
			plan.Hops[len(plan.Hops)-1].To = from
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

// Build makes the hop's stages. settings are those of the process; each stage gets them with its own name and logger.
func (h Hop) Build(pipeline string, settings Settings) (*Chain, error) {
	chain := &Chain{now: settings.Now}
	for _, spec := range h.Stages {
		stage, err := spec.Build(pipeline, settings)
		if err != nil {
			return nil, err
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
	own.Logger = settings.Logger.With(slog.String("pipeline", pipeline), slog.String("stage", s.Name))
	stage, err := s.definition.build(s.config, own)
	if err != nil {
		return nil, fmt.Errorf("build stage %q of pipeline %q: %w", s.Name, pipeline, err)
	}
	return stage, nil
}

// Config returns the stage's own config as it was decoded: what `with` says over the defaults.
func (s StageSpec) Config() any { return s.config }
