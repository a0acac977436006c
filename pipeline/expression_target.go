package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/tracking"
)

// Target names what of an event a stage may change, in the words of Path. It may name an object of the event as a whole, such as
// `location` or `enrichment.attributes`, and a list. Whose delivery an event is cannot be changed: uid, tenant_id, received_at.
//
// A Target is immutable and safe for concurrent use. The zero Target names nothing.
type Target struct {
	text  string
	parts []string
	// fields are the indices that lead from tracking.Event to the value, outside the payload and below the attributes.
	fields []int
	typ    reflect.Type
	// below are the parts below the payload, or the attribute and those below it.
	below []string
}

// Fields that say whose delivery an event is, and those that no event can be without.
var (
	fixedFields    = []string{"uid", "tenant_id", "received_at"}
	requiredFields = []string{"source", "event_id", "correlation_id", "aggregate_id", "event_type", "classifier", "timestamp"}
)

// ParseTarget reads a target.
func ParseTarget(text string) (Target, error) {
	if len(text) > maxPath {
		return Target{}, fmt.Errorf("field path of %d characters: %d at most", len(text), maxPath)
	}
	if !utf8.ValidString(text) {
		return Target{}, fmt.Errorf("field path %q is not UTF-8", text)
	}
	parts, err := splitPath(text)
	if err != nil {
		return Target{}, err
	}
	switch {
	case parts[0] == "payload":
		return Target{text: text, parts: parts, typ: payloadType, below: parts[1:]}, nil
	case parts[0] == "event" && len(parts) > 1:
		return Target{}, fmt.Errorf("unknown field %q; did you mean %q?", text, strings.TrimPrefix(text, "event."))
	case slices.Contains(fixedFields, parts[0]) && len(parts) == 1:
		return Target{}, fmt.Errorf("%s cannot be changed: it says whose delivery the event is", text)
	}
	fields, at, below, err := followPath(text, parts)
	if err != nil {
		return Target{}, err
	}
	return Target{text: text, parts: parts, fields: fields, typ: at, below: below}, nil
}

var payloadType = reflect.TypeFor[json.RawMessage]()

// Text returns the target as it was written.
func (t Target) Text() string { return t.text }

// MarshalText implements encoding.TextMarshaler.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// Pointer returns the target as a JSON pointer (RFC 6901) into the event on the wire.
func (t Target) Pointer() string { return pointer(t.parts) }

// Required reports whether no event can be without the target.
func (t Target) Required() bool { return slices.Contains(requiredFields, t.text) }

// Takes returns what kind of value can be given to the target; an error when it has parts, to which values are given one by one.
func (t Target) Takes() (ValueType, error) {
	at := t.typ
	if at.Kind() == reflect.Pointer && !isObject(at) {
		at = at.Elem()
	}
	switch {
	case at == payloadType || (at == attributesType && len(t.below) > 0):
		return ValueAny, nil
	case at == attributesType:
		return ValueAny, fmt.Errorf("field %q has parts; name one of them: %s", t.text, t.text+".NAME")
	case isObject(at):
		inner := wireFields(at)
		return ValueAny, fmt.Errorf("field %q has parts; name one of them: %s", t.text, strings.Join(inner.qualified(t.parts), ", "))
	case at == reflect.TypeFor[time.Time]():
		return ValueTime, nil
	case at == reflect.TypeFor[[]string]():
		return ValueTexts, nil
	}
	switch at.Kind() {
	case reflect.Int, reflect.Int64:
		return ValueInteger, nil
	case reflect.Float64:
		return ValueNumber, nil
	default:
		return ValueText, nil
	}
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: a target that is wrong is an error at its place in the file.
func (t *Target) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	target, err := ParseTarget(text)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	*t = target
	return nil
}

var _ yaml.NodeUnmarshaler = (*Target)(nil)

// set gives the target of an event, which is the caller's own, a value that is not none.
func (t Target) set(event *tracking.Event, value Value) error {
	if t.typ == payloadType || t.typ == attributesType {
		raw, err := value.JSON()
		if err != nil {
			return err
		}
		return t.setJSON(event, raw)
	}
	at := reflect.ValueOf(event).Elem()
	for _, index := range t.fields {
		if at.Kind() == reflect.Pointer {
			if at.IsNil() {
				at.Set(reflect.New(at.Type().Elem()))
			}
			at = at.Elem()
		}
		at = at.Field(index)
	}
	if at.Kind() == reflect.Pointer {
		at.Set(reflect.New(at.Type().Elem()))
		at = at.Elem()
	}
	return t.assign(at, value)
}

// setJSON writes into the payload or an attribute, in bytes of their own.
func (t Target) setJSON(event *tracking.Event, raw []byte) error {
	document, below := &event.Payload, t.below
	var attribute json.RawMessage
	if t.typ == attributesType {
		attribute, below = event.Enrichment.Attributes[t.below[0]], t.below[1:]
		document = &attribute
	}
	changed, err := setJSON(*document, below, raw)
	if err != nil {
		return err
	}
	// As deep as the event on the wire may nest, in which the payload is one level down and an attribute three.
	if deep := depthOf(changed); deep > maxDepth-len(t.parts)+len(below) {
		return fmt.Errorf("nests %d levels deep; %d at most", deep, maxDepth-len(t.parts)+len(below))
	}
	*document = changed
	if t.typ == attributesType {
		if event.Enrichment.Attributes == nil {
			event.Enrichment.Attributes = map[string]json.RawMessage{}
		}
		event.Enrichment.Attributes[t.below[0]] = changed
	}
	return nil
}

