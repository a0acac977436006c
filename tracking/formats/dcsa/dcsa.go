// Package dcsa decodes events of DCSA Track & Trace: 3.0.0 as a request of POST /events or a response of GET /events
// ({"events":[...]}), 2.2 as a response of GET /events or a notification ([...]), and single events of both.
//
// event_type is the code of the type (ARRI, GTOT, CONF), classifier the classifier code. correlation_id is the document that the
// event names (a booking before a transport document before any other), aggregate_id the equipment; either stands for the other
// where there is only one, and a transport call for both where there is none. The kind is equipment. A revision is
// eventUpdatedDateTime (2.2: eventCreatedDateTime), so that the latest stands; a retraction (isRetracted) voids what had the
// same id. eventID is unique for a party only, and so the party stands in the source, after a slash. The payload is the event
// byte for byte.
//
// What DCSA's standards and their conformance rules say is checked: without what tells when what happened an event is refused;
// all else accompanies it as warnings. The Field of a finding is the JSON pointer (RFC 6901) into the body.
package dcsa

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// Decode reads the events of a body. It returns a result for each event, taken or refused, in the order of the body; or a
// *formats.BodyError when the body is no JSON. The events keep parts of body, which must not change afterwards.
func Decode(body []byte, opt formats.Options) ([]formats.Result, error) {
	root, err := wire.Document(body)
	if err != nil {
		return nil, err
	}
	list, path := []wire.Node{*root}, wire.Path(nil)
	switch events := root.Get("events"); {
	case root.Kind == scan.Array:
		list, path = root.Items, wire.Path{}
	case events.Is(scan.Array):
		list, path = events.Items, wire.Path{"events"}
	case events != nil:
		notes := wire.Notes{}
		notes.Failf("/events", formats.CodeType, "events must be an array, not %s", events.Kind)
		return []formats.Result{{Findings: notes.Findings}}, nil
	case root.Kind == scan.Object && root.Get("eventClassification") == nil && root.Get("eventType") == nil && root.Get("eventID") == nil:
		notes := wire.Notes{}
		notes.Failf("/events", formats.CodeRequired, `events is required: the body must be {"events":[...]} (3.0.0) or [...] (2.2)`)
		return []formats.Result{{Findings: notes.Findings}}, nil
	}
	if opt.MaxEvents > 0 && len(list) > opt.MaxEvents {
		return nil, &formats.BodyError{
			Code: formats.CodeTooMany, Line: 1, Message: fmt.Sprintf("there are more than %d events; send them in several requests", opt.MaxEvents),
		}
	}
	results := make([]formats.Result, len(list))
	seen := map[string]int{}
	for i := range list {
		d := &decoder{Notes: wire.Notes{Index: i}, options: opt, path: slices.Clone(path)}
		if path != nil {
			d.path.PushIndex(i)
		}
		results[i] = d.decode(&list[i])
		if e := results[i].Event; e != nil {
			id := e.Source + "\x00" + e.EventID + "\x00" + strconv.FormatInt(e.Revision, 10)
			if first, twice := seen[id]; twice && string(results[first].Event.Payload) != string(e.Payload) {
				d.warnf("eventID", formats.CodeConflict, "event %d has the same eventID and update time and says something else; the first counts", first)
				results[i].Findings = d.Findings
			} else if !twice {
				seen[id] = i
			}
		}
	}
	return results, nil
}

type decoder struct {
	wire.Notes
	options formats.Options
	path    wire.Path
}

func (d *decoder) failf(field, code, format string, args ...any) {
	d.Failf(wire.Pointer(d.path, strings.Split(field, ".")...), code, format, args...)
}

func (d *decoder) warnf(field, code, format string, args ...any) {
	d.Warnf(wire.Pointer(d.path, strings.Split(field, ".")...), code, format, args...)
}

// kinds are the types of events and the codes that each may have: event domain 3.2.0 and Track & Trace 3.0.0.
var kinds = map[string][]string{
	"SHIPMENT": strings.Fields(`AMCF AMCN AMDC AMPR AMRE APPR CACF CADC CANC CARE CMPL CONF DECL DRFT HOLD ISSU PENA PENC PENM PENU PSAM PSDL
		RECE REJE RELS REQS SUAM SUBM SUDL SURR UPCF UPCN UPDC UPDT UPRE VOID`),
	"TRANSPORT":  {"ARRI", "DEPA"},
	"EQUIPMENT":  strings.Fields(`AVDO AVPU CROS CUSI CUSR CUSS DISC DROP GTIN GTOT INSP LOAD PICK RMVD RSEA STRP STUF`),
	"OPERATIONS": strings.Fields(`STRT CMPL ARRI DEPA OMIT CANC`),
	"IOT":        {"DETC"},
	"REEFER":     {"MEAS", "ADJU"},
}

