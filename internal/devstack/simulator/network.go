package simulator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// airport is a station of the network.
type airport struct {
	code    string
	country string
	city    string
	zone    *time.Location
}

func (a airport) location() *time.Location { return a.zone }

// zoned returns a zone of the IANA database, or where a machine has none what is about that.
func zoned(name string, hours int) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.FixedZone("", hours*3600)
	}
	return zone
}

// airline is a carrier with its accounting prefix, which begins its air waybills and bag tags. The codes are those that IATA
// assigned.
type airline struct {
	code   string
	prefix string
	// hub is where its passengers change; empty for one that flies only from point to point.
	hub string
}

// market is what a tenant sees: the stations it works at and who flies and delivers there.
type market struct {
	tenant string
	// share is its part of the traffic, relative to the others'.
	share    float64
	homes    []string
	airlines []airline
	// post is the parcel carrier, and country the two letters at the end of its numbers.
	post    string
	country string
}

func allMarkets() []market {
	latam, avianca, copa := airline{"LA", "045", "LIM"}, airline{"AV", "134", "BOG"}, airline{"CM", "230", "PTY"}
	return []market{
		{
			tenant: "talma-pe", share: 40, homes: []string{"LIM", "LIM", "LIM", "CUZ", "AQP"},
			airlines: []airline{latam, {"LP", "544", "LIM"}, {"H2", "605", ""}, copa, avianca}, post: "serpost", country: "PE",
		},
		{
			tenant: "talma-ec", share: 20, homes: []string{"UIO", "UIO", "GYE"},
			airlines: []airline{{"XL", "462", "UIO"}, avianca, copa, {"AA", "001", "MIA"}}, post: "correos-ec", country: "EC",
		},
		{
			tenant: "talma-co", share: 25, homes: []string{"BOG", "BOG", "MDE", "CTG", "CLO"},
			airlines: []airline{avianca, {"4C", "035", "BOG"}, copa, {"B6", "279", "JFK"}}, post: "4-72", country: "CO",
		},
		{
			tenant: "talma-mx", share: 15, homes: []string{"MEX", "MEX", "CUN", "GDL", "MTY"},
			airlines: []airline{{"AM", "139", "MEX"}, {"Y4", "036", ""}, {"DL", "006", "JFK"}, copa}, post: "sepomex", country: "MX",
		},
	}
}

func allAirports() []airport {
	lima, guayaquil, bogota, mexico := zoned("America/Lima", -5), zoned("America/Guayaquil", -5), zoned("America/Bogota", -5), zoned("America/Mexico_City", -6)
	york := zoned("America/New_York", -5)
	return []airport{
		{"LIM", "PE", "Lima", lima}, {"CUZ", "PE", "Cusco", lima}, {"AQP", "PE", "Arequipa", lima},
		{"UIO", "EC", "Quito", guayaquil}, {"GYE", "EC", "Guayaquil", guayaquil},
		{"BOG", "CO", "Bogota", bogota}, {"MDE", "CO", "Medellin", bogota}, {"CTG", "CO", "Cartagena", bogota}, {"CLO", "CO", "Cali", bogota},
		{"MEX", "MX", "Mexico City", mexico}, {"CUN", "MX", "Cancun", zoned("America/Cancun", -5)}, {"GDL", "MX", "Guadalajara", mexico},
		{"MTY", "MX", "Monterrey", zoned("America/Monterrey", -6)}, {"PTY", "PA", "Panama", zoned("America/Panama", -5)},
		{"MIA", "US", "Miami", york}, {"JFK", "US", "New York", york}, {"LAX", "US", "Los Angeles", zoned("America/Los_Angeles", -8)},
		{"SCL", "CL", "Santiago", zoned("America/Santiago", -4)}, {"EZE", "AR", "Buenos Aires", zoned("America/Argentina/Buenos_Aires", -3)},
		{"GRU", "BR", "Sao Paulo", zoned("America/Sao_Paulo", -3)}, {"MAD", "ES", "Madrid", zoned("Europe/Madrid", 1)},
	}
}

// network looks up stations and flights.
type network struct {
	airports map[string]airport
	codes    []string
}

func newNetwork() *network {
	n := &network{airports: map[string]airport{}}
	for _, a := range allAirports() {
		n.airports[a.code] = a
		n.codes = append(n.codes, a.code)
	}
	return n
}

// elsewhere picks a station other than those given.
func (n *network) elsewhere(r *rand.Rand, not ...string) airport {
	for {
		if code := n.codes[r.IntN(len(n.codes))]; !slices.Contains(not, code) {
			return n.airports[code]
		}
	}
}

// flight is one leg.
type flight struct {
	carrier  airline
	number   string
	from, to airport
	date     string // local date of origin
}

// fly makes the flight of an airline between two stations. A route has the same few numbers every day.
func fly(r *rand.Rand, by airline, from, to airport) *flight {
	var sum uint32 = 2166136261
	for _, c := range []byte(by.code + from.code + to.code) {
		sum = (sum ^ uint32(c)) * 16777619
	}
	number := 100 + sum%80*25 + uint32(r.IntN(3))*2 //nolint:gosec // Small.
	return &flight{carrier: by, number: fmt.Sprint(number), from: from, to: to}
}

func (f *flight) name() string { return f.carrier.code + f.number }

// duration is about how long it flies.
func (f *flight) duration() time.Duration {
	far := map[string]bool{"ES": true, "BR": true, "AR": true}
	switch {
	case f.from.country == f.to.country:
		return 80 * time.Minute
	case f.from.country == "ES" || f.to.country == "ES":
		return 11 * time.Hour
	case far[f.from.country] || far[f.to.country] || f.from.country == "US" || f.to.country == "US":
		return 6 * time.Hour
	default:
		return 3 * time.Hour
	}
}

// dated gives the flight the local date of origin of its departure.
func (f *flight) dated(departure time.Time) {
	f.date = departure.In(f.from.location()).Format(time.DateOnly)
}
