package query

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

type searchTracesInput struct {
	Paging

	Sort          string    `query:"sort" doc:"last_event_at (the default), first_event_at or updated_at" example:"last_event_at"`
	Status        []string  `query:"status,explode" maxItems:"100" doc:"How far the journey has come" example:"[\"in_transit\"]"`
	Milestone     []string  `query:"milestone,explode" maxItems:"100" doc:"Reached by an actual event, voided later or not" example:"[\"loaded\"]"`
	Kind          []string  `query:"kind,explode" maxItems:"100" doc:"The trade" example:"[\"baggage\"]"`
	Source        []string  `query:"source,explode" maxItems:"100" doc:"Carriers or systems that sent an event of it" example:"[\"LA-baggage\"]"`
	Carrier       []string  `query:"carrier,explode" maxItems:"100" doc:"Carriers of a leg of it" example:"[\"LA\"]"`
	Location      []string  `query:"location,explode" maxItems:"100" doc:"Places of an event of it: IATA or ICAO code, UN/LOCODE, GLN or name" example:"[\"LIM\"]"`
	Flight        []string  `query:"flight,explode" maxItems:"100" doc:"Flights of an event of it" example:"[\"LA2047\"]"`
	EventType     []string  `query:"eventType,explode" maxItems:"100" doc:"The senders' codes of an event of it" example:"[\"loaded\"]"`
	Exception     []string  `query:"exception,explode" maxItems:"100" doc:"The trouble that is open; any for whatever it is" example:"[\"any\"]"`
	Anomaly       []string  `query:"anomaly,explode" maxItems:"100" doc:"What is odd: post_terminal, id_conflict; any for whatever it is" example:"[\"any\"]"`
	CorrelationID []string  `query:"correlationId,explode" maxItems:"100" doc:"Journeys" example:"[\"0045123456\"]"`
	AggregateID   []string  `query:"aggregateId,explode" maxItems:"100" doc:"Things that were on it" example:"[\"0045123456\"]"`
	Query         string    `query:"q" minLength:"3" maxLength:"256" doc:"Beginning of the correlation id, or of the id of a thing" example:"00451"`
	FirstFrom     time.Time `query:"firstEventFrom" doc:"First event at this time or later (RFC 3339)" example:"2026-06-20T12:00:00Z"`
	FirstUntil    time.Time `query:"firstEventUntil" doc:"First event before this time" example:"2027-06-20T12:00:00Z"`
	LastFrom      time.Time `query:"lastEventFrom" doc:"Last event at this time or later" example:"2026-06-20T12:00:00Z"`
	LastUntil     time.Time `query:"lastEventUntil" doc:"Last event before this time" example:"2027-06-20T12:00:00Z"`
	UpdatedFrom   time.Time `query:"updatedFrom" doc:"Last event received at this time or later" example:"2026-06-20T12:00:00Z"`
	UpdatedUntil  time.Time `query:"updatedUntil" doc:"Last event received before this time" example:"2027-06-20T12:00:00Z"`
}

func milestones() []string {
	all := make([]string, 0, 1+len(tracking.Milestones()))
	all = append(all, string(tracking.Unknown))
	for _, m := range tracking.Milestones() {
		all = append(all, string(m))
	}
	return all
}

func kinds() (all []string) {
	for _, k := range tracking.Kinds() {
		all = append(all, string(k))
	}
	return all
}

func (in *searchTracesInput) filter(c *checks) store.TraceFilter {
	f := store.TraceFilter{
		Statuses: in.Status, Milestones: in.Milestone, Kinds: in.Kind, Sources: in.Source, Carriers: in.Carrier, Locations: in.Location,
		Flights: in.Flight, EventTypes: in.EventType, Exceptions: in.Exception, Anomalies: in.Anomaly,
		CorrelationIDs: in.CorrelationID, Aggregates: in.AggregateID, Prefix: in.Query,
		FirstEvent: store.TimeRange{From: in.FirstFrom, Until: in.FirstUntil}, LastEvent: store.TimeRange{From: in.LastFrom, Until: in.LastUntil},
		Updated: store.TimeRange{From: in.UpdatedFrom, Until: in.UpdatedUntil},
	}
	c.oneOf("status", in.Status, milestones()...)
	c.oneOf("milestone", in.Milestone, milestones()...)
	c.oneOf("kind", in.Kind, kinds()...)
	c.oneOf("anomaly", in.Anomaly, tracking.PostTerminal, tracking.IDConflict, store.AnyValue)
	c.filled(map[string][]string{
		"source": in.Source, "carrier": in.Carrier, "location": in.Location, "flight": in.Flight, "eventType": in.EventType,
		"exception": in.Exception, "correlationId": in.CorrelationID, "aggregateId": in.AggregateID,
	})
	c.span("firstEvent", f.FirstEvent)
	c.span("lastEvent", f.LastEvent)
	c.span("updated", f.Updated)
	return f.Canonical()
}

