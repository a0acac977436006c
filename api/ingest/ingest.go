// Package ingest is the edge that carriers send events to: it checks who sends, decodes and checks what is sent, and answers
// once the broker has stored it.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/dcsa"
)

// Publisher hands events to the pipelines. Publish returns nil once the broker has stored them all.
type Publisher interface {
	Publish(ctx context.Context, events []*tracking.Event) error
}

// Config bounds what is taken in.
type Config struct {
	// MaxBodyBytes is the largest request body, in bytes, after decompression. Defaults to 4 MiB.
	MaxBodyBytes int
	// MaxEvents is the most events in a request. Defaults to 10,000.
	MaxEvents int
	// MaxEventBytes is the largest payload of an event, in bytes. Defaults to 128 KiB.
	MaxEventBytes int
	// Timeout is how long a request waits for the broker. Defaults to 10 s.
	Timeout time.Duration
	// MaxInFlightBytes bounds the bodies of all requests in hand together, in bytes, from when they are read until they are
	// answered; a small one counts as minBody. Further requests wait unread, and are told to come again when that takes too
	// long. Defaults to 64 MiB.
	MaxInFlightBytes int64
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{MaxBodyBytes: 4 << 20, MaxEvents: 10_000, MaxEventBytes: 128 << 10, Timeout: 10 * time.Second, MaxInFlightBytes: 64 << 20}
}

// Validate reports what is wrong with the config.
func (c Config) Validate() error {
	if c.MaxBodyBytes < 1 || c.MaxEvents < 1 || c.MaxEventBytes < 1 || c.Timeout <= 0 {
		return errors.New("ingest config: body bytes, events, event bytes and timeout must all be above zero")
	}
	if c.MaxInFlightBytes < max(int64(c.MaxBodyBytes), minBody) {
		return fmt.Errorf("ingest config: %d bytes in flight is less than one body of %d may have", c.MaxInFlightBytes, max(c.MaxBodyBytes, minBody))
	}
	return nil
}

// Carriers knows the carriers.
type Carriers interface {
	// Lookup returns a carrier that senders of a tenant may use, or an error that wraps carriers.ErrUnknown.
	Lookup(tenant, name string) (*carriers.Carrier, error)
	// Named returns the carrier of a name, whoever may use it.
	Named(name string) (*carriers.Carrier, bool)
	// All returns the carriers in the order of their names.
	All() []*carriers.Carrier
}

// Deps is what the edge works with.
type Deps struct {
	Publisher Publisher
	Tenants   *Tenants
	Carriers  Carriers // nil: there are none
	Captures  CaptureStore
	Recorder  routers.Recorder
	Metrics   *Metrics
	Logger    *slog.Logger
	Now       func() time.Time
}

// Handler serves the ingest operations.
type Handler struct {
	config Config
	deps   Deps
	room   *semaphore.Weighted // for bodies, in bytes
	// unproven is the part of it that bodies may take whose sender is not known before they are read.
	unproven  *semaphore.Weighted
	lane      *lane // to the broker
	bulkheads *bulkheads
	jobs      *captureJobs
}

// New returns the edge's handler, which must be started and closed.
func New(config Config, deps Deps) (*Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Handler{
		config: config, deps: deps, room: semaphore.NewWeighted(config.MaxInFlightBytes),
		unproven: semaphore.NewWeighted(max(config.MaxInFlightBytes/unprovenPart, int64(config.MaxBodyBytes), minBody)),
		lane:     newLane(config.MaxInFlightBytes, config.Timeout/2), bulkheads: newBulkheads(config, deps.Now),
		jobs: newCaptureJobs(deps.Captures, deps.Logger),
	}, nil
}

// Start does what is done beside requests until Close.
func (h *Handler) Start() { h.jobs.start() }

// Close ends it, when no request comes any more.
func (h *Handler) Close(ctx context.Context) { h.jobs.close(ctx) }

// ReadsBody reports whether a request is one whose body the edge reads itself, when there is room for it.
func ReadsBody(method, path string) bool {
	return method == http.MethodPost && (path == "/api/v1/events" || path == "/api/v1/capture" || strings.HasPrefix(path, "/api/v1/carriers/"))
}

// Register adds the operations to a router whose requests were authenticated before they come here.
func (h *Handler) Register(router fiber.Router) {
	router.Post("/events", auth.RequireSender(), h.measured(h.accept))
	router.Post("/carriers/:carrier/events", auth.RequireSender(), h.measured(h.accept))
	h.registerCapture(router)
}

