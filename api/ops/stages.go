package ops

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

type pauseStageInput struct {
	ID   string `path:"id" maxLength:"128" doc:"pipeline.stage" example:"tracking.persist"`
	Body struct {
		Reason string `json:"reason" minLength:"3" maxLength:"500" doc:"Why, for the record and for who looks at the stage: operators of all tenants read it" example:"the warehouse is being moved"`
	}
}

type resumeStageInput struct {
	ID   string `path:"id" maxLength:"128" doc:"pipeline.stage" example:"tracking.persist"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the record" example:"it has been moved"`
	}
}

// StageControl is whether a stage is paused, after it was asked that it be or not.
type StageControl struct {
	ID      string            `json:"id" doc:"pipeline.stage" example:"tracking.persist"`
	Paused  bool              `json:"paused" doc:"Whether it is paused"`
	Changed bool              `json:"changed" doc:"Whether it was not so before"`
	Pause   *store.StagePause `json:"pause,omitempty" doc:"Who paused it, since when and why; of who did first. Missing when it is not paused"`
	Stages  []string          `json:"stages" doc:"The stages that stand still and go on together: it, and those that are fused with it" example:"[\"tracking.enrich\",\"tracking.persist\"]"`
	HeldBy  []string          `json:"held_by" doc:"Those of them that are paused: they stand still until none is" example:"[\"tracking.persist\"]"`
}

type stageControlOutput struct{ Body StageControl }

func (h *Handler) registerStages(api huma.API) {
	const everyone = "Every process that runs it follows within a second or two, those that start later too. It holds for the events of all tenants, and is noted in the " +
		"audit of none. What is so already is left as it is, and is no error. Needs the role tenants:all as well."
	pause := operation("pause-stage", http.MethodPost, "stages/{id}/pause", auth.RoleOpsWrite, "Pause a stage",
		"Has a stage receive nothing, and those that are fused with it, until it is resumed: events wait in its queue, none is lost, and ingest goes on. What is in hand "+
			"is finished. "+everyone, 404, 422, 503)
	resume := operation("resume-stage", http.MethodPost, "stages/{id}/resume", auth.RoleOpsWrite, "Resume a stage",
		"Has a stage go on that was paused. "+everyone, 404, 422, 503)
	pause.Tags, resume.Tags = []string{"Operations"}, []string{"Operations"}
	huma.Register(api, withExample(pause, map[string]any{"reason": "the warehouse is being moved"}), h.pauseStage)
	huma.Register(api, withExample(resume, map[string]any{"reason": "it has been moved"}), h.resumeStage)
}

// authorizeAll returns who asks when they may do what concerns all tenants; the error is a Problem.
func authorizeAll(ctx context.Context, role string) (auth.Identity, error) {
	identity, _, err := auth.Authorize(ctx, role, auth.Whose{})
	if err != nil {
		return auth.Identity{}, err
	}
	if !identity.Has(auth.RoleTenantsAll) {
		return auth.Identity{}, auth.MissingRole(ctx, identity, auth.RoleTenantsAll, "")
	}
	return identity, nil
}

func (h *Handler) pauseStage(ctx context.Context, in *pauseStageInput) (*stageControlOutput, error) {
	identity, err := authorizeAll(ctx, auth.RoleOpsWrite)
	if err != nil {
		return nil, err
	}
	reason := strings.TrimSpace(in.Body.Reason)
	if len(reason) < 3 {
		return nil, refused("reason", "say why, for who finds that the stage stands still")
	}
	of, err := h.stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if of == nil {
		return nil, noStage(in.ID)
	}
	pause, changed, err := h.deps.Store.PauseStage(ctx, of.pipeline, of.stage, actor(identity), reason)
	if err != nil {
		return nil, h.failed(ctx, "pause a stage", err)
	}
	return h.controlled(ctx, in.ID, *of, StageControl{Paused: true, Changed: changed, Pause: &pause})
}

func (h *Handler) resumeStage(ctx context.Context, in *resumeStageInput) (*stageControlOutput, error) {
	identity, err := authorizeAll(ctx, auth.RoleOpsWrite)
	if err != nil {
		return nil, err
	}
	of, err := h.stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if of == nil { // it may have been paused before it was taken out of its pipeline
		paused, err := h.deps.Store.PausedStages(ctx)
		if err != nil {
			return nil, h.failed(ctx, "read which stages are paused", err)
		}
		i := slices.IndexFunc(paused, func(p store.StagePause) bool { return p.ID() == in.ID })
		if i < 0 {
			return nil, noStage(in.ID)
		}
		of = &stageOf{pipeline: paused[i].Pipeline, stage: paused[i].Stage}
	}
	changed, err := h.deps.Store.ResumeStage(ctx, of.pipeline, of.stage, actor(identity), strings.TrimSpace(in.Body.Reason))
	if err != nil {
		return nil, h.failed(ctx, "resume a stage", err)
	}
	return h.controlled(ctx, in.ID, *of, StageControl{Changed: changed})
}

// stageOf is a stage, and what shares its hop.
type stageOf struct {
	pipeline, stage string
	hop             []string // names; none when no pipeline has the stage
}

// stage returns the stage with an id, nil when no pipeline has it; the error is a Problem.
func (h *Handler) stage(ctx context.Context, id string) (*stageOf, error) {
	plans, err := h.deps.Plans(ctx)
	if err != nil {
		return nil, h.failed(ctx, "read the configuration", err)
	}
	for _, plan := range plans {
		for _, hop := range plan.Hops {
			for _, name := range hop.StageNames() {
				if plan.Pipeline+"."+name == id {
					return &stageOf{plan.Pipeline, name, hop.StageNames()}, nil
				}
			}
		}
	}
	return nil, nil //nolint:nilnil // there is none, which each caller answers in its own way
}

func noStage(id string) error {
	return problem.New(http.StatusNotFound, "not-found", fmt.Sprintf("There is no stage %q; GET /api/v1/stages lists what there is.", id))
}

// controlled answers with what stands still with a stage.
func (h *Handler) controlled(ctx context.Context, id string, of stageOf, c StageControl) (*stageControlOutput, error) {
	paused, err := h.deps.Store.PausedStages(ctx)
	if err != nil {
		return nil, h.failed(ctx, "read which stages are paused", err)
	}
	c.ID, c.Stages, c.HeldBy = strings.Clone(id), []string{}, []string{}
	for _, name := range of.hop {
		c.Stages = append(c.Stages, of.pipeline+"."+name)
		if slices.ContainsFunc(paused, func(p store.StagePause) bool { return p.Pipeline == of.pipeline && p.Stage == name }) {
			c.HeldBy = append(c.HeldBy, of.pipeline+"."+name)
		}
	}
	return &stageControlOutput{c}, nil
}
