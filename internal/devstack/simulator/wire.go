package simulator

import (
	"encoding/json"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// timeLayout is RFC 3339 with milliseconds and the sender's zone.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// wireEvent is the body of an event.
type wireEvent struct {
	TenantID      string               `json:"tenant_id"`
	Source        string               `json:"source"`
	EventID       string               `json:"event_id,omitempty"`
	Revision      int64                `json:"revision,omitempty"`
	CorrelationID string               `json:"correlation_id"`
	AggregateID   string               `json:"aggregate_id"`
	Kind          tracking.Kind        `json:"kind"`
	Type          string               `json:"event_type"`
	Timestamp     string               `json:"timestamp"`
	Location      *tracking.Location   `json:"location,omitempty"`
	Quantity      *tracking.Quantity   `json:"quantity,omitempty"`
	Transport     *tracking.Transport  `json:"transport,omitempty"`
	Corrects      *tracking.Correction `json:"corrects,omitempty"`
	Payload       json.RawMessage      `json:"payload"`

	occurred time.Time
	payload  map[string]any
}

// event makes the event of a step.
func (g *Generator) event(j *journey, s *step, occurred time.Time) wireEvent {
	payload := map[string]any{"location": s.at.code, "device": s.device}
	for key, value := range s.detail {
		payload[key] = value
	}
	e := wireEvent{
		TenantID: j.market.tenant, Source: j.source, EventID: g.eventID(j), CorrelationID: j.correlation, AggregateID: j.aggregate,
		Kind: j.kind, Type: s.code, Timestamp: occurred.In(s.at.location()).Format(timeLayout), Quantity: s.quantity,
		occurred: occurred, payload: payload,
	}
	if j.kind == tracking.Cargo {
		e.Location = &tracking.Location{IATA: s.at.code} // the others say it in their payload alone
	}
	if f := s.flight; f != nil {
		payload["flight"] = f.name()
		e.Transport = &tracking.Transport{
			Mode: "air", Carrier: f.carrier.code, Number: f.number, Date: f.date, Origin: f.from.code, Destination: f.to.code,
		}
	}
	return e
}

// wire encodes an event.
func (e wireEvent) wire(nature Nature) Wire {
	e.Payload = mustMarshal(e.payload)
	return Wire{
		Tenant: e.TenantID, Body: mustMarshal(e), Valid: true, Nature: nature, CorrelationID: e.CorrelationID,
		EventID: e.EventID, Type: e.Type, OccurredAt: e.occurred,
	}
}

// mustMarshal encodes what is made here of strings and numbers, which cannot fail.
func mustMarshal(value any) json.RawMessage {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return body
}

// garble makes an event that no API may take.
func (g *Generator) garble(e wireEvent) Wire {
	w := e.wire(Malformed)
	w.Valid = false
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(w.Body, &fields); err != nil {
		panic(err) // it was made a line above
	}
	switch g.rand.IntN(8) {
	case 0:
		delete(fields, "correlation_id")
	case 1:
		delete(fields, "aggregate_id")
	case 2:
		delete(fields, "event_type")
	case 3:
		delete(fields, "timestamp")
	case 4:
		fields["timestamp"] = mustMarshal(e.occurred.Format("02/01/2006 15:04"))
	case 5:
		fields["timestamp"] = mustMarshal(e.occurred.Format("2006") + "-13-45T25:61:00Z")
	case 6:
		fields["event_type"] = json.RawMessage(`7`)
	default:
		fields["quantity"] = json.RawMessage(`"ten"`)
	}
	w.Body = mustMarshal(fields)
	return w
}
