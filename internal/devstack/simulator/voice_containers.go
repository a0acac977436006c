package simulator

import (
	"fmt"
	"strconv"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// port is a place where ships call.
type port struct {
	airport // whose code is the UN/LOCODE

	terminal string
}

func allPorts() []port {
	return []port{
		{airport{"PECLL", "PE", "Callao", zoned("America/Lima", -5)}, "DP World Callao"},
		{airport{"CNSHA", "CN", "Shanghai", zoned("Asia/Shanghai", 8)}, "Yangshan"},
		{airport{"NLRTM", "NL", "Rotterdam", zoned("Europe/Amsterdam", 1)}, "Maasvlakte II"},
		{airport{"PAMIT", "PA", "Manzanillo", zoned("America/Panama", -5)}, "MIT"},
		{airport{"USLAX", "US", "Los Angeles", zoned("America/Los_Angeles", -8)}, "APM Pier 400"},
		{airport{"CLVAP", "CL", "Valparaiso", zoned("America/Santiago", -4)}, "TPS"},
	}
}

// container is a container of a booking, from the shipper's empty one to the consignee's, by sea from or to Callao.
func (a *author) container(*market) *journey {
	ports := allPorts()
	from, to := ports[0], ports[1+a.rand.IntN(len(ports)-1)]
	if a.rand.IntN(2) == 0 {
		from, to = to, from
	}
	voyage := map[string]any{"voyage": fmt.Sprintf("%03dE", 100+a.rand.IntN(800)), "vessel": "ANDES EXPRESS", "imo": "9321483"}
	steps := []step{
		{code: "CONF", at: from.airport},
		{code: "GTOT", at: from.airport, detail: map[string]any{"empty": true}, after: a.minutes(600, 3000)},
		{code: "GTIN", at: from.airport, after: a.minutes(600, 3000)},
		{code: "LOAD", at: from.airport, after: a.minutes(200, 900)},
		{code: "DEPA", at: from.airport, detail: voyage, after: a.minutes(60, 600)},
		{code: "ARRI", at: to.airport, detail: voyage, after: a.minutes(9000, 20000)},
		{code: "DISC", at: to.airport, after: a.minutes(60, 600)},
		{code: "AVPU", at: to.airport, after: a.minutes(60, 900)},
		{code: "DROP", at: to.airport, after: a.minutes(300, 3000)},
	}
	serial := a.serial("container", 1_000_000)
	return &journey{
		kind: tracking.Equipment, source: "demo-dcsa", correlation: fmt.Sprintf("LIMB%07d", serial), aggregate: containerNumber("MSCU", serial), steps: steps,
	}
}

// containerNumber makes the number of a container with its check digit (ISO 6346).
func containerNumber(owner string, serial uint64) string {
	number := fmt.Sprintf("%s%06d", owner, serial)
	sum := 0
	for i, c := range number {
		value := int(c - '0')
		if c >= 'A' {
			value = int(c-'A') + 10
			value += (value - 1) / 10 // those that eleven divides are left out
		}
		sum += value << i
	}
	return number + strconv.Itoa(sum%11%10)
}

// sayContainer tells an event of DCSA Track & Trace 3.0.0.
func sayContainer(s saying) ([]byte, int) {
	classification := map[string]any{"eventClassifierCode": "ACT"}
	documents := map[string]any{"documentReference": map[string]any{"typeCode": "BKG", "reference": s.correlation}}
	updated := s.at.Add(time.Second)
	event := map[string]any{
		"eventRouting": map[string]any{"originatingParty": map[string]any{
			"partyCode": "ANDX", "codeListProvider": "SMDG", "codeListName": "LCL", "partyFunction": "CA",
		}},
		"eventID": s.id, "eventDateTime": s.at.UTC().Format(time.RFC3339), "eventClassification": classification, "shipmentDetails": documents,
	}
	place := map[string]any{"locationName": s.step.at.city, "UNLocationCode": s.step.at.code, "facilityTypeCode": "POTE"}
	equipment := map[string]any{"equipmentReference": s.aggregate, "ISOEquipmentCode": "22GP", "emptyIndicatorCode": "LADEN"}
	switch s.step.code {
	case "CONF":
		classification["eventTypeCode"], classification["shipmentEventTypeCode"] = "SHIPMENT", s.code()
	case "DEPA", "ARRI":
		classification["eventTypeCode"], classification["transportEventTypeCode"] = "TRANSPORT", s.code()
		event["eventLocation"] = place
		event["transportDetails"] = map[string]any{"transportCall": map[string]any{
			"transportCallReference": fmt.Sprintf("%v-%s", s.step.detail["voyage"], s.step.at.code), "transportCallSequenceNumber": 1, "modeOfTransport": "VESSEL",
			"exportVoyageNumberOrReference": map[string]any{"carrierVoyageNumber": s.step.detail["voyage"]},
			"vesselTransport":               map[string]any{"vesselIMONumber": s.step.detail["imo"], "vesselName": s.step.detail["vessel"]},
		}}
		event["equipmentDetails"] = equipment
	default:
		if s.step.detail["empty"] == true {
			equipment["emptyIndicatorCode"], place["facilityTypeCode"] = "EMPTY", "DEPO"
		}
		classification["eventTypeCode"], classification["equipmentEventTypeCode"] = "EQUIPMENT", s.code()
		event["eventLocation"], event["equipmentDetails"] = place, equipment
	}
	if s.nature == Correction {
		updated = updated.Add(time.Minute)
		event["eventDateTime"] = s.at.Add(-time.Minute).UTC().Format(time.RFC3339)
	}
	if s.nature == Void {
		updated = updated.Add(time.Minute)
		event["isRetracted"] = true
	}
	if s.nature == Malformed {
		delete(event, "eventDateTime")
	}
	event["eventUpdatedDateTime"] = updated.UTC().Format(time.RFC3339)
	return mustMarshal(map[string]any{"events": []any{event}}), 1
}
