// Package epcis decodes EPCIS 2.0 in its JSON-LD binding: capture documents, query documents, and single events, of all five
// types and of types that extend them.
//
// One event of EPCIS names many things: pallets, items, classes of goods. Each of them, a parent included, gives one event of
// Rastro, whose correlation_id and aggregate_id are the thing's URI as it was sent (compact URIs in full). An event about no thing,
// as sensors at a place send, is about its read point. event_type is the business step, as the bare word of the Core Business
// Vocabulary or a URI of the sender's own, or else the type of the event. event_id is the eventID, or without one the event
// hash of CBV 2.0; where an event names several things, each has its own with the thing after a #. An error declaration voids
// what had the same id and takes its declarationTime as revision. The payload is the event with all its extensions, byte for
// byte; of one that names more than 16 things, each payload lists only its own.
//
// Events are checked by the rules of the JSON Schema and vocabularies of the standard. The Field of a finding is the JSON pointer
// (RFC 6901) into the body. Faults of a document refuse all its events.
package epcis

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// Limits on what one event may name.
const (
	// MaxThings is how many things one event may name.
	MaxThings = 10_000
	// maxWhole is up to how many things each gets the whole event as its payload.
	maxWhole = 16
	// maxPayloads is how many bytes the payloads made of one event may have together.
	maxPayloads = 32 << 20
)

// Decode reads the events of a body. It returns a result for each thing that an event names, or one for an event that is
// refused, with the position of the EPCIS event as Index; or a *formats.BodyError when the body is no JSON. The events keep
// parts of body, which must not change afterwards.
func Decode(body []byte, opt formats.Options) ([]formats.Result, error) {
	root, err := wire.Document(body)
	if err != nil {
		return nil, err
	}
	c := &checker{notes: &wire.Notes{}, names: standardNames}
	list, path := c.document(root)
	if c.notes.Refused {
		return refuseAll(list, c.notes), nil
	}
	var results []formats.Result
	for i, event := range list {
		if opt.MaxEvents > 0 && i >= opt.MaxEvents {
			return nil, tooMany(opt.MaxEvents)
		}
		d := &decoder{checker: checker{notes: &wire.Notes{Index: i}, names: c.names}, options: opt}
		d.path = slices.Clone(path)
		if path != nil {
			d.path.PushIndex(i)
		}
		results = append(results, d.decode(event)...)
		if opt.MaxEvents > 0 && len(results) > opt.MaxEvents {
			return nil, tooMany(opt.MaxEvents)
		}
	}
	return results, nil
}

// IsEvent reports whether a body that Decode reads is one event by itself: no document is around it.
func IsEvent(body []byte) bool {
	s, found := scan.New(body), false
	err := s.Members(func(key []byte, value scan.Value) {
		if string(key) == "type" {
			found = value.Kind == scan.String && value.Text() != "EPCISDocument" && value.Text() != "EPCISQueryDocument"
		}
	})
	return err == nil && found
}

func tooMany(limit int) error {
	return &formats.BodyError{
		Code: formats.CodeTooMany, Line: 1, Message: fmt.Sprintf("there are more than %d events and things; send them in several requests", limit),
	}
}

// refuseAll returns what a fault of a document means for its events.
func refuseAll(list []*wire.Node, notes *wire.Notes) []formats.Result {
	results := make([]formats.Result, max(1, len(list)))
	for i := range results {
		results[i] = formats.Result{Index: i}
		if i == 0 {
			results[i].Findings = notes.Findings
			continue
		}
		first := notes.Findings[0]
		first.Index = i
		results[i].Findings = []formats.Finding{first}
	}
	return results
}

// document checks what stands around events, and returns them and where they stand; a nil path says that the body is an event.
func (c *checker) document(root *wire.Node) ([]*wire.Node, wire.Path) {
	if !c.is(root, scan.Object) {
		return nil, nil
	}
	kind := root.Get("type")
	if kind == nil {
		c.required("type", "EPCISDocument, or the type of a single event, such as ObjectEvent")
		return nil, nil
	}
	var body *shape
	at := []string{"epcisBody", "eventList"}
	switch kind.String() {
	case "EPCISDocument":
		body = document
	case "EPCISQueryDocument":
		body = queryDocument
		at = []string{"epcisBody", "queryResults", "resultsBody", "eventList"}
	default:
		if root.Get("@context") == nil {
			c.required("@context", meanings["@context"])
		}
		if root.Get("epcisBody") != nil {
			c.path.Push("type")
			one("EPCISDocument", "EPCISQueryDocument")(c, kind)
			c.path.Pop()
		}
		return []*wire.Node{root}, nil
	}
	body.rule(c, root)
	c.names = c.names.with(root.Get("@context"))
	n := root
	for _, key := range at {
		next := n.Get(key)
		switch {
		case next == nil && n != root:
			c.required(key, meanings[key])
			fallthrough
		case next == nil:
			return nil, nil
		}
		c.path.Push(key)
		n = next
		want := scan.Object
		if key == "eventList" {
			want = scan.Array
		}
		if !c.is(n, want) {
			return nil, nil
		}
	}
	list := make([]*wire.Node, len(n.Items))
	for i := range n.Items {
		list[i] = &n.Items[i]
	}
	return list, append(wire.Path{}, at...)
}

func anything(*checker, *wire.Node) {}

// header checks the header of a document, which may hold master data.
func header(c *checker, n *wire.Node) {
	master := &shape{open: true, fields: map[string]rule{"vocabularyList": list(masterData.rule, 0, false)}}
	(&shape{open: true, fields: map[string]rule{"epcisMasterData": master.rule}}).rule(c, n)
}

