package epcis

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// checker walks through a document with what it must be like.
type checker struct {
	notes *wire.Notes
	path  wire.Path
	names *names
}

// rule checks one value.
type rule func(c *checker, n *wire.Node)

func (c *checker) failf(code, format string, args ...any) {
	c.notes.Failf(wire.Pointer(c.path), code, format, args...)
}

// required refuses the value at the path for want of a member.
func (c *checker) required(key, meaning string) {
	c.notes.Failf(wire.Pointer(c.path, key), formats.CodeRequired, "%s is required: %s", key, meaning)
}

func (c *checker) is(n *wire.Node, kind scan.Kind) bool {
	if n.Kind != kind {
		c.failf(formats.CodeType, "it must be %s, not %s", kind, n.Kind)
		return false
	}
	return true
}

// shape says what members an object has.
type shape struct {
	required []string
	fields   map[string]rule
	// open says that extensions may stand beside the fields: members whose name is a URI, compact or not.
	open bool
	// loose says that any other member may stand there too, which nobody understands.
	loose bool
}

func (s *shape) rule(c *checker, n *wire.Node) {
	if !c.is(n, scan.Object) {
		return
	}
	for _, key := range s.required {
		if n.Get(key) == nil {
			c.required(key, meanings[key])
		}
	}
	for i := range n.Members {
		m := &n.Members[i]
		c.path.Push(m.Key)
		switch check := s.fields[m.Key]; {
		case check != nil:
			check(c, &m.Value)
		case s.open && isURI(m.Key):
			c.extension(&m.Value)
		default:
			c.unknown(m.Key, s)
		}
		c.path.Pop()
	}
}

