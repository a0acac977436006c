package baggage

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// reading is what the bags of a group have in common, once it has been read.
type reading struct {
	h *head
	g *bags
	content
	notes notes
	// at is when it happened, stated whether the message says so.
	at      time.Time
	quality tracking.TimeQuality
	stated  bool
	// common is the payload but for the tag and the text, digest one of what the elements say.
	common []byte
	digest [sha256.Size]byte
	text   *text
	// texts is how many elements with tags there are, irregularity the status of a .B that has none, and so is about those of .N.
	texts        int
	irregularity string
}

// group decodes a group of bags. first is what is to be said with the first result.
func (d *decoder) group(h *head, g *bags, first *notes) error {
	m := h.m
	r := &reading{h: h, g: g}
	var at *localtime.Instant
	r.content, at = d.content(h, g, &r.notes)
	if !g.tagged {
		r.notes.failf(m.line, ".N", formats.CodeRequired, tagRequired)
	}
	for _, i := range g.own {
		e := &m.elements[i]
		if e.hasTags() {
			r.texts++
		}
		if e.letter == 'B' && strings.Join(e.fields[min(1, len(e.fields)):], "") == "" {
			r.irregularity = strings.ToUpper(e.field(1))
		}
	}
	if !r.notes.refused {
		d.when(r, at)
		r.sum()
		r.text = newText(m, g)
		if len(r.text.data) > tracking.MaxPersonalBytes {
			r.notes.failf(m.line, "", formats.CodeTooLong, "what the message says of a passenger has %d bytes; it may have %d", len(r.text.data), tracking.MaxPersonalBytes)
		}
	}
	say := func() notes { // what goes with a result
		all := first.with(r.notes)
		*first = notes{}
		return all
	}
	if r.notes.refused {
		line := m.line
		for _, i := range g.own {
			if m.elements[i].hasTags() {
				line = m.elements[i].line
				break
			}
		}
		return d.aside(m, line, say())
	}
	before := len(d.results)
	for _, i := range g.own {
		if m.elements[i].hasTags() {
			if err := d.tagElement(r, i, say); err != nil {
				return err
			}
		}
	}
	if len(d.results) == before {
		n := say()
		n.failf(m.line, ".N", formats.CodeRequired, tagRequired)
		return d.aside(m, m.line, n)
	}
	return nil
}

