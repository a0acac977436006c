package pipeline

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
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
	input := &evaluation{event: event}
	result, _, err := c.program.Eval(input)
	if err != nil {
		if input.unanswered(err) {
			return false, nil
		}
		return false, fmt.Errorf("evaluate `%s`: %w", c.source, err)
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

// environment is the one environment of all expressions. It is immutable.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	schema, err := newSchema()
	if err != nil {
		return nil, err
	}
	env, err := cel.NewEnv(
		cel.CustomTypeAdapter(schema), cel.CustomTypeProvider(schema),
		cel.Variable("event", schema.event),
		// A weight is compared with 20 as with 20.0.
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(MaxExpression), cel.ExpressionNodeLimit(maxNodes), cel.ParserRecursionLimit(64),
		cel.ASTValidators(cel.ValidateRegexLiterals(), literalPatterns{}, cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateComprehensionNestingLimit(3)),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	return env, nil
})

// literalPatterns refuses patterns that come with the event: compiling one costs what its sender wants it to. (CEL's own limit on
// the size of patterns cannot be used: it panics on a counted repetition.)
type literalPatterns struct{}

// Name implements cel.ASTValidator.
func (literalPatterns) Name() string { return "rastro.literal_patterns" }

// Validate implements cel.ASTValidator.
func (literalPatterns) Validate(_ *cel.Env, _ cel.ValidatorConfig, checked *celast.AST, issues *cel.Issues) {
	celast.PostOrderVisit(checked.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != "matches" {
			return
		}
		if args := e.AsCall().Args(); args[len(args)-1].Kind() != celast.LiteralKind {
			issues.ReportErrorAtID(args[len(args)-1].ID(), "a pattern is a text in quotes")
		}
	}))
}

func check(env *cel.Env, source string) (_ *cel.Ast, err error) {
	if strings.TrimSpace(source) == "" {
		return nil, SourceErrors{{Line: 1, Column: 1, Message: "the expression is empty", Hint: "write for example `event.event_type == \"loaded\"`"}}
	}
	if n := utf8.RuneCountInString(source); n > MaxExpression {
		return nil, SourceErrors{{Line: 1, Column: 1, Message: fmt.Sprintf("the expression has %d characters: %d at most", n, MaxExpression)}}
	}
	defer func() {
		if r := recover(); r != nil {
			err = SourceErrors{{Line: 1, Column: 1, Message: fmt.Sprintf("the expression cannot be compiled: %v", r)}}
		}
	}()
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return nil, explain(source, nil, issues)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, explain(source, parsed, issues)
	}
	return checked, nil
}

func plan(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(comparePayloads)}
	// Counting the cost of each evaluation takes time, and needs none where the worst case is known to be small.
	if estimate, err := env.EstimateCost(checked, unknownSizes{}); err != nil || estimate.Max > maxCost {
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, fmt.Errorf("plan expression: %w", err)
	}
	return program, nil
}

// unknownSizes estimates that what comes with an event may be of any size.
type unknownSizes struct{}

func (unknownSizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Min: 0, Max: math.MaxUint64}
}

func (unknownSizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler, so that a config may have fields of type Condition: a condition that is
// wrong is an error at its place in the file.
func (c *Condition) UnmarshalYAML(node ast.Node) error {
	compiled, err := compileNode(node)
	if err == nil {
		*c = *compiled
		return nil
	}
	wrong, ok := errors.AsType[SourceErrors](err)
	if !ok {
		return err
	}
	return &yaml.SyntaxError{Message: wrong[0].in(node).text(), Token: wrong[0].token(node)}
}

func compileNode(node ast.Node) (*Condition, error) {
	var source string
	if err := yaml.NodeToValue(node, &source); err != nil {
		return nil, err
	}
	return CompileCondition(source)
}

var _ yaml.NodeUnmarshaler = (*Condition)(nil)
