package cargoimp

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// entry is one status line with the lines that go with it.
type entry struct {
	no         int
	text, said string
	raws       [][]byte
	ulds       []string
	osi, oci   []line
	other      []string
	findings   []formats.Finding
	lines      int
	// last is what the line before was, which a line that begins with a slash goes on with: a status, OSI, OCI or ULD.
	last string
}

var (
	tagged     = regexp.MustCompile(`^([A-Z0-9]{3})(?:/|$)`)
	annotation = map[string]bool{"OSI": true, "OCI": true, "ULD": true}
)

// status reads FSU and FSA: the identifier, the consignment line, and status lines with what goes with them.
func (d *decoder) status(m *message) {
	head := &notes{}
	d.version(head, m, 8, 15)
	head.take(m.findings)
	lines := m.lines
	var w *waybill
	var awb line
	switch {
	case len(lines) == 0:
		head.fail(m.id.no, "AWB", formats.CodeRequired, "the consignment line is missing; it must be as 045-53806270LIMJFK/T10K505.0")
	case len(lines[0].raw) > maxHeadLine || len(lines[0].text) > maxHeadLine:
		head.fail(lines[0].no, "AWB", formats.CodeTooLong, "the consignment line has more than %d bytes", maxHeadLine)
		lines = lines[1:]
	default:
		awb = lines[0]
		if w = d.waybillLine(head, awb); w != nil && w.rest != "" {
			head.warn(awb.no, "AWB", CodeDeviation, "the consignment line has no place for %q", quote(w.rest))
		}
		if known[code(awb.text)] == nil { // what is a status is read as one
			lines = lines[1:]
		}
	}
	entries := d.entries(lines)
	if len(entries) == 0 {
		n := d.begin(m.id.no)
		n.take(head.findings)
		n.fail(m.id.no, "status", formats.CodeRequired, "the message has no status line such as RCS/20JUN1510/LIM/T10K505.0")
		d.refuse(n)
		return
	}
	var before time.Time
	for i := range entries {
		if !d.room() {
			return
		}
		if at := d.entry(m, head, w, awb, &entries[i], before); !at.IsZero() {
			before = at
		}
	}
}

