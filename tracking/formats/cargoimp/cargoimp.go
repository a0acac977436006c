// Package cargoimp decodes Cargo-IMP, the teletype messages of air cargo (IATA Cargo Interchange Message Procedures): status
// updates and answers (FSU and FSA, versions 8 to 15) with any number of status lines, and flight manifests (FFM, versions 4 to 8).
// They may come as they are, in Type B or EDIFACT envelopes, between SOH, STX and ETX, with lines
// ended by CR LF or LF, and several in one body.
//
// event_type is the status code, correlation_id the air waybill as ppp-nnnnnnnn, and so is aggregate_id; in a manifest that is the
// unit load device that the consignment, or a part of it, is on. The kind is cargo. The payload is what the line says, as JSON, with
// the lines themselves byte for byte as "raw". The event id is a fingerprint of what the line says: the same message twice, in
// whatever envelope, has the same ids.
//
// Messages leave out the year and give local times: the year is inferred from when the message was received, or from the date of
// an EDIFACT envelope, and the zone is that of the station (formats.Options.Places). What carriers do besides the standard is
// taken and noted as findings, whose Line is that of the body and whose Field is the status code and the field, as "DEP.flight".
package cargoimp

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking/formats"
)

// The codes of findings besides those of all formats.
const (
	CodeCheckDigit    = "check_digit"    // the check digit of an identifier does not match
	CodeUnknownStatus = "unknown_status" // a code that the standard does not have; it is kept as it is
	CodeDeviation     = "deviation"      // written otherwise than the standard has it, and understood
	CodeUnsupported   = "unsupported"    // a message of another kind
	CodeInferred      = "inferred"       // something that the message leaves out was assumed
)

// Limits on what is read, generous against those of the standard (a message has 3,500 characters), so that what is made of a body
// stays in proportion to it.
const (
	maxLine     = 2000 // bytes of a status line with the lines that continue it
	maxHeadLine = 256  // bytes of a line that is repeated in the payload of several events
	maxNotes    = 50   // lines that go with one status, such as OSI and OCI
)

// Decode reads the messages of a body. It returns a result for each status line of a status message, each consignment on each unit of a
// manifest, taken or refused, in the order of the body; a message that cannot be read at all is one
// refused result, and a manifest of nothing (NIL) none. The error is a *formats.BodyError when there is no message in the body.
func Decode(body []byte, opt formats.Options) ([]formats.Result, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if len(bytes.Trim(body, " \t\r\n\x00\x01\x02\x03\x04")) == 0 {
		return nil, &formats.BodyError{Code: formats.CodeEmpty, Message: "the body is empty; send at least one message", Line: 1}
	}
	if opt.ReceivedAt.IsZero() {
		opt.ReceivedAt = time.Now()
	}
	opt.ReceivedAt = opt.ReceivedAt.UTC().Truncate(time.Second)
	messages := split(body, opt.ReceivedAt)
	if len(messages) == 0 {
		return nil, &formats.BodyError{
			Code: formats.CodeSyntax, Line: 1,
			Message: "there is no Cargo-IMP message: none of the lines is an identifier such as FSU/14 or FFM/8",
		}
	}
	d := &decoder{options: opt}
	for i := range messages {
		m := &messages[i]
		switch m.kind {
		case "FSU", "FSA":
			d.status(m)
		case "FFM":
			d.manifest(m)
		default:
			n := d.begin(m.id.no)
			n.fail(m.id.no, "message", CodeUnsupported, "%s is no message about the status of cargo; FSU, FSA and FFM are", m.kind)
			d.refuse(n)
		}
		if d.full {
			return nil, &formats.BodyError{
				Code: formats.CodeTooMany, Line: m.id.no, Message: fmt.Sprintf("there are more than %d events; send them in several requests", opt.MaxEvents),
			}
		}
	}
	return d.results, nil
}

// decoder gathers the results of a body.
type decoder struct {
	options formats.Options
	results []formats.Result
	// full says that there are more results than the options allow.
	full bool
}

// notes gathers what is found about one event.
type notes struct {
	index, line int
	findings    []formats.Finding
	refused     bool
}

// begin starts the notes of the next result, which begins on a line.
func (d *decoder) begin(line int) *notes { return &notes{index: len(d.results), line: line} }

func (n *notes) add(severity formats.Severity, line int, field, code, format string, args []any) {
	if severity == formats.SeverityError {
		n.refused = true
	}
	f := formats.Finding{Index: n.index, Line: line, Field: field, Code: code, Message: fmt.Sprintf(format, args...), Severity: severity}
	if len(n.findings) < formats.MaxFindings {
		n.findings = append(n.findings, f)
	} else if severity == formats.SeverityError { // why an event is refused must be among what is said
		n.findings[formats.MaxFindings-1] = f
	}
}

func (n *notes) fail(line int, field, code, format string, args ...any) {
	n.add(formats.SeverityError, line, field, code, format, args)
}

func (n *notes) warn(line int, field, code, format string, args ...any) {
	n.add(formats.SeverityWarning, line, field, code, format, args)
}

func (n *notes) info(line int, field, code, format string, args ...any) {
	n.add(formats.SeverityInfo, line, field, code, format, args)
}

// take repeats what was found about a whole message.
func (n *notes) take(findings []formats.Finding) {
	for _, f := range findings {
		n.add(f.Severity, f.Line, f.Field, f.Code, "%s", []any{f.Message})
	}
}

// flags lists the codes of what is doubtful, each once.
func (n *notes) flags() []string {
	var flags []string
	for _, f := range n.findings {
		if f.Severity != formats.SeverityInfo && !contains(flags, f.Code) {
			flags = append(flags, f.Code)
		}
	}
	return flags
}

func contains(list []string, s string) bool {
	for _, t := range list {
		if t == s {
			return true
		}
	}
	return false
}

// room reports whether one more result is allowed.
func (d *decoder) room() bool {
	d.full = d.full || d.options.MaxEvents > 0 && len(d.results) >= d.options.MaxEvents
	return !d.full
}

// refuse adds a result without an event.
func (d *decoder) refuse(n *notes) {
	if d.room() {
		d.results = append(d.results, formats.Result{Index: n.index, Line: n.line, Findings: n.findings})
	}
}

// quote cuts a text short that is quoted in a message.
func quote(s string) string {
	const longest = 60
	s = strings.ToValidUTF8(s, "?")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
