package carriers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/pipeline"
)

// reader reads a YAML file strictly and gathers all that is wrong with it.
type reader struct {
	file  string
	found pipeline.Findings
}

// at is a place in the file.
type at struct{ line, column int }

func placeOf(t *token.Token) at {
	if t == nil || t.Position == nil {
		return at{1, 1}
	}
	return at{t.Position.Line, t.Position.Column}
}

// nodeAt returns where a reader sees a node begin: a mapping begins at its first key.
func nodeAt(n ast.Node) at {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return nodeAt(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return nodeAt(m.Key)
	}
	return placeOf(n.GetToken())
}

func (r *reader) add(where at, severity pipeline.Severity, code, hint, format string, args ...any) {
	r.found = append(r.found, pipeline.Finding{
		File: r.file, Line: where.line, Column: where.column, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint, Severity: severity,
	})
}

func (r *reader) fail(where at, code, hint, format string, args ...any) {
	r.add(where, pipeline.SeverityError, code, hint, format, args...)
}

func (r *reader) warn(where at, code, hint, format string, args ...any) {
	r.add(where, pipeline.SeverityWarning, code, hint, format, args...)
}

// root returns the one document of a file; nil when there is none, which is then a finding.
func (r *reader) root(source []byte) ast.Node {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		where, message := at{1, 1}, err.Error()
		if y, ok := errors.AsType[yaml.Error](err); ok {
			where, message = placeOf(y.GetToken()), y.GetMessage()
		}
		r.fail(where, "syntax", "", "%s", message)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		r.fail(at{1, 1}, "syntax", "begin with `carrier: NAME`", "a carrier's file holds one YAML document")
		return nil
	}
	return file.Docs[0].Body
}

// key is a key of a mapping, and what reads its value.
type key struct {
	name string
	read func(value ast.Node)
}

// mapping reads a mapping that has no other keys than those named.
func (r *reader) mapping(n ast.Node, what string, keys ...key) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	r.each(n, what, func(name *token.Token, value ast.Node) {
		if i := slices.Index(names, name.Value); i >= 0 {
			keys[i].read(value)
			return
		}
		r.fail(placeOf(name), "unknown-key", didYouMean(name.Value, names), "%s has no %q", what, name.Value)
	})
}

// each calls f for every key of a mapping. An empty node is an empty mapping. A key that stands twice is a finding.
func (r *reader) each(n ast.Node, what string, f func(name *token.Token, value ast.Node)) {
	if _, empty := n.(*ast.NullNode); empty {
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.fail(nodeAt(n), "type", "", "%s must be a mapping of keys to values", what)
		return
	}
	seen := map[string]bool{}
	for entries := m.MapRange(); entries.Next(); {
		name := entries.Key().GetToken()
		if seen[name.Value] {
			r.fail(placeOf(name), "duplicate-key", "", "%q stands twice in %s", name.Value, what)
			continue
		}
		seen[name.Value] = true
		f(name, entries.Value())
	}
}

// scalar returns the text of a value that is no list and no mapping.
func (r *reader) scalar(n ast.Node, what string) (string, bool) {
	switch v := n.(type) {
	case *ast.NullNode:
		return "", true
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(v.Value.Value), true
	case ast.ScalarNode:
		return v.GetToken().Value, true
	default:
		r.fail(nodeAt(n), "type", "", "%s must be a text", what)
		return "", false
	}
}

func (r *reader) text(into *string, what string) func(ast.Node) {
	return func(n ast.Node) { *into, _ = r.scalar(n, what) }
}

func (r *reader) flag(into *bool, what string) func(ast.Node) {
	return func(n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			r.fail(nodeAt(n), "type", "", "%s must be true or false", what)
			return
		}
		*into = b.Value
	}
}

// whole reads a whole number from 1.
func (r *reader) whole(into *int, what string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := r.scalar(n, what)
		if !ok {
			return
		}
		value, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if err != nil || value < 1 {
			r.fail(nodeAt(n), "range", "", "%s must be a whole number from 1, not %q", what, text)
			return
		}
		*into = value
	}
}

// number reads a number from 0.
func (r *reader) number(into *float64, what string) func(ast.Node) {
	return func(n ast.Node) {
		text, ok := r.scalar(n, what)
		if !ok {
			return
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || !(value >= 0 && value <= 1e9) {
			r.fail(nodeAt(n), "range", "", "%s must be a number from 0, not %q", what, text)
			return
		}
		*into = value
	}
}

func (r *reader) texts(into *[]string, what string) func(ast.Node) {
	return func(n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			r.fail(nodeAt(n), "type", "write [one, another]", "%s must be a list", what)
			return
		}
		for _, value := range list.Values {
			text, ok := r.scalar(value, "each of "+what)
			switch {
			case ok && text == "":
				r.fail(nodeAt(value), "required", "", "one of %s is empty", what)
			case ok && slices.Contains(*into, text):
				r.fail(nodeAt(value), "duplicate-key", "", "%q stands twice in %s", text, what)
			case ok:
				*into = append(*into, text)
			}
		}
	}
}

// sorted returns what was found in the order of the file.
func (r *reader) sorted() pipeline.Findings {
	slices.SortStableFunc(r.found, func(a, b pipeline.Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return r.found
}

// didYouMean returns a hint naming the candidate closest to a word, or what there is when none is close.
func didYouMean(word string, candidates []string) string {
	if best := suggest.Closest(word, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "there is " + strings.Join(candidates, ", ")
}
