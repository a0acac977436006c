package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/tracking"
)

// caseRun is one of the ways in which a case is run. All of them must have the same result.
type caseRun struct {
	name  string
	specs []pipeline.Spec
	// plain leaves out what must not change what is stored: duplicates, redeliveries, disorder, outages and crashes.
	plain bool
	// crash is the stage after which the process dies; empty when it does not.
	crash     string
	published bool
}

// caseResult is what came of a run, each list in the order of the events that it came of.
type caseResult struct {
	in      int
	left    []map[string]any
	dead    []map[string]any
	dropped []map[string]any
	// stored are the events, and traces the traces, without the UIDs that deliveries have.
	stored []any
	traces []map[string]any
}

func countNames() []string { return []string{"in", "left", "dead", "dropped", "stored", "traces"} }

func (r *caseResult) counts() map[string]int {
	return map[string]int{
		"in": r.in, "left": len(r.left), "dead": len(r.dead), "dropped": len(r.dropped), "stored": len(r.stored), "traces": len(r.traces),
	}
}

// runs returns the ways in which to run a case: as configured, with every stage in a hop of its own, and with all in one
// (Invariant 9), each of them killed at either moment where that is asked for.
func (c *pipelineCase) runs(specs []pipeline.Spec) []caseRun {
	var runs []caseRun
	var seen []string
	add := func(name string, specs []pipeline.Spec) {
		layout := layoutOf(specs)
		if slices.Contains(seen, layout) {
			return
		}
		seen = append(seen, layout)
		if len(c.Inject.CrashAfter) == 0 {
			runs = append(runs, caseRun{name: name, specs: specs})
		}
		for _, stage := range c.Inject.CrashAfter {
			runs = append(runs,
				caseRun{name: name + ", killed after " + stage + " before it published", specs: specs, crash: stage},
				caseRun{name: name + ", killed after " + stage + " before it acknowledged", specs: specs, crash: stage, published: true})
		}
	}
	add("as configured", specs)
	for _, layout := range []struct {
		name  string
		fused bool
	}{{"each stage in a hop of its own", false}, {"all stages in one hop", true}} {
		others := make([]pipeline.Spec, len(specs))
		for i, spec := range specs {
			others[i] = spec.Fused(layout.fused)
		}
		add(layout.name, others)
	}
	if c.Inject.disturbs() {
		runs = append(runs, caseRun{name: "undisturbed", specs: specs, plain: true})
	}
	return runs
}

func layoutOf(specs []pipeline.Spec) string {
	var b strings.Builder
	for _, spec := range specs {
		for _, stage := range spec.Stages {
			fmt.Fprint(&b, stage.Fuse, " ")
		}
	}
	return b.String()
}

// disturbs reports whether anything is injected that must not change what is stored.
func (i caseInject) disturbs() bool {
	return i.Duplicates > 0 || i.Redeliveries > 0 || i.Disorder != nil || len(i.Outage) > 0 || len(i.CrashAfter) > 0
}

// stagesNamed returns the stages that the case names, for a check that they are there.
func (c *pipelineCase) stagesNamed() []string {
	names := slices.Concat(c.Without, c.Inject.CrashAfter)
	for _, f := range c.Inject.Fail {
		names = append(names, f.Stage)
	}
	for _, o := range c.Inject.Outage {
		names = append(names, o.Stage)
	}
	return names
}

func (c *pipelineCase) checkStages(specs []pipeline.Spec) error {
	var known []string
	for _, spec := range specs {
		for _, stage := range spec.Stages {
			known = append(known, stage.Name)
		}
	}
	for _, name := range c.stagesNamed() {
		if slices.Contains(known, name) {
			continue
		}
		message := fmt.Sprintf("there is no stage %q", name)
		if meant := suggest.Closest(name, known); meant != "" {
			message += fmt.Sprintf("; did you mean %q?", meant)
		}
		return errors.New(message)
	}
	return nil
}

func (c *pipelineCase) faults(plain bool) *trial.Faults {
	var faults []trial.Fault
	for _, name := range c.Without {
		faults = append(faults, trial.Fault{Stage: name, Skip: true})
	}
	if !plain {
		for _, o := range c.Inject.Outage {
			faults = append(faults, trial.Fault{Stage: o.Stage, Batches: max(1, o.Batches), Err: errors.New(cmp.Or(o.Error, "down, says the case"))})
		}
	}
	for _, f := range c.Inject.Fail {
		when := f.When
		faults = append(faults, trial.Fault{Stage: f.Stage, Times: max(1, f.Times), When: &when, Err: errors.New(cmp.Or(f.Error, "fails, says the case"))})
	}
	return trial.NewFaults(faults...)
}

