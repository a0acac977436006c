package ingest

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/tracking/formats/dcsa"
)

// Topic is where accepted events go.
const Topic = "events.ingested"

// SentEvent is the wire form of an event, as senders write it. It documents the operation; decoding is the formats' work.
type SentEvent struct {
	TenantID      string `json:"tenant_id,omitempty" doc:"Who owns the event; the token's tenant, and may be left out" example:"talma-pe"`
	CorrelationID string `json:"correlation_id" maxLength:"256" doc:"The journey: air waybill, booking, parcel number, bag tag" example:"0045123456"`
	AggregateID   string `json:"aggregate_id" maxLength:"256" doc:"The thing: this bag, this ULD, this piece" example:"0045123456"`
	EventType     string `json:"event_type" maxLength:"256" doc:"The sender's code" example:"loaded"`
	Timestamp     string `json:"timestamp" format:"date-time" doc:"When it happened, RFC 3339 with a zone" example:"2026-06-20T22:55:01-05:00"`
	Payload       any    `json:"payload,omitempty" doc:"The sender's own data, kept as it is"`
	EventID       string `json:"event_id,omitempty" maxLength:"256" doc:"The sender's id of the event; a fingerprint stands in when it is absent"`
	Revision      any    `json:"revision,omitempty" doc:"The sender's version of event_id: an integer or an RFC 3339 time; a correction has a later one"`
	Source        string `json:"source,omitempty" maxLength:"256" doc:"The carrier or system that speaks; the token's client when absent" example:"bhs-lim"`
	Kind          string `json:"kind,omitempty" enum:"baggage,cargo,parcel,passenger,equipment"`
	Classifier    string `json:"classifier,omitempty" enum:"actual,estimated,planned,requested,expected" doc:"Only actual events move a trace; actual when absent"`
}

// Document adds the operations to the API's OpenAPI document. They are served by plain Fiber, being the hot path.
func Document(api huma.API) {
	documentEvents(api)
	documentCarriers(api)
	documentCapture(api)
}

func documentEvents(api huma.API) {
	registry := api.OpenAPI().Components.Schemas
	event := registry.Schema(reflect.TypeFor[SentEvent](), true, "SentEvent")
	accepted := registry.Schema(reflect.TypeFor[Response](), true, "IngestResponse")
	trouble := registry.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	one := &huma.Schema{OneOf: []*huma.Schema{event, {Type: huma.TypeArray, Items: event}}}
	cloudEvent := &huma.Schema{Type: huma.TypeObject, Description: "A CloudEvent 1.0 in structured mode"}
	sent := map[string]any{
		"correlation_id": "0045123456", "aggregate_id": "0045123456", "event_type": "loaded", "timestamp": "2026-06-20T22:55:01-05:00",
		"source": "bhs-lim", "event_id": "bhs-4711", "kind": "baggage", "payload": map[string]any{"location": "LIM", "flight": "LA2047"},
	}
	const line = `{"correlation_id":"0045123456","aggregate_id":"0045123456","event_type":"loaded","timestamp":"2026-06-20T22:55:01-05:00"}` + "\n"
	cloud := map[string]any{
		"specversion": "1.0", "id": "bhs-4712", "source": "bhs-lim", "type": "loaded", "subject": "0045123456", "time": "2026-06-20T22:55:01-05:00",
		"data": map[string]any{"location": "LIM"}, "correlationid": "0045123456",
	}
	responses := troubles(trouble)
	responses["202"] = &huma.Response{Description: "Stored by the broker; results says what became of each event", Content: body("application/json", accepted)}
	api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "post-events", Method: http.MethodPost, Path: "/api/v1/events", Tags: []string{"Ingest"},
		Summary: "Send events",
		Description: "Takes one event, an array, NDJSON or CloudEvents, and answers only after the broker has stored those it accepts. " +
			"Sending the same event again does no harm. Needs the role events:write.",
		Security: []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {"webhook": {}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: one, Examples: map[string]*huma.Example{
				"one": {Summary: "One event", Value: sent}, "several": {Summary: "Several events", Value: []any{sent}},
			}},
			"application/x-ndjson":         {Schema: &huma.Schema{Type: huma.TypeString, Description: "An event a line, each as in application/json"}, Example: line},
			"application/cloudevents+json": {Schema: cloudEvent, Example: cloud},
			"application/cloudevents-batch+json": {
				Schema: &huma.Schema{Type: huma.TypeArray, Items: cloudEvent}, Example: []any{cloud},
			},
		}},
		Responses: responses,
	})
}

func body(media string, schema *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{media: {Schema: schema}}
}

