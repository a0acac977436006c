package carriers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/rastrohq/rastro/tracking"
)

// ErrByHand says that a file is written in a way in which a code cannot be put into its table.
var ErrByHand = errors.New("the file must be changed by hand")

// plainCode is what a code looks like that YAML takes for a text without quotes.
var plainCode = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// CodeLine returns the line of a carrier's table of codes that gives a code a meaning, without the indent.
func CodeLine(code string, m tracking.Meaning) string { return CodeKey(code) + ": " + MeaningText(m) }

// CodeKey writes a code as a key of that table: in quotes where YAML would take it for something else.
func CodeKey(code string) string {
	switch strings.ToLower(code) {
	case "y", "yes", "n", "no", "on", "off", "true", "false", "null": // of YAML 1.1, which other readers may go by
	default:
		if plainCode.MatchString(code) {
			return code
		}
	}
	var quoted bytes.Buffer // what JSON quotes YAML reads
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(code) //nolint:errchkjson // texts always can be
	return strings.TrimSuffix(quoted.String(), "\n")
}

// SetCode returns a carrier's file with a code in its table of codes, or with another meaning of one that is there. All else stays byte
// for byte, comments among it. An error wraps ErrByHand when the file is written in a way that does not allow for it; a file that
// has faults is refused as well.
func SetCode(file string, source []byte, code string, m tracking.Meaning, tables Tables) ([]byte, error) {
	before, found := Parse(file, source, tables)
	if before == nil {
		return nil, found.Errors()
	}
	if strings.TrimSpace(code) == "" || !utf8.ValidString(code) {
		return nil, fmt.Errorf("%q is no code", code)
	}
	if own, ok := before.Codes[foldCode(code)]; ok && own.Meaning == m {
		return source, nil
	}
	plain, windows := source, bytes.Contains(source, []byte("\r\n"))
	if windows {
		plain = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))
	}
	if bytes.ContainsRune(plain, '\r') || windows && bytes.Count(source, []byte("\r\n")) != bytes.Count(source, []byte("\n")) {
		return nil, fmt.Errorf("%w: its lines end in different ways", ErrByHand)
	}
	changed, err := setCode(plain, code, m)
	if err != nil {
		return nil, err
	}
	if windows {
		changed = bytes.ReplaceAll(changed, []byte("\n"), []byte("\r\n"))
	}
	// Whatever YAML allows: what comes of it is what was there and the code, or it is not written.
	after, found := Parse(file, changed, tables)
	if after == nil {
		return nil, fmt.Errorf("%w: with the code it would be wrong: %w", ErrByHand, found.Errors())
	}
	if got := after.Codes[foldCode(code)]; got.Meaning != m {
		return nil, ErrByHand
	}
	was, is := before.Config, after.Config
	was.Codes, is.Codes = without(was.Codes, code), without(is.Codes, code)
	if !reflect.DeepEqual(was, is) {
		return nil, ErrByHand
	}
	return changed, nil
}

func without(codes map[string]Meaning, code string) map[string]Meaning {
	rest := map[string]Meaning{}
	for c, m := range codes {
		if c != foldCode(code) {
			rest[c] = m
		}
	}
	return rest
}

func setCode(source []byte, code string, m tracking.Meaning) ([]byte, error) {
	parsed, err := parser.ParseBytes(source, 0)
	if err != nil {
		return nil, fmt.Errorf("read carrier: %w", err)
	}
	root, ok := parsed.Docs[0].Body.(ast.MapNode)
	if flow, is := parsed.Docs[0].Body.(*ast.MappingNode); !ok || is && flow.IsFlowStyle {
		return nil, fmt.Errorf("%w: it is written in braces", ErrByHand)
	}
	t := textOf(source)
	for entries := root.MapRange(); entries.Next(); {
		if entries.Key().GetToken().Value == "codes" {
			return t.intoTable(entries.Key().GetToken().Position.Line, entries.Value(), code, m)
		}
	}
	t.insert(t.last()+1, "codes:", "  "+CodeLine(code, m))
	return t.bytes(), nil
}

// yamlText is a file as lines, which are numbered from 1.
type yamlText struct{ lines []string }

func textOf(source []byte) *yamlText {
	t := &yamlText{lines: strings.SplitAfter(string(source), "\n")}
	if n := len(t.lines) - 1; t.lines[n] == "" {
		t.lines = t.lines[:n]
	}
	return t
}

