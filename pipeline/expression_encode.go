package pipeline

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxEncoded is how large JSON that is made of a value may become, in bytes, before no more is added to it.
const maxEncoded = 4 << 20

// JSON returns the value as JSON; null when there is none. A time is written as RFC 3339, a duration as seconds ("90s"), bytes in
// base64; the members of a map are in the order of their names.
func (v Value) JSON() (json.RawMessage, error) {
	e := encoder{}
	if v.sent != nil {
		if found, ok := v.sent.lookup(v.by); ok && json.Valid([]byte(found.Raw)) {
			e.sent([]byte(found.Raw))
			return e.out, nil
		}
	}
	if err := e.value(v.value, 0); err != nil {
		return nil, err
	}
	// What is handed on as it was sent is JSON only if that was.
	if e.raw && !json.Valid(e.out) {
		return nil, errors.New("what the payload has there is not JSON")
	}
	return e.out, nil
}

type encoder struct {
	out []byte
	raw bool // there is something in out as it was sent
}

func (e *encoder) value(value ref.Val, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("the value is nested deeper than %d levels", maxDepth)
	case len(e.out) > maxEncoded:
		return fmt.Errorf("the value is larger than %d bytes", maxEncoded)
	}
	switch v := value.(type) {
	case nil, *missing, types.Null:
		e.out = append(e.out, "null"...)
	case *types.Err:
		return v
	case types.Bool:
		e.out = strconv.AppendBool(e.out, bool(v))
	case types.Int:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case types.Uint:
		e.out = strconv.AppendUint(e.out, uint64(v), 10)
	case types.Double:
		number, err := Value{value: v}.Number()
		if err != nil {
			return err
		}
		return e.native(number)
	case types.String:
		return e.native(string(v))
	case types.Bytes:
		return e.native(base64.StdEncoding.EncodeToString(v))
	case types.Timestamp:
		return e.native(v.Format(time.RFC3339Nano))
	case types.Duration:
		return e.native(v.ConvertToType(types.StringType).Value())
	case *partValue:
		return e.part(v)
	case *jsonList:
		e.sent([]byte(v.raw))
	case *jsonObject:
		if v.attributes != nil {
			return e.native(v.attributes)
		}
		e.sent([]byte(v.json.Raw))
	case traits.Lister:
		return e.list(v, depth)
	case traits.Mapper:
		return e.mapping(v, depth)
	default:
		return fmt.Errorf("a %s has no JSON", value.Type().TypeName())
	}
	return nil
}

// sent adds what was sent, as it was sent.
func (e *encoder) sent(raw []byte) {
	e.out, e.raw = append(e.out, bytes.TrimSpace(raw)...), true
}

func (e *encoder) native(value any) error {
	b := bytes.NewBuffer(e.out)
	encode := json.NewEncoder(b)
	encode.SetEscapeHTML(false)
	if err := encode.Encode(value); err != nil {
		return fmt.Errorf("encode value: %w", err)
	}
	e.out = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return nil
}

// part adds the event or one of its objects; one that is absent is null.
func (e *encoder) part(p *partValue) error {
	object := structOf(p.native)
	if object.IsZero() {
		return e.value(nil, 0)
	}
	return e.native(object.Addr().Interface())
}

func (e *encoder) list(list traits.Lister, depth int) error {
	e.out = append(e.out, '[')
	for it, first := list.Iterator(), true; it.HasNext() == types.True; first = false {
		if !first {
			e.out = append(e.out, ',')
		}
		if err := e.value(it.Next(), depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *encoder) mapping(mapping traits.Mapper, depth int) error {
	type entry struct {
		key   string
		value ref.Val
	}
	var entries []entry
	for it := mapping.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		value := mapping.Get(key)
		if isMissing(value) {
			continue
		}
		entries = append(entries, entry{fmt.Sprint(key.Value()), value})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	e.out = append(e.out, '{')
	for i, one := range entries {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.native(one.key); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		if err := e.value(one.value, depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}