// Response is the answer to a batch of events: one result an event, in the order they were sent.
type Response struct {
	Accepted int      `json:"accepted" doc:"How many events were accepted: the broker has stored them" example:"1"`
	Rejected int      `json:"rejected" doc:"How many events were rejected; sending them again as they are is no use" example:"1"`
	Aside    int      `json:"aside,omitempty" doc:"How many parts of a carrier's body were read and tell of nothing that can be traced, such as a bag whose tag could not be read"`
	Results  []Result `json:"results" doc:"One result an event, in the order they were sent; none when the message was taken before"`
	Repeated bool     `json:"repeated,omitempty" doc:"The signed message was taken before, and nothing was done again"`
}

// Result is what became of one event.
type Result struct {
	Index   int    `json:"index" doc:"Position of the event in the request, from 0"`
	UID     string `json:"uid,omitempty" format:"uuid" doc:"What the event is known by from now on; absent when it was rejected"`
	EventID string `json:"event_id,omitempty" doc:"The sender's id of the event, or the fingerprint that stands for it"`
	Status  string `json:"status" enum:"accepted,rejected,aside"`
	// Errors says why the event was rejected, Warnings what is odd about one that was accepted.
	Errors   []problem.Field `json:"errors,omitempty" doc:"Why the event was rejected"`
	Warnings []problem.Field `json:"warnings,omitempty" doc:"What is odd about the event, at a carrier's address"`
}

// Rejection is the answer when none of the events was accepted.
type Rejection struct {
	*problem.Problem
	Response
}

// measured measures how long a request takes that sends events.
func (h *Handler) measured(handle fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		start := h.deps.Now()
		err := handle(c)
		status := c.Response().StatusCode()
		if p, ok := errors.AsType[*problem.Problem](err); ok {
			status = p.Status
		} else if err != nil {
			status = http.StatusInternalServerError
		}
		h.deps.Metrics.requests.WithLabelValues(strconv.Itoa(status)).Observe(h.deps.Now().Sub(start).Seconds())
		return err
	}
}

func (h *Handler) accept(c *fiber.Ctx) (err error) {
	ctx, cancel := context.WithTimeout(c.UserContext(), h.config.Timeout)
	defer cancel()
	soon, cancelSoon := context.WithTimeout(ctx, h.config.Timeout/2) // leaves the broker the other half
	defer cancelSoon()
	in, err := h.admit(ctx, c, strings.Clone(c.Params("carrier")))
	if err != nil {
		return later(c, err)
	}
	defer func() { in.leave(ctx, err) }()
	if in.message != nil && in.message.Repeated {
		return again(c, in)
	}
	response, results, err := h.take(ctx, soon, c, in)
	if err != nil {
		return err
	}
	return in.answer(c, response, results)
}

// take decodes and checks a request's events, and hands those that are accepted to the broker: when it returns without an error, the
// broker has them. They must come to their turn while soon lasts.
func (h *Handler) take(ctx, soon context.Context, c *fiber.Ctx, in *admission) (Response, []formats.Result, error) {
	none := Response{}
	results, err := h.decode(c, in)
	if err != nil {
		return none, nil, err
	}
	if err := refuseOtherTenants(results, in.identity.TenantID); err != nil {
		return none, nil, err
	}
	if err := h.reserve(c, in, len(results)); err != nil {
		return none, nil, err
	}
	events, response := h.check(results, in, telemetry.SpanOf(ctx))
	if in.behaviour == behaviourRollback && response.Rejected > 0 {
		events = nil
		response.rollBack()
	}
	if err := h.publish(ctx, soon, events, in); errors.Is(err, errLaneFull) {
		return none, nil, later(c, h.overloaded())
	} else if err != nil {
		// Nothing is acknowledged, so the sender keeps it all; what the broker did take is dropped as duplicates next time.
		h.deps.Logger.ErrorContext(ctx, "cannot hand events to the broker", slog.Int("events", len(events)), slog.Any("error", err))
		return none, nil, later(c, problem.New(http.StatusServiceUnavailable, "unavailable",
			"The events could not be stored just now, and none was accepted. Send the same request again after Retry-After seconds."))
	}
	h.count(in, response)
	in.response, in.taken = response, true
	return response, results, nil
}

