package aggregate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
)

// Reduction makes one value of many: `count`, or a function of a field such as `sum(payload.weight)`. The zero Reduction is none.
type Reduction struct {
	function string
	path     pipeline.Path
}

// The functions, and whether they can do without a field.
const (
	count    = "count"
	sum      = "sum"
	least    = "min"
	greatest = "max"
	average  = "avg"
	distinct = "distinct"
	first    = "first"
	last     = "last"
)

func functions() []string {
	return []string{count, sum, least, greatest, average, distinct, first, last}
}

// ParseReduction reads a reduction.
func ParseReduction(text string) (Reduction, error) {
	function, rest, call := strings.Cut(strings.TrimSpace(text), "(")
	function = strings.TrimSpace(function)
	if newAccumulator(function) == nil {
		return Reduction{}, fmt.Errorf("unknown function %q; there is %s", function, strings.Join(functions(), ", "))
	}
	if !call {
		if function != count {
			return Reduction{}, fmt.Errorf("%s needs a field; write for example `%s(payload.weight)`", function, function)
		}
		return Reduction{function: count}, nil
	}
	inside, closed := strings.CutSuffix(rest, ")")
	if !closed {
		return Reduction{}, fmt.Errorf("%q lacks its closing bracket", text)
	}
	path, err := pipeline.ParsePath(strings.TrimSpace(inside))
	if err != nil {
		return Reduction{}, err
	}
	return Reduction{function: function, path: path}, nil
}

// String returns the reduction as it is written.
func (r Reduction) String() string {
	if r.path.IsZero() {
		return r.function
	}
	return r.function + "(" + r.path.Text() + ")"
}

// MarshalText implements encoding.TextMarshaler.
func (r Reduction) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Reduction) UnmarshalText(text []byte) (err error) {
	*r, err = ParseReduction(string(text))
	return err
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: a reduction that is wrong is an error at its place in the file.
func (r *Reduction) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	parsed, err := ParseReduction(text)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	*r = parsed
	return nil
}

// accumulator takes the values of a window's members, in any order, each once, and gives the same result.
type accumulator interface {
	// add takes a value of an event, which is absent when ok is false.
	add(from moment, value string, ok bool)
	// result returns what to write, as JSON.
	result() json.RawMessage
}

// moment orders events: by when they happened and then, so that there is always an order, by UID.
type moment struct {
	at  int64 // microseconds since the Unix epoch
	uid uuid.UUID
}

func (m moment) before(other moment) bool {
	if m.at != other.at {
		return m.at < other.at
	}
	return string(m.uid[:]) < string(other.uid[:])
}

// newAccumulator returns that of a function; nil when there is no such function.
func newAccumulator(function string) accumulator {
	switch function {
	case count:
		return new(counter)
	case sum:
		return &total{}
	case average:
		return &total{mean: true}
	case least:
		return &extreme{sign: -1}
	case greatest:
		return &extreme{sign: 1}
	case distinct:
		return different{}
	case first:
		return &edge{}
	case last:
		return &edge{late: true}
	default:
		return nil
	}
}

var null = json.RawMessage("null")

// counter counts values.
type counter int64

func (c *counter) add(_ moment, _ string, ok bool) {
	if ok {
		*c++
	}
}

func (c *counter) result() json.RawMessage { return strconv.AppendInt(nil, int64(*c), 10) }

// total is a sum or, with mean, an average.
type total struct {
	mean bool
	n    int64
	sum  decimal
}

func (t *total) add(_ moment, value string, ok bool) {
	number, is := parseDecimal(value)
	switch {
	case !ok || !is:
	case t.n == 0:
		t.n, t.sum = 1, number
	default:
		t.n, t.sum = t.n+1, t.sum.plus(number)
	}
}

func (t *total) result() json.RawMessage {
	switch {
	case t.n > 0 && t.mean:
		return json.RawMessage(t.sum.over(t.n).String())
	case t.n > 0:
		return json.RawMessage(t.sum.String())
	case t.mean:
		return null
	default:
		return json.RawMessage("0")
	}
}

// extreme is a maximum or, with the sign -1, a minimum.
type extreme struct {
	sign  int
	any   bool
	value decimal
}

func (e *extreme) add(_ moment, value string, ok bool) {
	number, is := parseDecimal(value)
	if ok && is && (!e.any || number.compare(e.value)*e.sign > 0) {
		e.any, e.value = true, number
	}
}

func (e *extreme) result() json.RawMessage {
	if !e.any {
		return null
	}
	return json.RawMessage(e.value.String())
}

// different counts values that differ.
type different map[string]struct{}

func (d different) add(_ moment, value string, ok bool) {
	if ok {
		d[value] = struct{}{}
	}
}

func (d different) result() json.RawMessage { return strconv.AppendInt(nil, int64(len(d)), 10) }

// edge is the first value or, when late, the last.
type edge struct {
	late  bool
	any   bool
	at    moment
	value string
}

func (e *edge) add(from moment, value string, ok bool) {
	if ok && (!e.any || from.before(e.at) != e.late) {
		e.any, e.at, e.value = true, from, value
	}
}

func (e *edge) result() json.RawMessage {
	if !e.any {
		return null
	}
	text, err := json.Marshal(e.value)
	if err != nil { // a text always can be written
		return null
	}
	return text
}

var _ yaml.NodeUnmarshaler = (*Reduction)(nil)
