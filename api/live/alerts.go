package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// The states of an alert.
const (
	alertPending  = "pending"
	alertFiring   = "firing"
	alertResolved = "resolved"
)

// Alert is something that is wrong.
type Alert struct {
	ID         string              `json:"id" doc:"Identifies the alert: its kind and what it is about. It is the same whenever that comes again" example:"carrier-silent:LA-baggage"`
	Kind       string              `json:"kind" doc:"What is wrong" example:"carrier-silent"`
	Severity   string              `json:"severity" enum:"critical,warning,notice" doc:"How bad it is: critical wants somebody now, warning today, notice is good to know"`
	State      string              `json:"state" enum:"firing,pending,resolved" doc:"Whether it is wrong, may come to be when it lasts, or is over"`
	Scope      string              `json:"scope" enum:"tenant,system" doc:"Whether it is the tenant's, or that of the whole system"`
	Subject    store.AlertSubject  `json:"subject" doc:"What it is about"`
	Message    string              `json:"message" doc:"What is wrong, in words" example:"LA-baggage has sent nothing for 42m; it may pause for 10m"`
	Value      float64             `json:"value" doc:"What was measured last" example:"2520000"`
	Limit      float64             `json:"limit" doc:"What it may be" example:"600000"`
	Unit       string              `json:"unit" enum:"ms,share,messages,events,letters,count" doc:"In what both are"`
	Since      time.Time           `json:"since" doc:"Since when it is so"`
	FiredAt    *time.Time          `json:"fired_at,omitempty" doc:"When it had been so for long enough to be told; missing while it is pending"`
	SeenAt     time.Time           `json:"seen_at" doc:"When it was found last"`
	ResolvedAt *time.Time          `json:"resolved_at,omitempty" doc:"When it was over"`
	Runbook    string              `json:"runbook" doc:"What to do: the page of docs/runbooks" example:"RastroCarrierSilent"`
	RunbookURL string              `json:"runbook_url" format:"uri" doc:"Where that page is"`
	Silence    *store.AlertSilence `json:"silence,omitempty" doc:"That somebody does not want to hear of it for a while"`
}

// AlertCounts are how many alerts are firing that nobody has silenced, and how many somebody has.
type AlertCounts struct {
	Critical int `json:"critical" doc:"Those that want somebody now"`
	Warning  int `json:"warning" doc:"Those that want somebody today"`
	Notice   int `json:"notice" doc:"Those that are good to know"`
	Silenced int `json:"silenced" doc:"Those that are silenced, of any severity"`
}

// WatchedKind is something that is looked for.
type WatchedKind struct {
	Kind     string  `json:"kind" doc:"What would be wrong" example:"carrier-silent"`
	Severity string  `json:"severity" enum:"critical,warning,notice" doc:"How bad it would be at worst"`
	Limit    float64 `json:"limit" doc:"What is allowed, at least" example:"600000"`
	Unit     string  `json:"unit" enum:"ms,share,messages,events,letters,count" doc:"In what that is"`
	LastsMS  float64 `json:"lasts_ms" doc:"For how long it must be so before it is told, in milliseconds" example:"0"`
	Runbook  string  `json:"runbook" doc:"What to do then: the page of docs/runbooks" example:"RastroCarrierSilent"`
}

// AlertList is what is wrong.
type AlertList struct {
	Items    []Alert       `json:"items" doc:"What is wrong: the worst first, and what is silenced behind all else"`
	Pending  []Alert       `json:"pending" doc:"What will be, when it lasts"`
	Resolved []Alert       `json:"resolved" doc:"What was in the last seven days, what ended last first; of each alert the last time"`
	Counts   AlertCounts   `json:"counts" doc:"How many items there are"`
	Watched  []WatchedKind `json:"watched" doc:"All that is looked for"`
	LookedAt *time.Time    `json:"looked_at,omitempty" doc:"When it was looked last for what is wrong: every 15 seconds as a rule. Missing before the first time"`
}

type alertsOutput struct{ Body AlertList }

// RunbookBase is where the runbooks are.
const RunbookBase = "https://github.com/rastrohq/rastro/blob/main/docs/runbooks/"

// alertOperation describes an operation on alerts.
func alertOperation(id, method, path, role, summary, description string, statuses ...int) huma.Operation {
	op := operation(id, path, "Operations", role, summary, description, append(statuses, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)...)
	op.Method = method
	return op
}

func (h *Handler) registerAlerts(api huma.API) {
	huma.Register(api, alertOperation("list-alerts", http.MethodGet, "alerts", auth.RoleOpsRead, "What is wrong",
		"What is wrong just now, the worst first: with the tenant's carriers, events and dead letters, and with the stages and queues that all "+
			"tenants share. What is wrong with the database itself is told to those with tenants:all."), h.alerts)
	op := alertOperation("silence-alert", http.MethodPost, "alerts/{id}/silence", auth.RoleOpsWrite, "Silence an alert",
		"Has an alert listed below the others, and not counted, until a time: at most seven days ahead. It ends by itself then, and holds for the "+
			"tenant alone. It is noted in the audit.", http.StatusNotFound)
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{
		"application/json": {Example: map[string]any{"minutes": 120, "reason": "The carrier is moving its data centre"}},
	}}
	huma.Register(api, op, h.silence)
	huma.Register(api, alertOperation("unsilence-alert", http.MethodDelete, "alerts/{id}/silence", auth.RoleOpsWrite, "End a silence",
		"Has an alert told again. It is noted in the audit; of one that is not silenced, nothing is.", http.StatusNotFound), h.unsilence)
}

