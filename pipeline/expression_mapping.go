package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/tracking"
)

// Assignments says which fields of an event get the value of which expression, by Target: what a config has below `set`. What is
// wrong with a field or an expression, the type of its value included, is an error at its place in the file.
type Assignments map[string]Expression

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (a *Assignments) UnmarshalYAML(node ast.Node) error {
	decoded, err := DecodeAssignments(node)
	if err == nil {
		*a = decoded
	}
	return err
}

var _ yaml.NodeUnmarshaler = (*Assignments)(nil)

// DecodeAssignments reads assignments that stand in a config and whose expressions may use variables besides the event.
func DecodeAssignments(node ast.Node, variables ...Variable) (Assignments, error) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return nil, &yaml.SyntaxError{Message: "write FIELD: EXPRESSION lines, for example `event_type: event.payload.code`", Token: node.GetToken()}
	}
	out := Assignments{}
	for entries := mapping.MapRange(); entries.Next(); {
		key := entries.Key().GetToken()
		want, err := assignable(key.Value)
		if err != nil {
			return nil, &yaml.SyntaxError{Message: err.Error(), Token: key}
		}
		expression, err := DecodeExpression(entries.Value(), want, variables...)
		if err != nil {
			return nil, err
		}
		out[key.Value] = *expression
	}
	return out, nil
}

func assignable(field string) (ValueType, error) {
	target, err := ParseTarget(field)
	if err != nil {
		return ValueAny, err
	}
	return target.Takes()
}

// NewAssignments compiles assignments that stand in code, such as the defaults of a config.
func NewAssignments(set map[string]string, variables ...Variable) (Assignments, error) {
	out := Assignments{}
	for field, source := range set {
		want, err := assignable(field)
		if err != nil {
			return nil, err
		}
		expression, err := CompileExpression(source, want, variables...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		out[field] = *expression
	}
	return out, nil
}

// OnMissing is what becomes of a field whose expression gives no value.
type OnMissing string

// What becomes of a field without a value.
const (
	// MissingKeep leaves the field as it is.
	MissingKeep OnMissing = "keep"
	// MissingReject is an error.
	MissingReject OnMissing = "reject"
	// MissingNull makes a part of the payload or of an attribute null, and takes any other field out of the event.
	MissingNull OnMissing = "null"
)

// Validate implements Validator.
func (m OnMissing) Validate() error {
	if m != MissingKeep && m != MissingReject && m != MissingNull {
		return fmt.Errorf("%q is not one of keep, reject, null", string(m))
	}
	return nil
}

// Mapping changes fields of events: those above first, so that `payload` is set before `payload.total`, and `location` unset before
// `location.iata` is set. It is immutable and safe for concurrent use.
type Mapping struct {
	changes []change
	missing OnMissing
}

type change struct {
	target Target
	// with gives the value; zero when the target is unset.
	with Expression
}

// NewMapping makes a mapping that sets and unsets fields.
func NewMapping(set Assignments, unset []Target, missing OnMissing) (*Mapping, error) {
	m := &Mapping{missing: missing}
	for field, expression := range set {
		target, err := ParseTarget(field)
		if err != nil {
			return nil, err
		}
		m.changes = append(m.changes, change{target, expression})
	}
	for _, target := range unset {
		if target.Required() {
			return nil, fmt.Errorf("unset: no event can be without %s", target.text)
		}
		m.changes = append(m.changes, change{target: target})
	}
	slices.SortFunc(m.changes, func(a, b change) int {
		return cmp.Compare(a.target.Pointer(), b.target.Pointer()) // what is above begins what is below
	})
	for i := 1; i < len(m.changes); i++ {
		if m.changes[i-1].target.Pointer() == m.changes[i].target.Pointer() {
			return nil, fmt.Errorf("unset: %s is changed twice", m.changes[i].target.text)
		}
	}
	return m, nil
}

// FieldError says that a field of an event cannot be changed as it should.
type FieldError struct {
	// Field is the JSON pointer of the field.
	Field string
	Err   error
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

// Apply changes an event, which is the caller's own (tracking.Event.Clone). Every expression sees the event of the scope, which is
// another one, and not what the others change. The payload keeps its bytes and their order but for what is changed. An error is a
// FieldError, and the event is then of no use.
func (m *Mapping) Apply(scope *Scope, event *tracking.Event) error {
	for i := range m.changes {
		c := &m.changes[i]
		if err := m.apply(c, scope, event); err != nil {
			return &FieldError{Field: c.target.Pointer(), Err: err}
		}
	}
	return tidy(event)
}

func (m *Mapping) apply(c *change, scope *Scope, event *tracking.Event) error {
	if c.with.IsZero() {
		return c.target.unset(event)
	}
	value, err := c.with.Evaluate(scope)
	if err != nil {
		return err
	}
	switch json := c.target.typ == payloadType || c.target.typ == attributesType; {
	case !value.IsNone():
		return c.target.set(event, value)
	case m.missing == MissingKeep:
		return nil
	case m.missing == MissingReject:
		return fmt.Errorf("`%s` has no value: something that it needs is missing", c.with.source)
	case c.target.Required():
		return errors.New("no event can be without it")
	case json:
		return c.target.setJSON(event, []byte("null"))
	default:
		return c.target.unset(event)
	}
}
