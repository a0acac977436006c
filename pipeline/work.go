package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Work is an event on its way through a chain.
type Work struct {
	Event *tracking.Event
	// Verdict is what has been decided; Pass after the last stage means that the event leaves the chain.
	Verdict Verdict
	// Stage is the name of the stage that gave a verdict other than Pass.
	Stage string
	// Attempts counts how often the event was retried at the stage that it stands before.
	Attempts int
	// Pause is how long to wait before the next Run when the verdict is Retry.
	Pause time.Duration
	// Origin is the work that this one was emitted for; nil when the event came to the chain from outside.
	Origin *Work
	// Copies are what routes have sent to topics on the way, whatever becomes of the event afterwards.
	Copies []Copy
	// Goto is the stage of another hop where a route has the event go on.
	Goto string
	// Left says that a route has the event leave the pipeline: only its Copies go anywhere.
	Left bool
	// Trail is how it came through the stages so far; nil before the first.
	Trail *Trail

	next int
	// entered says that the event met the stage's condition: it stays so while the event is tried again, whatever the stage
	// has added to it meanwhile.
	entered bool
	// used counts the attempts that were used up.
	used int
}

// Copy is a copy of an event for a topic.
type Copy struct {
	Topic string
	Event *tracking.Event
}

func (w *Work) pass() {
	w.next++
	w.Verdict, w.Stage, w.Attempts, w.Pause, w.entered, w.used = Verdict{}, "", 0, 0, false, 0
}

// Work makes work of events that enter the chain at the stage named, which is the first when there is no name. The error says
// that the chain has no such stage.
func (c *Chain) Work(events []*tracking.Event, entry string) ([]*Work, error) {
	next := 0
	if entry != "" {
		i, known := c.index(entry)
		if !known {
			return nil, fmt.Errorf("there is no stage %q here", entry)
		}
		next = i
	}
	return workAt(events, next), nil
}

func workAt(events []*tracking.Event, next int) []*Work {
	work := make([]*Work, len(events))
	for i, event := range events {
		work[i] = &Work{Event: event, next: next}
	}
	return work
}

// Emission is what a stage has to send by itself.
type Emission struct {
	Stage string
	// Work is to be run like any other: it stands behind the stage.
	Work []*Work
	// Sent is to be called once all of Work is settled.
	Sent func(context.Context) error
}

// Emits reports whether any stage of the chain has events to send by itself.
func (c *Chain) Emits() bool {
	for _, l := range c.links {
		if _, ok := l.stage.(Emitter); ok {
			return true
		}
	}
	return false
}

// Due returns what the stages have to send at a time.
func (c *Chain) Due(ctx context.Context, now time.Time) ([]Emission, error) {
	var all []Emission
	for i, l := range c.links {
		emitter, ok := l.stage.(Emitter)
		if !ok {
			continue
		}
		events, sent, err := emitter.Due(ctx, now)
		if err != nil {
			return all, fmt.Errorf("stage %q: what is due: %w", l.spec.Name, err)
		}
		if len(events) > 0 {
			all = append(all, Emission{Stage: l.spec.Name, Work: workAt(events, i+1), Sent: sent})
		}
	}
	return all, nil
}
