package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

const (
	// maxTried is how many letters a dry run tries: those that were rejected first.
	maxTried = 500
	// trialTime bounds a dry run; what is not tried by then is unknown.
	trialTime = 20 * time.Second
	// trialRetries is how often a stage is tried before its answer is unknown.
	trialRetries = 3
)

// What would become of a letter.
const (
	wouldPass      = "pass"
	wouldReject    = "rejected"
	wouldDrop      = "dropped"
	wouldFail      = "failed"
	wouldBeUnknown = "unknown"
)

// Trial says what would happen if letters were redriven as the pipelines are configured today.
type Trial struct {
	Matched  int            `json:"matched" doc:"How many letters match"`
	Tried    int            `json:"tried" doc:"How many of them were tried: those that were rejected first"`
	Outcomes map[string]int `json:"outcomes" doc:"How many would pass, be rejected again, be dropped; failed: could not be redriven; unknown: a stage gave no answer"`
	Letters  []LetterTrial  `json:"letters" doc:"What would happen to each"`
	NotRun   []string       `json:"not_run,omitempty" doc:"Stages that were taken to pass, because they do something outside"`
}

// LetterTrial says what would happen to a letter.
type LetterTrial struct {
	LetterID  uuid.UUID `json:"letter_id" doc:"The letter"`
	UID       uuid.UUID `json:"uid" doc:"The event"`
	Pipeline  string    `json:"pipeline" doc:"The pipeline"`
	Stage     string    `json:"stage" doc:"The stage that rejected it"`
	Enters    string    `json:"enters,omitempty" doc:"The stage that it would go to"`
	FromStart bool      `json:"from_start,omitempty" doc:"The pipeline has no such stage any more: it would begin anew"`
	Outcome   string    `json:"outcome" enum:"pass,rejected,dropped,failed,unknown" doc:"What would become of it"`
	At        string    `json:"at,omitempty" doc:"The stage that would reject or drop it"`
	Code      string    `json:"reason,omitempty" doc:"Why, as a code"`
	Message   string    `json:"message,omitempty" doc:"Why, in words"`
	Field     string    `json:"field,omitempty" doc:"JSON pointer to the offending part"`
}

// settle notes an outcome; of several events of a letter the worst counts.
func (l *LetterTrial) settle(outcome, at string, reason pipeline.Reason) {
	order := []string{"", wouldPass, wouldDrop, wouldReject, wouldBeUnknown, wouldFail}
	if slices.Index(order, outcome) > slices.Index(order, l.Outcome) {
		l.Outcome, l.At, l.Code, l.Message, l.Field = outcome, at, reason.Code, reason.Message, reason.Field
	}
}

// tried is a letter on its way through a trial.
type tried struct {
	answer *LetterTrial
	again  routers.Redrive
}

// try runs letters through their pipelines from the stage on to which they would be sent, without a broker and with nothing
// that lasts.
func (h *Handler) try(ctx context.Context, plans []pipeline.Plan, letters []store.Letter) *Trial {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	t := &Trial{Tried: len(letters), Outcomes: map[string]int{}, Letters: make([]LetterTrial, len(letters))}
	type place struct{ pipeline, stage string }
	var places []place
	groups := map[place][]tried{}
	for i, letter := range letters {
		answer := &t.Letters[i]
		*answer = LetterTrial{LetterID: letter.ID, UID: letter.UID, Pipeline: letter.Pipeline, Stage: letter.Stage}
		again, err := h.deps.Redriver.Prepare(plans, letter)
		if err != nil {
			answer.settle(wouldFail, "", pipeline.Reason{Message: err.Error()})
			continue
		}
		answer.Enters, answer.FromStart = again.Stage, again.FromStart
		at := place{letter.Pipeline, again.Stage}
		if groups[at] == nil {
			places = append(places, at)
		}
		groups[at] = append(groups[at], tried{answer, again})
	}
	for _, at := range places {
		h.tryGroup(ctx, t, groups[at])
	}
	for _, l := range t.Letters {
		t.Outcomes[l.Outcome]++
	}
	return t
}

