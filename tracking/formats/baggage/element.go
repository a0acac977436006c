package baggage

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// head is what holds for all bags of a message.
type head struct {
	m         *message
	notes     notes
	indicator byte
	station   string
	zone      *time.Location
	// sent is the time of the envelope's line of origin; zero without one.
	sent   time.Time
	source source
}

// source is what the element .V says.
type source struct {
	Indicator string `json:"indicator,omitempty"`
	Meaning   string `json:"meaning,omitempty"`
	Airport   string `json:"airport,omitempty"`
	Part      int    `json:"part,omitempty"`
	Reference string `json:"reference,omitempty"`
}

// sources are what the indicators of .V mean.
var sources = map[byte]string{
	'L': "local departure", 'T': "transfer departure", 'F': "transferring arrival", 'X': "terminating arrival", 'R': "remote check-in",
}

// head reads what a message says of itself.
func (d *decoder) head(m *message) *head {
	h := &head{m: m, notes: m.notes.with()}
	n := &h.notes
	if m.unknown {
		n.failf(m.line, "", formats.CodeEnum, "there is no message %s; it must be one of %s", m.kind, strings.Join(kinds, ", "))
		return h
	}
	if m.latin1 {
		n.warnf(m.line, "", CodeDeviation, "the body is not UTF-8; it is read as ISO 8859-1")
	}
	if m.repeat {
		n.infof(m.line, "", CodeDuplicate, "the message is marked as one that may have been sent before (PDM)")
	}
	if m.origin != "" {
		sent, err := localtime.DayTime(m.origin, d.opt.ReceivedAt)
		if err != nil {
			n.warnf(m.line, "", CodeDeviation, "the line of origin says %s, which is no day and time", m.origin)
		}
		h.sent = sent
	}
	d.version(h)
	if h.zone = d.zoneOf(h.station); h.zone == nil && h.station != "" {
		n.warnf(m.line, ".V", CodeZone, "the time zone of %s is not known; its times are taken for UTC", h.station)
	}
	return h
}

// version reads the element .V.
func (d *decoder) version(h *head) {
	n := &h.notes
	var v *element
	for i := range h.m.elements {
		if e := &h.m.elements[i]; e.letter == 'V' {
			h.m.versions = append(h.m.versions, i)
			if v == nil {
				v = e
			}
		}
	}
	if v == nil || v.field(1) == "" {
		if h.station = strings.ToUpper(d.opt.Station); h.station == "" {
			n.failf(h.m.line, ".V", formats.CodeRequired, ".V is required: the version, where bags are on their way and the airport, as in .V/1LLIM")
		} else {
			n.warnf(h.m.line, ".V", CodeDeviation, "the message has no .V; it is taken for one of %s", h.station)
		}
		h.source.Airport = h.station
		return
	}
	rest := strings.ToUpper(strings.TrimLeft(v.field(1), "0123456789"))
	if len(rest) == len(v.field(1)) || len(rest) != 4 || !letters(rest) {
		n.failf(v.line, v.name(1), formats.CodeFormat, "%q is not the version, a letter and an airport, as in 1LLIM", wire.Shorten(v.field(1)))
		return
	}
	h.indicator, h.station = rest[0], rest[1:]
	h.source = source{Indicator: rest[:1], Meaning: sources[rest[0]], Airport: h.station, Part: h.m.part}
	if h.source.Meaning == "" {
		n.warnf(v.line, v.name(1), CodeUnknown, "%q says nothing that is known of where bags are on their way; it should be L, T, F, X or R", rest[:1])
	}
	if len(v.fields) == 0 {
		return
	}
	for _, f := range v.fields[1:] {
		if _, part := partNumber(strings.ToUpper(f)); !part && f != "" && h.source.Reference == "" {
			h.source.Reference = f
		}
	}
}

// zoneOf returns the time zone of an airport; nil when it is not known.
func (d *decoder) zoneOf(station string) *time.Location {
	if zone, known := d.zones[station]; known {
		return zone
	}
	zone := d.opt.Places.Zone(station)
	if zone == nil {
		zone = d.opt.TimeZone
	}
	d.zones[station] = zone
	return zone
}

// flight is what .F, .I and .O say.
type flight struct {
	Flight  string `json:"flight,omitempty"`
	Date    string `json:"date,omitempty"`
	Airport string `json:"airport,omitempty"`
	Class   string `json:"class,omitempty"`

	day      time.Time // the start of the date, in the zone of the station
	carrier  string
	number   string
	designed bool // whether the designator could be read
}

