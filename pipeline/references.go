package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Resolver gives the values that references in configs stand for.
type Resolver interface {
	// Variable returns the value of an environment variable, and whether it is set.
	Variable(name string) (value string, set bool)
	// Secret returns a secret. source is "env", "file" or "aws"; name is the name of a variable, an absolute path, or the name
	// or ARN in AWS Secrets Manager, with `#json.key` behind it when the value is a key of the secret's JSON. The error must
	// not say what the secret is.
	Secret(ctx context.Context, source, name string) (string, error)
}

// Withheld returns a Resolver of the same variables that asks for no secret: each is taken as present. What is wrong with a
// config for no other reason than that a secret is not known is no finding then. It is for checking configs where the secrets
// are not; what is made of them is not fit to run.
func Withheld(r Resolver) Resolver { return withheld{r} }

type withheld struct{ Resolver }

var errWithheld = errors.New("the secret is withheld")

func (withheld) Secret(context.Context, string, string) (string, error) { return "", errWithheld }

// References resolves the references in the scalars of a YAML tree. It works on what the parser made of the file, never on
// its text, so that no value changes the shape of a config:
//
//   - `${NAME}` is the environment variable of that name, in upper case letters, digits and _; `${NAME:default}` is the default,
//     which may be empty, when the variable is not set. A default ends at the first `}`.
//   - `${secret:env:NAME}`, `${secret:file:/path}` and `${secret:aws:NAME_OR_ARN}`, or `${secret:aws:NAME_OR_ARN#json.key}`,
//     are secrets. They have no default.
//   - `$${` stands for `${`. A `$` before anything else is no more than that.
//
// A scalar without quotes that is one `${NAME}` and nothing else takes the type that YAML's core schema gives its value: null, a
// boolean, a number or a text. Any other scalar with references is a text, and so is a secret. Keys and comments are left alone.
type References struct {
	// File is where the tree was read, for findings.
	File string
	// Resolver gives the values. Without one, no variable is set and there are no secrets.
	Resolver Resolver
	// SecretsBelow is the key that secrets may stand below, at any depth; empty for anywhere.
	SecretsBelow string
}

// Resolve resolves the references below root, which it changes, and returns what stands for root then, and the secrets that are
// in it. Findings are references that are wrong or stand for nothing, with the codes "reference", "env" and "secret". A scalar that
// holds one of them, or a secret that is withheld, has a guess for a value.
func (r References) Resolve(ctx context.Context, root ast.Node) (ast.Node, *Secrets, Findings) {
	resolution, root := r.resolve(ctx, root)
	return root, &resolution.secrets, resolution.list
}

func (r References) resolve(ctx context.Context, root ast.Node) (*resolution, ast.Node) {
	resolution := &resolution{findings: findings{file: r.File}, References: r}
	root = resolution.node(ctx, root, r.SecretsBelow == "", false)
	return resolution, root
}

type resolution struct {
	findings
	References
	secrets Secrets
	// unknown are the scalars whose values are not known.
	unknown []*unknown
}

// node resolves what is below a node. secrets says whether they may stand there, text that the node is tagged as a text.
func (r *resolution) node(ctx context.Context, node ast.Node, secrets, text bool) ast.Node {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, value := range n.Values {
			r.node(ctx, value, secrets, false)
		}
	case *ast.MappingValueNode:
		n.Value = r.node(ctx, n.Value, secrets || n.Key.GetToken().Value == r.SecretsBelow, false)
	case *ast.SequenceNode:
		for i, value := range n.Values {
			n.Values[i] = r.node(ctx, value, secrets, false)
			if i < len(n.Entries) {
				n.Entries[i].Value = n.Values[i]
			}
		}
	case *ast.AnchorNode:
		n.Value = r.node(ctx, n.Value, secrets, text)
	case *ast.TagNode:
		n.Value = r.node(ctx, n.Value, secrets, n.Start.Value == string(token.StringTag))
	case *ast.StringNode:
		if strings.Contains(n.Value, opening) {
			return r.scalar(ctx, n, n.Token, secrets, !text && n.Token.Type == token.StringType)
		}
	case *ast.LiteralNode:
		if strings.Contains(n.Value.Value, opening) {
			return r.scalar(ctx, n, n.Start, secrets, false)
		}
	}
	return node
}

