package pipeline

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/tracking"
)

// schema tells CEL what an event is made of, from the same struct tags that the wire has its names from. It is immutable.
type schema struct {
	*types.Registry
	event   *types.Type
	objects map[string]object        // by CEL's name of the type
	names   map[reflect.Type]*object // by Go's type
}

// object is a struct of the event.
type object struct {
	typ    *types.Type
	fields map[string]*types.FieldType
	order  []string // as declared
}

func newSchema() (*schema, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	s := &schema{Registry: registry, objects: map[string]object{}, names: map[reflect.Type]*object{}}
	s.event, err = s.define(reflect.TypeFor[tracking.Event]())
	return s, err
}

// define adds a struct and those it has. The name of its type must not be that of a field: `event.location` is a value.
func (s *schema) define(t reflect.Type) (*types.Type, error) {
	if known, ok := s.names[t]; ok {
		return known.typ, nil
	}
	name := "rastro." + t.Name()
	o := object{typ: types.NewObjectType(name, traits.IndexerType, traits.FieldTesterType), fields: map[string]*types.FieldType{}}
	s.names[t] = &o
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Type == personalType || field.Type == spanType {
			continue
		}
		wire, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		typ, get, err := s.field(name+"."+wire, field.Type)
		if err != nil {
			return nil, err
		}
		at := func(target any) reflect.Value { return structOf(target).Field(i) }
		o.fields[wire] = &types.FieldType{
			Type: typ,
			IsSet: func(target any) bool {
				v := at(target)
				return !v.IsZero() && (v.Kind() != reflect.Slice || v.Len() > 0)
			},
			GetFrom: func(target any) (any, error) { return get(at(target)), nil },
		}
		s.evaluated(o.fields[wire], field.Type)
		o.order = append(o.order, wire)
	}
	s.objects[name] = o
	return o.typ, nil
}

// evaluated has a field's value come from the evaluation where it is JSON, and so read as far as it is asked for.
func (s *schema) evaluated(field *types.FieldType, t reflect.Type) {
	var value func(target any) (*evaluation, ref.Val)
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		value = func(target any) (*evaluation, ref.Val) {
			e := target.(*evaluation) //nolint:forcetypeassert // only an event has a payload
			return e, e.payload()
		}
	case reflect.TypeFor[map[string]json.RawMessage]():
		value = func(target any) (*evaluation, ref.Val) {
			e := target.(enrichment).evaluation //nolint:forcetypeassert // only an enrichment has attributes
			return e, e.attributes()
		}
	case reflect.TypeFor[tracking.Enrichment]():
		field.GetFrom = func(target any) (any, error) {
			return enrichment{target.(*evaluation)}, nil //nolint:forcetypeassert // only an event has an enrichment
		}
		return
	default:
		return
	}
	field.IsSet = func(target any) bool {
		_, v := value(target)
		return !isMissing(v)
	}
	field.GetFrom = func(target any) (any, error) {
		e, v := value(target)
		return e.asked(v), nil
	}
}

// structOf returns the struct that an object's value is about; an absent part of an event is an empty one.
func structOf(target any) reflect.Value {
	switch t := target.(type) {
	case *evaluation:
		return reflect.ValueOf(t.event).Elem()
	case enrichment:
		return reflect.ValueOf(&t.event.Enrichment).Elem()
	default:
		return reflect.ValueOf(target).Elem()
	}
}

// field returns the type of a field and how its value becomes one of CEL's.
func (s *schema) field(name string, t reflect.Type) (*types.Type, func(reflect.Value) any, error) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return types.TimestampType, func(v reflect.Value) any { return types.Timestamp{Time: v.Interface().(time.Time)} }, nil //nolint:forcetypeassert // as t says
	case reflect.TypeFor[uuid.UUID]():
		return types.StringType, func(v reflect.Value) any { return types.String(v.Interface().(uuid.UUID).String()) }, nil //nolint:forcetypeassert // as t says
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[map[string]json.RawMessage]():
		return types.DynType, nil, nil // evaluated
	case reflect.TypeFor[[]string]():
		return types.NewListType(types.StringType), func(v reflect.Value) any { return v.Interface() }, nil
	}
	switch t.Kind() {
	case reflect.String:
		return types.StringType, func(v reflect.Value) any { return types.String(v.String()) }, nil
	case reflect.Int, reflect.Int64:
		return types.IntType, func(v reflect.Value) any { return types.Int(v.Int()) }, nil
	case reflect.Float64:
		return types.DoubleType, func(v reflect.Value) any { return types.Double(v.Float()) }, nil
	case reflect.Struct:
		typ, err := s.define(t)
		return typ, func(v reflect.Value) any { return v.Addr().Interface() }, err
	case reflect.Pointer:
		typ, get, err := s.field(name, t.Elem())
		none := reflect.New(t.Elem())
		return typ, func(v reflect.Value) any {
			if v.IsNil() {
				v = none
			}
			return get(v.Elem())
		}, err
	default:
		return nil, nil, fmt.Errorf("prepare expressions: %s is a %s, which they have no type for", name, t)
	}
}

