package pipeline

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/tidwall/gjson"
)

// maxDepth is how deep expressions look into a payload.
const maxDepth = 64

// payload returns the event's payload, read only as far as it is asked for.
func (e *evaluation) payload() ref.Val {
	if e.body == nil {
		e.body = e.jsonValue(gjson.ParseBytes(e.event.Payload), 0)
	}
	return e.body
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
			return types.NewRefValList(types.DefaultTypeAdapter, items)
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

// jsonObject is an object of the payload. It is a map to expressions, but not a traits.Mapper: of a map CEL asks for a key in
// one way, whether it wants the value or to know if it is there, and here the answers differ.
type jsonObject struct {
	of    *evaluation
	json  gjson.Result
	depth int
	whole traits.Mapper // once all of it was needed
}

// find returns a value, or what stands for a missing one. Of a key that an object repeats, the first counts.
func (o *jsonObject) find(key ref.Val) ref.Val {
	found := o.of.none()
	name, ok := key.(types.String)
	if !ok {
		return found
	}
	o.json.ForEach(func(k, value gjson.Result) bool {
		if k.Str != string(name) {
			return true
		}
		found = o.of.jsonValue(value, o.depth+1)
		return false
	})
	return found
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
	o.json.ForEach(func(key, json gjson.Result) bool {
		if _, repeated := members[key.Str]; !repeated {
			members[key.Str] = o.of.jsonValue(json, o.depth+1)
		}
		return true
	})
	for key, value := range members {
		if v, ok := value.(ref.Val); ok && !isMissing(v) {
			members[key] = plain(v)
		} else {
			delete(members, key)
		}
	}
	o.whole = types.NewStringInterfaceMap(types.DefaultTypeAdapter, members)
	return o.whole
}

// Iterator implements traits.Iterable.
func (o *jsonObject) Iterator() traits.Iterator { return o.all().Iterator() }

// Size implements traits.Sizer.
func (o *jsonObject) Size() ref.Val { return o.all().Size() }

// ConvertToNative implements ref.Val.
func (o *jsonObject) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an object of the payload cannot become a %s", t)
}

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
