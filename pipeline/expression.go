package pipeline

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/tracking"
)

// Limits of expressions.
const (
	// MaxExpression is how many characters an expression may have.
	MaxExpression = 4096
	// maxCost bounds what evaluating an expression may cost, in CEL's units: about one a field, comparison or step of a loop,
	// and one for ten characters compared. It is some milliseconds.
	maxCost = 100_000
	// maxNodes bounds what the macros of an expression may grow it to.
	maxNodes = 10_000
)

// Condition is a CEL expression that holds for an event or does not. The event is `event`, with the wire's field names:
//
//	event.event_type == "loaded" && event.payload.location == "LIM"
//
// Event fields have types, and a mistake in a field's name or type is an error when the condition is compiled. An optional
// part of the event that is absent reads as empty ("", 0); has(event.location) tells whether it is there. timestamp and
// received_at are CEL timestamps.
//
// Below event.payload anything goes, as its fields depend on the sender. Integers are exact. A field that is missing, at any
// depth, is null, and null in the payload is the same as missing: it equals nothing but null, so that `event.payload.state !=
// "test"` holds for an event without a state, and has() is false of it. What needs the value itself (an order, a sum, a
// function, a value used as a condition) has no answer then, and a condition left without an answer does not hold.
//
// The attributes that stages added, event.enrichment.attributes, are read as the payload is. Besides CEL's own functions there
// are those of its extensions for texts, mathematics, lists, sets and encodings, cel.bind, and the macros over lists with two
// variables, such as `list.all(index, item, ...)` and transformList.
//
// A condition that does not touch the payload never reads it. The length of the source and the cost of an evaluation are
// bounded. A Condition is immutable and safe for concurrent use. The zero Condition holds for every event.
type Condition struct {
	source  string
	program cel.Program
}

// SourceError is something wrong in an expression.
type SourceError struct {
	// Line and Column are those of the expression's source, from 1, in characters.
	Line, Column int
	Message      string
	// Hint says what to write instead, where that can be known.
	Hint string

	// written says that the place is one of the scalar as it is written, before its references are resolved.
	written bool
}

// Error implements error.
func (e SourceError) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.text())
}

func (e SourceError) text() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// SourceErrors is all that is wrong in an expression, in the order of its source.
type SourceErrors []SourceError

// Error implements error: one mistake a line.
func (e SourceErrors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// CompileCondition compiles a condition. The error is SourceErrors when the source is at fault.
func CompileCondition(source string) (*Condition, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	checked, err := check(env, source)
	if err != nil {
		return nil, err
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, SourceErrors{{Line: 1, Column: 1, Message: fmt.Sprintf("a condition is true or false, and this is a %s", cel.FormatCELType(out)),
			Hint: "compare it with something"}}
	}
	program, err := plan(env, checked)
	if err != nil {
		return nil, SourceErrors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return &Condition{source: source, program: program}, nil
}

// Text returns the condition as it was written.
func (c *Condition) Text() string { return c.source }

// IsZero reports whether c is the zero Condition, which holds for every event.
func (c *Condition) IsZero() bool { return c.program == nil }

// MarshalText implements encoding.TextMarshaler.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.source), nil }

// Holds reports whether the condition holds for an event. An error means that the event cannot be judged: its payload has
// something of another type than the condition needs, or judging it costs too much.
func (c *Condition) Holds(event *tracking.Event) (bool, error) {
	if c.program == nil {
		return true, nil
	}
	return c.holds(&evaluation{event: event})
}

// HoldsIn is Holds for the event of a scope.
func (c *Condition) HoldsIn(scope *Scope) (bool, error) {
	if c.program == nil {
		return true, nil
	}
	return c.holds(&scope.evaluation)
}

func (c *Condition) holds(input *evaluation) (bool, error) {
	result, err := input.evaluate(c.program, c.source)
	if err != nil {
		return false, err
	}
	switch r := result.(type) {
	case types.Bool:
		return bool(r), nil
	case *missing:
		return false, nil
	default:
		return false, fmt.Errorf("evaluate `%s`: a condition is true or false, and this is a %s", c.source, result.Type().TypeName())
	}
}

// evaluate evaluates a program. A missing value stands for one that cannot be known for want of something that the payload lacks.
func (e *evaluation) evaluate(program cel.Program, source string) (ref.Val, error) {
	e.lacking = 0
	result, _, err := program.Eval(e)
	switch {
	case err == nil:
		return result, nil
	case e.unanswered(err):
		return e.none(), nil
	default:
		return nil, fmt.Errorf("evaluate `%s`: %w", source, err)
	}
}

// unanswered reports whether an evaluation failed for want of something that the payload lacks.
func (e *evaluation) unanswered(err error) bool {
	var failed *types.Err
	if !errors.As(err, &failed) {
		return false // its cost, for one
	}
	// CEL has no types for these two: an index past the end of a list, and a part of something that has none.
	text := failed.Error()
	return e.lacking > 0 || strings.HasPrefix(text, "index out of bounds") || strings.HasPrefix(text, "no such key")
}

// UnmarshalYAML implements yaml.NodeUnmarshaler, so that a config may have fields of type Condition: a condition that is
// wrong is an error at its place in the file.
func (c *Condition) UnmarshalYAML(node ast.Node) error {
	compiled, err := compileNode(node)
	if err == nil {
		*c = *compiled
		return nil
	}
	return placeInSource(err, node)
}

// placeInSource gives what is wrong in an expression its place in the file.
func placeInSource(err error, node ast.Node) error {
	wrong, ok := errors.AsType[SourceErrors](err)
	if !ok {
		return err
	}
	return &yaml.SyntaxError{Message: wrong[0].in(node).text(), Token: wrong[0].token(node)}
}

func compileNode(node ast.Node) (*Condition, error) {
	source, err := expressionSource(node)
	if err != nil {
		return nil, err
	}
	return CompileCondition(source)
}

var _ yaml.NodeUnmarshaler = (*Condition)(nil)
