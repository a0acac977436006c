package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// AuditScope says what to verify.
type AuditScope struct {
	// Tenant is whose rows; empty for everyone's.
	Tenant string
	// From and To, exclusive, pick the traces with a row that was received in between, each whole, and the seals of epochs that lie
	// or reach in between. Zero: without bound.
	From, To time.Time
	// Kept are seals that were kept elsewhere, which must all be there.
	Kept []Seal
	// Workers is how many connections verify at once. Defaults to 4.
	Workers int
}

// bounded reports whether the scope is less than all times.
func (s AuditScope) bounded() bool { return !s.From.IsZero() || !s.To.IsZero() }

// uids returns the smallest UIDs of From and of To.
func (s AuditScope) uids() (from, to uuid.UUID) {
	from, to = uuid.UUID{}, uuid.Max
	if !s.From.IsZero() {
		from = firstUUIDv7(s.From)
	}
	if !s.To.IsZero() {
		to = firstUUIDv7(s.To)
	}
	return from, to
}

// The things that can be wrong.
const (
	AuditChanged  = "changed"  // a row is not what was stored
	AuditRemoved  = "removed"  // rows of a trace are gone
	AuditInserted = "inserted" // a row is there that nobody stored, or a second one in its place
	AuditUnlinked = "unlinked" // a row does not follow the one before it: one of them was replaced
	AuditHead     = "head"     // the row of traces does not say what the rows of the trace do
	AuditSeal     = "seal"     // the rows of an epoch are not those that were sealed
	AuditSeals    = "seals"    // a seal was changed, removed or inserted
)

// AuditFinding is one thing that is wrong.
type AuditFinding struct {
	Problem       string     `json:"problem"`
	TenantID      string     `json:"tenant_id"`
	CorrelationID string     `json:"correlation_id,omitempty"`
	UID           *uuid.UUID `json:"uid,omitempty"`   // of the row
	Place         int64      `json:"place,omitempty"` // of the row in its trace, or of the first one that is gone
	Seal          int64      `json:"seal,omitempty"`  // the number of the seal
	Detail        string     `json:"detail"`
}

// AuditReport is what was verified.
type AuditReport struct {
	Traces      int64 `json:"traces"`
	Events      int64 `json:"events"`
	BeforeChain int64 `json:"before_chain"` // of Events: of before there was a chain, and only counted
	Retired     int64 `json:"retired"`      // rows that retention removed of traces that are still there
	Seals       int64 `json:"seals"`
	Cuts        int64 `json:"cuts"`     // of Seals: what retention left of an epoch
	Sealed      int64 `json:"sealed"`   // rows that were compared with their seals
	Findings    int64 `json:"findings"` // 0 when all is as it was stored
}

// AuditProgress is told how far Verify is. It is called from several goroutines.
type AuditProgress func(phase string, done, total int64)

// The phases of Verify.
const (
	PhaseChains = "chains"
	PhaseSeals  = "seals"
)

// auditor is one run of Verify.
type auditor struct {
	store  *Store
	scope  AuditScope
	report func(AuditFinding)
	seen   AuditProgress

	mu   sync.Mutex
	sums AuditReport
}

// Verify reads every row of the event store once and says of each that is not as it was stored. Rows are streamed, whatever their
// number; writers are not held up, and what they write meanwhile is verified or left out as a whole. finding and progress are not
// called concurrently, and progress may be nil.
func (s *Store) Verify(ctx context.Context, scope AuditScope, finding func(AuditFinding), progress AuditProgress) (AuditReport, error) {
	if scope.Workers == 0 {
		scope.Workers = 4
	}
	scope.Workers = max(1, min(scope.Workers, int(s.config.MaxConns)-1))
	a := &auditor{store: s, scope: scope, report: finding, seen: progress}
	if progress == nil {
		a.seen = func(string, int64, int64) {}
	}
	if err := a.chains(ctx); err != nil {
		return a.sums, fmt.Errorf("verify chains: %w", err)
	}
	if err := a.seals(ctx); err != nil {
		return a.sums, fmt.Errorf("verify seals: %w", err)
	}
	return a.sums, nil
}

func (a *auditor) found(f AuditFinding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sums.Findings++
	a.report(f)
}

// count adds to the sums and tells how far it is.
func (a *auditor) count(phase string, total int64, add func(*AuditReport) int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := add(&a.sums)
	a.seen(phase, done, max(total, done))
}

// tracesAtOnce is how many traces are read in one transaction.
const tracesAtOnce = 1000

// span is a range of traces: those after from, up to and including to unless it is the last.
type span struct {
	from, to traceKey
	last     bool
}

