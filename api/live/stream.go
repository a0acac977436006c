package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// historyWindow is how far back a new stream is told.
const historyWindow = 15 * time.Minute

// RegisterStream adds the live stream to a router whose requests were authenticated before they come here. It is plain Fiber
// because a stream has no body that could be typed.
func (h *Handler) RegisterStream(router fiber.Router) {
	router.Get("/stream", auth.Require(auth.RoleTracesRead), h.stream)
}

// The kinds of events that a stream has.
const (
	historyEvent = "history"
	tickEvent    = "tick"
	traceEvent   = "trace"
	resyncEvent  = "resync"
	jobEvent     = "job"
	configEvent  = "config"
	sampleEvent  = "sample"
	alertEvent   = "alert"
)

// chosenEvents are those that a client may choose from; resync comes with trace.
var chosenEvents = []string{historyEvent, tickEvent, traceEvent, jobEvent, configEvent, sampleEvent, alertEvent}

// defaultEvents are those that come when a client does not choose.
var defaultEvents = []string{historyEvent, tickEvent, traceEvent, jobEvent, configEvent}

// opsEvents are those that tell of what is read with ops:read otherwise.
var opsEvents = []string{jobEvent, configEvent, sampleEvent, alertEvent}

// tick is what the stream tells each second.
type tick struct {
	Totals
	AcceptedPerSecond float64 `json:"accepted_per_second"`
	StoredPerSecond   float64 `json:"stored_per_second"`
	// The rest is left out while it is as it was.
	InFlight *int64                `json:"in_flight,omitempty"`
	Latency  *Latency              `json:"latency,omitempty"`
	Stages   map[string]StageGauge `json:"stages,omitempty"`
}

// maxTick bounds a tick, in bytes. What does not fit comes with the ticks that follow.
const maxTick = 2000

// stream sends the tenant's figures and changes as server-sent events, until the client leaves, the token expires or the process
// stops. The client reconnects by itself.
func (h *Handler) stream(c *fiber.Ctx) error {
	identity, tenant, err := authorize(c.UserContext(), auth.RoleTracesRead, Whose{Tenant: strings.Clone(c.Query("tenant"))})
	if err != nil {
		return err
	}
	select {
	case <-h.done:
		c.Set(fiber.HeaderRetryAfter, retryStream)
		return problem.New(http.StatusServiceUnavailable, "stopping", "This process is stopping; connect again, to another one.")
	default:
	}
	s, err := h.newStream(c, tenant, identity)
	if err != nil {
		return err
	}
	if err := h.streams.enter(tenant, h.config); err != nil {
		c.Set(fiber.HeaderRetryAfter, retryStream)
		return err
	}
	if s.wants(traceEvent) {
		if s.subscription, err = h.feed.subscribe(c.UserContext(), tenant, s.filter, s.after); err != nil {
			h.streams.leave(tenant)
			if errors.Is(err, errTooManyFilters) {
				c.Set(fiber.HeaderRetryAfter, retryStream)
				return problem.New(http.StatusTooManyRequests, "too-many-filters", fmt.Sprintf(
					"The streams of the tenant at this process have %d filters that the store is asked for, which is as many as there may be; "+
						"use one of them, filter by status, kind, exception, place or correlationPrefix alone, or come again after Retry-After seconds.", h.config.deepFilters()))
			}
			return h.unavailable(c.UserContext(), "follow changes", err)
		}
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	c.Context().SetConnectionClose()              // it has deadlines from here on
	ctx := context.WithoutCancel(c.UserContext()) // the writer below outlives the handler
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer h.streams.leave(tenant)
		if s.subscription != nil {
			defer h.feed.unsubscribe(s.subscription)
		}
		ctx, cancel := context.WithDeadline(ctx, identity.ExpiresAt)
		defer cancel()
		s.w = w
		s.run(ctx)
	})
	return nil
}

// stream writes to one client.
type stream struct {
	handler      *Handler
	w            *bufio.Writer
	conn         net.Conn
	opened       time.Time
	tenant       string
	identity     auth.Identity
	events       []string // the kinds that are wanted
	filter       traceFilter
	after        *place // where another stream ended
	stale        bool   // the client has an id that says nothing
	subscription *subscription
	watch        store.StageWatch // whose samples are wanted

	place  place // told so far
	last   Totals
	gauges Gauges // as told
	jobs   map[string]string
	config string
	alerts map[string]toldAlert // nil before any were read
	wrote  time.Time
	// sampled is the last sample that was told.
	sampled int64
}

