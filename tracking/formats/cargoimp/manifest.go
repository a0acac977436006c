package cargoimp

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
)

// voyage is the head of a manifest: the part, the flight, its day and where it departs from.
type voyage struct {
	line     line
	part     int
	flight   tracking.Flight
	day      localtime.Instant
	origin   string
	aircraft string
	zone     *time.Location
	last     *bool
}

// place is where consignments stand in a manifest: the point of unloading and the unit load device; nil for loose cargo.
type place struct {
	line        line
	destination string
	uld         string
	remarks     string
	uldLine     *line
}

// parcel is a consignment of a manifest with the lines that go with it.
type parcel struct {
	entry
	line     line
	place    place
	handling []string
	onward   []string
}

var (
	headForm   = regexp.MustCompile(`^(?:(\d{1,2})/)?([A-Z0-9]{3,9})/(\d{1,2}[A-Z]{3}(?:\d{2,6})?)/([A-Z]{3})(?:/([A-Z0-9-]{1,10})?)?(?:/.*)?$`)
	unloadForm = regexp.MustCompile(`^([A-Z]{3})(?:/(.*))?$`)
	uldForm    = regexp.MustCompile(`^([A-Z][A-Z0-9]{2}\d{4,5}[A-Z0-9]{2,3})(?:-([A-Z]))?$`)
	onwardForm = regexp.MustCompile(`^[A-Z]{3}(?:[A-Z]{2,3}|[A-Z]\d|\d[A-Z])\d{1,4}[A-Z]?$`)
	codesForm  = regexp.MustCompile(`^(?:[A-Z]{3}){1,9}$`)
	// segments are the tags of the lines that go with a consignment.
	segments = map[string]bool{"OSI": true, "OCI": true, "SCI": true, "COR": true, "DIM": true, "SSR": true, "CUS": true, "REF": true, "MOV": true}
)

// manifest reads FFM: the identifier, the flight, and for each point of unloading the loose consignments and those on each unit.
func (d *decoder) manifest(m *message) {
	head := &notes{}
	d.version(head, m, 4, 8)
	head.take(m.findings)
	v := d.voyage(head, m)
	parcels, nothing := parcels(m, v, head)
	if len(parcels) == 0 && !head.refused && nothing {
		return // a manifest of nothing
	}
	if len(parcels) == 0 || v == nil {
		n := d.begin(m.id.no)
		n.take(head.findings)
		if !n.refused {
			n.fail(m.id.no, "AWB", formats.CodeRequired, "the manifest has no consignment, and does not say NIL")
		}
		d.refuse(n)
		return
	}
	if v.last == nil {
		head.info(m.id.no, "FFM", CodeDeviation, "the manifest ends with neither LAST nor CONT")
	}
	for i := range parcels {
		if !d.room() {
			return
		}
		d.parcel(m, head, v, &parcels[i])
	}
}

// voyage reads the line of the flight; nil when it cannot be read.
func (d *decoder) voyage(n *notes, m *message) *voyage {
	if len(m.lines) == 0 {
		n.fail(m.id.no, "FFM.flight", formats.CodeRequired, "the line of the flight is missing; it must be as 1/LA2468/20JUN/LIM")
		return nil
	}
	l := m.lines[0]
	form := headForm.FindStringSubmatch(l.text)
	if form == nil || len(l.raw) > maxHeadLine {
		n.fail(l.no, "FFM.flight", formats.CodeFormat, "%q is no line of a flight; it must be as 1/LA2468/20JUN/LIM", quote(l.said))
		return nil
	}
	v := &voyage{line: l, origin: form[4], aircraft: form[5]}
	if form[1] == "" {
		n.info(l.no, "FFM.part", CodeDeviation, "the line does not begin with the number of the part")
	} else if part, err := strconv.Atoi(form[1]); err == nil {
		v.part = part
	}
	var ok bool
	if v.flight, ok = tracking.ParseFlight(form[2]); !ok {
		n.fail(l.no, "FFM.flight", formats.CodeFormat, "%q is no flight; it must be a carrier and up to four digits, as LA2468", quote(form[2]))
		return nil
	}
	date, clock, err := localtime.Parse(paddedDay(form[3]))
	if err != nil {
		n.fail(l.no, "FFM.date", formats.CodeFormat, "%v", err)
		return nil
	}
	v.zone = d.zone(n, l.no, "FFM.origin", v.origin)
	if v.day, err = date.In(d.reference(m.envelope), v.zone, clock); err != nil {
		n.fail(l.no, "FFM.date", formats.CodeRange, "%v", err)
		return nil
	}
	if v.day.Far {
		n.warn(l.no, "FFM.date", CodeInferred, "the date lies far from when the message came; it is taken for %s", v.day.Time.Format(time.DateOnly))
	}
	return v
}

