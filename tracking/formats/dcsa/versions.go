package dcsa

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// references reads a list of documents, or of other references.
func (d *decoder) references(n *wire.Node, field, kind, value string) [][2]string {
	list := n.Get(strings.Split(field, ".")...)
	if list == nil || list.Kind == scan.Null {
		return nil
	}
	if list.Kind != scan.Array {
		d.failf(field, formats.CodeType, "%s must be an array, not %s", field, list.Kind)
		return nil
	}
	path := d.path
	defer func() { d.path = path }()
	var all [][2]string
	for i := range list.Items {
		d.path = append(slices.Clone(path), append(strings.Split(field, "."), strconv.Itoa(i))...)
		all = append(all, [2]string{d.text(&list.Items[i], kind, 50), d.text(&list.Items[i], value, 100)})
	}
	return all
}

// version3 reads an event of Track & Trace 3.0.0.
func (d *decoder) version3(n *wire.Node, e *tracking.Event) {
	if n.Get("eventClassification") == nil {
		d.failf("eventClassification", formats.CodeRequired, "eventClassification is required: the type, code and classifier of the event")
	}
	d.needText(n, "eventID", 500, "the id that a later update or retraction of the event repeats")
	e.OccurredAt = d.time(n, "eventDateTime", true)
	if updated := d.time(n, "eventUpdatedDateTime", false); updated.IsZero() {
		d.warnf("eventUpdatedDateTime", formats.CodeRequired, "without eventUpdatedDateTime a later update cannot be told from this event")
	} else {
		e.Revision = max(0, updated.UnixMicro())
	}
	kind := ""
	if n.Get("eventClassification") != nil {
		kind = d.classify(n, e, "eventClassification.", "eventTypeCode")
	}
	e.Location = d.place(n, "eventLocation")
	d.transport(n, e, "transportDetails.transportCall")
	d.subjects3(n, e)
	d.conform(n, kind)
}

func (d *decoder) subjects3(n *wire.Node, e *tracking.Event) {
	const details = "shipmentDetails."
	refs := append([][2]string{{
		d.text(n, details+"documentReference.typeCode", 50), d.text(n, details+"documentReference.reference", 100),
	}}, d.references(n, details+"additionalDocumentReferences", "typeCode", "reference")...)
	refs = append(refs, d.references(n, details+"shipmentReferences", "typeCode", "reference")...)
	d.name(e, document(refs), d.text(n, "equipmentDetails.equipmentReference", 11),
		d.text(n, "transportDetails.transportCall.transportCallReference", 100), "equipmentDetails.equipmentReference")
}

// retraction reads an event that takes back all before it of its id. Only the id must be there.
func (d *decoder) retraction(n *wire.Node, e *tracking.Event) {
	id := d.needText(n, "eventID", 500, "the id of the event that is retracted")
	e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{id}}
	updated := d.time(n, "eventUpdatedDateTime", false)
	if e.Revision = math.MaxInt64; updated.IsZero() {
		d.warnf("eventUpdatedDateTime", formats.CodeRequired, "without eventUpdatedDateTime the retraction stands above every update of the event")
	} else {
		e.Revision = max(0, updated.UnixMicro())
	}
	if e.OccurredAt = d.time(n, "eventDateTime", false); e.OccurredAt.IsZero() {
		if e.OccurredAt = updated; updated.IsZero() {
			d.failf("eventUpdatedDateTime", formats.CodeRequired, "eventUpdatedDateTime is required: when the event was retracted")
		}
	}
	e.Type = "RETRACTED"
	if kind := n.Get("eventClassification", "eventTypeCode").String(); codeFields[kind] != "" {
		e.Type = cmp.Or(d.text(n, "eventClassification."+codeFields[kind], 10), e.Type)
	}
	before := len(d.Findings)
	refused := d.Refused
	d.subjects3(n, e)
	if e.CorrelationID == "" && id != "" {
		d.Findings, d.Refused = d.Findings[:before], refused
		d.warnf("shipmentDetails", formats.CodeRequired,
			"the retraction does not repeat what the event was about; it is kept, but finds only events that name nothing either")
		e.CorrelationID, e.AggregateID = id, id
	}
}