func (h *Handler) alerts(ctx context.Context, in *Whose) (*alertsOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsRead, *in)
	if err != nil {
		return nil, err
	}
	list, err := h.alertsOf(ctx, identity, tenant)
	if err != nil {
		return nil, h.unavailable(ctx, "read alerts", err)
	}
	return &alertsOutput{list}, nil
}

// alertsOf returns the alerts of a tenant that somebody may see. They are up to a second old.
func (h *Handler) alertsOf(ctx context.Context, identity auth.Identity, tenant string) (AlertList, error) {
	operator := identity.Has(auth.RoleTenantsAll)
	list, err := remember(&h.cache, h.alertsKey(tenant, operator), freshness, h.deps.Now, func() (AlertList, error) {
		return h.readAlerts(context.WithoutCancel(ctx), tenant, operator)
	})
	return list, err
}

func (h *Handler) alertsKey(tenant string, operator bool) string {
	return fmt.Sprintf("alerts %t %s", operator, tenant)
}

// statesFor returns the alerts of a tenant, and those of the system that it sees. Who does not see all tenants sees of the system what its
// stages and queues show.
func (h *Handler) statesFor(ctx context.Context, tenant string, operator bool) ([]store.AlertState, error) {
	own, err := h.deps.Store.Alerts(ctx, tenant)
	if err != nil {
		return nil, err
	}
	shared, err := h.deps.Store.Alerts(ctx, "")
	if err != nil {
		return nil, err
	}
	shared = slices.DeleteFunc(shared, func(a store.AlertState) bool {
		kind, known := kindOf(a.Kind)
		return !known || !kind.system || kind.operators && !operator
	})
	return append(slices.DeleteFunc(own, func(a store.AlertState) bool { _, known := kindOf(a.Kind); return !known }), shared...), nil
}

func (h *Handler) readAlerts(ctx context.Context, tenant string, operator bool) (AlertList, error) {
	list := AlertList{Items: []Alert{}, Pending: []Alert{}, Resolved: []Alert{}}
	states, err := h.statesFor(ctx, tenant, operator)
	if err != nil {
		return list, err
	}
	silences, err := h.deps.Store.AlertSilences(ctx, tenant, h.deps.Now().UTC())
	if err != nil {
		return list, err
	}
	looked, err := h.deps.Store.AlertsLookedAt(ctx)
	if err != nil {
		return list, err
	}
	if !looked.IsZero() {
		list.LookedAt = &looked
	}
	for _, state := range states {
		a := alertOf(state)
		if silence, silenced := silences[a.ID]; silenced {
			a.Silence = &silence
		}
		switch a.State {
		case alertFiring:
			list.Items = append(list.Items, a)
			list.Counts.add(a)
		case alertPending:
			list.Pending = append(list.Pending, a)
		default:
			list.Resolved = append(list.Resolved, a)
		}
	}
	slices.SortFunc(list.Items, worseFirst)
	slices.SortFunc(list.Pending, worseFirst)
	slices.SortFunc(list.Resolved, func(a, b Alert) int { return cmp.Or(b.ResolvedAt.Compare(*a.ResolvedAt), strings.Compare(a.ID, b.ID)) })
	for _, kind := range alertKinds {
		if kind.operators && !operator {
			continue
		}
		w := WatchedKind{Kind: kind.name, Severity: kind.severity, Limit: kind.limit(h.config.Alerts), Unit: kind.unit, Runbook: kind.runbook}
		if kind.lasting != nil {
			w.LastsMS = milliseconds(kind.lasting(h.config.Alerts, store.AlertSubject{}))
		}
		list.Watched = append(list.Watched, w)
	}
	return list, nil
}

func (c *AlertCounts) add(a Alert) {
	switch {
	case a.Silence != nil:
		c.Silenced++
	case a.Severity == store.AlertCritical:
		c.Critical++
	case a.Severity == store.AlertWarning:
		c.Warning++
	default:
		c.Notice++
	}
}

