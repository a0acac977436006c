package outbound

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxMessage bounds what is quoted of an answer, in bytes.
const maxMessage = 300

// MaxWait bounds how long a service may ask to be left alone.
const MaxWait = 5 * time.Minute

// OK reports whether the status is one of success (RFC 9110, 15.3).
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Message says in one bounded line what the service answered: its status and, where the body tells, what is the matter: the
// detail or title of a problem (RFC 9457), else the text as it is.
func (a *Answer) Message() string {
	status := strings.TrimSpace(strconv.Itoa(a.Status) + " " + http.StatusText(a.Status))
	text := a.text()
	if text == "" {
		return status
	}
	return status + ": " + text
}

func (a *Answer) text() string {
	media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	switch {
	case media == "application/problem+json" || media == "application/json":
		var problem struct{ Detail, Title, Message, Error any }
		if json.Unmarshal(a.Body, &problem) == nil {
			for _, said := range []any{problem.Detail, problem.Title, problem.Message, problem.Error} {
				if text, ok := said.(string); ok && text != "" {
					return Line(text, maxMessage)
				}
			}
		}
		return Line(string(a.Body), maxMessage)
	case strings.HasPrefix(media, "text/plain"):
		return Line(string(a.Body), maxMessage)
	default:
		return "" // a page for people, or no text at all
	}
}

// Line makes one line of text of at most so many bytes: what a service says ends up in logs and dead letters.
func Line(text string, most int) string {
	text = strings.ToValidUTF8(text, "")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(text) <= most {
		return text
	}
	const more = "..."
	end := most - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

// RetryAfter returns how long the service asks to wait (RFC 9110, 10.2.3), at most MaxWait, and whether it asks at all.
func (a *Answer) RetryAfter(now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(a.Header.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(MaxWait/time.Second))) * time.Second, seconds >= 0
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), MaxWait), true
}