// conform checks the conformance rules of 3.0.0: the details that a type of events must have.
func (d *decoder) conform(n *wire.Node, kind string) {
	want := map[string][]string{
		"SHIPMENT": {"shipmentDetails.documentReference.typeCode", "shipmentDetails.documentReference.reference"},
		"TRANSPORT": {
			"transportDetails.transportCall.transportCallReference", "transportDetails.transportCall.modeOfTransport",
		},
		"EQUIPMENT": {"eventLocation", "equipmentDetails.equipmentReference", "equipmentDetails.emptyIndicatorCode"},
		"IOT":       {"eventLocation", "equipmentDetails.equipmentReference", "iotDetails.iotEventCode"},
		"REEFER":    {"eventLocation", "equipmentDetails.equipmentReference", "reeferDetails"},
	}
	for _, field := range append([]string{"eventRouting.originatingParty.partyCode"}, want[kind]...) {
		if n.Get(strings.Split(field, ".")...) == nil && !d.said(field) {
			of := "every event"
			if field != "eventRouting.originatingParty.partyCode" {
				of = "every " + kind + " event"
			}
			d.warnf(field, formats.CodeRequired, "%s should stand in %s", field, of)
		}
	}
	if empty := d.text(n, "equipmentDetails.emptyIndicatorCode", 5); empty != "" && empty != "EMPTY" && empty != "LADEN" {
		d.warnf("equipmentDetails.emptyIndicatorCode", formats.CodeEnum, "%q is neither EMPTY nor LADEN", wire.Shorten(empty))
	}
}

// version2 reads an event of Track & Trace 2.2.
func (d *decoder) version2(n *wire.Node, e *tracking.Event) {
	if e.EventID == "" && !d.said("eventID") {
		d.failf("eventID", formats.CodeRequired, "without eventID a copy of the event cannot be told from another one: give it a UUID")
	} else if e.EventID != "" && !isUUID(e.EventID) {
		d.warnf("eventID", formats.CodeFormat, "%q is no UUID, as version 2.2 has it", wire.Shorten(e.EventID))
	}
	e.OccurredAt = d.time(n, "eventDateTime", true)
	created := d.time(n, "eventCreatedDateTime", true)
	e.Revision = max(0, created.UnixMicro())
	kind := d.classify(n, e, "", "eventType")
	if created.Before(e.OccurredAt) && e.Classifier == tracking.Actual && !created.IsZero() {
		d.warnf("eventCreatedDateTime", formats.CodeConflict, "the event was created before it happened")
	}
	e.Location = d.place(n, "eventLocation")
	if e.Location == nil {
		e.Location = d.place(n, "transportCall.location")
	}
	if e.Location == nil {
		e.Location = d.place(n, "transportCall")
	}
	d.transport(n, e, "transportCall")
	refs := d.references(n, "documentReferences", "documentReferenceType", "documentReferenceValue")
	equipment := d.text(n, "equipmentReference", 15)
	other := d.references(n, "references", "referenceType", "referenceValue")
	if kind == "SHIPMENT" {
		refs = append(refs, [2]string{d.needText(n, "documentTypeCode", 50, "the type of the document, as BKG"),
			d.needText(n, "documentID", 100, "the number of the document")})
	}
	for _, r := range other {
		if r[0] == "EQ" && equipment == "" && kind != "EQUIPMENT" {
			equipment = r[1]
		}
	}
	if kind == "EQUIPMENT" {
		if empty := d.needText(n, "emptyIndicatorCode", 5, "EMPTY or LADEN"); empty != "" && empty != "EMPTY" && empty != "LADEN" {
			d.failf("emptyIndicatorCode", formats.CodeEnum, "emptyIndicatorCode cannot be %q; it must be EMPTY or LADEN", wire.Shorten(empty))
		}
	}
	if kind == "TRANSPORT" && n.Get("transportCall") == nil {
		d.failf("transportCall", formats.CodeRequired, "transportCall is required: the visit of the vessel, train or truck")
	}
	d.name(e, document(refs), equipment, d.text(n, "transportCall.transportCallID", 100), "equipmentReference")
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && strings.IndexByte("0123456789abcdefABCDEF", s[i]) < 0 {
			return false
		}
	}
	return true
}

