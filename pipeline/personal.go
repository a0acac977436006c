package pipeline

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/internal/jsonedit"
	"github.com/rastrohq/rastro/tracking"
)

// Protecting is implemented by the config of a stage that keeps personal data apart: what it says holds in the dead letters of the
// whole pipeline as well.
type Protecting interface {
	// Protects says what in payloads is personal.
	Protects() PersonalRules
}

// PersonalRule says what in the payload of some events is personal, and whose.
type PersonalRule struct {
	When    Condition       `yaml:"when,omitempty" doc:"A CEL condition: the events that the rule is for. Default: all. An event on which it has no answer is taken to be one."`
	Subject PersonalSubject `yaml:"subject,omitempty" doc:"The CEL expression of who it is about, such as event.payload.passenger.reference, as they are named when they are to be forgotten. Default, and where it has no value: the UID of the event."`
	Fields  []PersonalField `yaml:"fields" doc:"What is personal: paths below payload. [*] stands for the items of a list." jsonschema:"required,minItems=1"`
}

// PersonalSubject is an expression that gives a text.
type PersonalSubject struct{ Expression }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *PersonalSubject) UnmarshalYAML(node ast.Node) error {
	expression, err := DecodeExpression(node, ValueText)
	if err == nil {
		s.Expression = *expression
	}
	return err
}

// PersonalField names values below the payload: `payload.passenger.name`, `payload.items[*].name`.
type PersonalField struct {
	text string
	path jsonedit.Path
}

// ParsePersonalField reads a field.
func ParsePersonalField(text string) (PersonalField, error) {
	below, ok := strings.CutPrefix(text, "payload.")
	if !ok {
		if text == "payload" || strings.HasPrefix(text, "payload[") {
			return PersonalField{}, errors.New("name what in the payload is personal, such as payload.passenger.name")
		}
		return PersonalField{}, fmt.Errorf("field %q is not in the payload; did you mean %q?", text, "payload."+strings.TrimPrefix(text, "event."))
	}
	path, err := jsonedit.ParsePath(below)
	if err != nil {
		return PersonalField{}, err
	}
	return PersonalField{text: text, path: path}, nil
}

// Text returns the field as it was written.
func (f PersonalField) Text() string { return f.text }

// MarshalText implements encoding.TextMarshaler.
func (f PersonalField) MarshalText() ([]byte, error) { return []byte(f.text), nil }

// UnmarshalYAML implements yaml.NodeUnmarshaler: a field that is wrong is an error at its place in the file.
func (f *PersonalField) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	field, err := ParsePersonalField(text)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	*f = field
	return nil
}

// PersonalRules are rules that hold together. None says that nothing in payloads is personal.
type PersonalRules []PersonalRule

// Validate reports what is wrong with the rules.
func (r PersonalRules) Validate() error {
	for i, rule := range r {
		if len(rule.Fields) == 0 {
			return fmt.Errorf("personal[%d]: fields: say what is personal, for example `fields: [payload.passenger.name]`", i)
		}
		seen := map[string]bool{}
		for _, field := range rule.Fields {
			if seen[field.text] {
				return fmt.Errorf("personal[%d]: fields: %s is named twice", i, field.text)
			}
			seen[field.text] = true
		}
	}
	return nil
}

// Apply returns the event with what is personal moved out of its payload; the event itself when nothing is. The first rule that has
// a subject says whose it is.
func (r PersonalRules) Apply(event *tracking.Event) *tracking.Event {
	if len(r) == 0 || len(event.Payload) == 0 {
		return event
	}
	scope := NewScope(event)
	var paths []jsonedit.Path
	subject := ""
	for i := range r {
		rule := &r[i]
		// What cannot be told is kept as if it were personal.
		if holds, err := rule.When.HoldsIn(scope); err == nil && !holds {
			continue
		}
		for _, field := range rule.Fields {
			paths = append(paths, field.path)
		}
		if subject == "" {
			subject = rule.subject(scope)
		}
	}
	if len(paths) == 0 {
		return event
	}
	if subject == "" {
		subject = event.UID.String()
	}
	return event.MovePersonal(paths, subject)
}

// subject returns who the event is about, or nothing when that cannot be told.
func (r *PersonalRule) subject(scope *Scope) string {
	value, err := r.Subject.Evaluate(scope)
	if err != nil || value.IsNone() {
		return ""
	}
	text, err := value.Text()
	if err != nil {
		return ""
	}
	if text = strings.TrimSpace(text); len(text) > tracking.MaxPersonalSubject {
		return ""
	}
	return text
}

// Personal returns what the stages of the plan say of what is personal.
func (p Plan) Personal() PersonalRules {
	var rules PersonalRules
	for _, hop := range p.Hops {
		for _, stage := range hop.Stages {
			if protecting, ok := trait[Protecting](stage.config); ok {
				rules = append(rules, protecting.Protects()...)
			}
		}
	}
	return rules
}
