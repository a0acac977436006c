package cargoimp

import (
	"bytes"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
)

// line is one line of a body.
type line struct {
	no int
	// raw is the line with its end, byte for byte.
	raw []byte
	// text is the line in capitals without blanks at its end and control characters, and said the same in the letters of the sender.
	text, said string
}

// message is one message of a body.
type message struct {
	kind    string
	version string
	id      line
	// lines follow the identifier; none of them is blank.
	lines    []line
	envelope *envelope
	// findings are about the message as a whole.
	findings []formats.Finding
}

// envelope is what a message came in.
type envelope struct {
	Priority string   `json:"priority,omitempty"`
	To       []string `json:"to,omitempty"`
	From     string   `json:"from,omitempty"`
	// Reference is that of an EDIFACT interchange.
	Reference string `json:"reference,omitempty"`
	// Duplicate says that the sender marked the message as one that may have been sent before (PDM).
	Duplicate bool       `json:"possible_duplicate,omitempty"`
	Sent      *time.Time `json:"sent,omitempty"`
	// dated says that Sent was given with its year.
	dated bool
}

// Type B (IATA Systems and Communications Reference): a line of priority and addresses, which may go on, and one of the origin.
var (
	addressLine  = regexp.MustCompile(`^(Q[A-Z]|SS) +([A-Z0-9]{7}(?: +[A-Z0-9]{7})*)\.?$`)
	moreAddress  = regexp.MustCompile(`^[A-Z0-9]{7}(?: +[A-Z0-9]{7})*\.?$`)
	originLine   = regexp.MustCompile(`^\.([A-Z0-9]{7})(?: +(\d{6})?.*)?$`)
	identifier   = regexp.MustCompile(`^(?:(FSU|FSA|FFM)(?:/([A-Z0-9]{0,3}))?|(F[A-Z]{2}|CS[NI])/(\d{1,2})|(MVT|MVA|DIV|LDM|CPM|UCM|SCM|UWS|ASM|SSM|B[STPUCN][MS]))$`)
	oneLine      = regexp.MustCompile(`^(FS[UA])/(\d{1,2}) +(\d{3}-?\d{8}\S*(?: .*)?)$`)
	nextStatus   = regexp.MustCompile(` +[A-Z]{3}/`)
	endOfMessage = map[string]bool{"NNNN": true, "=": true}
)

// split finds the messages of a body.
func split(body []byte, received time.Time) []message {
	s := &splitter{received: received}
	at := interchangeAt(body)
	s.lines(body[:at], 1, 0)
	if at < len(body) {
		s.interchange(body[at:], 1+bytes.Count(body[:at], []byte("\n")))
	}
	s.close()
	return s.messages
}

type splitter struct {
	received time.Time
	messages []message
	open     *message
	envelope *envelope
	// fixed says that the envelope is that of an interchange, which lines within do not change.
	fixed bool
	// stray is the first line that belongs to no message.
	stray *line
}

func (s *splitter) close() {
	if s.open != nil {
		s.messages = append(s.messages, *s.open)
		s.open = nil
	}
}

// lines reads lines; release is the character that takes the meaning from the one after it, 0 for none.
func (s *splitter) lines(text []byte, no int, release byte) {
	for len(text) > 0 {
		end, width := lineEnd(text)
		l := line{no: no, raw: text[: end+width : end+width]}
		no += bytes.Count(l.raw, []byte("\n"))
		if width > 0 && !bytes.Contains(l.raw[end:], []byte("\n")) {
			no++
		}
		boundary := bytes.ContainsAny(l.raw, "\x01\x03")
		if boundary && bytes.IndexByte(l.raw, 1) >= 0 {
			s.close()
		}
		l.said = clean(text[:end], release)
		l.text = upper(l.said)
		text = text[end+width:]
		if l.text != "" {
			s.line(l)
		}
		if boundary && bytes.IndexByte(l.raw, 3) >= 0 {
			s.close()
			if !s.fixed {
				s.envelope = nil
			}
		}
	}
}

// lineEnd finds the first of CR, LF and any number of CRs before an LF, and how many bytes they are.
func lineEnd(text []byte) (end, width int) {
	end = bytes.IndexAny(text, "\r\n")
	if end < 0 {
		return len(text), 0
	}
	rest := text[end:]
	n := 0
	for n < len(rest) && rest[n] == '\r' {
		n++
	}
	if n < len(rest) && rest[n] == '\n' {
		return end, n + 1
	}
	return end, 1
}