// newStream reads what a client asks for; the error is a Problem. Nothing of the request is used after it has been answered.
func (h *Handler) newStream(c *fiber.Ctx, tenant string, identity auth.Identity) (*stream, error) {
	s := &stream{
		handler: h, tenant: tenant, identity: identity, events: slices.Clone(defaultEvents), jobs: map[string]string{}, conn: c.Context().Conn(), opened: h.deps.Now(),
	}
	values := func(name string) []string {
		var list []string
		for _, v := range c.Context().QueryArgs().PeekMulti(name) {
			if len(v) > 0 {
				list = append(list, string(v))
			}
		}
		return list
	}
	if chosen := values("events"); len(chosen) > 0 {
		s.events = strings.Split(strings.Join(chosen, ","), ",")
		for _, event := range s.events {
			if !slices.Contains(chosenEvents, event) {
				return nil, invalid("events", fmt.Sprintf("%q is no kind of event; there is %s", event, strings.Join(chosenEvents, ", ")))
			}
			if slices.Contains(opsEvents, event) && !identity.Has(auth.RoleOpsRead) {
				return nil, auth.MissingRole(c.UserContext(), identity, auth.RoleOpsRead, tenant)
			}
		}
	} else if !identity.Has(auth.RoleOpsRead) {
		s.events = slices.DeleteFunc(s.events, func(event string) bool { return slices.Contains(opsEvents, event) })
	}
	var err error
	if s.filter, err = newTraceFilter(values); err != nil {
		return nil, err
	}
	if s.wants(sampleEvent) {
		plans, err := h.deps.Plans(c.UserContext())
		if err != nil {
			return nil, h.unavailable(c.UserContext(), "read the configuration", err)
		}
		if len(values("stage")) != 1 {
			return nil, invalid("stage", "name the stage that samples are wanted of, such as tracking.enrich; there is one a stream")
		}
		if s.watch, err = watchOf(plans, tenant, values("stage")[0]); err != nil {
			return nil, err
		}
	}
	// The parameter is for clients that cannot set the header when they open a stream, as EventSource.
	id := strings.Clone(c.Get("Last-Event-ID"))
	if id == "" {
		id = strings.Clone(c.Query("lastEventId"))
	}
	if id != "" {
		if at, ok := parsePlace(id); ok {
			s.after = &at
		} else {
			s.stale = true
		}
	}
	return s, nil
}

func (s *stream) wants(event string) bool { return slices.Contains(s.events, event) }