// flight reads .F, .I and .O.
func (d *decoder) flight(h *head, e *element, n *notes) *flight {
	if e == nil {
		return nil
	}
	f := &flight{Flight: strings.ToUpper(e.field(1)), Airport: strings.ToUpper(e.field(3)), Class: strings.ToUpper(e.field(4))}
	if parsed, ok := tracking.ParseFlight(f.Flight); ok {
		f.carrier, f.number, f.designed = parsed.Carrier, parsed.Number+parsed.Suffix, true
	} else {
		n.warnf(e.line, e.name(1), CodeIdentifier, "%q is no flight such as LA2468; it is kept as it is", wire.Shorten(e.field(1)))
	}
	if e.field(2) == "" {
		n.warnf(e.line, e.name(2), CodeDeviation, "%s has no date; the flight is known by its number only", e.name(0))
	} else if in := d.date(h, e, 2, nil, n); in != nil {
		f.day, f.Date = in.Time, in.Time.Format(time.DateOnly)
	}
	if f.Airport != "" && (len(f.Airport) != 3 || !letters(f.Airport)) {
		n.warnf(e.line, e.name(3), CodeIdentifier, "%q is no airport of three letters; it is kept as it is", wire.Shorten(e.field(3)))
	}
	return f
}

// date reads a field that is a date, with a time of day that another field gives; nil when it is none, which refuses the event.
func (d *decoder) date(h *head, e *element, field int, clock *localtime.Clock, n *notes) *localtime.Instant {
	date, err := localtime.ParseDate(e.field(field))
	if err != nil {
		hint := ""
		if _, err := localtime.ParseDate(e.field(field) + e.field(field+1)); err == nil {
			hint = "; a slash stands within it"
		}
		n.failf(e.line, e.name(field), formats.CodeFormat, "%q is no date such as 20JUN%s", wire.Shorten(e.field(field)), hint)
		return nil
	}
	in, err := date.In(d.opt.ReceivedAt, h.zone, clock)
	if err != nil {
		n.failf(e.line, e.name(field), formats.CodeFormat, "%s", err)
		return nil
	}
	if in.Far {
		n.warnf(e.line, e.name(field), CodeFarDate, "%s lies in no year between 300 days before and 60 days after the receipt of the message; %s is the nearest",
			strings.ToUpper(e.field(field)), in.Time.Format(time.DateOnly))
	}
	return &in
}

// moment reads the date and time of day in two fields of an element; nil when there are none, or they refuse the event.
func (d *decoder) moment(h *head, e *element, date, clock int, n *notes) *localtime.Instant {
	if e == nil || e.field(date) == "" && e.field(clock) == "" {
		return nil
	}
	var c *localtime.Clock
	if text := e.field(clock); text != "" {
		parsed, err := localtime.ParseClock(text)
		if err != nil {
			n.failf(e.line, e.name(clock), formats.CodeFormat, "%q is no time of day such as 1510L, 151030L or 1510Z", wire.Shorten(text))
			return nil
		}
		c = &parsed
	}
	if e.field(date) != "" {
		return d.date(h, e, date, c, n)
	}
	near := d.opt.ReceivedAt
	if !h.sent.IsZero() {
		near = h.sent
	}
	n.warnf(e.line, e.name(date), CodeDeviation, "%s has a time and no date; the last before the message was sent is taken", e.name(0))
	quality := tracking.YearInferred
	if h.zone == nil && !c.UTC {
		quality = tracking.ZoneInferred
	}
	at := c.Near(near, cmp.Or(h.zone, time.UTC))
	if at.After(near.Add(time.Hour)) { // clocks differ, but not so much
		at = at.AddDate(0, 0, -1)
	}
	return &localtime.Instant{Time: at, Quality: quality}
}

// processing is what .J says.
type processing struct {
	Code     string `json:"code,omitempty"`
	Meaning  string `json:"meaning,omitempty"`
	Agent    string `json:"agent,omitempty"`
	Scanner  string `json:"scanner,omitempty"`
	At       string `json:"at,omitempty"`
	Location string `json:"location,omitempty"`
	SentTo   string `json:"sent_to,omitempty"`
}

var processes = map[string]string{"S": "sorted", "R": "reconciled", "G": "tracked on the ground", "H": "scanned by hand"}

