package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrRetaining says that another process cuts what is over.
var ErrRetaining = errors.New("another process is at it: retention runs once at a time")

// Retention says what to keep, and how to cut the rest. A journey is over when the last of its events was received longer ago than
// its tenant keeps journeys of its kind; it is cut as a whole, and until then it is kept as a whole.
type Retention struct {
	// DefaultDays is how long journeys of tenants are kept that do not say so themselves, in days. 0: for ever.
	DefaultDays int
	// Grace is how much longer than its retention a journey may stay so that it goes with its whole month, by dropping the month's
	// partition. Defaults to 0: rows are deleted as soon as they are over.
	Grace time.Duration
	// StatsDays is how long counts by the minute are kept, in days. 0: for ever.
	StatsDays int
	// Now is the time that ages are counted from. Defaults to the present.
	Now time.Time
	// DryRun counts what is over, and cuts nothing.
	DryRun bool
	// AcceptFindings cuts also what is not as it was sealed, which is otherwise kept as evidence.
	AcceptFindings bool
	// By is who had it done, for the audit.
	By Actor
	// Progress is told now and then how far it is; may be nil.
	Progress func(RetentionProgress)

	batchEvents int // so many events are cut in one transaction, or a journey; 0 for the default
}

// Validate reports what is wrong with it.
func (r Retention) Validate() error {
	var errs []error
	if r.DefaultDays < 0 {
		errs = append(errs, fmt.Errorf("DefaultDays %d is negative", r.DefaultDays))
	}
	if r.StatsDays < 0 {
		errs = append(errs, fmt.Errorf("StatsDays %d is negative", r.StatsDays))
	}
	if r.Grace < 0 {
		errs = append(errs, fmt.Errorf("grace %s is negative", r.Grace))
	}
	return errors.Join(errs...)
}

// RetentionProgress is how far a run is.
type RetentionProgress struct {
	Partition string // that is being dropped; empty while rows are deleted
	TenantID  string // whose rows are being deleted; empty while a partition is dropped
	Traces    int64  // cut so far
	Events    int64
}

// What becomes of a partition.
const (
	PartitionDropped = "drop" // all of it is over: it is dropped as a whole
	PartitionWaits   = "wait" // some of it is over, and it is soon dropped as a whole
	PartitionRows    = "rows" // some of it is over, and is deleted row by row
)

// PartitionRetention is what becomes of a partition that holds something that is over.
type PartitionRetention struct {
	Name   string    `json:"name"`
	From   time.Time `json:"from"` // when what is in it was received
	To     time.Time `json:"to"`
	Action string    `json:"action"` // PartitionDropped, PartitionWaits or PartitionRows
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Traces int64     `json:"traces,omitempty"` // when it is dropped
	Events int64     `json:"events,omitempty"`
}

// RetentionCount is what was, or would be, cut of a tenant by one of its rules.
type RetentionCount struct {
	TenantID  string    `json:"tenant_id"`
	Kind      string    `json:"kind"` // empty: kinds without a rule of their own
	Days      int       `json:"days"`
	Before    time.Time `json:"before"`              // journeys whose last event was received before are over
	Partition string    `json:"partition,omitempty"` // dropped; empty: rows, or a dry run, which counts journeys wherever their rows are
	Traces    int64     `json:"traces"`
	Events    int64     `json:"events"`
}

// RetentionFinding is something that is not as it was stored, and is therefore kept.
type RetentionFinding struct {
	TenantID      string `json:"tenant_id"`
	CorrelationID string `json:"correlation_id,omitempty"`
	Detail        string `json:"detail"`
}

// RetentionReport is what came of a run.
type RetentionReport struct {
	Run        uuid.UUID            `json:"run"` // zero for a dry run
	DryRun     bool                 `json:"dry_run"`
	Now        time.Time            `json:"now"`
	Traces     int64                `json:"traces"` // cut, or over
	Events     int64                `json:"events"`
	Cuts       []RetentionCount     `json:"cuts"`
	Partitions []PartitionRetention `json:"partitions"`
	Pruned     map[string]int64     `json:"pruned"` // rows by table, of what is no event
	Findings   []RetentionFinding   `json:"findings"`
	Elapsed    time.Duration        `json:"elapsed_ns"`
}

// retainer is a run under way.
type retainer struct {
	Retention
	store   *Store
	policy  retentionPolicy
	report  RetentionReport
	unsound map[sealedEpoch]bool
}

const retentionLock = "hashtextextended('rastro.retention', 0)"

// Retain cuts what is over: whole partitions where everything in them is, rows of event_store otherwise, and with them the journeys
// themselves, what they are found by and what they say of people; then what else grows without end. Each transaction leaves the store
// such that Verify finds nothing, and notes in retention_cuts and in the audit what it cut; after a crash another run goes on. Events are
// stored meanwhile: a journey that goes on is kept.
func (s *Store) Retain(ctx context.Context, r Retention) (RetentionReport, error) {
	if err := r.Validate(); err != nil {
		return RetentionReport{}, fmt.Errorf("retention: %w", err)
	}
	if s.config.MaxConns < 2 {
		return RetentionReport{}, fmt.Errorf("retention: it needs 2 connections, and the pool has %d", s.config.MaxConns)
	}
	if r.Now.IsZero() {
		r.Now = time.Now()
	}
	if r.batchEvents == 0 {
		r.batchEvents = cutEvents
	}
	w := &retainer{Retention: r, store: s, unsound: map[sealedEpoch]bool{}}
	w.report = RetentionReport{
		DryRun: r.DryRun, Now: r.Now.UTC(), Cuts: []RetentionCount{}, Partitions: []PartitionRetention{}, Pruned: map[string]int64{},
		Findings: []RetentionFinding{},
	}
	started := time.Now()
	err := w.run(ctx)
	w.report.Elapsed = time.Since(started)
	if err != nil {
		return w.report, fmt.Errorf("retention: %w", err)
	}
	return w.report, nil
}

