package pipeline

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/tidwall/gjson"
)

const (
	// maxDepth is how deep expressions look into a payload.
	maxDepth = 64
	// maxScans is how many members of an object are looked for one by one, before all of them are indexed.
	maxScans = 8
)

// payload returns the event's payload, read only as far as it is asked for.
func (e *evaluation) payload() ref.Val {
	if e.body == nil {
		e.body = e.jsonValue(gjson.ParseBytes(e.event.Payload), 0)
	}
	return e.body
}

// attributes returns the attributes of the event's enrichment, read only as far as they are asked for.
func (e *evaluation) attributes() ref.Val {
	if e.added == nil {
		if attributes := e.event.Enrichment.Attributes; len(attributes) > 0 {
			e.added = &jsonObject{of: e, attributes: attributes}
		} else {
			e.added = e.none()
		}
	}
	return e.added
}

// jsonValue makes a value of a piece of the payload. A number that is written as an integer is exact, whatever its size up to
// 64 bits; one beyond them, or with a fraction or an exponent, is a double.
func (e *evaluation) jsonValue(json gjson.Result, depth int) ref.Val {
	switch json.Type {
	case gjson.String:
		return types.String(json.Str)
	case gjson.True:
		return types.True
	case gjson.False:
		return types.False
	case gjson.Number:
		return jsonNumber(json)
	case gjson.JSON:
		switch {
		case depth >= maxDepth:
			return types.NewErr("the payload is nested deeper than %d levels", maxDepth)
		case json.IsArray():
			var items []ref.Val
			json.ForEach(func(_, item gjson.Result) bool {
				value := e.jsonValue(item, depth+1)
				if isMissing(value) {
					value = types.NullValue // it has its place in the list
				}
				items = append(items, value)
				return true
			})
			return &jsonList{Lister: types.NewRefValList(types.DefaultTypeAdapter, items), raw: json.Raw}
		default:
			return &jsonObject{of: e, json: json, depth: depth}
		}
	default:
		return e.none()
	}
}

func (e *evaluation) none() ref.Val {
	e.gap.of = e
	return &e.gap
}