// FindStructType implements types.Provider.
func (s *schema) FindStructType(name string) (*types.Type, bool) {
	if o, ok := s.objects[name]; ok {
		return types.NewTypeTypeWithParam(o.typ), true
	}
	return s.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (s *schema) FindStructFieldNames(name string) ([]string, bool) {
	if o, ok := s.objects[name]; ok {
		return o.order, true
	}
	return s.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (s *schema) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if o, ok := s.objects[name]; ok {
		f, found := o.fields[field]
		return f, found
	}
	return s.Registry.FindStructFieldType(name, field)
}

// NewValue implements types.Provider. Expressions do not make events.
func (s *schema) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := s.objects[name]; ok {
		return types.NewErr("an expression cannot make a %s", name)
	}
	return s.Registry.NewValue(name, fields)
}

// NativeToValue implements types.Adapter.
func (s *schema) NativeToValue(value any) ref.Val {
	if v, ok := value.(ref.Val); ok {
		return v
	}
	t := reflect.TypeOf(value)
	switch v := value.(type) {
	case *evaluation:
		t = reflect.TypeOf(v.event)
	case enrichment:
		t = reflect.TypeOf(&v.event.Enrichment)
	}
	if t != nil && t.Kind() == reflect.Pointer {
		if o, ok := s.names[t.Elem()]; ok {
			return &partValue{object: o, native: value}
		}
	}
	return s.Registry.NativeToValue(value)
}

// evaluation is an event while an expression is evaluated on it.
type evaluation struct {
	event *tracking.Event
	// lacking counts what was asked for, and needed, that the payload does not have.
	lacking int
	gap     missing
	body    ref.Val // the payload, once it was asked for
	added   ref.Val // the attributes, once they were asked for
	// variables are what expressions may name besides the event.
	variables []variable
}

type variable struct {
	name  string
	value ref.Val
}

// enrichment is the event's enrichment while an expression is evaluated on the event.
type enrichment struct{ *evaluation }

// ResolveName implements cel.Activation.
func (e *evaluation) ResolveName(name string) (any, bool) {
	if name == "event" {
		return e, true
	}
	for _, v := range e.variables {
		if v.name == name {
			return e.asked(v.value), true
		}
	}
	return nil, false
}

// Parent implements cel.Activation.
func (e *evaluation) Parent() cel.Activation { return nil }

var _ cel.Activation = (*evaluation)(nil)

// partValue is the event, or an object of it, as a value that expressions hand around.
type partValue struct {
	*object
	native any
}

// Get implements traits.Indexer.
func (p *partValue) Get(index ref.Val) ref.Val {
	field, ok := p.fields[fmt.Sprint(index.Value())]
	if !ok {
		return types.NewErr("no such field: %v", index)
	}
	value, err := field.GetFrom(p.native)
	if err != nil {
		return types.WrapErr(err)
	}
	env, err := environment()
	if err != nil {
		return types.WrapErr(err)
	}
	return env.CELTypeAdapter().NativeToValue(value)
}

// IsSet implements traits.FieldTester.
func (p *partValue) IsSet(index ref.Val) ref.Val {
	field, ok := p.fields[fmt.Sprint(index.Value())]
	return types.Bool(ok && field.IsSet(p.native))
}

// ConvertToNative implements ref.Val.
func (p *partValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s cannot become a %s", p.typ, t)
}

// ConvertToType implements ref.Val.
func (p *partValue) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return p.typ
	}
	return types.NewErr("a %s cannot become a %s", p.typ, t.TypeName())
}

// Equal implements ref.Val: objects of one type with the same content are equal.
func (p *partValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(*partValue)
	if !ok || o.object != p.object {
		return types.False
	}
	return types.Bool(reflect.DeepEqual(structOf(p.native).Interface(), structOf(o.native).Interface()))
}

// Type implements ref.Val.
func (p *partValue) Type() ref.Type { return p.typ }

// Value implements ref.Val.
func (p *partValue) Value() any { return p.native }
