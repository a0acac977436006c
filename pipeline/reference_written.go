package pipeline

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// written is a scalar as it stands in its file: the value that YAML gives it, and where that value's characters stand.
type written struct {
	Text string `json:"text"`
	// Form says how places in Text are places in the file.
	Form form `json:"form,omitempty"`
	// Indent is how many characters stand before each line of a block.
	Indent int `json:"indent,omitempty"`
	// Parts are what in Text was not taken as it is, in order; none in a scalar without references.
	Parts []part `json:"parts,omitempty"`

	line, column int
}

// part is a reference of a scalar, or `$${`, and what came of it.
type part struct {
	Start int `json:"start"`
	End   int `json:"end"`
	// Value is what it stands for. A secret's is not kept.
	Value   string `json:"value,omitempty"`
	Secret  bool   `json:"secret,omitempty"`
	Literal bool   `json:"literal,omitempty"`
}

type form string

const (
	formPlain  form = "plain"
	formQuoted form = "quoted"
	formBlock  form = "block"
)

// writtenOf returns how a scalar stands in its file. One whose references are resolved carries it in the Error of its token,
// a field that YAML uses while it reads only: a config's UnmarshalYAML gets nothing but the node.
func writtenOf(node ast.Node) written {
	var w written
	switch n := node.(type) {
	case *ast.LiteralNode:
		w.Text = n.Value.Value
		first, _, _ := strings.Cut(n.Value.GetToken().Origin, "\n")
		if n.Start.Type == token.LiteralType && strings.TrimSpace(first) != "" {
			w.Form, w.Indent = formBlock, len(first)-len(strings.TrimLeft(first, " "))
		}
	case *ast.StringNode:
		w.Text = n.Value
		switch raw := strings.TrimSpace(n.Token.Origin); {
		case strings.Contains(raw, "\n"):
		case raw == n.Value:
			w.Form = formPlain
		case len(raw) == len(n.Value)+2 && raw[1:len(raw)-1] == n.Value:
			w.Form = formQuoted
		}
	}
	if node == nil {
		return w
	}
	if t := node.GetToken(); t != nil && t.Error != "" {
		var noted written
		if json.Unmarshal([]byte(t.Error), &noted) == nil {
			w = noted
		}
	}
	w.line, w.column = position(node)
	return w
}

// note writes w down in the token of a scalar, for writtenOf.
func (w written) note(t *token.Token) {
	if noted, err := json.Marshal(w); err == nil {
		t.Error = string(noted)
	}
}

// at returns the place in the file of a byte of Text: exactly, or else where the scalar begins.
func (w written) at(offset int) (line, column int, exact bool) {
	before := w.Text[:min(max(offset, 0), len(w.Text))]
	lines := strings.Count(before, "\n")
	return w.place(lines+1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])+1)
}

// place returns the place in the file of a line and column of Text, from 1, in characters.
func (w written) place(line, column int) (fileLine, fileColumn int, exact bool) {
	switch w.Form {
	case formPlain:
		return w.line, w.column + column - 1, true
	case formQuoted:
		return w.line, w.column + column, true
	case formBlock:
		return w.line + line, w.Indent + column, true
	default:
		return w.line, w.column, false
	}
}

// covers reports whether a place of the file lies in the scalar.
func (w written) covers(line, column int) bool {
	if line == w.line {
		return column >= w.column && column <= w.column+utf8.RuneCountInString(w.Text)+2
	}
	return w.Form == formBlock && line > w.line && line <= w.line+strings.Count(w.Text, "\n")+1
}