// maxCaseRetries is how often an event of a case is retried until the case is given up.
const maxCaseRetries = 2000

// caseEvent is an event of the input, and the copies of it that are sent.
type caseEvent struct {
	line  int // its place among the events
	event *tracking.Event
}

// decodeInput makes events of the case's input. now is the case's clock.
func (c *pipelineCase) decodeInput() (list []*tracking.Event, now time.Time, err error) {
	list = make([]*tracking.Event, len(c.In.lines))
	decoder := eventDecoder{tenant: c.Tenant, source: c.Source, now: func() time.Time { return c.Now.Time }, uid: func(int) uuid.UUID { return uuid.Nil }}
	var last time.Time
	for i, line := range c.In.lines {
		if list[i], err = decoder.decode(line.line, line.text); err != nil {
			return nil, now, &caseError{c.In.file, line.line, err}
		}
		if list[i].OccurredAt.After(last) {
			last = list[i].OccurredAt
		}
	}
	// Without a time of its own a case plays right after what happens in it.
	now = c.Now.Time
	if now.IsZero() {
		now = last.Truncate(time.Second).Add(time.Minute)
	}
	for i, event := range list {
		if event.ReceivedAt.Equal(c.Now.UTC()) {
			event.ReceivedAt = now.UTC()
		}
		if event.UID == uuid.Nil {
			event.UID = caseUID(event.ReceivedAt, i, 0)
		}
	}
	return list, now, nil
}

// caseUID returns a UUIDv7 (RFC 9562) that is the same in every run: those of later lines, and of later copies of a line, are
// greater.
func caseUID(at time.Time, line, copied int) uuid.UUID {
	const random = 42                          // bits, behind the number of the event
	n := uint64(line)<<8 | uint64(copied)&0xff //nolint:gosec // neither is negative
	high := uint64(at.UnixMilli())<<16 | 7<<12 | n>>20&0xfff
	low := 2<<62 | n&0xfffff<<random
	var uid uuid.UUID
	binary.BigEndian.PutUint64(uid[:8], high)
	binary.BigEndian.PutUint64(uid[8:], low)
	digest := sha256.Sum256(uid[:])
	binary.BigEndian.PutUint64(uid[8:], low|binary.BigEndian.Uint64(digest[:])>>(64-random))
	return uid
}

// deliveries returns what is sent, in order.
func (c *pipelineCase) deliveries(events []*tracking.Event, plain bool) []caseEvent {
	var all []caseEvent
	for i, event := range events {
		all = append(all, caseEvent{i, event})
	}
	if plain {
		return all
	}
	for i, event := range events {
		for n := range c.Inject.Duplicates {
			again := event.Clone()
			again.UID = caseUID(event.ReceivedAt, i, n+1)
			all = append(all, caseEvent{i, again})
		}
		for range c.Inject.Redeliveries {
			all = append(all, caseEvent{i, event})
		}
	}
	if c.Inject.Disorder != nil {
		r := rand.New(rand.NewPCG(*c.Inject.Disorder, 0)) //nolint:gosec // it must be the same every time
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

// run runs a case in one way.
func (c *pipelineCase) run(ctx context.Context, files configuration, r caseRun) (*caseResult, error) {
	events, now, err := c.decodeInput()
	if err != nil {
		return nil, err
	}
	carry, err := carrier()
	if err != nil {
		return nil, err
	}
	clock := trial.NewManual(now)
	memory := persist.NewMemory()
	sent := c.deliveries(events, r.plain)
	gathered := &gathered{sent: sent, crash: r}
	runner, err := trial.New(trial.Config{
		Plans: plansOf(r.specs), Settings: inMemory(files, clock, memory), Clock: clock, Carry: carry,
		Around: c.faults(r.plain).Around, MaxRetries: maxCaseRetries, MaxInFlight: len(sent) + 1,
		Output: gathered.output, Done: gathered.done, Crash: gathered.dies,
	})
	if err != nil {
		return nil, err
	}
	err = send(ctx, runner, r.specs[0].From, sent, time.Duration(c.Pass))
	if err = errors.Join(err, runner.Close()); err != nil {
		return nil, err
	}
	if r.crash != "" && !gathered.crashed {
		return nil, fmt.Errorf("no event is settled by the hop of stage %q, so that the process never dies there", r.crash)
	}
	return gathered.result(len(events), memory)
}

func send(ctx context.Context, runner *trial.Runner, topic string, sent []caseEvent, pass time.Duration) error {
	list := make([]*tracking.Event, len(sent))
	for i, d := range sent {
		list[i] = d.event
	}
	if err := runner.Send(ctx, topic, list...); err != nil {
		return err
	}
	if err := runner.Settle(ctx); err != nil {
		return err
	}
	return runner.Pass(ctx, pass)
}
