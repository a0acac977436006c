package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/tracking"
)

// ValueType is what kind of value an expression is to give.
type ValueType uint8

// The types of values. The zero value is ValueAny.
const (
	// ValueAny is anything that JSON can say.
	ValueAny ValueType = iota
	// ValueText is a text.
	ValueText
	// ValueInteger is a whole number of 64 bits.
	ValueInteger
	// ValueNumber is a number.
	ValueNumber
	// ValueBool is true or false.
	ValueBool
	// ValueTime is a timestamp, which timestamp("2026-01-31T12:00:00Z") makes of a text.
	ValueTime
	// ValueList is a list of anything.
	ValueList
	// ValueTexts is a list of texts.
	ValueTexts
)

// String returns the type in words.
func (t ValueType) String() string {
	names := []string{"a value", "a text", "an integer", "a number", "true or false", "a timestamp", "a list", "a list of texts"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// Expression is a CEL expression that gives a value of an event. What Condition says of its language holds here too. Besides,
// lists and maps can be made: `{'code': event.event_type, 'legs': event.payload.legs.map(l, l.to)}`.
//
// Where the payload lacks what the value needs, there is no value, and null is no value either; nor is a field of the event that it
// does not have, as long as the expression is nothing but that field. A member of a map that has none is left out, an item of a list
// is null. A number of the payload with a fraction, or beyond 64 bits, is a double; what an expression hands on of the
// payload without doing anything else to it stays as it was sent, and so do objects and lists.
//
// An Expression is immutable and safe for concurrent use. The zero Expression gives no value.
type Expression struct {
	source  string
	program cel.Program
	present cel.Program // whether there is a value, of an expression that is a field of the event
	path    Path        // of what the expression names in the payload or the attributes, if it does nothing else
}

// Variable is a name that an expression may use besides `event`, and what it stands for.
type Variable struct {
	Name string
	Type ValueType
}

// CompileExpression compiles an expression that is to give a value of a type. What it gives is checked as far as it can be known,
// which it cannot of the payload. The error is SourceErrors when the source is at fault.
func CompileExpression(source string, want ValueType, variables ...Variable) (*Expression, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	e := &Expression{source: source}
	for _, v := range variables {
		if env, err = env.Extend(cel.Variable(v.Name, v.Type.cel())); err != nil {
			return nil, fmt.Errorf("declare %q: %w", v.Name, err)
		}
	}
	checked, err := check(env, source)
	if err != nil {
		return nil, err
	}
	if out := checked.OutputType(); !want.takes(out) {
		name := cel.FormatCELType(out)
		return nil, SourceErrors{{Line: 1, Column: 1, Message: fmt.Sprintf("%s is wanted here, and this is a %s", want, name), Hint: want.hint(out)}}
	}
	if e.program, err = plan(env, checked); err != nil {
		return nil, SourceErrors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	if root := checked.NativeRep().Expr(); root.Kind() == celast.SelectKind && !root.AsSelect().IsTestOnly() {
		e.path = pathOf(root)
		return e, e.compilePresence(env)
	}
	return e, nil
}

// pathOf returns the path of what an expression names field by field in the payload or the attributes; else the zero Path.
func pathOf(e celast.Expr) Path {
	escape := strings.NewReplacer(`\`, `\\`, `.`, `\.`)
	var parts []string
	for e.Kind() == celast.SelectKind {
		parts = append(parts, escape.Replace(e.AsSelect().FieldName()))
		e = e.AsSelect().Operand()
	}
	if e.Kind() != celast.IdentKind || e.AsIdent() != "event" {
		return Path{}
	}
	slices.Reverse(parts)
	path, err := ParsePath(strings.Join(parts, "."))
	if err != nil || path.fields != nil {
		return Path{}
	}
	return path
}

// compilePresence has an expression that is a field, which reads as empty when the event does not have it, give no value then.
func (e *Expression) compilePresence(env *cel.Env) error {
	checked, err := check(env, "has("+e.source+"\n)")
	if err != nil {
		return nil //nolint:nilerr // too long by this, or no field that can be asked for: its value is what it reads as
	}
	if e.present, err = plan(env, checked); err != nil {
		return SourceErrors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return nil
}

// cel returns CEL's type.
func (t ValueType) cel() *cel.Type {
	switch t {
	case ValueText:
		return cel.StringType
	case ValueInteger:
		return cel.IntType
	case ValueNumber:
		return cel.DoubleType
	case ValueBool:
		return cel.BoolType
	case ValueTime:
		return cel.TimestampType
	case ValueList:
		return cel.ListType(cel.DynType)
	case ValueTexts:
		return cel.ListType(cel.StringType)
	default:
		return cel.DynType
	}
}

// takes reports whether a value of one of CEL's types may be one of t.
func (t ValueType) takes(out *cel.Type) bool {
	kind := out.Kind()
	if kind == types.DynKind || kind == types.AnyKind || kind == types.NullTypeKind {
		return true
	}
	switch t {
	case ValueAny:
		return kind != types.TypeKind
	case ValueInteger:
		return kind == types.IntKind || kind == types.UintKind
	case ValueNumber:
		return kind == types.IntKind || kind == types.UintKind || kind == types.DoubleKind
	case ValueList:
		return kind == types.ListKind
	case ValueTexts:
		return kind == types.ListKind && ValueText.takes(out.Parameters()[0])
	default:
		return kind == t.cel().Kind()
	}
}

// hint says what to write where a value of another type stands.
func (t ValueType) hint(out *cel.Type) string {
	kind := out.Kind()
	scalar := slices.Contains([]types.Kind{types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.TimestampKind, types.BytesKind}, kind)
	switch {
	case t == ValueText && scalar:
		return "write string(...)"
	case t == ValueInteger && (kind == types.StringKind || kind == types.DoubleKind):
		return "write int(...)"
	case t == ValueNumber && kind == types.StringKind:
		return "write double(...)"
	case t == ValueTime && kind == types.StringKind:
		return "write timestamp(...)"
	case (t == ValueList || t == ValueTexts) && kind != types.MapKind && kind != types.ListKind:
		return "write [...]"
	default:
		return ""
	}
}

// Text returns the expression as it was written.
func (e *Expression) Text() string { return e.source }

// IsZero reports whether e is the zero Expression, which gives no value.
func (e *Expression) IsZero() bool { return e.program == nil }

// MarshalText implements encoding.TextMarshaler.
func (e Expression) MarshalText() ([]byte, error) { return []byte(e.source), nil }

// Evaluate returns the value for the event of a scope. An error means that it cannot be told: the payload has something of another
// type than the expression needs, or evaluating it costs too much.
func (e *Expression) Evaluate(scope *Scope) (Value, error) {
	if e.program == nil {
		return Value{}, nil
	}
	if e.present != nil {
		if there, err := scope.evaluation.evaluate(e.present, e.source); err != nil || there != types.True {
			return Value{}, err
		}
	}
	result, err := scope.evaluation.evaluate(e.program, e.source)
	if err != nil {
		return Value{}, err
	}
	value := Value{value: result}
	if !e.path.IsZero() {
		value.sent, value.by = &e.path, scope.evaluation.event
	}
	return value, nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler, so that a config may have fields of type Expression, which give any value: one
// that is wrong is an error at its place in the file.
func (e *Expression) UnmarshalYAML(node ast.Node) error {
	decoded, err := DecodeExpression(node, ValueAny)
	if err == nil {
		*e = *decoded
	}
	return err
}

// DecodeExpression compiles an expression that stands in a config. What is wrong with it is an error at its place in the file.
func DecodeExpression(node ast.Node, want ValueType, variables ...Variable) (*Expression, error) {
	source, err := expressionSource(node)
	if err != nil {
		return nil, placeInSource(err, node)
	}
	compiled, err := CompileExpression(source, want, variables...)
	if err != nil {
		return nil, placeInSource(err, node)
	}
	return compiled, nil
}

var _ yaml.NodeUnmarshaler = (*Expression)(nil)

// Scope is an event, and what else expressions may name, while they are evaluated. Expressions that share a scope share the work
// of reading the payload. The event must not change meanwhile. A Scope is not safe for concurrent use.
type Scope struct{ evaluation evaluation }

// NewScope returns a scope of an event.
func NewScope(event *tracking.Event) *Scope { return &Scope{evaluation{event: event}} }

// Event returns the event that the scope is about.
func (s *Scope) Event() *tracking.Event { return s.evaluation.event }

// Set gives a name a value, which an expression gave in the same scope.
func (s *Scope) Set(name string, value Value) {
	given := value.value
	if value.IsNone() {
		given = s.evaluation.none()
	}
	for i, v := range s.evaluation.variables {
		if v.name == name {
			s.evaluation.variables[i].value = given
			return
		}
	}
	s.evaluation.variables = append(s.evaluation.variables, variable{name, given})
}

// Value is what an expression gave. It is of use while the event that it is of does not change. The zero Value is none.
type Value struct {
	value ref.Val
	// sent is where the event has the value just so; nil when it was made.
	sent *Path
	by   *tracking.Event
}

// IntegerValue returns a number as a Value.
func IntegerValue(n int64) Value { return Value{value: types.Int(n)} }

// IsNone reports whether there is no value, or null, or an object that the event does not have.
func (v Value) IsNone() bool {
	if object, ok := v.value.(*partValue); ok {
		return structOf(object.native).IsZero()
	}
	return v.value == nil || v.value.Type() == types.NullType
}

// Text returns a text.
func (v Value) Text() (string, error) {
	if s, ok := v.value.(types.String); ok {
		return string(s), nil
	}
	return "", v.unfit(ValueText)
}

// Integer returns a whole number: a double that has no fraction is one as well.
func (v Value) Integer() (int64, error) {
	const exact = 1 << 53 // a double beyond may have been rounded
	switch n := v.value.(type) {
	case types.Int:
		return int64(n), nil
	case types.Uint:
		if n <= math.MaxInt64 {
			return int64(n), nil
		}
	case types.Double:
		if f := float64(n); f == math.Trunc(f) && math.Abs(f) <= exact {
			return int64(f), nil
		}
	default:
		return 0, v.unfit(ValueInteger)
	}
	return 0, fmt.Errorf("%v is no integer of 64 bits", v.value.Value())
}

// Number returns a number, which is finite.
func (v Value) Number() (float64, error) {
	switch n := v.value.(type) {
	case types.Int:
		return float64(n), nil
	case types.Uint:
		return float64(n), nil
	case types.Double:
		if f := float64(n); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
		return 0, fmt.Errorf("%s is no number", strconv.FormatFloat(float64(n), 'g', -1, 64))
	default:
		return 0, v.unfit(ValueNumber)
	}
}

// Bool returns true or false.
func (v Value) Bool() (bool, error) {
	if b, ok := v.value.(types.Bool); ok {
		return bool(b), nil
	}
	return false, v.unfit(ValueBool)
}

// Time returns a time, in the zone that it was written in.
func (v Value) Time() (time.Time, error) {
	if t, ok := v.value.(types.Timestamp); ok {
		return t.Time, nil
	}
	return time.Time{}, v.unfit(ValueTime)
}

// List returns the items of a list.
func (v Value) List() ([]Value, error) {
	list, ok := v.value.(traits.Lister)
	if !ok {
		return nil, v.unfit(ValueList)
	}
	items := make([]Value, 0, sizeOf(list))
	for it := list.Iterator(); it.HasNext() == types.True; {
		items = append(items, Value{value: it.Next()})
	}
	return items, nil
}

// Texts returns the texts of a list of them.
func (v Value) Texts() ([]string, error) {
	items, err := v.List()
	if err != nil {
		return nil, v.unfit(ValueTexts)
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if texts[i], err = item.Text(); err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return texts, nil
}

func (v Value) unfit(want ValueType) error {
	if v.IsNone() {
		return fmt.Errorf("%s is wanted, and there is none", want)
	}
	err := fmt.Errorf("%s is wanted, and this is a %s", want, v.value.Type().TypeName())
	if t, ok := v.value.Type().(*types.Type); ok {
		if hint := want.hint(t); hint != "" {
			return fmt.Errorf("%w; %s", err, hint)
		}
	}
	return err
}