func (s *stream) run(ctx context.Context) {
	// What is being read for a client is given up when the process stops.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.handler.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	s.extend()
	if _, err := s.w.WriteString("retry: 2000\n\n"); err != nil {
		return
	}
	if s.wants(configEvent) && !s.tellConfig(ctx) { // what there is to begin with
		return
	}
	if s.wants(alertEvent) && !s.tellAlerts(ctx) {
		return
	}
	if !s.begin(ctx) {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var ready <-chan struct{}
	if s.subscription != nil {
		ready = s.subscription.ready
	}
	for ok := true; ok; {
		select {
		case <-ready:
			ok = s.traces()
		case <-ticker.C:
			ok = s.second(ctx)
		case <-ctx.Done():
			return
		case <-s.handler.done:
			return
		}
	}
}

// begin tells what was before. It returns false when the client has gone, as all below do.
func (s *stream) begin(ctx context.Context) bool {
	if s.subscription != nil {
		if s.stale {
			s.subscription.anew("unknown")
		}
		if !s.traces() {
			return false
		}
	}
	if !s.wants(historyEvent) {
		return s.flush()
	}
	points, err := s.handler.counts.History(ctx, s.tenant, historyWindow)
	if err != nil {
		s.handler.deps.Logger.WarnContext(ctx, "cannot read counts for a stream", slog.Any("error", err))
		return s.comment("counts are not available")
	}
	s.last = points[len(points)-1]
	return s.event(historyEvent, map[string]any{"points": points}, true) && s.flush()
}

// second tells what has changed in a second, or that the stream is alive.
func (s *stream) second(ctx context.Context) bool {
	if s.subscription != nil && !s.traces() { // also to know how far nothing has changed
		return false
	}
	if s.wants(tickEvent) && !s.tick(ctx) {
		return false
	}
	if s.wants(jobEvent) && !s.tellJobs(ctx) {
		return false
	}
	if s.wants(configEvent) && !s.tellConfig(ctx) {
		return false
	}
	if s.wants(alertEvent) && !s.tellAlerts(ctx) {
		return false
	}
	if s.wants(sampleEvent) && !s.tellSamples(ctx) {
		return false
	}
	if time.Since(s.wrote) >= s.handler.config.Heartbeat {
		return s.comment("still here")
	}
	return s.flush()
}

// traces tells which traces have changed. Only the last of them has the id: who is interrupted before it is told all of them again.
func (s *stream) traces() bool {
	traces, reason, at := s.subscription.take()
	s.place = at
	if reason != "" {
		return s.event(resyncEvent, map[string]string{"reason": reason}, true) && s.flush()
	}
	for i, t := range traces {
		if !s.event(traceEvent, t, i == len(traces)-1) {
			return false
		}
	}
	return s.flush()
}

func (s *stream) tick(ctx context.Context) bool {
	totals, err := s.handler.counts.Totals(ctx, s.tenant)
	if err != nil {
		// The client sees that no tick comes and says that its figures are old.
		return s.comment("counts are not available")
	}
	now, err := s.handler.gauge.of(ctx, s.tenant)
	if err != nil {
		return s.comment("counts are not available")
	}
	t := tick{Totals: totals}
	if elapsed := totals.At.Sub(s.last.At).Seconds(); elapsed > 0 && !s.last.At.IsZero() {
		t.AcceptedPerSecond = float64(totals.Accepted-s.last.Accepted) / elapsed
		t.StoredPerSecond = float64(totals.Stored-s.last.Stored) / elapsed
	}
	if s.gauges.Stages == nil || now.InFlight != s.gauges.InFlight {
		t.InFlight = &now.InFlight
	}
	if now.Latency != nil && (s.gauges.Latency == nil || *now.Latency != *s.gauges.Latency) {
		t.Latency = now.Latency
	}
	told := map[string]StageGauge{}
	for name, stage := range s.gauges.Stages {
		told[name] = stage
	}
	t.Stages = map[string]StageGauge{}
	changed := changedStages(told, now.Stages)
	size := tickBytes(t)
	for _, name := range worstFirst(changed) {
		if size += len(name) + tickBytes(changed[name]); size > maxTick {
			break
		}
		t.Stages[name], told[name] = changed[name], changed[name]
	}
	s.last, s.gauges = totals, Gauges{InFlight: now.InFlight, Latency: now.Latency, Stages: told}
	return s.event(tickEvent, t, true)
}

// tickBytes is the room that a part of a tick takes, in bytes.
func tickBytes(part any) int {
	body, err := json.Marshal(part)
	if err != nil {
		return 0
	}
	return len(body) + 4
}

// maxJobs is how many of the latest jobs are told of.
const maxJobs = 20

// tellJobs tells of jobs that got on.
func (s *stream) tellJobs(ctx context.Context) bool {
	jobs, err := remember(&s.handler.cache, "jobs "+s.tenant, freshness, s.handler.deps.Now, func() ([]store.LetterJob, error) {
		return s.handler.deps.Store.LetterJobs(ctx, s.tenant, maxJobs)
	})
	if err != nil {
		return s.comment("jobs are not available")
	}
	known := make(map[string]string, len(jobs))
	for _, job := range jobs {
		body, err := json.Marshal(job)
		if err != nil {
			continue
		}
		id := job.ID.String()
		known[id] = string(body)
		// What was over before the stream was opened is no news.
		if s.jobs[id] == known[id] || s.jobs[id] == "" && job.FinishedAt != nil && job.FinishedAt.Before(s.opened.Add(-time.Minute)) {
			continue
		}
		if !s.event(jobEvent, json.RawMessage(body), false) {
			return false
		}
	}
	s.jobs = known
	return true
}

// tellConfig tells that other pipelines are configured than when the stream was opened.
func (s *stream) tellConfig(ctx context.Context) bool {
	plans, err := s.handler.deps.Plans(ctx)
	if err != nil {
		return true // It is being edited; what runs is as it was.
	}
	hash := pipeline.Version(plans...)
	before := s.config
	s.config = hash
	if before == "" || before == hash {
		return true
	}
	return s.event(configEvent, map[string]string{"version": hash}, false)
}

func (s *stream) event(name string, data any, withID bool) bool {
	body, err := json.Marshal(data)
	if err != nil {
		return false
	}
	var b bytes.Buffer
	if withID && s.place.position > 0 {
		b.WriteString("id: " + s.place.String() + "\n")
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, body)
	s.wrote = time.Now()
	s.extend()
	_, err = s.w.Write(b.Bytes())
	return err == nil
}

// extend gives the client time anew to take what is written next. One that takes nothing is cut off: else its stream, and the place among
// the streams that it has, would last for as long as it keeps the connection.
func (s *stream) extend() { _ = s.conn.SetWriteDeadline(time.Now().Add(s.handler.config.Stall)) }

func (s *stream) comment(text string) bool {
	s.wrote = time.Now()
	s.extend()
	if _, err := fmt.Fprintf(s.w, ": %s\n\n", text); err != nil {
		return false
	}
	return s.flush()
}

func (s *stream) flush() bool {
	s.extend()
	return s.w.Flush() == nil
}
