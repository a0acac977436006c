package baggage

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rastrohq/rastro/tracking/formats"
)

// row is one line of a body, or what control characters leave of it.
type row struct {
	number     int
	start, end int // without the end of the line
	next       int
	last       bool // the end of a text (ETX, EOT) follows
}

// rows cuts a text at the ends of its lines and at the characters that frame messages.
func rows(text string) []row {
	var list []row
	number, start := 1, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c > '\r' || c == '\t' || c == 0 {
			continue
		}
		r := row{number: number, start: start, end: i, next: i + 1, last: c == 3 || c == 4}
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			r.next, i = i+2, i+1
		}
		if c == '\r' || c == '\n' {
			number++
		} else {
			r.next = r.end // what frames a text is no part of it
		}
		list = append(list, r)
		start = i + 1
	}
	return append(list, row{number: number, start: start, end: len(text), next: len(text), last: true})
}

// splitter finds the messages of a body.
type splitter struct {
	text   string
	latin1 bool
	list   []*message
	open   *message
	// inline says that the elements of the open message follow each other on a line.
	inline bool
	starts []int // of the head and elements of the open message, in text
	ends   []int // of what is not the end of a line in each
	// origin and repeat are what the envelope says of the messages to come, stray the first line that is nothing known.
	origin string
	repeat bool
	stray  int
	tagged bool // the envelope is one of lines such as =ORIGIN, and what each is about
}

// split finds the messages of a body.
func split(body []byte) ([]*message, error) {
	text := string(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	s := &splitter{text: text}
	if !utf8.ValidString(text) {
		runes := make([]rune, len(text))
		for i := range len(text) {
			runes[i] = rune(text[i])
		}
		s.text, s.latin1 = string(runes), true
	}
	if strings.TrimSpace(s.text) == "" {
		return nil, &formats.BodyError{Code: formats.CodeEmpty, Message: "the body is empty; send at least one message", Line: 1}
	}
	lines := rows(s.text)
	for i, r := range lines {
		var after string
		if i+1 < len(lines) {
			after = strings.TrimSpace(s.text[lines[i+1].start:lines[i+1].end])
		}
		s.row(r, after)
		if r.last && s.open != nil {
			s.finish(r.next, "")
		}
	}
	if len(s.list) == 0 {
		return nil, &formats.BodyError{
			Code: formats.CodeSyntax, Line: 1,
			Message: "there is no baggage message; it must begin with a line that is one of " + strings.Join(kinds, ", "),
		}
	}
	if s.stray > 0 {
		s.list[len(s.list)-1].notes.stray(s.stray)
	}
	return s.list, nil
}

func (n *notes) stray(line int) {
	n.warnf(line, "", CodeDeviation, "line %d is in no message and no part of an envelope that is known; it is not read", line)
}

// row reads one line. after is the one that follows.
func (s *splitter) row(r row, after string) {
	for r.start < r.end {
		start := r.start
		switch {
		case s.open == nil:
			s.outside(&r, after)
		case s.inline:
			s.pieces(&r)
		default:
			s.inside(&r)
		}
		if r.start == start {
			return // all of it has been read
		}
	}
}

// outside reads a line, or the rest of one, that is in no message, up to the beginning of one.
func (s *splitter) outside(r *row, after string) {
	for at := r.start; at < r.end; {
		end := r.end
		if i := strings.Index(s.text[at:r.end], " / "); i >= 0 {
			end = at + i
		}
		piece := strings.TrimSpace(s.text[at:end])
		at += len(s.text[at:r.end]) - len(strings.TrimLeft(s.text[at:r.end], " \t/"))
		kind := kindOf(piece)
		if kind == "" && unknownKind(piece, after) {
			kind = strings.ToUpper(piece)
		}
		if kind != "" && at < r.end {
			s.begin(*r, at, kind)
			r.start = at + 3
			s.pieces(r)
			return
		}
		s.envelope(piece, r.number)
		at = end + 3
	}
}

// kindOf returns the kind of the message that begins with a text; empty when none does.
func kindOf(text string) string {
	text = strings.TrimLeft(text, " \t/")
	if len(text) < 3 || len(text) > 3 && !strings.ContainsRune(" \t/.", rune(text[3])) {
		return ""
	}
	if kind := strings.ToUpper(text[:3]); slices.Contains(kinds, kind) {
		return kind
	}
	return ""
}

// unknownKind reports whether a line looks like the beginning of a message of another kind: three letters alone, before .V.
func unknownKind(line, after string) bool {
	return len(line) == 3 && letters(line) && (strings.HasPrefix(after, ".V/") || after == "CHG" || after == "DEL")
}

// envelope reads what stands round messages: addresses, the line of origin, and the words of networks.
func (s *splitter) envelope(line string, number int) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	if words[len(words)-1] == "PDM" {
		s.repeat = true
		if len(words) == 1 {
			return
		}
	}
	if w := words[0]; len(w) == 8 && w[0] == '.' && alphanumeric(w[1:]) {
		s.origin, s.repeat = "", words[len(words)-1] == "PDM"
		if len(words) > 1 && len(words[1]) >= 6 && digits(words[1][:6]) {
			s.origin = words[1][:6]
		}
		return
	}
	address := func(w string) bool { return len(w) == 7 && alphanumeric(w) }
	s.tagged = s.tagged || line[0] == '='
	switch {
	case len(words[0]) == 2 && words[0][0] == 'Q' && len(words) > 1 && address(words[1]):
		s.origin, s.repeat = "", false // a new envelope
	case address(words[0]), s.tagged, words[0] == "ZCZC", words[0] == "NNNN", s.stray > 0:
	default:
		s.stray = number
	}
}

