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
	b := &builder{}
	root := b.node(v)
	if b.twice != nil {
		return nil, &formats.BodyError{
			Code: formats.CodeDuplicateField, Message: Pointer(b.twice) + " stands twice; leave one of the two out", Line: 1,
		}
	}
	return &root, nil
}

type builder struct {
	path  Path
	twice Path
}

// node reads what is below a value that has been scanned before, and so holds no fault.
func (b *builder) node(v scan.Value) Node {
	n := Node{Kind: v.Kind, Raw: v.Raw}
	switch v.Kind {
	case scan.Null, scan.Bool, scan.Number:
	case scan.String:
		n.Text = v.Text()
	case scan.Array:
		s := scan.New(v.Raw)
		_ = s.Items(func() error {
			item, err := s.Value()
			if err != nil {
				return err
			}
			b.path.PushIndex(len(n.Items))
			n.Items = append(n.Items, b.node(item))
			b.path.Pop()
			return nil
		})
	case scan.Object:
		var seen map[string]bool
		_ = scan.New(v.Raw).Members(func(key []byte, value scan.Value) {
			name := string(key)
			b.path.Push(name)
			if len(n.Members) == 16 {
				seen = make(map[string]bool, 64)
				for _, m := range n.Members {
					seen[m.Key] = true
				}
			}
			if seen[name] || seen == nil && n.Get(name) != nil {
				if b.twice == nil {
					b.twice = slices.Clone(b.path)
				}
			}
			if seen != nil {
				seen[name] = true
			}
			n.Members = append(n.Members, Member{name, b.node(value)})
			b.path.Pop()
		})
	}
	return n
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
