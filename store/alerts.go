package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The severities of alerts, the worst first.
const (
	// AlertCritical is what somebody must look at now: events are late, or may be lost.
	AlertCritical = "critical"
	// AlertWarning is what somebody must look at today.
	AlertWarning = "warning"
	// AlertNotice is what is good to know.
	AlertNotice = "notice"
)

// AlertSubject is what an alert is about: what is empty does not matter.
type AlertSubject struct {
	Pipeline string `json:"pipeline,omitempty" doc:"The pipeline" example:"tracking"`
	Stage    string `json:"stage,omitempty" doc:"The stage in it" example:"persist"`
	Topic    string `json:"topic,omitempty" doc:"The queue: the topic that the pipeline reads" example:"tracking.persist"`
	Source   string `json:"source,omitempty" doc:"Who sends: the carrier or system" example:"LA-baggage"`
	Reason   string `json:"reason,omitempty" doc:"Why events were dead-lettered, or how the balance is off" example:"schema"`
}

// AlertState is an alert as it is remembered. Of a kind and a subject of a tenant there is one.
type AlertState struct {
	// TenantID is empty for what is wrong with the whole system.
	TenantID string
	ID, Kind string
	Subject  AlertSubject
	Severity string
	// Value is what was measured last, and Threshold what it may be. Base is what it was at first, where only growth is wrong.
	Value, Threshold, Base float64
	// Since is when it began, FiredAt when it had lasted for long enough to be told of; nil when it has not.
	Since   time.Time
	FiredAt *time.Time
	// SeenAt is when it was found last, ResolvedAt when it was noted that it is over.
	SeenAt     time.Time
	ResolvedAt *time.Time
}

// AlertSilence says that nobody wants to hear of an alert for a while.
type AlertSilence struct {
	TenantID string    `json:"-"`
	AlertID  string    `json:"-"`
	At       time.Time `json:"at" doc:"When it was silenced"`
	Until    time.Time `json:"until" doc:"When that ends by itself"`
	Who      string    `json:"who" doc:"Who silenced it"`
	Reason   string    `json:"reason" doc:"Why, in their words"`
}

const (
	// A turn is free when the last is as long ago as turns are apart, or lies in the future, as by a clock that was wrong.
	takeAlertTurn = `
INSERT INTO alert_turns AS t (taken_at, looked_at) VALUES ($1, '-infinity')
ON CONFLICT (one) DO UPDATE SET taken_at = excluded.taken_at WHERE t.taken_at <= $1::timestamptz - $2::interval OR t.taken_at > $1::timestamptz + $2::interval`

	alertColumns = `tenant_id, id, kind, pipeline, stage, topic, source, reason, severity, value, threshold, base, since, fired_at, seen_at, resolved_at`

	// What a look found earlier must not replace what a later one did.
	putAlerts = `
INSERT INTO alerts AS a (` + alertColumns + `)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::float8[], $11::float8[],
    $12::float8[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[]) AS d (` + alertColumns + `)
ORDER BY tenant_id COLLATE "C", id COLLATE "C"
ON CONFLICT (tenant_id, id) DO UPDATE SET severity = excluded.severity, value = excluded.value, threshold = excluded.threshold, base = excluded.base,
    since = excluded.since, fired_at = excluded.fired_at, seen_at = excluded.seen_at, resolved_at = excluded.resolved_at
WHERE a.seen_at <= excluded.seen_at`

	dropAlerts = `
DELETE FROM alerts a USING unnest($1::text[], $2::text[]) AS d (tenant_id, id) WHERE a.tenant_id = d.tenant_id AND a.id = d.id AND a.fired_at IS NULL`

	// alertRetention is how long alerts that are over are remembered, and silences that have ended.
	alertRetention = 7 * 24 * time.Hour
)

