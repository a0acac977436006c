// Package live is the edge for who watches: the live stream of traces and figures, and what pages show of how the system does. All
// of it is bounded and cheap, however many watch.
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// Config bounds what watching may cost.
type Config struct {
	// MaxStreams is how many streams a process serves at once. Defaults to 1000.
	MaxStreams int
	// MaxTenantStreams is how many of them one tenant may have. Defaults to 100.
	MaxTenantStreams int
	// Poll is how often changes are looked for without being told of any. Defaults to 1 s.
	Poll time.Duration
	// Heartbeat is how long a stream is silent at most. Defaults to 15 s.
	Heartbeat time.Duration
	// Stall is how long a client may take nothing of what it is sent before its stream is closed. Defaults to 30 s.
	Stall time.Duration
	// Resume is how long ago a stream may have ended that goes on where it was. Defaults to 15 min; changes are kept for an hour.
	Resume time.Duration
	// Alerts says from when on something is wrong. Defaults to DefaultAlertConfig.
	Alerts AlertConfig
	// MaxPending is how many changed traces wait for a slow client before it is told to read anew. Defaults to 1000.
	MaxPending int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxStreams: 1000, MaxTenantStreams: 100, Poll: time.Second, Heartbeat: 15 * time.Second, Stall: 30 * time.Second, Resume: 15 * time.Minute, MaxPending: 1000,
		Alerts: DefaultAlertConfig(),
	}
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v; give it %s", name, value, want))
		}
	}
	check(c.MaxStreams >= 1, "MaxStreams", c.MaxStreams, "1 or more")
	check(c.MaxTenantStreams >= 1, "MaxTenantStreams", c.MaxTenantStreams, "1 or more")
	check(c.Poll > 0, "Poll", c.Poll, "more than 0")
	check(c.Heartbeat > 0, "Heartbeat", c.Heartbeat, "more than 0")
	check(c.Stall > 0, "Stall", c.Stall, "more than 0")
	check(c.Resume >= 0 && c.Resume <= 45*time.Minute, "Resume", c.Resume, "0 to 45 minutes")
	check(c.MaxPending >= 1, "MaxPending", c.MaxPending, "1 or more")
	if err := c.Alerts.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("alerts: %w", err))
	}
	return errors.Join(errs...)
}

// Backlogs tells what waits in a queue.
type Backlogs interface {
	Backlog(ctx context.Context, topic, reader string) (routers.Backlog, error)
}

// Deps is what the edge works with. All of it must be given but Reads, Loaded, Carriers and Limits.
type Deps struct {
	// Store is the primary: notifications do not reach replicas.
	Store *store.Store
	// Reads is what pages are read from, which may be a replica; the primary when nil.
	Reads    *store.Store
	Backlogs Backlogs
	// Approximate says that what Backlogs tells may be off, as with SQS.
	Approximate bool
	// Plans returns the pipelines as they are configured today.
	Plans func(ctx context.Context) ([]pipeline.Plan, error)
	// Loaded reads the configuration to show it; without it there is no operation for that.
	Loaded func(ctx context.Context) (Loaded, error)
	// Carriers reads the carriers that can be read, to show what holds for them; without it there is no operation for that.
	Carriers func(ctx context.Context) (*carriers.Set, error)
	// Limits are what the processes that take events are configured to take. Defaults to DefaultLimits.
	Limits Limits
	// Registry documents the stages.
	Registry *pipeline.Registry
	Logger   *slog.Logger
	Now      func() time.Time
}

// Handler serves the operations and the streams.
type Handler struct {
	config Config
	deps   Deps
	counts *Counts
	feed   *feed
	gauge  *gauges
	cache  answers

	depthsMu sync.Mutex
	depths   *depths // as they were told last

	watch alertWatch

	streams streamCount
	done    chan struct{}
	once    sync.Once
}

// New returns the edge's handler. Start must be called before a stream is asked for.
func New(config Config, deps Deps) (*Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	deps.Plans = cachedPlans(deps.Plans, deps.Now)
	if deps.Reads == nil {
		deps.Reads = deps.Store
	}
	if deps.Limits == (Limits{}) {
		deps.Limits = DefaultLimits()
	}
	h := &Handler{
		config: config, deps: deps, counts: NewCounts(deps.Reads, deps.Now), feed: newFeed(config, deps.Store, deps.Logger),
		done: make(chan struct{}),
	}
	h.gauge = newGauges(deps.Reads, h.counts, deps.Now)
	return h, nil
}

// Start has the edge follow changes, and look for what is wrong, until Close.
func (h *Handler) Start() {
	h.feed.start()
	h.watchAlerts()
}

// Close ends the streams, so that a server with watchers can stop, and what follows changes for them.
func (h *Handler) Close() {
	h.Leave()
	h.watch.close()
	h.feed.close()
}

// Leave ends the live streams, and has those that are asked for refused from now on: who watches comes back elsewhere. Everything
// else goes on.
func (h *Handler) Leave() { h.once.Do(func() { close(h.done) }) }

// Register adds the operations to an API whose requests were authenticated before they come here.
func (h *Handler) Register(api huma.API) {
	for _, register := range []func(huma.API){
		h.registerCounts, h.registerOverview, h.registerStages, h.registerQueues, h.registerCarriers, h.registerCarrierSettings, h.registerMetrics, h.registerSearch,
		h.registerAudit, h.registerMe, h.registerTenant, h.registerConfig, h.registerSamples, h.registerAlerts, h.documentStream,
	} {
		register(api)
	}
}

// operation describes an operation that needs a role; an empty one needs none but to be signed in.
func operation(id, path, tag, role, summary, description string, statuses ...int) huma.Operation {
	if role != "" {
		description += " Needs the role " + role + "."
	}
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: "/api/v1/" + path, Tags: []string{tag}, Summary: summary, Description: description,
		Security: []map[string][]string{{"bearer": {}}},
		Errors:   append([]int{http.StatusUnauthorized, http.StatusForbidden}, statuses...),
	}
}

// Whose says whose data is asked for.
type Whose = auth.Whose

// authorize returns who asks, and for which tenant's data, when their roles allow it; the error is a Problem.
func authorize(ctx context.Context, role string, of Whose) (auth.Identity, string, error) {
	return auth.Authorize(ctx, role, of)
}

// unavailable turns an error of the store into a Problem. One of a client that has gone is nobody's trouble.
func (h *Handler) unavailable(ctx context.Context, doing string, err error) error {
	if ctx.Err() == nil {
		h.deps.Logger.ErrorContext(ctx, "cannot "+doing, slog.Any("error", err))
	}
	return problem.New(http.StatusServiceUnavailable, "unavailable", "The store does not answer just now; try again in a few seconds.")
}

func invalid(field, message string) error {
	p := problem.New(http.StatusUnprocessableEntity, "validation", "What was asked for is not right.")
	p.Errors = []problem.Field{{Field: field, Code: "invalid", Message: message}}
	return p
}

// planFreshness is how old the pipelines may be that are shown.
const planFreshness = 5 * time.Second

// cachedPlans returns read with what it returned last, while that is fresh.
func cachedPlans(read func(context.Context) ([]pipeline.Plan, error), now func() time.Time) func(context.Context) ([]pipeline.Plan, error) {
	var mu sync.Mutex
	var plans []pipeline.Plan
	var at time.Time
	return func(ctx context.Context) ([]pipeline.Plan, error) {
		mu.Lock()
		defer mu.Unlock()
		if plans != nil && now().Sub(at).Abs() < planFreshness {
			return plans, nil
		}
		fresh, err := read(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		plans, at = fresh, now()
		return plans, nil
	}
}
