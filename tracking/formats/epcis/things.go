package epcis

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// thing is one of those that an event names.
type thing struct {
	id       string
	quantity *tracking.Quantity
	// list is the field that names it, and raw how; empty when it is no list.
	list string
	raw  []byte
}

// things returns what an event names, each once, the parent first.
func (d *decoder) things(n *wire.Node) []thing {
	var all []thing
	seen := map[string]bool{}
	add := func(value *wire.Node, t thing) {
		t.id = d.names.expand(value.String())
		if t.id == "" || seen[t.id] {
			return
		}
		seen[t.id] = true
		if len(t.id) > formats.MaxIDBytes {
			d.notes.Failf(wire.Pointer(d.path, cmp.Or(t.list, "parentID")), formats.CodeTooLong, "an identifier has %d bytes; it may have %d", len(t.id), formats.MaxIDBytes)
		}
		all = append(all, t)
	}
	add(n.Get("parentID"), thing{})
	for _, field := range lists {
		list := n.Get(field)
		if !list.Is(scan.Array) {
			continue
		}
		for i := range list.Items {
			item := &list.Items[i]
			if item.Kind == scan.Object {
				add(item.Get("epcClass"), thing{quantity: amount(item), list: field, raw: item.Raw})
			} else {
				add(item, thing{list: field, raw: item.Raw})
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	add(n.Get("readPoint", "id"), thing{})
	add(n.Get("bizLocation", "id"), thing{})
	add(n.Get("transformationID"), thing{})
	if transactions := n.Get("bizTransactionList"); len(all) == 0 && transactions != nil && len(transactions.Items) > 0 {
		add(transactions.Items[0].Get("bizTransaction"), thing{})
	}
	if len(all) == 0 {
		d.notes.Warnf(wire.Pointer(d.path, "readPoint"), formats.CodeRequired,
			"the event names nothing that can be traced: no object, and no readPoint either; it is counted, and set aside")
		return nil
	}
	return all[:1]
}

// lists are the fields that name things.
var lists = []string{
	"epcList", "childEPCs", "inputEPCList", "outputEPCList", "quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList",
}

// amount reads a quantity: without a unit it counts pieces.
func amount(n *wire.Node) *tracking.Quantity {
	q := n.Get("quantity")
	if !q.Is(scan.Number) {
		return nil
	}
	f, err := strconv.ParseFloat(string(q.Raw), 64)
	if err != nil || f <= 0 || f > 1e9 {
		return nil
	}
	switch n.Get("uom").String() {
	case "":
		if f == math.Trunc(f) {
			return &tracking.Quantity{Pieces: int(f)}
		}
	case "KGM":
		return &tracking.Quantity{Weight: f, WeightUnit: "kg"}
	case "LBR":
		return &tracking.Quantity{Weight: f, WeightUnit: "lb"}
	}
	return nil
}

// payloads returns the payload of each thing.
func (d *decoder) payloads(n *wire.Node, things []thing) []json.RawMessage {
	all := make([]json.RawMessage, len(things))
	if len(things) > MaxThings {
		d.failf(formats.CodeTooLong, "the event names %d things; it may name %d: send several events", len(things), MaxThings)
		return all
	}
	if len(things) <= maxWhole {
		for i := range all {
			all[i] = json.RawMessage(n.Raw)
		}
		return all
	}
	var head bytes.Buffer
	for i := range n.Members {
		m := &n.Members[i]
		if slices.Contains(lists, m.Key) {
			continue
		}
		head.Write(quoted(m.Key))
		head.WriteByte(':')
		head.Write(m.Value.Raw)
		head.WriteByte(',')
	}
	if head.Len()*len(things) > maxPayloads {
		d.failf(formats.CodeTooLong, "the event names %d things and has %d bytes besides; send several events", len(things), head.Len())
		return all
	}
	for i, thing := range things {
		one := append([]byte{'{'}, head.Bytes()...)
		if thing.list == "" {
			one = one[:len(one)-1]
		} else {
			one = append(append(append(append(one, '"'), thing.list...), `":[`...), thing.raw...)
			one = append(one, ']')
		}
		all[i] = append(one, '}')
	}
	return all
}

func quoted(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot be: it is a string
	}
	return text
}
