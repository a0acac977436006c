package enrich

import (
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// locate finds the place of an event.
type locate struct {
	from   pipeline.Path
	places *tracking.Places
}

func (s *locate) apply(event *tracking.Event) {
	if event.Enrichment.Place != nil {
		return
	}
	if l := event.Location; l != nil && (l.IATA != "" || l.ICAO != "") {
		if !s.set(event, l.IATA) {
			s.set(event, l.ICAO)
		}
		return
	}
	if code, ok := s.from.String(event); ok {
		s.set(event, code)
	}
}

func (s *locate) set(event *tracking.Event, code string) bool {
	place, ok := s.places.Lookup(code)
	if !ok {
		return false
	}
	own := *place // an event's enrichment is its own: what a later stage does to it must not reach the table
	event.Enrichment.Place = &own
	return true
}

// identify finds the airline and the leg of an event.
type identify struct {
	from, date pipeline.Path
	airlines   *tracking.Airlines
}

func (s *identify) apply(event *tracking.Event) {
	if t := event.Leg(); t != nil && t.Carrier != "" {
		// Elsewhere codes of the same form are other carriers': SCAC, operator numbers.
		if t.Mode == "" || t.Mode == "air" {
			s.setAirline(event, t.Carrier)
		}
		return
	}
	text, ok := s.from.String(event)
	if !ok {
		return
	}
	flight, ok := tracking.ParseFlight(text)
	if !ok {
		return
	}
	s.setAirline(event, flight.Carrier)
	if event.Leg() == nil {
		event.Enrichment.Transport = &tracking.Transport{
			Mode: "air", Carrier: flight.Carrier, Number: flight.Number + flight.Suffix, Date: s.dateOf(event),
		}
	}
}

func (s *identify) setAirline(event *tracking.Event, designator string) {
	if event.Enrichment.Airline != nil {
		return
	}
	airline, ok := s.airlines.ByDesignator(designator)
	if !ok {
		return
	}
	own := *airline
	event.Enrichment.Airline = &own
}

// dateOf returns the date of the leg, or nothing when none is named or what is named is no date.
func (s *identify) dateOf(event *tracking.Event) string {
	text, ok := s.date.String(event)
	if !ok {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return ""
	}
	return text
}

// understand finds what an event means.
type understand struct {
	reason  pipeline.Path
	catalog *tracking.Catalog
}

func (s *understand) apply(event *tracking.Event) {
	known := event.Enrichment.Milestone != "" && event.Enrichment.Milestone != tracking.Unknown
	if known || event.Enrichment.Exception != "" {
		return
	}
	reason, _ := s.reason.String(event)
	meaning, ok := s.catalog.LookupReason(event.Kind, event.Type, reason)
	if !ok {
		event.Enrichment.Milestone = tracking.Unknown
		return
	}
	event.Enrichment.Milestone, event.Enrichment.Exception = meaning.Milestone, meaning.Exception
}
