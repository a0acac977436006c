package tracking

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Event is one thing that happened, or is expected to happen, to something that is tracked: a bag was loaded, a
// consignment arrived. It is immutable once stored; a mistake is mended by a later event that corrects it.
//
// The JSON names are the wire's (POST /api/v1/events); the CBOR keys are those of the frames between stages and must never
// be reused for another field.
type Event struct {
	// UID is ours: a UUIDv7 given at ingest. It identifies this delivery for ever.
	UID uuid.UUID `json:"uid" cbor:"1,keyasint"`
	// TenantID says who owns the event. It comes from the sender's token, never from the body.
	TenantID string `json:"tenant_id" cbor:"2,keyasint"`
	// Source names the carrier or system that sent the event.
	Source string `json:"source" cbor:"3,keyasint"`
	// EventID is the sender's own id or, when it sent none, a fingerprint of what identifies the occurrence.
	EventID string `json:"event_id" cbor:"4,keyasint"`
	// Revision is the sender's version of EventID: a correction has the same EventID and a later Revision. Zero when the
	// sender does not version its events; senders that version by time give microseconds since the Unix epoch.
	Revision int64 `json:"revision,omitempty" cbor:"5,keyasint,omitempty"`
	// CorrelationID is the journey: air waybill, booking, parcel number, bag tag.
	CorrelationID string `json:"correlation_id" cbor:"6,keyasint"`
	// AggregateID is the thing: this bag, this ULD, this piece.
	AggregateID string `json:"aggregate_id" cbor:"7,keyasint"`
	// Kind is the trade: baggage, cargo, parcel, passenger, equipment. Empty when the sender did not say.
	Kind Kind `json:"kind,omitempty" cbor:"8,keyasint,omitempty"`
	// Type is the sender's code exactly as sent: "DEP", "loaded", "InTransit_007".
	Type string `json:"event_type" cbor:"9,keyasint"`
	// Classifier says whether it happened. Only actual events move a trace.
	Classifier Classifier `json:"classifier" cbor:"10,keyasint"`
	// OccurredAt is when it happened, to the microsecond, in the zone the sender wrote it in.
	OccurredAt time.Time `json:"timestamp" cbor:"11,keyasint"`
	// TimeQuality says how well OccurredAt is known.
	TimeQuality TimeQuality `json:"time_quality,omitempty" cbor:"12,keyasint,omitempty"`
	// ReceivedAt is when we took it, UTC, to the microsecond.
	ReceivedAt time.Time `json:"received_at" cbor:"13,keyasint"`

	Location  *Location  `json:"location,omitempty" cbor:"14,keyasint,omitempty"`
	Quantity  *Quantity  `json:"quantity,omitempty" cbor:"15,keyasint,omitempty"`
	Transport *Transport `json:"transport,omitempty" cbor:"16,keyasint,omitempty"`
	// Corrects voids or replaces earlier events; nothing is ever deleted.
	Corrects *Correction `json:"corrects,omitempty" cbor:"17,keyasint,omitempty"`

	// Payload is the sender's data, byte for byte. Empty when it sent none.
	Payload json.RawMessage `json:"payload,omitempty" cbor:"18,keyasint,omitempty"`
	// Enrichment is what stages added; it is never mixed into Payload.
	Enrichment Enrichment `json:"enrichment,omitzero" cbor:"19,keyasint,omitzero"`
	// Personal is what the event says about a person; nil when it says nothing, or nobody knows that it does.
	Personal *Personal `json:"personal,omitempty" cbor:"20,keyasint,omitempty"`
	// Span is the trace context of the request that brought the event. It goes with the event through the pipelines and is not
	// part of what is stored.
	Span SpanContext `json:"-" cbor:"21,keyasint,omitzero"`
}

// Kind is the trade that an event belongs to.
type Kind string

// The kinds of things that are tracked.
const (
	Baggage   Kind = "baggage"
	Cargo     Kind = "cargo"
	Parcel    Kind = "parcel"
	Passenger Kind = "passenger"
	Equipment Kind = "equipment"
)

// Kinds lists every Kind.
func Kinds() []Kind { return []Kind{Baggage, Cargo, Parcel, Passenger, Equipment} }

// Classifier says whether an event happened or is foreseen. The values are those of ONE Record's EventTimeType and DCSA's
// event classifier codes, in lower case.
type Classifier string

// The classifiers. Only Actual moves a trace; the others are its plan.
const (
	Actual    Classifier = "actual"
	Estimated Classifier = "estimated"
	Planned   Classifier = "planned"
	Requested Classifier = "requested"
	Expected  Classifier = "expected"
)

// Classifiers lists every Classifier.
func Classifiers() []Classifier { return []Classifier{Actual, Estimated, Planned, Requested, Expected} }

// TimeQuality says how well the time of an event is known. The zero value means exact.
type TimeQuality string

// How well a time is known.
const (
	Exact        TimeQuality = "exact"
	ZoneInferred TimeQuality = "zone_inferred"
	YearInferred TimeQuality = "year_inferred"
	DateOnly     TimeQuality = "date_only"
)

// TimeQualities lists every TimeQuality.
func TimeQualities() []TimeQuality { return []TimeQuality{Exact, ZoneInferred, YearInferred, DateOnly} }

