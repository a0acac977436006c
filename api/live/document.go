package live

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/problem"
)

// documentStream adds the live stream to the API's OpenAPI document. It is served by plain Fiber: see RegisterStream.
func (h *Handler) documentStream(api huma.API) {
	text := func(in, name, description string, example any) *huma.Param {
		return &huma.Param{Name: name, In: in, Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	instant := func(name, description string) *huma.Param {
		return &huma.Param{
			Name: name, In: "query", Description: description, Example: "2026-06-20T12:00:00Z",
			Schema: &huma.Schema{Type: huma.TypeString, Format: "date-time"},
		}
	}
	several := func(name, description string, example any) *huma.Param {
		explode := true
		return &huma.Param{
			Name: name, In: "query", Description: description, Explode: &explode, Example: []any{example},
			Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}},
		}
	}
	responses := map[string]*huma.Response{"200": {
		Description: "Server-sent events, for as long as the token is good",
		Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema: &huma.Schema{Type: huma.TypeString, Description: "Events with an id, a kind and a line of JSON"},
			Example: "retry: 2000\n\nid: 4711.1781060000000\nevent: trace\n" +
				`data: {"correlation_id":"0045123456","status":"loaded"}` + "\n\n",
		}},
	}}
	for status, description := range map[string]string{
		"401": "No valid token", "403": "The token lacks a role", "404": "There is no such stage", "422": "The filter is not right",
		"429": "The tenant has as many streams, or filters of streams, as it may have", "503": "The process has as many streams as it can serve, or is stopping",
	} {
		responses[status] = &huma.Response{Description: description, Content: map[string]*huma.MediaType{
			problem.ContentType: {Schema: &huma.Schema{Ref: "#/components/schemas/ErrorModel"}},
		}}
	}
	api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "stream", Method: http.MethodGet, Path: "/api/v1/stream", Tags: []string{"Traces"}, Summary: "What changes, as it does",
		Description: "Traces that change, counts each second, jobs and changes of the configuration, as server-sent events. After an " +
			"interruption it goes on where it was. Needs the role traces:read.",
		Security: []map[string][]string{{"bearer": {}}}, Responses: responses,
		Parameters: []*huma.Param{
			text("query", "tenant", "Whose data; the token's tenant by default. Another one needs the role tenants:all, and is noted in that tenant's audit", "talma-pe"),
			several("events", "Kinds of events: "+strings.Join(chosenEvents, ", ")+"; all but sample and alert by default", traceEvent),
			text("query", "stage", "The stage that sample tells of, as pipeline.stage", "tracking.enrich"),
			several("status", "Only traces that have come this far", "loaded"), several("kind", "Only traces of this trade", "baggage"),
			several("exception", "Only traces with this trouble; any for whatever it is", "missing"),
			several("place", "Only traces that were last seen here", "LIM"),
			text("query", "correlationPrefix", "Only traces whose correlation id begins so", "0045"),
			several("milestone", "Reached by an actual event, voided later or not", "loaded"),
			several("source", "Carriers or systems that sent an event of it", "LA-baggage"), several("carrier", "Carriers of a leg of it", "LA"),
			several("location", "Places of an event of it: IATA or ICAO code, UN/LOCODE, GLN or name", "LIM"),
			several("flight", "Flights of an event of it", "LA2047"), several("eventType", "The senders' codes of an event of it", "loaded"),
			several("anomaly", "What is odd: post_terminal, id_conflict; any for whatever it is", "any"),
			several("correlationId", "Journeys", "0045123456"), several("aggregateId", "Things that were on it", "0045123456"),
			text("query", "q", "Beginning of the correlation id, or of the id of a thing", "00451"),
			instant("firstEventFrom", "First event at this time or later (RFC 3339)"), instant("firstEventUntil", "First event before this time"),
			instant("lastEventFrom", "Last event at this time or later"), instant("lastEventUntil", "Last event before this time"),
			instant("updatedFrom", "Last event received at this time or later"), instant("updatedUntil", "Last event received before this time"),
			text("query", "lastEventId", "As the header Last-Event-ID, for clients that cannot set it", nil),
			text("header", "Last-Event-ID", "The id of the event after which to go on", nil),
		},
	})
}
