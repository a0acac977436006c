package epcis

// The shapes below say what the JSON Schema of EPCIS 2.0 says
// (https://ref.gs1.org/standards/epcis/2.0.0/epcis-json-schema.json); what it says across fields is in event.go.

// meanings says what fields are that must be there.
var meanings = map[string]string{
	"@context":            `"https://ref.gs1.org/standards/epcis/epcis-context.jsonld", or a list of it and your own namespaces`,
	"type":                "what it is, such as ObjectEvent",
	"schemaVersion":       "the version of EPCIS, such as 2.0",
	"creationDate":        "when the document was made, as in 2026-06-20T10:05:00-05:00",
	"epcisBody":           "an object with the eventList",
	"eventList":           "a list of events",
	"queryResults":        "an object with the resultsBody",
	"resultsBody":         "an object with the eventList",
	"queryName":           "the name of the query",
	"eventTime":           "when it happened, as in 2026-06-20T10:05:00-05:00",
	"eventTimeZoneOffset": "the offset of the local time where it happened, as -05:00",
	"action":              "it must be one of OBSERVE, ADD, DELETE",
	"parentID":            "what the children belong to",
	"bizTransactionList":  "the transactions that the event is about",
	"bizTransaction":      "the URI of the transaction",
	"id":                  "the URI of the place",
	"epcClass":            "the URI of the class of objects",
	"declarationTime":     "when the error was declared",
	"sensorReport":        "a list of what was measured",
	"source":              "the URI of the party or place",
	"destination":         "the URI of the party or place",
}

var (
	quantity = &shape{required: []string{"epcClass"}, fields: map[string]rule{
		"epcClass": uri, "quantity": number, "uom": pattern(`^[A-Z0-9]{2,3}$`, "a unit of UN/ECE Recommendation 20, as KGM"),
	}}
	transaction = &shape{required: []string{"bizTransaction"}, fields: map[string]rule{"type": of(transactionTypes), "bizTransaction": uri}}
	source      = &shape{required: []string{"type", "source"}, fields: map[string]rule{"type": of(partyTypes), "source": uri}}
	destination = &shape{required: []string{"type", "destination"}, fields: map[string]rule{"type": of(partyTypes), "destination": uri}}
	persistent  = &shape{fields: map[string]rule{"set": list(of(dispositions), 1, true), "unset": list(of(dispositions), 1, true)}}
	declaration = &shape{required: []string{"declarationTime"}, open: true, fields: map[string]rule{
		"declarationTime": dateTime, "reason": of(reasons), "correctiveEventIDs": list(uri, 0, false),
	}}
	metadata = &shape{open: true, fields: map[string]rule{
		"time": dateTime, "startTime": dateTime, "endTime": dateTime, "deviceID": uri, "deviceMetadata": uri, "rawData": uri,
		"dataProcessingMethod": uri, "bizRules": uri,
	}}
	report = &shape{required: []string{"type"}, open: true, fields: map[string]rule{
		"type": of(measurements), "exception": of(alerts), "deviceID": uri, "deviceMetadata": uri, "rawData": uri,
		"dataProcessingMethod": uri, "bizRules": uri, "time": dateTime, "microorganism": uri, "chemicalSubstance": uri,
		"coordinateReferenceSystem": uri, "value": number, "component": of(components), "stringValue": text,
		"booleanValue": boolean, "hexBinaryValue": pattern(`^[A-Fa-f0-9]+$`, "hexadecimal digits"), "uriValue": uri,
		"minValue": number, "maxValue": number, "meanValue": number, "sDev": number, "percRank": number, "percValue": number,
		"uom": text,
	}}
	sensor = &shape{required: []string{"sensorReport"}, open: true, fields: map[string]rule{
		"type":           elementType,
		"sensorMetadata": metadata.rule, "sensorReport": list(report.rule, 1, false),
	}}
)

// common are the fields of every event.
var common = map[string]rule{
	"@context": context, "type": text, "eventTime": dateTime, "recordTime": dateTime, "eventID": uri, "certificationInfo": uriOrList,
	"eventTimeZoneOffset": pattern(`^[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)$`, "an offset from -14:00 to +14:00, as -05:00"),
	"errorDeclaration":    declaration.rule,
}