// tryGroup tries letters that enter a pipeline at the same stage: together, as they would arrive, or each by itself when one of
// them keeps the others from an answer.
func (h *Handler) tryGroup(ctx context.Context, t *Trial, group []tried) {
	err := h.run(ctx, t, group)
	if err == nil {
		return
	}
	for _, one := range group {
		if len(group) > 1 {
			err = h.run(ctx, t, []tried{one})
		}
		if err != nil {
			why := err.Error()
			if ctx.Err() != nil {
				why = "there was no time to try it"
			}
			one.answer.settle(wouldBeUnknown, "", pipeline.Reason{Message: why})
		}
	}
}

func (h *Handler) run(ctx context.Context, t *Trial, group []tried) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	plan := from(group[0].again.Plan, group[0].again.Stage)
	skipped := acting(plan)
	clock := trial.NewManual(h.deps.Now())
	settings := h.deps.Trial(clock)
	settings.Logger = slog.New(slog.DiscardHandler)
	answers := map[int64]*LetterTrial{}
	var outcomes []func() // only when all is well: what is tried again is not to count twice
	runner, err := trial.New(trial.Config{
		Plans: []pipeline.Plan{plan}, Settings: settings, Clock: clock, Carry: h.deps.Redriver.Carry, MaxRetries: trialRetries,
		Around: func(ctx context.Context, at trial.Place, batch *pipeline.Batch, next pipeline.Stage) error {
			if slices.Contains(skipped, at.Stage) {
				return nil
			}
			return next.Process(ctx, batch)
		},
		Done: func(o trial.Outcome) error {
			if answer := answers[o.Seq]; answer != nil && o.Parent == uuid.Nil {
				outcomes = append(outcomes, func() { answer.settle(outcomeOf(o.Verdict.Outcome), o.Stage, o.Verdict.Reason) })
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	seq := int64(0)
	for _, one := range group {
		for range one.again.Events {
			seq++
			answers[seq] = one.answer
		}
	}
	for _, one := range group {
		if err == nil {
			err = runner.Send(ctx, plan.Hops[0].From, one.again.Events...)
		}
	}
	if err == nil {
		err = runner.Settle(ctx)
	}
	if err = errors.Join(err, runner.Close()); err != nil {
		return err
	}
	for _, settle := range outcomes {
		settle()
	}
	for _, stage := range skipped {
		if name := plan.Pipeline + "." + stage; !slices.Contains(t.NotRun, name) {
			t.NotRun = append(t.NotRun, name)
		}
	}
	return unanswered(group)
}

// unanswered reports that the pipeline said nothing of an event.
func unanswered(group []tried) error {
	for _, one := range group {
		if one.answer.Outcome == "" {
			return fmt.Errorf("nothing is said of event %s", one.answer.UID)
		}
	}
	return nil
}

func outcomeOf(o pipeline.Outcome) string {
	switch o {
	case pipeline.Drop:
		return wouldDrop
	case pipeline.Reject:
		return wouldReject
	default:
		return wouldPass
	}
}

// from returns what a plan has from a stage on, which the plan must have.
func from(plan pipeline.Plan, stage string) pipeline.Plan {
	for i, hop := range plan.Hops {
		at := slices.IndexFunc(hop.Stages, func(s pipeline.StageSpec) bool { return s.Name == stage })
		if at < 0 {
			continue
		}
		plan.Hops = slices.Clone(plan.Hops[i:])
		plan.Hops[0].Name, plan.Hops[0].Stages = stage, hop.Stages[at:]
		return plan
	}
	return plan
}

// acting returns the stages of a plan that do something outside of Rastro.
func acting(plan pipeline.Plan) (names []string) {
	for _, hop := range plan.Hops {
		for _, stage := range hop.Stages {
			if a, ok := asActing(stage.Config()); ok && a.Action() != "" {
				names = append(names, stage.Name)
			}
		}
	}
	return names
}

// asActing finds the trait whether its method is the config's or that of a pointer to it.
func asActing(config any) (pipeline.Acting, bool) {
	if a, ok := config.(pipeline.Acting); ok || config == nil {
		return a, ok
	}
	pointer := reflect.New(reflect.TypeOf(config))
	pointer.Elem().Set(reflect.ValueOf(config))
	a, ok := pointer.Interface().(pipeline.Acting)
	return a, ok
}
