package cargoimp

import (
	"cmp"
	"regexp"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
)

// slot is a field of a status line, by what it holds.
type slot byte

const (
	flight   slot = 'F' // carrier and number
	carrier  slot = 'C' // carrier alone
	date     slot = 'D' // day and month, mostly with the time
	airport  slot = 'A'
	route    slot = 'R' // departure and arrival in one
	reason   slot = 'G' // discrepancy code
	number   slot = 'Q' // quantity
	clock    slot = 'X' // time of departure or arrival: S scheduled, E estimated, A actual
	manifest slot = 'M' // number of a transfer manifest
	name     slot = 'N'
	volume   slot = 'V' // volume, density
)

var slotNames = map[slot]string{
	flight: "flight", carrier: "carrier", date: "date", airport: "airport", route: "route", reason: "discrepancy", number: "quantity",
	clock: "time", manifest: "manifest", name: "name", volume: "volume",
}

var slotExamples = map[slot]string{
	flight: "LA2468", carrier: "LA", date: "20JUN1510", airport: "LIM", route: "LIMJFK", reason: "MSCA", number: "T10K505.0", clock: "S2350 or A0012-N",
}

// grammar is how the details of a status are written: the fields in their order, those that must be there marked by an exclamation
// mark. What is written after them, in whatever order, may be times and volume.
type grammar struct {
	slots []slot
	must  []bool
	// leaves says that the times are those of a flight's departure, and the place is where it departs from.
	leaves bool
	// late says that a date without a time stands for the end of the day: what comes after it is the next phase of the journey.
	late bool
	// planned says that the status may be of a flight that has not flown yet, as its times say.
	planned bool
	// booked says that the date is that of a flight in the future.
	booked bool
}

func rule(slots string) grammar {
	var g grammar
	for i := range len(slots) {
		if slots[i] == '!' {
			g.must[len(g.must)-1] = true
			continue
		}
		g.slots, g.must = append(g.slots, slot(slots[i])), append(g.must, false)
	}
	return g
}

// grammars are those of the status codes of FSU and FSA.
func grammars() map[string]*grammar {
	station, flown, leaving, transfer := rule("D!A!QNV"), rule("F!D!A!QXXV"), rule("F!D!R!QXXV"), rule("C!D!A!QMN")
	late, arrived, departed, booked, handed, transit, odd := station, flown, leaving, leaving, station, rule("C!DA!Q"), rule("FD!A!G!QN")
	late.late, arrived.late, departed.late, handed.late = true, true, true, true
	leaving.leaves, departed.leaves, booked.leaves = true, true, true
	departed.planned, arrived.planned = true, true
	booked.booked = true
	customs := rule("D!A!QFNV")
	received := transfer
	received.late = true
	return map[string]*grammar{
		"BKD": &booked, "MAN": &leaving, "PRE": &leaving, "DEP": &departed,
		"FOH": &station, "RCS": &station, "DPU": &station, "DOC": &station,
		"ARR": &arrived, "RCF": &arrived, "AWR": &arrived, "FIW": &flown, "FOW": &flown,
		"TFD": &received, "RCT": &received, "TRM": &transit,
		"CRC": &customs, "TGC": &customs, "CCD": &customs,
		"NFD": &late, "AWD": &late, "DLV": &handed, "DDL": &handed, "DIS": &odd,
	}
}

var known = grammars()

// detail is a status line in its fields.
type detail struct {
	code    string
	grammar *grammar
	carrier string
	flight  tracking.Flight
	date    *localtime.Date
	time    *localtime.Clock
	airport string
	from    string
	to      string
	reason  string
	// quantity is nil when the line has none.
	quantity *quantity
	volume   *quantity
	// times are those of departure and arrival; one that was left out is nil.
	times    [2]*moment
	manifest string
	name     string
	other    []string
}

// moment is a time of a flight with what kind of time it is.
type moment struct {
	Kind  byte // S, E or A
	Clock localtime.Clock
	// Days is how many days after that of the flight it is, Dated whether that was said.
	Days  int
	Dated bool
	Text  string
}

var (
	dateShape    = regexp.MustCompile(`^\d{1,2}[A-Z]{3}`)
	airportForm  = regexp.MustCompile(`^[A-Z]{3}$`)
	routeForm    = regexp.MustCompile(`^[A-Z]{6}$`)
	carrierForm  = regexp.MustCompile(`^(?:[A-Z]{2,3}|[A-Z]\d|\d[A-Z])$`)
	flightShape  = regexp.MustCompile(`^(?:[A-Z]{2,3}|[A-Z]\d|\d[A-Z]) ?\d+[A-Z]?$`)
	flightNumber = regexp.MustCompile(`^\d{1,4}[A-Z]?$`)
	reasonForm   = regexp.MustCompile(`^[A-Z]{4}$`)
	clockShape   = regexp.MustCompile(`^[SEA]\d`)
	clockForm    = regexp.MustCompile(`^([SEA])(\d{4})(?:-([A-Z0-9]))?$`)
	volumeShape  = regexp.MustCompile(`^(?:MC|CF|CC|CI|DG)[.\d]`)
	manifestForm = regexp.MustCompile(`^[A-Z0-9-]*\d[A-Z0-9-]*$`)
)

// fits reports whether a field is meant to be what a slot holds, right or wrong.
func (s slot) fits(field string) bool {
	switch s {
	case flight:
		return flightShape.MatchString(field)
	case carrier:
		return carrierForm.MatchString(field)
	case date:
		return dateShape.MatchString(field)
	case airport:
		return airportForm.MatchString(field)
	case route:
		return routeForm.MatchString(field)
	case reason:
		return reasonForm.MatchString(field)
	case number:
		return looksLikeQuantity(field)
	case clock:
		return clockShape.MatchString(field)
	case volume:
		return volumeShape.MatchString(field)
	case manifest:
		return manifestForm.MatchString(field)
	default:
		return field != ""
	}
}

// station is where the status took place.
func (t *detail) station() string { return cmp.Or(t.airport, t.from) }
