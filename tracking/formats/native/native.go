// Package native decodes Rastro's own JSON, whose field names are those of tracking.Event.
//
// Required are correlation_id, aggregate_id, event_type and timestamp. A field that there is not, or that is ours to set
// (uid, received_at, enrichment), refuses the event: a typo must not lose data. The payload is kept byte for byte, and shares
// the memory of the body.
package native

import (
	"encoding/json"
	"strings"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// Form is how events stand in a body.
type Form int

// The forms.
const (
	// JSON is one event object, or an array of them.
	JSON Form = iota
	// NDJSON is one event object a line; blank lines are skipped, and a line may end in CRLF.
	NDJSON
)

// Decode reads the events of a body. It returns a result for each event, taken or refused, in the order of the body; or a
// *formats.BodyError when the body cannot be read at all. The events keep parts of body, which must not change afterwards.
func Decode(body []byte, form Form, opt formats.Options) ([]formats.Result, error) {
	if form == NDJSON {
		return wire.Lines(body, read, opt)
	}
	return wire.Objects(body, true, true, read, opt)
}

// The fields that a sender may set, in the order in which messages list them.
const (
	correlationID = iota
	aggregateID
	eventType
	timestamp
	payload
	eventID
	source
	revision
	tenantID
	kind
	classifier
	timeQuality
	location
	quantity
	transport
	corrects
	personal
)

var fields = []string{
	"correlation_id", "aggregate_id", "event_type", "timestamp", "payload", "event_id", "source", "revision", "tenant_id", "kind",
	"classifier", "time_quality", "location", "quantity", "transport", "corrects", "personal",
}

// aliases are names that senders try and that are too far from ours to be guessed.
var aliases = map[string]string{
	"type": "event_type", "code": "event_type", "status": "event_type",
	"time": "timestamp", "occurred_at": "timestamp", "event_time": "timestamp", "date": "timestamp",
	"id": "event_id", "data": "payload", "tenant": "tenant_id", "version": "revision",
}

type reader struct {
	d     *wire.Decoder
	event *tracking.Event
	seen  uint32
}

func read(d *wire.Decoder) wire.Reader { return &reader{d: d, event: &tracking.Event{}} }

// Member implements wire.Reader.
func (r *reader) Member(key []byte, v scan.Value) {
	switch string(key) {
	case "uid", "received_at", "enrichment":
		r.d.Failf(string(key), formats.CodeReadOnly, "%s is set by Rastro; leave it out", key)
		return
	}
	for i, name := range fields {
		if name != string(key) {
			continue
		}
		if r.seen&(1<<i) != 0 {
			r.d.Failf(name, formats.CodeDuplicateField, "%s stands twice", name)
			return
		}
		r.seen |= 1 << i
		r.set(i, name, v)
		return
	}
	r.d.Unknown("", key, fields, aliases)
}

func (r *reader) set(i int, name string, v scan.Value) {
	d, e := r.d, r.event
	switch i {
	case correlationID:
		e.CorrelationID = d.ID(name, v)
	case aggregateID:
		e.AggregateID = d.ID(name, v)
	case eventType:
		e.Type = d.Text(name, v)
	case timestamp:
		e.OccurredAt = d.Time(name, v)
	case payload:
		e.Payload = json.RawMessage(v.Raw)
	case eventID:
		e.EventID = d.ID(name, v)
	case source:
		e.Source = d.ID(name, v)
	case revision:
		e.Revision = d.Revision(name, v)
	case tenantID:
		e.TenantID = d.Text(name, v)
	case kind:
		e.Kind = wire.Enum(d, name, v, tracking.Kinds())
	case classifier:
		e.Classifier = wire.Enum(d, name, v, tracking.Classifiers())
	case timeQuality:
		e.TimeQuality = wire.Enum(d, name, v, tracking.TimeQualities())
	case location:
		e.Location = d.Location(name, v)
	case quantity:
		e.Quantity = d.Quantity(name, v)
	case transport:
		e.Transport = d.Transport(name, v)
	case corrects:
		e.Corrects = d.Correction(name, v)
	case personal:
		e.Personal = d.Personal(name, v)
	}
}

// End implements wire.Reader.
func (r *reader) End() *tracking.Event {
	d, e := r.d, r.event
	if e.Source == "" {
		e.Source = d.Options.DefaultSource
	}
	d.Required("correlation_id", e.CorrelationID, "the journey, such as an air waybill, a booking, a parcel number or a bag tag")
	d.Required("aggregate_id", e.AggregateID, "the thing itself, such as a bag, a ULD or a piece")
	d.Required("event_type", strings.TrimSpace(e.Type), "the code of what happened, such as loaded or DEP")
	d.Required("source", e.Source, "the carrier or system that the event comes from")
	if e.OccurredAt.IsZero() {
		d.Required("timestamp", "", "when it happened, as in 2026-06-20T10:05:00-05:00")
	}
	d.Complete(e)
	return e
}