// unset takes the target out of an event, which is the caller's own.
func (t Target) unset(event *tracking.Event) error {
	var err error
	switch {
	case t.typ == payloadType && len(t.below) > 0:
		event.Payload, err = deleteJSON(event.Payload, t.below)
		return err
	case t.typ == attributesType && len(t.below) == 1:
		delete(event.Enrichment.Attributes, t.below[0])
		return nil
	case t.typ == attributesType && len(t.below) > 1:
		attribute, ok := event.Enrichment.Attributes[t.below[0]]
		if ok {
			event.Enrichment.Attributes[t.below[0]], err = deleteJSON(attribute, t.below[1:])
		}
		return err
	case t.typ == payloadType:
		event.Payload = nil
		return nil
	}
	at := reflect.ValueOf(event).Elem()
	for _, index := range t.fields {
		if at.Kind() == reflect.Pointer {
			if at.IsNil() {
				return nil
			}
			at = at.Elem()
		}
		at = at.Field(index)
	}
	at.SetZero()
	return nil
}

// assign gives a field a value of its type, within what the wire allows.
func (t Target) assign(at reflect.Value, value Value) error {
	switch at.Kind() {
	case reflect.Int, reflect.Int64:
		n, err := value.Integer()
		if err != nil {
			return err
		}
		at.SetInt(n)
		return t.within(float64(n))
	case reflect.Float64:
		n, err := value.Number()
		if err != nil {
			return err
		}
		at.SetFloat(n)
		return t.within(n)
	case reflect.String:
		text, err := value.Text()
		if err != nil {
			return err
		}
		at.SetString(text)
		return t.wellFormed(text)
	case reflect.Slice:
		texts, err := value.Texts()
		if err != nil {
			return err
		}
		at.Set(reflect.ValueOf(texts))
		return t.wellFormedList(texts)
	default:
		when, err := value.Time()
		if err != nil {
			return err
		}
		if y := when.Year(); y < 1970 || y > 9999 {
			return fmt.Errorf("the year %d is not between 1970 and 9999", y)
		}
		at.Set(reflect.ValueOf(when.Truncate(time.Microsecond)))
		return nil
	}
}

// Limits of what stands on the wire, as the decoders of events have them.
const (
	maxText      = 256
	maxCorrected = 1000
)

var numberLimits = map[string][2]float64{
	"revision": {0, 1 << 63}, "quantity.pieces": {0, 1e9}, "quantity.total_pieces": {0, 1e9}, "quantity.weight": {0, 1e12},
	"location.latitude": {-90, 90}, "location.longitude": {-180, 180},
	"enrichment.place.latitude": {-90, 90}, "enrichment.place.longitude": {-180, 180},
}

var textChoices = map[string][]string{
	"kind": words(tracking.Kinds()), "classifier": words(tracking.Classifiers()), "time_quality": words(tracking.TimeQualities()),
	"corrects.kind":        words([]tracking.CorrectionKind{tracking.Void, tracking.Replace}),
	"quantity.weight_unit": {"kg", "lb"}, "transport.mode": {"air", "sea", "road", "rail"}, "enrichment.transport.mode": {"air", "sea", "road", "rail"},
	"enrichment.milestone": words(tracking.Milestones()),
}

func words[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func (t Target) within(n float64) error {
	if limit, ok := numberLimits[t.text]; ok && (n < limit[0] || n > limit[1]) {
		return fmt.Errorf("%v is not between %v and %v", n, limit[0], limit[1])
	}
	return nil
}

func (t Target) wellFormed(text string) error {
	switch choices, few := textChoices[t.text]; {
	case text == "" && t.Required():
		return errors.New("no event can be without it, and this is an empty text")
	case text == "":
		return nil
	case few && !slices.Contains(choices, text):
		return fmt.Errorf("%q is not one of %s", text, strings.Join(choices, ", "))
	case strings.HasSuffix(t.text, "transport.date"):
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return fmt.Errorf("%q is no date as 2026-01-31", text)
		}
	}
	switch {
	case len(text) > maxText:
		return fmt.Errorf("%d bytes are too long; %d at most", len(text), maxText)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q has control characters", text)
	}
	return nil
}

func (t Target) wellFormedList(texts []string) error {
	if len(texts) > maxCorrected {
		return fmt.Errorf("%d are too many; %d at most", len(texts), maxCorrected)
	}
	for _, text := range texts {
		if text == "" {
			return errors.New("there is an empty text in the list")
		}
		if err := t.wellFormed(text); err != nil {
			return err
		}
	}
	return nil
}

// tidy leaves out the objects of an event in which nothing is left, and finds a correction that corrects nothing.
func tidy(event *tracking.Event) error {
	prune(&event.Location)
	prune(&event.Quantity)
	prune(&event.Transport)
	prune(&event.Enrichment.Place)
	prune(&event.Enrichment.Airline)
	prune(&event.Enrichment.Transport)
	if len(event.Enrichment.Attributes) == 0 {
		event.Enrichment.Attributes = nil
	}
	c := event.Corrects
	switch {
	case c == nil:
	case c.Kind == "" && len(c.EventIDs) == 0 && c.Reason == "":
		event.Corrects = nil
	case c.Kind == "" || len(c.EventIDs) == 0:
		return &FieldError{Field: "/corrects", Err: errors.New("a correction has a kind, void or replace, and the event_ids that it corrects")}
	}
	return nil
}

func prune[T comparable](object **T) {
	var zero T
	if *object != nil && **object == zero {
		*object = nil
	}
}