func jsonNumber(json gjson.Result) ref.Val {
	if !strings.ContainsAny(json.Raw, ".eE") {
		if i, err := strconv.ParseInt(json.Raw, 10, 64); err == nil {
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(json.Raw, 10, 64); err == nil {
			return types.Uint(u)
		}
	}
	return types.Double(json.Num)
}

// missing is what a payload lacks: a null of which every part is missing too.
type missing struct {
	types.Null
	of *evaluation
}

// Get implements traits.Indexer.
func (m *missing) Get(ref.Val) ref.Val { return m }

// IsSet implements traits.FieldTester.
func (m *missing) IsSet(ref.Val) ref.Val {
	m.of.lacking = max(m.of.lacking-1, 0) // that it is missing was the question
	return types.False
}

// asked counts what an expression asks for in vain. What can do with a missing value takes it back.
func (e *evaluation) asked(value ref.Val) ref.Val {
	if _, lacks := value.(*missing); lacks {
		e.lacking++
	}
	return value
}

func isMissing(value ref.Val) bool {
	_, is := value.(*missing)
	return is
}

// jsonList is a list of the payload, with how it was sent.
type jsonList struct {
	traits.Lister
	raw string
}

// jsonObject is an object of the payload, or the attributes. It is a map to expressions, but not a traits.Mapper: of a map CEL
// asks for a key in one way, whether it wants the value or to know if it is there, and here the answers differ.
type jsonObject struct {
	of         *evaluation
	json       gjson.Result
	attributes map[string]json.RawMessage // in place of json
	depth      int

	scans   int
	found   []member           // by scans
	members map[string]ref.Val // all of them, once so many were asked for
	order   []string           // of members
	whole   traits.Mapper      // once all of it was needed
}

type member struct {
	name  string
	value ref.Val
}

// each calls f with every member until it returns false: in order, or by name those of the attributes.
func (o *jsonObject) each(f func(name string, value gjson.Result) bool) {
	if o.attributes == nil {
		o.json.ForEach(func(key, value gjson.Result) bool { return f(key.Str, value) })
		return
	}
	for _, name := range slices.Sorted(maps.Keys(o.attributes)) {
		if !f(name, gjson.ParseBytes(o.attributes[name])) {
			return
		}
	}
}

// find returns a value, or what stands for a missing one. Of a key that an object repeats, the first counts.
func (o *jsonObject) find(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	if !ok {
		return o.of.none()
	}
	for _, m := range o.found {
		if m.name == string(name) {
			return m.value
		}
	}
	if o.scans++; o.members != nil || o.scans > maxScans {
		if value, has := o.index()[string(name)]; has {
			return value
		}
		return o.of.none()
	}
	value := o.of.none()
	o.each(func(k string, json gjson.Result) bool {
		if k == string(name) {
			value = o.of.jsonValue(json, o.depth+1)
			return false
		}
		return true
	})
	o.found = append(o.found, member{string(name), value})
	return value
}

// index reads all members.
func (o *jsonObject) index() map[string]ref.Val {
	if o.members != nil {
		return o.members
	}
	o.members = map[string]ref.Val{}
	o.each(func(name string, json gjson.Result) bool {
		if _, repeated := o.members[name]; !repeated {
			o.members[name] = o.of.jsonValue(json, o.depth+1)
			o.order = append(o.order, name)
		}
		return true
	})
	return o.members
}

// Get implements traits.Indexer.
func (o *jsonObject) Get(key ref.Val) ref.Val { return o.of.asked(o.find(key)) }

// IsSet implements traits.FieldTester.
func (o *jsonObject) IsSet(key ref.Val) ref.Val { return types.Bool(!isMissing(o.find(key))) }

// Contains implements traits.Container.
func (o *jsonObject) Contains(key ref.Val) ref.Val { return o.IsSet(key) }

// all reads the whole object, without what is null.
func (o *jsonObject) all() traits.Mapper {
	if o.whole != nil {
		return o.whole
	}
	members := map[string]any{}
	for name, value := range o.index() {
		if !isMissing(value) {
			members[name] = plain(value)
		}
	}
	o.whole = types.NewStringInterfaceMap(types.DefaultTypeAdapter, members)
	return o.whole
}

// Iterator implements traits.Iterable: the keys of what is not null, in order.
func (o *jsonObject) Iterator() traits.Iterator {
	members := o.index()
	keys := make([]ref.Val, 0, len(members))
	for _, name := range o.order {
		if !isMissing(members[name]) {
			keys = append(keys, types.String(name))
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, keys).Iterator()
}

// Size implements traits.Sizer.
func (o *jsonObject) Size() ref.Val {
	size := types.Int(0)
	for _, value := range o.index() {
		if !isMissing(value) {
			size++
		}
	}
	return size
}

// ConvertToNative implements ref.Val.
func (o *jsonObject) ConvertToNative(t reflect.Type) (any, error) { return o.all().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (o *jsonObject) ConvertToType(t ref.Type) ref.Val { return o.all().ConvertToType(t) }

// Equal implements ref.Val.
func (o *jsonObject) Equal(other ref.Val) ref.Val {
	if object, ok := other.(*jsonObject); ok {
		other = object.all()
	}
	return o.all().Equal(other)
}

// Type implements ref.Val.
func (o *jsonObject) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (o *jsonObject) Value() any { return o.all().Value() }

// plain returns a value that may be missing, or lazily read, as CEL's own kind of it, for whom null will do.
func plain(value ref.Val) ref.Val {
	switch v := value.(type) {
	case *missing:
		v.of.lacking = max(v.of.lacking-1, 0)
		return types.NullValue
	case *jsonObject:
		return v.all()
	case traits.Lister:
		var items []ref.Val
		for it := v.Iterator(); it.HasNext() == types.True; {
			items = append(items, plain(it.Next()))
		}
		return types.NewRefValList(types.DefaultTypeAdapter, items)
	default:
		return value
	}
}
