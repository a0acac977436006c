package live

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// alertKey is whose alert it is, and which.
type alertKey struct{ tenant, id string }

// look is one look at how everything does. What it finds is what is wrong at that moment; whether that has lasted is not its business.
type look struct {
	config AlertConfig
	at     time.Time
	plans  []pipeline.Plan
	// paused are the stages that somebody has paused, as pipeline.stage.
	paused map[string]bool
	told   *depths

	found map[alertKey]store.AlertState
	// untold are alerts of which this look can say nothing: they stay as they are. So do all of the tenants that could not be read.
	untold  map[alertKey]bool
	unknown map[string]bool
}

// lagIsMeant says whether what comes to a stage waits because somebody wants it to: then nobody needs to be told that it does.
func (l *look) lagIsMeant(pipelineName, stage string) bool { return l.paused[pipelineName+"."+stage] }

// add notes something that is wrong. A zero since says that it is not known for longer than this look.
func (l *look) add(tenant, kind, severity string, about store.AlertSubject, value, limit float64, since time.Time) {
	if since.IsZero() {
		since = l.at
	}
	a := store.AlertState{
		TenantID: tenant, ID: alertID(kind, about), Kind: kind, Subject: about, Severity: severity, Value: value, Threshold: limit, Base: value,
		Since: since, SeenAt: l.at,
	}
	l.found[alertKey{tenant, a.ID}] = a
}

// lookAtSystem finds what is wrong with the whole system: that of no tenant.
func (h *Handler) lookAtSystem(ctx context.Context, l *look) error {
	states, err := h.deps.Store.StageStates(ctx)
	if err != nil {
		return err
	}
	l.stageStates(states)
	l.queues()
	missing, err := h.deps.Store.MissingPartitions(ctx, l.at)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		l.add("", alertPartitions, store.AlertCritical, store.AlertSubject{}, float64(len(missing)), 0, time.Time{})
	}
	if h.deps.Loaded == nil {
		return nil
	}
	loaded, err := h.deps.Loaded(ctx)
	if err != nil {
		return err
	}
	if wrong := loaded.Findings.Errors(); len(wrong) > 0 {
		l.add("", alertConfig, store.AlertWarning, store.AlertSubject{}, float64(len(wrong)), 0, time.Time{})
	}
	return nil
}

// stageStates finds breakers that are open, and pipelines that nobody runs.
func (l *look) stageStates(states []store.StageState) {
	type name struct{ pipeline, stage string }
	open, half, run := map[name]int{}, map[name]int{}, map[name]bool{}
	for _, s := range states {
		at := name{s.Pipeline, s.Stage}
		run[at] = true
		switch s.Breaker {
		case "open":
			open[at]++
		case "half-open":
			half[at]++
		}
	}
	for _, plan := range l.plans {
		missing := 0
		for _, hop := range plan.Hops {
			for _, s := range hop.Stages {
				at, about := name{plan.Pipeline, s.Name}, store.AlertSubject{Pipeline: plan.Pipeline, Stage: s.Name}
				if severity, is := graded(half[at] > 0, open[at] > 0); is {
					l.add("", alertBreaker, severity, about, float64(open[at]+half[at]), 0, time.Time{})
				}
				if !run[at] {
					missing++
				}
			}
		}
		if missing > 0 {
			l.add("", alertProcessors, store.AlertCritical, store.AlertSubject{Pipeline: plan.Pipeline}, float64(missing), 0, time.Time{})
		}
	}
}

// queues finds queues whose first message waits for long, those that grow, and those of which the broker does not tell.
func (l *look) queues() {
	untold := 0
	for _, plan := range l.plans {
		for _, hop := range plan.Hops {
			about := store.AlertSubject{Pipeline: plan.Pipeline, Stage: hop.Stages[0].Name, Topic: hop.From}
			backlog, known := l.told.counts[queueName{hop.From, plan.Pipeline}]
			if !known {
				untold++
				l.untold[alertKey{"", alertID(alertQueueLag, about)}], l.untold[alertKey{"", alertID(alertQueueGrows, about)}] = true, true
				continue
			}
			if l.lagIsMeant(plan.Pipeline, about.Stage) {
				continue
			}
			if !backlog.Oldest.IsZero() {
				age := max(0, l.told.at.Sub(backlog.Oldest))
				if severity, is := l.config.late(age); is {
					l.add("", alertQueueLag, severity, about, milliseconds(age), milliseconds(l.config.Late), backlog.Oldest.UTC())
				}
			}
			if depth := backlog.Total(); depth > l.config.Backlog {
				l.add("", alertQueueGrows, store.AlertWarning, about, float64(depth), float64(l.config.Backlog), time.Time{})
			}
		}
	}
	if untold > 0 {
		l.add("", alertUntold, store.AlertWarning, store.AlertSubject{}, float64(untold), 0, time.Time{})
	}
}

// shortly is of how long it is taken how stages do just now.
const shortly = 5 * time.Minute

