package pipeline

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/tracking"
)

// maxMistakes is how many mistakes of one expression are told.
const maxMistakes = 10

// CEL's own words, which are the only form that it gives its errors in.
var (
	undefinedField  = regexp.MustCompile(`^undefined field '([^']*)'`)
	undeclaredName  = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload      = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
	hiddenContainer = regexp.MustCompile(` \(in container ''\)`)
)

// explain makes errors of what CEL found. parsed is nil when the source could not be parsed.
func explain(source string, parsed *cel.Ast, issues *cel.Issues) SourceErrors {
	lines := strings.Split(source, "\n")
	var wrong SourceErrors
	for _, issue := range issues.Errors() {
		e := SourceError{Line: max(issue.Location.Line(), 1), Column: max(issue.Location.Column(), 0) + 1, Message: issue.Message}
		if m := undefinedField.FindStringSubmatch(issue.Message); m != nil {
			e.Message, e.Hint = unknownField(parsed, issue.ExprID, m[1])
			e.Column += afterDot(lines, e, m[1])
		} else if m := undeclaredName.FindStringSubmatch(issue.Message); m != nil {
			e.Message, e.Hint = fmt.Sprintf("unknown name %q", m[1]), nameHint(m[1])
		} else if m := noOverload.FindStringSubmatch(issue.Message); m != nil {
			e.Message, e.Hint = unfit(m[1], m[2])
		} else {
			e.Message = hiddenContainer.ReplaceAllString(strings.TrimPrefix(e.Message, "Syntax error: "), "")
		}
		if wrong = append(wrong, e); len(wrong) == maxMistakes {
			break
		}
	}
	slices.SortStableFunc(wrong, func(a, b SourceError) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return wrong
}

// afterDot returns how far behind the dot, which CEL names as the place of a field, the field's name stands.
func afterDot(lines []string, e SourceError, field string) int {
	if e.Line > len(lines) {
		return 0
	}
	rest := []rune(lines[e.Line-1])
	if e.Column > len(rest) {
		return 0
	}
	text := string(rest[e.Column-1:])
	if trimmed := strings.TrimLeft(strings.TrimPrefix(text, "."), " \t"); strings.HasPrefix(trimmed, field) {
		return utf8.RuneCountInString(text) - utf8.RuneCountInString(trimmed)
	}
	return 0
}

func unknownField(parsed *cel.Ast, id int64, field string) (message, hint string) {
	path, known := "", object{}
	celast.PostOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.ID() == id && e.Kind() == celast.SelectKind {
			path, known = objectOf(e.AsSelect().Operand())
		}
	}))
	message = fmt.Sprintf("unknown field %q", strings.TrimPrefix(path+"."+field, "."))
	if known.fields == nil {
		return message, ""
	}
	if wire, ok := wireFields(eventType).alias[strings.ToLower(field)]; ok && path == "event" {
		return message, fmt.Sprintf("did you mean %q?", path+"."+wire)
	}
	if best := suggest.Closest(field, known.order); best != "" {
		return message, fmt.Sprintf("did you mean %q?", path+"."+best)
	}
	return message, fmt.Sprintf("%s has %s", path, strings.Join(known.order, ", "))
}

// objectOf returns the object that an expression names, when it does so field by field.
func objectOf(e celast.Expr) (path string, known object) {
	env, err := environment()
	if err != nil {
		return "", object{}
	}
	s, ok := env.CELTypeProvider().(*schema)
	if !ok {
		return "", object{}
	}
	switch e.Kind() {
	case celast.IdentKind:
		if e.AsIdent() == "event" {
			return e.AsIdent(), s.objects[s.event.TypeName()]
		}
		return e.AsIdent(), object{}
	case celast.SelectKind:
		above, in := objectOf(e.AsSelect().Operand())
		path = above + "." + e.AsSelect().FieldName()
		if field, ok := in.fields[e.AsSelect().FieldName()]; ok {
			return path, s.objects[field.Type.TypeName()]
		}
		return path, object{}
	default:
		return "", object{}
	}
}

func nameHint(name string) string {
	known := wireFields(eventType)
	if _, ok := known.index[name]; ok {
		return fmt.Sprintf("did you mean %q?", "event."+name)
	}
	env, err := environment()
	if err != nil {
		return ""
	}
	candidates := []string{"event", "has", "true", "false", "null"}
	for function := range maps.Keys(env.Functions()) {
		if !strings.ContainsAny(function, "_@!-") {
			candidates = append(candidates, function)
		}
	}
	slices.Sort(candidates)
	if best := suggest.Closest(name, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if best := suggest.Closest(name, known.names); best != "" {
		return fmt.Sprintf("did you mean %q?", "event."+best)
	}
	return "the event is `event`, a text stands in quotes"
}

// unfit says that an operator or function does not take what it is given.
func unfit(function, signature string) (message, hint string) {
	arguments := strings.Trim(signature, "()")
	symbol, isOperator := operators.FindReverse(function)
	left, right, two := strings.Cut(arguments, ", ")
	switch {
	case isOperator && symbol != "" && two:
		message = fmt.Sprintf("`%s` does not go between %s and %s", symbol, left, right)
	case isOperator && symbol != "":
		message = fmt.Sprintf("`%s` does not go with %s", symbol, arguments)
	default:
		message = fmt.Sprintf("%s does not take %s", function, signature)
	}
	switch arguments {
	case "double, int":
		hint = "write the number with a fraction: 20.0"
	case "int, string", "double, string":
		hint = "a number stands without quotes"
	case "string, int", "string, double":
		hint = "a text stands in quotes"
	case "timestamp, string":
		hint = `write timestamp("2026-01-31T12:00:00Z")`
	}
	return message, hint
}

var eventType = reflect.TypeFor[tracking.Event]()

// in returns the error as it reads in the file: with its place in the expression where the file's place cannot be told.
func (e SourceError) in(node ast.Node) SourceError {
	w := writtenOf(node)
	line, column, reference := e.origin(w)
	switch _, _, exact := w.place(line, column); {
	case reference != nil && !reference.Literal:
		e.Message = fmt.Sprintf("with what %s stands for: %s", w.Text[reference.Start:reference.End], e.Message)
	case !exact && (line != 1 || column != 1):
		e.Message = fmt.Sprintf("at %d:%d of the expression: %s", line, column, e.Message)
	}
	return e
}

// origin returns the place of the error in the scalar that the expression is, and the reference that stands there.
func (e SourceError) origin(w written) (line, column int, reference *part) {
	if e.written || len(w.Parts) == 0 {
		return e.Line, e.Column, nil
	}
	return w.origin(e.Line, e.Column)
}

// token returns the place of the error in the file as a token.
func (e SourceError) token(node ast.Node) *token.Token {
	line, column, _ := e.offset(node)
	t := node.GetToken().Clone()
	t.Position = &token.Position{Line: line, Column: column}
	return t
}

// offset returns where in the file the error stands: exactly for an expression in one plain or quoted line and for a block
// (`|`), else where the expression begins.
func (e SourceError) offset(node ast.Node) (line, column int, exact bool) {
	w := writtenOf(node)
	line, column, _ = e.origin(w)
	return w.place(line, column)
}
