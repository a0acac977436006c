package validate

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// quick finds out at a fraction of the validator's cost what is true of nearly all events: that they fit the schema. When it
// does not find that out, the validator decides, and explains; quick never accepts what the validator would not.
type quick struct {
	fixed          *bool // a schema that is true or false
	types          typeSet
	enum           []string // nil when any value will do
	format         *jsonschema.Format
	ref            *quick
	required       []string
	properties     map[string]*quick
	closed         bool // no other properties
	items          *quick
	minItems       int
	maxItems       int
	minLength      int // characters
	maxLength      int
	pattern        jsonschema.Regexp
	chars          *charset // what pattern says, when it says no more
	reach          int      // how many bytes of a text pattern looks at
	least, most    float64
	boundedNumbers bool
}

type typeSet struct{ any, object, array, text, boolean, null, integer, number bool }

// understood are the fields of a compiled schema, besides annotations, that quick knows the meaning of.
var understood = []string{
	"Bool", "Types", "Enum", "Format", "Ref", "Required", "Properties", "AdditionalProperties", "MinItems", "MaxItems",
	"Items2020", "MinLength", "MaxLength", "Pattern", "Minimum", "Maximum",
}

// maxExact is the largest number up to which every whole number is a float64.
const maxExact = 1 << 53

// newQuick returns nil when the schema says something that quick does not know.
func newQuick(schema *jsonschema.Schema) *quick { return quicken(schema, nil) }

// quicken compiles a schema; above are the schemas that it stands in, to notice one that refers to itself.
func quicken(schema *jsonschema.Schema, above []*jsonschema.Schema) *quick {
	if schema.DraftVersion != 2020 || slices.Contains(above, schema) || !hasOnly(schema, annotations, understood) {
		return nil
	}
	above = append(slices.Clone(above), schema)
	q := &quick{
		fixed: schema.Bool, types: typesOf(schema.Types), format: schema.Format, required: schema.Required,
		minItems: orElse(schema.MinItems, 0), maxItems: orElse(schema.MaxItems, math.MaxInt),
		minLength: orElse(schema.MinLength, 0), maxLength: orElse(schema.MaxLength, math.MaxInt), pattern: schema.Pattern,
		chars: charsetOf(schema.Pattern), reach: reachOf(schema.Pattern),
		boundedNumbers: schema.Minimum != nil || schema.Maximum != nil,
	}
	var leastOK, mostOK, enumOK, additionalOK bool
	q.least, leastOK = bound(schema.Minimum, math.Inf(-1))
	q.most, mostOK = bound(schema.Maximum, math.Inf(1))
	q.enum, enumOK = textsOf(schema.Enum)
	q.closed, additionalOK = isClosed(schema.AdditionalProperties)
	if !leastOK || !mostOK || !enumOK || !additionalOK {
		return nil
	}
	return q.within(schema, above)
}

// within compiles the schemas inside a schema.
func (q *quick) within(schema *jsonschema.Schema, above []*jsonschema.Schema) *quick {
	if schema.Ref != nil {
		if q.ref = quicken(schema.Ref, above); q.ref == nil {
			return nil
		}
	}
	if schema.Items2020 != nil {
		if q.items = quicken(schema.Items2020, above); q.items == nil {
			return nil
		}
	}
	q.properties = make(map[string]*quick, len(schema.Properties))
	for name, property := range schema.Properties {
		if q.properties[name] = quicken(property, above); q.properties[name] == nil {
			return nil
		}
	}
	return q
}

// acceptsString reports that a text surely fits, without making a value of it.
func (q *quick) acceptsString(text string) bool {
	switch {
	case q.fixed != nil:
		return *q.fixed
	case q.ref != nil && !q.ref.acceptsString(text):
		return false
	case q.format != nil && q.format.Validate(text) != nil:
		return false
	default:
		return q.acceptsText(text)
	}
}