// begin opens a message.
func (s *splitter) begin(r row, at int, kind string) {
	s.open = &message{
		kind: kind, unknown: !slices.Contains(kinds, kind), line: r.number, start: at, origin: s.origin, repeat: s.repeat, latin1: s.latin1,
	}
	if s.stray > 0 {
		s.open.notes.stray(s.stray)
	}
	s.inline, s.repeat, s.stray, s.tagged = false, false, 0, false
	s.starts, s.ends = append(s.starts[:0], at), append(s.ends[:0], at+3)
}

// finish closes the open message, which ends at a byte of the text, with its last line.
func (s *splitter) finish(end int, foot string) {
	m := s.open
	s.open = nil
	m.foot = foot
	s.starts = append(s.starts, end-len(foot))
	m.head = s.text[s.starts[0]:s.starts[1]]
	for i := range m.elements {
		e := &m.elements[i]
		e.text = s.text[s.starts[i+1]:s.starts[i+2]]
		e.content = s.ends[i+1] - s.starts[i+1]
	}
	if foot == "" {
		m.notes.warnf(m.line, "", CodeDeviation, "the message does not end with END%s; it may have been cut short", m.kind)
	}
	for i := range m.elements {
		if m.elements[i].letter == 'V' {
			m.readPart(&m.elements[i])
			break
		}
	}
	s.list = append(s.list, m)
}

// inside reads a line of the open message that is one element, a word of its head or its end.
func (s *splitter) inside(r *row) {
	line := strings.TrimSpace(s.text[r.start:r.end])
	at := r.start + strings.Index(s.text[r.start:r.end], line)
	end := at + len(line)
	m := s.open
	switch {
	case line == "":
	case s.endsAt(at, end) || strings.EqualFold(line, "END") || strings.EqualFold(line, "ENDPART"):
		s.end(r, at)
		return
	case line[0] == '.' && len(line) > 1 && letter(line[1]) && !origin(line):
		if i := strings.LastIndexAny(line, " /"); i > 0 && s.endsAt(at+i+1, end) {
			s.element(r.number, at, at+i)
			s.end(r, at+i+1)
			return
		}
		s.element(r.number, at, end)
	case kindOf(line) != "" || origin(line) || line == "NNNN" || strings.HasPrefix(line, "ZCZC") || address(line):
		s.finish(at, "") // the next begins before this one ended
		r.start = at
		s.outside(r, "")
		return
	case len(m.elements) == 0:
		s.word(r.number, line)
		s.ends[0] = end
	default:
		m.notes.warnf(r.number, "", CodeDeviation, "line %d is no element: each begins with a point, a letter and a slash; it is kept", r.number)
		m.elements = append(m.elements, element{line: r.number})
		s.starts, s.ends = append(s.starts, at), append(s.ends, end)
	}
	r.start = r.end
}

// origin reports whether a line is the line of origin of an envelope.
func origin(line string) bool {
	return len(line) >= 8 && line[0] == '.' && alphanumeric(line[1:8]) && (len(line) == 8 || line[8] == ' ')
}

// address reports whether a line is the first of the addresses of an envelope.
func address(line string) bool {
	words := strings.Fields(line)
	return len(words) > 1 && len(words[0]) == 2 && words[0][0] == 'Q' && len(words[1]) == 7 && alphanumeric(words[1])
}

