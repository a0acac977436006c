// Package baggage decodes the baggage information messages of IATA RP 1745: BSM, BPM, BTM, BUM, BNS, BCM, BMM and BRQ, as they
// come in teletype: alone or several in a body, bare or in Type B envelopes, in parts, and on one line.
//
// Each bag that a message names gives one event. correlation_id and aggregate_id are its ten-digit licence plate, event_type is
// the message and, after a point, what decides what it says of the bag: BSM, BSM.DEL, BPM.NAL, BPM.CLR, BPM.U. Names, seats,
// booking references and frequent flyer numbers go where personal data is kept; in the text of the message, which is in the
// payload byte for byte, a marker stands for each.
//
// A finding names the line of the body and the element and field: ".F/2" is what follows the second slash of .F. Bags whose tag
// could not be read, and messages about no bag, have a result without an event that no finding refuses: see formats.Result.Aside.
package baggage

import (
	"cmp"
	"fmt"
	"time"

	"github.com/rastrohq/rastro/tracking/formats"
)

// Limits on what a body may hold.
const (
	// MaxBags is how many bags the messages of a body may name, however Options.MaxEvents is set.
	MaxBags = 10_000
	// maxPayloads is how many bytes the payloads made of one body may have together.
	maxPayloads = 32 << 20
	// maxTagLines is up to how many elements with tags the text of an event has those of other bags too.
	maxTagLines = 16
	// maxContext is how many elements that hold for several bags may precede them.
	maxContext = 64
)

// The codes of findings, besides those that all formats share.
const (
	CodeNoRead     = "no_read"         // a scanner could not read the tag: counted, and no event
	CodeNoBag      = "no_bag"          // the message names no bag, as control messages do not
	CodeDeviation  = "deviation"       // the message is not as the standard has it, and is read all the same
	CodeIncomplete = "incomplete"      // a part of the message is missing
	CodeNoTime     = "no_time"         // the message does not say when it happened
	CodeFarDate    = "far_date"        // in no year is the date near the time of receipt
	CodeZone       = "zone_unknown"    // the zone of the station is not known
	CodeUnknown    = "unknown_code"    // the standard has no such code; it is kept
	CodeIdentifier = "identifier"      // an identifier is not written as it must be; it is kept
	CodeDuplicate  = "possible_repeat" // the sender says that the message may have been sent before (PDM)
)

// Decode reads the messages of a body. It returns a result for each bag, and one for each message, or group of bags in it, that is
// refused or names no bag, in the order of the body; or a *formats.BodyError when there is no message in the body or there are
// too many bags. The events share nothing with body.
func Decode(body []byte, opt formats.Options) ([]formats.Result, error) {
	if opt.ReceivedAt.IsZero() {
		opt.ReceivedAt = time.Now()
	}
	frames, err := split(body)
	if err != nil {
		return nil, err
	}
	d := &decoder{opt: opt, zones: map[string]*time.Location{}}
	for _, m := range assemble(frames) {
		if err := d.message(m); err != nil {
			return nil, err
		}
	}
	return d.results, nil
}

// decoder gathers the results of a body.
type decoder struct {
	opt     formats.Options
	results []formats.Result
	bags    int // named so far
	bytes   int // of payloads so far
	zones   map[string]*time.Location
}

// message decodes one message, whose parts have been put together.
func (d *decoder) message(m *message) error {
	head := d.head(m)
	if head.notes.refused || m.kind == "BCM" && len(m.tagElements()) == 0 {
		if !head.notes.refused {
			head.notes.infof(m.line, "", CodeNoBag, "a baggage control message%s names no bag; there is nothing to trace", m.controlName())
		}
		return d.aside(m, m.line, head.notes)
	}
	groups, err := group(m)
	if err != nil {
		head.notes.failf(m.line, "", formats.CodeTooLong, "%s", err)
		return d.aside(m, m.line, head.notes)
	}
	first := head.notes // what is said of the message as a whole is said once, with its first result
	for _, g := range groups {
		if err := d.group(head, g, &first); err != nil {
			return err
		}
	}
	return nil
}

// aside adds a result without an event.
func (d *decoder) aside(m *message, line int, n notes) error {
	if err := d.room(m, line, 1); err != nil {
		return err
	}
	d.add(formats.Result{Line: line}, n)
	return nil
}

// room refuses the body when it names more bags than it may.
func (d *decoder) room(m *message, line, more int) error {
	limit := MaxBags
	if d.opt.MaxEvents > 0 {
		limit = min(limit, d.opt.MaxEvents)
	}
	if d.bags += more; d.bags <= limit {
		return nil
	}
	return &formats.BodyError{
		Code: formats.CodeTooMany, Offset: int64(m.start), Line: cmp.Or(line, m.line),
		Message: fmt.Sprintf("there are more than %d bags; send them in several requests", limit),
	}
}

func (d *decoder) add(r formats.Result, n notes) {
	r.Index = len(d.results)
	for i := range n.findings {
		n.findings[i].Index = r.Index
	}
	r.Findings = n.findings
	d.results = append(d.results, r)
}

// notes gathers what is found.
type notes struct {
	findings []formats.Finding
	refused  bool
}

// failf refuses the event for what is wrong with a field.
func (n *notes) failf(line int, field, code, format string, args ...any) {
	n.refused = true
	n.put(formats.SeverityError, line, field, code, fmt.Sprintf(format, args...))
}

// warnf says something of an event that is taken.
func (n *notes) warnf(line int, field, code, format string, args ...any) {
	n.put(formats.SeverityWarning, line, field, code, fmt.Sprintf(format, args...))
}

// infof says something of an event that is taken and right.
func (n *notes) infof(line int, field, code, format string, args ...any) {
	n.put(formats.SeverityInfo, line, field, code, fmt.Sprintf(format, args...))
}

// put adds a finding. One that refuses takes the place of another when there are too many.
func (n *notes) put(severity formats.Severity, line int, field, code, message string) {
	f := formats.Finding{Line: line, Field: field, Code: code, Message: message, Severity: severity}
	switch {
	case len(n.findings) < formats.MaxFindings:
		n.findings = append(n.findings, f)
	case severity == formats.SeverityError && n.findings[formats.MaxFindings-1].Severity != formats.SeverityError:
		n.findings[formats.MaxFindings-1] = f
	}
}

// with returns the notes and those of others, shared with neither.
func (n notes) with(others ...notes) notes {
	all := notes{}
	for _, o := range append([]notes{n}, others...) {
		for _, f := range o.findings {
			all.put(f.Severity, f.Line, f.Field, f.Code, f.Message)
		}
		all.refused = all.refused || o.refused
	}
	return all
}
