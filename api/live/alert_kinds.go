package live

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rastrohq/rastro/store"
)

// The kinds of alerts.
const (
	alertBreaker     = "breaker-open"
	alertProcessors  = "processors-missing"
	alertQueueLag    = "queue-lag"
	alertQueueGrows  = "queue-growing"
	alertUntold      = "queues-unknown"
	alertConfig      = "config-refused"
	alertPartitions  = "partitions-missing"
	alertStageLate   = "stage-late"
	alertSlow        = "pipeline-slow"
	alertRetries     = "stage-retries"
	alertBalance     = "balance-broken"
	alertLetters     = "dead-letters-rising"
	alertOpenLetters = "dead-letters-open"
	alertSilent      = "carrier-silent"
	alertRejected    = "carrier-rejected"
	alertUnmapped    = "carrier-unmapped"
)

// The units of what alerts measure.
const (
	unitMS       = "ms"
	unitShare    = "share"
	unitMessages = "messages"
	unitEvents   = "events"
	unitLetters  = "letters"
	unitCount    = "count"
)

// alertKind is something that may be wrong.
type alertKind struct {
	name string
	// system says that it is of the whole system rather than of a tenant: who may see stages and queues sees it. operators are those of all
	// tenants, and see what no other page shows.
	system, operators bool
	severity          string // the worst that it comes to
	unit, runbook     string
	limit             func(AlertConfig) float64
	// lasting is for how long it must have been before it is told; nil for not at all.
	lasting func(AlertConfig, store.AlertSubject) time.Duration
	// grows says that it is wrong only while what is measured becomes more.
	grows bool
}

// alertKinds are all that is looked for.
var alertKinds = []alertKind{
	{name: alertBreaker, system: true, severity: store.AlertCritical, unit: unitCount, runbook: "RastroBreakerOpen", limit: none},
	{name: alertProcessors, system: true, severity: store.AlertCritical, unit: unitCount, runbook: "RastroDown", limit: none,
		lasting: func(c AlertConfig, _ store.AlertSubject) time.Duration { return c.MissingFor }},
	{name: alertQueueLag, system: true, severity: store.AlertCritical, unit: unitMS, runbook: "RastroQueueLag",
		limit: func(c AlertConfig) float64 { return milliseconds(c.Late) }},
	{name: alertQueueGrows, system: true, severity: store.AlertWarning, unit: unitMessages, runbook: "RastroQueueLag", grows: true,
		limit:   func(c AlertConfig) float64 { return float64(c.Backlog) },
		lasting: func(c AlertConfig, _ store.AlertSubject) time.Duration { return c.GrowingFor }},
	{name: alertUntold, system: true, severity: store.AlertWarning, unit: unitCount, runbook: "RastroFiguresMissing", limit: none,
		lasting: func(c AlertConfig, _ store.AlertSubject) time.Duration { return c.UntoldFor }},
	{name: alertConfig, system: true, severity: store.AlertWarning, unit: unitCount, runbook: "RastroReloadRefused", limit: none},
	{name: alertPartitions, system: true, operators: true, severity: store.AlertCritical, unit: unitCount, runbook: "RastroPartitionsMissing", limit: none,
		lasting: func(c AlertConfig, _ store.AlertSubject) time.Duration { return c.MissingFor }},
	{name: alertStageLate, severity: store.AlertCritical, unit: unitMS, runbook: "RastroPipelineSlow",
		limit: func(c AlertConfig) float64 { return milliseconds(c.Late) }},
	{name: alertSlow, severity: store.AlertWarning, unit: unitMS, runbook: "RastroPipelineSlow",
		limit: func(c AlertConfig) float64 { return milliseconds(c.Slow) }},
	{name: alertRetries, severity: store.AlertWarning, unit: unitShare, runbook: "RastroStageRetries",
		limit: func(c AlertConfig) float64 { return c.RetriedShare }},
	{name: alertBalance, severity: store.AlertCritical, unit: unitEvents, runbook: "RastroBalanceBroken", limit: none,
		lasting: unreceivedLasts},
	{name: alertLetters, severity: store.AlertCritical, unit: unitShare, runbook: "RastroDeadLetters",
		limit: func(c AlertConfig) float64 { return c.RejectedShare }},
	{name: alertOpenLetters, severity: store.AlertNotice, unit: unitLetters, runbook: "RastroDeadLetters", limit: none},
	{name: alertSilent, severity: store.AlertWarning, unit: unitMS, runbook: "RastroCarrierSilent",
		limit: func(c AlertConfig) float64 { return milliseconds(c.SilentAfter) }},
	{name: alertRejected, severity: store.AlertCritical, unit: unitShare, runbook: "RastroDeadLetters",
		limit: func(c AlertConfig) float64 { return c.RejectedShare }},
	{name: alertUnmapped, severity: store.AlertNotice, unit: unitShare, runbook: "RastroCarrierUnmapped",
		limit: func(c AlertConfig) float64 { return c.UnmappedShare }},
}

// none is the limit of what is not to be at all.
func none(AlertConfig) float64 { return 0 }

// unreceivedLasts is for how long a balance may be off: endings are entered before their beginnings at times, and what is lost in flight is told
// by how long ago it came.
func unreceivedLasts(c AlertConfig, about store.AlertSubject) time.Duration {
	if about.Reason == offUnreceived {
		return c.BalanceAfter
	}
	return 0
}

// kindOf returns a kind by its name; false for one of another version.
func kindOf(name string) (alertKind, bool) {
	i := slices.IndexFunc(alertKinds, func(k alertKind) bool { return k.name == name })
	if i < 0 {
		return alertKind{}, false
	}
	return alertKinds[i], true
}

// severities lists them, the worst first.
var severities = []string{store.AlertCritical, store.AlertWarning, store.AlertNotice}

// graded is a warning, or critical when it is worse.
func graded(wrong, worse bool) (severity string, is bool) {
	switch {
	case worse:
		return store.AlertCritical, true
	case wrong:
		return store.AlertWarning, true
	}
	return "", false
}

var plainPart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// alertID identifies an alert: its kind and what it is about, in a form that goes into any address. Of what does not, it has a digest.
func alertID(kind string, about store.AlertSubject) string {
	all := []string{about.Pipeline, about.Stage, about.Topic, about.Source, about.Reason}
	id, plain := []string{kind}, true
	for _, part := range all {
		if part != "" {
			id, plain = append(id, part), plain && plainPart.MatchString(part)
		}
	}
	if plain {
		return strings.Join(id, ":")
	}
	digest := sha256.Sum256([]byte(strings.Join(all, "\x00")))
	return kind + ":~" + hex.EncodeToString(digest[:10])
}
