// Package formats holds what the decoders of carriers' formats share: options, results, findings and the faults of a whole
// body. Decoders are pure: bytes in, events and findings out.
package formats

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

// Severity says what a finding means for its event.
type Severity string

// The severities. An event with a finding of SeverityError is refused; the others accompany an event that is taken.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// The codes of findings.
const (
	CodeRequired        = "required"         // a field that must be there is missing, null or blank
	CodeType            = "type"             // the value is of another JSON type
	CodeFormat          = "format"           // the value is not written as it must be
	CodeEnum            = "enum"             // the value is not on the list of those allowed
	CodeRange           = "range"            // the value is too small or too large
	CodeTooLong         = "too_long"         // the value has too many bytes or items
	CodeTooDeep         = "too_deep"         // the value nests deeper than MaxDepth
	CodeUnknownField    = "unknown_field"    // there is no such field
	CodeReadOnly        = "read_only"        // the field is ours to set
	CodeDuplicateField  = "duplicate_field"  // the field stands twice in one object
	CodeConflict        = "conflict"         // the field cannot stand beside another, or contradicts it
	CodeSyntax          = "syntax"           // the text of one event is not JSON
	CodeUnusedExtension = "unused_extension" // a CloudEvents attribute that no field of an event takes
)

// Limits on what a decoder takes.
const (
	// MaxIDBytes is the longest that an identifier, a code or a name may be, in bytes of UTF-8.
	MaxIDBytes = 256
	// MaxDepth is how deep the JSON of an event, its payload included, may nest.
	MaxDepth = 64
	// MaxCorrected is how many events one correction may name.
	MaxCorrected = 1000
	// MaxFindings is how many findings one event may have; what is found beyond is not said.
	MaxFindings = 20
)

// Options is what a decoder is told besides the body.
type Options struct {
	// DefaultSource is the source of events that do not name theirs. Empty means that they must.
	DefaultSource string
	// MaxEvents is the most events that a body may hold; reading stops at the first too many. 0 means no limit.
	MaxEvents int
	// ReceivedAt is when the body came. Formats that leave out the year, or the time, infer it from this. Zero means now.
	ReceivedAt time.Time
	// Places says in which zone the local times of a station are. Without it they are taken for UTC, and marked so.
	Places *tracking.Places
	// Airlines says whose an accounting prefix is. May be nil.
	Airlines *tracking.Airlines
	// TimeZone is the zone of stations that Places does not have. Nil means UTC, and that times are marked so.
	TimeZone *time.Location
	// Station is the airport of messages that do not name theirs where they must. Empty means that they are refused.
	Station string
}

// Finding is one thing that is to be said about an event, at one of its fields.
type Finding struct {
	// Index is the position of the event in the body, from 0.
	Index int `json:"index"`
	// Line is the line of the body that the event stands on, from 1; 0 where lines mean nothing.
	Line int `json:"line,omitempty"`
	// Field is the field as the sender's format names it, nested ones with dots ("location.iata"), or as JSON pointer into the
	// body ("/events/0/eventID") in formats whose events stand in a document; empty when the finding is about the event as a
	// whole.
	Field    string   `json:"field,omitempty"`
	Code     string   `json:"code"`
	Message  string   `json:"message"`
	Severity Severity `json:"severity"`
}

// Result is what became of one event of a body.
type Result struct {
	// Index is the position of the event in the body, from 0.
	Index int
	// Line is the line of the body that the event stands on, from 1; 0 where lines mean nothing.
	Line int
	// Event is nil when a finding refuses it, and when there is nothing to trace: see Aside.
	Event *tracking.Event
	// Findings holds why the event was refused, or what is to be said of one that was taken.
	Findings []Finding
}

// OK reports whether the event was taken.
func (r Result) OK() bool { return r.Event != nil }

// Aside reports whether there is no event and nothing wrong: what stands in the body was read and counted, and tells of nothing
// that can be traced, as a bag whose tag a scanner could not read.
func (r Result) Aside() bool {
	return r.Event == nil && !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == SeverityError })
}

// BodyError is a fault of the body as a whole: nothing of it was taken.
type BodyError struct {
	// Code is CodeSyntax, CodeEmpty, CodeUTF8, CodeTooMany, CodeTooDeep or CodeDuplicateField.
	Code string
	// Message says what is wrong and what would be right.
	Message string
	// Offset is the byte of the body, from 0, at which it goes wrong.
	Offset int64
	// Line is the line of that byte, from 1.
	Line int
}

// The codes of a BodyError besides CodeSyntax.
const (
	CodeEmpty   = "empty"    // there is nothing in the body
	CodeUTF8    = "utf8"     // the body is not UTF-8
	CodeTooMany = "too_many" // the body holds more than Options.MaxEvents
)

// Error implements error.
func (e *BodyError) Error() string {
	return fmt.Sprintf("line %d (byte %d): %s", e.Line, e.Offset, e.Message)
}

// IsCloudEvents reports whether a JSON body, or file, holds CloudEvents rather than events of Rastro's own form: its object,
// or the first object of its array, has a specversion. It reads no further than it must, and what is not JSON is not
// CloudEvents.
func IsCloudEvents(body []byte) bool {
	s := scan.New(body)
	found := false
	look := func() error {
		err := s.Members(func(key []byte, _ scan.Value) { found = found || string(key) == "specversion" })
		if err == nil {
			err = errSeen
		}
		return err
	}
	var err error
	if s.Peek() == '[' {
		err = s.Items(look)
	} else {
		err = look()
	}
	return found && errors.Is(err, errSeen)
}

var errSeen = errors.New("the first object has been read")