// tagElement decodes the bags of one .N or .B.
func (d *decoder) tagElement(r *reading, element int, say func() notes) error {
	e := &r.h.m.elements[element]
	fields, status, base := e.fields, r.irregularity, 1
	if e.letter == 'B' {
		status, base = strings.ToUpper(e.field(1)), 2
		if fields = fields[min(1, len(fields)):]; strings.Join(fields, "") == "" {
			return nil // the tags are in .N
		}
	}
	found := false
	for k, field := range fields {
		if field == "" {
			continue
		}
		found = true
		if err := d.tags(r, element, base+k, field, status, say); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	n := say()
	n.failf(e.line, e.name(1), formats.CodeRequired, ".N is required: ten digits of a tag and three of how many bags, as in .N/0045123456001")
	return d.aside(r.h.m, e.line, n)
}

const tagRequired = ".N is required: the tags of the bags, as in .N/0045123456001, or .B with a tag"

// noRead is what a scanner says that could not read a tag.
const noRead = "0000000000"

// tags decodes the bags of one tag and its count.
func (d *decoder) tags(r *reading, element, field int, text, status string, say func() notes) error {
	m, e := r.h.m, &r.h.m.elements[element]
	n := say()
	if len(text) == 10 && digits(text) {
		n.warnf(e.line, e.name(field), CodeDeviation, "%s has no count of bags, which should follow in three digits; it is taken for one bag", text)
		text += "001"
	}
	if strings.HasPrefix(text, noRead) && len(text) == 13 && digits(text) {
		count, _ := strconv.Atoi(text[10:])
		what := "the tag of a bag could not be read: it is"
		if count > 1 {
			what = fmt.Sprintf("the tags of %d bags could not be read: they are", count)
		}
		n.infof(e.line, e.name(field), CodeNoRead, "%s counted, and cannot be traced", what)
		return d.aside(m, e.line, n)
	}
	if len(text) == 13 && digits(text) {
		if count, _ := strconv.Atoi(text[10:]); count > 0 {
			if err := d.room(m, e.line, count); err != nil {
				return err
			}
			d.bags -= count // each is counted below
		}
	}
	numbers, err := tracking.ExpandBagTags(text)
	if err != nil {
		n.failf(e.line, e.name(field), formats.CodeFormat, "%q is no tag: ten digits and three of how many bags, from 001 on and within the serials of the issuer",
			wire.Shorten(text))
		return d.aside(m, e.line, n)
	}
	for _, number := range numbers {
		if err := d.room(m, e.line, 1); err != nil {
			return err
		}
		event, err := d.event(r, element, number, status, len(numbers), &n)
		if err != nil {
			return err
		}
		result := formats.Result{Line: e.line, Event: event}
		if n.refused {
			result.Event = nil
		}
		d.add(result, n)
		n = r.notes.with()
	}
	return nil
}

// event makes the event of one bag.
func (d *decoder) event(r *reading, element int, number, status string, count int, n *notes) (*tracking.Event, error) {
	h, m := r.h, r.h.m
	code, leg := r.code(status, element, n)
	e := &tracking.Event{
		Source: d.opt.DefaultSource, CorrelationID: number, AggregateID: number, Kind: tracking.Baggage, Type: code, Classifier: tracking.Actual,
		OccurredAt: r.at, TimeQuality: r.quality, Location: r.location(), Transport: r.transport(leg), Personal: r.text.personal(number),
	}
	if e.Source == "" {
		n.failf(m.line, "source", formats.CodeRequired, "nothing says where the message comes from: name a source to go with the body")
	}
	switch m.kind {
	case "BTM":
		e.Classifier = tracking.Planned // it is sent ahead, to where bags will be transferred
	case "BRQ":
		e.Classifier = tracking.Requested
	}
	if w := r.Weight; w != nil && w.Pieces == 1 && w.Weight > 0 && w.Unit != "" && count == 1 && r.texts == 1 {
		e.Quantity = &tracking.Quantity{Weight: w.Weight, WeightUnit: w.Unit}
	}
	tag, err := d.tag(number, status, m.elements[element].line, n)
	if err != nil {
		return nil, err
	}
	payload := make([]byte, 0, len(r.common)+len(tag)+len(m.head)+256)
	payload = append(append(payload, `{"tag":`...), tag...)
	payload = append(append(payload, ','), r.common[1:len(r.common)-1]...)
	payload = append(payload, `,"text":`...)
	payload = append(append(payload, r.text.json(element, r.texts > maxTagLines)...), '}')
	e.Payload = payload
	if d.bytes += len(payload); d.bytes > maxPayloads {
		return nil, &formats.BodyError{
			Code: formats.CodeTooMany, Line: m.line, Offset: int64(m.start),
			Message: fmt.Sprintf("the events of the body are larger than %d bytes together; send them in several requests", maxPayloads),
		}
	}
	r.identify(e, number, h)
	return e, nil
}

// plate is what is known of a tag.
type plate struct {
	Number  string `json:"number"`
	Leading int    `json:"leading_digit"`
	Use     string `json:"use"`
	Issuer  string `json:"issuer"`
	Airline string `json:"airline,omitempty"`
	Serial  string `json:"serial"`
	Status  string `json:"status,omitempty"`
}

// tag returns what is known of a tag, as JSON.
func (d *decoder) tag(number, status string, line int, n *notes) ([]byte, error) {
	parsed, err := tracking.ParseBagTag(number)
	if err != nil {
		return nil, err // cannot be: it has been expanded
	}
	p := plate{Number: number, Leading: int(parsed.Leading), Issuer: parsed.Issuer, Serial: parsed.Serial, Status: status}
	switch parsed.Leading { // IATA Resolution 740
	case 0:
		p.Use = "interline"
	case 1:
		p.Use = "fallback"
	case 2:
		p.Use = "rush"
	default:
		p.Use = "carrier"
	}
	if d.opt.Airlines != nil {
		if airline, ok := d.opt.Airlines.ByPrefix(parsed.Issuer); ok {
			p.Airline = cmp.Or(airline.IATA, airline.ICAO)
		} else {
			n.infof(line, "", CodeIdentifier, "no airline is known with the accounting code %s, which tag %s is of", parsed.Issuer, number)
		}
	}
	return encode(p)
}

// encode returns JSON with signs such as & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode baggage message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// transport returns the leg of an event; nil when the flight is not known.
func (r *reading) transport(kind legKind) *tracking.Transport {
	h := r.h
	t := tracking.Transport{Mode: "air"}
	f := r.Outbound
	switch {
	case kind == noLeg:
		return nil
	case kind == inboundLeg && r.Inbound != nil:
		f = r.Inbound
		t.Origin, t.Destination = f.Airport, h.station
	case f == nil:
		return nil
	case kind == inboundLeg: // .F is the flight that the bag came with
		t.Destination = cmp.Or(f.Airport, h.station)
	default:
		t.Origin, t.Destination = h.station, f.Airport
	}
	if !f.designed {
		return nil
	}
	t.Carrier, t.Number, t.Date = f.carrier, f.number, f.Date
	return &t
}

func (r *reading) location() *tracking.Location {
	l := tracking.Location{IATA: r.h.station}
	for _, p := range r.Processing {
		l.Facility = cmp.Or(p.Location, l.Facility)
	}
	if r.Handling != nil && l.Facility == "" {
		l.Facility = strings.Join(strings.Fields(r.Handling.Terminal+" "+r.Handling.Bay+" "+r.Handling.Gate), " ")
	}
	if len(l.Facility) > formats.MaxIDBytes || wire.HasControl(l.Facility) {
		l.Facility = ""
	}
	return &l
}

// around is how long after the start of the date of a flight a message about it that has no time is taken to have just been sent
// when it is received.
const around = 36 * time.Hour

// when finds out when it happened: as an element says, or when the message was sent; or else when it was received, unless that
// was long after the date of the flight, which then has to do.
func (d *decoder) when(r *reading, at *localtime.Instant) {
	m := r.h.m
	switch {
	case at != nil:
		r.at, r.quality, r.stated = at.Time, at.Quality, true
	case !r.h.sent.IsZero():
		r.at, r.quality, r.stated = r.h.sent, tracking.YearInferred, true
	default:
		r.at, r.quality = d.opt.ReceivedAt.UTC().Truncate(time.Second), tracking.DateOnly
		what := "when it was received is taken"
		f := r.Outbound
		if f == nil || f.day.IsZero() {
			f = r.Inbound
		}
		if f != nil && !f.day.IsZero() && r.at.Sub(f.day) > around {
			r.at, what = f.day, "the date of the flight is taken"
		}
		r.notes.infof(m.line, "", CodeNoTime, "the message does not say when it happened; %s", what)
	}
	if y := r.at.Year(); y < 1970 || y > 9999 {
		r.notes.failf(m.line, "", formats.CodeRange, "the time is not in the years 1970 to 9999")
	}
}