// clean takes control characters out of a line, and blanks off its ends. What is not UTF-8 is read as ISO 8859-1.
func clean(text []byte, release byte) string {
	plain := utf8.Valid(text)
	for _, b := range text {
		if b < ' ' || b == 0x7f || b == release && release != 0 {
			plain = false
		}
	}
	if plain {
		return strings.Trim(string(text), " ")
	}
	var b strings.Builder
	valid := utf8.Valid(text)
	released := false
	for i, c := range text {
		switch {
		case c == release && release != 0 && !released && i+1 < len(text):
			released = true
			continue
		case c == '\t':
			b.WriteByte(' ')
		case c < ' ' || c == 0x7f:
		case valid || c < 0x80:
			b.WriteByte(c)
		default:
			b.WriteRune(rune(c))
		}
		released = false
	}
	return strings.Trim(b.String(), " ")
}

// upper is a text with the letters of ASCII in capitals, so that its offsets stay.
func upper(s string) string {
	for i := range len(s) {
		if s[i] >= 'a' && s[i] <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'a' && b[i] <= 'z' {
					b[i] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// line gives a line that is not blank to the message it belongs to.
func (s *splitter) line(l line) {
	if !s.fixed && s.enveloped(l) {
		return
	}
	if m := identifier.FindStringSubmatch(l.text); m != nil {
		manifest := s.open != nil && s.open.kind == "FFM" // whose lines may be the codes of airports
		// FOH/12 is a status that was cut short.
		if known[m[3]] == nil && (m[5] == "" || !manifest) {
			s.begin(m[1]+m[3]+m[5], m[2]+m[4], l)
			return
		}
	}
	if m := oneLine.FindStringSubmatchIndex(l.text); m != nil {
		s.inOneLine(l, m)
		return
	}
	switch {
	case endOfMessage[l.text]:
		s.close()
	case s.open != nil:
		s.open.lines = append(s.open.lines, l)
	case s.stray == nil && !strings.HasPrefix(l.text, "="):
		s.stray = &l
	}
}

func (s *splitter) begin(kind, version string, id line) {
	s.close()
	if len(id.raw) > maxHeadLine { // blanks, for there is no room for anything else
		id.raw = []byte(id.said + "\n")
	}
	s.open = &message{kind: kind, version: version, id: id, envelope: s.envelope}
	if s.stray != nil {
		s.note(s.stray.no, "message", "the line %q stands before the message and is no part of it", quote(s.stray.said))
		s.stray = nil
	}
}

// note says something of the open message.
func (s *splitter) note(no int, field, format string, args ...any) {
	n := notes{}
	n.info(no, field, CodeDeviation, format, args...)
	s.open.findings = append(s.open.findings, n.findings...)
}

// enveloped reads a line of a Type B envelope. It returns false when the line is none.
func (s *splitter) enveloped(l line) bool {
	if m := addressLine.FindStringSubmatch(l.text); m != nil {
		s.close()
		s.envelope = &envelope{Priority: m[1], To: addresses(m[2])}
		return true
	}
	e := s.envelope
	if e != nil && e.From == "" && s.open == nil && moreAddress.MatchString(l.text) {
		if len(e.To) < 64 {
			e.To = append(e.To, addresses(l.text)...)
		}
		return true
	}
	if m := originLine.FindStringSubmatch(l.text); m != nil {
		if e == nil || e.From != "" {
			s.close()
			e = &envelope{}
			s.envelope = e
		}
		e.From = m[1]
		if sent, err := localtime.DayTime(m[2], s.received); err == nil {
			e.Sent = &sent
		}
		return true
	}
	if l.text == "PDM" && s.open == nil {
		if e == nil {
			e = &envelope{}
			s.envelope = e
		}
		e.Duplicate = true
		return true
	}
	return false
}

func addresses(text string) []string {
	all := strings.Fields(strings.TrimSuffix(text, "."))
	return all[:min(len(all), 64)]
}

// inOneLine takes a whole status message that stands on one line, with blanks between what should be lines.
func (s *splitter) inOneLine(l line, m []int) {
	raw := []byte(l.said)
	if at := bytes.Index(l.raw, raw); at >= 0 {
		raw = l.raw[at:]
	}
	id := line{no: l.no, raw: raw[:m[6]], text: l.text[:m[5]], said: l.said[:m[5]]}
	s.begin(l.text[m[2]:m[3]], l.text[m[4]:m[5]], id)
	s.note(l.no, "message", "the whole message stands on one line")
	text, said := l.text[m[6]:], l.said[m[6]:]
	raw = raw[m[6]:]
	for text != "" {
		end, rawEnd := len(text), len(raw)
		if next := nextStatus.FindStringIndex(text); next != nil {
			end = next[1] - len("XXX/")
			rawEnd = end
		}
		s.open.lines = append(s.open.lines, line{no: l.no, raw: raw[:rawEnd], text: strings.Trim(text[:end], " "), said: strings.Trim(said[:end], " ")})
		text, said, raw = text[end:], said[end:], raw[rawEnd:]
	}
}

// interchangeAt finds where an EDIFACT interchange begins: at a line that begins with UNA or UNB; the length of the body when none does.
func interchangeAt(body []byte) int {
	for _, tag := range []string{"UNA", "UNB+"} {
		for from := 0; from < len(body); {
			i := bytes.Index(body[from:], []byte(tag))
			if i < 0 {
				break
			}
			i += from
			if lead := bytes.TrimRight(body[:i], " \t\x01\x02"); (len(lead) == 0 || lead[len(lead)-1] == '\n' || lead[len(lead)-1] == '\r') &&
				(tag != "UNA" || len(body) > i+9 && bytes.HasPrefix(bytes.TrimLeft(body[i+9:], "\r\n "), []byte("UNB"))) {
				return i
			}
			from = i + len(tag)
		}
	}
	return len(body)
}

// interchange reads EDIFACT (ISO 9735): UNB, then messages between UNH and UNT, whose content is that of Cargo-IMP.
func (s *splitter) interchange(text []byte, no int) {
	component, element, release, terminator := byte(':'), byte('+'), byte('?'), byte('\'')
	if bytes.HasPrefix(text, []byte("UNA")) {
		component, element, release, terminator = text[3], text[4], text[6], text[8]
		text = text[9:]
		if release == ' ' {
			release = 0
		}
	}
	s.fixed = true
	for len(text) > 0 {
		segment, rest := segmentOf(text, release, terminator)
		lead := len(segment) - len(bytes.TrimLeft(segment, "\r\n \x02"))
		elements := strings.Split(upper(string(segment[lead:])), string(element))
		from := no
		no += bytes.Count(text[:len(text)-len(rest)], []byte("\n"))
		text = rest
		switch elements[0] {
		case "UNB":
			s.close()
			s.envelope = interchangeHeader(elements, string(component))
		case "UNH":
			s.close()
			content, after := contentOf(text, release, terminator, element)
			s.lines(content, no, release)
			s.close()
			no += bytes.Count(text[:len(text)-len(after)], []byte("\n"))
			text = after
		case "UNT", "UNZ", "":
		default:
			if l := (line{no: from, said: clean(segment, release)}); l.said != "" && s.stray == nil {
				s.stray = &l
			}
		}
	}
}

// segmentOf cuts a text after its first segment, which is returned without its terminator.
func segmentOf(text []byte, release, terminator byte) (segment, rest []byte) {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == release && release != 0:
			i++
		case text[i] == terminator:
			return text[:i], text[i+1:]
		}
	}
	return text, nil
}

// contentOf cuts a text before the segment that ends a message.
func contentOf(text []byte, release, terminator, element byte) (content, rest []byte) {
	for at := text; len(at) > 0; {
		begin := len(text) - len(at)
		trimmed := bytes.TrimLeft(at, "\r\n ")
		if len(trimmed) > 3 && trimmed[3] == element && (bytes.HasPrefix(trimmed, []byte("UNT")) || bytes.HasPrefix(trimmed, []byte("UNZ")) ||
			bytes.HasPrefix(trimmed, []byte("UNH")) || bytes.HasPrefix(trimmed, []byte("UNB"))) {
			return bytes.TrimSuffix(text[:begin], []byte{terminator}), text[begin:]
		}
		_, at = segmentOf(at, release, terminator)
	}
	return text, nil
}

// interchangeHeader reads UNB: syntax, sender, recipient, date and time of preparation, reference.
func interchangeHeader(elements []string, component string) *envelope {
	e := &envelope{}
	get := func(i int) string {
		if i >= len(elements) {
			return ""
		}
		s, _, _ := strings.Cut(strings.TrimSpace(elements[i]), component)
		return s[:min(len(s), 70)]
	}
	e.From, e.Reference = get(2), get(5)
	if to := get(3); to != "" {
		e.To = []string{to}
	}
	if len(elements) > 4 {
		stamp := strings.Replace(strings.TrimSpace(elements[4]), component, "", 1)
		for _, layout := range []string{"0601021504", "200601021504"} {
			if sent, err := time.Parse(layout, stamp); err == nil {
				e.Sent, e.dated = &sent, true
			}
		}
	}
	return e
}
