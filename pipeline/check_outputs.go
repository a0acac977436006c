package pipeline

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// output is a topic that a pipeline writes to, and where its file says so.
type output struct {
	topic string
	node  ast.Node
}

// outputsOf returns what a pipeline writes to at its end and by its routes.
func outputsOf(l located) []output {
	var all []output
	node := l.nodes.fields["to"]
	for i, topic := range l.To {
		at := node
		if list, ok := node.(*ast.SequenceNode); ok && i < len(list.Values) {
			at = list.Values[i]
		}
		all = append(all, output{topic, at})
	}
	for i, stage := range l.Stages {
		for _, d := range stage.Destinations() {
			if d.Topic != "" {
				all = append(all, output{d.Topic, l.nodes.below(i, d.Key)})
			}
		}
	}
	return all
}

// below returns what a YAML path from the config of stage i on leads to, or where that config stands.
func (n nodes) below(i int, key string) ast.Node {
	with := n.stage(i)
	if key == "" || with == nil {
		return with
	}
	path, err := yaml.PathString(key)
	if err != nil {
		return with
	}
	if found, err := path.FilterNode(with); err == nil && found != nil {
		return found
	}
	return with
}

// destinations finds routes that lead nowhere, back, or round.
func (l located) destinations() Findings {
	var all Findings
	for i, stage := range l.Stages {
		for _, d := range stage.Destinations() {
			at := l.nodes.below(i, d.Key)
			switch {
			case d.Topic != "" && !topicPattern.MatchString(d.Topic):
				all = append(all, l.finding(at, "name", fmt.Sprintf("%q cannot be used as a topic", d.Topic), topicHint))
			case d.Topic != "" && d.Topic == l.From:
				all = append(all, l.finding(at, "cycle", fmt.Sprintf("stage %q sends events to the topic that its pipeline reads, %q", stage.Name, d.Topic),
					"events would go round for ever"))
			case d.Stage != "":
				all = append(all, l.stageTarget(i, d.Stage, at)...)
			}
		}
	}
	return all
}

// stageTarget finds what is wrong with stage i sending events to another.
func (l located) stageTarget(i int, target string, at ast.Node) Findings {
	later := make([]string, 0, len(l.Stages)-i-1)
	for _, stage := range l.Stages[i+1:] {
		later = append(later, stage.Name)
	}
	if slices.Contains(later, target) {
		return nil
	}
	stage := l.Stages[i].Name
	if slices.ContainsFunc(l.Stages[:i+1], func(s StageSpec) bool { return s.Name == target }) {
		return Findings{l.finding(at, "route-back", fmt.Sprintf("stage %q sends events back to stage %q", stage, target),
			"events would go round for ever: name a later stage")}
	}
	return Findings{l.finding(at, "unknown-stage", fmt.Sprintf("stage %q sends events to stage %q, which the pipeline lacks", stage, target),
		didYouMean(target, later))}
}
