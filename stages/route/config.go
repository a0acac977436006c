package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/rastrohq/rastro/pipeline"
)

// maxCases bounds the cases: each costs the evaluation of a condition for every event.
const maxCases = 100

// Config is what `with` says; the `doc` tags say what its fields are for.
type Config struct {
	Cases     []Case    `yaml:"cases" doc:"The cases, in order: the first whose condition holds is the event's only one." jsonschema:"required"`
	Otherwise Otherwise `yaml:"otherwise" doc:"What becomes of an event for which no condition holds: pass, drop, reject, or a mapping of to, copy and stage."`
}

// Case is a condition and where the events go that it holds for.
type Case struct {
	When pipeline.Condition `yaml:"when" doc:"The CEL condition on the event." jsonschema:"required"`
	Way  `yaml:",inline"`
}

// Way is where events go.
type Way struct {
	To    Topics `yaml:"to,omitempty" doc:"The topic or topics that the event goes to, which leaves this pipeline."`
	Copy  Topics `yaml:"copy,omitempty" doc:"The topic or topics that get a copy of the event, which goes on."`
	Stage string `yaml:"stage,omitempty" doc:"The later stage of this pipeline at which the event goes on."`
}

// Topics is a topic or a list of them.
type Topics []string

// Otherwise is what becomes of an event that is no case: an outcome, which may stand alone, or where it goes.
type Otherwise struct {
	Outcome string `yaml:"outcome,omitempty" doc:"pass, drop or reject, which may also stand alone: otherwise: drop." jsonschema:"enum=pass,enum=drop,enum=reject"`
	Way     `yaml:",inline"`
}

// What becomes of an event that is no case, unless it is routed.
const (
	Pass   = "pass"
	Drop   = "drop"
	Reject = "reject"
)

// JSONSchema returns what an editor takes for topics.
func (Topics) JSONSchema() *jsonschema.Schema {
	topic := &jsonschema.Schema{Type: "string", Pattern: topicPattern.String()}
	one := uint64(1)
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{topic, {Type: "array", Items: topic, MinItems: &one, UniqueItems: true}}}
}

// JSONSchemaExtend has an editor take an outcome alone as well.
func (Otherwise) JSONSchemaExtend(schema *jsonschema.Schema) {
	mapping := *schema
	*schema = jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Enum: []any{Pass, Drop, Reject}}, &mapping}}
}

// Defaults returns the config that `with` is read over. It has no cases: a route needs one.
func Defaults() Config { return Config{Otherwise: Otherwise{Outcome: Pass}} }

// topicPattern is what topics are named by, which the strictest broker limits to these characters.
var topicPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$`)

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if len(c.Cases) == 0 {
		return errors.New("cases: name at least one, for example `- {when: event.kind == \"cargo\", to: cargo.events}`")
	}
	if len(c.Cases) > maxCases {
		return fmt.Errorf("cases: %d are too many; %d at most", len(c.Cases), maxCases)
	}
	return nil
}

// Destinations implements pipeline.Destined.
func (c Config) Destinations() []pipeline.Destination {
	var all []pipeline.Destination
	for i, one := range c.Cases {
		all = append(all, one.destinations(fmt.Sprintf("$.cases[%d]", i))...)
	}
	return append(all, c.Otherwise.destinations("$.otherwise")...)
}

func (w Way) destinations(key string) []pipeline.Destination {
	var all []pipeline.Destination
	for _, named := range []struct {
		key    string
		topics Topics
	}{{"to", w.To}, {"copy", w.Copy}} {
		for i, topic := range named.topics {
			at := key + "." + named.key
			if len(named.topics) > 1 {
				at = fmt.Sprintf("%s[%d]", at, i)
			}
			all = append(all, pipeline.Destination{Topic: topic, Key: at})
		}
	}
	if w.Stage != "" {
		all = append(all, pipeline.Destination{Stage: w.Stage, Key: key + ".stage"})
	}
	return all
}

func (w Way) validate() error {
	switch {
	case len(w.To)+len(w.Copy) == 0 && w.Stage == "":
		return errors.New("say where the events go: to, copy or stage")
	case len(w.To) > 0 && (len(w.Copy) > 0 || w.Stage != ""):
		return errors.New("an event that goes `to` a topic leaves the pipeline; write `copy` to have it go on as well")
	}
	for i, topic := range w.Copy {
		if slices.Contains(w.Copy[:i], topic) {
			return fmt.Errorf("topic %q is named twice", topic)
		}
	}
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *Case) UnmarshalYAML(node ast.Node) error {
	type plain Case
	if err := decode(node, (*plain)(c), "write a case as `{when: event.kind == \"cargo\", to: cargo.events}`"); err != nil {
		return err
	}
	if c.When.IsZero() {
		return wrong(node, "a case needs a condition, `when`; what holds for every other event stands below `otherwise`")
	}
	if err := c.validate(); err != nil {
		return wrong(node, err.Error())
	}
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: an outcome or a mapping.
func (o *Otherwise) UnmarshalYAML(node ast.Node) error {
	type plain Otherwise
	*o = Otherwise{}
	_, mapping := node.(ast.MapNode)
	switch {
	case !mapping:
		if err := yaml.NodeToValue(node, &o.Outcome); err != nil {
			o.Outcome = ""
		}
	default:
		if err := decode(node, (*plain)(o), ""); err != nil {
			return err
		}
		if o.Outcome != "" && len(o.To)+len(o.Copy)+len(o.Stage) > 0 {
			return wrong(node, "an event has an outcome or a way to go, not both")
		}
		if o.Outcome == "" {
			if err := o.validate(); err != nil {
				return wrong(node, err.Error())
			}
			return nil
		}
	}
	if !slices.Contains([]string{Pass, Drop, Reject}, o.Outcome) {
		return wrong(node, "write pass, drop, reject, or where the events go, as in `otherwise: {to: other.events}`")
	}
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: a topic or a list of them.
func (t *Topics) UnmarshalYAML(node ast.Node) error {
	nodes := []ast.Node{node}
	if list, ok := node.(*ast.SequenceNode); ok {
		nodes = list.Values
	}
	if len(nodes) == 0 {
		return wrong(node, "name at least one topic")
	}
	*t = nil
	for _, one := range nodes {
		var topic string
		if err := yaml.NodeToValue(one, &topic); err != nil {
			return err
		}
		switch {
		case !topicPattern.MatchString(topic):
			return wrong(one, fmt.Sprintf("%q cannot be used as a topic; a topic is names joined by dots: cargo.events", topic))
		case slices.Contains(*t, topic):
			return wrong(one, fmt.Sprintf("topic %q is named twice", topic))
		}
		*t = append(*t, topic)
	}
	return nil
}

// decode reads a mapping and refuses what it does not know.
func decode(node ast.Node, target any, otherwise string) error {
	if _, mapping := node.(ast.MapNode); !mapping {
		return wrong(node, otherwise)
	}
	return yaml.NodeToValue(node, target, yaml.DisallowUnknownField())
}

// wrong is an error at its place in the file.
func wrong(node ast.Node, message string) error {
	return &yaml.SyntaxError{Message: message, Token: node.GetToken()}
}
