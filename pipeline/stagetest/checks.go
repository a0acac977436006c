package stagetest

import (
	"context"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"weak"

	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// A code is the label of a metric, so there must be few of them.
var codePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// everyEventIsSettled checks Invariant 1 as far as a stage can break it: a verdict without what explains it.
func everyEventIsSettled(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		batch := e.process(tb, e.build(tb), e.Events())
		for i := range batch.Len() {
			v := batch.Verdict(i)
			switch v.Outcome {
			case pipeline.Drop, pipeline.Reject:
				if !codePattern.MatchString(v.Reason.Code) {
					tb.Errorf("event %d: %s with the code %q; give Reason.Code a short, stable word such as \"duplicate\": it is counted by",
						i, v.Outcome, v.Reason.Code)
				}
				if v.Reason.Message == "" {
					tb.Errorf("event %d: %s (%s) without a message; say in Reason.Message what is wrong and what would be right",
						i, v.Outcome, v.Reason.Code)
				}
			case pipeline.Retry:
				if v.Err == nil {
					tb.Errorf("event %d: retry without an error; say with batch.Retry(i, err) what stood in the way", i)
				}
			default:
			}
		}
	})
}

// eventsKeepIdentity checks that a stage changes nothing of an event but its Enrichment, unless it has another take its place.
func eventsKeepIdentity(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		before, given := clone(events), slices.Clone(events)
		batch := e.process(tb, stage, events)
		for i := range given {
			replaced := batch.Event(i) != given[i]
			for _, field := range changed(before[i], given[i]) {
				switch {
				case replaced:
					tb.Errorf("event %d: %s was changed, and the event replaced; give batch.Replace a changed event.Clone(): the one that was "+
						"given is what is tried again, or dead-lettered", i, field)
				case field != "Enrichment":
					tb.Errorf("event %d: %s was changed; what a stage knows goes into Enrichment, and to change anything else it has another "+
						"event take its place (batch.Replace)", i, field)
				}
			}
			if replaced && !sameDelivery(before[i], batch.Event(i)) {
				tb.Errorf("event %d was replaced by one of another UID, tenant or time of receipt; leave what batch.Replace gave it", i)
			}
		}
	})
}

func sameDelivery(a, b *tracking.Event) bool {
	return a.UID == b.UID && a.TenantID == b.TenantID && a.ReceivedAt.Equal(b.ReceivedAt)
}

// enrichmentIsOwn checks that what a stage puts into one event is not also in another: a later stage may change it, and another
// worker may be reading it.
func enrichmentIsOwn(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		seen := map[uintptr]bool{}
		held := make([]*tracking.Event, 0, 2*len(events)) // so that no address is used twice
		for range 2 {
			for i, event := range eventsOf(e.process(tb, stage, clone(events))) {
				held = append(held, event)
				enrichment := reflect.ValueOf(event.Enrichment)
				for n := range enrichment.NumField() {
					field := enrichment.Field(n)
					if k := field.Kind(); k != reflect.Pointer && k != reflect.Map || field.IsNil() {
						continue
					}
					at := field.Pointer()
					if seen[at] {
						tb.Errorf("event %d: Enrichment.%s is another event's too; give each event a copy of its own",
							i, enrichment.Type().Field(n).Name)
					}
					seen[at] = true
				}
			}
		}
		runtime.KeepAlive(held)
	})
}

// changed names the fields in which two events differ.
func changed(a, b *tracking.Event) []string {
	var fields []string
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			fields = append(fields, va.Type().Field(i).Name)
		}
	}
	return fields
}

// settledEventsAreLeftAlone checks that a stage works on what is pending, and by the batch's indices.
func settledEventsAreLeftAlone(tb testing.TB, e *exerciser) {
	tb.Helper()
	settled := pipeline.Reason{Code: "exercise", Message: "settled before the stage saw it"}
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		want := e.settle(tb, stage, events)
		for parity := range 2 {
			batch := pipeline.NewBatch(clone(events))
			for i := range batch.Len() {
				if i%2 == parity {
					batch.Reject(i, settled)
				}
			}
			if err := e.run(tb.Context(), tb, stage, batch); err != nil {
				tb.Fatalf("Process failed on a batch with settled events: %v; go over batch.Pending()", err)
			}
			for i, got := range outcomesOf(batch) {
				switch fields := changed(events[i], batch.Event(i)); {
				case i%2 == parity && len(fields) > 0:
					tb.Errorf("event %d was settled before the stage, which changed its %v; go over batch.Pending()", i, fields)
				case i%2 != parity && got != want[i] && !e.Stateful:
					tb.Errorf("event %d: %s beside settled events where it was %s in a batch without; settle by the index that "+
						"batch.Pending() gives, not by a count of your own", i, got, want[i])
				}
			}
		}
	})
}