func (t *yamlText) bytes() []byte { return []byte(strings.Join(t.lines, "")) }

// last is the number of the last line that says something.
func (t *yamlText) last() int {
	for n := len(t.lines); n > 0; n-- {
		if strings.TrimSpace(t.lines[n-1]) != "" {
			return n
		}
	}
	return 0
}

// insert puts lines before the one of a number.
func (t *yamlText) insert(before int, lines ...string) {
	before = min(before, len(t.lines)+1)
	if before > 1 && !strings.HasSuffix(t.lines[before-2], "\n") {
		t.lines[before-2] += "\n"
	}
	for i := range lines {
		lines[i] += "\n"
	}
	t.lines = slices.Insert(t.lines, before-1, lines...)
}

// replace puts a text in the place of another that begins at a line and column, in characters.
func (t *yamlText) replace(line, column int, old, with string) bool {
	if line < 1 || line > len(t.lines) {
		return false
	}
	at := t.lines[line-1]
	characters := []rune(at)
	if column < 1 || column > len(characters)+1 {
		return false
	}
	begin := len(string(characters[:column-1]))
	if !strings.HasPrefix(at[begin:], old) {
		return false
	}
	t.lines[line-1] = at[:begin] + with + at[begin+len(old):]
	return true
}

// intoTable puts a code into the table that begins at a line.
func (t *yamlText) intoTable(line int, table ast.Node, code string, m tracking.Meaning) ([]byte, error) {
	if _, empty := table.(*ast.NullNode); empty {
		t.insert(line+1, "  "+CodeLine(code, m))
		return t.bytes(), nil
	}
	entries, ok := table.(ast.MapNode)
	if !ok {
		return nil, ErrByHand
	}
	column, last := 1, line
	for each := entries.MapRange(); each.Next(); {
		key := each.Key().GetToken()
		if foldCode(key.Value) == foldCode(code) {
			return t.another(each.Value(), m)
		}
		column, last = key.Position.Column, key.Position.Line
	}
	if flow, is := table.(*ast.MappingNode); is && flow.IsFlowStyle {
		return t.intoBraces(flow, code, m)
	}
	// What is deeper than the keys belongs to the last of them.
	for last < len(t.lines) && strings.TrimSpace(t.lines[last]) != "" && len(t.lines[last])-len(strings.TrimLeft(t.lines[last], " ")) >= column {
		last++
	}
	t.insert(last+1, strings.Repeat(" ", column-1)+CodeLine(code, m))
	return t.bytes(), nil
}

// intoBraces puts a code at the end of a table in braces.
func (t *yamlText) intoBraces(table *ast.MappingNode, code string, m tracking.Meaning) ([]byte, error) {
	entry := CodeLine(code, m) + "}"
	end := table.End.Position
	if len(table.Values) > 0 {
		entry = ", " + entry
	}
	if !t.replace(end.Line, end.Column, "}", entry) {
		return nil, ErrByHand
	}
	return t.bytes(), nil
}

// another gives a code that is there another meaning.
func (t *yamlText) another(old ast.Node, m tracking.Meaning) ([]byte, error) {
	begin := old.GetToken()
	written := strings.TrimSpace(begin.Origin)
	if flow, is := old.(*ast.MappingNode); is {
		if !flow.IsFlowStyle || flow.Start.Position.Line != flow.End.Position.Line {
			return nil, fmt.Errorf("%w: the code has a meaning already, in line %d", ErrByHand, begin.Position.Line)
		}
		begin, written = flow.Start, t.between(flow.Start.Position, flow.End.Position)
	}
	if written == "" || !t.replace(begin.Position.Line, begin.Position.Column, written, MeaningText(m)) {
		return nil, fmt.Errorf("%w: the code has a meaning already, in line %d", ErrByHand, begin.Position.Line)
	}
	return t.bytes(), nil
}

// between returns what stands from one place of a line to another, both included; nothing when they are no places of one line.
func (t *yamlText) between(begin, end *token.Position) string {
	if begin.Line != end.Line || begin.Line < 1 || begin.Line > len(t.lines) {
		return ""
	}
	line := []rune(t.lines[begin.Line-1])
	if begin.Column < 1 || end.Column < begin.Column || end.Column > len(line) {
		return ""
	}
	return string(line[begin.Column-1 : end.Column])
}
