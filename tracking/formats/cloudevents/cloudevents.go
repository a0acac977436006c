// Package cloudevents decodes and encodes CloudEvents 1.0 in their JSON format.
//
// A CloudEvent and an event map one to one: id is event_id, source is source, type is event_type, time is timestamp, data is
// the payload byte for byte (data_base64 becomes a JSON string of it). subject is both aggregate_id and correlation_id, unless
// the extension attributes aggregateid and correlationid say otherwise. The extensions tenantid, kind, classifier, revision
// and timequality set the fields of those names; location, quantity, transport, corrects and personal do too and hold, since an
// extension is no object, the JSON text of one. Without a kind, a segment of the type that is one is taken for it:
// com.andes.parcel.picked_up is about a parcel.
//
// datacontenttype and recordedtime are accepted and not kept. Any other extension is legal, but no field of an event takes it:
// the event is accepted, and a finding of severity info names the attribute.
//
// The specification is https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md.
package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// SpecVersion is the version of CloudEvents that this package reads and writes.
const SpecVersion = "1.0"

// Form is how events stand in a body.
type Form int

// The forms.
const (
	// Single is one event in structured mode (application/cloudevents+json).
	Single Form = iota
	// Batch is an array of them (application/cloudevents-batch+json). It may be empty.
	Batch
	// Any is either of the two, for bodies and files whose media type does not tell.
	Any
)

// Decode reads the events of a body. It returns a result for each event, taken or refused, in the order of the body; or a
// *formats.BodyError when the body cannot be read at all. The events keep parts of body, which must not change afterwards.
func Decode(body []byte, form Form, opt formats.Options) ([]formats.Result, error) {
	return wire.Objects(body, form != Batch, form != Single, read, opt)
}

// attributes are those that set a field of an event, or are known and set none.
var attributes = []string{
	"specversion", "id", "source", "type", "subject", "time", "data", "data_base64", "datacontenttype", "dataschema",
	"correlationid", "aggregateid", "tenantid", "kind", "classifier", "revision", "timequality", "recordedtime",
	"location", "quantity", "transport", "corrects", "personal",
}

type reader struct {
	d                *wire.Decoder
	event            *tracking.Event
	seen             uint32
	version, subject string
	hasData, hasKind bool
	extensions       map[string]bool
}

func read(d *wire.Decoder) wire.Reader { return &reader{d: d, event: &tracking.Event{}} }

// Member implements wire.Reader.
func (r *reader) Member(key []byte, v scan.Value) {
	for i, name := range attributes {
		if name != string(key) {
			continue
		}
		if r.seen&(1<<i) != 0 {
			r.d.Failf(name, formats.CodeDuplicateField, "%s stands twice", name)
			return
		}
		r.seen |= 1 << i
		r.set(name, v)
		return
	}
	r.extension(string(key), v)
}

func (r *reader) set(name string, v scan.Value) {
	d, e := r.d, r.event
	switch name {
	case "specversion":
		r.version = d.Text(name, v)
	case "id":
		e.EventID = d.ID(name, v)
	case "source":
		e.Source = d.ID(name, v)
	case "type":
		e.Type = d.Text(name, v)
	case "subject":
		r.subject = d.ID(name, v)
	case "time":
		e.OccurredAt = d.Time(name, v)
	case "data":
		r.data(v)
	case "data_base64":
		r.base64(v)
	case "correlationid":
		e.CorrelationID = d.ID(name, v)
	case "aggregateid":
		e.AggregateID = d.ID(name, v)
	case "tenantid":
		e.TenantID = d.Text(name, v)
	case "kind":
		r.hasKind = v.Kind == scan.String
		e.Kind = wire.Enum(d, name, v, tracking.Kinds())
	case "classifier":
		e.Classifier = wire.Enum(d, name, v, tracking.Classifiers())
	case "revision":
		e.Revision = r.revision(v)
	case "timequality":
		e.TimeQuality = wire.Enum(d, name, v, tracking.TimeQualities())
	case "datacontenttype":
		d.Text(name, v)
	case "recordedtime":
		d.Time(name, v)
	case "dataschema":
		r.unused(name, v)
	default:
		r.part(name, v)
	}
}

// data keeps the payload. null is no data, as the JSON format says of every attribute.
func (r *reader) data(v scan.Value) {
	if v.Kind == scan.Null {
		return
	}
	if r.hasData {
		r.bothData()
		return
	}
	r.hasData = true
	r.event.Payload = json.RawMessage(v.Raw)
}

