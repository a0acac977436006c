package cloudevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Encode writes an event as one CloudEvent in structured mode, with the payload byte for byte. What Rastro adds to an event
// is left out but for the time of receipt, which is recordedtime. Decode gives the event back as it was before ingest.
func Encode(e *tracking.Event) ([]byte, error) {
	if e.EventID == "" || e.Source == "" || e.Type == "" {
		return nil, errors.New("encode CloudEvent: the event must have an event_id, a source and an event_type")
	}
	w := &writer{}
	w.buf.Grow(512 + len(e.Payload))
	w.text("specversion", SpecVersion)
	w.text("id", e.EventID)
	w.text("source", e.Source)
	w.text("type", e.Type)
	if e.AggregateID != "" {
		w.text("subject", e.AggregateID)
	}
	w.text("time", e.OccurredAt.Format(time.RFC3339Nano))
	w.text("correlationid", e.CorrelationID)
	if e.TenantID != "" {
		w.text("tenantid", e.TenantID)
	}
	if e.Kind != "" || kindOf(e.Type) != "" {
		w.text("kind", string(e.Kind)) // even when empty, so that none is read out of the type
	}
	if e.Classifier != "" {
		w.text("classifier", string(e.Classifier))
	}
	if e.Revision != 0 {
		w.text("revision", strconv.FormatInt(e.Revision, 10))
	}
	if e.TimeQuality != "" {
		w.text("timequality", string(e.TimeQuality))
	}
	if !e.ReceivedAt.IsZero() {
		w.text("recordedtime", e.ReceivedAt.Format(time.RFC3339Nano))
	}
	if e.Location != nil {
		w.part("location", e.Location)
	}
	if e.Quantity != nil {
		w.part("quantity", e.Quantity)
	}
	if e.Transport != nil {
		w.part("transport", e.Transport)
	}
	if e.Corrects != nil {
		w.part("corrects", e.Corrects)
	}
	if len(e.Payload) > 0 {
		w.text("datacontenttype", "application/json")
		w.payload(e.Payload)
	}
	if w.err != nil {
		return nil, fmt.Errorf("encode CloudEvent %s of %s: %w", e.EventID, e.Source, w.err)
	}
	w.buf.WriteByte('}')
	return w.buf.Bytes(), nil
}

// writer writes the members of one object and keeps the first error.
type writer struct {
	buf bytes.Buffer
	err error
}

func (w *writer) key(name string) {
	separator := byte(',')
	if w.buf.Len() == 0 {
		separator = '{'
	}
	w.buf.WriteByte(separator)
	w.buf.WriteString(`"` + name + `":`)
}

func (w *writer) text(name, s string) {
	w.key(name)
	quoted, err := json.Marshal(s)
	w.err = errors.Join(w.err, err)
	w.buf.Write(quoted)
}

// part writes the JSON text of a value as a string, for an attribute cannot be an object.
func (w *writer) part(name string, v any) {
	object, err := json.Marshal(v)
	w.err = errors.Join(w.err, err)
	w.text(name, string(object))
}

func (w *writer) payload(p json.RawMessage) {
	if !json.Valid(p) {
		w.err = errors.Join(w.err, errors.New("the payload is not JSON"))
		return
	}
	w.key("data")
	w.buf.Write(p)
}
