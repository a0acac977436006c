package cargoimp

import (
	"strings"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
)

// reader reads the fields of one status line.
type reader struct {
	d     *decoder
	n     *notes
	no    int
	g     *grammar
	out   detail
	text  []string // in capitals
	said  []string
	at    int
	times int
}

func (r *reader) field(s slot) string { return r.out.code + "." + slotNames[s] }

func (r *reader) next() string {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return ""
}

// details reads a status line by the grammar of its code, or by the look of its fields when there is none.
func (d *decoder) details(n *notes, no int, text, said string) detail {
	r := &reader{d: d, n: n, no: no, text: strings.Split(text, "/"), said: strings.Split(said, "/")}
	for i := range r.text {
		r.text[i], r.said[i] = strings.Trim(r.text[i], " "), strings.Trim(r.said[i], " ")
	}
	r.out.code = r.text[0]
	r.at = 1
	if last := len(r.text) - 1; last > 0 && r.text[last] == "" {
		r.text, r.said = r.text[:last], r.said[:last]
		n.info(no, r.out.code, CodeDeviation, "the line ends with a slash")
		for len(r.text) > 1 && r.text[len(r.text)-1] == "" {
			r.text, r.said = r.text[:len(r.text)-1], r.said[:len(r.said)-1]
		}
	}
	r.g = known[r.out.code]
	if r.g != nil && r.g.booked && date.fits(r.next()) { // as carriers do that book without a flight
		n.info(no, r.field(flight), CodeDeviation, "the booking names no flight")
		r.g = known["RCS"]
	}
	if r.g != nil {
		r.out.grammar = r.g
		r.byGrammar()
	} else {
		r.g = &grammar{}
		r.out.grammar = r.g
		r.byShape()
	}
	return r.out
}

func (r *reader) byGrammar() {
	for i, s := range r.g.slots {
		field := r.next()
		switch {
		case r.at >= len(r.text) || field == "":
			if r.g.must[i] && !r.filled(s) {
				r.n.fail(r.no, r.field(s), formats.CodeRequired, "%s lacks its %s, such as %s", r.out.code, slotNames[s], slotExamples[s])
			}
			if s == clock {
				r.times++
			}
			if r.at < len(r.text) && !r.filledEarly(s) {
				r.at++
			}
		case s.fits(field) || s == flight && carrierForm.MatchString(field) && r.at+1 < len(r.text) && flightNumber.MatchString(r.text[r.at+1]) ||
			s == route && airportForm.MatchString(field) || s == airport && r.g.slots[0] == flight && routeForm.MatchString(field):
			r.take(s)
		case !r.g.must[i]:
		case r.laterFits(i):
			r.n.fail(r.no, r.field(s), formats.CodeRequired, "%s lacks its %s, such as %s, before %q", r.out.code, slotNames[s], slotExamples[s], quote(field))
		default:
			r.n.fail(r.no, r.field(s), formats.CodeFormat, "%s cannot have %q as its %s; it must be as %s", r.out.code, quote(field), slotNames[s], slotExamples[s])
			r.at++
		}
	}
	for r.at < len(r.text) {
		r.leftover()
	}
}

// filled reports whether a slot has been read already, with another.
func (r *reader) filled(s slot) bool { return s == airport && r.out.airport != "" }

// filledEarly reports whether an empty field does not stand for a slot, because the slot needs none.
func (r *reader) filledEarly(s slot) bool { return s == volume && r.out.volume != nil }

// laterFits reports whether a field is what the next slot that must be there holds.
func (r *reader) laterFits(i int) bool {
	for j := i + 1; j < len(r.g.slots); j++ {
		if r.g.slots[j].fits(r.next()) && r.g.slots[j] != name {
			return true
		}
		if r.g.must[j] {
			return false
		}
	}
	return false
}

