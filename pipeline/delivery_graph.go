package pipeline

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// site is a stage of a pipeline, by their indices.
type site struct{ spec, stage int }

// stageGraph is the ways that events may take through the stages of all pipelines.
type stageGraph struct {
	specs   []located
	readers map[string][]int // pipelines by the topic that they read
	entries []string
	leads   [][]bool // by pipeline and stage: whether events get there at all
	known   map[site]map[string]bool
}

func newStageGraph(specs []located, entries []string) *stageGraph {
	s := &stageGraph{specs: specs, readers: map[string][]int{}, entries: entries, known: map[site]map[string]bool{}}
	for i, spec := range specs {
		s.readers[spec.From] = append(s.readers[spec.From], i)
		s.leads = append(s.leads, spec.leads())
	}
	return s
}

func (s *stageGraph) check() Findings {
	var all Findings
	for i := range s.specs {
		all = append(all, s.unreachable(i)...)
	}
	all = append(all, s.actions()...)
	return append(all, s.fanIns()...)
}

// passesOn reports whether any event goes on from the stage to the next one.
func (s StageSpec) passesOn() bool {
	e, ok := trait[Exhaustive](s.config)
	return !ok || e.PassesOn() || !s.When.IsZero() || s.fit == fitUnknown
}

// leads returns which stages events get to, and last whether they get to the pipeline's end.
func (l located) leads() []bool {
	reached := make([]bool, len(l.Stages)+1)
	reached[0] = true
	for i, stage := range l.Stages {
		if !reached[i] {
			continue
		}
		if stage.passesOn() {
			reached[i+1] = true
		}
		for _, d := range stage.Destinations() {
			if to := l.index(d.Stage); to > i {
				reached[to] = true
			}
		}
	}
	return reached
}

func (l located) index(stage string) int {
	return slices.IndexFunc(l.Stages, func(s StageSpec) bool { return s.Name == stage })
}

// unreachable finds stages that no event gets to, and an end.
func (s *stageGraph) unreachable(i int) Findings {
	l, leads := s.specs[i], s.leads[i]
	var all Findings
	// blocked is the stage that lets nothing pass on, whose fault it is.
	blocked := ""
	for n, stage := range l.Stages {
		if !leads[n] {
			all = append(all, l.finding(l.nodes.stageName(n), "unreachable-stage",
				fmt.Sprintf("no event gets to stage %q: stage %q sends every one elsewhere", stage.Name, blocked),
				fmt.Sprintf("send some there with `stage: %s`, or let those that are no case pass", stage.Name)))
		} else if !stage.passesOn() {
			blocked = stage.Name
		}
	}
	if !leads[len(l.Stages)] && len(l.To) > 0 {
		all = append(all, l.finding(l.nodes.fields["to"], "unreachable-output",
			fmt.Sprintf("no event gets to the end of the pipeline: stage %q sends every one elsewhere", blocked),
			"leave out `to:`, or let those that are no case pass"))
	}
	return all
}

// next returns the stages that events may get to from a stage.
func (s *stageGraph) next(at site) []site {
	l := s.specs[at.spec]
	stage := l.Stages[at.stage]
	var all []site
	if stage.passesOn() {
		if at.stage+1 < len(l.Stages) {
			all = append(all, s.enter(at.spec, at.stage+1)...)
		} else {
			for _, topic := range l.To {
				all = append(all, s.read(topic)...)
			}
		}
	}
	for _, d := range stage.Destinations() {
		if to := l.index(d.Stage); to > at.stage {
			all = append(all, s.enter(at.spec, to)...)
		}
		if d.Topic != "" {
			all = append(all, s.read(d.Topic)...)
		}
	}
	return all
}

// enter returns a stage and those that read the topic by which it is reached.
func (s *stageGraph) enter(spec, stage int) []site {
	l := s.specs[spec]
	all := []site{{spec, stage}}
	if stage > 0 && !l.Stages[stage].Fuse {
		all = append(all, s.read(l.Name+"."+l.Stages[stage].Name)...)
	}
	return all
}

func (s *stageGraph) read(topic string) []site {
	all := make([]site, 0, len(s.readers[topic]))
	for _, i := range s.readers[topic] {
		all = append(all, site{i, 0})
	}
	return all
}

// walk returns the stages that events get to from some, themselves included, nearest first. Beyond a stage that stop holds for
// it does not go.
func (s *stageGraph) walk(from []site, stop func(site) bool) []site {
	seen := map[site]bool{}
	var order []site
	for queue := slices.Clone(from); len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if seen[at] || len(s.specs[at.spec].Stages) == 0 {
			continue
		}
		seen[at] = true
		order = append(order, at)
		if !stop(at) {
			queue = append(queue, s.next(at)...)
		}
	}
	return order
}

func (s *stageGraph) stage(at site) StageSpec { return s.specs[at.spec].Stages[at.stage] }

func (s *stageGraph) dedupes(at site) bool {
	d, ok := trait[Deduplicating](s.stage(at).config)
	return ok && d.Deduplicates()
}

