package pipeline

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Spec is a pipeline as its YAML file says it, checked against a Registry: every stage is known and its config is right.
type Spec struct {
	// File is where the spec was read, for errors.
	File string
	// Name is the pipeline's name: what its topics and metrics begin with.
	Name    string
	Summary string
	// From is the topic that the pipeline reads.
	From string
	// To are the topics that get what the last stage passes; none when nothing does.
	To     []string
	Stages []StageSpec
}

// StageSpec is one stage of a Spec.
type StageSpec struct {
	// Use names the kind of stage.
	Use string
	// Name is unique in the pipeline. Defaults to Use.
	Name string
	// Fuse runs the stage in the hop of the one before it: no queue between them. Defaults to false.
	Fuse bool
	// Workers is how many batches the stage's hop works on at once in one process. Defaults to DefaultWorkers.
	Workers int
	// Batch is how the stage's hop makes its batches.
	Batch Batching
	// When is the condition that events must meet to get to the stage: others pass it by, untouched. Defaults to none: every
	// event gets there. An event that it cannot be evaluated on is rejected with CodeWhen.
	When Condition
	// Retry is how the stage's events are tried again. Defaults to DefaultRetry.
	Retry Retries
	// Breaker says when the stage is held to be down. Defaults to DefaultBreaker.
	Breaker Breaker
	// Timeout is how long the stage may take over a batch before its context ends, which is an outage of the stage. Defaults
	// to 0: as long as it takes.
	Timeout time.Duration
	// OnError is what becomes of an event that used up its attempts. Defaults to OnErrorRetry.
	OnError OnError

	definition Definition
	config     any
	fit        fit
	secrets    *Secrets
}

// Defaults of a stage.
const (
	DefaultWorkers = 2
	DefaultBatch   = 500
)

// A name becomes a part of queue names, which the strictest broker (SQS) limits to these characters.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)

var topicPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$`)

const topicHint = "a topic is names joined by dots: events.persisted"

var (
	pipelineKeys = []string{"pipeline", "summary", "from", "stages", "to"}
	stageKeys    = []string{"use", "with", "name", "when", "fuse", "workers", "batch", "retry", "timeout", "breaker", "on_error"}
)

// Parse is ParseContext without anything that references stand for but their defaults.
func Parse(file string, source []byte, registry *Registry) (Spec, error) {
	return ParseContext(context.Background(), file, source, registry, nil)
}

// ParseContext reads a pipeline from YAML, resolves its references (References has their rules) and checks all that can be known
// before the first event. The error is Findings when the source is at fault. file is for messages only.
func ParseContext(ctx context.Context, file string, source []byte, registry *Registry, resolver Resolver) (Spec, error) {
	spec, _, err := parse(ctx, file, source, registry, resolver)
	return spec, err
}

// parse returns the pipeline with the tree that it was read from.
func parse(ctx context.Context, file string, source []byte, registry *Registry, resolver Resolver) (Spec, ast.Node, error) {
	p := specParser{findings: findings{file: file}, registry: registry}
	tree, err := parser.ParseBytes(source, 0)
	if err != nil {
		p.addSyntax(source, err)
		return Spec{}, nil, p.err()
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		p.add(nil, "syntax", "a pipeline file holds one YAML document", "write pipeline:, from:, stages:")
		return Spec{}, nil, p.err()
	}
	references := References{File: file, Resolver: resolver, SecretsBelow: "with"}
	resolved, body := references.resolve(ctx, tree.Docs[0].Body)
	p.references = resolved
	spec := p.pipeline(body)
	p.list = resolved.settle(p.list, spec.Stages)
	return spec, body, p.err()
}

type specParser struct {
	findings
	registry   *Registry
	references *resolution
}

func (p *specParser) pipeline(body ast.Node) Spec {
	spec := Spec{File: p.file}
	fields := p.mapping(body, "a pipeline", pipelineKeys)
	p.decode(fields, "pipeline", &spec.Name)
	p.decode(fields, "summary", &spec.Summary)
	p.decode(fields, "from", &spec.From)
	spec.To = p.topics(fields["to"])
	p.require(body, fields, "pipeline", "pipeline: tracking")
	p.require(body, fields, "from", "from: events.ingested")
	p.match(fields, "pipeline", spec.Name, namePattern, "a name is lower case letters, digits, - and _, 31 characters at most")
	p.match(fields, "from", spec.From, topicPattern, topicHint)
	if slices.Contains(spec.To, spec.From) && spec.From != "" {
		p.add(fields["to"], "cycle", fmt.Sprintf("pipeline writes to the topic it reads, %q", spec.From), "events would go round for ever")
	}
	list, ok := fields["stages"].(*ast.SequenceNode)
	switch {
	case !ok && fields["stages"] != nil:
		p.add(fields["stages"], "type", "stages must be a list", "begin each stage with `- use:`")
	case !ok || len(list.Values) == 0:
		p.add(body, "required", "a pipeline needs stages", "add `stages:` with at least one `- use: NAME`")
	default:
		spec.Stages = p.stages(list)
	}
	return spec
}

// topics reads one topic or a list of them.
func (p *specParser) topics(node ast.Node) []string {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		var one string
		fields := map[string]ast.Node{"to": node}
		if node == nil || node.Type() == ast.NullType {
			return nil
		}
		p.decode(fields, "to", &one)
		p.match(fields, "to", one, topicPattern, topicHint)
		if one == "" {
			return nil
		}
		return []string{one}
	}
	var topics []string
	for _, item := range list.Values {
		var topic string
		fields := map[string]ast.Node{"to": item}
		p.decode(fields, "to", &topic)
		p.match(fields, "to", topic, topicPattern, topicHint)
		if slices.Contains(topics, topic) {
			p.add(item, "duplicate-name", fmt.Sprintf("topic %q is named twice", topic), "leave one of them out")
			continue
		}
		topics = append(topics, topic)
	}
	return topics
}

func (p *specParser) stages(list *ast.SequenceNode) []StageSpec {
	names := map[string]bool{}
	stages := make([]StageSpec, 0, len(list.Values))
	for i, node := range list.Values {
		stage, ok := p.stage(node)
		if !ok {
			continue
		}
		if names[stage.Name] {
			p.add(node, "duplicate-name", fmt.Sprintf("two stages are called %q", stage.Name), "give one of them another `name:`")
		}
		names[stage.Name] = true
		if i == 0 && stage.Fuse {
			p.add(node, "fuse-first", fmt.Sprintf("stage %q is the first: there is none before it to fuse with", stage.Name), "leave out `fuse: true`")
		}
		stages = append(stages, stage)
	}
	return stages
}

func (p *specParser) stage(node ast.Node) (StageSpec, bool) {
	before := len(p.list)
	stage := defaultStage()
	fields := p.mapping(node, "a stage", stageKeys)
	p.decode(fields, "use", &stage.Use)
	p.decode(fields, "name", &stage.Name)
	p.decode(fields, "fuse", &stage.Fuse)
	p.decode(fields, "workers", &stage.Workers)
	p.require(node, fields, "use", "use: validate")
	if stage.Name == "" {
		stage.Name = stage.Use
	}
	p.match(fields, "name", stage.Name, namePattern, "a name is lower case letters, digits, - and _, 31 characters at most")
	p.between(fields, "workers", stage.Workers, 1, 256)
	p.policy(fields, &stage)
	if stage.Use != "" {
		p.config(fields, &stage)
	}
	return stage, len(p.list) == before
}

func (p *specParser) config(fields map[string]ast.Node, stage *StageSpec) {
	definition, ok := p.registry.Lookup(stage.Use)
	if !ok {
		p.add(fields["use"], "unknown-stage", fmt.Sprintf("unknown stage %q", stage.Use), didYouMean(stage.Use, p.registry.Names()))
		return
	}
	config, fit, err := p.references.decode(definition, fields["with"])
	if err != nil {
		at := fields["with"]
		if at == nil {
			at = fields["use"]
		}
		p.addError(at, "config", fmt.Errorf("stage %q: %w", stage.Name, err))
		return
	}
	stage.definition, stage.config, stage.fit = definition, config, fit
}

// mapping returns the values of a mapping by key and finds keys that are unknown.
func (p *specParser) mapping(node ast.Node, what string, known []string) map[string]ast.Node {
	fields := map[string]ast.Node{}
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		p.add(node, "type", what+" must be a mapping", "write `key: value` lines")
		return fields
	}
	for _, value := range values {
		key := value.Key.GetToken().Value
		if !slices.Contains(known, key) {
			p.add(value.Key, "unknown-key", fmt.Sprintf("%s has no key %q", what, key), didYouMean(key, known))
			continue
		}
		fields[key] = value.Value
	}
	return fields
}

func (p *specParser) decode(fields map[string]ast.Node, key string, target any) {
	node, ok := fields[key]
	if !ok {
		return
	}
	if err := yaml.NodeToValue(node, target); err != nil {
		p.addError(node, "type", fmt.Errorf("%s: %w", key, err))
	}
}

func (p *specParser) require(at ast.Node, fields map[string]ast.Node, key, example string) {
	if node, ok := fields[key]; ok && node.Type() != ast.NullType {
		return
	}
	p.add(at, "required", fmt.Sprintf("missing key %q", key), fmt.Sprintf("for example `%s`", example))
}

func (p *specParser) match(fields map[string]ast.Node, key, value string, pattern *regexp.Regexp, hint string) {
	if node, ok := fields[key]; ok && value != "" && !pattern.MatchString(value) {
		p.add(node, "name", fmt.Sprintf("%q cannot be used as %s", value, key), hint)
	}
}

func (p *specParser) between(fields map[string]ast.Node, key string, value, low, high int) {
	if node, ok := fields[key]; ok && (value < low || value > high) {
		p.add(node, "range", fmt.Sprintf("%s is %d", key, value), fmt.Sprintf("write a number from %d to %d", low, high))
	}
}