// leftover takes a field that the grammar has no slot for, or not there.
func (r *reader) leftover() {
	field := r.next()
	switch {
	case field == "":
		r.at++
	case clock.fits(field) && r.out.times[1] == nil:
		r.times = max(r.times, 1)
		if r.out.times[0] == nil {
			r.times = 0
		}
		r.take(clock)
	case volume.fits(field) && (r.out.volume == nil || r.out.volume.apart(field)):
		r.take(volume)
	case number.fits(field) && r.out.quantity == nil:
		r.n.info(r.no, r.field(number), CodeDeviation, "the quantity stands out of its place")
		r.take(number)
	case r.out.name == "" && r.nameable():
		r.take(name)
	default:
		r.n.warn(r.no, r.out.code, CodeDeviation, "%s has no place for %q; it is kept in the payload", r.out.code, quote(r.said[r.at]))
		r.keep()
	}
}

func (r *reader) nameable() bool {
	for _, s := range r.g.slots {
		if s == name {
			return true
		}
	}
	return false
}

func (r *reader) keep() {
	if len(r.out.other) < maxNotes {
		r.out.other = append(r.out.other, r.said[r.at])
	}
	r.at++
}

// byShape reads the fields of a status that the standard does not have by what they look like.
func (r *reader) byShape() {
	for r.at < len(r.text) {
		field := r.next()
		switch {
		case field == "":
			r.at++
		case r.out.date == nil && date.fits(field) && validDate(field):
			r.take(date)
		case r.out.flight.Number == "" && flight.fits(field) && validFlight(field):
			r.take(flight)
		case r.out.from == "" && r.out.airport == "" && route.fits(field):
			r.take(route)
		case r.out.airport == "" && airport.fits(field):
			r.take(airport)
		case r.out.quantity == nil && number.fits(field) && validQuantity(field):
			r.take(number)
		case r.out.times[1] == nil && clockForm.MatchString(field) && validClock(field[1:5]):
			r.take(clock)
		default:
			r.keep()
		}
	}
}

func validDate(field string) bool {
	_, _, err := localtime.Parse(paddedDay(field))
	return err == nil
}

func validFlight(field string) bool {
	_, ok := tracking.ParseFlight(field)
	return ok
}

func validQuantity(field string) bool {
	_, err := parseQuantity(field)
	return err == nil
}

func validClock(field string) bool {
	_, err := localtime.ParseClock(field)
	return err == nil
}

// paddedDay gives a day of one digit its zero.
func paddedDay(field string) string {
	if len(field) > 1 && (field[1] < '0' || field[1] > '9') {
		return "0" + field
	}
	return field
}

// take reads the next field as what a slot holds.
func (r *reader) take(s slot) {
	field, said := r.text[r.at], r.said[r.at]
	r.at++
	switch s {
	case flight:
		r.takeFlight(field)
	case carrier:
		r.out.carrier = field
	case date:
		r.takeDate(field)
	case airport:
		r.takeAirport(field)
	case route:
		r.takeRoute(field)
	case reason:
		r.out.reason = field
		if !reasons[field] {
			r.n.warn(r.no, r.field(reason), CodeUnknownStatus, "%q is no discrepancy code of the standard; it is kept as it is", field)
		}
	case number:
		q, err := parseQuantity(field)
		if err != nil {
			r.n.fail(r.no, r.field(number), formats.CodeFormat, "%q is no quantity: %v", quote(field), err)
			return
		}
		r.out.quantity = &q
		r.d.doubtQuantity(r.n, r.no, r.out.code, &q)
	case clock:
		r.takeClock(field)
	case volume:
		v := &quantity{}
		if r.out.volume != nil { // the density stands in a field of its own
			*v = *r.out.volume
		}
		for rest := field; rest != ""; {
			var err error
			if rest, err = v.part(rest); err != nil {
				r.n.warn(r.no, r.field(volume), formats.CodeFormat, "%q is no volume or density: %v", quote(field), err)
				return
			}
		}
		r.out.volume = v
	case manifest:
		r.out.manifest = field
	case name:
		if len(said) > 70 {
			r.n.info(r.no, r.field(name), CodeDeviation, "the standard allows 35 characters")
		}
		r.out.name = said
	}
}