func (w *retainer) run(ctx context.Context) error {
	if w.DryRun {
		return w.cut(ctx)
	}
	conn, err := w.store.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	var locked bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock("+retentionLock+")").Scan(&locked); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if !locked {
		return ErrRetaining
	}
	defer unlockRetention(ctx, conn)
	if w.report.Run, err = uuid.NewV7(); err != nil {
		return fmt.Errorf("make the run's id: %w", err)
	}
	if _, err := conn.Exec(ctx, "INSERT INTO retention_runs (id, who) VALUES ($1, $2)", w.report.Run, storable(w.By.Subject)); err != nil {
		return fmt.Errorf("note the run: %w", err)
	}
	if err := w.cut(ctx); err != nil {
		return err
	}
	if err := w.prune(ctx); err != nil {
		return err
	}
	text, err := json.Marshal(w.report)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if _, err := conn.Exec(ctx, "UPDATE retention_runs SET finished_at = clock_timestamp(), report = $2 WHERE id = $1", w.report.Run, text); err != nil {
		return fmt.Errorf("note the end of the run: %w", err)
	}
	return nil
}

// unlockRetention gives the lock up, or the connection, with which the lock ends.
func unlockRetention(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock("+retentionLock+")"); err != nil {
		_ = conn.Conn().Close(ctx)
	}
}

// RetainDue runs Retain unless a run has finished within the last while, by whichever process. It reports whether it ran; that another
// process is at it is no error.
func (s *Store) RetainDue(ctx context.Context, r Retention, every time.Duration) (report RetentionReport, ran bool, err error) {
	var recent bool
	if err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM retention_runs WHERE finished_at > clock_timestamp() - $1::interval)", every).
		Scan(&recent); err != nil {
		return report, false, fmt.Errorf("retention: look for the last run: %w", err)
	}
	if recent {
		return report, false, nil
	}
	report, err = s.Retain(ctx, r)
	if errors.Is(err, ErrRetaining) {
		return report, false, nil
	}
	return report, true, err
}

// cut cuts journeys, or counts them.
func (w *retainer) cut(ctx context.Context) error {
	tenants, err := w.store.Tenants(ctx)
	if err != nil {
		return err
	}
	w.policy = newRetentionPolicy(tenants, w.DefaultDays, w.Now)
	if w.policy.keepsAll() {
		return nil
	}
	spans, err := w.partitions(ctx)
	if err != nil {
		return err
	}
	return w.rows(ctx, spans)
}

// cutDone counts what a transaction cut.
func (w *retainer) cutDone(tenant string, rule retentionRule, partition string, traces, events int64) {
	w.report.Traces += traces
	w.report.Events += events
	for i := range w.report.Cuts {
		if c := &w.report.Cuts[i]; c.TenantID == tenant && c.Kind == rule.kind && c.Partition == partition {
			c.Traces += traces
			c.Events += events
			return
		}
	}
	w.report.Cuts = append(w.report.Cuts, RetentionCount{
		TenantID: tenant, Kind: rule.kind, Days: rule.days, Before: rule.before, Partition: partition, Traces: traces, Events: events,
	})
}

func (w *retainer) progress(partition, tenant string) {
	if w.Progress != nil {
		w.Progress(RetentionProgress{Partition: partition, TenantID: tenant, Traces: w.report.Traces, Events: w.report.Events})
	}
}

func (w *retainer) find(tenant, correlation, format string, args ...any) {
	f := RetentionFinding{tenant, correlation, fmt.Sprintf(format, args...)}
	if !slices.Contains(w.report.Findings, f) { // A transaction that is tried again finds it again.
		w.report.Findings = append(w.report.Findings, f)
	}
}

// noteCut notes a cut in the transaction that makes it, with the seals of what is left, and has event_store let it delete rows.
func (w *retainer) noteCut(ctx context.Context, tx pgx.Tx, c RetentionCount, seals []Seal) error {
	seals, err := appendSeals(ctx, tx, seals)
	if err != nil {
		return err
	}
	var first int64
	if len(seals) > 0 {
		first = seals[0].Number
	}
	id := uuid.New()
	if _, err := tx.Exec(ctx, `
INSERT INTO retention_cuts (id, run_id, tenant_id, kind, before, partition, traces, events, seals, first_seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		id, w.report.Run, c.TenantID, c.Kind, c.Before, c.Partition, c.Traces, c.Events, len(seals), first); err != nil {
		return fmt.Errorf("note the cut: %w", err)
	}
	filter, err := json.Marshal(map[string]any{"kind": c.Kind, "before": c.Before, "partition": c.Partition, "traces": c.Traces, "cut": id})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	reason := fmt.Sprintf("kept for %d days", c.Days)
	if err := auditAtOnce(ctx, tx, c.TenantID, w.By, "retention.cut", filter, int(c.Events), reason); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT set_config('rastro.retention_cut', $1, true)", id.String()); err != nil {
		return fmt.Errorf("announce the cut: %w", err)
	}
	return nil
}

// cutWork prepares a transaction that cuts: statements take as long as they take, and are planned for what they are about, which
// differs from one transaction to the next by far.
func cutWork(ctx context.Context, tx pgx.Tx) error {
	if err := longWork(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = force_custom_plan")
	return err
}
