package pipeline

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reference is what `${...}` says.
type reference struct {
	// source is where a secret comes from; empty for an environment variable.
	source string
	// name is the name of the variable, or that of the secret in its source.
	name string
	// fallback is the value of a variable that is not set, when there is one.
	fallback    string
	hasFallback bool
}

// text returns the reference as it is written, without its default.
func (r reference) text() string {
	if r.source != "" {
		return "${secret:" + r.source + ":" + r.name + "}"
	}
	return "${" + r.name + "}"
}

// segment is a part of a scalar, from byte start to byte end: a reference, or text as it is.
type segment struct {
	start, end int
	text       string
	reference  *reference
}

// referenceError says that what begins at a byte of a scalar is no reference.
type referenceError struct {
	at            int
	message, hint string
}

func (e *referenceError) Error() string { return e.message }

const (
	opening = "${"
	escaped = "$${"
	// maxSecretName is how long an ARN of Secrets Manager may be, in bytes.
	maxSecretName = 2048
)

var (
	variablePattern = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
	// What Secrets Manager takes as a name or ARN, and where in the secret's JSON the value stands.
	awsPattern    = regexp.MustCompile(`^[A-Za-z0-9/_+=.@:!-]+(#[^#]+)?$`)
	secretSources = []string{"env", "file", "aws"}
)

// parseReferences cuts a scalar into its segments: `${NAME}`, `${NAME:default}` and `${secret:SOURCE:NAME}`, what is
// between them, and `$${`, which means `${`. A reference ends at the first `}`. The error is a *referenceError.
func parseReferences(text string) ([]segment, error) {
	var segments []segment
	begin := 0
	flush := func(end int) {
		if end > begin {
			segments = append(segments, segment{start: begin, end: end, text: text[begin:end]})
		}
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], escaped):
			flush(i)
			segments = append(segments, segment{start: i, end: i + len(escaped), text: opening})
			i += len(escaped)
			begin = i
		case strings.HasPrefix(text[i:], opening):
			flush(i)
			length := strings.IndexByte(text[i:], '}')
			if length < 0 {
				return nil, &referenceError{i, "`${` without a `}`",
					"write ${NAME}, in quotes when its default has a space before #, or $${ for the characters themselves"}
			}
			r, err := parseReference(text[i+len(opening) : i+length])
			if err != nil {
				err.at = i
				return nil, err
			}
			segments = append(segments, segment{start: i, end: i + length + 1, reference: &r})
			i += length + 1
			begin = i
		default:
			i++
		}
	}
	flush(len(text))
	return segments, nil
}

func parseReference(inner string) (reference, *referenceError) {
	name, rest, cut := strings.Cut(inner, ":")
	if name == "secret" && cut {
		return parseSecret(rest)
	}
	if !variablePattern.MatchString(name) {
		hint := "a variable's name is upper case letters, digits and _; $${ stands for the characters themselves"
		switch {
		case strings.ContainsAny(inner, "$"):
			hint = "a reference holds no other one: write one after the other"
		case variablePattern.MatchString(strings.ToUpper(name)):
			hint = fmt.Sprintf("did you mean ${%s}?", strings.ToUpper(name))
		case strings.Contains(name, "-"):
			if variable, fallback, _ := strings.Cut(name, "-"); variablePattern.MatchString(variable) {
				hint = fmt.Sprintf("did you mean ${%s:%s}?", variable, fallback)
			}
		}
		return reference{}, &referenceError{message: fmt.Sprintf("`${%s}` is no reference", shorten(inner)), hint: hint}
	}
	if strings.Contains(rest, opening) {
		return reference{}, &referenceError{message: fmt.Sprintf("the default of ${%s} holds a reference", name), hint: "a default is taken as it is"}
	}
	return reference{name: name, fallback: rest, hasFallback: cut}, nil
}

func parseSecret(rest string) (reference, *referenceError) {
	source, name, _ := strings.Cut(rest, ":")
	wrong := func(message, hint string) (reference, *referenceError) {
		return reference{}, &referenceError{message: message, hint: hint}
	}
	switch {
	case !slices.Contains(secretSources, source):
		return wrong(fmt.Sprintf("secrets do not come from %q", source), didYouMean(source, secretSources))
	case source == "env" && !variablePattern.MatchString(name):
		return wrong(fmt.Sprintf("%q is no variable", shorten(name)), "write ${secret:env:NAME}, the name in upper case letters, digits and _; it has no default")
	case source == "file" && (!strings.HasPrefix(name, "/") || strings.Contains(name, opening)):
		return wrong(fmt.Sprintf("%q is no absolute path", shorten(name)), "write for example ${secret:file:/run/secrets/password}")
	case source == "aws" && (len(name) > maxSecretName || !awsPattern.MatchString(name)):
		return wrong(fmt.Sprintf("%q is no secret of AWS Secrets Manager", shorten(name)), "write ${secret:aws:NAME_OR_ARN}, or ${secret:aws:NAME#json.key} for a key of its JSON")
	}
	return reference{source: source, name: name}, nil
}

// shorten returns a text that is fit for a message.
func shorten(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}