func code(text string) string {
	if m := tagged.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// version checks the version of a message.
func (d *decoder) version(n *notes, m *message, least, most int) {
	v, _, ok := leadingPieces(m.version)
	switch {
	case m.version == "":
		n.info(m.id.no, m.kind+".version", CodeDeviation, "the message does not say its version, as %s/%d does", m.kind, most)
	case !ok || strings.Trim(m.version, "0123456789") != "":
		n.fail(m.id.no, m.kind+".version", formats.CodeFormat, "%q is no version; it must be a number from %d to %d", quote(m.version), least, most)
	case v < least || v > most:
		n.warn(m.id.no, m.kind+".version", formats.CodeRange, "version %d is not one of %d to %d; the message is read as if it were", v, least, most)
	}
}

// entries groups lines by the status that they belong to. What stands before the first status belongs to that.
func (d *decoder) entries(lines []line) []entry {
	var list []entry
	var early entry
	open := &early
	for _, l := range lines {
		tag := code(l.text)
		switch {
		case strings.HasPrefix(l.text, "/") || tag == "":
			open.continued(l, tag)
		case annotation[tag]:
			open.annotate(l, tag)
		case known[tag] == nil && d.wraps(open, l):
			open.wrap(l)
		default:
			e := entry{no: l.no, text: l.text, said: l.said, raws: [][]byte{l.raw}, last: "status"}
			if len(list) == 0 {
				e.before(&early)
			}
			list = append(list, e)
			open = &list[len(list)-1]
		}
	}
	if len(list) == 0 && early.lines > 0 && (len(early.osi) > 0 || len(early.oci) > 0) {
		early.text, early.said = "OSI", "OSI"
		if len(early.osi) == 0 {
			early.text, early.said = "OCI", "OCI"
		}
		list = append(list, early)
	}
	return list
}

// before takes over what stood before the first status.
func (e *entry) before(early *entry) {
	text, said, no, raws := e.text, e.said, e.no, e.raws
	*e = *early
	e.text, e.said, e.no, e.last = text, said, no, "status"
	e.raws = append(e.raws, raws...)
}

func (e *entry) note(severity formats.Severity, no int, code, format string, args ...any) {
	n := notes{}
	n.add(severity, no, codeOf(e), code, format, args)
	e.findings = append(e.findings, n.findings...)
}

// codeOf is the field that a finding about the whole of an entry names.
func codeOf(e *entry) string {
	if c := code(e.text); c != "" {
		return c
	}
	if waybillStart.MatchString(e.text) {
		return "AWB"
	}
	return "status"
}

// full counts the lines that go with the status. It returns true when there are too many, which refuses it.
func (e *entry) full(l line) bool {
	if e.no == 0 {
		e.no = l.no
	}
	if e.lines++; e.lines <= maxNotes && len(l.text) <= maxLine {
		return false
	}
	if e.lines == maxNotes+1 || len(l.text) > maxLine {
		e.note(formats.SeverityError, l.no, formats.CodeTooLong, "more than %d lines, or one of more than %d bytes, go with the status", maxNotes, maxLine)
	}
	return true
}

// annotate takes a line of information beside the status.
func (e *entry) annotate(l line, tag string) {
	if e.full(l) {
		return
	}
	e.last = tag
	switch tag {
	case "OSI":
		e.osi = append(e.osi, l)
	case "OCI":
		e.oci = append(e.oci, l)
		if said, _ := person(l); said != "" {
			return // its raw is kept apart
		}
	case "ULD":
		e.uld(l.text[3:])
	}
	e.raws = append(e.raws, l.raw)
}

func (e *entry) uld(text string) {
	for id := range strings.SplitSeq(text, "/") {
		if id = strings.TrimSpace(id); id != "" && len(e.ulds) < maxNotes {
			e.ulds = append(e.ulds, id)
		}
	}
}

// continued takes a line that goes on with the one before it.
func (e *entry) continued(l line, tag string) {
	if tag == "" && !strings.HasPrefix(l.text, "/") && (e.last == "status" || e.last == "") {
		e.wrap(l)
		return
	}
	if e.full(l) {
		return
	}
	switch e.last {
	case "OSI":
		e.osi = append(e.osi, l)
	case "OCI":
		e.oci = append(e.oci, l)
		if said, _ := person(l); said != "" {
			return
		}
	case "ULD":
		e.uld(l.text)
	case "status":
		e.note(formats.SeverityInfo, l.no, CodeDeviation, "the status goes on with a second line")
		e.join(l, "")
	default:
		e.other = append(e.other, l.said)
	}
	e.raws = append(e.raws, l.raw)
}

// wrap joins a line that was broken where a teleprinter's line ended.
func (e *entry) wrap(l line) {
	if e.full(l) {
		return
	}
	if e.last != "status" {
		e.other = append(e.other, l.said)
		e.note(formats.SeverityWarning, l.no, CodeDeviation, "the line %q belongs to no status", quote(l.said))
		e.raws = append(e.raws, l.raw)
		return
	}
	e.note(formats.SeverityInfo, l.no, CodeDeviation, "the line was broken; it is read with the one before it")
	e.join(l, between(e.text, l.text))
	e.raws = append(e.raws, l.raw)
}

func (e *entry) join(l line, glue string) {
	if len(e.text)+len(l.text) > maxLine {
		e.note(formats.SeverityError, l.no, formats.CodeTooLong, "the status has more than %d bytes", maxLine)
		return
	}
	e.text += glue + l.text
	e.said += glue + l.said
}

// between is what belongs between the parts of a broken line: a blank between words, nothing within what is coded or where the line
// is as long as a teleprinter's.
func between(a, b string) string {
	const full = 60
	letter := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	if len(a) < full && a != "" && b != "" && letter(a[len(a)-1]) && letter(b[0]) && strings.Count(a, "/") >= 4 {
		return " "
	}
	return ""
}

// wraps reports whether a line that looks like a status nobody knows is the rest of the one before it: when that one is wrong, or odd,
// alone and right with it.
func (d *decoder) wraps(e *entry, l line) bool {
	if e.last != "status" || known[code(e.text)] == nil || len(e.text)+len(l.text) > maxLine {
		return false
	}
	alone, joined := &notes{}, &notes{}
	d.details(alone, 0, e.text, e.said)
	if len(alone.findings) == 0 {
		return false
	}
	d.details(joined, 0, e.text+l.text, e.said+l.said)
	return !joined.refused && (alone.refused || len(joined.findings) == 0)
}

// entry makes an event of a status. It returns when the status took place; the zero time where that is a guess.
func (d *decoder) entry(m *message, head *notes, w *waybill, awb line, e *entry, before time.Time) time.Time {
	n := d.begin(e.no)
	n.take(head.findings)
	n.take(e.findings)
	if len(e.text) > maxLine {
		n.fail(e.no, "status", formats.CodeTooLong, "the status has more than %d bytes", maxLine)
		d.refuse(n)
		return time.Time{}
	}
	if tag := code(e.text); tag != "" && !strings.HasPrefix(e.said, tag) {
		n.info(e.no, code(e.text), CodeDeviation, "the message is in small letters")
	}
	t := d.details(n, e.no, e.text, e.said)
	if known[t.code] == nil && !annotation[t.code] {
		n.warn(e.no, "status", CodeUnknownStatus, "%q is no status of the standard; it is kept as it is", quote(t.code))
	}
	o := d.when(n, e.no, &t, m.envelope, before)
	if w == nil {
		if !n.refused {
			n.fail(awb.no, "AWB", formats.CodeRequired, "without the consignment line nothing says what the status is about")
		}
		d.refuse(n)
		return time.Time{}
	}
	p := d.payload(m, w, awb, e, &t, &o)
	event := &tracking.Event{
		CorrelationID: w.Number, AggregateID: w.Number, Kind: tracking.Cargo, Type: t.code, Classifier: o.classifier,
		OccurredAt: o.at, TimeQuality: o.quality, Transport: transport(&t, o.flightDate), Personal: personal(p, e),
	}
	if station := t.station(); station != "" {
		event.Location = &tracking.Location{IATA: station}
	}
	if q := t.quantity; q != nil {
		event.Quantity = q.consigned(w.Quantity)
		d.doubtPart(n, e.no, t.code, event.Quantity, q)
	} else if w.Quantity != nil {
		event.Quantity = w.Quantity.consigned(nil)
		if known[t.code] != nil {
			n.info(e.no, t.code+".quantity", CodeDeviation, "the status has no quantity; that of the consignment line stands for it")
		}
	}
	d.finish(n, event, p, o.stated)
	if o.stated.IsZero() || o.classifier != tracking.Actual {
		return time.Time{}
	}
	return o.at
}

// doubtPart says what is odd about the quantity of a status beside that of its consignment.
func (d *decoder) doubtPart(n *notes, no int, code string, have *tracking.Quantity, q *quantity) {
	switch {
	case have.TotalPieces > 0 && have.Pieces > have.TotalPieces:
		n.warn(no, code+".quantity", formats.CodeConflict, "%d pieces are more than the %d of the whole consignment", have.Pieces, have.TotalPieces)
	case have.TotalPieces == 0 && q.Code != "T":
		n.info(no, code+".quantity", CodeInferred, "nothing says how many pieces the whole consignment has")
	}
}

// transport is the flight that a status names. The date is that of departure only where the status says when it departs; elsewhere it is
// that of the status.
func transport(t *detail, flightDate string) *tracking.Transport {
	if t.flight.Number == "" && t.from == "" {
		return nil
	}
	out := &tracking.Transport{
		Mode: "air", Carrier: t.flight.Carrier, Number: t.flight.Number + t.flight.Suffix, Date: flightDate, Origin: t.from, Destination: t.to,
	}
	switch t.code {
	case "ARR", "RCF", "AWR":
		out.Destination = t.airport
	}
	return out
}

// payload is what the event keeps of a status.
func (d *decoder) payload(m *message, w *waybill, awb line, e *entry, t *detail, o *occurrence) *payload {
	p := &payload{
		Message: messageID{Type: m.kind, Version: m.version}, AWB: w, Consignment: w.Quantity, Status: t.code, FlightDate: o.flightDate,
		Location: t.station(), Origin: t.from, Destination: t.to, Carrier: t.carrier, Discrepancy: t.reason, Quantity: t.quantity,
		Volume: t.volume, Times: o.times, Manifest: t.manifest, Name: t.name, ULDs: e.ulds, Other: append(t.other, e.other...),
		Envelope: m.envelope,
	}
	if t.flight.Number != "" {
		p.Flight = t.flight.Carrier + t.flight.Number + t.flight.Suffix
	}
	for _, l := range e.osi {
		p.OSI = append(p.OSI, untagged(l, "OSI"))
	}
	p.keepRaw(append([][]byte{m.id.raw, awb.raw}, e.raws...)...)
	return p
}

// untagged is what a line of information says, without its tag.
func untagged(l line, tag string) string {
	said := l.said
	if strings.HasPrefix(l.text, tag) {
		said = said[len(tag):]
	}
	return strings.Trim(strings.TrimPrefix(said, "/"), " ")
}

// personalOCI are the customs information identifiers of what is about a person: who issued the security status, and whom to contact.
var personalOCI = map[string]bool{"SN": true, "CP": true, "CT": true}

// person returns what a line of customs information says about a person, and where that begins; nothing when it does not.
func person(l line) (said string, at int) {
	fields := strings.SplitN(strings.TrimPrefix(l.text, "OCI"), "/", 5)
	if len(fields) < 5 || !personalOCI[strings.TrimSpace(fields[3])] || strings.TrimSpace(fields[4]) == "" {
		return "", 0
	}
	at = len(l.said) - len(fields[4])
	return strings.TrimSpace(l.said[at:]), at
}

// personal gives the payload the customs information without what is about persons, which is kept apart.
func personal(p *payload, e *entry) *tracking.Personal {
	var about *tracking.Personal
	var kept []string
	for _, l := range e.oci {
		said, at := person(l)
		if said == "" {
			p.OCI = append(p.OCI, untagged(l, "OCI"))
			continue
		}
		if about == nil {
			about = &tracking.Personal{Subject: upper(said[:min(len(said), tracking.MaxPersonalSubject)])}
		}
		masked := l
		masked.said = l.said[:at] + "[personal]"
		p.OCI = append(p.OCI, untagged(masked, "OCI"))
		kept = append(kept, strings.ToValidUTF8(string(l.raw), "?"))
	}
	if about == nil {
		return nil
	}
	data, err := json.Marshal(map[string][]string{"oci": kept})
	if err != nil || len(data) > tracking.MaxPersonalBytes {
		return about // cannot be: lines are short and few
	}
	about.Data = data
	return about
}
