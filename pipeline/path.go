package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"github.com/rastrohq/rastro/tracking"
)

// Path names one value of an event by its names on the wire: `tenant_id`, `location.iata`, `payload.flight.number`,
// `enrichment.attributes.customer.tier`. Below payload, and below the name of an attribute, a part may be the index of a list; a
// dot that belongs to a key is written `\.` and a backslash `\\`.
//
// A Path is immutable and safe for concurrent use. The zero Path names nothing and is present in no event.
type Path struct {
	text string
	// fields are the indices that lead from tracking.Event to the value, outside the payload.
	fields []int
	// below is the gjson path below the payload, or below the attribute if there is one.
	below     string
	attribute string
	root      bool // the payload, or the attribute, as a whole
}

// maxPath bounds the text of a path: a longer one is a mistake.
const maxPath = 256

// ParsePath reads a path. What it names must exist on the wire, and must be a single value unless it is in the payload.
func ParsePath(text string) (Path, error) {
	if len(text) > maxPath {
		return Path{}, fmt.Errorf("field path of %d characters: %d at most", len(text), maxPath)
	}
	parts, err := splitPath(text)
	if err != nil {
		return Path{}, err
	}
	if parts[0] == "payload" {
		return Path{text: text, below: gjsonPath(parts[1:]), root: len(parts) == 1}, nil
	}
	if parts[0] == "event" && len(parts) > 1 {
		return Path{}, fmt.Errorf("unknown field %q; did you mean %q?", text, strings.TrimPrefix(text, "event."))
	}
	fields, at, below, err := followPath(text, parts)
	switch {
	case err != nil:
		return Path{}, err
	case at == attributesType && len(below) > 0:
		return Path{text: text, attribute: below[0], below: gjsonPath(below[1:]), root: len(below) == 1}, nil
	case at == attributesType:
		return Path{}, fmt.Errorf("field %q has parts; name one of them: %s", text, text+".NAME")
	case isObject(at):
		inner := wireFields(at)
		return Path{}, fmt.Errorf("field %q has parts; name one of them: %s", text, strings.Join(inner.qualified(parts), ", "))
	case at.Kind() == reflect.Slice:
		return Path{}, fmt.Errorf("field %q is a list; a path names a single value", text)
	}
	return Path{text: text, fields: fields}, nil
}

// followPath returns the indices that lead from tracking.Event to what the parts of a path name, and its type. The parts below
// the attributes, which are no fields, are left over.
func followPath(text string, parts []string) (fields []int, at reflect.Type, below []string, err error) {
	at = reflect.TypeFor[tracking.Event]()
	for i, part := range parts {
		if at == attributesType {
			return fields, at, parts[i:], nil
		}
		if !isObject(at) {
			return nil, nil, nil, fmt.Errorf("unknown field %q: %q is a single value and has no parts", text, strings.Join(parts[:i], "."))
		}
		known := wireFields(at)
		index, ok := known.index[part]
		if !ok {
			return nil, nil, nil, fmt.Errorf("unknown field %q; %s", text, known.suggest(parts[:i], part))
		}
		fields = append(fields, index)
		at = fieldType(at, index)
	}
	return fields, at, nil, nil
}

var attributesType = reflect.TypeFor[map[string]json.RawMessage]()

func gjsonPath(parts []string) string {
	below := make([]string, len(parts))
	for i, part := range parts {
		below[i] = gjson.Escape(part)
	}
	return strings.Join(below, ".")
}

// MustParsePath is ParsePath for paths that stand in code: it panics when text is no path.
func MustParsePath(text string) Path {
	path, err := ParsePath(text)
	if err != nil {
		panic(err)
	}
	return path
}

// Text returns the path as it was written.
func (p Path) Text() string { return p.text }

// IsZero reports whether p is the zero Path, which names nothing.
func (p Path) IsZero() bool { return p.text == "" }

// String returns the value that p names as text, and whether the event has it: an optional text that is empty, a part of
// an object that is absent, and null are not there, whereas a number of the event is there even when it is 0. A number of
// the payload is given exactly as it was sent, a time as RFC 3339 in UTC, an object or list of the payload as its JSON.
func (p Path) String(event *tracking.Event) (string, bool) {
	if p.fields == nil {
		result, ok := p.lookup(event)
		return payloadText(result), ok
	}
	value, ok := p.resolve(event)
	if !ok {
		return "", false
	}
	if value.Kind() == reflect.String {
		return value.String(), value.Len() > 0
	}
	text, ok := appendValue(nil, value)
	return string(text), ok
}

// Append appends what String returns to dst, without making a string of it, and reports whether the event has the value.
func (p Path) Append(dst []byte, event *tracking.Event) ([]byte, bool) {
	if p.fields == nil {
		result, ok := p.lookup(event)
		return append(dst, payloadText(result)...), ok
	}
	value, ok := p.resolve(event)
	if !ok {
		return dst, false
	}
	return appendValue(dst, value)
}

