package live

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
)

// KPI is a figure of a window, and what it was in the window before; missing figures are not known, which is not 0.
type KPI struct {
	Value    *float64 `json:"value,omitempty" doc:"In the window"`
	Previous *float64 `json:"previous,omitempty" doc:"In the window before, as long"`
	Delta    *float64 `json:"delta,omitempty" doc:"By how much it changed, as a share of what it was" example:"0.12"`
}

func newKPI(value, previous *float64) KPI {
	k := KPI{Value: value, Previous: previous}
	if value != nil && previous != nil && *previous != 0 {
		delta := rounded(*value / *previous - 1)
		k.Delta = &delta
	}
	return k
}

// Overview is how everything of a tenant does.
type Overview struct {
	At          time.Time           `json:"at" doc:"When it was read"`
	Window      string              `json:"window" doc:"What the figures are of" example:"15m0s"`
	Accepted    KPI                 `json:"accepted_per_second" doc:"Events accepted a second"`
	Stored      KPI                 `json:"stored_per_second" doc:"Events stored a second"`
	P95         KPI                 `json:"p95_ms" doc:"From received to stored, 19 of 20 events, in milliseconds"`
	Latency     *Latency            `json:"latency,omitempty" doc:"From received to stored"`
	OldestMS    *float64            `json:"oldest_ms,omitempty" doc:"How long ago the oldest event had been received that a stage let pass in the last two minutes"`
	DeadLetters int                 `json:"dead_letters_open" doc:"Dead letters that are open"`
	LastHour    int                 `json:"dead_letters_last_hour" doc:"Events that were dead-lettered in the last hour and are still open"`
	Now         Gauges              `json:"now" doc:"How the stages get on just now"`
	Paused      []Pause             `json:"paused" doc:"The stages that somebody paused, in the order of pipeline and stage"`
	Balance     []store.Balance     `json:"balance" doc:"What became of all events, by pipeline"`
	Failures    []store.LetterGroup `json:"failures" doc:"Why events were dead-lettered in the window, the most frequent reasons first"`
	Slowest     []CarrierLag        `json:"slowest" doc:"The sources whose events come the latest after they occurred"`
}

// CarrierLag is how late the events of a source come.
type CarrierLag struct {
	Source string   `json:"source" doc:"The source"`
	Stored int64    `json:"stored" doc:"Events of it that were stored in the window"`
	Delay  *Latency `json:"delay" doc:"From occurring to being received"`
}

// WindowInput says of how long figures are.
type WindowInput struct {
	Whose

	Window string `query:"window" default:"15m" maxLength:"16" doc:"How far back, from 1m to 24h" example:"15m"`
}

func (in WindowInput) window() (time.Duration, error) {
	d, err := time.ParseDuration(in.Window)
	if err != nil || d < time.Minute || d > 24*time.Hour {
		return 0, invalid("window", fmt.Sprintf("%q is no duration from 1m to 24h", in.Window))
	}
	return d.Truncate(time.Minute), nil
}

type overviewOutput struct{ Body Overview }

// topOf is how many of the worst are told.
const topOf = 5

