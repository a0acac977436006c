package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

// Node is one value of a JSON document with all that is below it.
type Node struct {
	Kind scan.Kind
	// Raw is the value's own text, byte for byte.
	Raw []byte
	// Text is what a string says.
	Text    string
	Members []Member
	Items   []Node
}

// Member is one member of an object.
type Member struct {
	Key   string
	Value Node
}

// Get returns the member of an object with a key; nil when there is none, or when n is nil or no object.
func (n *Node) Get(keys ...string) *Node {
	for _, key := range keys {
		if n == nil {
			return nil
		}
		i := slices.IndexFunc(n.Members, func(m Member) bool { return m.Key == key })
		if i < 0 {
			return nil
		}
		n = &n.Members[i].Value
	}
	return n
}

// String returns what a string says; empty when n is nil or no string.
func (n *Node) String() string {
	if n == nil || n.Kind != scan.String {
		return ""
	}
	return n.Text
}

// Is reports whether there is a value of a kind.
func (n *Node) Is(kind scan.Kind) bool { return n != nil && n.Kind == kind }

// Document reads a whole body as one JSON value, for formats whose events cannot be read without what stands around them. It
// refuses what nests deeper than formats.MaxDepth, and objects with two members of one name.
func Document(body []byte) (*Node, error) {
	if err := check(body); err != nil {
		return nil, err
	}
	s := scan.New(body)
	v, err := s.Value()
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, bodyError(body, err)
	}
	if v.Depth > formats.MaxDepth {
		return nil, &formats.BodyError{
			Code: formats.CodeTooDeep, Line: 1,
			Message: fmt.Sprintf("the document nests %d levels deep; it may have %d", v.Depth, formats.MaxDepth),
		}
	}
	b := &builder{text: v.Raw, scanner: scan.New(v.Raw)}
	root := b.node()
	if b.twice != nil {
		return nil, &formats.BodyError{
			Code: formats.CodeDuplicateField, Message: Pointer(b.twice) + " stands twice; leave one of the two out", Line: 1,
		}
	}
	return &root, nil
}

// builder reads a text that has been scanned before, and so holds no fault, in one pass: however deep it nests, nothing is read again.
type builder struct {
	text    []byte
	scanner *scan.Scanner
	path    Path
	twice   Path
	// members and items are those of the objects and arrays that are being read, each behind those of what it is in.
	members []Member
	items   []Node
}

// node reads the value that comes next, with what is below it.
func (b *builder) node() Node {
	n := Node{Kind: scan.Array}
	switch b.scanner.Peek() {
	default:
		v, _ := b.scanner.Value()
		if v.Kind == scan.String {
			return Node{Kind: v.Kind, Raw: v.Raw, Text: v.Text()}
		}
		return Node{Kind: v.Kind, Raw: v.Raw}
	case '[':
		start := b.scanner.Pos()
		n.Items = b.elements()
		n.Raw = b.text[start:b.scanner.Pos():b.scanner.Pos()]
	case '{':
		n.Kind = scan.Object
		start := b.scanner.Pos()
		n.Members = b.object()
		n.Raw = b.text[start:b.scanner.Pos():b.scanner.Pos()]
	}
	return n
}

func (b *builder) elements() []Node {
	first := len(b.items)
	_ = b.scanner.Items(func() error {
		b.path.PushIndex(len(b.items) - first)
		item := b.node()
		b.items = append(b.items, item)
		b.path.Pop()
		return nil
	})
	all := slices.Clone(b.items[first:])
	b.items = b.items[:first]
	if len(all) == 0 {
		return nil
	}
	return all
}

func (b *builder) object() []Member {
	first := len(b.members)
	var seen map[string]bool // of the keys, when there are many
	_ = b.scanner.Each(func(key []byte) error {
		name := string(key)
		b.path.Push(name)
		known := b.members[first:]
		if len(known) == 16 {
			seen = make(map[string]bool, 64)
			for i := range known {
				seen[known[i].Key] = true
			}
		}
		twice := seen[name]
		for i := 0; seen == nil && i < len(known); i++ {
			twice = twice || known[i].Key == name
		}
		if twice && b.twice == nil {
			b.twice = slices.Clone(b.path)
		}
		if seen != nil {
			seen[name] = true
		}
		value := b.node()
		b.members = append(b.members, Member{name, value})
		b.path.Pop()
		return nil
	})
	all := slices.Clone(b.members[first:])
	b.members = b.members[:first]
	if len(all) == 0 {
		return nil
	}
	return all
}

// Path is the way to a value of a document.
type Path []string

// Push goes on to the member of an object.
func (p *Path) Push(key string) { *p = append(*p, key) }

// PushIndex goes on to the element of an array.
func (p *Path) PushIndex(i int) { *p = append(*p, strconv.Itoa(i)) }

// Pop goes back.
func (p *Path) Pop() { *p = (*p)[:len(*p)-1] }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// Pointer returns the JSON pointer (RFC 6901) of a path, with keys that are too long to quote cut short.
func Pointer(path []string, more ...string) string {
	var b strings.Builder
	for _, part := range [2][]string{path, more} {
		for _, key := range part {
			b.WriteByte('/')
			b.WriteString(pointerEscapes.Replace(shorten(key)))
		}
	}
	return b.String()
}

// Notes gathers what is found about one event of a document.
type Notes struct {
	Index    int
	Findings []formats.Finding
	Refused  bool
}

// Failf refuses the event for what is wrong with a field.
func (n *Notes) Failf(field, code, format string, args ...any) {
	n.Refused = true
	n.add(formats.SeverityError, field, code, format, args)
}

// Warnf says something of an event that is taken.
func (n *Notes) Warnf(field, code, format string, args ...any) {
	n.add(formats.SeverityWarning, field, code, format, args)
}

func (n *Notes) add(severity formats.Severity, field, code, format string, args []any) {
	if len(n.Findings) >= formats.MaxFindings {
		return
	}
	n.Findings = append(n.Findings, formats.Finding{
		Index: n.Index, Field: field, Code: code, Message: fmt.Sprintf(format, args...), Severity: severity,
	})
}

// Shorten cuts a text short that is to be quoted in a message.
func Shorten(s string) string { return shorten(s) }

// TimeHint says what a time that ParseTime does not take must be.
func TimeHint(s string) string { return timeHint(s) }

// HasControl reports whether a text holds control characters or broken Unicode, which no identifier may.
func HasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd })
}
