package live

import "context"

// AlertNews says what became of an alert.
type AlertNews struct {
	Alert

	Change string      `json:"change" enum:"fired,changed,silenced,unsilenced,resolved" doc:"What became of it: changed is its severity"`
	Counts AlertCounts `json:"counts" doc:"How many alerts are firing now"`
}

// toldAlert is what of an alert was told.
type toldAlert struct {
	Alert

	silenced bool
}

// tellAlerts tells which alerts have fired, are another severity, silenced or not any more, or over, since it was called last. The first time
// it tells nothing: what there is then is what GET /api/v1/alerts says.
func (s *stream) tellAlerts(ctx context.Context) bool {
	list, err := s.handler.alertsOf(ctx, s.identity, s.tenant)
	if err != nil {
		return s.comment("alerts are not available")
	}
	before := s.alerts
	s.alerts = make(map[string]toldAlert, len(list.Items))
	tell := func(a Alert, change string) bool {
		return before == nil || s.event(alertEvent, AlertNews{a, change, list.Counts}, false)
	}
	for _, a := range list.Items {
		was, known := before[a.ID]
		s.alerts[a.ID] = toldAlert{a, a.Silence != nil}
		change := ""
		switch {
		case !known || !was.FiredAt.Equal(*a.FiredAt):
			change = "fired"
		case was.silenced != (a.Silence != nil):
			change = map[bool]string{true: "silenced", false: "unsilenced"}[a.Silence != nil]
		case was.Severity != a.Severity:
			change = "changed"
		}
		if change != "" && !tell(a, change) {
			return false
		}
	}
	for id, was := range before {
		if _, still := s.alerts[id]; still {
			continue
		}
		over := was.Alert
		for _, a := range list.Resolved {
			if a.ID == id {
				over = a
			}
		}
		if over.State != alertResolved { // its row is gone
			over.State, over.ResolvedAt = alertResolved, list.LookedAt
		}
		if !tell(over, alertResolved) {
			return false
		}
	}
	return true
}
