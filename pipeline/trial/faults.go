package trial

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
)

// Fault is something that goes wrong at a stage, on purpose. Which of Times, Batches and Skip are set says what it is.
type Fault struct {
	// Pipeline is where the stage stands; empty for any.
	Pipeline string
	Stage    string
	// When says which events the fault is about; nil for all.
	When *pipeline.Condition
	// Times is how often the stage has each event tried again, while it works. It uses up the event's attempts.
	Times int
	// Batches is how many times in a row the stage fails as a whole, as when what it depends on is down. It uses up no attempts.
	Batches int
	// Skip leaves the stage out: events pass it by.
	Skip bool
	// Err is what the stage fails with. Defaults to saying that it is a trial.
	Err error
}

var errInjected = errors.New("injected by the trial")

// Faults makes stages fail. Its Around is for Config.Around. What has happened already is remembered across a crash.
type Faults struct {
	mu     sync.Mutex
	faults []*faultState
}

type faultState struct {
	Fault

	batches int
	times   map[uuid.UUID]int
}

// NewFaults returns faults that have not happened yet.
func NewFaults(faults ...Fault) *Faults {
	f := &Faults{}
	for _, fault := range faults {
		if fault.Err == nil {
			fault.Err = errInjected
		}
		f.faults = append(f.faults, &faultState{Fault: fault, times: map[uuid.UUID]int{}})
	}
	return f
}

// Around runs a stage, or has it fail.
func (f *Faults) Around(ctx context.Context, at Place, batch *pipeline.Batch, next pipeline.Stage) error {
	skip, err := f.strike(at, batch)
	if skip || err != nil {
		return err
	}
	return next.Process(ctx, batch)
}

func (f *Faults) strike(at Place, batch *pipeline.Batch) (skip bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		if fault.Stage != at.Stage || fault.Pipeline != "" && fault.Pipeline != at.Pipeline {
			continue
		}
		if fault.Skip {
			return true, nil
		}
		if fault.batches < fault.Batches {
			fault.batches++
			return false, fault.Err
		}
		if fault.Times > 0 {
			if err := fault.retry(batch); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func (f *faultState) retry(batch *pipeline.Batch) error {
	for i, event := range batch.Pending() {
		if f.times[event.UID] >= f.Times {
			continue
		}
		if f.When != nil {
			holds, err := f.When.Holds(event)
			if err != nil {
				return err
			}
			if !holds {
				continue
			}
		}
		f.times[event.UID]++
		batch.Retry(i, f.Err)
	}
	return nil
}