// troubles are the answers when not all is well.
func troubles(trouble *huma.Schema) map[string]*huma.Response {
	responses := map[string]*huma.Response{}
	for status, text := range map[string]string{
		"400": "The body cannot be read", "401": "No valid token, API key or signature", "409": "Another body came with the same webhook-id", "403": "The token lacks a role, or is for another tenant",
		"413": "The body is too large", "415": "The media type is not taken", "422": "None of the events was accepted",
		"429": "The tenant sends faster than it may; wait as Retry-After says", "503": "Nothing could be stored; wait as Retry-After says",
	} {
		responses[status] = &huma.Response{Description: text, Content: body(problem.ContentType, trouble)}
	}
	return responses
}

func documentCarriers(api huma.API) {
	registry := api.OpenAPI().Components.Schemas
	accepted := registry.Schema(reflect.TypeFor[Response](), true, "IngestResponse")
	feedback := registry.Schema(reflect.TypeFor[Feedback](), true, "DCSAFeedback")
	trouble := registry.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	responses := troubles(trouble)
	delete(responses, "415")
	responses["404"] = &huma.Response{Description: "There is no such carrier for the tenant", Content: body(problem.ContentType, trouble)}
	responses["202"] = &huma.Response{
		Description: "Stored by the broker; results says what became of each event",
		Content: map[string]*huma.MediaType{"application/json": {Schema: accepted, Example: Response{Accepted: 1, Results: []Result{{
			UID: "0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f", EventID: "bhs-4713", Status: "accepted", Warnings: []problem.Field{{
				Field: "event_type", Code: carriers.CodeUnmapped, Message: `nothing says what the code "ZZ9" means; it is kept, and moves nothing`,
			}},
		}}}}},
	}
	responses["201"] = &huma.Response{
		Description: "Of carriers of the format epcis: one event, which came by itself, was stored by the broker; Location is where it is to be found",
		Headers:     map[string]*huma.Header{"Location": {Description: "The event, or the first of those that it became", Schema: &huma.Schema{Type: huma.TypeString}}},
		Content: map[string]*huma.MediaType{"application/json": {Schema: accepted, Example: Response{Accepted: 1, Results: []Result{{
			UID: "0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e10", EventID: "urn:uuid:831c0292-4de1-430a-8255-2aca821abaab", Status: "accepted",
		}}}}},
	}
	responses["200"] = &huma.Response{
		Description: "Of carriers of the format dcsa: at least one event was stored; the elements say what is to be said of the others",
		Content: map[string]*huma.MediaType{"application/json": {Schema: feedback, Example: Feedback{[]dcsa.FeedbackElement{{
			Severity: "WARN", PropertyPath: "$.events[0].equipmentDetails.equipmentReference",
			Message: `"APNR7744962" does not pass as the number of a container (ISO 6346); it is taken as it is`,
		}}}}},
	}
	responses["422"].Content["application/json"] = &huma.MediaType{Schema: feedback}
	sent := map[string]any{
		"correlation_id": "0045123456", "aggregate_id": "0045123456", "event_type": "BHS-SORT", "timestamp": "2026-06-20T22:50:00-05:00",
		"event_id": "bhs-4713", "kind": "baggage", "payload": map[string]any{"location": "LIM"},
	}
	const line = `{"correlation_id":"0045123456","aggregate_id":"0045123456","event_type":"BHS-IN","timestamp":"2026-06-20T22:40:00-05:00","event_id":"bhs-4714"}` + "\n"
	api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "post-carrier-events", Method: http.MethodPost, Path: "/api/v1/carriers/{carrier}/events", Tags: []string{"Ingest"},
		Summary: "Send a carrier's own format",
		Description: "Takes a body in the carrier's own format, whatever its media type, decodes it as the carrier's file says and answers " +
			"only after the broker has stored what it accepts. Warnings say what is odd about events that are accepted, such as codes that " +
			"nothing knows. Carriers of the format dcsa are answered in the form of that standard, and a single event of one of the format epcis with 201. Needs the role events:write.",
		Security:   []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {"webhook": {}}},
		Parameters: []*huma.Param{carrierParameter()},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Description: "What the carrier sends"}, Examples: map[string]*huma.Example{
				"one": {Summary: "An event of a carrier of the format native", Value: sent}, "several": {Summary: "Several events", Value: []any{sent}},
			}},
			"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString, Description: "An event a line, for carriers of the format native"}, Example: line},
		}},
		Responses: responses,
	})
}

func carrierParameter() *huma.Param {
	return &huma.Param{
		Name: "carrier", In: "path", Required: true, Description: "The carrier, as its file in the configuration is called", Example: "demo-native",
		Schema: &huma.Schema{Type: huma.TypeString},
	}
}
