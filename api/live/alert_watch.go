package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// alertWatch looks from time to time for what is wrong, in turns with the other processes, and notes it in the database: so all of them say
// the same, and a restart forgets nothing.
type alertWatch struct {
	stop  context.CancelFunc
	tasks sync.WaitGroup
	// plans are those that could be read last.
	plans []pipeline.Plan
}

func (h *Handler) watchAlerts() {
	ctx, stop := context.WithCancel(context.Background())
	h.watch.stop = stop
	h.watch.tasks.Go(func() {
		// Several looks for one turn: when its process stops, another one takes it soon.
		ticker := time.NewTicker(max(h.config.Alerts.Every/3, 10*time.Millisecond))
		defer ticker.Stop()
		failing := false
		for {
			err := h.lookForAlerts(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				h.deps.Logger.WarnContext(ctx, "cannot look for alerts; those that are known stay until it works", slog.Any("error", err))
			}
			failing = err != nil
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

func (w *alertWatch) close() {
	if w.stop != nil {
		w.stop()
	}
	w.tasks.Wait()
}

// lookForAlerts looks for what is wrong when it is this process's turn. Start has it called all the time.
func (h *Handler) lookForAlerts(ctx context.Context) error {
	now := h.deps.Now().UTC().Truncate(time.Microsecond)
	mine, err := h.deps.Store.TakeAlertTurn(ctx, now, h.config.Alerts.Every)
	if err != nil || !mine {
		return err
	}
	plans, err := h.deps.Plans(ctx)
	if err == nil {
		h.watch.plans = plans
	} else if h.watch.plans == nil { // what is being edited is no reason to be blind
		return err
	}
	l := &look{
		config: h.config.Alerts, at: now, plans: h.watch.plans, found: map[alertKey]store.AlertState{}, untold: map[alertKey]bool{}, unknown: map[string]bool{}, paused: map[string]bool{},
	}
	paused, err := h.pausesOf(ctx, l.plans)
	if err != nil {
		return fmt.Errorf("read which stages are paused: %w", err)
	}
	for _, p := range paused {
		for _, id := range p.Stages {
			l.paused[id] = true
		}
	}
	l.told = h.askDepths(ctx, l.plans)
	if err := h.lookAtSystem(ctx, l); err != nil {
		return err
	}
	tenants, err := h.deps.Store.Tenants(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range tenants {
		if err := h.lookAtTenant(ctx, l, t.ID); err != nil {
			l.unknown[t.ID] = true
			errs = append(errs, fmt.Errorf("tenant %s: %w", t.ID, err))
		}
	}
	before, err := h.deps.Store.AllAlerts(ctx)
	if err != nil {
		return err
	}
	states, gone := l.advance(before)
	return errors.Join(append(errs, h.deps.Store.PutAlerts(ctx, now, states, gone))...)
}

// advance returns the alerts that are other than before, and those that are gone without ever having been told.
func (l *look) advance(before []store.AlertState) (states, gone []store.AlertState) {
	known := map[alertKey]bool{}
	for _, was := range before {
		key := alertKey{was.TenantID, was.ID}
		known[key] = true
		now, found := l.found[key]
		kind, of := kindOf(was.Kind)
		if found && kind.grows && was.ResolvedAt == nil && was.FiredAt != nil && now.Value <= was.Base {
			found = false // it is no more than when it began
		}
		switch {
		case found:
			states = append(states, l.goesOn(kind, was, now))
		case !of, was.ResolvedAt != nil:
			// Of a later version, or over already.
		case l.untold[key], l.unknown[was.TenantID]:
		case was.FiredAt == nil:
			gone = append(gone, was)
		case l.at.Sub(was.SeenAt) >= l.config.Linger:
			was.ResolvedAt, was.SeenAt = &l.at, l.at
			states = append(states, was)
		}
	}
	for key, now := range l.found {
		if kind, _ := kindOf(now.Kind); !known[key] {
			states = append(states, l.fired(kind, now))
		}
	}
	return states, gone
}

// goesOn is an alert that was known and is found again.
func (l *look) goesOn(kind alertKind, was, now store.AlertState) store.AlertState {
	if was.ResolvedAt != nil {
		return l.fired(kind, now) // it has come back
	}
	if was.FiredAt != nil {
		now.Since, now.FiredAt, now.Base = was.Since, was.FiredAt, was.Base
		return now
	}
	interrupted := l.at.Sub(was.SeenAt) > max(l.config.Linger, 4*l.config.Every)
	if interrupted || kind.grows && now.Value <= was.Base {
		return l.fired(kind, now) // it begins anew
	}
	now.Since, now.Base = was.Since, was.Base
	return l.fired(kind, now)
}

// fired notes that an alert is to be told of, when it has lasted for long enough.
func (l *look) fired(kind alertKind, a store.AlertState) store.AlertState {
	var lasting time.Duration
	if kind.lasting != nil {
		lasting = kind.lasting(l.config, a.Subject)
	}
	if l.at.Sub(a.Since) >= lasting && (!kind.grows || a.Value >= a.Base*(1+l.config.GrowthShare)) {
		a.FiredAt = &l.at
	}
	return a
}
