package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/rastrohq/rastro/internal/suggest"
)

// Finding is something wrong in a config: where, what, and what to write instead.
type Finding struct {
	File string `json:"file"`
	// Line and Column count from 1; zero when the finding is about the file as a whole.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Code is short and stable: "unknown-stage".
	Code    string `json:"code"`
	Message string `json:"message"`
	// Hint says what to write instead, where that can be known.
	Hint string `json:"hint,omitempty"`
	// Severity is SeverityError, the zero value, or SeverityWarning.
	Severity Severity `json:"severity"`
}

// Severity says what a finding means for the pipeline.
type Severity uint8

// The severities of findings.
const (
	// SeverityError is of what cannot work: no process starts with it.
	SeverityError Severity = iota
	// SeverityWarning is of what works and may not be what was meant: it is said at start-up.
	SeverityWarning
)

// String returns `error` or `warning`.
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, known := range []Severity{SeverityError, SeverityWarning} {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("%q is not a severity: it is error or warning", text)
}

// String returns the finding as compilers print theirs: `file:line:column: message; hint`, with `warning: ` before the message
// of a warning.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	b.WriteString(f.Message)
	if f.Hint != "" {
		b.WriteString("; ")
		b.WriteString(f.Hint)
	}
	return b.String()
}

// Findings is all that is wrong in a config, as one error.
type Findings []Finding

// Errors returns the findings that are errors.
func (f Findings) Errors() Findings { return f.of(SeverityError) }

// Warnings returns the findings that are warnings.
func (f Findings) Warnings() Findings { return f.of(SeverityWarning) }

func (f Findings) of(severity Severity) Findings {
	var some Findings
	for _, finding := range f {
		if finding.Severity == severity {
			some = append(some, finding)
		}
	}
	return some
}

// Error implements error: one finding a line.
func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i, finding := range f {
		lines[i] = finding.String()
	}
	return strings.Join(lines, "\n")
}

// findings gathers what is wrong in one file.
type findings struct {
	file string
	list Findings
}

func (f *findings) add(node ast.Node, code, message, hint string) {
	finding := Finding{File: f.file, Code: code, Message: message, Hint: hint}
	finding.Line, finding.Column = position(node)
	f.list = append(f.list, finding)
}

// position returns where a reader sees a node begin; zeros when it is nowhere. A mapping begins at its first key, not at the
// colon that the YAML library takes for its token.
func position(node ast.Node) (line, column int) {
	switch n := node.(type) {
	case nil:
		return 0, 0
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(n.Key)
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// addError adds an error of the YAML library at the place that it names, or else at node.
func (f *findings) addError(node ast.Node, code string, err error) {
	finding := Finding{File: f.file, Code: code, Message: err.Error()}
	if h, ok := errors.AsType[*hintedError](err); ok {
		finding.Hint = h.hint
	}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		finding.Message = y.GetMessage()
		if mismatch, ok := errors.AsType[*yaml.TypeError](err); ok && mismatch.DstType != nil {
			finding.Message = typeInWords(mismatch.DstType) + " expected"
			if mismatch.SrcType != nil { // there is a value at all
				finding.Message += ", not " + typeInWords(mismatch.SrcType)
			}
		}
		t := y.GetToken()
		if t != nil && t.Type == token.MappingValueType && t.Prev != nil {
			t = t.Prev // a mapping begins at its first key
		}
		if t != nil && t.Position != nil {
			finding.Line, finding.Column = t.Position.Line, t.Position.Column
			f.list = append(f.list, finding)
			return
		}
	}
	f.add(node, finding.Code, finding.Message, finding.Hint)
}

// hintedError is an error for which there is a hint at what to write instead.
type hintedError struct {
	error
	hint string
}

// Unwrap returns the error that is hinted at.
func (e *hintedError) Unwrap() error { return e.error }

func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	// What is no mapping at all lacks its keys as well, but that is no news.
	f.list = slices.DeleteFunc(f.list, func(a Finding) bool {
		return a.Code == "required" && slices.ContainsFunc(f.list, func(b Finding) bool {
			return b.Code == "type" && a.Line == b.Line && a.Column == b.Column
		})
	})
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return f.list
}

// didYouMean returns a hint naming the candidate closest to name, or what there is when none is close.
func didYouMean(name string, candidates []string) string {
	if best := suggest.Closest(name, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(candidates) == 0 {
		return ""
	}
	return "there is " + strings.Join(candidates, ", ")
}
