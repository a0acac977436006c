package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Source is a pipeline file as it was read.
type Source struct {
	// File is where it was read, for findings.
	File string
	Text []byte
}

// Checker checks pipelines that run together: each file by itself, all of them as the graph they form, and each stage as far
// as it can be built without what only a running process has.
type Checker struct {
	Registry *Registry
	// Settings are for building stages. A stage that lacks a resource is taken to be right (ErrNoResource).
	Settings Settings
	// Entries are the topics that something other than a pipeline writes.
	Entries []string
	// Resolver gives what references in the files stand for; nil when they have nothing but defaults.
	Resolver Resolver
	// Delivery is what the pipelines are checked against that broker, edge and process allow.
	Delivery Limits
}

// Check returns the pipelines of those sources that are right by themselves, in order, and all that is wrong with any.
// Findings about several files stand in the later one.
func (c Checker) Check(sources ...Source) ([]Spec, Findings) {
	return c.CheckContext(context.Background(), sources...)
}

// CheckContext is Check with a context for what the Resolver fetches.
func (c Checker) CheckContext(ctx context.Context, sources ...Source) ([]Spec, Findings) {
	var specs []located
	var all Findings
	for _, source := range sources {
		spec, body, err := parse(ctx, source.File, source.Text, c.Registry, c.Resolver)
		if found, ok := errors.AsType[Findings](err); ok {
			all = append(all, found...)
			continue
		}
		l := located{Spec: spec, nodes: locate(body)}
		all = append(all, c.build(l)...)
		specs = append(specs, l)
	}
	g := newGraph(specs, c.Entries)
	all = append(all, g.check()...)
	all = append(all, c.delivery(specs)...)
	order := map[string]int{}
	for i, source := range sources {
		order[source.File] = i
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
	out := make([]Spec, len(specs))
	for i, spec := range specs {
		out[i] = spec.Spec
	}
	return out, all
}

// build builds every stage by itself and throws it away.
func (c Checker) build(l located) Findings {
	settings := c.Settings
	if settings.Logger == nil {
		settings.Logger = slog.New(slog.DiscardHandler)
	}
	if settings.Now == nil {
		settings.Now = time.Now
	}
	f := findings{file: l.File}
	for i, stage := range l.Stages {
		if stage.fit == fitUnknown {
			continue
		}
		built, err := stage.Build(l.Name, settings)
		if closer, ok := built.(io.Closer); ok && err == nil {
			err = closer.Close()
		}
		if err == nil || errors.Is(err, ErrNoResource) {
			continue
		}
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // where the stage stands is said by the finding's place
		}
		// A YAML error of a file that the stage reads has its place in that file, not in this one.
		at := mentioned(l.nodes.stage(i), err.Error())
		if stage.fit == fitGuessed && (at == l.nodes.stage(i) || isGuess(err.Error())) {
			continue
		}
		f.add(at, "build", fmt.Sprintf("stage %q cannot be built: %v", stage.Name, err), "")
	}
	return f.list
}

// located is a spec with the places of what can be wrong with it beside others.
type located struct {
	Spec
	nodes nodes
}

func (l located) finding(node ast.Node, code, message, hint string) Finding {
	f := findings{file: l.File}
	f.add(node, code, message, hint)
	return f.list[0]
}

// nodes are the values of a pipeline file by key, and those of its stages.
type nodes struct {
	fields map[string]ast.Node
	stages []map[string]ast.Node
}

// stage returns where a finding about the config of stage i stands.
func (n nodes) stage(i int) ast.Node {
	if i >= len(n.stages) {
		return nil
	}
	if with := n.stages[i]["with"]; with != nil {
		return with
	}
	return n.stages[i]["use"]
}

// stageName returns where the name of stage i stands.
func (n nodes) stageName(i int) ast.Node {
	if i >= len(n.stages) {
		return nil
	}
	if name := n.stages[i]["name"]; name != nil {
		return name
	}
	return n.stages[i]["use"]
}

// locate finds the places that Parse took.
func locate(body ast.Node) nodes {
	n := nodes{fields: valuesOf(body)}
	if list, ok := n.fields["stages"].(*ast.SequenceNode); ok {
		for _, stage := range list.Values {
			n.stages = append(n.stages, valuesOf(stage))
		}
	}
	return n
}

func valuesOf(node ast.Node) map[string]ast.Node {
	fields := map[string]ast.Node{}
	if mapping, ok := node.(ast.MapNode); ok {
		for entries := mapping.MapRange(); entries.Next(); {
			fields[entries.Key().GetToken().Value] = entries.Value()
		}
	}
	return fields
}

// graph is what pipelines form by the topics they read and write.
type graph struct {
	specs   []located
	plans   []Plan
	entries []string
	// owners are the topics between stages, and those of dead letters, by what they are for.
	owners map[string]owner
	// outputs are what each pipeline writes to.
	outputs [][]output
}

type owner struct {
	spec int
	what string
}

func newGraph(specs []located, entries []string) *graph {
	g := &graph{specs: specs, entries: entries, owners: map[string]owner{}}
	names := map[string]bool{}
	for i, spec := range specs {
		plan := spec.Plan()
		g.plans = append(g.plans, plan)
		g.outputs = append(g.outputs, outputsOf(spec))
		if names[spec.Name] {
			continue // all its topics are those of the first of the name
		}
		names[spec.Name] = true
		g.owners[plan.DeadLetters] = owner{i, fmt.Sprintf("the dead letters of pipeline %q", spec.Name)}
		g.owners[plan.Ledger] = owner{i, fmt.Sprintf("the ledger of pipeline %q", spec.Name)}
		for n, hop := range plan.Hops {
			if _, taken := g.owners[hop.From]; n > 0 && !taken {
				g.owners[hop.From] = owner{i, fmt.Sprintf("what stage %q of pipeline %q reads", hop.Name, spec.Name)}
			}
		}
	}
	return g
}