func (c *checker) unknown(key string, s *shape) {
	fields := make([]string, 0, len(s.fields))
	for field := range s.fields {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	hint := "the fields here are " + strings.Join(fields, ", ")
	if meant := suggest.Closest(key, fields); meant != "" {
		hint = "did you mean " + strconv.Quote(meant) + "?"
	} else if s.open {
		hint += "; an extension needs a namespace, as in example:" + wire.Shorten(key)
	}
	if s.loose {
		c.notes.Warnf(wire.Pointer(c.path), formats.CodeUnknownField, "there is no field %q here; %s; it is kept", wire.Shorten(key), hint)
		return
	}
	c.failf(formats.CodeUnknownField, "there is no field %q here; %s", wire.Shorten(key), hint)
}

// extension looks at what only the sender and its partners understand. It may be anything.
func (c *checker) extension(*wire.Node) {}

// extensions is an object of nothing but extensions, such as instance and lot master data.
func extensions(c *checker, n *wire.Node) {
	if !c.is(n, scan.Object) {
		return
	}
	for i := range n.Members {
		if key := n.Members[i].Key; !isURI(key) {
			c.path.Push(key)
			c.failf(formats.CodeUnknownField, "a field here needs a namespace, as in example:%s", wire.Shorten(key))
			c.path.Pop()
		}
	}
}

func list(item rule, least int, unique bool) rule {
	return func(c *checker, n *wire.Node) {
		if !c.is(n, scan.Array) {
			return
		}
		if len(n.Items) < least {
			c.failf(formats.CodeRequired, "the list must have at least %d", least)
		}
		var seen map[string]bool
		if unique {
			seen = make(map[string]bool, len(n.Items))
		}
		for i := range n.Items {
			c.path.PushIndex(i)
			item(c, &n.Items[i])
			if text := string(n.Items[i].Raw); unique {
				if seen[text] {
					c.failf(formats.CodeConflict, "%s stands twice in the list", wire.Shorten(text))
				}
				seen[text] = true
			}
			c.path.Pop()
		}
	}
}

func text(c *checker, n *wire.Node) { c.is(n, scan.String) }

func number(c *checker, n *wire.Node) {
	if n.Kind == scan.Number {
		return
	}
	if n.Kind == scan.String {
		c.failf(formats.CodeType, "it must be a number, not a string: write 20 without quotes instead of %q", wire.Shorten(n.Text))
		return
	}
	c.is(n, scan.Number)
}

func boolean(c *checker, n *wire.Node) {
	if n.Kind != scan.Bool {
		c.failf(formats.CodeType, "it must be true or false, not %s", n.Kind)
	}
}

func uri(c *checker, n *wire.Node) {
	if !c.is(n, scan.String) || isURI(n.Text) {
		return
	}
	c.failf(formats.CodeFormat, "%q must be a URI, such as urn:epc:id:sscc:0614141.1234567890 or https://id.gs1.org/00/106141412345678908",
		wire.Shorten(n.Text))
}

func uriOrList(c *checker, n *wire.Node) {
	if n.Kind == scan.Array {
		list(uri, 0, false)(c, n)
		return
	}
	uri(c, n)
}

// identified is a read point or business location: what stands beside its id is the sender's.
func identified(c *checker, n *wire.Node) {
	if !c.is(n, scan.Object) {
		return
	}
	id := n.Get("id")
	if id == nil {
		c.required("id", meanings["id"])
		return
	}
	c.path.Push("id")
	uri(c, id)
	c.path.Pop()
}

// documentID is the id of a document: a URI or, as in the drafts of the standard, a blank node of JSON-LD.
func documentID(c *checker, n *wire.Node) {
	if n.Kind == scan.String && strings.HasPrefix(n.Text, "_:") && len(n.Text) > 2 {
		return
	}
	uri(c, n)
}

// elementType is the type of a sensor element, which the drafts of the standard had.
func elementType(c *checker, n *wire.Node) {
	if n.Kind == scan.String && (n.Text == "epcis:SensorElement" || n.Text == "SensorElement") {
		c.notes.Warnf(wire.Pointer(c.path), formats.CodeUnknownField, "the standard has no type here; that of its drafts is taken")
		return
	}
	c.failf(formats.CodeUnknownField, "there is no field \"type\" here; the fields here are sensorMetadata, sensorReport")
}

func persistentDisposition(c *checker, n *wire.Node) {
	persistent.rule(c, n)
	if n.Kind == scan.Object && n.Get("set") == nil && n.Get("unset") == nil {
		c.required("set", "set or unset must say which dispositions begin, or end")
	}
}

func dateTime(c *checker, n *wire.Node) {
	if !c.is(n, scan.String) {
		return
	}
	if _, ok := wire.ParseTime(n.Text); !ok {
		c.failf(formats.CodeFormat, "%q %s", wire.Shorten(n.Text), wire.TimeHint(n.Text))
	}
}

func pattern(expression, want string) rule {
	compiled := regexp.MustCompile(expression)
	return func(c *checker, n *wire.Node) {
		if c.is(n, scan.String) && !compiled.MatchString(n.Text) {
			c.failf(formats.CodeFormat, "%q must be %s", wire.Shorten(n.Text), want)
		}
	}
}

func one(words ...string) rule {
	return func(c *checker, n *wire.Node) {
		if !c.is(n, scan.String) || slices.Contains(words, n.Text) {
			return
		}
		hint := "it must be one of " + strings.Join(words, ", ")
		if meant := suggest.Closest(strings.ToUpper(n.Text), words); meant != "" {
			hint = "did you mean " + strconv.Quote(meant) + "?"
		}
		c.failf(formats.CodeEnum, "it cannot be %q; %s", wire.Shorten(n.Text), hint)
	}
}

// of checks that a value is a word of a vocabulary, or a URI of somebody else's.
func of(v *vocabulary) rule {
	return func(c *checker, n *wire.Node) {
		if !c.is(n, scan.String) {
			return
		}
		value := n.Text
		if i := strings.LastIndexAny(value, ":-/"); v.excluded(value) {
			c.failf(formats.CodeFormat, "%q must be written as the bare word %q in JSON", wire.Shorten(value), wire.Shorten(value[i+1:]))
			return
		}
		if v.word(value) != "" || isURI(value) && !v.within(value) {
			return
		}
		meant := suggest.Closest(strings.TrimPrefix(strings.TrimPrefix(value, v.prefix), v.curie), v.words)
		switch {
		case meant != "":
			c.failf(formats.CodeEnum, "%q is no %s of the Core Business Vocabulary; did you mean %q?", wire.Shorten(value), v.name, meant)
		case len(v.words) > 14:
			c.failf(formats.CodeEnum, "%q is no %s of the Core Business Vocabulary; one of your own must be a URI, as in https://example.com/%s",
				wire.Shorten(value), v.name, "word")
		default:
			c.failf(formats.CodeEnum, "%q is no %s of the Core Business Vocabulary; it must be one of %s, or a URI", wire.Shorten(value), v.name,
				strings.Join(v.words, ", "))
		}
	}
}

// context is what a JSON-LD context may be: a URI, an object, or a list of them.
func context(c *checker, n *wire.Node) {
	switch n.Kind {
	case scan.Object:
	case scan.String:
		uri(c, n)
	case scan.Array:
		list(func(c *checker, n *wire.Node) {
			if n.Kind != scan.Object {
				uri(c, n)
			}
		}, 0, true)(c, n)
	default:
		c.failf(formats.CodeType, "it must be a URI, an object of prefixes or a list of them, not %s", n.Kind)
	}
}

// isURI reports whether a text is a URI (RFC 3986) or a compact one: a scheme, or prefix, and something after its colon.
func isURI(s string) bool {
	colon := strings.IndexByte(s, ':')
	if colon < 1 || colon == len(s)-1 {
		return false
	}
	for i := range colon {
		b := s[i]
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		if !letter && (i == 0 || (b < '0' || b > '9') && b != '+' && b != '-' && b != '.' && b != '_') {
			return false
		}
	}
	for i := colon + 1; i < len(s); i++ {
		switch b := s[i]; {
		case b <= ' ' || b == 0x7f || b >= 0x80: // other characters must be percent-encoded
			return false
		case strings.IndexByte(`"<>\^{|}`+"`", b) >= 0:
			return false
		case b == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])):
			return false
		}
	}
	return true
}

func isHex(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f' }
