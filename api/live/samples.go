package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

type samplesInput struct {
	Whose

	ID    string `path:"id" maxLength:"128" doc:"pipeline.stage" example:"tracking.enrich"`
	After int64  `query:"after" minimum:"0" doc:"Only those behind this one: the last of the answer before" example:"0"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most, the latest" example:"50"`
}

// Samples are what a stage did to some events.
type Samples struct {
	Items []store.StageSample `json:"items" doc:"The latest samples, the earliest of them first"`
}

type samplesOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         Samples
}

func (h *Handler) registerSamples(api huma.API) {
	huma.Register(api, operation("list-stage-samples", "stages/{id}/samples", "Operations", auth.RoleOpsRead, "What a stage does to events",
		"Samples of the tenant's events before and after the stage: to ask has every process take up to ten a second for half a minute from now, so "+
			"that the first answer may be empty. What is personal is not in them. The stream tells of them as well (events=sample&stage=…).",
		http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.listSamples)
}

func (h *Handler) listSamples(ctx context.Context, in *samplesInput) (*samplesOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	plans, err := h.deps.Plans(ctx)
	if err != nil {
		return nil, h.unavailable(ctx, "read the configuration", err)
	}
	watch, err := watchOf(plans, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	samples, err := h.samples(ctx, watch, in.After, in.Limit)
	if err != nil {
		return nil, h.unavailable(ctx, "read samples", err)
	}
	return &samplesOutput{CacheControl: "no-store", Body: Samples{append([]store.StageSample{}, samples...)}}, nil
}

// watchOf returns what is looked at; the error is a Problem.
func watchOf(plans []pipeline.Plan, tenant, id string) (store.StageWatch, error) {
	for _, plan := range plans {
		for _, hop := range plan.Hops {
			for _, s := range hop.Stages {
				if plan.Pipeline+"."+s.Name == id {
					return store.StageWatch{TenantID: tenant, Pipeline: strings.Clone(plan.Pipeline), Stage: strings.Clone(s.Name)}, nil
				}
			}
		}
	}
	return store.StageWatch{}, problem.New(http.StatusNotFound, "not-found", fmt.Sprintf("There is no stage %q; GET /api/v1/stages lists what there is.", id))
}

// watchEvery is how often it is said that somebody still looks at a stage.
const watchEvery = 10 * time.Second

// samples reads samples, and has more taken.
func (h *Handler) samples(ctx context.Context, watch store.StageWatch, after int64, limit int) ([]store.StageSample, error) {
	_, err := remember(&h.cache, "watch "+watch.Pipeline+"."+watch.Stage+" "+watch.TenantID, watchEvery, h.deps.Now, func() (bool, error) {
		return true, h.deps.Store.WatchStage(context.WithoutCancel(ctx), watch)
	})
	if err != nil {
		return nil, err
	}
	return h.deps.Store.StageSamples(ctx, watch, after, limit)
}

// tellSamples tells what the stage did that the client looks at.
func (s *stream) tellSamples(ctx context.Context) bool {
	samples, err := s.handler.samples(ctx, s.watch, s.sampled, store.KeptSamples)
	if err != nil {
		return s.comment("samples are not available")
	}
	samples = slices.DeleteFunc(samples, func(one store.StageSample) bool { return one.At.Before(s.opened.Add(-time.Minute)) }) // no news
	for _, one := range samples {
		s.sampled = one.ID
		if !s.event(sampleEvent, one, false) {
			return false
		}
	}
	return true
}