func (h *Handler) registerOverview(api huma.API) {
	huma.Register(api, operation("get-overview", "overview", "Operations", auth.RoleOpsRead, "How everything does",
		"The figures of a window beside those of the window before, what stages do just now, whether the books balance, why events were "+
			"dead-lettered and which carriers are late. It is up to a second old.", http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.overview)
}

func (h *Handler) overview(ctx context.Context, in *WindowInput) (*overviewOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	window, err := in.window()
	if err != nil {
		return nil, err
	}
	o, err := remember(&h.cache, "overview "+window.String()+" "+tenant, freshness, h.deps.Now, func() (Overview, error) {
		return h.readOverview(context.WithoutCancel(ctx), tenant, window)
	})
	if err != nil {
		return nil, h.unavailable(ctx, "read the overview", err)
	}
	if o.Paused, err = h.pauses(ctx); err != nil {
		return nil, h.unavailable(ctx, "read which stages are paused", err)
	}
	return &overviewOutput{o}, nil
}

func (h *Handler) readOverview(ctx context.Context, tenant string, window time.Duration) (Overview, error) {
	now := h.deps.Now().UTC()
	o := Overview{At: now, Window: window.String(), Failures: []store.LetterGroup{}, Slowest: []CarrierLag{}}
	for _, read := range []func(context.Context, string, *Overview, time.Duration) error{h.readRates, h.readLatencies, h.readTroubles, h.readSlowest} {
		if err := read(ctx, tenant, &o, window); err != nil {
			return o, err
		}
	}
	var err error
	if o.Now, err = h.gauge.of(ctx, tenant); err != nil {
		return o, err
	}
	if o.Balance, err = h.deps.Reads.Balance(ctx, tenant); err != nil {
		return o, err
	}
	o.Balance = append([]store.Balance{}, o.Balance...)
	return o, nil
}

// readRates reads what the tenant's counts of whole minutes come to a second.
func (h *Handler) readRates(ctx context.Context, tenant string, o *Overview, window time.Duration) error {
	from := o.At.Add(-2 * window)
	stats, err := h.deps.Reads.StatsByMinute(ctx, tenant, from)
	if err != nil {
		return err
	}
	var value, previous Totals
	known := false
	for _, s := range stats {
		if s.Minute.Before(o.At.Add(-window)) {
			previous.add(s.Stage, s.Outcome, s.Events)
			known = true
		} else {
			value.add(s.Stage, s.Outcome, s.Events)
		}
	}
	rate := func(n int64) *float64 {
		r := rounded(float64(n) / window.Seconds())
		return &r
	}
	o.Accepted, o.Stored = newKPI(rate(value.Accepted), nil), newKPI(rate(value.Stored), nil)
	if known {
		o.Accepted, o.Stored = newKPI(rate(value.Accepted), rate(previous.Accepted)), newKPI(rate(value.Stored), rate(previous.Stored))
	}
	return nil
}

func (h *Handler) readLatencies(ctx context.Context, tenant string, o *Overview, window time.Duration) error {
	times, err := h.deps.Reads.StageTimes(ctx, tenant, o.At.Add(-2*window), o.At.Add(time.Minute))
	if err != nil {
		return err
	}
	split := slices.IndexFunc(times, func(t store.StageTimes) bool { return !t.Minute.Before(o.At.Add(-window)) })
	if split < 0 {
		split = len(times)
	}
	now := endToEnd(times[split:])
	o.Latency = latencyOf(now)
	o.P95 = newKPI(quantile(now, 0.95), quantile(endToEnd(times[:split]), 0.95))
	for _, t := range times {
		if oldest := quantile(t.Age, 1); oldest != nil && o.At.Sub(t.Minute) < 2*time.Minute && (o.OldestMS == nil || *oldest > *o.OldestMS) {
			o.OldestMS = oldest
		}
	}
	return nil
}

func (h *Handler) readTroubles(ctx context.Context, tenant string, o *Overview, window time.Duration) error {
	open := store.LetterFilter{States: []string{store.LetterOpen}}
	count := func(filter store.LetterFilter) (n int, err error) {
		groups, err := h.deps.Reads.LetterGroups(ctx, tenant, filter, []string{"state"})
		for _, g := range groups {
			n += g.Count
		}
		return n, err
	}
	var err error
	if o.DeadLetters, err = count(open); err != nil {
		return err
	}
	hour := o.At.Add(-time.Hour)
	open.After = &hour
	if o.LastHour, err = count(open); err != nil {
		return err
	}
	after := o.At.Add(-window)
	groups, err := h.deps.Reads.LetterGroups(ctx, tenant, store.LetterFilter{After: &after}, []string{"stage", "reason"})
	if err != nil {
		return err
	}
	o.Failures = append(o.Failures, groups[:min(len(groups), topOf)]...)
	return nil
}

func (h *Handler) readSlowest(ctx context.Context, tenant string, o *Overview, window time.Duration) error {
	sources, err := h.deps.Reads.SourceStats(ctx, tenant, o.At.Add(-window), o.At.Add(time.Minute))
	if err != nil {
		return err
	}
	for _, s := range sources {
		if delay := latencyOf(s.Delay); delay != nil {
			o.Slowest = append(o.Slowest, CarrierLag{Source: s.Source, Stored: s.Stored, Delay: delay})
		}
	}
	slices.SortStableFunc(o.Slowest, func(a, b CarrierLag) int { return cmp.Compare(b.Delay.P50, a.Delay.P50) })
	o.Slowest = o.Slowest[:min(len(o.Slowest), topOf)]
	return nil
}