func (g *graph) check() Findings {
	var all Findings
	for i := range g.specs {
		all = append(all, g.duplicate(i)...)
		all = append(all, g.specs[i].destinations()...)
		all = append(all, g.collisions(i)...)
		all = append(all, g.unreachable(i)...)
	}
	return append(all, g.cycles()...)
}

func (g *graph) duplicate(i int) Findings {
	spec := g.specs[i]
	for _, other := range g.specs[:i] {
		if other.Name == spec.Name {
			return Findings{spec.finding(spec.nodes.fields["pipeline"], "duplicate-pipeline",
				fmt.Sprintf("pipeline %q is also that of %s", spec.Name, other.File), "give one of them another name")}
		}
	}
	return nil
}

// collisions finds topics that are used for two things.
func (g *graph) collisions(i int) Findings {
	spec, plan := g.specs[i], g.plans[i]
	var all Findings
	for _, out := range g.outputs[i] {
		if o, owned := g.owners[out.topic]; owned {
			all = append(all, spec.finding(out.node, "topic-collision",
				fmt.Sprintf("topic %q is %s", out.topic, o.what), "write to a topic of its own"))
		}
	}
	for n, stage := range spec.Stages {
		topic := spec.Name + "." + stage.Name
		own := slices.ContainsFunc(plan.Hops[1:], func(h Hop) bool { return h.From == topic })
		switch {
		case !own:
		case topic == plan.DeadLetters:
			all = append(all, spec.finding(spec.nodes.stageName(n), "topic-collision",
				fmt.Sprintf("the topic of stage %q, %q, is that of the pipeline's dead letters", stage.Name, topic), "give the stage another `name:`"))
		case topic == plan.Ledger:
			all = append(all, spec.finding(spec.nodes.stageName(n), "topic-collision",
				fmt.Sprintf("the topic of stage %q, %q, is that of the pipeline's ledger", stage.Name, topic), "give the stage another `name:`"))
		case slices.Contains(g.entries, topic):
			all = append(all, spec.finding(spec.nodes.stageName(n), "topic-collision",
				fmt.Sprintf("the topic of stage %q, %q, is the one that events come in by", stage.Name, topic), "give the stage another `name:`"))
		}
	}
	for _, own := range []struct{ whose, topic string }{{"the dead letters' topic", plan.DeadLetters}, {"the ledger's topic", plan.Ledger}} {
		if slices.Contains(g.entries, own.topic) {
			all = append(all, spec.finding(spec.nodes.fields["pipeline"], "topic-collision",
				fmt.Sprintf("%s, %q, is the one that events come in by", own.whose, own.topic), "give the pipeline another name"))
		}
	}
	return all
}

// unreachable finds a pipeline that reads what nothing writes.
func (g *graph) unreachable(i int) Findings {
	spec := g.specs[i]
	written := slices.Clone(g.entries)
	for n, outputs := range g.outputs {
		if n == i {
			continue
		}
		for _, out := range outputs {
			written = append(written, out.topic)
		}
	}
	if _, owned := g.owners[spec.From]; owned || slices.Contains(written, spec.From) {
		return nil
	}
	slices.Sort(written)
	return Findings{spec.finding(spec.nodes.fields["from"], "unreachable",
		fmt.Sprintf("nothing writes to topic %q, so that pipeline %q never gets an event", spec.From, spec.Name),
		didYouMean(spec.From, slices.Compact(written)))}
}

// cycles finds pipelines that write to what leads back to them, each circle once.
func (g *graph) cycles() Findings {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(g.specs))
	var path []int
	var all Findings
	var visit func(i int)
	visit = func(i int) {
		state[i] = open
		path = append(path, i)
		for _, next := range g.readersOf(i) {
			switch state[next] {
			case unseen:
				visit(next)
			case open:
				all = append(all, g.cycle(path[slices.Index(path, next):]))
			}
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range g.specs {
		if state[i] == unseen {
			visit(i)
		}
	}
	return all
}

// readersOf returns the pipelines that read what pipeline i writes, whether at its end or between its stages.
func (g *graph) readersOf(i int) []int {
	var readers []int
	for n, other := range g.specs {
		o, owned := g.owners[other.From]
		writes := slices.ContainsFunc(g.outputs[i], func(out output) bool { return out.topic == other.From })
		if writes || (owned && o.spec == i) {
			if n != i || owned {
				readers = append(readers, n)
			}
		}
	}
	return readers
}

// cycle tells of a circle, in the last of its files.
func (g *graph) cycle(members []int) Finding {
	last := slices.Max(members)
	at := slices.Index(members, last)
	members = append(slices.Clone(members[at+1:]), members[:at+1]...)
	hops := make([]string, 0, len(members)+1)
	for _, i := range members {
		hops = append(hops, fmt.Sprintf("%s (%s)", g.specs[i].From, g.specs[i].Name))
	}
	hops = append(hops, g.specs[members[0]].From)
	spec := g.specs[last]
	node := spec.nodes.fields["from"]
	next := g.specs[members[0]].From
	if i := slices.IndexFunc(g.outputs[last], func(out output) bool { return out.topic == next }); i >= 0 {
		node = g.outputs[last][i].node
	}
	return spec.finding(node, "cycle", "topics go in a circle: "+strings.Join(hops, " -> "), "events would go round for ever")
}