// scalar resolves the references of a scalar. typed says that its value may have another type than text.
func (r *resolution) scalar(ctx context.Context, node ast.Node, t *token.Token, secrets, typed bool) ast.Node {
	w := writtenOf(node)
	segments, err := parseReferences(w.Text)
	if err != nil {
		if e, ok := errors.AsType[*referenceError](err); ok {
			r.find(w, e.at, "reference", e.message, e.hint)
		}
		return r.replaceUnknown(node, t, w, nil)
	}
	var value strings.Builder
	known := true
	for i, s := range segments {
		if s.reference == nil {
			value.WriteString(s.text)
			if s.text != w.Text[s.start:s.end] {
				w.Parts = append(w.Parts, part{Start: s.start, End: s.end, Value: s.text, Literal: true})
			}
			continue
		}
		resolved, ok := r.value(ctx, w, s, secrets)
		p := part{Start: s.start, End: s.end, Secret: s.reference.source != ""}
		if !p.Secret {
			p.Value = resolved
		}
		w.Parts = append(w.Parts, p)
		segments[i].text = resolved
		known = known && ok
		value.WriteString(resolved)
	}
	if !known {
		return r.replaceUnknown(node, t, w, segments)
	}
	sole := len(segments) == 1 && segments[0].reference != nil && segments[0].reference.source == ""
	return replaceScalar(node, t, w, value.String(), typed && sole)
}

// value returns what a reference stands for; false when that is not known.
func (r *resolution) value(ctx context.Context, w written, s segment, secrets bool) (string, bool) {
	ref := s.reference
	if ref.source == "" {
		if r.Resolver != nil {
			if value, set := r.Resolver.Variable(ref.name); set {
				return value, true
			}
		}
		if !ref.hasFallback {
			r.find(w, s.start, "env", fmt.Sprintf("environment variable %s is not set", ref.name),
				fmt.Sprintf("set it, or write a default: ${%s:default}", ref.name))
		}
		return ref.fallback, ref.hasFallback
	}
	switch {
	case !secrets:
		r.find(w, s.start, "secret", "a secret cannot stand here: this is shown in names, topics and plans",
			fmt.Sprintf("secrets stand below `%s`", r.SecretsBelow))
		return "", false
	case r.Resolver == nil:
		r.find(w, s.start, "secret", ref.text()+" cannot be read: there is nothing here that knows secrets", "")
		return "", false
	}
	value, err := r.Resolver.Secret(ctx, ref.source, ref.name)
	switch {
	case errors.Is(err, errWithheld):
		return "", false
	case err != nil:
		r.find(w, s.start, "secret", fmt.Sprintf("%s cannot be read: %v", ref.text(), err), "")
		return "", false
	case len(value) < minSecret:
		// As a part of messages it could not be told from what is no secret.
		r.find(w, s.start, "secret", fmt.Sprintf("%s has fewer than %d characters", ref.text(), minSecret),
			"a secret that short is none; write what is no secret as it is")
		return "", false
	}
	r.secrets.add(value)
	return value, true
}

func (r *resolution) find(w written, offset int, code, message, hint string) {
	line, column, _ := w.at(offset)
	r.list = append(r.list, Finding{File: r.file, Line: line, Column: column, Code: code, Message: message, Hint: hint})
}

