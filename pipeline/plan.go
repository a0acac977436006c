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
	// Batch is the most events that the hop takes at once.
	Batch  int
	Stages []StageSpec
}

// Plan lays the spec out in hops. A stage is reached over its own topic, `PIPELINE.STAGE`, the first over the pipeline's
// From; a fused stage shares the hop of the one before it.
func (s Spec) Plan() Plan {
	plan := Plan{Pipeline: s.Name, Summary: s.Summary, DeadLetters: s.Name + ".dead_letters"}
	for _, stage := range s.Stages {
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
		own := settings
		own.Pipeline, own.Name = pipeline, spec.Name
		own.Logger = settings.Logger.With(slog.String("pipeline", pipeline), slog.String("stage", spec.Name))
		stage, err := spec.definition.build(spec.config, own)
		if err != nil {
			return nil, fmt.Errorf("build stage %q of pipeline %q: %w", spec.Name, pipeline, err)
		}
		chain.links = append(chain.links, link{name: spec.Name, stage: stage})
	}
	return chain, nil
}