// accepts reports that a value surely fits.
func (q *quick) accepts(value any) bool {
	if q.fixed != nil {
		return *q.fixed
	}
	if q.ref != nil && !q.ref.accepts(value) {
		return false
	}
	if q.format != nil && q.format.Validate(value) != nil {
		return false
	}
	if text, ok := value.(string); ok {
		return q.acceptsText(text)
	}
	if q.enum != nil {
		return false
	}
	switch v := value.(type) {
	case map[string]any:
		return q.acceptsObject(v)
	case []any:
		return q.acceptsArray(v)
	case bool:
		return q.types.any || q.types.boolean
	case nil:
		return q.types.any || q.types.null
	case int64:
		return q.acceptsNumber(v)
	case int:
		return q.acceptsNumber(int64(v))
	case float64:
		return q.acceptsFloat(v)
	case json.Number:
		whole, err := strconv.ParseInt(v.String(), 10, 64)
		return err == nil && q.acceptsNumber(whole)
	default:
		return false
	}
}

func (q *quick) acceptsText(text string) bool {
	if !q.types.any && !q.types.text {
		return false
	}
	if q.enum != nil && !slices.Contains(q.enum, text) {
		return false
	}
	// A text has no more characters than bytes.
	if len(text) > q.maxLength || q.minLength > 1 || len(text) < q.minLength {
		if n := utf8.RuneCountInString(text); n < q.minLength || n > q.maxLength {
			return false
		}
	}
	return q.pattern == nil || q.chars != nil && q.chars.accepts(text) || q.pattern.MatchString(text)
}

func (q *quick) acceptsObject(object map[string]any) bool {
	if !q.types.any && !q.types.object {
		return false
	}
	for _, name := range q.required {
		if _, ok := object[name]; !ok {
			return false
		}
	}
	for name, value := range object {
		property, known := q.properties[name]
		if !known && q.closed || known && !property.accepts(value) {
			return false
		}
	}
	return true
}

func (q *quick) acceptsArray(array []any) bool {
	if !q.types.any && !q.types.array || len(array) < q.minItems || len(array) > q.maxItems {
		return false
	}
	return q.items == nil || !slices.ContainsFunc(array, func(item any) bool { return !q.items.accepts(item) })
}

func (q *quick) acceptsNumber(whole int64) bool {
	if !q.types.any && !q.types.number && !q.types.integer {
		return false
	}
	if !q.boundedNumbers {
		return true
	}
	// Rounding to a float64 keeps the order, so that a number which is beyond a bound after it was before; one that comes to
	// equal the bound may have been rounded there.
	number := float64(whole)
	if whole > -maxExact && whole < maxExact {
		return number >= q.least && number <= q.most
	}
	return number > q.least && number < q.most
}

func (q *quick) acceptsFloat(value float64) bool {
	if math.IsNaN(value) || math.IsInf(value, 0) || !q.types.any && !q.types.number {
		return false // a whole float64 may be an integer; the validator says
	}
	return value >= q.least && value <= q.most
}

func typesOf(types *jsonschema.Types) typeSet {
	if types == nil || types.IsEmpty() {
		return typeSet{any: true}
	}
	var set typeSet
	for _, name := range types.ToStrings() {
		switch name {
		case "object":
			set.object = true
		case "array":
			set.array = true
		case "string":
			set.text = true
		case "boolean":
			set.boolean = true
		case "null":
			set.null = true
		case "integer":
			set.integer = true
		case "number":
			set.number = true
		}
	}
	return set
}

// textsOf returns the values of an enum; false when they are not all texts.
func textsOf(enum *jsonschema.Enum) ([]string, bool) {
	if enum == nil {
		return nil, true
	}
	texts := make([]string, len(enum.Values))
	for i, value := range enum.Values {
		text, ok := value.(string)
		if !ok {
			return nil, false
		}
		texts[i] = text
	}
	return texts, true
}

// isClosed reports whether other properties are forbidden; ok is false when they have a schema.
func isClosed(additional any) (closed, ok bool) {
	switch a := additional.(type) {
	case nil:
		return false, true
	case bool:
		return !a, true
	case *jsonschema.Schema:
		if a.Bool != nil {
			return !*a.Bool, true
		}
	}
	return false, false
}

// bound returns a limit as a float64; false when it is not one exactly.
func bound(limit *big.Rat, otherwise float64) (float64, bool) {
	if limit == nil {
		return otherwise, true
	}
	return limit.Float64()
}

func orElse(value *int, otherwise int) int {
	if value == nil {
		return otherwise
	}
	return *value
}