// reasons are the discrepancy codes of the standard.
var reasons = map[string]bool{
	"DFLD": true, "OFLD": true, "OVCD": true, "SSPD": true, "FDCA": true, "MSCA": true, "FDAW": true, "MSAW": true, "FDAV": true, "MSAV": true,
	"FDMB": true, "MSMB": true,
}

func (r *reader) takeFlight(field string) {
	if carrierForm.MatchString(field) { // the number is the next field
		r.n.info(r.no, r.field(flight), CodeDeviation, "carrier and flight number are two fields")
		field += r.next()
		r.at++
	}
	f, ok := tracking.ParseFlight(field)
	if !ok {
		r.n.fail(r.no, r.field(flight), formats.CodeFormat, "%q is no flight; it must be a carrier and up to four digits, as LA2468", quote(field))
		return
	}
	if len(f.Carrier) == 3 {
		r.n.info(r.no, r.field(flight), CodeDeviation, "the carrier %s has three letters; the standard has the designator of two characters", f.Carrier)
	}
	r.out.flight = f
}

func (r *reader) takeDate(field string) {
	padded := paddedDay(field)
	if padded != field {
		r.n.info(r.no, r.field(date), CodeDeviation, "the day has one digit")
	}
	if len(padded) == 5 && len(r.next()) == 4 && validClock(r.next()) && !reasonForm.MatchString(r.next()) {
		r.n.info(r.no, r.field(date), CodeDeviation, "date and time are two fields")
		padded += r.next()
		r.at++
	}
	d, c, err := localtime.Parse(padded)
	if err != nil {
		r.n.fail(r.no, r.field(date), formats.CodeFormat, "%v", err)
		return
	}
	r.out.date, r.out.time = &d, c
}

// takeAirport takes the place of a status of a flight; both ends of the flight stand for the one where the status is said to be.
func (r *reader) takeAirport(field string) {
	if len(field) == 6 {
		r.n.info(r.no, r.field(airport), CodeDeviation, "there are two airports instead of one")
		r.out.from, r.out.to = field[:3], field[3:]
		if field = r.out.to; r.out.code == "DIS" || r.out.code == "FOW" {
			field = r.out.from
		}
	}
	r.out.airport = field
}

func (r *reader) takeRoute(field string) {
	if len(field) == 6 {
		r.out.from, r.out.to = field[:3], field[3:]
		return
	}
	r.out.from = field
	if airportForm.MatchString(r.next()) {
		r.n.info(r.no, r.field(route), CodeDeviation, "the airports are two fields")
		r.out.to = r.next()
		r.at++
		return
	}
	r.n.info(r.no, r.field(route), CodeDeviation, "there is one airport instead of two; it is taken for that of departure")
}

// dayChanges are how many days after that of the flight a time is.
var dayChanges = map[string]int{"P": -1, "N": 1, "S": 2, "T": 3, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7}

func (r *reader) takeClock(field string) {
	i := min(r.times, 1)
	r.times++
	m := clockForm.FindStringSubmatch(field)
	if m == nil {
		r.n.fail(r.no, r.field(clock), formats.CodeFormat, "%q is no time of a flight; it must be as S2350, E2350 or A0012-N", quote(field))
		return
	}
	c, err := localtime.ParseClock(m[2])
	if err != nil {
		r.n.fail(r.no, r.field(clock), formats.CodeFormat, "%v", err)
		return
	}
	t := &moment{Kind: m[1][0], Clock: c, Text: field}
	if m[3] != "" {
		if t.Days, t.Dated = dayChanges[m[3]]; !t.Dated {
			r.n.warn(r.no, r.field(clock), CodeDeviation, "%q is no day change; P, N, S and T are: the day before, the next, the second and the third", m[3])
		}
	}
	r.out.times[i] = t
}
