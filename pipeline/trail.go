package pipeline

import (
	"time"
)

// Step is what a stage made of an event.
type Step struct {
	Stage string
	// Outcome is Pass, Drop or Reject: what is retried has not got through the stage.
	Outcome Outcome
	// At is when the stage began with the batch that the event was in, Took how long it took for it.
	At   time.Time
	Took time.Duration
	// Attempt counts how often this process tried the event at the stage, from 1.
	Attempt int
	// Events is how many events were in the batch.
	Events int
}

// Trail is how an event came through the stages of a chain. Events that went the same way in the same batches share one, so that
// it costs next to nothing to keep. A trail never changes.
type Trail struct {
	// Before is the trail up to the last step; nil when that is the first.
	Before *Trail
	Step
}

// Steps returns the steps, the first one first.
func (t *Trail) Steps() []Step {
	n := 0
	for at := t; at != nil; at = at.Before {
		n++
	}
	steps := make([]Step, n)
	for at := t; at != nil; at = at.Before {
		n--
		steps[n] = at.Step
	}
	return steps
}

// stepper adds a batch's step at a stage to the trails of its events. Neighbours mostly share their trail and their verdict, and go on to.
type stepper struct {
	step Step
	last *Trail
}

func (s *stepper) after(before *Trail, outcome Outcome, attempt int) *Trail {
	if t := s.last; t == nil || t.Before != before || t.Outcome != outcome || t.Attempt != attempt {
		step := s.step
		step.Outcome, step.Attempt = outcome, attempt
		s.last = &Trail{before, step}
	}
	return s.last
}