// settle has the stage process events twice and returns what became of them the second time, as of any later redelivery.
func (e *exerciser) settle(tb testing.TB, stage pipeline.Stage, events []*tracking.Event) []outcome {
	tb.Helper()
	e.process(tb, stage, clone(events))
	return outcomesOf(e.process(tb, stage, clone(events)))
}

// anEmptyBatchIsFine checks batches in which there is nothing to do.
func anEmptyBatchIsFine(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage := e.build(tb)
		if err := e.run(tb.Context(), tb, stage, pipeline.NewBatch(nil)); err != nil {
			tb.Errorf("Process failed on a batch without events: %v; return nil when there is nothing to do", err)
		}
		batch := pipeline.NewBatch(e.Events())
		for i := range batch.Len() {
			batch.Drop(i, pipeline.Reason{Code: "exercise", Message: "settled before the stage saw it"})
		}
		if err := e.run(tb.Context(), tb, stage, batch); err != nil {
			tb.Errorf("Process failed on a batch without pending events: %v; return nil when there is nothing to do", err)
		}
	})
}

// aRedeliveryIsJudgedAlike checks that the same events, delivered again, end as they did: a frame comes again whenever a
// process dies before it acknowledged, and not always with the same batch mates.
func aRedeliveryIsJudgedAlike(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		want := outcomesOf(e.process(tb, stage, clone(events)))
		e.sameOutcomes(tb, want, outcomesOf(e.process(tb, stage, clone(events))),
			"the same UID is a redelivery of the same event: remember UIDs, not just that something was seen")
		alone := make([]outcome, 0, len(events))
		for _, event := range clone(events) {
			alone = append(alone, outcomesOf(e.process(tb, stage, []*tracking.Event{event}))...)
		}
		e.sameOutcomes(tb, want, alone, "this time it came in a batch of its own: judge an event by itself, not by its batch mates")
	})
}

// aCancelledContextIsHonoured checks that a stage that is told to stop does, and judges nobody for it.
func aCancelledContextIsHonoured(tb testing.TB, e *exerciser) {
	tb.Helper()
	events := e.Events()
	want := e.first(tb, events)
	within(tb, func(tb testing.TB) {
		tb.Helper()
		ctx, cancel := context.WithCancel(tb.Context())
		cancel()
		stage, batch := e.build(tb), pipeline.NewBatch(clone(events))
		err := e.run(ctx, tb, stage, batch)
		if err == nil && batch.PendingLen() > 0 {
			tb.Errorf("the context was cancelled, yet Process returned nil and %d events pass; look at ctx.Err() before each piece of "+
				"work and return it", batch.PendingLen())
		}
		e.judgedForNothing(tb, want, batch)
	})
	within(tb, func(tb testing.TB) {
		tb.Helper()
		ctx, cancel := context.WithCancel(tb.Context())
		defer cancel()
		stage, batch := e.build(tb), pipeline.NewBatch(clone(events))
		go cancel()                      // while it works
		_ = e.run(ctx, tb, stage, batch) // it may have been too late to matter
		e.judgedForNothing(tb, want, batch)
	})
}

// judgedForNothing fails when an event that passes is dropped or rejected because the context was cancelled.
func (e *exerciser) judgedForNothing(tb testing.TB, want []outcome, batch *pipeline.Batch) {
	tb.Helper()
	for i, got := range outcomesOf(batch) {
		ended := got.outcome == pipeline.Drop || got.outcome == pipeline.Reject
		if ended && got != want[i] && !e.Stateful {
			tb.Errorf("event %d: %s because the context was cancelled, where it was %s; return ctx.Err(), so that the event is retried",
				i, got, want[i])
		}
	}
}

