package ops

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
)

// Job is a job that redrives or discards dead letters, and how it gets on.
type Job struct {
	store.LetterJob

	Settled   int                   `json:"settled" doc:"How many of the letters it is done with"`
	PerSecond float64               `json:"per_second" doc:"How many a second, since the first was taken"`
	Outcomes  *store.LetterOutcomes `json:"outcomes,omitempty" doc:"What became of the events that were redriven, as far as it is known"`
	Notes     []store.LetterNote    `json:"notes,omitempty" doc:"What is to be said of some letters, such as errors; the most frequent first"`
}

type jobInput struct {
	Whose
	ID string `path:"id" doc:"The job" example:"0197a6f0-1c2b-7c3d-8e4f-000000000002"`
}

type jobOutput struct{ Body *Job }

type jobsInput struct {
	Whose
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"20" doc:"How many" example:"20"`
}

type jobsOutput struct{ Body JobList }

// JobList are the latest jobs.
type JobList struct {
	Items []*Job `json:"items" doc:"The latest first"`
}

func (h *Handler) registerJobs(api huma.API) {
	huma.Register(api, operation("list-dead-letter-jobs", http.MethodGet, "dead-letters/jobs", auth.RoleOpsRead,
		"Jobs", "The latest jobs that redrive or discard dead letters.", 422), h.jobs)
	huma.Register(api, operation("get-dead-letter-job", http.MethodGet, "dead-letters/jobs/{id}", auth.RoleOpsRead,
		"A job", "How far it is, how fast it goes, and what became of the events.", 404), h.job)
	huma.Register(api, operation("cancel-dead-letter-job", http.MethodPost, "dead-letters/jobs/{id}/cancel", auth.RoleOpsWrite,
		"Cancel a job", "It stops after the letters in hand; the others stay as they are. A job that has ended stays so.", 404), h.cancel)
	// After the addresses that would else be taken for letters.
	huma.Register(api, operation("get-dead-letter", http.MethodGet, "dead-letters/{id}", auth.RoleOpsRead,
		"A dead letter", "With the original bytes and all that was done with it.", 404), h.letter)
}

// describe returns a job as it is answered.
func (h *Handler) describe(job store.LetterJob, outcomes store.LetterOutcomes, notes []store.LetterNote) *Job {
	b := &Job{LetterJob: job, Settled: job.Settled(), Notes: notes}
	if job.Action == store.LetterRedrive {
		b.Outcomes = &outcomes
	}
	if job.StartedAt != nil {
		end := h.deps.Now()
		if job.FinishedAt != nil {
			end = *job.FinishedAt
		}
		if d := end.Sub(*job.StartedAt).Seconds(); d > 0 {
			b.PerSecond = float64(b.Settled) / d
		}
	}
	return b
}

func (h *Handler) jobs(ctx context.Context, in *jobsInput) (*jobsOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	jobs, err := h.deps.Store.LetterJobs(ctx, tenant, in.Limit)
	if err != nil {
		return nil, h.failed(ctx, "read jobs", err)
	}
	list := JobList{Items: make([]*Job, len(jobs))}
	for i, job := range jobs {
		list.Items[i] = h.describe(job, store.LetterOutcomes{}, nil)
		list.Items[i].Outcomes = nil
	}
	return &jobsOutput{list}, nil
}

func (h *Handler) job(ctx context.Context, in *jobInput) (*jobOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	return h.readJob(ctx, tenant, in.ID)
}

func (h *Handler) readJob(ctx context.Context, tenant, text string) (*jobOutput, error) {
	id, err := identified(text, "job")
	if err != nil {
		return nil, err
	}
	job, outcomes, notes, err := h.deps.Store.LetterJob(ctx, tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("job")
	}
	if err != nil {
		return nil, h.failed(ctx, "read a job", err)
	}
	return &jobOutput{h.describe(job, outcomes, notes)}, nil
}

func (h *Handler) cancel(ctx context.Context, in *jobInput) (*jobOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsWrite, in.Whose)
	if err != nil {
		return nil, err
	}
	id, err := identified(in.ID, "job")
	if err != nil {
		return nil, err
	}
	err = h.deps.Store.CancelLetterJob(ctx, tenant, id, actor(identity))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("job")
	}
	if err != nil {
		return nil, h.failed(ctx, "cancel a job", err)
	}
	h.runner.nudge()
	return h.readJob(ctx, tenant, in.ID)
}