// screening is what .X says.
type screening struct {
	Instruction string `json:"instruction,omitempty"`
	Result      string `json:"result,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Method      string `json:"method,omitempty"`
	Autograph   string `json:"autograph,omitempty"`
	Text        string `json:"text,omitempty"`
}

var screeningResults = map[string]bool{"CLR": true, "REJ": true, "UCL": true}

// stowage is what .U says.
type stowage struct {
	Device      string `json:"device,omitempty"`
	Compartment string `json:"compartment,omitempty"`
	BagType     string `json:"baggage_type,omitempty"`
	Class       string `json:"class,omitempty"`
	Destination string `json:"destination,omitempty"`
	Closed      string `json:"closed,omitempty"`
}

// weight is what .W says: of all bags of a passenger together.
type weight struct {
	Indicator string  `json:"indicator,omitempty"`
	Pieces    int     `json:"pieces,omitempty"`
	Weight    float64 `json:"weight,omitempty"`
	Unit      string  `json:"unit,omitempty"`
	Unchecked float64 `json:"unchecked_weight,omitempty"`
}

func weightOf(e *element, n *notes) *weight {
	if e == nil {
		return nil
	}
	w := &weight{Indicator: strings.ToUpper(e.field(1))}
	switch w.Indicator {
	case "K":
		w.Unit = "kg"
	case "L":
		w.Unit = "lb"
	case "P":
	default:
		n.warnf(e.line, e.name(1), CodeUnknown, "%q is no unit; it should be K, L or P", wire.Shorten(e.field(1)))
	}
	number := func(field int) float64 {
		text := e.field(field)
		if text == "" {
			return 0
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !digits(strings.Replace(text, ".", "", 1)) || v > 1e6 {
			n.warnf(e.line, e.name(field), CodeDeviation, "%q is no number of pieces or weight; it is kept in the text", wire.Shorten(text))
			return 0
		}
		return v
	}
	w.Pieces, w.Weight, w.Unchecked = int(number(2)), number(3), number(4)
	return w
}

// reconciliation is what .S says, but for what it says of the passenger.
type reconciliation struct {
	AuthorityToLoad      string `json:"authority_to_load,omitempty"`
	PassengerStatus      string `json:"passenger_status,omitempty"`
	Profile              string `json:"passenger_profile,omitempty"`
	AuthorityToTransport string `json:"authority_to_transport,omitempty"`
	TagStatus            string `json:"tag_status,omitempty"`
}

// checkIn is what .D says.
type checkIn struct {
	Location    string `json:"location,omitempty"`
	Description string `json:"description,omitempty"`
	At          string `json:"at,omitempty"`
	Carriage    string `json:"carriage,omitempty"`
	Transport   string `json:"transport,omitempty"`
}

// handling is what .H says.
type handling struct {
	Terminal string `json:"terminal,omitempty"`
	Bay      string `json:"bay,omitempty"`
	Gate     string `json:"gate,omitempty"`
}

// other is an element that has no structure of its own here.
type other struct {
	Element string   `json:"element"`
	Fields  []string `json:"fields"`
}

// content is the payload but for the tag and the text.
type content struct {
	Message        string          `json:"message"`
	Change         string          `json:"change,omitempty"`
	Control        string          `json:"control,omitempty"`
	Repeat         bool            `json:"possible_duplicate,omitempty"`
	Source         source          `json:"source"`
	Outbound       *flight         `json:"outbound,omitempty"`
	Inbound        *flight         `json:"inbound,omitempty"`
	Onward         []*flight       `json:"onward,omitempty"`
	Processing     []processing    `json:"processing,omitempty"`
	Screening      []screening     `json:"screening,omitempty"`
	Stowage        *stowage        `json:"stowage,omitempty"`
	Reconciliation *reconciliation `json:"reconciliation,omitempty"`
	Weight         *weight         `json:"weight,omitempty"`
	Exceptions     []string        `json:"exceptions,omitempty"`
	CheckIn        *checkIn        `json:"check_in,omitempty"`
	Handling       *handling       `json:"handling,omitempty"`
	LoadSequence   string          `json:"load_sequence,omitempty"`
	Printer        string          `json:"printer,omitempty"`
	Internal       []string        `json:"internal,omitempty"`
	Others         []other         `json:"others,omitempty"`
	Encoding       string          `json:"encoding,omitempty"`
}

// content reads the elements of a group. at is when it happened as its elements say; nil when they do not.
func (d *decoder) content(h *head, g *bags, n *notes) (c content, at *localtime.Instant) {
	m := h.m
	c = content{Message: m.kind, Change: m.change, Control: m.control, Repeat: m.repeat, Source: h.source}
	if m.latin1 {
		c.Encoding = "iso-8859-1"
	}
	c.Outbound, c.Inbound = d.flight(h, g.one(m, 'F'), n), d.flight(h, g.one(m, 'I'), n)
	for _, e := range g.all(m, 'O') {
		c.Onward = append(c.Onward, d.flight(h, e, n))
	}
	for _, e := range g.all(m, 'J') {
		p := processing{
			Code: strings.ToUpper(e.field(1)), Agent: e.field(2), Scanner: e.field(3), Location: e.field(6), SentTo: e.field(7),
		}
		if p.Meaning = processes[p.Code]; p.Meaning == "" && p.Code != "" {
			n.warnf(e.line, e.name(1), CodeUnknown, "%q is no process that is known; it should be S, R, G or H", wire.Shorten(e.field(1)))
		}
		if in := d.moment(h, e, 4, 5, n); in != nil {
			p.At, at = in.Time.Format(time.RFC3339), in
		}
		c.Processing = append(c.Processing, p)
	}
	for _, e := range g.all(m, 'X') {
		x := screening{
			Instruction: e.field(1), Result: strings.ToUpper(e.field(2)), Reason: e.field(3), Method: e.field(4), Autograph: e.field(5),
			Text: strings.TrimRight(strings.Join(e.fields[min(5, len(e.fields)):], "/"), "/"),
		}
		if x.Result != "" && !screeningResults[x.Result] {
			n.warnf(e.line, e.name(2), CodeUnknown, "%q is no result of screening that is known; it should be CLR, REJ or UCL", wire.Shorten(e.field(2)))
		}
		c.Screening = append(c.Screening, x)
	}
	if e := g.one(m, 'D'); e != nil {
		c.CheckIn = &checkIn{Location: e.field(1), Description: e.field(2), Carriage: e.field(5), Transport: e.field(6)}
		if in := d.moment(h, e, 3, 4, n); in != nil {
			c.CheckIn.At = in.Time.Format(time.RFC3339)
			if m.kind == "BSM" && m.change == "" {
				at = in
			}
		}
	}
	c.Weight = weightOf(g.one(m, 'W'), n)
	d.plain(m, g, &c, n)
	for _, letter := range []byte("FIUWSHDQT") {
		if list := g.all(m, letter); len(list) > 1 {
			n.warnf(list[1].line, list[1].name(0), CodeDeviation, "%s stands %d times for the same bags; the first counts", list[1].name(0), len(list))
		}
	}
	return c, at
}

// plain reads the elements that are taken as they are.
func (d *decoder) plain(m *message, g *bags, c *content, n *notes) {
	if e := g.one(m, 'U'); e != nil {
		c.Stowage = &stowage{
			Device: strings.ToUpper(e.field(1)), Compartment: e.field(2), BagType: e.field(3), Class: e.field(4), Destination: e.field(5), Closed: e.field(6),
		}
	}
	if e := g.one(m, 'S'); e != nil {
		c.Reconciliation = &reconciliation{e.field(1), e.field(3), e.field(6), e.field(7), e.field(8)}
	}
	if e := g.one(m, 'H'); e != nil {
		c.Handling = &handling{e.field(1), e.field(2), e.field(3)}
	}
	if e := g.one(m, 'Q'); e != nil {
		c.LoadSequence = e.field(1)
	}
	if e := g.one(m, 'T'); e != nil {
		c.Printer = e.field(1)
	}
	for _, e := range g.all(m, 'E') {
		for _, f := range e.fields {
			if f != "" {
				c.Exceptions = append(c.Exceptions, strings.ToUpper(f))
			}
		}
	}
	for _, e := range g.all(m, 'R') {
		c.Internal = append(c.Internal, strings.TrimRight(strings.Join(e.fields, "/"), "/"))
	}
	for _, i := range g.own {
		e := &m.elements[i]
		if e.letter == 0 || strings.IndexByte("BCDEFGHIJLNOPQRSTUVWXY", e.letter) >= 0 {
			continue
		}
		if e.letter != 'A' && e.letter != 'K' {
			n.infof(e.line, e.name(0), formats.CodeUnknownField, "there is no element %s; it is kept as it is", e.name(0))
		}
		c.Others = append(c.Others, other{e.name(0), e.fields})
	}
}
