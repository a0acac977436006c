package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
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
	const random = 42                                        // bits, behind the number of the event
	n := uint64(line)<<8 | uint64(copied)&0xff               //nolint:gosec // neither is negative
	high := uint64(at.UnixMilli())<<16 | 7<<12 | n>>20&0xfff //nolint:gosec // of our own times
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

// gathered gathers what comes of a run.
type gathered struct {
	sent    []caseEvent
	crash   caseRun
	crashed bool

	left     []trial.Output
	outcomes []trial.Outcome
}

func (g *gathered) output(o trial.Output) error {
	g.left = append(g.left, o)
	return nil
}

func (g *gathered) done(o trial.Outcome) error {
	g.outcomes = append(g.outcomes, o)
	return nil
}

func (g *gathered) dies(at trial.Moment) bool {
	if g.crash.crash == "" || g.crashed || at.Published != g.crash.published {
		return false
	}
	g.crashed = slices.ContainsFunc(at.Hop.Stages, func(s pipeline.StageSpec) bool { return s.Name == g.crash.crash })
	return g.crashed
}

// line returns the place in the input of what came of a sent event; what came of none stands behind all.
func (g *gathered) line(seq int64) int {
	if seq == 0 {
		return len(g.sent)
	}
	return g.sent[seq-1].line
}

// landed is a line of the result and what it is sorted by.
type landed struct {
	line   int
	where  string
	fields map[string]any
}

func inOrder(list []landed) []map[string]any {
	slices.SortStableFunc(list, func(a, b landed) int { return cmp.Or(a.line-b.line, strings.Compare(a.where, b.where)) })
	out := make([]map[string]any, len(list))
	for i, l := range list {
		out[i] = l.fields
	}
	return out
}

func (g *gathered) result(in int, memory *persist.Memory) (*caseResult, error) {
	r := &caseResult{in: in}
	var err error
	if r.left, err = g.leaving(); err != nil {
		return nil, err
	}
	if r.dead, err = g.ended(pipeline.Reject); err != nil {
		return nil, err
	}
	if r.dropped, err = g.ended(pipeline.Drop); err != nil {
		return nil, err
	}
	return r, r.keep(memory)
}

// leaving returns what left. On the wire an event may come more than once, with the same UID: it counts once.
func (g *gathered) leaving() ([]map[string]any, error) {
	type key struct {
		topic string
		uid   uuid.UUID
	}
	seen := map[key]bool{}
	var list []landed
	for _, o := range g.left {
		k := key{o.Topic, o.Event.UID}
		if seen[k] {
			continue
		}
		seen[k] = true
		fields, err := fieldsOf(o.Event)
		if err != nil {
			return nil, err
		}
		fields["topic"] = o.Topic
		list = append(list, landed{g.line(o.Seq), o.Topic, fields})
	}
	return inOrder(list), nil
}

// ended returns what was dead-lettered, or dropped. Of the copies of one event that were sent it is told once and, when they
// were dropped, only if none of them was not.
func (g *gathered) ended(how pipeline.Outcome) ([]map[string]any, error) {
	type key struct {
		line     int
		uid      uuid.UUID
		pipeline string
		stage    string
		code     string
	}
	spared := map[int]bool{}
	for _, o := range g.outcomes {
		if g.isSent(o) && o.Verdict.Outcome != pipeline.Drop {
			spared[g.line(o.Seq)] = true
		}
	}
	seen := map[key]bool{}
	var list []landed
	for _, o := range g.outcomes {
		if o.Verdict.Outcome != how {
			continue
		}
		k := key{g.line(o.Seq), uuid.Nil, o.Pipeline, o.Stage, o.Verdict.Reason.Code}
		if !g.isSent(o) {
			k.uid = o.Event.UID
		} else if how == pipeline.Drop && spared[k.line] {
			continue
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		fields, err := fieldsOf(o.Event)
		if err != nil {
			return nil, err
		}
		reason := o.Verdict.Reason
		maps.Copy(fields, map[string]any{"pipeline": o.Pipeline, "stage": o.Stage, "code": reason.Code, "message": reason.Message})
		if reason.Field != "" {
			fields["field"] = reason.Field
		}
		list = append(list, landed{k.line, o.Pipeline + " " + o.Stage, fields})
	}
	return inOrder(list), nil
}

// isSent reports whether an outcome is that of an event that was sent, in the pipeline that it was sent to.
func (g *gathered) isSent(o trial.Outcome) bool {
	return o.Seq > 0 && o.Event.UID == g.sent[o.Seq-1].event.UID && o.Pipeline == g.crash.specs[0].Name
}

// keep notes what is stored.
func (r *caseResult) keep(memory *persist.Memory) error {
	for _, event := range memory.Events() {
		fields, err := fieldsOf(event)
		if err != nil {
			return err
		}
		delete(fields, "uid")
		r.stored = append(r.stored, fields)
	}
	slices.SortStableFunc(r.stored, func(a, b any) int { return strings.Compare(canonical(a), canonical(b)) })
	for _, trace := range memory.Traces() {
		fields, err := fieldsOf(trace)
		if err != nil {
			return err
		}
		if list, ok := fields["events"].([]any); ok {
			for _, e := range list {
				if event, ok := e.(map[string]any); ok {
					delete(event, "uid")
				}
			}
		}
		r.traces = append(r.traces, fields)
	}
	return nil
}

// fieldsOf returns a value as the JSON object that it is on the wire.
func fieldsOf(value any) (map[string]any, error) {
	text, err := lineOf(value)
	if err != nil {
		return nil, err
	}
	parsed, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	fields, _ := parsed.(map[string]any)
	return fields, nil
}

// canonical returns a JSON value as text that is the same for the same value.
func canonical(value any) string {
	text, err := lineOf(value)
	if err != nil {
		return err.Error() // what was parsed from JSON can be written
	}
	return strings.TrimSpace(string(text))
}
