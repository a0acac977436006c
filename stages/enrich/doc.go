// Package enrich is the stage that adds what we know to what the sender said: the place, the airline, the leg and the
// milestone. It writes into the event's Enrichment and nowhere else, and it judges nobody: whatever it does not understand
// it leaves as it is, and every event passes.
//
//	stages:
//	  - use: enrich
//	    with:
//	      - location: {from: payload.location}
//	      - airline: {from: payload.flight}
//	      - milestone: {catalog: milestones.yaml}
//
// The steps run in order, each on every event. A step never replaces what an earlier one has found, so that a second step of
// the same kind is a fallback:
//
//   - location looks up the airport of the event's location (IATA, else ICAO code) or, when it gives neither, of the code at
//     `from`, in `places`: name, city, country, coordinates, time zone.
//   - airline looks up, in `airlines`, the carrier of the event's transport or, when it names none, that of the flight
//     designator at `from` ("LA2468"). The designator also becomes the event's leg when the sender gave no transport. The
//     leg has a date only if `date` names one: the day of an event is not always the day on which its flight began, and a
//     wrong date would part the events of one flight.
//   - milestone looks up the event's kind and code in `catalog`, with the reason at `reason` where there is one: the milestone it
//     means, the exception it reports or clears, or both.
//     A code that the catalogue lacks becomes the milestone "unknown", which is kept and counted.
//
// Without `with` the steps are location, airline and milestone with their defaults. The files are read when the pipeline
// starts.
package enrich