// actions finds stages that do something outside for each copy of an event that was sent twice.
func (s *stageGraph) actions() Findings {
	var all Findings
	entries := make([]site, 0, len(s.entries))
	for _, topic := range s.entries {
		entries = append(entries, s.read(topic)...)
	}
	for _, at := range s.walk(entries, s.dedupes) {
		stage := s.stage(at)
		does := stage.action()
		if does == "" || s.dedupes(at) {
			continue
		}
		l := s.specs[at.spec]
		node := l.nodes.key(at.stage, "use")
		behind := s.walk(s.next(at), s.dedupes)
		if i := slices.IndexFunc(behind, s.dedupes); i >= 0 {
			late := behind[i]
			all = append(all, l.finding(node, "dedupe-late",
				fmt.Sprintf("stage %q %s, for an event that is sent twice as well: stage %q drops the second one only behind it", stage.Name, does, s.stage(late).Name),
				fmt.Sprintf("put it behind stage %q of pipeline %q (%s)", s.stage(late).Name, s.specs[late.spec].Name, s.specs[late.spec].File)))
			continue
		}
		f := l.finding(node, "dedupe-missing",
			fmt.Sprintf("stage %q %s, for an event that is sent twice as well: no stage before it drops the second one", stage.Name, does),
			"put a `dedupe` before it")
		f.Severity = SeverityWarning
		all = append(all, f)
	}
	return all
}

// fanIns finds topics that get every event twice, by two ways that part at another topic.
func (s *stageGraph) fanIns() Findings {
	type writer struct {
		spec int
		out  output
		ways map[string]bool
	}
	var all Findings
	writers := map[string][]writer{}
	for i, l := range s.specs {
		if !s.leads[i][len(l.Stages)] {
			continue
		}
		for _, out := range l.ends() {
			w := writer{i, out, s.ways(i, len(l.Stages))}
			for _, other := range writers[out.topic] {
				if s.specs[other.spec].Name == l.Name {
					continue // which is an error by itself
				}
				if fork, ok := s.fork(w.ways, other.ways); ok {
					f := l.finding(out.node, "fan-in", fmt.Sprintf("every event of topic %q gets to topic %q twice: by pipeline %q (%s) and by pipeline %q",
						fork, out.topic, s.specs[other.spec].Name, s.specs[other.spec].File, l.Name),
						"a dedupe lets both pass, for they are one delivery; write to another topic, or have a `filter` let each event take one way only")
					f.Severity = SeverityWarning
					all = append(all, f)
					break
				}
			}
			writers[out.topic] = append(writers[out.topic], w)
		}
	}
	return all
}

// ways returns the topics whose every event gets to stage `to` of a pipeline, or to its end, and of each whether a stage on the
// way may let only some pass.
func (s *stageGraph) ways(spec, to int) map[string]bool {
	if ways, ok := s.known[site{spec, to}]; ok {
		return ways // not all of them when topics go in a circle, which is an error by itself
	}
	ways := map[string]bool{}
	s.known[site{spec, to}] = ways
	l := s.specs[spec]
	some := false
	for i := to - 1; i >= 0; i-- {
		stage := l.Stages[i]
		some = some || stage.selects()
		switch {
		case i == 0:
			ways[l.From] = some
		case !stage.Fuse:
			ways[l.Name+"."+stage.Name] = some
		}
	}
	for n, other := range s.specs {
		end := -1
		if slices.Contains(other.To, l.From) && s.leads[n][len(other.Stages)] {
			end = len(other.Stages)
		} else if at := slices.IndexFunc(other.Stages, func(st StageSpec) bool { return other.Name+"."+st.Name == l.From }); at > 0 {
			end = at
		}
		if end < 0 {
			continue
		}
		for topic, partly := range s.ways(n, end) {
			known, ok := ways[topic]
			ways[topic] = (partly || some) && (!ok || known)
		}
	}
	return ways
}

// selects reports whether a stage is there to let only some events go on.
func (s StageSpec) selects() bool {
	if selective, ok := trait[Selective](s.config); ok && selective.Selects() {
		return true
	}
	return len(s.Destinations()) > 0
}

// fork returns the last topic where two ways part that let every event through.
func (s *stageGraph) fork(a, b map[string]bool) (string, bool) {
	var common []string
	for topic, some := range a {
		if other, ok := b[topic]; ok && !some && !other {
			common = append(common, topic)
		}
	}
	if len(common) == 0 {
		return "", false
	}
	// The last is the one that all others lead to.
	slices.Sort(common)
	return slices.MaxFunc(common, func(x, y string) int { return s.depth(x) - s.depth(y) }), true
}

// depth returns how many topics lead to a topic.
func (s *stageGraph) depth(topic string) int {
	for i, l := range s.specs {
		if l.From == topic {
			return len(s.ways(i, 1))
		}
		if at := slices.IndexFunc(l.Stages, func(st StageSpec) bool { return l.Name+"."+st.Name == topic }); at > 0 {
			return len(s.ways(i, at)) + 1
		}
	}
	return 0
}

// key returns where a key of stage i stands.
func (n nodes) key(i int, name string) ast.Node {
	if i >= len(n.stages) {
		return nil
	}
	return n.stages[i][name]
}

// ends returns what the pipeline writes to at its end.
func (l located) ends() []output {
	all := outputsOf(l)
	return all[:len(l.To)]
}
