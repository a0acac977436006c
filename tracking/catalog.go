package tracking

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// NativeVocabulary is the vocabulary of a catalogue that Lookup reads codes of any sender by.
const NativeVocabulary = "native"

// Meaning is what a sender's code means for a trace: a milestone, an exception or both.
type Meaning struct {
	Milestone Milestone
	Exception string
}

// Catalog maps senders' codes to what they mean. It is immutable. Codes are compared without regard to case.
type Catalog struct {
	vocabularies map[string]map[string]Meaning
	kinds        map[Kind]map[string]Meaning
}

// LoadCatalog reads a catalogue in YAML:
//
//	vocabularies:            # codes -> meaning, by vocabulary
//	  native:
//	    checked_in: accepted
//	    on_hold: {exception: on_hold}
//	    offloaded: {milestone: processing, exception: offloaded}
//	kinds:                   # codes that mean this only for a kind of thing
//	  cargo: {DEP: in_transit, DOC: none, DIS/FDCA: {clears: missing}}
//
// A milestone of "none" is that of a code which is known and moves nothing.
// An exception of "cleared" ends whatever trouble was open, and clears the trouble that it names. A code with a slash is one with the
// reason that goes with it. Every fault is reported, one a line, as line:column: message.
func LoadCatalog(r io.Reader) (*Catalog, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read milestone catalogue: %w", err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	b := &catalogReader{catalog: &Catalog{
		vocabularies: map[string]map[string]Meaning{NativeVocabulary: {}}, kinds: map[Kind]map[string]Meaning{},
	}}
	for _, m := range Milestones() {
		b.catalog.vocabularies[NativeVocabulary][string(m)] = Meaning{Milestone: m}
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			b.document(doc.Body)
		}
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return b.catalog, nil
}

// Lookup returns what a code means for a kind of thing. The kind's own table is asked first, then the native vocabulary,
// then both again for the last segment of a code with dots or slashes: "com.andes.parcel.picked_up" is read as "picked_up".
func (c *Catalog) Lookup(kind Kind, code string) (Meaning, bool) {
	folded := foldCase(code)
	if m, ok := c.exact(kind, folded); ok {
		return m, true
	}
	if i := strings.LastIndexAny(folded, "./"); i >= 0 {
		return c.exact(kind, strings.TrimSpace(folded[i+1:]))
	}
	return Meaning{}, false
}

// LookupReason returns what a code means with the reason that goes with it, such as that of a discrepancy: what the catalogue has for
// the two with a slash between them or, without that, for the code alone.
func (c *Catalog) LookupReason(kind Kind, code, reason string) (Meaning, bool) {
	if reason != "" {
		if m, ok := c.exact(kind, foldCase(code)+"/"+foldCase(reason)); ok {
			return m, true
		}
	}
	return c.Lookup(kind, code)
}

// LookupIn returns what a code means in one vocabulary.
func (c *Catalog) LookupIn(vocabulary, code string) (Meaning, bool) {
	m, ok := c.vocabularies[vocabulary][foldCase(code)]
	return m, ok
}

// CatalogEntry is a code of a catalogue, in lower case: of a vocabulary, or of a kind of thing.
type CatalogEntry struct {
	Vocabulary string // empty for one of a kind
	Kind       Kind
	Code       string
	Meaning
}

// Entries lists what the catalogue knows: vocabularies first, each in the order of its codes.
func (c *Catalog) Entries() []CatalogEntry {
	var all []CatalogEntry
	for _, vocabulary := range slices.Sorted(maps.Keys(c.vocabularies)) {
		for _, code := range slices.Sorted(maps.Keys(c.vocabularies[vocabulary])) {
			all = append(all, CatalogEntry{Vocabulary: vocabulary, Code: code, Meaning: c.vocabularies[vocabulary][code]})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.kinds)) {
		for _, code := range slices.Sorted(maps.Keys(c.kinds[kind])) {
			all = append(all, CatalogEntry{Kind: kind, Code: code, Meaning: c.kinds[kind][code]})
		}
	}
	return all
}

func (c *Catalog) exact(kind Kind, folded string) (Meaning, bool) {
	if m, ok := c.kinds[kind][folded]; ok {
		return m, true
	}
	m, ok := c.vocabularies[NativeVocabulary][folded]
	return m, ok
}

func foldCase(code string) string { return strings.ToLower(strings.TrimSpace(code)) }

// catalogReader walks the YAML of a catalogue and gathers its faults.
type catalogReader struct {
	catalog *Catalog
	errs    []error
}

var exceptionForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

func (b *catalogReader) fail(at *token.Token, format string, args ...any) {
	line, column := 1, 1
	if at != nil && at.Position != nil {
		line, column = at.Position.Line, at.Position.Column
	}
	b.errs = append(b.errs, fmt.Errorf("%d:%d: %s", line, column, fmt.Sprintf(format, args...)))
}