// rollBack has none of the events be accepted. Those with which nothing is wrong are refused without an error of their own.
func (r *Response) rollBack() {
	r.Rejected, r.Accepted = r.Rejected+r.Accepted, 0
	for i := range r.Results {
		if r.Results[i].Status == "accepted" {
			r.Results[i].Status, r.Results[i].UID, r.Results[i].Warnings = "rejected", "", nil
		}
	}
}

// reserve takes events out of the rates of the tenant and of the carrier.
func (h *Handler) reserve(c *fiber.Ctx, in *admission, events int) error {
	who, perSecond, wait := "Tenant "+in.identity.TenantID, in.rules.tenant.RatePerSecond, time.Duration(0)
	if in.carrier != nil {
		if wait = h.bulkheads.of(in.identity.TenantID, in.carrier).reserve(h.deps.Now(), events); wait > 0 {
			who, perSecond = "Carrier "+in.carrier.Name, in.carrier.Limits.EventsPerSecond
		}
	}
	if wait == 0 {
		wait = in.rules.reserve(h.deps.Now(), events)
	}
	if wait == 0 {
		return nil
	}
	c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(wait/time.Second)+1))
	return problem.New(http.StatusTooManyRequests, "rate-limit", fmt.Sprintf(
		"%s may send %g events a second; wait as Retry-After says and send the request again.", who, perSecond))
}

// publish hands events to the broker once it is their turn, which must come while soon lasts.
func (h *Handler) publish(ctx, soon context.Context, events []*tracking.Event, in *admission) error {
	bytes := in.seat.bytes
	if len(events) == 0 {
		return nil
	}
	soon, cancel := context.WithTimeout(soon, maxWait)
	defer cancel()
	if err := h.lane.enter(soon, partyOf(in.identity.TenantID, in.carrier), bytes); err != nil {
		return err
	}
	start := h.deps.Now()
	err := h.deps.Publisher.Publish(ctx, events)
	now := h.deps.Now()
	h.lane.leave(bytes, now, now.Sub(start), err == nil)
	return err
}

// check applies the tenant's rules and our limits, makes our events of those that pass, and answers for each.
func (h *Handler) check(results []formats.Result, in *admission, span tracking.SpanContext) ([]*tracking.Event, Response) {
	received := h.deps.Now().UTC().Truncate(time.Microsecond)
	response := Response{Results: make([]Result, len(results))}
	events := make([]*tracking.Event, 0, len(results))
	for i, r := range results {
		if r.Aside() {
			response.Aside++
			response.Results[i] = Result{Index: r.Index, Status: "aside", Warnings: remarks(r, notError)}
			continue
		}
		fields := refusals(r)
		if r.OK() {
			fields = append(fields, in.rules.check(r.Event, h.config.MaxEventBytes)...)
			fields = append(fields, checkSource(r.Event, in)...)
		}
		if len(fields) > 0 {
			response.Rejected++
			response.Results[i] = Result{Index: r.Index, Status: "rejected", Errors: fields}
			continue
		}
		e := r.Event
		e.UID = newUID()
		e.TenantID = in.rules.tenant.ID // Invariant 13: the token's
		e.ReceivedAt, e.Span = received, span
		events = append(events, e)
		response.Accepted++
		response.Results[i] = Result{Index: r.Index, UID: e.UID.String(), EventID: e.EventID, Status: "accepted"}
		if in.carrier != nil {
			response.Results[i].Warnings = remarks(r, notError)
		}
	}
	return events, response
}

// newUID returns a UUIDv7, which orders by time.
func newUID() uuid.UUID {
	uid, err := uuid.NewV7()
	if err != nil {
		// Only a machine without randomness fails here, and nothing safe can be done without.
		panic(fmt.Sprintf("no randomness: %v", err))
	}
	return uid
}

func refusals(r formats.Result) []problem.Field {
	if r.OK() {
		return nil
	}
	return remarks(r, func(s formats.Severity) bool { return s == formats.SeverityError })
}

func notError(s formats.Severity) bool { return s != formats.SeverityError }

// remarks returns the findings of some severities.
func remarks(r formats.Result, of func(formats.Severity) bool) []problem.Field {
	var fields []problem.Field
	for _, f := range r.Findings {
		if of(f.Severity) {
			fields = append(fields, problem.Field{Field: f.Field, Code: f.Code, Message: f.Message})
		}
	}
	return fields
}