// addSyntax adds an error of the parser. Where it stumbled over a reference it is said what to write instead: YAML takes the
// braces of one that stands without quotes within { } or [ ] for its own.
func (f *findings) addSyntax(source []byte, err error) {
	f.addError(nil, "syntax", err)
	finding := &f.list[len(f.list)-1]
	lines := strings.Split(string(source), "\n")
	if finding.Line < 1 || finding.Line > len(lines) {
		return
	}
	line := []rune(lines[finding.Line-1])
	for _, at := range []int{finding.Column - 2, finding.Column - 1} { // of `${`, from 0
		if at >= 0 && at+1 < len(line) && line[at] == '$' && line[at+1] == '{' {
			end := strings.IndexRune(string(line[at:]), '}')
			reference := "${NAME}"
			if end > 0 {
				reference = string(line[at:])[:end+1]
			}
			finding.Column = at + 1
			finding.Message = "YAML cannot read `${` here: " + finding.Message
			finding.Hint = fmt.Sprintf("put it in quotes: \"%s\"", reference)
			return
		}
	}
}

// replaceScalar returns a node of a value in the place of a scalar. t is the scalar's first token.
func replaceScalar(node ast.Node, t *token.Token, w written, value string, typed bool) ast.Node {
	end := t
	if literal, ok := node.(*ast.LiteralNode); ok {
		end = literal.Value.Token
	}
	trailing := end.Origin[len(strings.TrimRight(end.Origin, " \r\n")):]
	leading := t.Origin[:len(t.Origin)-len(strings.TrimLeft(t.Origin, " \r\n"))]
	if end != t {
		end.Origin = "" // the block is no more: its text would be read by what renders the node
	}
	w.note(t)
	if typed {
		if typedNode := coreScalar(t, value); typedNode != nil {
			t.Value, t.Origin = value, leading+value+trailing
			return typedNode
		}
	}
	t.Type, t.Value, t.Origin = token.DoubleQuoteType, value, leading+quoted(value)+trailing
	return ast.String(t)
}

// quoted returns a text as YAML in double quotes, on one line.
func quoted(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r >= 0x7f && r <= 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// YAML 1.2.2, section 10.3.2: the core schema.
var (
	coreInteger = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreOther   = regexp.MustCompile(`^0(o[0-7]+|x[0-9a-fA-F]+)$`)
	coreFloat   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// coreScalar returns the node of a value that the core schema does not take for a text; nil otherwise, and for a number that
// does not go into 64 bits.
func coreScalar(t *token.Token, value string) ast.Node {
	base := &ast.BaseNode{}
	switch value {
	case "", "~", "null", "Null", "NULL":
		t.Type = token.NullType
		return ast.Null(t)
	case "true", "True", "TRUE", "false", "False", "FALSE":
		t.Type = token.BoolType
		return &ast.BoolNode{BaseNode: base, Token: t, Value: strings.EqualFold(value, "true")}
	case ".nan", ".NaN", ".NAN":
		t.Type = token.NanType
		return ast.Nan(t)
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		t.Type = token.InfinityType
		return &ast.InfinityNode{BaseNode: base, Token: t, Value: math.Inf(1)}
	case "-.inf", "-.Inf", "-.INF":
		t.Type = token.InfinityType
		return &ast.InfinityNode{BaseNode: base, Token: t, Value: math.Inf(-1)}
	}
	if number := coreInt(value); number != nil {
		t.Type = token.IntegerType
		return &ast.IntegerNode{BaseNode: base, Token: t, Value: number}
	}
	if number, err := strconv.ParseFloat(value, 64); err == nil && coreFloat.MatchString(value) && !coreInteger.MatchString(value) {
		t.Type = token.FloatType
		return &ast.FloatNode{BaseNode: base, Token: t, Value: number}
	}
	return nil
}

// coreInt returns an integer as the YAML library has it: int64 for a negative one, else uint64; nil when it is none.
func coreInt(value string) any {
	digits, base := strings.TrimPrefix(value, "+"), 10
	switch {
	case coreOther.MatchString(value):
		digits, base = value[2:], map[byte]int{'o': 8, 'x': 16}[value[1]]
	case !coreInteger.MatchString(value):
		return nil
	}
	if strings.HasPrefix(digits, "-") {
		if n, err := strconv.ParseInt(digits, base, 64); err == nil {
			return n
		}
		return nil
	}
	if n, err := strconv.ParseUint(digits, base, 64); err == nil {
		return n
	}
	return nil
}