// decoder reads one event.
type decoder struct {
	checker
	options formats.Options
}

func (d *decoder) decode(n *wire.Node) []formats.Result {
	d.names = d.names.with(n.Get("@context"))
	if d.event(n); d.notes.Refused {
		return d.without()
	}
	things := d.things(n)
	base := d.base(n)
	if d.notes.Refused || len(things) == 0 {
		return d.without()
	}
	id := n.Get("eventID").String()
	if id == "" {
		id = hash(n, d.names)
	}
	payloads := d.payloads(n, things)
	if d.notes.Refused {
		return d.without()
	}
	declared := n.Get("errorDeclaration")
	results := make([]formats.Result, len(things))
	for i, thing := range things {
		e := base.Clone()
		e.EventID, e.CorrelationID, e.AggregateID, e.Quantity, e.Payload = id, thing.id, thing.id, thing.quantity, payloads[i]
		if len(things) > 1 {
			e.EventID = partID(id, thing.id)
		}
		if declared != nil {
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{e.EventID}, Reason: d.reason(declared)}
		}
		results[i] = formats.Result{Index: d.notes.Index, Event: e}
	}
	results[0].Findings = d.notes.Findings
	return results
}

// without is what becomes of an event that is refused, or set aside.
func (d *decoder) without() []formats.Result {
	return []formats.Result{{Index: d.notes.Index, Findings: d.notes.Findings}}
}

// partID is the id of one of the things that an event names.
func partID(id, thing string) string {
	if whole := id + "#" + thing; len(whole) <= formats.MaxIDBytes {
		return whole
	}
	sum := sha256.Sum256([]byte(thing))
	if len(id) > formats.MaxIDBytes-33 {
		whole := sha256.Sum256([]byte(id))
		id = "sha256:" + hex.EncodeToString(whole[:])
	}
	return id + "#" + hex.EncodeToString(sum[:16])
}

func (d *decoder) reason(declared *wire.Node) string {
	reason := d.names.expand(declared.Get("reason").String())
	if word := reasons.word(reason); word != "" {
		return word
	}
	return reason
}

// base makes what the events of all things have in common.
func (d *decoder) base(n *wire.Node) *tracking.Event {
	e := &tracking.Event{Source: d.options.DefaultSource, Classifier: tracking.Actual}
	if e.Source == "" {
		d.notes.Failf("", formats.CodeRequired, "nothing says where the event comes from: name a source to go with the body")
	}
	e.OccurredAt = d.moment(n, "eventTime")
	if offset, ok := zone(n.Get("eventTimeZoneOffset").String()); ok {
		e.OccurredAt = e.OccurredAt.In(offset)
	}
	e.Type = n.Get("type").String()
	if step := n.Get("bizStep").String(); step != "" {
		if e.Type = bizSteps.word(d.names.expand(step)); e.Type == "" {
			e.Type = d.names.expand(step)
		}
	}
	d.short("bizStep", e.Type)
	d.short("eventID", n.Get("eventID").String())
	place := n.Get("readPoint")
	if place == nil {
		place = n.Get("bizLocation")
	}
	e.Location = d.location(place)
	if declared := n.Get("errorDeclaration"); declared != nil {
		d.path.Push("errorDeclaration")
		e.Revision = max(0, d.moment(declared, "declarationTime").UnixMicro())
		d.path.Pop()
	}
	return e
}

func (d *decoder) short(field, s string) {
	if len(s) > formats.MaxIDBytes {
		d.notes.Failf(wire.Pointer(d.path, field), formats.CodeTooLong, "it has %d bytes; it may have %d", len(s), formats.MaxIDBytes)
	}
}

func (d *decoder) moment(n *wire.Node, field string) time.Time {
	t, _ := wire.ParseTime(n.Get(field).String())
	if y, utc := t.Year(), t.UTC().Year(); y < 1970 || utc < 1970 || y > 9999 || utc > 9999 {
		d.notes.Failf(wire.Pointer(d.path, field), formats.CodeRange, "it must be in the years 1970 to 9999")
	}
	return t
}

// zone reads an offset from UTC that has been checked.
func zone(s string) (*time.Location, bool) {
	if len(s) != 6 {
		return nil, false
	}
	t, err := time.Parse("-07:00", s)
	if err != nil {
		return nil, false
	}
	_, offset := t.Zone()
	if offset == 0 {
		return time.UTC, true
	}
	return time.FixedZone("", offset), true
}

// location says where an event happened: by GLN, by coordinates (RFC 5870), or else by the URI of the place.
func (d *decoder) location(place *wire.Node) *tracking.Location {
	id := d.names.expand(place.Get("id").String())
	if id == "" {
		return nil
	}
	if rest, ok := strings.CutPrefix(id, "geo:"); ok {
		rest, _, _ = strings.Cut(rest, ";")
		parts := strings.Split(rest, ",")
		if len(parts) >= 2 {
			lat, err := strconv.ParseFloat(parts[0], 64)
			lon, err2 := strconv.ParseFloat(parts[1], 64)
			if err == nil && err2 == nil && math.Abs(lat) <= 90 && math.Abs(lon) <= 180 {
				return &tracking.Location{Lat: &lat, Lon: &lon}
			}
		}
	}
	l := &tracking.Location{GLN: gln(Canonical(id))}
	if l.GLN == "" || strings.Contains(Canonical(id), "/254/") {
		l.Name = id
	}
	if len(l.Name) > formats.MaxIDBytes {
		l.Name = l.Name[:formats.MaxIDBytes]
	}
	return l
}