// pieces reads a line of which elements, and the end of the message, follow each other, with slashes or blanks between them.
func (s *splitter) pieces(r *row) {
	from := r.start
	for from < r.end {
		next := from + 1
		for next < r.end && !s.startsAt(next, r.end) {
			next++
		}
		end := from + len(strings.TrimRight(s.text[from:next], " \t/"))
		switch {
		case s.endsAt(from, r.end):
			s.end(r, from)
			return
		case s.text[from] == '.' && from+1 < end && letter(s.text[from+1]):
			s.inline = true
			s.element(r.number, from, end)
		case len(s.open.elements) == 0:
			for word := range strings.FieldsFuncSeq(s.text[from:end], func(c rune) bool { return c == ' ' || c == '/' || c == '\t' }) {
				s.word(r.number, word)
			}
			s.ends[0] = max(s.ends[0], end)
		case strings.Trim(s.text[from:end], " /\t") != "":
			s.open.notes.warnf(r.number, "", CodeDeviation, "line %d holds what is no element; it is kept", r.number)
			s.open.elements = append(s.open.elements, element{line: r.number})
			s.starts, s.ends = append(s.starts, from), append(s.ends, end)
		}
		from = next
	}
	r.start = r.end
}

// startsAt reports whether an element, or the end of the message, starts at a byte within a line.
func (s *splitter) startsAt(at, end int) bool {
	if !strings.ContainsRune(" \t/", rune(s.text[at-1])) {
		return false
	}
	return at+2 < end && s.text[at] == '.' && letter(s.text[at+1]) && s.text[at+2] == '/' || s.endsAt(at, end)
}

// endsAt reports whether the end of a message stands at a byte: END and a kind, or END and a part.
func (s *splitter) endsAt(at, end int) bool {
	word, _, _ := strings.Cut(strings.ToUpper(s.text[at:min(end, at+12)]), " ")
	word, _, _ = strings.Cut(word, "/")
	name, ok := strings.CutPrefix(word, "END")
	if !ok {
		return false
	}
	_, part := partNumber(name)
	return part || name == s.open.kind || slices.Contains(kinds, name)
}

// end closes the message at the word that ends it, and leaves the rest of the line to be read.
func (s *splitter) end(r *row, at int) {
	m := s.open
	stop := at + 3
	for stop < r.end && (letter(s.text[stop]) || digits(s.text[stop:stop+1])) {
		stop++
	}
	name := strings.ToUpper(s.text[at+3 : stop])
	n, part := partNumber(name)
	switch {
	case part:
		m.part, m.more = n, true
	case name == "PART":
		m.more = true
	case name != m.kind:
		m.notes.warnf(r.number, "", CodeDeviation, "the message ends with END%s; it should be END%s", name, m.kind)
	}
	r.start = stop
	if strings.TrimSpace(s.text[stop:r.end]) == "" {
		stop = r.next
		r.start = r.end
	}
	s.finish(stop, s.text[at:stop])
}

// word reads a word of the head of a message.
func (s *splitter) word(line int, word string) {
	m := s.open
	switch w := strings.ToUpper(word); {
	case w == "CHG" || w == "DEL":
		if m.change != "" && m.change != w {
			m.notes.failf(line, "", formats.CodeConflict, "the message is marked both as %s and as %s", m.change, w)
		}
		m.change = w
	case w == "PDM":
		m.repeat = true
	case w == "ADD" || w == "NEW":
		m.notes.infof(line, "", CodeDeviation, "%s is no status of a message; one that is new has none", w)
	case m.kind == "BCM" && m.control == "" && len(w) <= 4 && letters(w):
		m.control = w
	default:
		m.notes.warnf(line, "", CodeDeviation, "the head of a message may say CHG, DEL or PDM; what line %d says besides is kept and not read", line)
	}
}

// element adds an element that stands in text.
func (s *splitter) element(line, start, end int) {
	content := s.text[start:end]
	e := element{letter: content[1] &^ 0x20, line: line}
	rest, slash := strings.CutPrefix(content[2:], "/")
	if !slash {
		s.open.notes.warnf(line, e.name(0), CodeDeviation, "a slash must follow %s", e.name(0))
	}
	e.fields = strings.Split(rest, "/")
	for i, f := range e.fields {
		e.fields[i] = strings.TrimSpace(f)
	}
	s.open.elements = append(s.open.elements, e)
	s.starts, s.ends = append(s.starts, start), append(s.ends, end)
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func every(s string, f func(byte) bool) bool {
	for i := range len(s) {
		if !f(s[i]) {
			return false
		}
	}
	return s != ""
}

func letters(s string) bool { return every(s, letter) }

func digits(s string) bool { return every(s, func(c byte) bool { return c >= '0' && c <= '9' }) }

func alphanumeric(s string) bool {
	return every(s, func(c byte) bool { return letter(c) || c >= '0' && c <= '9' })
}
