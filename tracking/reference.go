package tracking

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Places is a table of airports. It is immutable.
type Places struct {
	byCode map[string]*Place
	zones  sync.Map // *time.Location by *Place, as far as they were asked for
}

// LoadPlaces reads airports from CSV with the columns iata, icao, name, city, country, latitude, longitude and timezone, in
// any order. Errors name the line. Of several rows with one code the first stands.
func LoadPlaces(r io.Reader) (*Places, error) {
	places := &Places{byCode: map[string]*Place{}}
	columns := []string{"iata", "icao", "name", "city", "country", "latitude", "longitude", "timezone"}
	err := readTable(r, columns, func(row []string) error {
		p := &Place{
			IATA: strings.ToUpper(row[0]), ICAO: strings.ToUpper(row[1]), Name: row[2], City: row[3],
			Country: strings.ToUpper(row[4]), TimeZone: row[7],
		}
		if p.IATA == "" && p.ICAO == "" {
			return errors.New("a place needs an iata or an icao code")
		}
		var err error
		if p.Lat, err = degrees("latitude", row[5], 90); err != nil {
			return err
		}
		if p.Lon, err = degrees("longitude", row[6], 180); err != nil {
			return err
		}
		index(places.byCode, p.IATA, p)
		index(places.byCode, p.ICAO, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read places: %w", err)
	}
	return places, nil
}

// Lookup returns the place with an IATA or ICAO code, in any case. The place is shared and must not be changed.
func (p *Places) Lookup(code string) (*Place, bool) {
	place, ok := p.byCode[strings.ToUpper(strings.TrimSpace(code))]
	return place, ok
}

// Zone returns the time zone of the place with an IATA or ICAO code, in any case; nil when the place is not known, or no zone for it.
// A place whose row leaves its zone out has that of the nearest place of its country. It may be called on nil.
func (p *Places) Zone(code string) *time.Location {
	if p == nil {
		return nil
	}
	place, ok := p.Lookup(code)
	if !ok {
		return nil
	}
	if known, ok := p.zones.Load(place); ok {
		return known.(*time.Location)
	}
	var zone *time.Location
	if name := cmp.Or(place.TimeZone, p.nearestZone(place)); name != "" {
		if known, err := time.LoadLocation(name); err == nil { // the machine may not have the zone
			zone = known
		}
	}
	p.zones.Store(place, zone)
	return zone
}

// nearestZone returns the zone of the nearest place of the same country that has one; nothing when there is none.
func (p *Places) nearestZone(place *Place) string {
	name, least := "", math.Inf(1)
	for _, other := range p.byCode {
		if other.Country != place.Country || other.TimeZone == "" || place.Country == "" {
			continue
		}
		east := math.Remainder(other.Lon-place.Lon, 360) * math.Cos(place.Lat*math.Pi/180)
		north := other.Lat - place.Lat
		if d := east*east + north*north; d < least || d == least && other.TimeZone < name {
			name, least = other.TimeZone, d
		}
	}
	return name
}

// Airlines is a table of airlines. It is immutable.
type Airlines struct{ byDesignator, byPrefix map[string]*Airline }

// LoadAirlines reads airlines from CSV with the columns iata, icao, accounting_prefix and name, in any order. Errors name the
// line. Of several rows with one code the first stands.
func LoadAirlines(r io.Reader) (*Airlines, error) {
	airlines := &Airlines{byDesignator: map[string]*Airline{}, byPrefix: map[string]*Airline{}}
	err := readTable(r, []string{"iata", "icao", "accounting_prefix", "name"}, func(row []string) error {
		a := &Airline{IATA: strings.ToUpper(row[0]), ICAO: strings.ToUpper(row[1]), Prefix: row[2], Name: row[3]}
		if a.IATA == "" && a.ICAO == "" {
			return errors.New("an airline needs an iata or an icao code")
		}
		if a.Prefix != "" && (len(a.Prefix) != 3 || !digits(a.Prefix)) {
			return fmt.Errorf("accounting_prefix %q must be three digits", a.Prefix)
		}
		index(airlines.byDesignator, a.IATA, a)
		index(airlines.byDesignator, a.ICAO, a)
		index(airlines.byPrefix, a.Prefix, a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read airlines: %w", err)
	}
	return airlines, nil
}

// ByDesignator returns the airline with an IATA or ICAO designator, in any case. It is shared and must not be changed.
func (a *Airlines) ByDesignator(code string) (*Airline, bool) {
	airline, ok := a.byDesignator[strings.ToUpper(strings.TrimSpace(code))]
	return airline, ok
}

// ByPrefix returns the airline with a three-digit accounting prefix, as air waybills and bag tags carry it. It is shared and
// must not be changed.
func (a *Airlines) ByPrefix(prefix string) (*Airline, bool) {
	airline, ok := a.byPrefix[strings.TrimSpace(prefix)]
	return airline, ok
}

// Flight is a flight designator in its parts (IATA SSIM: carrier, one to four digits, operational suffix).
type Flight struct {
	// Carrier is the airline's two-character IATA or three-letter ICAO designator, in upper case.
	Carrier string
	// Number is as written, leading zeros included.
	Number string
	// Suffix is one letter or empty.
	Suffix string
}

// ParseFlight reads a flight designator: "LA2047", "LH 400A", "DLH0505", "LH400/16OCT". What follows a slash is ignored. It
// returns false for anything else.
func ParseFlight(s string) (Flight, bool) {
	s, _, _ = strings.Cut(s, "/")
	s = strings.ToUpper(strings.TrimSpace(s))
	carrier := 2
	if len(s) >= 3 && letter(s[0]) && letter(s[1]) && letter(s[2]) {
		carrier = 3
	}
	if len(s) <= carrier {
		return Flight{}, false
	}
	f := Flight{Carrier: s[:carrier]}
	for i := range carrier {
		if !letter(s[i]) && !digit(s[i]) {
			return Flight{}, false
		}
	}
	if digits(f.Carrier) {
		return Flight{}, false
	}
	rest := strings.TrimPrefix(s[carrier:], " ")
	if n := len(rest); n > 1 && letter(rest[n-1]) {
		rest, f.Suffix = rest[:n-1], rest[n-1:]
	}
	if len(rest) == 0 || len(rest) > 4 || !digits(rest) {
		return Flight{}, false
	}
	f.Number = rest
	return f, true
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func digits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return true
}

// readTable calls f with the values of the columns, trimmed, for each row of a CSV with a header.
func readTable(r io.Reader, columns []string, f func(row []string) error) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("line 1: the header is missing; it must name %s", strings.Join(columns, ", "))
		}
		return err
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	at := make([]int, len(columns))
	for i, column := range columns {
		at[i] = slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), column) })
		if at[i] < 0 {
			return fmt.Errorf("line 1: column %q is missing; the header must name %s", column, strings.Join(columns, ", "))
		}
	}
	row := make([]string, len(columns))
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err // names the line itself
		}
		for i, j := range at {
			row[i] = strings.TrimSpace(record[j])
		}
		if err := f(row); err != nil {
			line, _ := in.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func index[T any](table map[string]*T, code string, row *T) {
	if _, taken := table[code]; code != "" && !taken {
		table[code] = row
	}
}

func degrees(name, text string, limit float64) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.Abs(v) > limit {
		return 0, fmt.Errorf("%s %q must be a number of degrees from -%g to %g", name, text, limit, limit)
	}
	return v, nil
}
