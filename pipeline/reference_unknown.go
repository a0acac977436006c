package pipeline

import (
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// unknown is a scalar whose value is not known: a secret that is withheld, or a reference that stands for nothing. It has a
// guess for a value.
type unknown struct {
	written
	node     *ast.StringNode
	segments []segment
	leading  string
	trailing string
}

// guesses are values that a config may take for right, none of which is found by chance. A config that takes none of them is not
// found wrong for that.
var guesses = []string{
	"rastro-guess", "https://rastro-guess.invalid/path", "postgres://user:rastro-guess@rastro-guess.invalid:5432/rastro", "nats://rastro-guess.invalid:4222",
	"rastro-guess.invalid:4222", "1009007", "/rastro-guess", "rastro@rastro-guess.invalid", `{"rastro-guess": "rastro-guess"}`,
	"arn:aws:sns:us-east-1:000000000000:rastro-guess", "https://sqs.us-east-1.amazonaws.com/000000000000/rastro-guess",
	"00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	"ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=",
}

// fit is whether a stage's config is fit to run.
type fit uint8

const (
	// fitKnown: every value is known.
	fitKnown fit = iota
	// fitGuessed: with a guess for what is not known it is right.
	fitGuessed
	// fitUnknown: there is no telling.
	fitUnknown
)

func (r *resolution) replaceUnknown(node ast.Node, t *token.Token, w written, segments []segment) ast.Node {
	u := &unknown{written: w, segments: segments}
	u.node, _ = replaceScalar(node, t, w, "", false).(*ast.StringNode)
	if quotes := strings.Index(t.Origin, `""`); quotes >= 0 {
		u.leading, u.trailing = t.Origin[:quotes], t.Origin[quotes+2:]
	}
	u.guess(guesses[0])
	r.unknown = append(r.unknown, u)
	return u.node
}

// guess takes a value for what is not known.
func (u *unknown) guess(value string) {
	var b strings.Builder
	for _, s := range u.segments {
		if s.reference != nil && s.text == "" {
			b.WriteString(value)
			continue
		}
		b.WriteString(s.text)
	}
	if len(u.segments) == 0 { // it is no reference
		b.WriteString(value)
	}
	u.node.Value, u.node.Token.Value = b.String(), b.String()
	u.node.Token.Origin = u.leading + quoted(b.String()) + u.trailing
}

// below returns the scalars of unknown value below a node.
func (r *resolution) below(node ast.Node) []*unknown {
	if node == nil || len(r.unknown) == 0 {
		return nil
	}
	var out []*unknown
	for _, found := range ast.Filter(ast.StringType, node) {
		if i := slices.IndexFunc(r.unknown, func(u *unknown) bool { return ast.Node(u.node) == found }); i >= 0 {
			out = append(out, r.unknown[i])
		}
	}
	return out
}

// decode decodes the config of a stage. Where values are not known it takes the first guess that goes; if none does, it tells
// what is wrong only if that stands elsewhere and is the same whatever the guess.
func (r *resolution) decode(definition Definition, with ast.Node) (any, fit, error) {
	config, err := definition.decode(with)
	unknowns := r.below(with)
	if len(unknowns) == 0 {
		return config, fitKnown, err
	}
	first, firstErr, same := config, err, true
	for _, value := range guesses[1:] {
		if err == nil {
			break
		}
		for _, u := range unknowns {
			u.guess(value)
		}
		config, err = definition.decode(with)
		same = same && (err == nil || err.Error() == firstErr.Error())
	}
	switch {
	case err == nil:
		return config, fitGuessed, nil
	case same && elsewhere(firstErr, unknowns):
		return nil, fitUnknown, firstErr
	default:
		return first, fitUnknown, nil
	}
}

// elsewhere reports whether an error has a place in the file that is not that of an unknown value, or of what holds one.
func elsewhere(err error, unknowns []*unknown) bool {
	if _, ok := errors.AsType[*yaml.UnknownFieldError](err); ok || strings.Contains(err.Error(), secretInExpression) {
		return true
	}
	y, ok := errors.AsType[yaml.Error](err)
	if !ok || y.GetToken() == nil || y.GetToken().Position == nil {
		return false
	}
	holders := []token.Type{token.MappingValueType, token.MappingStartType, token.SequenceStartType, token.SequenceEntryType}
	if slices.Contains(holders, y.GetToken().Type) {
		return false
	}
	at := y.GetToken().Position
	return !slices.ContainsFunc(unknowns, func(u *unknown) bool { return u.covers(at.Line, at.Column) })
}

// settle returns all that is wrong: list, but for what stands where a value is not known, and the findings about references. It
// makes sure that no stage shows a secret, nor a guess at one.
func (r *resolution) settle(list Findings, stages []StageSpec) Findings {
	list = slices.DeleteFunc(list, func(f Finding) bool {
		return f.Message != secretInExpression && slices.ContainsFunc(r.unknown, func(u *unknown) bool { return u.covers(f.Line, f.Column) })
	})
	list = append(list, r.list...)
	for i := range list {
		list[i].Message, list[i].Hint = r.secrets.Scrub(list[i].Message), r.secrets.Scrub(list[i].Hint)
	}
	if len(r.unknown) > 0 {
		for _, guess := range guesses {
			r.secrets.add(guess)
		}
	}
	for i := range stages {
		stages[i].secrets = &r.secrets
	}
	return list
}

// isGuess reports whether an error speaks of a guess.
func isGuess(text string) bool {
	return slices.ContainsFunc(guesses, func(guess string) bool { return strings.Contains(text, guess) })
}