// refuseOtherTenants refuses the whole request when an event names a tenant that is not the token's.
func refuseOtherTenants(results []formats.Result, tenant string) error {
	for _, r := range results {
		if r.OK() && r.Event.TenantID != "" && r.Event.TenantID != tenant {
			p := problem.New(http.StatusForbidden, "other-tenant", fmt.Sprintf(
				"The token is for tenant %s; nothing was accepted. Leave tenant_id out, or use a token of the tenant you send for.", tenant))
			p.Errors = []problem.Field{{
				Index: &r.Index, Field: "tenant_id", Code: "other_tenant", Message: "is not the tenant of the token",
			}}
			return p
		}
	}
	return nil
}

func (h *Handler) count(in *admission, r Response) {
	tenant := in.identity.TenantID
	if in.carrier != nil {
		h.deps.Metrics.carriers.WithLabelValues(in.carrier.Name, "accepted").Add(float64(r.Accepted))
		h.deps.Metrics.carriers.WithLabelValues(in.carrier.Name, "rejected").Add(float64(r.Rejected))
		h.deps.Metrics.carriers.WithLabelValues(in.carrier.Name, "aside").Add(float64(r.Aside))
	}
	h.deps.Metrics.events.WithLabelValues("accepted").Add(float64(r.Accepted))
	h.deps.Metrics.events.WithLabelValues("rejected").Add(float64(r.Rejected))
	if r.Accepted > 0 {
		h.deps.Recorder.Record(tenant, "ingest", "ingest", "accepted", int64(r.Accepted))
	}
	if r.Rejected > 0 {
		h.deps.Recorder.Record(tenant, "ingest", "ingest", "rejected", int64(r.Rejected))
	}
}

// answer answers in the form of the carrier's standard, where it has one, or else in ours.
func (in *admission) answer(c *fiber.Ctx, r Response, results []formats.Result) error {
	in.sayCounts(c, r)
	switch {
	case in.single && r.Accepted > 0 && r.Rejected == 0:
		c.Set(fiber.HeaderLocation, "/api/v1/events/"+r.Results[0].UID)
		return c.Status(http.StatusCreated).JSON(r)
	case in.carrier != nil && in.carrier.Format == carriers.DCSA:
		return answerDCSA(c, r, results)
	case r.Accepted > 0 || r.Rejected == 0:
		return c.Status(http.StatusAccepted).JSON(r)
	}
	p := problem.New(http.StatusUnprocessableEntity, "rejected", "None of the events was accepted; results says why, event by event.")
	return c.Status(http.StatusUnprocessableEntity).JSON(Rejection{p, r}, problem.ContentType)
}

// sayCounts says what became of a carrier's events to whoever does not read the standard's answer.
func (in *admission) sayCounts(c *fiber.Ctx, r Response) {
	if in.carrier != nil {
		c.Set("X-Rastro-Accepted", strconv.Itoa(r.Accepted))
		c.Set("X-Rastro-Rejected", strconv.Itoa(r.Rejected))
	}
}

// Feedback is the answer to events of DCSA Track & Trace: PostEventsResponse of 3.0.0, or PostEventsError when none was accepted.
type Feedback struct {
	FeedbackElements []dcsa.FeedbackElement `json:"feedbackElements" doc:"What is to be said of properties of the request; none when all is well"`
}

// dcsaVersion is the version of the standard that answers are of.
const dcsaVersion = "3.0.0"

func answerDCSA(c *fiber.Ctx, r Response, results []formats.Result) error {
	feedback := Feedback{dcsa.Feedback(results)}
	for i, result := range r.Results {
		if results[i].OK() { // and yet refused, by the tenant's rules
			for _, f := range result.Errors {
				feedback.FeedbackElements = append(feedback.FeedbackElements, dcsa.FeedbackElement{
					Severity: "ERROR", Message: f.Field + " " + f.Message, PropertyPath: fmt.Sprintf("$.events[%d]", result.Index),
				})
			}
		}
	}
	if r.Repeated {
		feedback.FeedbackElements = append(feedback.FeedbackElements, dcsa.FeedbackElement{
			Severity: "INFO", Message: "the message was taken before, and nothing was done again",
		})
	}
	c.Set("API-Version", dcsaVersion)
	status := http.StatusOK
	if r.Accepted == 0 && r.Rejected > 0 {
		status = http.StatusUnprocessableEntity
	}
	return c.Status(status).JSON(feedback)
}