// codeFields are the fields that hold the code of a type of events.
var codeFields = map[string]string{
	"SHIPMENT": "shipmentEventTypeCode", "TRANSPORT": "transportEventTypeCode", "EQUIPMENT": "equipmentEventTypeCode",
	"OPERATIONS": "operationsEventTypeCode", "IOT": "iotEventTypeCode", "REEFER": "reeferEventTypeCode",
}

var classifiers = map[string]tracking.Classifier{
	"ACT": tracking.Actual, "EST": tracking.Estimated, "PLN": tracking.Planned, "REQ": tracking.Requested,
}

var modes = map[string]string{"VESSEL": "sea", "BARGE": "sea", "RAIL": "rail", "TRUCK": "road"}

var facilities = []string{"BORD", "CLOC", "COFS", "COYA", "OFFD", "DEPO", "INTE", "POTE", "RAMP", "WAYP"}

func (d *decoder) decode(n *wire.Node) formats.Result {
	r := formats.Result{Index: d.Index}
	if n.Kind != scan.Object {
		d.Failf(wire.Pointer(d.path), formats.CodeType, "an event must be a JSON object, not %s", n.Kind)
		r.Findings = d.Findings
		return r
	}
	e := &tracking.Event{Kind: tracking.Equipment, Payload: json.RawMessage(n.Raw), Classifier: tracking.Actual}
	retracted := n.Get("isRetracted")
	if retracted != nil && retracted.Kind != scan.Bool {
		d.failf("isRetracted", formats.CodeType, "isRetracted must be true or false, not %s", retracted.Kind)
	}
	current := n.Get("eventClassification") != nil || n.Get("eventRouting") != nil || n.Get("eventType") == nil
	e.EventID = d.text(n, "eventID", 500)
	e.Source = d.source(n)
	if retracted.Is(scan.Bool) && string(retracted.Raw) == "true" {
		d.retraction(n, e)
	} else if current {
		d.version3(n, e)
	} else {
		d.version2(n, e)
	}
	if !d.Refused && e.EventID == "" {
		e.EventID = tracking.Fingerprint(e)
	}
	if !d.Refused {
		r.Event = e
	}
	r.Findings = d.Findings
	return r
}

// source is where an event comes from, the party that made it included.
func (d *decoder) source(n *wire.Node) string {
	source := d.options.DefaultSource
	var parts []string
	for _, field := range []string{"codeListProvider", "codeListName", "partyCode"} {
		if s := d.text(n, "eventRouting.originatingParty."+field, 150); s != "" {
			parts = append(parts, s)
		}
	}
	if party := strings.Join(parts, ":"); party != "" {
		source = strings.TrimPrefix(source+"/"+party, "/")
	}
	if source == "" {
		d.failf("eventRouting.originatingParty.partyCode", formats.CodeRequired, "nothing says where the event comes from: name its originating party")
	}
	if len(source) > formats.MaxIDBytes {
		d.failf("eventRouting.originatingParty.partyCode", formats.CodeTooLong, "the party has %d bytes; it may have %d", len(source), formats.MaxIDBytes)
	}
	return source
}

// text reads a string that may be missing, of a number of characters at most, and of no more bytes than an event may keep.
func (d *decoder) text(n *wire.Node, field string, most int) string {
	v := n.Get(strings.Split(field, ".")...)
	if v == nil || v.Kind == scan.Null {
		return ""
	}
	if v.Kind != scan.String {
		d.failf(field, formats.CodeType, "%s must be a string, not %s", field, v.Kind)
		return ""
	}
	s := strings.TrimSpace(v.Text)
	switch {
	case len(s) > formats.MaxIDBytes:
		d.failf(field, formats.CodeTooLong, "%s has %d bytes; it may have %d", field, len(s), formats.MaxIDBytes)
	case wire.HasControl(s):
		d.failf(field, formats.CodeFormat, "%s holds control characters; it must be plain text", field)
	case len([]rune(s)) > most:
		d.warnf(field, formats.CodeTooLong, "%s has %d characters; the standard allows %d", field, len([]rune(s)), most)
	}
	return s
}

func (d *decoder) needText(n *wire.Node, field string, most int, meaning string) string {
	s := d.text(n, field, most)
	if s == "" && !d.said(field) {
		d.failf(field, formats.CodeRequired, "%s is required: %s", field, meaning)
	}
	return s
}