func (b *catalogReader) document(body ast.Node) {
	b.each(body, "the catalogue", func(key *token.Token, value ast.Node) {
		switch key.Value {
		case "vocabularies":
			b.each(value, "vocabularies", func(key *token.Token, value ast.Node) {
				table := b.catalog.vocabularies[key.Value]
				if table == nil {
					table = map[string]Meaning{}
					b.catalog.vocabularies[key.Value] = table
				}
				b.codes(value, key.Value, table)
			})
		case "kinds":
			b.each(value, "kinds", func(key *token.Token, value ast.Node) {
				kind := Kind(key.Value)
				if !slices.Contains(Kinds(), kind) {
					b.fail(key, "unknown kind %q; it must be one of %s", kind, list(Kinds()))
					return
				}
				table := map[string]Meaning{}
				b.catalog.kinds[kind] = table
				b.codes(value, key.Value, table)
			})
		default:
			b.fail(key, "unknown key %q; a catalogue has vocabularies and kinds", key.Value)
		}
	})
}

// codes reads a table of codes.
func (b *catalogReader) codes(node ast.Node, name string, table map[string]Meaning) {
	b.each(node, name, func(key *token.Token, value ast.Node) {
		meaning, ok := b.meaning(key.Value, value)
		if !ok {
			return
		}
		folded := foldCase(key.Value)
		if folded == "" {
			b.fail(key, "a code is empty")
			return
		}
		if m := Milestone(folded); m.Rank() > 0 && meaning.Milestone != m {
			b.fail(key, "%q is the name of a milestone and cannot mean another", key.Value)
			return
		}
		table[folded] = meaning
	})
}

// meaning reads what stands for a code: the name of a milestone, or a mapping of milestone and exception.
func (b *catalogReader) meaning(code string, node ast.Node) (Meaning, bool) {
	var m Meaning
	before := len(b.errs)
	switch n := node.(type) {
	case ast.MapNode:
		b.each(node, code, func(key *token.Token, value ast.Node) {
			switch key.Value {
			case "milestone":
				m.Milestone = b.milestone(value)
			case "exception", "clears":
				if m.Exception != "" {
					b.fail(key, "code %q reports trouble or clears it, not both", code)
				}
				if m.Exception = b.exception(value); key.Value == "clears" {
					m.Exception = ExceptionCleared + ":" + m.Exception
				}
			default:
				b.fail(key, "unknown key %q; a code has a milestone, an exception or both, or clears one", key.Value)
			}
		})
	case ast.ScalarNode:
		m.Milestone = b.milestone(n)
	default:
		b.fail(node.GetToken(), "code %q must have the name of a milestone, or {milestone: ..., exception: ...}", code)
	}
	if len(b.errs) == before && m == (Meaning{}) {
		b.fail(node.GetToken(), "code %q means nothing; give it a milestone, an exception or both", code)
	}
	return m, len(b.errs) == before
}

func (b *catalogReader) milestone(node ast.Node) Milestone {
	m := Milestone(node.GetToken().Value)
	if _, scalar := node.(ast.ScalarNode); !scalar || m.Rank() == 0 && m != None {
		b.fail(node.GetToken(), "unknown milestone %q; it must be one of %s, %s", m, list(Milestones()), None)
	}
	return m
}

func (b *catalogReader) exception(node ast.Node) string {
	text := node.GetToken().Value
	if _, scalar := node.(ast.ScalarNode); !scalar || !exceptionForm.MatchString(text) {
		b.fail(node.GetToken(), "exception %q must be a short name in snake_case, such as on_hold", text)
	}
	return text
}

// each calls f for every key of a mapping. An empty node is an empty mapping. A key that stands twice, in whatever case, is
// an error.
func (b *catalogReader) each(node ast.Node, name string, f func(key *token.Token, value ast.Node)) {
	if _, empty := node.(*ast.NullNode); empty {
		return
	}
	m, ok := node.(ast.MapNode)
	if !ok {
		b.fail(node.GetToken(), "%s must be a mapping", name)
		return
	}
	seen := map[string]bool{}
	for i := m.MapRange(); i.Next(); {
		key := i.Key().GetToken()
		folded := foldCase(key.Value)
		if seen[folded] {
			b.fail(key, "%q stands twice in %s", key.Value, name)
			continue
		}
		seen[folded] = true
		f(key, i.Value())
	}
}

func list[T ~string](values []T) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}

// yamlError gives a syntax error the form that all errors of configuration have.
func yamlError(err error) error {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil && syntax.GetToken().Position != nil {
		p := syntax.GetToken().Position
		return fmt.Errorf("%d:%d: %s", p.Line, p.Column, syntax.GetMessage())
	}
	return fmt.Errorf("1:1: %w", err)
}