// How many goroutines share a stage in the check, and how many batches each of them has.
const (
	workers = 8
	rounds  = 4
)

// workersMayShareIt checks that several goroutines may use the stage at once.
func workersMayShareIt(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		want := e.settle(tb, stage, events)
		start, results := make(chan struct{}), make(chan result, workers*rounds)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				<-start
				for range rounds {
					batch := pipeline.NewBatch(clone(events))
					err := guarded(tb.Context(), stage, batch)
					results <- result{outcomesOf(batch), err}
				}
			})
		}
		close(start)
		e.wait(tb, &wg)
		close(results)
		for r := range results {
			const advice = "other workers were at the stage: guard what calls share, or share nothing"
			if r.err != nil {
				tb.Fatalf("Process failed: %v; %s", r.err, advice)
			}
			e.sameOutcomes(tb, want, r.outcomes, advice)
		}
	})
}

type result struct {
	outcomes []outcome
	err      error
}

// wait waits for workers, but not for ever.
func (e *exerciser) wait(tb testing.TB, wg *sync.WaitGroup) {
	tb.Helper()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	patience := time.NewTimer(e.Patience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		tb.Fatalf("%d workers did not finish %d batches each within %s; let no call wait for another", workers, rounds, e.Patience)
	}
}

// theBatchIsLetGo checks that a stage keeps neither the batch nor its events: the engine uses them further.
func theBatchIsLetGo(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		batch := e.process(tb, stage, clone(events))
		verdicts, after := outcomesOf(batch), clone(eventsOf(batch))
		// As in the engine, others follow; what the stage still does to the first batch shows.
		for range 2 {
			e.process(tb, stage, clone(events))
		}
		for i := range after {
			if fields := changed(after[i], batch.Event(i)); len(fields) > 0 || outcomesOf(batch)[i] != verdicts[i] {
				tb.Errorf("event %d was changed after Process had returned; be done with a batch, and copy what is needed later", i)
			}
		}
		runtime.KeepAlive(stage)
	})
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage := e.build(tb)
		kept, events := e.released(tb, stage)
		for range 10 {
			runtime.GC()
			if kept.Value() == nil && !slices.ContainsFunc(events, isHeld) {
				return
			}
		}
		if kept.Value() != nil {
			tb.Errorf("the stage still holds the batch after Process has returned; copy what is needed later")
		}
		for i, event := range events {
			if isHeld(event) {
				tb.Errorf("the stage still holds event %d after Process has returned; copy what is needed later", i)
			}
		}
		runtime.KeepAlive(stage)
	})
}

func isHeld(event weak.Pointer[tracking.Event]) bool { return event.Value() != nil }

// released has the stage process a batch that nobody but the stage can hold afterwards.
//
//go:noinline
func (e *exerciser) released(tb testing.TB, stage pipeline.Stage) (weak.Pointer[pipeline.Batch], []weak.Pointer[tracking.Event]) {
	tb.Helper()
	batch := e.process(tb, stage, clone(e.Events()))
	events := make([]weak.Pointer[tracking.Event], batch.Len())
	for i := range events {
		events[i] = weak.Make(batch.Event(i))
	}
	return weak.Make(batch), events
}

func eventsOf(batch *pipeline.Batch) []*tracking.Event {
	events := make([]*tracking.Event, batch.Len())
	for i := range events {
		events[i] = batch.Event(i)
	}
	return events
}

// noGoroutineIsLeftBehind checks that what a stage starts ends with the call that started it, or with what it was given.
func noGoroutineIsLeftBehind(tb testing.TB, e *exerciser) {
	tb.Helper()
	round := func(tb testing.TB) {
		tb.Helper()
		e.process(tb, e.build(tb), e.Events())
	}
	within(tb, round) // what is started once a process, such as a server for tests, is there from now on
	before := goleak.IgnoreCurrent()
	within(tb, round)
	if err := goleak.Find(before); err != nil {
		tb.Errorf("goroutines are left when the stage is closed and what Subject.Settings gave it is done with: wait for what you "+
			"start before Process returns, or have the stage implement io.Closer: %v", err)
	}
}
