package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// minSecret is how many bytes a secret has at least: a shorter one cannot be kept out of messages.
const minSecret = 4

// minSecretLine is how long a line of a secret is at least to be kept out of messages by itself.
const minSecretLine = 8

// Secrets are the values that a config has by reference and that are not to be shown. The zero Secrets and nil are none. They
// are safe for concurrent use once References.Resolve has returned them.
type Secrets struct {
	forms    []string
	replacer *strings.Replacer
}

// add keeps a value secret, and the forms that it takes in messages.
func (s *Secrets) add(value string) {
	forms := []string{value, strings.TrimSpace(value), url.QueryEscape(value), url.PathEscape(value), url.UserPassword("", value).String()[1:]}
	for _, quote := range []string{strconv.Quote(value), strconv.QuoteToASCII(value), quoted(value)} {
		forms = append(forms, quote[1:len(quote)-1])
	}
	if text, err := json.Marshal(value); err == nil {
		forms = append(forms, string(text[1:len(text)-1]))
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minSecretLine {
			forms = append(forms, line)
		}
	}
	for _, form := range forms {
		if len(form) >= minSecret && !slices.Contains(s.forms, form) {
			s.forms = append(s.forms, form)
		}
	}
	// The longest first: one secret may be the beginning of another.
	slices.SortFunc(s.forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(s.forms))
	for _, form := range s.forms {
		pairs = append(pairs, form, Redacted)
	}
	s.replacer = strings.NewReplacer(pairs...)
}

// Scrub returns a text with Redacted in the place of secrets, and of the forms that they take when they are quoted or escaped.
func (s *Secrets) Scrub(text string) string {
	if s == nil || s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}

// ScrubError returns an error without secrets in its text. It is still what errors.Is and errors.As find in err.
func (s *Secrets) ScrubError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if scrubbed := s.Scrub(text); scrubbed != text {
		return &scrubbedError{err: err, text: scrubbed}
	}
	return err
}

// scrubbedError has no Unwrap, which would give the secret away to what prints causes.
type scrubbedError struct {
	err  error
	text string
}

func (e *scrubbedError) Error() string        { return e.text }
func (e *scrubbedError) Is(target error) bool { return errors.Is(e.err, target) }
func (e *scrubbedError) As(target any) bool   { return errors.As(e.err, target) }

// scrubValue scrubs every text of a value in terms of YAML.
func (s *Secrets) scrubValue(value any) any {
	if s == nil || s.replacer == nil {
		return value
	}
	switch v := value.(type) {
	case string:
		return s.Scrub(v)
	case []any:
		for i := range v {
			v[i] = s.scrubValue(v[i])
		}
	case yaml.MapSlice:
		for i := range v {
			v[i].Key, v[i].Value = s.scrubValue(v[i].Key), s.scrubValue(v[i].Value)
		}
	case nil, bool:
	default:
		if text, err := yaml.Marshal(v); err == nil && s.Scrub(string(text)) != string(text) {
			return Redacted
		}
	}
	return value
}

// logger returns a logger that keeps secrets out of what it writes.
func (s *Secrets) logger(l *slog.Logger) *slog.Logger {
	if s == nil || s.replacer == nil {
		return l
	}
	return slog.New(scrubbingHandler{l.Handler(), s})
}

type scrubbingHandler struct {
	slog.Handler
	secrets *Secrets
}

// Handle implements slog.Handler.
func (h scrubbingHandler) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.secrets.Scrub(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h scrubbingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return scrubbingHandler{h.Handler.WithAttrs(clean), h.secrets}
}

// WithGroup implements slog.Handler.
func (h scrubbingHandler) WithGroup(name string) slog.Handler {
	return scrubbingHandler{h.Handler.WithGroup(name), h.secrets}
}

func (h scrubbingHandler) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	kind := value.Kind()
	if kind == slog.KindGroup {
		group := make([]slog.Attr, len(value.Group()))
		for i, member := range value.Group() {
			group[i] = h.attr(member)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	}
	if kind == slog.KindString || kind == slog.KindAny {
		if text := fmt.Sprintf("%+v", value.Any()); h.secrets.Scrub(text) != text {
			return slog.String(a.Key, h.secrets.Scrub(text))
		}
	}
	return slog.Attr{Key: a.Key, Value: value}
}