// further are the fields that some types of events have.
var further = map[string]rule{
	"action": one("OBSERVE", "ADD", "DELETE"), "bizStep": of(bizSteps), "disposition": of(dispositions),
	"persistentDisposition": persistentDisposition, "readPoint": identified, "bizLocation": identified, "parentID": uri,
	"transformationID": uri, "epcList": list(uri, 0, true), "inputEPCList": list(uri, 0, true), "outputEPCList": list(uri, 0, true),
	"childEPCs": list(uri, 0, false), "quantityList": list(quantity.rule, 0, false), "childQuantityList": list(quantity.rule, 0, false),
	"inputQuantityList": list(quantity.rule, 0, false), "outputQuantityList": list(quantity.rule, 0, false),
	"bizTransactionList": list(transaction.rule, 0, false), "sourceList": list(source.rule, 0, false),
	"destinationList": list(destination.rule, 0, false), "sensorElementList": list(sensor.rule, 0, false), "ilmd": extensions,
}

func event(required []string, fields ...string) *shape {
	s := &shape{open: true, fields: map[string]rule{}, required: append([]string{"eventTime", "eventTimeZoneOffset"}, required...)}
	for key, check := range common {
		s.fields[key] = check
	}
	for _, key := range append(fields, "bizStep", "disposition", "readPoint", "bizLocation", "bizTransactionList", "sourceList",
		"destinationList", "sensorElementList") {
		s.fields[key] = further[key]
	}
	return s
}

// The types of events.
const (
	objectEvent         = "ObjectEvent"
	aggregationEvent    = "AggregationEvent"
	associationEvent    = "AssociationEvent"
	transactionEvent    = "TransactionEvent"
	transformationEvent = "TransformationEvent"
)

var eventTypes = []string{objectEvent, aggregationEvent, associationEvent, transactionEvent, transformationEvent}

var events = map[string]*shape{
	objectEvent:      event([]string{"action"}, "action", "epcList", "quantityList", "persistentDisposition", "ilmd"),
	aggregationEvent: event([]string{"action"}, "action", "parentID", "childEPCs", "childQuantityList", "persistentDisposition"),
	associationEvent: event([]string{"action", "parentID"}, "action", "parentID", "childEPCs", "childQuantityList", "persistentDisposition"),
	transactionEvent: event([]string{"action", "bizTransactionList"}, "action", "parentID", "epcList", "quantityList", "persistentDisposition"),
	transformationEvent: event(nil, "inputEPCList", "inputQuantityList", "outputEPCList", "outputQuantityList", "transformationID",
		"persistentDisposition", "ilmd"),
}

var (
	document = &shape{required: []string{"@context", "type", "schemaVersion", "creationDate", "epcisBody"}, open: true, fields: map[string]rule{
		"@context": context, "id": documentID, "type": one("EPCISDocument"), "creationDate": dateTime, "instanceIdentifier": text,
		"schemaVersion": pattern(`^\d+(\.\d+)*$`, "a version, as 2.0"), "sender": text, "receiver": text, "epcisHeader": header, "epcisBody": anything,
	}}
	queryDocument = &shape{required: []string{"@context", "type", "epcisBody"}, open: true, fields: map[string]rule{
		"@context": context, "id": documentID, "type": one("EPCISQueryDocument"), "creationDate": dateTime,
		"schemaVersion": pattern(`^\d+(\.\d+)*$`, "a version, as 2.0"), "epcisBody": queryBody.rule,
	}}
	// What is missing on the way to the events of a query is said as they are looked for.
	queryBody    = &shape{open: true, fields: map[string]rule{"queryResults": queryResults.rule}}
	queryResults = &shape{required: []string{"queryName"}, open: true, fields: map[string]rule{
		"queryName": text, "subscriptionID": text, "resultsBody": resultsBody.rule,
	}}
	resultsBody = &shape{open: true, fields: map[string]rule{"eventList": anything, "vocabularyList": anything}}
	attribute   = &shape{required: []string{"id"}, open: true, fields: map[string]rule{"id": uri, "attribute": anything}}
	element     = &shape{required: []string{"id"}, open: true, fields: map[string]rule{"id": uri, "attributes": list(attribute.rule, 0, false), "children": list(uri, 0, false)}}
	masterData  = &shape{required: []string{"type"}, open: true, fields: map[string]rule{"type": uri, "vocabularyElementList": list(element.rule, 0, false)}}
)
