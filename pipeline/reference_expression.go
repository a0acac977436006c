package pipeline

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// secretInExpression is wrong whatever the secret is.
const secretInExpression = "a secret has no place in an expression: expressions are shown"

// expressionSource returns the source of the CEL expression that a scalar is. A reference stands for the whole expression or
// for characters of a text in it, so that no value changes what an expression says. The error is SourceErrors when a
// reference has no place where it stands.
func expressionSource(node ast.Node) (string, error) {
	w := writtenOf(node)
	if len(w.Parts) == 0 {
		var source string
		err := yaml.NodeToValue(node, &source)
		return source, err
	}
	source, _, err := w.expression()
	return source, err
}

// piece is a part of an expression's source and what it comes from.
type piece struct {
	source, text int
	length       int // in the source
	part         *part
}

// expression puts the values of references into an expression.
func (w written) expression() (string, []piece, error) {
	if len(w.Parts) == 1 && w.Parts[0].Start == 0 && w.Parts[0].End == len(w.Text) && !w.Parts[0].Secret {
		value := w.Parts[0].Value
		return value, []piece{{length: len(value), part: &w.Parts[0]}}, nil
	}
	var source strings.Builder
	var pieces []piece
	add := func(text string, from int, p *part) {
		pieces = append(pieces, piece{source: source.Len(), text: from, length: len(text), part: p})
		source.WriteString(text)
	}
	at := 0
	surroundings := w.surroundings()
	for i := range w.Parts {
		p := &w.Parts[i]
		add(w.Text[at:p.Start], at, nil)
		value, problem := p.Value, ""
		switch {
		case p.Secret:
			problem = secretInExpression
		case !p.Literal:
			value, problem = surroundings[i].embed(p.Value)
		}
		if problem != "" {
			return "", nil, w.mistake(p, problem)
		}
		add(value, p.Start, p)
		at = p.End
	}
	add(w.Text[at:], at, nil)
	return source.String(), pieces, nil
}

// mistake is one in the expression as it is written.
func (w written) mistake(p *part, message string) error {
	before := w.Text[:p.Start]
	e := SourceError{
		Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1,
		Message: message, written: true,
	}
	if !p.Secret {
		e.Hint = `compare with "${NAME}", or int("${NAME}") for a number`
	}
	return SourceErrors{e}
}

// surrounding is where in an expression a reference stands.
type surrounding struct {
	quote     string // what ends the text that it is in; empty when it is in none
	raw       bool
	bytes     bool
	comment   bool
	backslash bool // an escape of CEL begins right before it
}

// embed returns a value as it is to stand in an expression, or why it cannot.
func (s surrounding) embed(value string) (text, problem string) {
	switch {
	case s.comment:
		return strings.NewReplacer("\n", " ", "\r", " ").Replace(value), ""
	case s.quote == "":
		return "", "a reference in an expression stands in a text"
	case s.backslash || s.bytes:
		return "", "a reference has no place behind a backslash, or in bytes"
	case s.raw && strings.ContainsAny(value, s.quote+"\r\n"):
		return "", "this value has characters that a raw text cannot hold"
	case s.raw:
		return value, ""
	}
	var b strings.Builder
	for _, r := range value {
		switch {
		case r == '\\' || r == '"' || r == '\'':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), ""
}

// surroundings returns where in the expression each part stands.
func (w written) surroundings() []surrounding {
	out := make([]surrounding, 0, len(w.Parts))
	var in surrounding
	text := w.Text
	for i := 0; i < len(text); {
		if n := len(out); n < len(w.Parts) && w.Parts[n].Start == i {
			out = append(out, in)
			i = w.Parts[n].End
			continue
		}
		in.backslash = false
		switch {
		case in.comment:
			in.comment = text[i] != '\n'
			i++
		case in.quote == "" && strings.HasPrefix(text[i:], "//"):
			in.comment = true
			i += 2
		case in.quote == "" && (text[i] == '"' || text[i] == '\''):
			in = opened(text, i)
			i += len(in.quote)
		case in.quote == "":
			i++
		case strings.HasPrefix(text[i:], in.quote):
			i += len(in.quote)
			in = surrounding{}
		case text[i] == '\\' && !in.raw:
			if n := len(out); n < len(w.Parts) && w.Parts[n].Start == i+1 {
				in.backslash = true
				i++
				continue
			}
			i = min(i+2, len(text))
		default:
			i++
		}
	}
	return out
}

// opened returns what kind of text the quote at a byte opens.
func opened(text string, at int) surrounding {
	in := surrounding{quote: text[at : at+1]}
	if triple := strings.Repeat(in.quote, 3); strings.HasPrefix(text[at:], triple) {
		in.quote = triple
	}
	begin := at
	for begin > 0 && strings.IndexByte("rRbB", text[begin-1]) >= 0 && at-begin < 2 {
		begin--
	}
	if begin > 0 && (text[begin-1] == '_' || text[begin-1] >= '0' && text[begin-1] <= '9' || text[begin-1]|0x20 >= 'a' && text[begin-1]|0x20 <= 'z') {
		return in // the end of a name
	}
	prefix := strings.ToLower(text[begin:at])
	in.raw, in.bytes = strings.Contains(prefix, "r"), strings.Contains(prefix, "b")
	return in
}

// origin returns the place in a scalar of a line and column of the expression's source, and the reference that stands there.
func (w written) origin(line, column int) (textLine, textColumn int, p *part) {
	source, pieces, err := w.expression()
	if err != nil || len(w.Parts) == 0 {
		return line, column, nil
	}
	offset, beyond := 0, 0
	for range line - 1 {
		next := strings.IndexByte(source[offset:], '\n')
		if next < 0 {
			break
		}
		offset += next + 1
	}
	for range column - 1 {
		if offset >= len(source) || source[offset] == '\n' {
			beyond++
			continue
		}
		_, size := utf8.DecodeRuneInString(source[offset:])
		offset += size
	}
	place := len(w.Text)
	for _, piece := range pieces {
		if offset >= piece.source && offset < piece.source+piece.length {
			if p = piece.part; p != nil {
				place = p.Start
			} else {
				place = piece.text + offset - piece.source
			}
			break
		}
	}
	before := w.Text[:place]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1 + beyond, p
}
