package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/conditional"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

type searchEventsInput struct {
	Paging

	Sort          string    `query:"sort" doc:"received_at (the default) or occurred_at" example:"received_at"`
	UID           []string  `query:"uid,explode" maxItems:"100" doc:"Events" example:"[\"0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f\"]"`
	CorrelationID []string  `query:"correlationId,explode" maxItems:"100" doc:"Journeys" example:"[\"0045123456\"]"`
	AggregateID   []string  `query:"aggregateId,explode" maxItems:"100" doc:"Things" example:"[\"0045123456\"]"`
	Source        []string  `query:"source,explode" maxItems:"100" doc:"Carriers or systems that sent it" example:"[\"LA-baggage\"]"`
	EventType     []string  `query:"eventType,explode" maxItems:"100" doc:"The senders' codes" example:"[\"loaded\"]"`
	Kind          []string  `query:"kind,explode" maxItems:"100" doc:"The trade" example:"[\"baggage\"]"`
	Milestone     []string  `query:"milestone,explode" maxItems:"100" doc:"What the code means" example:"[\"loaded\"]"`
	Classifier    []string  `query:"classifier,explode" maxItems:"100" doc:"Whether it happened: actual, estimated, planned, requested, expected" example:"[\"actual\"]"`
	Location      []string  `query:"location,explode" maxItems:"100" doc:"Where: IATA or ICAO code, UN/LOCODE, GLN or name" example:"[\"LIM\"]"`
	Carrier       []string  `query:"carrier,explode" maxItems:"100" doc:"Carriers of its leg" example:"[\"LA\"]"`
	Flight        []string  `query:"flight,explode" maxItems:"100" doc:"Flights" example:"[\"LA2047\"]"`
	Query         string    `query:"q" minLength:"3" maxLength:"256" doc:"Beginning of the correlation id, or of the id of the thing" example:"00451"`
	OccurredFrom  time.Time `query:"occurredFrom" doc:"Occurred at this time or later (RFC 3339)" example:"2026-06-20T12:00:00Z"`
	OccurredUntil time.Time `query:"occurredUntil" doc:"Occurred before this time" example:"2027-06-20T12:00:00Z"`
	ReceivedFrom  time.Time `query:"receivedFrom" doc:"Received at this time or later" example:"2026-06-20T12:00:00Z"`
	ReceivedUntil time.Time `query:"receivedUntil" doc:"Received before this time" example:"2027-06-20T12:00:00Z"`
}

func classifiers() (all []string) {
	for _, c := range tracking.Classifiers() {
		all = append(all, string(c))
	}
	return all
}

func (in *searchEventsInput) filter(c *checks) store.EventFilter {
	f := store.EventFilter{
		CorrelationIDs: in.CorrelationID, Aggregates: in.AggregateID, Sources: in.Source, EventTypes: in.EventType, Kinds: in.Kind,
		Milestones: in.Milestone, Classifiers: in.Classifier, Locations: in.Location, Carriers: in.Carrier, Flights: in.Flight,
		Prefix:   in.Query,
		Occurred: store.TimeRange{From: in.OccurredFrom, Until: in.OccurredUntil},
		Received: store.TimeRange{From: in.ReceivedFrom, Until: in.ReceivedUntil},
	}
	for _, text := range in.UID {
		uid, err := uuid.Parse(text)
		if err != nil {
			c.add("uid", fmt.Sprintf("%q is no uid", text))
		}
		f.UIDs = append(f.UIDs, uid)
	}
	c.oneOf("kind", in.Kind, kinds()...)
	c.oneOf("milestone", in.Milestone, milestones()...)
	c.oneOf("classifier", in.Classifier, classifiers()...)
	c.filled(map[string][]string{
		"correlationId": in.CorrelationID, "aggregateId": in.AggregateID, "source": in.Source, "eventType": in.EventType,
		"location": in.Location, "carrier": in.Carrier, "flight": in.Flight,
	})
	c.span("occurred", f.Occurred)
	c.span("received", f.Received)
	return f.Canonical()
}

func (h *Handler) searchEvents(ctx context.Context, in *searchEventsInput) (*huma.StreamResponse, error) {
	tenant, contentType, err := in.authorizeSearch(ctx)
	if err != nil {
		return nil, err
	}
	var c checks
	filter := in.filter(&c)
	page, binding := in.page(&c, in.Sort, store.EventSorts(), filter)
	if page.After != nil {
		if _, err := uuid.Parse(page.After.ID); err != nil && len(c.fields) == 0 {
			c.add("cursor", "the cursor is not one that an answer gave; leave it out to begin anew")
		}
	}
	if err := c.problem(); err != nil {
		return nil, err
	}
	return answerSearch(ctx, h, &in.Paging, kind[*tracking.Event]{
		name: "events",
		read: func(ctx context.Context, page store.SearchPage) ([]*tracking.Event, error) {
			return h.deps.Search.SearchEvents(ctx, tenant, filter, page)
		},
		count: func(ctx context.Context) (store.Count, error) { return h.deps.Search.CountEvents(ctx, tenant, filter) },
		after: store.EventAfter,
		header: []string{
			"uid", "correlation_id", "aggregate_id", "source", "event_id", "revision", "kind", "event_type", "milestone", "exception", "classifier",
			"timestamp", "time_quality", "received_at", "location", "carrier", "flight", "payload",
		},
		record: eventRecord,
	}, contentType, page, binding)
}

func eventRecord(e *tracking.Event) ([]string, error) {
	var location, carrier, flight string
	if l := e.Location; l != nil {
		for _, code := range []string{l.IATA, l.UNLocode, l.ICAO, l.GLN, l.Name, l.Facility} {
			if location == "" {
				location = code
			}
		}
	}
	if leg := e.Leg(); leg != nil {
		carrier, flight = leg.Carrier, strings.TrimSpace(leg.Carrier+leg.Number)
	}
	revision := ""
	if e.Revision != 0 {
		revision = fmt.Sprint(e.Revision)
	}
	return []string{
		e.UID.String(), e.CorrelationID, e.AggregateID, e.Source, e.EventID, revision, string(e.Kind), e.Type, string(e.Enrichment.Milestone),
		e.Enrichment.Exception, string(e.Classifier), instant(&e.OccurredAt), string(e.TimeQuality), instant(&e.ReceivedAt), location, carrier, flight,
		string(e.Payload),
	}, nil
}

type eventInput struct {
	auth.Whose

	UID string `path:"uid" maxLength:"64" doc:"The event, as the answer to its sender named it" example:"0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f"`
}

func (h *Handler) getEvent(ctx context.Context, in *eventInput) (*huma.StreamResponse, error) {
	_, tenant, err := auth.Authorize(ctx, auth.RoleTracesRead, in.Whose)
	if err != nil {
		return nil, err
	}
	uid, err := uuid.Parse(in.UID)
	if err != nil {
		p := problem.New(http.StatusUnprocessableEntity, "validation", fmt.Sprintf("%q is no uid; it looks like 0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f.", in.UID))
		p.Errors = []problem.Field{{Field: "uid", Code: "invalid", Message: "not a UUID"}}
		return nil, p
	}
	passport, err := h.deps.Search.Passport(ctx, tenant, uid)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusNotFound, "not-found", fmt.Sprintf(
			"Nothing is known of an event %s of tenant %s. What became of an event shows up a moment after it was accepted.", uid, tenant))
	}
	if err != nil {
		return nil, h.unavailable(ctx, "read an event", err)
	}
	body, err := json.Marshal(passport)
	if err != nil {
		return nil, fmt.Errorf("encode passport: %w", err)
	}
	return conditional.JSON(body, false), nil
}