// place reads a location, in the form of either version.
func (d *decoder) place(n *wire.Node, field string) *tracking.Location {
	at := n.Get(strings.Split(field, ".")...)
	if at == nil || at.Kind == scan.Null {
		return nil
	}
	if at.Kind != scan.Object {
		d.failf(field, formats.CodeType, "%s must be an object, not %s", field, at.Kind)
		return nil
	}
	var l tracking.Location
	l.Name = d.text(n, field+".locationName", 100)
	if code := d.text(n, field+".UNLocationCode", 5); unlocode(code) {
		l.UNLocode = code
	} else if code != "" {
		d.warnf(field+".UNLocationCode", formats.CodeFormat, "%q is no UN/LOCODE: two letters of the country and three of the place, as DEHAM", wire.Shorten(code))
	}
	l.Facility = cmp.Or(d.text(n, field+".facility.facilityCode", 6), d.text(n, field+".facilityCode", 6))
	if kind := d.text(n, field+".facilityTypeCode", 10); kind != "" {
		if !slices.Contains(facilities, kind) {
			d.warnf(field+".facilityTypeCode", formats.CodeEnum, "%q is no type of facility: %s", wire.Shorten(kind), strings.Join(facilities, ", "))
		}
		l.Facility = cmp.Or(l.Facility, kind)
	}
	for _, within := range []string{field + ".geoCoordinate", field} {
		lat, lon := d.degrees(n, within+".latitude", 90), d.degrees(n, within+".longitude", 180)
		if lat != nil && lon != nil {
			l.Lat, l.Lon = lat, lon
			break
		}
	}
	if l == (tracking.Location{}) {
		return nil
	}
	return &l
}

// degrees reads a coordinate, which the standard writes as a string.
func (d *decoder) degrees(n *wire.Node, field string, most float64) *float64 {
	s := d.text(n, field, 20)
	if s == "" {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > most {
		d.warnf(field, formats.CodeRange, "%q must be degrees from -%g to %g", wire.Shorten(s), most, most)
		return nil
	}
	return &f
}

func unlocode(s string) bool {
	if len(s) != 5 {
		return false
	}
	for i := range 5 {
		upper := s[i] >= 'A' && s[i] <= 'Z'
		if !upper && (i < 2 || s[i] < '2' || s[i] > '9') {
			return false
		}
	}
	return true
}

// transport reads the voyage.
func (d *decoder) transport(n *wire.Node, e *tracking.Event, field string) {
	call := n.Get(strings.Split(field, ".")...)
	if call == nil || call.Kind == scan.Null {
		return
	}
	if call.Kind != scan.Object {
		d.failf(field, formats.CodeType, "%s must be an object, not %s", field, call.Kind)
		return
	}
	mode := d.text(n, field+".modeOfTransport", 50)
	if mode != "" && modes[mode] == "" && mode != "MULTIMODAL" {
		d.warnf(field+".modeOfTransport", formats.CodeEnum, "%q is no mode of transport: VESSEL, BARGE, RAIL, TRUCK, MULTIMODAL", wire.Shorten(mode))
	}
	t := tracking.Transport{Mode: modes[mode]}
	t.Carrier = cmp.Or(d.text(n, field+".vesselTransport.operatorCarrierCode", 10), d.text(n, field+".vessel.vesselOperatorCarrierCode", 10))
	imo := cmp.Or(d.text(n, field+".vesselTransport.vesselIMONumber", 8), d.text(n, field+".vessel.vesselIMONumber", 8))
	for _, voyage := range []string{
		"exportVoyageNumberOrReference.carrierVoyageNumber", "exportVoyageNumberOrReference.universalVoyageReference", "exportVoyageNumber",
		"importVoyageNumberOrReference.carrierVoyageNumber", "importVoyageNumberOrReference.universalVoyageReference", "importVoyageNumber",
		"carrierVoyageNumber", "universalExportVoyageReference",
	} {
		if t.Number == "" {
			t.Number = d.text(n, field+"."+voyage, 50)
		}
	}
	if !imoNumber(imo) && imo != "" {
		at := field + ".vesselTransport.vesselIMONumber"
		if call.Get("vesselTransport") == nil {
			at = field + ".vessel.vesselIMONumber"
		}
		d.warnf(at, formats.CodeFormat, "%q does not pass as an IMO number: seven digits, the last of them the check digit", wire.Shorten(imo))
	}
	if t != (tracking.Transport{}) {
		e.Transport = &t
	}
}

// imoNumber checks the number of a ship: seven digits, the last that of the sum of the others times 7 to 2 (IMO resolution
// A.1117(30)).
func imoNumber(s string) bool {
	if len(s) != 7 {
		return false
	}
	sum := 0
	for i := range 7 {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		if i < 6 {
			sum += int(s[i]-'0') * (7 - i)
		}
	}
	return sum%10 == int(s[6]-'0')
}