// lookAtTenant finds what is wrong for a tenant.
func (h *Handler) lookAtTenant(ctx context.Context, l *look, tenant string) error {
	from, to := l.at.Add(-l.config.Recent), l.at.Add(time.Minute)
	times, err := h.deps.Reads.StageTimes(ctx, tenant, from, to)
	if err != nil {
		return err
	}
	stats, err := h.deps.Reads.StatsByMinute(ctx, tenant, l.at.Add(-max(l.config.Recent, l.config.BalanceAfter)))
	if err != nil {
		return err
	}
	balances, err := h.deps.Reads.Balance(ctx, tenant)
	if err != nil {
		return err
	}
	cadences, err := remember(&h.cache, "alert cadences "+tenant, time.Minute, h.deps.Now, func() ([]store.SourceCadence, error) {
		return h.deps.Reads.SourceCadences(ctx, tenant, l.at.Add(-24*time.Hour))
	})
	if err != nil {
		return err
	}
	sources, err := h.deps.Reads.SourceStats(ctx, tenant, from, to)
	if err != nil {
		return err
	}
	l.lateStages(tenant, times)
	l.slowPipelines(tenant, times)
	l.retries(tenant, stats)
	l.balance(tenant, balances, stats)
	l.carriers(tenant, cadences, sources)
	return h.lookAtLetters(ctx, l, tenant, stats)
}

// lateStages finds stages that let pass what was received long ago.
func (l *look) lateStages(tenant string, times []store.StageTimes) {
	now := mergeTimes(slices.DeleteFunc(slices.Clone(times), func(t store.StageTimes) bool { return l.at.Sub(t.Minute) >= 2*time.Minute }))
	for _, t := range now {
		age, known := t.Age.Quantile(0.95)
		if severity, is := l.config.late(age); known && is && !l.lagIsMeant(t.Pipeline, t.Stage) {
			l.add(tenant, alertStageLate, severity, store.AlertSubject{Pipeline: t.Pipeline, Stage: t.Stage}, milliseconds(age), milliseconds(l.config.Late), time.Time{})
		}
	}
}

// slowPipelines finds pipelines that too large a share of events takes long to get through, lately and for a while.
func (l *look) slowPipelines(tenant string, times []store.StageTimes) {
	while, lately := map[string]*quantiles.Histogram{}, map[string]*quantiles.Histogram{}
	merge := func(into map[string]*quantiles.Histogram, t store.StageTimes) {
		if into[t.Pipeline] == nil {
			into[t.Pipeline] = &quantiles.Histogram{}
		}
		into[t.Pipeline].Merge(t.Age)
	}
	for _, t := range times {
		if t.Stage != storingStage || l.lagIsMeant(t.Pipeline, t.Stage) {
			continue
		}
		merge(while, t)
		if l.at.Sub(t.Minute) < shortly {
			merge(lately, t)
		}
	}
	for name, all := range while {
		took, _ := all.Quantile(1 - l.config.SlowShare)
		now, known := quantileOf(lately[name], 1-l.config.SlowShare)
		if known && took > l.config.Slow && now > l.config.Slow && all.Count() >= uint64(l.config.MinEvents) { //nolint:gosec // it is 1 or more
			l.add(tenant, alertSlow, store.AlertWarning, store.AlertSubject{Pipeline: name}, milliseconds(now), milliseconds(l.config.Slow), time.Time{})
		}
	}
}

// retries finds stages that try much again.
func (l *look) retries(tenant string, stats []store.StatMinute) {
	type count struct{ all, again int64 }
	counts := map[store.AlertSubject]count{}
	for _, s := range stats {
		if l.at.Sub(s.Minute) >= shortly+time.Minute || !slices.Contains([]string{"pass", "drop", "reject", "retry"}, s.Outcome) {
			continue
		}
		about := store.AlertSubject{Pipeline: s.Pipeline, Stage: s.Stage}
		n := counts[about]
		n.all += s.Events
		if s.Outcome == "retry" {
			n.again += s.Events
		}
		counts[about] = n
	}
	for about, n := range counts {
		if again := l.shareOf(n.again, n.all); again >= l.config.RetriedShare {
			l.add(tenant, alertRetries, store.AlertWarning, about, rounded(again), l.config.RetriedShare, time.Time{})
		}
	}
}

// shareOf returns which share some events are of all; 0 where there are too few to tell.
func (l *look) shareOf(some, all int64) float64 {
	if all < l.config.MinEvents {
		return 0
	}
	return float64(some) / float64(all)
}

// The ways in which a balance is off.
const (
	offTwice      = "twice"
	offUnreceived = "unreceived"
	offInFlight   = "in_flight"
)

