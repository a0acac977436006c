package publish

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Limits of a subject, well within what a NATS server takes on one line (4 KiB).
const (
	maxSubject = 1024
	maxToken   = 256
)

// missing stands in a subject for a value that an event lacks: an empty token is none.
const missing = "_"

// Subject is a NATS subject with fields of the event in it: rastro.{tenant_id}.{payload.station}. It is immutable. The zero
// Subject is none.
type Subject struct {
	text  string
	parts []subjectPart
}

// subjectPart is literal text followed by the value of a field; the last one may have none.
type subjectPart struct {
	literal string
	field   pipeline.Path
}

// ParseSubject reads a subject with fields in braces. Its tokens are separated by dots; none is empty, and wildcards are for
// those who subscribe.
func ParseSubject(text string) (Subject, error) {
	s := Subject{text: text}
	if text == "" || len(text) > maxSubject {
		return Subject{}, fmt.Errorf("a subject is 1 to %d characters, as rastro.{tenant_id}", maxSubject)
	}
	shape := "" // the subject with a letter for every field
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		part := subjectPart{literal: literal}
		shape += literal
		rest = after
		if found {
			name, behind, closed := strings.Cut(after, "}")
			if !closed {
				return Subject{}, errors.New("a { without its }")
			}
			field, err := pipeline.ParsePath(name)
			if err != nil {
				return Subject{}, err
			}
			part.field, rest = field, behind
			shape += "x"
		}
		s.parts = append(s.parts, part)
	}
	if strings.Contains(shape, "}") {
		return Subject{}, errors.New("a } without its {")
	}
	for token := range strings.SplitSeq(shape, ".") {
		if token == "" {
			return Subject{}, errors.New("a token between two dots, or at an end, is empty")
		}
	}
	if i := strings.IndexFunc(shape, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '*' || r == '>' }); i >= 0 {
		return Subject{}, fmt.Errorf("%q cannot stand in a subject that is published to", shape[i:i+1])
	}
	return s, nil
}

// Text returns the subject as it was written.
func (s Subject) Text() string { return s.text }

// IsZero reports whether s is the zero Subject.
func (s Subject) IsZero() bool { return s.text == "" }

// Of returns the subject of an event. A value is one token, whatever it holds: what separates tokens, and what is not allowed
// in one, becomes _, so that no value leads to a subject of another form.
func (s Subject) Of(event *tracking.Event) (string, error) {
	var b strings.Builder
	for _, part := range s.parts {
		b.WriteString(part.literal)
		if part.field.IsZero() {
			continue
		}
		value, _ := part.field.String(event)
		if len(value) > maxToken {
			return "", fmt.Errorf("%s is %d bytes long; in a subject %d are allowed", part.field.Text(), len(value), maxToken)
		}
		if value == "" {
			value = missing
		}
		b.WriteString(token(value))
	}
	if b.Len() > maxSubject {
		return "", fmt.Errorf("the subject is %d bytes long; %d are allowed", b.Len(), maxSubject)
	}
	return b.String(), nil
}

// token makes one token of a value.
func token(value string) string {
	if strings.HasPrefix(value, "$") {
		value = "_" + value[1:] // $SYS and $JS are the server's own
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '.' || r == '*' || r == '>' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(value, "_"))
}

// MarshalText implements encoding.TextMarshaler.
func (s Subject) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// UnmarshalYAML implements yaml.NodeUnmarshaler: a subject that is wrong is an error at its place in the file.
func (s *Subject) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	parsed, err := ParseSubject(text)
	if err != nil {
		return &yaml.SyntaxError{Message: "subject: " + err.Error(), Token: node.GetToken()}
	}
	*s = parsed
	return nil
}

var _ yaml.NodeUnmarshaler = (*Subject)(nil)