// TakeAlertTurn reports whether it is the caller's turn to look for alerts: of all processes one has it each time that long is over.
func (s *Store) TakeAlertTurn(ctx context.Context, now time.Time, every time.Duration) (bool, error) {
	tag, err := s.exec(ctx, takeAlertTurn, now, every)
	if err != nil {
		return false, fmt.Errorf("take a turn to look for alerts: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// AlertsLookedAt returns of when the alerts are; the zero time before anybody has looked.
func (s *Store) AlertsLookedAt(ctx context.Context) (time.Time, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var at time.Time
	err := s.pool.QueryRow(ctx, "SELECT looked_at FROM alert_turns WHERE isfinite(looked_at)").Scan(&at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, fmt.Errorf("read when alerts were looked for: %w", err)
	}
	return at.UTC(), nil
}

// AllAlerts returns the alerts of all tenants and of the system, for whoever looks whether they still hold.
func (s *Store) AllAlerts(ctx context.Context) ([]AlertState, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT "+alertColumns+" FROM alerts ORDER BY tenant_id, id")
	if err != nil {
		return nil, fmt.Errorf("read all alerts: %w", err)
	}
	states, err := pgx.CollectRows(rows, scanAlert)
	if err != nil {
		return nil, fmt.Errorf("read all alerts: %w", err)
	}
	return states, nil
}

// Alerts returns the alerts of a tenant, or of the system for an empty one: those that hold, that may come to, and that are over.
func (s *Store) Alerts(ctx context.Context, tenant string) ([]AlertState, error) {
	states, err := readAs(ctx, s, tenant, scanAlert, "SELECT "+alertColumns+" FROM alerts WHERE tenant_id = $1 ORDER BY id", tenant)
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	return states, nil
}

func scanAlert(row pgx.CollectableRow) (a AlertState, err error) {
	err = row.Scan(&a.TenantID, &a.ID, &a.Kind, &a.Subject.Pipeline, &a.Subject.Stage, &a.Subject.Topic, &a.Subject.Source, &a.Subject.Reason,
		&a.Severity, &a.Value, &a.Threshold, &a.Base, &a.Since, &a.FiredAt, &a.SeenAt, &a.ResolvedAt)
	inUTC(&a.Since, a.FiredAt, &a.SeenAt, a.ResolvedAt)
	return a, err
}

// PutAlerts notes what a look at an instant has found: alerts as they are now, and those gone that never fired.
func (s *Store) PutAlerts(ctx context.Context, at time.Time, states, gone []AlertState) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	if len(states) > 0 {
		text := func(of func(AlertState) string) []string {
			return column(states, func(a AlertState) string { return storable(of(a)) })
		}
		number := func(of func(AlertState) float64) []float64 { return column(states, of) }
		batch.Queue(putAlerts,
			text(func(a AlertState) string { return a.TenantID }), text(func(a AlertState) string { return a.ID }), text(func(a AlertState) string { return a.Kind }),
			text(func(a AlertState) string { return a.Subject.Pipeline }), text(func(a AlertState) string { return a.Subject.Stage }),
			text(func(a AlertState) string { return a.Subject.Topic }), text(func(a AlertState) string { return a.Subject.Source }),
			text(func(a AlertState) string { return a.Subject.Reason }), text(func(a AlertState) string { return a.Severity }),
			number(func(a AlertState) float64 { return a.Value }), number(func(a AlertState) float64 { return a.Threshold }),
			number(func(a AlertState) float64 { return a.Base }), column(states, func(a AlertState) time.Time { return a.Since }),
			column(states, func(a AlertState) *time.Time { return a.FiredAt }), column(states, func(a AlertState) time.Time { return a.SeenAt }),
			column(states, func(a AlertState) *time.Time { return a.ResolvedAt }))
	}
	if len(gone) > 0 {
		batch.Queue(dropAlerts, column(gone, func(a AlertState) string { return a.TenantID }), column(gone, func(a AlertState) string { return a.ID }))
	}
	batch.Queue("UPDATE alert_turns SET looked_at = $1 WHERE looked_at < $1", at)
	batch.Queue("COMMIT")
	if err := send(ctx, conn, &batch); err != nil {
		return fmt.Errorf("note %d alerts: %w", len(states), err)
	}
	return nil
}

// AlertSilences returns a tenant's silences that go on at an instant, by the id of their alert.
func (s *Store) AlertSilences(ctx context.Context, tenant string, at time.Time) (map[string]AlertSilence, error) {
	found, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[AlertSilence], `
SELECT tenant_id, alert_id, at, until, who, reason FROM alert_silences WHERE tenant_id = $1 AND until > $2`, tenant, at)
	if err != nil {
		return nil, fmt.Errorf("read silences: %w", err)
	}
	silences := make(map[string]AlertSilence, len(found))
	for _, silence := range found {
		inUTC(&silence.At, &silence.Until)
		silences[silence.AlertID] = silence
	}
	return silences, nil
}

// silencing is what the audit says of a silence.
type silencing struct {
	Alert string     `json:"alert"`
	Until *time.Time `json:"until,omitempty"`
}

// SilenceAlert silences an alert for a tenant, in place of a silence that it may have already, and notes who did. Whether there is such an
// alert is for the caller to know.
func (s *Store) SilenceAlert(ctx context.Context, silence AlertSilence, by Actor) (AlertSilence, error) {
	silence.Who, silence.Reason = storable(by.who()), storable(silence.Reason)
	return silence, s.changeSilence(ctx, silence.TenantID, by, "alerts.silence", silencing{silence.AlertID, &silence.Until}, silence.Reason, `
INSERT INTO alert_silences (tenant_id, alert_id, at, until, who, reason) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, alert_id) DO UPDATE SET at = excluded.at, until = excluded.until, who = excluded.who, reason = excluded.reason`,
		silence.TenantID, silence.AlertID, silence.At, silence.Until, silence.Who, silence.Reason)
}

// UnsilenceAlert ends a tenant's silence of an alert, and notes who did. It returns ErrNotFound when there is none that goes on at an instant.
func (s *Store) UnsilenceAlert(ctx context.Context, tenant, alert string, at time.Time, by Actor) error {
	return s.changeSilence(ctx, tenant, by, "alerts.unsilence", silencing{Alert: alert}, "", `
DELETE FROM alert_silences WHERE tenant_id = $1 AND alert_id = $2 AND until > $3`, tenant, alert, at)
}

// changeSilence makes one change, in one transaction with its entry in the audit.
func (s *Store) changeSilence(ctx context.Context, tenant string, by Actor, action string, what silencing, reason, sql string, args ...any) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	filter, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode for the audit: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, args...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		return auditAtOnce(ctx, tx, tenant, by, action, filter, 1, reason)
	})
	if err != nil {
		return fmt.Errorf("change a silence: %w", err)
	}
	return nil
}

// PruneAlerts removes alerts that have been over for a week, and silences that have ended. Call it every hour; several processes may do so
// at once.
func (s *Store) PruneAlerts(ctx context.Context, now time.Time) error {
	for _, old := range []struct {
		table, column string
	}{{"alerts", "resolved_at"}, {"alert_silences", "until"}} {
		if err := s.pruneByAge(ctx, old.table, old.column, now.Add(-alertRetention)); err != nil {
			return err
		}
	}
	return nil
}

// MissingPartitions returns the names of the partitions that are not there which events and claims of today and of the next days need: see
// EnsurePartitions.
func (s *Store) MissingPartitions(ctx context.Context, now time.Time) ([]string, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	now = now.UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	var missing []string
	for _, p := range []partition{
		eventPartition(month), eventPartition(month.AddDate(0, 1, 0)), claimPartition(now), claimPartition(now.AddDate(0, 0, 1)),
	} {
		var exists bool
		if err := s.pool.QueryRow(ctx, partitionExists, p.parent, p.name).Scan(&exists); err != nil {
			return nil, fmt.Errorf("look for partition %s: %w", p.name, err)
		}
		if !exists {
			missing = append(missing, p.name)
		}
	}
	return missing, nil
}