func (d *decoder) said(field string) bool {
	pointer := wire.Pointer(d.path, strings.Split(field, ".")...)
	return slices.ContainsFunc(d.Findings, func(f formats.Finding) bool { return f.Field == pointer })
}

// time reads a date and time, which must have a zone.
func (d *decoder) time(n *wire.Node, field string, required bool) time.Time {
	s := d.text(n, field, 35)
	if s == "" {
		if required && !d.said(field) {
			d.failf(field, formats.CodeRequired, "%s is required: a time such as 2026-06-20T10:05:00-05:00", field)
		}
		return time.Time{}
	}
	t, ok := wire.ParseTime(s)
	if !ok {
		d.failf(field, formats.CodeFormat, "%s %q %s", field, wire.Shorten(s), wire.TimeHint(s))
		return time.Time{}
	}
	if y, utc := t.Year(), t.UTC().Year(); y < 1970 || utc < 1970 || y > 9999 || utc > 9999 {
		d.failf(field, formats.CodeRange, "%s must be in the years 1970 to 9999", field)
	}
	return t
}

// enum reads a code that must be on a list.
func (d *decoder) enum(n *wire.Node, field string, list []string) string {
	s := d.needText(n, field, 50, "one of "+strings.Join(list, ", "))
	if s == "" || slices.Contains(list, s) {
		return s
	}
	hint := "it must be one of " + strings.Join(list, ", ")
	if meant := suggest.Closest(strings.ToUpper(s), list); meant != "" {
		hint = "did you mean " + strconv.Quote(meant) + "?"
	}
	d.failf(field, formats.CodeEnum, "%s cannot be %q; %s", field, wire.Shorten(s), hint)
	return ""
}

// classify reads what an event is of: its type, its code and whether it happened.
func (d *decoder) classify(n *wire.Node, e *tracking.Event, within, typeField string) string {
	types := []string{"SHIPMENT", "TRANSPORT", "EQUIPMENT", "IOT", "REEFER", "OPERATIONS"}
	kind := d.enum(n, within+typeField, types)
	if class := d.enum(n, within+"eventClassifierCode", []string{"ACT", "EST", "PLN", "REQ"}); class != "" {
		e.Classifier = classifiers[class]
	}
	if kind == "" {
		return ""
	}
	field := within + codeFields[kind]
	e.Type = d.needText(n, field, 10, "the code of the event, such as "+kinds[kind][0])
	if e.Type != "" && !slices.Contains(kinds[kind], e.Type) {
		if meant := suggest.Closest(strings.ToUpper(e.Type), kinds[kind]); meant != "" {
			d.warnf(field, formats.CodeEnum, "%q is no code of a %s event; did you mean %q?", wire.Shorten(e.Type), kind, meant)
		} else {
			d.warnf(field, formats.CodeEnum, "%q is no code of a %s event: %s", wire.Shorten(e.Type), kind, strings.Join(kinds[kind], ", "))
		}
	}
	for other, name := range codeFields {
		if other != kind && n.Get(strings.Split(within+name, ".")...) != nil {
			d.warnf(within+name, formats.CodeConflict, "%s does not belong to a %s event", name, kind)
		}
	}
	if kind == "SHIPMENT" && e.Classifier != tracking.Actual {
		d.warnf(within+"eventClassifierCode", formats.CodeConflict, "a SHIPMENT event always is ACT")
	}
	return kind
}

// name decides what the journey and the thing are called.
func (d *decoder) name(e *tracking.Event, document, equipment, call, field string) {
	first := func(list ...string) string {
		for _, s := range list {
			if s != "" {
				return s
			}
		}
		return ""
	}
	e.CorrelationID = first(document, equipment, call)
	e.AggregateID = first(equipment, document, call)
	if e.CorrelationID == "" {
		d.failf(field, formats.CodeRequired, "the event names nothing that it is about: no document, no equipment and no transport call")
	}
	if equipment != "" && tracking.CheckContainer(equipment) != nil {
		d.warnf(field, formats.CodeFormat, "%q does not pass as the number of a container (ISO 6346); it is taken as it is", wire.Shorten(equipment))
	}
}

// preferred is the order in which documents give a journey its name.
var preferred = []string{"BKG", "CBR", "TRD", "BOL", "SHI"}

// document returns the reference that names the journey among some of a type each.
func document(references [][2]string) string {
	for _, kind := range preferred {
		for _, r := range references {
			if r[0] == kind && r[1] != "" {
				return r[1]
			}
		}
	}
	for _, r := range references {
		if r[1] != "" {
			return r[1]
		}
	}
	return ""
}