func (r *reader) base64(v scan.Value) {
	if v.Kind == scan.Null {
		return
	}
	if r.hasData {
		r.bothData()
		return
	}
	r.hasData = true
	if v.Kind != scan.String {
		r.d.Failf("data_base64", formats.CodeType, "data_base64 must be a string, not %s", v.Kind)
		return
	}
	text := v.Text()
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		r.d.Failf("data_base64", formats.CodeFormat, "data_base64 must be standard Base64 with padding (RFC 4648, section 4)")
		return
	}
	r.event.Payload = json.RawMessage(v.Raw)
}

func (r *reader) bothData() {
	r.d.Failf("data_base64", formats.CodeConflict, "data and data_base64 cannot both stand in one event; leave one out")
}

// revision reads a number or, since extensions hold no integers of more than 32 bits, the text of one, or a time.
func (r *reader) revision(v scan.Value) int64 {
	if v.Kind == scan.String {
		if text := strings.TrimSpace(v.Text()); text != "" && strings.Trim(text, "0123456789") == "" {
			return r.d.Revision("revision", scan.Value{Kind: scan.Number, Raw: []byte(text)})
		}
	}
	return r.d.Revision("revision", v)
}

// part reads an extension that holds the JSON text of a part of an event.
func (r *reader) part(name string, v scan.Value) {
	if v.Kind == scan.Null {
		return
	}
	d, e := r.d, r.event
	if v.Kind != scan.String {
		d.Failf(name, formats.CodeType, "%s must be a string that holds a JSON object, not %s", name, v.Kind)
		return
	}
	s := scan.New([]byte(v.Text()))
	value, err := s.Value()
	if err == nil {
		err = s.End()
	}
	if err != nil {
		d.Failf(name, formats.CodeFormat, "%s must be a string that holds a JSON object: %v", name, err)
		return
	}
	switch name {
	case "location":
		e.Location = d.Location(name, value)
	case "quantity":
		e.Quantity = d.Quantity(name, value)
	case "transport":
		e.Transport = d.Transport(name, value)
	case "corrects":
		e.Corrects = d.Correction(name, value)
	case "personal":
		e.Personal = d.Personal(name, value)
	}
}

// extension takes an attribute that we do not know: it must be one that CloudEvents allows.
func (r *reader) extension(name string, v scan.Value) {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "" {
		r.d.Unknown("", []byte(name), attributes, nil)
		return
	}
	if r.extensions[name] {
		r.d.Failf(name, formats.CodeDuplicateField, "%s stands twice", name)
		return
	}
	if r.extensions == nil {
		r.extensions = map[string]bool{}
	}
	r.extensions[name] = true
	if v.Kind == scan.Object || v.Kind == scan.Array {
		r.d.Failf(name, formats.CodeType, "the extension %s must be a string, a number or a boolean, not %s", name, v.Kind)
		return
	}
	r.unused(name, v)
}

func (r *reader) unused(name string, v scan.Value) {
	if v.Kind != scan.Null {
		r.d.Infof(name, formats.CodeUnusedExtension, "%s is accepted and not kept: no field of an event takes it; put it into data to keep it", name)
	}
}

// End implements wire.Reader.
func (r *reader) End() *tracking.Event {
	d, e := r.d, r.event
	d.Required("specversion", r.version, `it must be "`+SpecVersion+`"`)
	if r.version != "" && r.version != SpecVersion {
		d.Failf("specversion", formats.CodeEnum, "specversion must be %q", SpecVersion)
	}
	if e.AggregateID == "" {
		e.AggregateID = r.subject
	}
	if e.CorrelationID == "" {
		e.CorrelationID = r.subject
	}
	d.Required("id", e.EventID, "the sender's id of the event, unique within its source")
	d.Required("source", e.Source, "the carrier or system that the event comes from")
	d.Required("type", strings.TrimSpace(e.Type), "the code of what happened, such as com.example.parcel.loaded")
	if e.AggregateID == "" || e.CorrelationID == "" {
		d.Required("subject", "", "the thing that is tracked, unless the extensions aggregateid and correlationid both name it")
	}
	if e.OccurredAt.IsZero() {
		d.Required("time", "", "when it happened, as in 2026-06-20T10:05:00-05:00")
	}
	if !r.hasKind {
		e.Kind = kindOf(e.Type)
	}
	d.Complete(e)
	return e
}

// kindOf returns the kind that a segment of a type names.
func kindOf(eventType string) tracking.Kind {
	for segment := range strings.FieldsFuncSeq(eventType, func(r rune) bool { return r == '.' || r == '/' }) {
		if kind := tracking.Kind(strings.ToLower(segment)); slices.Contains(tracking.Kinds(), kind) {
			return kind
		}
	}
	return ""
}