// Location is where an event happened, as the sender said it. What we know of the place besides stands in Enrichment.
type Location struct {
	IATA     string   `json:"iata,omitempty" cbor:"1,keyasint,omitempty"`
	ICAO     string   `json:"icao,omitempty" cbor:"2,keyasint,omitempty"`
	UNLocode string   `json:"unlocode,omitempty" cbor:"3,keyasint,omitempty"`
	GLN      string   `json:"gln,omitempty" cbor:"4,keyasint,omitempty"`
	Name     string   `json:"name,omitempty" cbor:"5,keyasint,omitempty"`
	Facility string   `json:"facility,omitempty" cbor:"6,keyasint,omitempty"`
	Lat      *float64 `json:"latitude,omitempty" cbor:"7,keyasint,omitempty"`
	Lon      *float64 `json:"longitude,omitempty" cbor:"8,keyasint,omitempty"`
}

// Quantity counts what an event is about. Part consignments carry Pieces below TotalPieces: "P2T10" is 2 of 10.
type Quantity struct {
	Pieces      int     `json:"pieces,omitempty" cbor:"1,keyasint,omitempty"`
	TotalPieces int     `json:"total_pieces,omitempty" cbor:"2,keyasint,omitempty"`
	Weight      float64 `json:"weight,omitempty" cbor:"3,keyasint,omitempty"`
	// WeightUnit is "kg" or "lb".
	WeightUnit string `json:"weight_unit,omitempty" cbor:"4,keyasint,omitempty"`
}

// Transport is the leg: one flight, voyage or truck.
type Transport struct {
	// Mode is "air", "sea", "road" or "rail"; empty when unknown.
	Mode string `json:"mode,omitempty" cbor:"1,keyasint,omitempty"`
	// Carrier is the carrier's code: for a flight the IATA or ICAO designator.
	Carrier string `json:"carrier,omitempty" cbor:"2,keyasint,omitempty"`
	Number  string `json:"number,omitempty" cbor:"3,keyasint,omitempty"`
	// Date is the local date of origin, as YYYY-MM-DD.
	Date        string `json:"date,omitempty" cbor:"4,keyasint,omitempty"`
	Origin      string `json:"origin,omitempty" cbor:"5,keyasint,omitempty"`
	Destination string `json:"destination,omitempty" cbor:"6,keyasint,omitempty"`
}

// CorrectionKind says what a correction does to the events it names.
type CorrectionKind string

// Void takes the named events out of the trace; Replace does too and stands in their place.
const (
	Void    CorrectionKind = "void"
	Replace CorrectionKind = "replace"
)

// Correction voids or replaces earlier events of the same tenant and source. The reasons are those of the CBV's
// ErrorDeclaration: did_not_occur, incorrect_data.
type Correction struct {
	Kind     CorrectionKind `json:"kind" cbor:"1,keyasint"`
	EventIDs []string       `json:"event_ids" cbor:"2,keyasint"`
	Reason   string         `json:"reason,omitempty" cbor:"3,keyasint,omitempty"`
}

// Enrichment is what stages know beyond what the sender said.
type Enrichment struct {
	// Milestone is the phase that Type means; empty until a stage has looked it up.
	Milestone Milestone `json:"milestone,omitempty" cbor:"1,keyasint,omitempty"`
	// Exception is the trouble that Type reports ("on_hold", "missing"), beside or instead of a milestone.
	Exception string   `json:"exception,omitempty" cbor:"2,keyasint,omitempty"`
	Place     *Place   `json:"place,omitempty" cbor:"3,keyasint,omitempty"`
	Airline   *Airline `json:"airline,omitempty" cbor:"4,keyasint,omitempty"`
	// Transport is the leg when a stage read it out of the payload rather than the sender giving it as such.
	Transport *Transport `json:"transport,omitempty" cbor:"5,keyasint,omitempty"`
	// Attributes is what else stages looked up, by the name that the pipeline gives it; each value is JSON.
	Attributes map[string]json.RawMessage `json:"attributes,omitempty" cbor:"6,keyasint,omitempty"`
}

// IsZero reports whether no stage added anything.
func (e Enrichment) IsZero() bool {
	return e.Milestone == "" && e.Exception == "" && e.Place == nil && e.Airline == nil && e.Transport == nil && len(e.Attributes) == 0
}

// Place is an airport as the reference data knows it.
type Place struct {
	IATA     string  `json:"iata" cbor:"1,keyasint"`
	ICAO     string  `json:"icao,omitempty" cbor:"2,keyasint,omitempty"`
	Name     string  `json:"name" cbor:"3,keyasint"`
	City     string  `json:"city,omitempty" cbor:"4,keyasint,omitempty"`
	Country  string  `json:"country,omitempty" cbor:"5,keyasint,omitempty"` // ISO 3166-1 alpha-2
	Lat      float64 `json:"latitude" cbor:"6,keyasint"`
	Lon      float64 `json:"longitude" cbor:"7,keyasint"`
	TimeZone string  `json:"time_zone,omitempty" cbor:"8,keyasint,omitempty"` // IANA
}

// Airline is an airline as the reference data knows it.
type Airline struct {
	IATA   string `json:"iata,omitempty" cbor:"1,keyasint,omitempty"`
	ICAO   string `json:"icao,omitempty" cbor:"2,keyasint,omitempty"`
	Prefix string `json:"accounting_prefix,omitempty" cbor:"3,keyasint,omitempty"` // three digits, of air waybills and bag tags
	Name   string `json:"name" cbor:"4,keyasint"`
}

// Leg returns the transport of the event, whoever knew it; nil when nobody did.
func (e *Event) Leg() *Transport {
	if e.Transport != nil {
		return e.Transport
	}
	return e.Enrichment.Transport
}
