package baggage

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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

// irregularities are the codes of .B that are known.
var irregularities = map[string]bool{
	"LOD": true, "NAL": true, "OFF": true, "NOF": true, "ONA": true, "OND": true, "UNS": true, "LBA": true, "LBN": true,
}

// legKind is which flight an event is about.
type legKind int

const (
	noLeg legKind = iota
	outboundLeg
	inboundLeg
)

// code returns the type of an event and the flight that it is about. Of several elements the first that there is decides: DEL, .B,
// .U, .X, .G, .J, .R, as the public mapping of ACI and Avinor has it; and where bags arrive or are transferred, .V before .G.
func (r *reading) code(status string, element int, n *notes) (string, legKind) {
	m, h := r.h.m, r.h
	arriving := h.indicator == 'X' || h.indicator == 'F'
	leg := outboundLeg
	if arriving {
		leg = inboundLeg
	}
	switch {
	case m.change == "DEL":
		return m.kind + ".DEL", leg
	case status != "":
		e := &m.elements[element]
		if !shortCode(status) {
			n.warnf(e.line, e.name(1), CodeUnknown, "the status of the bag is no code of up to eight letters; it is kept in the payload")
			return m.kind + ".B", leg
		}
		if !irregularities[status] {
			n.warnf(e.line, ".B/1", CodeUnknown, "%q is no status of a bag that is known; it is kept", status)
		}
		if status == "NOF" {
			leg = inboundLeg
		}
		return m.kind + "." + status, leg
	case m.kind == "BCM" && m.control != "":
		return "BCM." + m.control, leg
	case m.kind == "BUM" && arriving:
		return "BUM.1" + string(rune(h.indicator)), leg
	case m.kind != "BPM" && m.change == "CHG" && (m.kind == "BSM" || m.kind == "BTM"):
		return m.kind + ".CHG", leg
	case m.kind != "BPM":
		return m.kind, leg
	default:
		return r.processed(arriving, leg)
	}
}

// processed returns the type of the event of a BPM without irregularities.
func (r *reading) processed(arriving bool, leg legKind) (string, legKind) {
	at := ".1" + string(rune(r.h.indicator))
	switch {
	case r.Stowage != nil && arriving:
		return "BPM.U" + at, leg
	case r.Stowage != nil:
		return "BPM.U", leg
	case len(r.Screening) > 0:
		if result := r.Screening[len(r.Screening)-1].Result; shortCode(result) {
			return "BPM." + result, leg
		}
		return "BPM.X", leg
	case r.h.indicator == 'X':
		return "BPM" + at, leg
	case (r.h.indicator == 'F' || r.h.indicator == 'T') && (r.Inbound != nil || len(r.Onward) > 0):
		if r.Inbound == nil {
			return "BPM" + at, noLeg // the flight out has not taken it yet
		}
		return "BPM" + at, inboundLeg
	case r.g.one(r.h.m, 'G') != nil:
		return "BPM.G", leg
	case len(r.Processing) > 0:
		if code := r.Processing[len(r.Processing)-1].Code; shortCode(code) {
			return "BPM.J" + code, leg
		}
		return "BPM.J", leg
	case len(r.Internal) > 0:
		return "BPM.R", leg
	default:
		return "BPM", leg
	}
}

// shortCode reports whether a text can be part of the type of an event.
func shortCode(s string) bool { return len(s) <= 8 && alphanumeric(s) }

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

// sum makes the common part of the payload, and the digest of what the message says of the group: without what is personal, what
// marks a repetition, and how it is written.
func (r *reading) sum() {
	common, err := encode(&r.content)
	if err != nil {
		r.notes.failf(r.h.m.line, "", formats.CodeFormat, "%s", err)
		return
	}
	r.common = common
	m := r.h.m
	hash := sha256.New()
	part := func(s string) {
		var size [binary.MaxVarintLen64]byte
		hash.Write(size[:binary.PutUvarint(size[:], uint64(len(s)))])
		hash.Write([]byte(s))
	}
	part(m.kind)
	part(m.change)
	part(m.control)
	part(string(rune(r.h.indicator)) + r.h.station)
	for _, f := range append([]*flight{r.Outbound, r.Inbound}, r.Onward...) {
		if f != nil {
			part(f.Date)
		}
	}
	if r.stated {
		part(r.at.UTC().Format(time.RFC3339))
	}
	for _, indexes := range [2][]int{r.g.context, r.g.own} {
		for _, i := range indexes {
			e := &m.elements[i]
			if e.letter == 0 || e.hasTags() {
				continue
			}
			part(e.name(0))
			last := len(e.fields)
			for last > 0 && e.fields[last-1] == "" {
				last--
			}
			for k, f := range e.fields[:last] {
				if !personal(e.letter, k+1) {
					part(strings.ToUpper(f))
				}
			}
			part("")
		}
	}
	hash.Sum(r.digest[:0])
}

// identify gives an event its id. The id of what is said is made of all that the message says of the bag, so that the same message
// again has the same.
//
// A plan (BSM, BTM) has an id of its tag and station instead, so that a change or deletion can name the plan that it replaces.
// Where the envelope says when it was sent, plan, changes and deletion all have that id, and the time is the revision: the latest
// stands. Without an envelope nothing orders them: a change or deletion has an id of what it says and replaces the plan, and of
// plans that differ the one for the later date stands.
func (r *reading) identify(e *tracking.Event, number string, h *head) {
	m := h.m
	sum := sha256.New()
	sum.Write(r.digest[:])
	sum.Write([]byte(number + "\x00" + e.Type))
	digest := sum.Sum(nil)
	plan := fmt.Sprintf("%s/%s/1%c%s", m.kind, number, cmp.Or(h.indicator, '-'), h.station)
	e.EventID = fmt.Sprintf("%s/%s/1%c%s/%s", e.Type, number, cmp.Or(h.indicator, '-'), h.station, hex.EncodeToString(digest[:12]))
	if m.kind != "BSM" && m.kind != "BTM" || e.Type != m.kind && e.Type != m.kind+".CHG" && e.Type != m.kind+".DEL" {
		return
	}
	changes := map[string]int64{"": 0, "CHG": 1, "DEL": 2}
	switch m.change {
	case "CHG":
		e.Corrects = &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{plan}, Reason: "incorrect_data"}
	case "DEL":
		e.Corrects = &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{plan}, Reason: "did_not_occur"}
	}
	random := int64(binary.BigEndian.Uint32(digest))
	switch {
	case !h.sent.IsZero():
		// Messages of one minute are told apart by what they say, a deletion after a change.
		const part = int64(20 * time.Second / time.Microsecond)
		e.EventID, e.Revision = plan, h.sent.UnixMicro()+changes[m.change]*part+random%part
	case m.change == "":
		day := int64(0)
		if r.Outbound != nil {
			day = max(0, r.Outbound.day.Unix()/86400)
		}
		e.EventID, e.Revision = plan, min(day, 1<<17)<<32|random
	}
}
