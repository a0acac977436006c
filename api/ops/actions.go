package ops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// maxRate is how many letters a second a job may settle.
const maxRate = 10_000

// ActionInput asks for letters to be redriven or discarded.
type ActionInput struct {
	Whose
	ExpectedCount int     `query:"expectedCount" default:"-1" minimum:"-1" doc:"How many letters the filter is thought to match; when that is off by more than a tenth nothing is done, and the answer is 409. Default: any number" example:"1"`
	Rate          float64 `query:"rate" default:"100" doc:"How many letters a second, at most: from 1 to 10000" example:"100"`
	Body          action
}

// Resolve implements huma.Resolver: it checks the rate, which tags cannot, since NaN is neither below nor above a bound, and what is
// infinite cannot be said in an answer.
func (*ActionInput) Resolve(ctx huma.Context) []error {
	text := ctx.Query("rate")
	if text == "" {
		return nil
	}
	if rate, err := strconv.ParseFloat(text, 64); err == nil && rate >= 1 && rate <= maxRate {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "query.rate", Message: fmt.Sprintf("it is a number from 1 to %d", maxRate), Value: text}}
}

var _ huma.Resolver = (*ActionInput)(nil)

// action says which letters, and why.
type action struct {
	Filter store.LetterFilter `json:"filter" doc:"Which letters; {} are all that are open. The state \"all\" stands for any"`
	Reason string             `json:"reason,omitempty" maxLength:"500" doc:"Why, for the record"`
}

type redriveInput struct {
	ActionInput
	DryRun bool `query:"dryRun" doc:"Only find out what would happen to each letter as the pipelines are configured today; nothing is changed. Needs only the role ops:read" example:"true"`
}

type actionOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the job is"`
	Body     Answer
}

// Answer is the job, or what would happen.
type Answer struct {
	Job   *Job   `json:"job,omitempty" doc:"The job that does it"`
	Trial *Trial `json:"trial,omitempty" doc:"What would happen; only for a dry run"`
}

func (h *Handler) registerActions(api huma.API) {
	letters := map[string]any{"filter": map[string]any{"reason": []string{"schema"}, "source": []string{"LA-baggage"}}, "reason": "the schema was too strict"}
	redrive := operation("redrive-dead-letters", http.MethodPost, "dead-letters/redrive", auth.RoleOpsWrite, "Redrive dead letters",
		"Sends the events of the letters again to the stage that rejected them, under the same UIDs; from the beginning of the pipeline when it "+
			"has no such stage any more. What is stored already is not stored twice. A job does it: the answer comes before it is done.", 409, 422)
	redrive.DefaultStatus = http.StatusAccepted
	redrive.Responses = map[string]*huma.Response{"200": {
		Description: "What would happen, of a dry run",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Answer](), true, "")}},
	}}
	huma.Register(api, withExample(redrive, letters), h.redrive)
	discard := operation("discard-dead-letters", http.MethodPost, "dead-letters/discard", auth.RoleOpsWrite, "Discard dead letters",
		"Notes that the letters are not to be redriven. They stay readable, and can be redriven all the same when they are asked for by name or state.", 409, 422)
	discard.DefaultStatus = http.StatusAccepted
	huma.Register(api, withExample(discard, letters), func(ctx context.Context, in *ActionInput) (*actionOutput, error) {
		return h.start(ctx, store.LetterDiscard, in)
	})
}

func (h *Handler) redrive(ctx context.Context, in *redriveInput) (*actionOutput, error) {
	if !in.DryRun {
		return h.start(ctx, store.LetterRedrive, &in.ActionInput)
	}
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	filter, err := withStates(in.Body.Filter)
	if err != nil {
		return nil, err
	}
	letters, matched, err := h.deps.Store.WholeLetters(ctx, tenant, filter, maxTried)
	if err != nil {
		return nil, h.failed(ctx, "read dead letters", err)
	}
	if in.ExpectedCount >= 0 && store.CountDiffers(matched, in.ExpectedCount) {
		return nil, countDiffers(matched, in.ExpectedCount)
	}
	plans, err := h.deps.Plans(ctx)
	if err != nil {
		return nil, h.failed(ctx, "try dead letters", err)
	}
	trial := h.try(ctx, plans, letters)
	trial.Matched = matched
	return &actionOutput{Status: http.StatusOK, Body: Answer{Trial: trial}}, nil
}

// start notes a job, which this process or another one runs.
func (h *Handler) start(ctx context.Context, what string, in *ActionInput) (*actionOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsWrite, in.Whose)
	if err != nil {
		return nil, err
	}
	filter, err := withStates(in.Body.Filter)
	if err != nil {
		return nil, err
	}
	n := store.NewLetterJob{
		TenantID: tenant, Action: what, Filter: filter, Reason: in.Body.Reason, Rate: in.Rate, By: actor(identity),
	}
	if in.ExpectedCount >= 0 {
		n.Expected = &in.ExpectedCount
	}
	job, err := h.deps.Store.StartLetterJob(ctx, n)
	if differs, ok := errors.AsType[*store.CountDiffersError](err); ok {
		return nil, countDiffers(differs.Matched, differs.Expected)
	}
	if errors.Is(err, store.ErrTooManyLetters) {
		return nil, invalid("filter", store.ErrTooManyLetters.Error())
	}
	if err != nil {
		return nil, h.failed(ctx, what+" dead letters", err)
	}
	h.runner.nudge()
	return &actionOutput{
		Status: http.StatusAccepted, Location: "/api/v1/dead-letters/jobs/" + job.ID.String(),
		Body: Answer{Job: h.describe(job, store.LetterOutcomes{}, nil)},
	}, nil
}

func countDiffers(matched, expected int) error {
	return problem.New(http.StatusConflict, "count-differs", fmt.Sprintf(
		"%d dead letters match now, and you expect %d; nothing was done. Look again, and ask with the number that you mean.", matched, expected))
}
