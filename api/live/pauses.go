package live

import (
	"context"
	"slices"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// Pause is who paused a stage, since when and why. It holds for the events of all tenants, and operators of all see it.
type Pause struct {
	store.StagePause

	ID     string   `json:"id" doc:"The stage that was paused, as pipeline.stage" example:"tracking.persist"`
	Stages []string `json:"stages" doc:"The stages that stand still with it: it, and those that are fused with it; none when no pipeline has it any more" example:"[\"tracking.enrich\",\"tracking.persist\"]"`
}

// pauses returns the stages that are paused, as of this moment: who has just paused one is not to be told of before.
func (h *Handler) pauses(ctx context.Context) ([]Pause, error) {
	plans, err := h.deps.Plans(ctx)
	if err != nil {
		return nil, err
	}
	return h.pausesOf(ctx, plans)
}

func (h *Handler) pausesOf(ctx context.Context, plans []pipeline.Plan) ([]Pause, error) {
	paused, err := h.deps.Store.PausedStages(ctx)
	if err != nil && h.deps.Reads != h.deps.Store {
		paused, err = h.deps.Reads.PausedStages(ctx) // while the primary is away nobody pauses anything
	}
	if err != nil {
		return nil, err
	}
	all := make([]Pause, len(paused))
	for i, p := range paused {
		all[i] = Pause{StagePause: p, ID: p.ID(), Stages: []string{}}
		for _, plan := range plans {
			if plan.Pipeline != p.Pipeline {
				continue
			}
			hop, _ := plan.HopOf(p.Stage)
			for _, name := range hop.StageNames() {
				all[i].Stages = append(all[i].Stages, plan.Pipeline+"."+name)
			}
		}
	}
	return all, nil
}

// withPauses returns stages with why some stand still. It leaves those alone that it was given: others have them too.
func (h *Handler) withPauses(ctx context.Context, plans []pipeline.Plan, stages []Stage) ([]Stage, error) {
	paused, err := h.pausesOf(ctx, plans)
	if err != nil || len(paused) == 0 {
		return stages, err
	}
	stages = slices.Clone(stages)
	for i := range stages {
		for _, p := range paused {
			// Its own pause comes before that of another stage.
			if p.ID == stages[i].ID || stages[i].Paused == nil && slices.Contains(p.Stages, stages[i].ID) {
				stages[i].Paused = &p
			}
		}
	}
	return stages, nil
}