const (
	auditTotal = `
SELECT coalesce(sum(chain_seq - chain_removed + chain_before), 0)::bigint FROM traces WHERE ($1 = '' OR tenant_id = $1)`

	nextTrace = `
SELECT tenant_id, correlation_id FROM traces
WHERE (tenant_id, correlation_id) > ($1, $2) AND ($3 = '' OR tenant_id = $3)
ORDER BY tenant_id, correlation_id OFFSET $4 LIMIT 1`
)

// chains verifies the traces, many at once.
func (a *auditor) chains(ctx context.Context) error {
	var total int64
	if err := a.read(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, auditTotal, a.scope.Tenant).Scan(&total)
	}); err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	a.count(PhaseChains, total, func(*AuditReport) int64 { return 0 })
	spans := make(chan span)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(spans)
		return a.spans(ctx, spans)
	})
	for range a.scope.Workers {
		group.Go(func() error {
			for part := range spans {
				if err := a.verifySpan(ctx, part, total); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// spans cuts the traces in ranges.
func (a *auditor) spans(ctx context.Context, spans chan<- span) error {
	var from traceKey
	for {
		part := span{from: from}
		err := a.read(ctx, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, nextTrace, from.tenant, from.correlation, a.scope.Tenant, tracesAtOnce-1)
			if err != nil {
				return err
			}
			part.last = true
			_, err = pgx.ForEachRow(rows, []any{&part.to.tenant, &part.to.correlation}, func() error {
				part.last = false
				return nil
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("cut traces in ranges: %w", err)
		}
		select {
		case spans <- part:
		case <-ctx.Done():
			return ctx.Err()
		}
		if part.last {
			return nil
		}
		from = part.to
	}
}

// read runs queries on one state of the database, for as long as they take.
func (a *auditor) read(ctx context.Context, queries func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, a.store.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := longWork(ctx, tx); err != nil {
			return err
		}
		return queries(tx)
	})
}

const (
	inSpan = `(tenant_id, correlation_id) > ($1, $2) AND ($5 OR (tenant_id, correlation_id) <= ($3, $4)) AND ($6 = '' OR tenant_id = $6)`

	// inTime picks traces by when their rows were received.
	inTime = ` AND (tenant_id, correlation_id) IN (SELECT tenant_id, correlation_id FROM event_store
    WHERE ` + inSpan + ` AND uid >= $7 AND uid < $8)`

	spanHeads  = `SELECT tenant_id, correlation_id, chain_seq, chain_hash, chain_before, chain_removed FROM traces WHERE ` + inSpan
	spanEvents = `SELECT ` + storedColumns + ` FROM event_store WHERE ` + inSpan
	spanOrder  = ` ORDER BY tenant_id, correlation_id, chain_seq NULLS FIRST, uid`
)

// verifySpan verifies a range of traces.
func (a *auditor) verifySpan(ctx context.Context, part span, total int64) error {
	args := []any{part.from.tenant, part.from.correlation, part.to.tenant, part.to.correlation, part.last, a.scope.Tenant}
	where := ""
	if a.scope.bounded() {
		from, to := a.scope.uids()
		where, args = inTime, append(args, from, to)
	}
	return a.read(ctx, func(tx pgx.Tx) error {
		v := spanVerifier{auditor: a, heads: map[traceKey]traceHead{}}
		if err := tx.QueryRow(ctx, "SELECT coalesce(max(epoch), 0) FROM audit_epochs").Scan(&v.epoch); err != nil {
			return fmt.Errorf("read epoch: %w", err)
		}
		heads, err := tx.Query(ctx, spanHeads+where, args...)
		if err != nil {
			return fmt.Errorf("read heads: %w", err)
		}
		var key traceKey
		var head traceHead
		if _, err := pgx.ForEachRow(heads, []any{&key.tenant, &key.correlation, &head.seq, &head.hash, &head.before, &head.removed},
			func() error {
				v.heads[key] = head
				head.hash = nil
				return nil
			}); err != nil {
			return fmt.Errorf("read heads: %w", err)
		}
		rows, err := tx.Query(ctx, spanEvents+where+spanOrder, args...)
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		var r storedRow
		var events int64
		if _, err := pgx.ForEachRow(rows, r.targets(), func() error {
			v.row(&r)
			if events++; events == tracesAtOnce {
				a.count(PhaseChains, total, func(sums *AuditReport) int64 { sums.Events += events; return sums.Events })
				events = 0
			}
			r = storedRow{}
			return nil
		}); err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		v.end()
		a.count(PhaseChains, total, func(sums *AuditReport) int64 {
			sums.Events += events
			sums.Traces += v.traces
			sums.BeforeChain += v.before
			sums.Retired += v.removed
			return sums.Events
		})
		return nil
	})
}
