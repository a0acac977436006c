package cli

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/stages/persist"
)

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
		for _, name := range []string{"events", "by_aggregate"} {
			list, _ := fields[name].([]any)
			for _, entry := range list {
				event, _ := entry.(map[string]any)
				delete(event, "uid")
				last, _ := event["last_event"].(map[string]any)
				delete(last, "uid")
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
