package tracking

import (
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/rastrohq/rastro/internal/jsonedit"
)

// PersonalMarker stands in a payload for a value that is personal and kept apart: the JSON text "[personal]".
const PersonalMarker = `"[personal]"`

// Limits of personal data.
const (
	// MaxPersonalBytes is how many bytes the data that a sender gives as personal may have.
	MaxPersonalBytes = 16 << 10
	// MaxPersonalSubject is how many bytes the name of a subject may have.
	MaxPersonalSubject = 256
)

// Personal is what an event says about a person. It is kept apart from the event, encrypted under a key of its subject, and read by
// who may read it; whoever forgets the subject destroys the key. As JSON it is masked, whoever encodes it: {"masked":true}. An event
// whose Personal is empty has personal data that is kept elsewhere.
type Personal struct {
	// Subject is who the data is about, as those who ask for it to be forgotten know them: a passenger's reference, a customer
	// number. It is never stored in plain.
	Subject string `json:"-" cbor:"1,keyasint,omitempty"`
	// Data is what the sender gave as personal: a JSON object, byte for byte.
	Data json.RawMessage `json:"-" cbor:"2,keyasint,omitempty"`
	// Moved is what was taken out of the payload, where a PersonalMarker stands now, in the order of the payload.
	Moved []MovedValue `json:"-" cbor:"3,keyasint,omitempty"`
}

// MovedValue is a value that was taken out of a payload.
type MovedValue struct {
	// Offset is where in the payload its marker stands, in bytes.
	Offset int `cbor:"1,keyasint"`
	// Pointer names it: a JSON pointer (RFC 6901) into the payload.
	Pointer string `cbor:"2,keyasint"`
	// Value is its JSON, byte for byte.
	Value json.RawMessage `cbor:"3,keyasint"`
}

// MarshalJSON implements json.Marshaler: it says that there is personal data, and nothing of it.
func (Personal) MarshalJSON() ([]byte, error) { return []byte(`{"masked":true}`), nil }

// LogValue implements slog.LogValuer: logs hold nothing personal.
func (Personal) LogValue() slog.Value { return slog.StringValue("[personal]") }

// String hides the data from whoever prints it.
func (Personal) String() string { return "[personal]" }

// GoString hides the data from whoever prints it.
func (Personal) GoString() string { return "[personal]" }

// Held reports whether p holds data, rather than only saying that there is some. It may be called on nil.
func (p *Personal) Held() bool {
	return p != nil && (p.Subject != "" || len(p.Data) > 0 || len(p.Moved) > 0)
}

// Masked returns the event with what is personal taken away; it is e itself when there is nothing.
func (e *Event) Masked() *Event {
	if !e.Personal.Held() {
		return e
	}
	masked := e.Clone()
	masked.Personal = &Personal{}
	return masked
}

// MovePersonal returns the event with the values that paths name moved out of the payload, to be known as subject's unless the
// sender said whose the event's personal data is; e itself when there are none. A payload that is no JSON is moved as a whole:
// nothing says what is in it.
func (e *Event) MovePersonal(paths []jsonedit.Path, subject string) *Event {
	if len(e.Payload) == 0 || e.Personal != nil && len(e.Personal.Moved) > 0 {
		return e
	}
	payload, found, err := jsonedit.Replace(e.Payload, paths, PersonalMarker)
	if err != nil {
		payload, found = []byte(PersonalMarker), []jsonedit.Found{{Value: e.Payload}}
	}
	if len(found) == 0 {
		return e
	}
	moved := e.Clone()
	moved.Payload = payload
	personal := Personal{}
	if e.Personal != nil {
		personal = *e.Personal
	}
	if personal.Subject == "" {
		personal.Subject = subject
	}
	personal.Moved = make([]MovedValue, len(found))
	for i, f := range found {
		personal.Moved[i] = MovedValue{Offset: f.Offset, Pointer: f.Pointer, Value: f.Value}
	}
	moved.Personal = &personal
	return moved
}

// RestorePersonal is the inverse of MovePersonal: it returns the event with what was moved out of its payload back in it.
func (e *Event) RestorePersonal() (*Event, error) {
	if e.Personal == nil || len(e.Personal.Moved) == 0 {
		return e, nil
	}
	found := make([]jsonedit.Found, len(e.Personal.Moved))
	for i, m := range e.Personal.Moved {
		found[i] = jsonedit.Found{Offset: m.Offset, Value: m.Value}
	}
	payload, err := jsonedit.Restore(e.Payload, found, PersonalMarker)
	if err != nil {
		return nil, errors.New("restore personal data: the payload is not the one that it was moved out of")
	}
	restored := e.Clone()
	restored.Payload = payload
	restored.Personal = nil
	if len(e.Personal.Data) > 0 {
		restored.Personal = &Personal{Subject: e.Personal.Subject, Data: e.Personal.Data}
	}
	return restored, nil
}
