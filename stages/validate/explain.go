package validate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/rastrohq/rastro/pipeline"
)

// What a reason holds at most. Values are cut because they may be personal data.
const (
	maxViolations = 5
	maxChoices    = 16
	maxValue      = 64  // characters of a value
	maxText       = 160 // characters of anything else
)

// violation is one thing wrong with an event.
type violation struct{ pointer, text string }

// explain makes a reason of what the schema's validator found: every violation with its place, in the order of places.
func explain(invalid *jsonschema.ValidationError) pipeline.Reason {
	violations := gather(nil, invalid)
	slices.SortFunc(violations, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.pointer, b.pointer), cmp.Compare(a.text, b.text))
	})
	violations = slices.Compact(violations)
	if len(violations) == 0 {
		return pipeline.Reason{Code: CodeSchema, Message: "the event does not fit the schema"}
	}
	shown := violations[:min(len(violations), maxViolations)]
	texts := make([]string, 0, len(shown)+1)
	for _, v := range shown {
		subject := shorten(v.pointer, maxText)
		if subject == "" {
			subject = "the event"
		}
		texts = append(texts, subject+" "+v.text)
	}
	if more := len(violations) - len(shown); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return pipeline.Reason{Code: CodeSchema, Message: strings.Join(texts, "; "), Field: shorten(shown[0].pointer, maxText)}
}

// gather appends what is wrong in the tree of errors below e.
func gather(to []violation, e *jsonschema.ValidationError) []violation {
	at := pointer(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			to = append(to, violation{at + "/" + escape(name), "is missing"})
		}
		return to
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			to = append(to, violation{at + "/" + escape(name), "is not a known field"})
		}
		return to
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			to = append(to, violation{at + "/" + escape(name), fmt.Sprintf("is missing; %q needs it", shorten(k.Prop, maxValue))})
		}
		return to
	case *kind.PropertyNames:
		return append(to, violation{at + "/" + escape(k.Property), "is not an allowed name"})
	case *kind.AnyOf, *kind.OneOf:
		return gatherNearest(to, at, e)
	case *kind.Contains, *kind.MinContains, *kind.MaxContains:
		return append(to, violation{at, describe(k)}) // its causes are every item that does not count
	}
	if len(e.Causes) == 0 {
		return append(to, violation{at, describe(e.ErrorKind)})
	}
	for _, cause := range e.Causes {
		to = gather(to, cause)
	}
	return to
}

// gatherNearest appends, for a value that fits none of several forms, what keeps it from the form it is nearest to.
func gatherNearest(to []violation, at string, e *jsonschema.ValidationError) []violation {
	var nearest []violation
	for _, form := range e.Causes {
		if found := gather(nil, form); len(found) > 0 && (nearest == nil || len(found) < len(nearest)) {
			nearest = found
		}
	}
	if nearest == nil {
		return append(to, violation{at, "fits several forms of which it may fit only one"})
	}
	return append(to, nearest...)
}

// describe says what is wrong with a value and what would be right.
func describe(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("is of type %s, must be %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Enum:
		return fmt.Sprintf("is %s, must be one of %s", show(k.Got), choices(k.Want))
	case *kind.Const:
		return fmt.Sprintf("is %s, must be %s", show(k.Got), show(k.Want))
	case *kind.Format:
		return fmt.Sprintf("is %s, which is not a valid %s", show(k.Got), k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("is %s, must match the pattern %s", show(k.Got), shorten(k.Want, maxText))
	case *kind.MinLength:
		if k.Got == 0 {
			return "is empty"
		}
		return fmt.Sprintf("has %d characters, must have at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, must have at most %d", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %d items, must have at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d items, must have at most %d", k.Got, k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal items at %d and %d, all must differ", k.Duplicates[0], k.Duplicates[1])
	case *kind.FalseSchema:
		return "is not allowed here"
	case *kind.InvalidJsonValue:
		return "is not a JSON value"
	default:
		return describeNumber(k)
	}
}

func describeNumber(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return fmt.Sprintf("is %s, must be at least %s", number(k.Got), number(k.Want))
	case *kind.Maximum:
		return fmt.Sprintf("is %s, must be at most %s", number(k.Got), number(k.Want))
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("is %s, must be more than %s", number(k.Got), number(k.Want))
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("is %s, must be less than %s", number(k.Got), number(k.Want))
	case *kind.MultipleOf:
		return fmt.Sprintf("is %s, must be a multiple of %s", number(k.Got), number(k.Want))
	default:
		// The remaining kinds hold no values of the event.
		return "does not fit: " + shorten(k.LocalizedString(message.NewPrinter(language.English)), maxText)
	}
}

func choices(values []any) string {
	texts := make([]string, 0, maxChoices+1)
	for _, value := range values[:min(len(values), maxChoices)] {
		texts = append(texts, show(value))
	}
	if more := len(values) - maxChoices; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

// show writes a value for people, cut to what a reason may hold of it.
func show(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(shorten(v, maxValue))
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case nil:
		return "null"
	case json.Number:
		return shorten(v.String(), maxValue)
	default:
		return shorten(fmt.Sprint(v), maxValue)
	}
}

func number(n *big.Rat) string {
	if n.IsInt() {
		return shorten(n.Num().String(), maxValue)
	}
	return shorten(strings.TrimRight(n.FloatString(12), "0"), maxValue)
}

// pointer writes a place as a JSON pointer (RFC 6901).
func pointer(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		b.WriteString(escape(token))
	}
	return b.String()
}

// escape writes a name as a part of a JSON pointer. A sender's name for a field may be of any length, so it is cut too.
func escape(name string) string {
	name = strings.ReplaceAll(shorten(name, maxValue), "~", "~0")
	return strings.ReplaceAll(name, "/", "~1")
}

// shorten cuts text to a number of characters and says that it did.
func shorten(text string, characters int) string {
	if len(text) <= characters {
		return text
	}
	count := 0
	for i := range text {
		if count == characters {
			return text[:i] + "…"
		}
		count++
	}
	return text
}
