package epcis

import (
	"slices"
	"strings"

	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// event checks an event by the shape of its type, and what the standard says across fields.
func (d *decoder) event(n *wire.Node) {
	if !d.is(n, scan.Object) {
		return
	}
	kind := n.Get("type")
	if kind == nil {
		d.required("type", "one of "+strings.Join(eventTypes, ", "))
		return
	}
	shape, known := events[kind.String()]
	if !known {
		d.path.Push("type")
		if d.is(kind, scan.String) && (!isURI(kind.Text) || slices.Contains(eventTypes, strings.TrimPrefix(kind.Text, "epcis:"))) {
			one(eventTypes...)(&d.checker, kind)
		}
		d.path.Pop()
		extended.rule(&d.checker, n)
		return
	}
	if shape.rule(&d.checker, n); d.notes.Refused {
		return
	}
	d.across(n)
}

func (d *decoder) across(n *wire.Node) {
	action := n.Get("action").String()
	some := func(field string) bool { list := n.Get(field); return list != nil && len(list.Items) > 0 }
	switch n.Get("type").Text {
	case objectEvent:
		if n.Get("epcList") == nil && !some("quantityList") && (!some("sensorElementList") || n.Get("readPoint") == nil) {
			d.required("epcList", "an ObjectEvent must have an epcList, a quantityList, or a sensorElementList with a readPoint")
		}
		if n.Get("ilmd") != nil && action != "ADD" {
			d.notes.Failf(wire.Pointer(d.path, "ilmd"), formats.CodeConflict, "ilmd may stand only in an event with the action ADD, not %s", action)
		}
	case aggregationEvent, associationEvent:
		if action != "DELETE" && !some("childEPCs") && !some("childQuantityList") {
			d.required("childEPCs", "childEPCs or childQuantityList must name at least one child, unless the action is DELETE")
		}
		if n.Get("parentID") == nil && action != "OBSERVE" {
			d.notes.Warnf(wire.Pointer(d.path, "parentID"), formats.CodeRequired, "parentID is missing, without which %s says nothing of a parent", action)
		}
	case transactionEvent:
		if !some("bizTransactionList") {
			d.notes.Failf(wire.Pointer(d.path, "bizTransactionList"), formats.CodeRequired, "the list must have at least 1")
		}
		if action != "DELETE" && n.Get("epcList") == nil && !some("quantityList") {
			d.required("epcList", "epcList or quantityList must stand in a TransactionEvent, unless the action is DELETE")
		}
	case transformationEvent:
		in, out := some("inputEPCList") || some("inputQuantityList"), some("outputEPCList") || some("outputQuantityList")
		switch {
		case in && out, (in || out) && n.Get("transformationID") != nil:
		case in:
			d.required("outputEPCList", "a TransformationEvent must have outputs, unless a transformationID links it to the event that has")
		default:
			d.required("inputEPCList", "a TransformationEvent must have inputs, unless a transformationID links it to the event that has")
		}
	}
}

// extended is an event of a type of the sender's own: nothing but what all events have in common is known.
var extended = func() *shape {
	s := &shape{open: true, loose: true, required: []string{"eventTime", "eventTimeZoneOffset"}, fields: map[string]rule{}}
	for key, check := range common {
		s.fields[key] = check
	}
	for key, check := range further {
		s.fields[key] = check
	}
	return s
}()
