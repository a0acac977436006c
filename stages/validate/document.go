package validate

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rastrohq/rastro/tracking"
)

// wireFields is how many fields an event has on the wire at most.
const wireFields = 19

// fillDocument writes into document what encoding an event as JSON and decoding it again would give, without doing either.
// A test holds the two equal.
func fillDocument(document map[string]any, event *tracking.Event, payload any) {
	document["uid"] = event.UID.String()
	document["tenant_id"] = event.TenantID
	document["source"] = event.Source
	document["event_id"] = event.EventID
	document["correlation_id"] = event.CorrelationID
	document["aggregate_id"] = event.AggregateID
	document["event_type"] = event.Type
	document["classifier"] = string(event.Classifier)
	document["timestamp"] = event.OccurredAt.Format(time.RFC3339Nano)
	document["received_at"] = event.ReceivedAt.Format(time.RFC3339Nano)
	putNumber(document, "revision", event.Revision)
	putText(document, "kind", string(event.Kind))
	putText(document, "time_quality", string(event.TimeQuality))
	if event.Location != nil {
		document["location"] = locationDocument(event.Location)
	}
	if event.Quantity != nil {
		document["quantity"] = quantityDocument(event.Quantity)
	}
	if event.Transport != nil {
		document["transport"] = transportDocument(event.Transport)
	}
	if event.Corrects != nil {
		document["corrects"] = correctionDocument(event.Corrects)
	}
	if len(event.Payload) > 0 {
		document["payload"] = payload
	}
	if !event.Enrichment.IsZero() {
		document["enrichment"] = enrichmentDocument(&event.Enrichment)
	}
}

func locationDocument(l *tracking.Location) map[string]any {
	document := make(map[string]any, 8)
	putText(document, "iata", l.IATA)
	putText(document, "icao", l.ICAO)
	putText(document, "unlocode", l.UNLocode)
	putText(document, "gln", l.GLN)
	putText(document, "name", l.Name)
	putText(document, "facility", l.Facility)
	if l.Lat != nil {
		document["latitude"] = *l.Lat
	}
	if l.Lon != nil {
		document["longitude"] = *l.Lon
	}
	return document
}

func quantityDocument(q *tracking.Quantity) map[string]any {
	document := make(map[string]any, 4)
	putNumber(document, "pieces", q.Pieces)
	putNumber(document, "total_pieces", q.TotalPieces)
	putNumber(document, "weight", q.Weight)
	putText(document, "weight_unit", q.WeightUnit)
	return document
}

func transportDocument(t *tracking.Transport) map[string]any {
	document := make(map[string]any, 6)
	putText(document, "mode", t.Mode)
	putText(document, "carrier", t.Carrier)
	putText(document, "number", t.Number)
	putText(document, "date", t.Date)
	putText(document, "origin", t.Origin)
	putText(document, "destination", t.Destination)
	return document
}

func correctionDocument(c *tracking.Correction) map[string]any {
	document := map[string]any{"kind": string(c.Kind), "event_ids": nil}
	if c.EventIDs != nil {
		ids := make([]any, len(c.EventIDs))
		for i, id := range c.EventIDs {
			ids[i] = id
		}
		document["event_ids"] = ids
	}
	putText(document, "reason", c.Reason)
	return document
}

func enrichmentDocument(e *tracking.Enrichment) map[string]any {
	document := make(map[string]any, 6)
	putText(document, "milestone", string(e.Milestone))
	putText(document, "exception", e.Exception)
	if p := e.Place; p != nil {
		place := map[string]any{"iata": p.IATA, "name": p.Name, "latitude": p.Lat, "longitude": p.Lon}
		putText(place, "icao", p.ICAO)
		putText(place, "city", p.City)
		putText(place, "country", p.Country)
		putText(place, "time_zone", p.TimeZone)
		document["place"] = place
	}
	if a := e.Airline; a != nil {
		airline := map[string]any{"name": a.Name}
		putText(airline, "iata", a.IATA)
		putText(airline, "icao", a.ICAO)
		putText(airline, "accounting_prefix", a.Prefix)
		document["airline"] = airline
	}
	if e.Transport != nil {
		document["transport"] = transportDocument(e.Transport)
	}
	if len(e.Attributes) > 0 {
		document["attributes"] = attributesDocument(e.Attributes)
	}
	return document
}

// attributesDocument reads the attributes, which stages wrote as JSON; null stands for one that is none.
func attributesDocument(attributes map[string]json.RawMessage) map[string]any {
	document := make(map[string]any, len(attributes))
	for name, raw := range attributes {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			value = nil
		}
		document[name] = value
	}
	return document
}

func putText(document map[string]any, name, value string) {
	if value != "" {
		document[name] = value
	}
}

func putNumber[N int | int64 | float64](document map[string]any, name string, value N) {
	if value != 0 {
		document[name] = value
	}
}