func (h *Handler) searchTraces(ctx context.Context, in *searchTracesInput) (*huma.StreamResponse, error) {
	tenant, contentType, err := in.authorizeSearch(ctx)
	if err != nil {
		return nil, err
	}
	var c checks
	filter := in.filter(&c)
	page, binding := in.page(&c, in.Sort, store.TraceSorts(), filter)
	if err := c.problem(); err != nil {
		return nil, err
	}
	return answerSearch(ctx, h, &in.Paging, kind[store.TraceItem]{
		name: "traces",
		read: func(ctx context.Context, page store.SearchPage) ([]store.TraceItem, error) {
			return h.deps.Search.SearchTraces(ctx, tenant, filter, page)
		},
		count: func(ctx context.Context) (store.Count, error) { return h.deps.Search.CountTraces(ctx, tenant, filter) },
		after: store.TraceItem.After,
		header: []string{
			"correlation_id", "aggregate_id", "aggregates", "kind", "status", "exception", "anomalies", "first_event_at", "last_event_at", "estimated_at",
			"last_place", "event_count", "voided_count", "unknown_count", "pieces_total", "pieces_delivered", "updated_at",
		},
		record: traceRecord,
	}, contentType, page, binding)
}

func traceRecord(t store.TraceItem) ([]string, error) {
	number := func(n *int) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(*n)
	}
	return []string{
		t.CorrelationID, t.AggregateID, strings.Join(t.Aggregates, " "), t.Kind, t.Status, t.Exception, strings.Join(t.Anomalies, " "),
		instant(t.FirstEventAt), instant(t.LastEventAt), instant(t.EstimatedAt), t.LastPlace, strconv.Itoa(t.EventCount), strconv.Itoa(t.VoidedCount),
		strconv.Itoa(t.UnknownCount), number(t.PiecesTotal), number(t.PiecesDelivered), instant(&t.UpdatedAt),
	}, nil
}

// searchResponses documents an answer that comes in three types.
func searchResponses[T any](api huma.API, name string, example any) map[string]*huma.Response {
	row := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
	return map[string]*huma.Response{
		"200": {
			Description: "A page as JSON, or everything that the filter matches as NDJSON (a row a line) or CSV",
			Headers: map[string]*huma.Param{
				"ETag": {Description: "Identifies this state of the page, for If-None-Match; not of exports", Schema: &huma.Schema{Type: "string"}},
			},
			Content: map[string]*huma.MediaType{
				typeJSON:   {Schema: row, Example: example},
				typeNDJSON: {Schema: &huma.Schema{Type: "string", Description: "One item a line"}},
				typeCSV:    {Schema: &huma.Schema{Type: "string", Description: "A line of names, then one a row (RFC 4180); a cell that a spreadsheet would take for a formula begins with an apostrophe"}},
			},
		},
		"304": {Description: "The page is as it was when it had the ETag that If-None-Match gives"},
	}
}

func (h *Handler) registerSearch(api huma.API) {
	bearer := []map[string][]string{{"bearer": {}}}
	huma.Register(api, huma.Operation{
		OperationID: "search-traces", Method: http.MethodGet, Path: "/api/v1/traces", Tags: []string{"Traces"},
		Summary: "Search traces",
		Description: "Traces that match all filters; of a filter that is given several times, one value must match. With Accept: application/x-ndjson or text/csv " +
			"all of them are streamed. A trace whose events come in while pages are read moves to its new place; in the order of first_event_at " +
			"it stays. Needs the role traces:read.",
		Security: bearer, Errors: []int{401, 403, 406, 422, 503}, Responses: searchResponses[Page[store.TraceItem]](api, "TracePage", nil),
	}, h.searchTraces)
	huma.Register(api, huma.Operation{
		OperationID: "search-events", Method: http.MethodGet, Path: "/api/v1/events", Tags: []string{"Events"},
		Summary: "Search events",
		Description: "Events that match all filters; of a filter that is given several times, one value must match. With Accept: application/x-ndjson or text/csv " +
			"all of them are streamed. Needs the role traces:read.",
		Security: bearer, Errors: []int{401, 403, 406, 422, 503}, Responses: searchResponses[Page[*tracking.Event]](api, "EventPage", nil),
	}, h.searchEvents)
	huma.Register(api, huma.Operation{
		OperationID: "get-event", Method: http.MethodGet, Path: "/api/v1/events/{uid}", Tags: []string{"Events"},
		Summary: "An event and its passport",
		Description: "The event, and what became of it: what each stage made of it, how long it waited and took, and with which configuration (for a " +
			"month); of which event it is a copy, why it was dropped or dead-lettered, and what was done since. Needs the role traces:read.",
		Security: bearer, Errors: []int{401, 403, 404, 422, 503},
		Responses: map[string]*huma.Response{"200": {
			Description: "What is known of the event",
			Content: map[string]*huma.MediaType{typeJSON: {
				Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[store.Passport](), true, "Passport"),
			}},
		}, "304": {Description: "Nothing has changed since the answer with the ETag that If-None-Match gives"}},
	}, h.getEvent)
}
