package pipeline

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"
)

// maxRange is how many numbers lists.range makes at most.
const maxRange = 10_000

// environment is the one environment of all expressions. It is immutable.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	schema, err := newSchema()
	if err != nil {
		return nil, err
	}
	env, err := cel.NewEnv(
		cel.CustomTypeAdapter(schema), cel.CustomTypeProvider(schema),
		cel.Variable("event", schema.event),
		ext.Strings(), ext.Math(), ext.Lists(ext.ListsMaxRangeSize(maxRange)), ext.Sets(), ext.Encoders(), ext.Bindings(), ext.TwoVarComprehensions(),
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