// parcels groups the lines of a manifest. nothing says that it has a point of unloading with nothing for it.
func parcels(m *message, v *voyage, head *notes) (list []parcel, nothing bool) {
	var at place
	var open *parcel
	for i, l := range m.lines {
		if i == 0 && v != nil {
			continue
		}
		tag := code(l.text)
		switch {
		case l.text == "LAST" || l.text == "CONT":
			if last := l.text == "LAST"; v != nil {
				v.last = &last
			}
		case waybillStart.MatchString(l.text):
			list = append(list, parcel{entry: entry{no: l.no, text: l.text, said: l.said, last: "AWB"}, line: l, place: at})
			open = &list[len(list)-1]
		case tag == "ULD":
			open = nil
			at.load(l, head)
		case open != nil && (segments[tag] || strings.HasPrefix(l.text, "/")):
			open.with(l, tag)
		case unloadForm.MatchString(l.text) && !segments[tag]:
			open = nil
			form := unloadForm.FindStringSubmatch(l.text)
			at = place{line: l, destination: form[1]}
			at.line.raw = short(l.raw)
			nothing = nothing || strings.HasPrefix(form[2], "NIL")
		case open != nil:
			open.with(l, "")
		default:
			head.info(l.no, "FFM", CodeDeviation, "the line %q belongs to no consignment", quote(l.said))
		}
	}
	return list, nothing
}

// short leaves out a line that is too long to be repeated.
func short(raw []byte) []byte {
	if len(raw) > maxHeadLine {
		return nil
	}
	return raw
}

// load begins a unit load device.
func (p *place) load(l line, head *notes) {
	text := strings.TrimPrefix(strings.TrimPrefix(l.text, "ULD"), "/")
	id, remarks, _ := strings.Cut(text, "/")
	id = strings.TrimSpace(id)
	p.uld, p.remarks, p.uldLine = quote(id), quote(strings.TrimSpace(remarks)), &line{no: l.no, raw: short(l.raw)}
	form := uldForm.FindStringSubmatch(id)
	if form == nil {
		head.warn(l.no, "ULD", formats.CodeFormat, "%q is no unit load device; it must be type, serial number and owner, as PMC98669KZ", quote(id))
		return
	}
	p.uld = form[1]
}

// with takes a line that goes with the consignment.
func (p *parcel) with(l line, tag string) {
	if p.full(l) {
		return
	}
	slash := strings.HasPrefix(l.text, "/")
	if !slash && tag != "" {
		p.last = tag
	}
	switch {
	case p.last == "OSI":
		p.osi = append(p.osi, l)
	case p.last == "OCI":
		p.oci = append(p.oci, l)
		if said, _ := person(l); said != "" {
			return
		}
	case p.last == "AWB" && slash:
		fields := strings.Split(l.text[1:], "/")
		switch {
		case onwardForm.MatchString(fields[0]):
			p.onward = append(p.onward, l.text[1:])
		case allCodes(fields):
			p.handling = append(p.handling, handling(fields)...)
		default:
			p.other = append(p.other, l.said)
		}
	case p.last == "AWB" && !slash:
		p.note(formats.SeverityInfo, l.no, CodeDeviation, "the line was broken; it is read with the one before it")
		p.join(l, "")
	default:
		p.other = append(p.other, l.said)
	}
	p.raws = append(p.raws, l.raw)
}

