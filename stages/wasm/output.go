package wasm

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/sys"
)

// Bounds on what a module may say.
const (
	maxLines   = 100  // logged a batch
	maxLine    = 1024 // bytes of one
	maxMessage = 500  // bytes of a reason
)

// lines logs what an instance writes to standard output and error. It belongs to its instance.
type lines struct {
	logger *slog.Logger
	part   []byte // a line that has no end yet
	count  int
	first  string // of the lines since begin, what a module that gives up says
}

// Write implements io.Writer. It takes everything and keeps what is within bounds.
func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - len(l.part); room > 0 {
			l.part = append(l.part, line[:min(len(line), room)]...)
		}
		if found {
			l.flush(context.Background())
		}
		rest = after
	}
	return len(p), nil
}

func (l *lines) flush(ctx context.Context) {
	text := clean(string(l.part))
	l.part = l.part[:0]
	if text == "" {
		return
	}
	if l.first == "" {
		l.first = text
	}
	if l.count++; l.count <= maxLines {
		l.logger.InfoContext(ctx, "the module says", slog.String("line", text))
	}
}

// end logs what is left and begins anew.
func (l *lines) end(ctx context.Context) {
	l.flush(ctx)
	if l.count > maxLines {
		l.logger.WarnContext(ctx, "the module said more than is logged", slog.Int("lines", l.count), slog.Int("logged", maxLines))
	}
	l.count, l.first = 0, ""
}

// said is what the instance wrote first, for an error; empty when it wrote nothing.
func (l *lines) said() string {
	if l.first != "" {
		return l.first
	}
	return clean(string(l.part))
}

// trap is a failure of the module.
type trap struct{ message string }

func (t *trap) Error() string { return t.message }

// failure says what the failure of a call means: an end of ctx is none of the module.
func failure(ctx context.Context, err error, out *lines) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	message, _, _ := strings.Cut(err.Error(), "\nwasm stack trace:")
	if exit, ok := errors.AsType[*sys.ExitError](err); ok {
		message = exit.Error()
	}
	if said := out.said(); said != "" {
		message += "; it says: " + said
	}
	return &trap{clean(message)}
}

// clean makes text of a module fit for logs and for a database: valid, on one line, without NUL, and not too long.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "�")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if len(text) <= maxMessage {
		return text
	}
	cut := maxMessage
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
