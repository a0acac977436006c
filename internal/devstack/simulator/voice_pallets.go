package simulator

import (
	"fmt"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

const epcisContext = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"

// pallet is a pallet of medicines between a plant and a pharmacy, as EPCIS tells of it.
func (a *author) pallet(m *market) *journey {
	from, to := a.ends(m)
	serial := a.serial("pallet", 1_000_000_000)
	id := fmt.Sprintf("urn:epc:id:sscc:7750182.%010d", serial)
	at := func(code, disposition string, where airport, low, high int) step {
		return step{code: code, at: where, detail: map[string]any{"disposition": disposition}, after: a.minutes(low, high)}
	}
	steps := []step{
		at("commissioning", "active", from, 0, 1), at("packing", "in_progress", from, 20, 90), at("storing", "in_progress", from, 30, 600),
		at("loading", "in_transit", from, 30, 90), at("departing", "in_transit", from, 10, 60), at("arriving", "in_progress", to, 300, 2000),
		at("receiving", "in_progress", to, 20, 60), at("accepting", "sellable_accessible", to, 20, 60),
	}
	return &journey{kind: tracking.Parcel, source: "demo-epcis", correlation: id, aggregate: id, steps: steps}
}

// gln is the identifier of a location in a city.
func gln(where airport) string {
	number := 0
	for _, c := range where.code {
		number = number*26 + int(c-'A')
	}
	return fmt.Sprintf("urn:epc:id:sgln:7750182.%05d.0", number%100_000)
}

// sayPallet tells an event of EPCIS 2.0, in a document.
func sayPallet(s saying) ([]byte, int) {
	local := s.local()
	event := map[string]any{
		"type": "ObjectEvent", "eventID": "urn:uuid:" + s.id, "action": "OBSERVE", "bizStep": s.step.code, "disposition": s.step.detail["disposition"],
		"epcList": []string{s.correlation}, "eventTime": local.Format(timeLayout), "eventTimeZoneOffset": local.Format("-07:00"),
		"readPoint": map[string]any{"id": gln(s.step.at)},
	}
	events := 1
	switch {
	case s.nature == UnknownCode:
		event["bizStep"] = "https://ns.example.org/bizstep/" + s.strange
	case s.step.code == "commissioning":
		event["action"] = "ADD"
	case s.step.code == "packing":
		delete(event, "epcList")
		serial := s.correlation[len(s.correlation)-10:]
		event["type"], event["action"], event["parentID"] = "AggregationEvent", "ADD", s.correlation
		event["childEPCs"] = []string{"urn:epc:id:sgtin:7750182.012345." + serial + "1", "urn:epc:id:sgtin:7750182.012345." + serial + "2"}
		events = 3
	case s.step.code == "storing":
		event["sensorElementList"] = []any{map[string]any{"sensorReport": []any{map[string]any{"type": "Temperature", "value": 4.2, "uom": "CEL"}}}}
	}
	if s.nature == Void {
		event["errorDeclaration"] = map[string]any{"declarationTime": s.at.Add(time.Minute).UTC().Format(time.RFC3339), "reason": "did_not_occur"}
	}
	if s.nature == Malformed {
		event["action"], events = "CREATE", 1
	}
	if s.number%4 == 1 { // by itself; every other one of those that are captured, which have even numbers, is in a document
		event["@context"] = epcisContext
		return mustMarshal(event), events
	}
	return mustMarshal(map[string]any{
		"@context": []any{epcisContext}, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": s.now.UTC().Format(time.RFC3339),
		"epcisBody": map[string]any{"eventList": []any{event}},
	}), events
}