func allCodes(fields []string) bool {
	some := false
	for _, f := range fields {
		if f = strings.TrimSpace(f); f != "" && !codesForm.MatchString(f) {
			return false
		}
		some = some || f != ""
	}
	return some
}

// handling lists special handling codes, which stand apart or one after the other.
func handling(fields []string) []string {
	var codes []string
	for _, f := range fields {
		for f = strings.TrimSpace(f); len(f) >= 3; f = f[3:] {
			codes = append(codes, f[:3])
		}
	}
	return codes
}

// parcel makes an event of a consignment of a manifest.
func (d *decoder) parcel(m *message, head *notes, v *voyage, c *parcel) {
	n := d.begin(c.no)
	n.take(head.findings)
	n.take(c.findings)
	if len(c.text) > maxLine {
		n.fail(c.no, "AWB", formats.CodeTooLong, "the consignment has more than %d bytes", maxLine)
		d.refuse(n)
		return
	}
	joined := c.line
	joined.text, joined.said = c.text, c.said
	w := d.waybillLine(n, joined)
	if w == nil {
		d.refuse(n)
		return
	}
	if w.Quantity == nil && !n.refused {
		n.fail(c.no, "AWB.quantity", formats.CodeRequired, "a consignment of a manifest must have a quantity such as T10K505.0")
	}
	if c.place.destination == "" {
		n.warn(c.no, "FFM.destination", formats.CodeRequired, "no point of unloading stands before the consignment")
	}
	if n.refused {
		d.refuse(n)
		return
	}
	flightDate := v.day.Time.Format(time.DateOnly)
	p := &payload{
		Message: messageID{Type: m.kind, Version: m.version, Part: v.part, Last: v.last}, AWB: w, Consignment: w.Quantity, Status: "FFM",
		Flight: v.flight.Carrier + v.flight.Number + v.flight.Suffix, FlightDate: flightDate, Location: v.origin, Origin: v.origin,
		Destination: c.place.destination, Quantity: w.Quantity, ULD: c.place.uld, ULDRemarks: c.place.remarks, Aircraft: v.aircraft,
		Onward: c.onward, Other: c.other, Envelope: m.envelope,
	}
	p.goods(w.rest)
	p.Handling = append(p.Handling, c.handling...)
	for _, l := range c.osi {
		p.OSI = append(p.OSI, untagged(l, "OSI"))
	}
	raws := [][]byte{m.id.raw, v.line.raw, c.place.line.raw}
	if c.place.uldLine != nil {
		raws = append(raws, c.place.uldLine.raw)
	}
	p.keepRaw(append(append(raws, c.line.raw), c.raws...)...)
	e := &tracking.Event{
		CorrelationID: w.Number, AggregateID: w.Number, Kind: tracking.Cargo, Type: "FFM", Classifier: tracking.Actual,
		OccurredAt: v.day.Time, TimeQuality: v.day.Quality, Location: &tracking.Location{IATA: v.origin}, Quantity: w.Quantity.consigned(nil),
		Transport: &tracking.Transport{
			Mode: "air", Carrier: v.flight.Carrier, Number: v.flight.Number + v.flight.Suffix, Date: flightDate, Origin: v.origin,
			Destination: c.place.destination,
		},
		Personal: personal(p, &c.entry),
	}
	if c.place.uld != "" {
		e.AggregateID = c.place.uld
	}
	if latest := d.options.ReceivedAt; e.OccurredAt.After(latest) {
		e.OccurredAt = latest.In(e.OccurredAt.Location())
	}
	d.finish(n, e, p, v.day.Time)
}

// goods reads what follows the quantity of a consignment: the nature of the goods and special handling codes.
func (p *payload) goods(rest string) {
	goods, codes, _ := strings.Cut(rest, "/")
	p.Goods = strings.TrimSpace(goods)
	if codes == "" {
		return
	}
	if fields := strings.Split(codes, "/"); allCodes(fields) {
		p.Handling = handling(fields)
	} else {
		p.Other = append(p.Other, codes)
	}
}