// balance finds events that are not accounted for. What is in flight is lost for sure when it is more than came since, and nothing waits.
func (l *look) balance(tenant string, balances []store.Balance, stats []store.StatMinute) {
	for _, b := range balances {
		lost := int64(0)
		if empty, known := l.empty(b.Pipeline); !known {
			l.untold[alertKey{tenant, alertID(alertBalance, store.AlertSubject{Pipeline: b.Pipeline, Reason: offInFlight})}] = true
		} else if empty {
			lost = b.InFlight - l.cameTo(b.Pipeline, stats)
		}
		for reason, n := range map[string]int64{offTwice: b.Twice, offUnreceived: b.Unreceived, offInFlight: lost} {
			if n > 0 {
				l.add(tenant, alertBalance, store.AlertCritical, store.AlertSubject{Pipeline: b.Pipeline, Reason: reason}, float64(n), 0, time.Time{})
			}
		}
	}
}

// empty says whether nothing waits in any queue of a pipeline; known is false when the broker does not tell of all.
func (l *look) empty(name string) (empty, known bool) {
	empty = true
	for _, plan := range l.plans {
		for _, hop := range plan.Hops {
			if plan.Pipeline != name {
				continue
			}
			backlog, told := l.told.counts[queueName{hop.From, name}]
			if !told {
				return false, false
			}
			empty = empty && backlog.Total() == 0
		}
	}
	return empty, true
}

// cameTo returns how many events came to a pipeline lately, or a few more: those that its busiest stage saw, and those that stages made.
func (l *look) cameTo(name string, stats []store.StatMinute) int64 {
	seen, made := map[string]int64{}, int64(0)
	for _, s := range stats {
		if s.Pipeline != name || l.at.Sub(s.Minute) >= l.config.BalanceAfter+time.Minute {
			continue
		}
		switch s.Outcome {
		case "pass", "drop", "reject":
			seen[s.Stage] += s.Events
		case "emit":
			made += s.Events
		}
	}
	most := int64(0)
	for _, n := range seen {
		most = max(most, n)
	}
	return most + made
}

// carriers finds sources that are silent against their habit, and those that send what is not taken or not understood.
func (l *look) carriers(tenant string, cadences []store.SourceCadence, sources []store.SourceStats) {
	for _, c := range cadences {
		silent, limit := l.at.Sub(c.LastAt), l.config.silentBeyond(c.UsualGap)
		if limit > 0 && silent > limit {
			l.add(tenant, alertSilent, store.AlertWarning, store.AlertSubject{Source: c.Source}, milliseconds(silent), milliseconds(limit), c.LastAt)
		}
	}
	for _, s := range sources {
		about := store.AlertSubject{Source: s.Source}
		rejected := l.shareOf(s.Rejected, s.Stored+s.Rejected+s.Duplicates)
		if severity, is := graded(rejected >= l.config.RejectedShare, rejected >= l.config.ManyRejected); is {
			l.add(tenant, alertRejected, severity, about, rounded(rejected), l.config.RejectedShare, time.Time{})
		}
		if unmapped := l.shareOf(s.Unmapped, s.Stored); unmapped >= l.config.UnmappedShare {
			l.add(tenant, alertUnmapped, store.AlertNotice, about, rounded(unmapped), l.config.UnmappedShare, time.Time{})
		}
	}
}

// lookAtLetters finds dead letters that become many, and those that wait for somebody to decide.
func (h *Handler) lookAtLetters(ctx context.Context, l *look, tenant string, stats []store.StatMinute) error {
	open := store.LetterFilter{States: []string{store.LetterOpen}}
	groups, err := h.deps.Reads.LetterGroups(ctx, tenant, open, []string{"state"})
	if err != nil {
		return fmt.Errorf("look at dead letters: %w", err)
	}
	for _, g := range groups {
		l.add(tenant, alertOpenLetters, store.AlertNotice, store.AlertSubject{}, float64(g.Count), 0, g.Oldest)
	}
	from := l.at.Add(-l.config.Recent)
	open.After = &from
	if groups, err = h.deps.Reads.LetterGroups(ctx, tenant, open, []string{"pipeline", "stage", "reason"}); err != nil {
		return fmt.Errorf("look at dead letters: %w", err)
	}
	ended := map[string]int64{}
	for _, s := range stats {
		if !s.Minute.Before(from.Truncate(time.Minute)) && (s.Outcome == "pass" || s.Outcome == "drop" || s.Outcome == "reject") {
			ended[s.Pipeline+"."+s.Stage] += s.Events
		}
	}
	for _, g := range groups {
		all := max(ended[g.Pipeline+"."+g.Stage], int64(g.Count)) // what is redriven and rejected again is counted once
		rejected := l.shareOf(int64(g.Count), all)
		if severity, is := graded(rejected >= l.config.RejectedShare, rejected >= l.config.ManyRejected); is {
			l.add(tenant, alertLetters, severity, store.AlertSubject{Pipeline: g.Pipeline, Stage: g.Stage, Reason: g.Code}, rounded(rejected), l.config.RejectedShare, g.Oldest)
		}
	}
	return nil
}

// quantileOf is the quantile of a distribution, which may be nil.
func quantileOf(h *quantiles.Histogram, q float64) (time.Duration, bool) {
	if h == nil {
		return 0, false
	}
	return h.Quantile(q)
}