// worseFirst orders alerts: what is silenced last, then by severity, then what has lasted for longer first.
func worseFirst(a, b Alert) int {
	silenced := func(a Alert) int {
		if a.Silence != nil {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(silenced(a), silenced(b)), cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
		a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
}

func alertOf(s store.AlertState) Alert {
	kind, _ := kindOf(s.Kind)
	a := Alert{
		ID: s.ID, Kind: s.Kind, Severity: s.Severity, State: alertFiring, Scope: "tenant", Subject: s.Subject, Value: s.Value, Limit: s.Threshold, Unit: kind.unit,
		Since: s.Since, FiredAt: s.FiredAt, SeenAt: s.SeenAt, ResolvedAt: s.ResolvedAt, Runbook: kind.runbook, RunbookURL: RunbookBase + kind.runbook + ".md",
	}
	if kind.system {
		a.Scope = "system"
	}
	switch {
	case s.ResolvedAt != nil:
		a.State = alertResolved
	case s.FiredAt == nil:
		a.State = alertPending
	}
	a.Message = alertMessage(a)
	return a
}

type silenceInput struct {
	Whose

	ID   string `path:"id" minLength:"1" maxLength:"512" doc:"The alert" example:"carrier-silent:LA-baggage"`
	Body struct {
		Until   *time.Time `json:"until,omitempty" doc:"Until when; this or minutes" example:"2026-06-20T18:00:00Z"`
		Minutes int        `json:"minutes,omitempty" minimum:"1" maximum:"10080" doc:"For how many minutes; this or until" example:"120"`
		Reason  string     `json:"reason" minLength:"3" maxLength:"500" doc:"Why, for the record" example:"The carrier is moving its data centre"`
	}
}

type alertOutput struct{ Body Alert }

// until returns when the silence is to end; the error is a Problem.
func (in *silenceInput) until(now time.Time, most time.Duration) (time.Time, error) {
	body := in.Body
	switch {
	case strings.TrimSpace(body.Reason) == "":
		return time.Time{}, invalid("reason", "say why, for who comes after you")
	case (body.Until == nil) == (body.Minutes == 0):
		return time.Time{}, invalid("until", "say until when, or for how many minutes: one of both")
	case body.Until == nil:
		until := now.Add(time.Duration(body.Minutes) * time.Minute)
		body.Until = &until
	}
	if !body.Until.After(now) || body.Until.After(now.Add(most+time.Minute)) {
		return time.Time{}, invalid("until", fmt.Sprintf("a silence ends in the future, %s ahead at most", most))
	}
	return body.Until.UTC(), nil
}

func (h *Handler) silence(ctx context.Context, in *silenceInput) (*alertOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsWrite, in.Whose)
	if err != nil {
		return nil, err
	}
	now := h.deps.Now().UTC().Truncate(time.Microsecond)
	until, err := in.until(now, h.config.Alerts.MaxSilence)
	if err != nil {
		return nil, err
	}
	a, err := h.alert(ctx, identity, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	silence, err := h.deps.Store.SilenceAlert(ctx, store.AlertSilence{
		TenantID: tenant, AlertID: a.ID, At: now, Until: until, Reason: strings.TrimSpace(in.Body.Reason),
	}, store.Actor{Subject: identity.Subject, Name: identity.Name, Client: identity.ClientID})
	if err != nil {
		return nil, h.unavailable(ctx, "silence an alert", err)
	}
	h.forgetAlerts(tenant)
	a.Silence = &silence
	return &alertOutput{a}, nil
}

type unsilenceInput struct {
	Whose

	ID string `path:"id" minLength:"1" maxLength:"512" doc:"The alert" example:"carrier-silent:LA-baggage"`
}

func (h *Handler) unsilence(ctx context.Context, in *unsilenceInput) (*alertOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsWrite, in.Whose)
	if err != nil {
		return nil, err
	}
	a, err := h.alert(ctx, identity, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	err = h.deps.Store.UnsilenceAlert(ctx, tenant, a.ID, h.deps.Now().UTC(), store.Actor{Subject: identity.Subject, Name: identity.Name, Client: identity.ClientID})
	if err != nil && !errors.Is(err, store.ErrNotFound) { // what is not silenced is as it is to be
		return nil, h.unavailable(ctx, "end a silence", err)
	}
	h.forgetAlerts(tenant)
	return &alertOutput{a}, nil
}

// alert returns an alert that somebody may see, by its id as it stands in an address, without its silence; the error is a Problem.
func (h *Handler) alert(ctx context.Context, identity auth.Identity, tenant, escaped string) (Alert, error) {
	id, err := url.PathUnescape(escaped)
	if err != nil {
		return Alert{}, problem.New(http.StatusBadRequest, "malformed", "The alert's id in the address is not well escaped.")
	}
	states, err := h.statesFor(ctx, tenant, identity.Has(auth.RoleTenantsAll))
	if err != nil {
		return Alert{}, h.unavailable(ctx, "read alerts", err)
	}
	i := slices.IndexFunc(states, func(a store.AlertState) bool { return a.ID == id })
	if i < 0 {
		return Alert{}, problem.New(http.StatusNotFound, "not-found", "There is no such alert, now or in the last seven days; GET /api/v1/alerts lists what there is.")
	}
	return alertOf(states[i]), nil
}

// forgetAlerts has the alerts of a tenant read anew by who asks next.
func (h *Handler) forgetAlerts(tenant string) {
	h.cache.forget(h.alertsKey(tenant, true))
	h.cache.forget(h.alertsKey(tenant, false))
}