// MarshalYAML writes the path as it is read; the zero Path, which no text names, as null.
func (p Path) MarshalYAML() (any, error) {
	if p.IsZero() {
		return nil, nil
	}
	return p.text, nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// UnmarshalYAML implements yaml.NodeUnmarshaler, so that a config may have fields of type Path: a path that is wrong is an
// error at its place in the file.
func (p *Path) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	path, err := ParsePath(text)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	*p = path
	return nil
}

// resolve follows the path through the event's own fields; false when an object on the way is absent.
func (p Path) resolve(event *tracking.Event) (reflect.Value, bool) {
	value := reflect.ValueOf(event).Elem()
	for _, index := range p.fields {
		if value.Kind() == reflect.Pointer {
			if value.IsNil() {
				return value, false
			}
			value = value.Elem()
		}
		value = value.Field(index)
	}
	if value.Kind() == reflect.Pointer {
		return value.Elem(), !value.IsNil()
	}
	return value, true
}

// lookup finds the path in the payload or in an attribute. Of a key that an object repeats, the first counts.
func (p Path) lookup(event *tracking.Event) (gjson.Result, bool) {
	document := event.Payload
	if p.attribute != "" {
		document = event.Enrichment.Attributes[p.attribute]
	}
	if p.text == "" || len(document) == 0 {
		return gjson.Result{}, false
	}
	var result gjson.Result
	if p.root {
		result = gjson.ParseBytes(document)
	} else {
		result = gjson.GetBytes(document, p.below)
	}
	present := result.Exists() && result.Type != gjson.Null && (result.Type != gjson.String || result.Str != "")
	return result, present
}

func payloadText(result gjson.Result) string {
	switch result.Type {
	case gjson.String:
		return result.Str
	case gjson.Null:
		return ""
	default:
		return result.Raw // numbers too: a float64 would round what was sent
	}
}

func appendValue(dst []byte, value reflect.Value) ([]byte, bool) {
	switch value.Kind() {
	case reflect.String:
		return append(dst, value.String()...), value.Len() > 0
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(dst, value.Int(), 10), true
	case reflect.Float64:
		return strconv.AppendFloat(dst, value.Float(), 'g', -1, 64), true
	default:
	}
	switch v := value.Addr().Interface().(type) {
	case *uuid.UUID:
		if *v == uuid.Nil {
			return dst, false
		}
		return append(dst, v.String()...), true
	case *time.Time:
		if v.IsZero() {
			return dst, false
		}
		return v.UTC().AppendFormat(dst, time.RFC3339Nano), true
	default:
		return dst, false
	}
}

// splitPath splits a path at its dots and takes the escapes out of its parts.
func splitPath(text string) ([]string, error) {
	var (
		parts []string
		part  []byte
	)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '.' || text[i+1] == '\\'):
			i++
			part = append(part, text[i])
		case c == '\\':
			return nil, fmt.Errorf(`field path %q: a backslash stands only before a dot or a backslash`, text)
		case c == '.':
			parts, part = append(parts, string(part)), part[:0]
		default:
			part = append(part, c)
		}
	}
	parts = append(parts, string(part))
	if slices.Contains(parts, "") {
		if text == "" {
			return nil, errors.New("field path is empty; write a field's name, such as event_type or payload.location")
		}
		return nil, fmt.Errorf("field path %q has an empty part", text)
	}
	return parts, nil
}

// personalType is of what no path and no expression reaches, so that it does not get anywhere by them.
var personalType = reflect.TypeFor[*tracking.Personal]()

// spanType is of what is no part of what an event says.
var spanType = reflect.TypeFor[tracking.SpanContext]()

// wireNames are the fields of a struct by their names on the wire.
type wireNames struct {
	index map[string]int
	names []string          // in order of declaration
	alias map[string]string // Go's name in snake case, where it differs: occurred_at for timestamp
}

func wireFields(object reflect.Type) wireNames {
	if object.Kind() == reflect.Pointer {
		object = object.Elem()
	}
	w := wireNames{index: map[string]int{}, alias: map[string]string{}}
	for i := range object.NumField() {
		field := object.Field(i)
		if field.Type == personalType || field.Type == spanType {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		w.index[name] = i
		w.names = append(w.names, name)
		if snake := snakeCase(field.Name); snake != name {
			w.alias[snake] = name
		}
	}
	return w
}

func (w wireNames) suggest(parents []string, part string) string {
	prefix := ""
	if len(parents) > 0 {
		prefix = strings.Join(parents, ".") + "."
	}
	if name, ok := w.alias[strings.ToLower(part)]; ok {
		return fmt.Sprintf("did you mean %q?", prefix+name)
	}
	return didYouMean(prefix+part, w.qualified(parents))
}

func (w wireNames) qualified(parents []string) []string {
	names := make([]string, len(w.names))
	for i, name := range w.names {
		names[i] = strings.Join(append(slices.Clone(parents), name), ".")
	}
	return names
}

func isObject(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]()
}

func fieldType(object reflect.Type, index int) reflect.Type {
	if object.Kind() == reflect.Pointer {
		object = object.Elem()
	}
	return object.Field(index).Type
}

func snakeCase(name string) string {
	var b strings.Builder
	for i, r := range name {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && (name[i-1] < 'A' || name[i-1] > 'Z') {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

var _ yaml.NodeUnmarshaler = (*Path)(nil)
