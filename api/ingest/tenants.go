package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// TenantStore knows the tenants' settings.
type TenantStore interface {
	// Tenant returns a tenant's settings, or an error that wraps store.ErrNotFound.
	Tenant(ctx context.Context, id string) (store.Tenant, error)
}

// Tenants keeps the rules of the tenants that send, as fresh as maxAge. While the store does not answer, the last known
// rules hold.
type Tenants struct {
	store  TenantStore
	maxAge time.Duration
	now    func() time.Time
	logger *slog.Logger

	mu        sync.Mutex
	rules     map[string]*Rules
	refreshes map[string]*refresh // under way
}

// refresh is one reading of a tenant's settings, which all who wait for them share.
type refresh struct {
	done  chan struct{} // closed when rules and err are set
	rules *Rules
	err   error
}

const (
	// readTime is how long reading a tenant's settings may take.
	readTime = 5 * time.Second
	// refreshPatience is how long one request waits for settings to be read again before it goes by those that are known. A
	// store that hangs must not hold up tenants that are known.
	refreshPatience = 250 * time.Millisecond
)

// NewTenants returns a cache of the tenants' rules.
func NewTenants(store TenantStore, maxAge time.Duration, now func() time.Time, logger *slog.Logger) *Tenants {
	return &Tenants{store: store, maxAge: maxAge, now: now, logger: logger, rules: map[string]*Rules{}, refreshes: map[string]*refresh{}}
}

// Rules is what holds for the events of one tenant.
type Rules struct {
	tenant  store.Tenant
	limiter *rate.Limiter // nil: no limit
	checked time.Time
}

// Rules returns the rules of an active tenant; the error is a Problem.
func (t *Tenants) Rules(ctx context.Context, id string) (*Rules, error) {
	rules, err := t.current(ctx, id)
	if err != nil {
		return nil, err
	}
	if !rules.tenant.Active {
		return nil, problem.New(http.StatusForbidden, "tenant-inactive", fmt.Sprintf(
			"Tenant %s is switched off; ask the operator of this service to switch it on.", id))
	}
	return rules, nil
}

// current returns the rules that hold: those that are known while they are fresh, or for as long as the store does not answer.
func (t *Tenants) current(ctx context.Context, id string) (*Rules, error) {
	t.mu.Lock()
	known := t.rules[id]
	if known != nil && t.now().Sub(known.checked) <= t.maxAge {
		t.mu.Unlock()
		return known, nil
	}
	r, underWay := t.refreshes[id]
	if !underWay {
		r = &refresh{done: make(chan struct{})}
		t.refreshes[id] = r
		go t.refresh(context.WithoutCancel(ctx), id, known, r)
	}
	t.mu.Unlock()

	var patience <-chan time.Time // for ever, but for ctx
	switch {
	case known == nil:
	case underWay:
		return known, nil
	default:
		timer := time.NewTimer(refreshPatience)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-r.done:
		return r.rules, ownProblem(r.err)
	case <-patience:
		return known, nil
	case <-ctx.Done():
		return nil, settingsUnknown()
	}
}

// ownProblem returns an error that several requests have in common as one of this request's own: each adds to it who it is.
func ownProblem(err error) error {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		own := *p
		return &own
	}
	return err
}

// settingsUnknown is the answer when a tenant's settings are not known and cannot be read.
func settingsUnknown() error {
	return problem.New(http.StatusServiceUnavailable, "unavailable",
		"The tenant's settings cannot be read just now, and nothing was accepted. Send the same request again in a few seconds.")
}

func (t *Tenants) refresh(ctx context.Context, id string, known *Rules, r *refresh) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	r.rules, r.err = t.load(ctx, id, known)
	t.mu.Lock()
	delete(t.refreshes, id)
	t.mu.Unlock()
	close(r.done)
}

func (t *Tenants) load(ctx context.Context, id string, known *Rules) (*Rules, error) {
	asked := t.now() // what is read is as old as that, however long reading takes
	tenant, err := t.store.Tenant(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, problem.New(http.StatusForbidden, "tenant-unknown", fmt.Sprintf(
			"Tenant %s is not known here; ask the operator of this service to set it up.", id))
	case err != nil && known != nil:
		t.logger.WarnContext(ctx, "cannot refresh a tenant's settings; keeping the last known", slog.String("tenant", id), slog.Any("error", err))
		tenant = known.tenant
	case err != nil:
		t.logger.ErrorContext(ctx, "cannot read a tenant's settings", slog.String("tenant", id), slog.Any("error", err))
		return nil, settingsUnknown()
	}
	fresh := &Rules{tenant: tenant, checked: asked}
	switch {
	case tenant.RatePerSecond <= 0:
	case known != nil && known.tenant.RatePerSecond == tenant.RatePerSecond:
		fresh.limiter = known.limiter // a refresh must not refill the bucket
	default:
		// A burst of ten seconds' worth lets a batch through that is larger than the rate.
		fresh.limiter = rate.NewLimiter(rate.Limit(tenant.RatePerSecond), max(1, int(tenant.RatePerSecond*10)))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules[id] = fresh
	return fresh, nil
}

// reserve takes n events out of the tenant's rate and returns zero, or returns how long to wait before trying again.
func (r *Rules) reserve(now time.Time, n int) time.Duration { return reserve(r.limiter, now, n) }

// reserve takes n events out of a rate, of which nil is one without limit.
func reserve(limiter *rate.Limiter, now time.Time, n int) time.Duration {
	if limiter == nil {
		return 0
	}
	reservation := limiter.ReserveN(now, min(n, limiter.Burst()))
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// check returns what the tenant's rules have against an event.
func (r *Rules) check(e *tracking.Event, maxBytes int) []problem.Field {
	var fields []problem.Field
	if len(r.tenant.EventTypes) > 0 && !slices.Contains(r.tenant.EventTypes, e.Type) {
		fields = append(fields, problem.Field{Field: "event_type", Code: "not_allowed", Message: "is not a type that this tenant takes"})
	}
	if len(r.tenant.Sources) > 0 && !slices.Contains(r.tenant.Sources, e.Source) {
		fields = append(fields, problem.Field{Field: "source", Code: "not_allowed", Message: "is not a source that this tenant takes"})
	}
	if r.tenant.MaxPayloadBytes > 0 {
		maxBytes = min(maxBytes, r.tenant.MaxPayloadBytes)
	}
	if len(e.Payload) > maxBytes {
		fields = append(fields, problem.Field{
			Field: "payload", Code: "too_large", Message: fmt.Sprintf("has %d bytes; %d are taken", len(e.Payload), maxBytes),
		})
	}
	return fields
}
