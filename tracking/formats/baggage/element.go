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
