package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	// Epochs are compared together up to so many rows, and so many epochs.
	sealRowsAtOnce   = 200_000
	sealEpochsAtOnce = 500
)

// epochSpan is a range of epochs, and how many rows are sealed in it.
type epochSpan struct{ from, to, events int64 }

const (
	// Every epoch that a seal names or that is marked as sealed, with the rows that are left in it.
	sealedEpochs = `
SELECT epoch, coalesce(sum(s.events), 0)::bigint
FROM (SELECT epoch, begun_at, ended_at FROM audit_epochs WHERE sealed_at IS NOT NULL
      UNION SELECT epoch, begun_at, ended_at FROM audit_seals) e
LEFT JOIN LATERAL (SELECT DISTINCT ON (tenant_id) events FROM audit_seals s
    WHERE s.epoch = e.epoch AND ($1 = '' OR tenant_id = $1) ORDER BY tenant_id, number DESC) s ON true
WHERE ($2::timestamptz IS NULL OR e.ended_at > $2) AND ($3::timestamptz IS NULL OR e.begun_at < $3)
GROUP BY epoch ORDER BY epoch`

	// Which seals are of cuts that retention noted.
	notedCuts = `
SELECT tenant_id, number FROM retention_cuts, generate_series(first_seal, first_seal + seals - 1) AS number
WHERE seals > 0 AND ($1 = '' OR tenant_id = $1)`

	// What the last seal says of each tenant and epoch, and whether the first of them sealed the epoch.
	lastSeals = `
SELECT DISTINCT ON (tenant_id, epoch) ` + sealColumns + `
FROM audit_seals WHERE epoch BETWEEN $1 AND $2 AND ($3::text IS NULL OR tenant_id = $3)
ORDER BY tenant_id, epoch, number DESC`
)

// seals verifies that the seals are a chain, and that the rows are those that they sealed.
func (a *auditor) seals(ctx context.Context) error {
	if err := a.sealChains(ctx); err != nil {
		return err
	}
	var parts []epochSpan
	var total int64
	err := a.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sealedEpochs, a.scope.Tenant, instant(a.scope.From), instant(a.scope.To))
		if err != nil {
			return err
		}
		var epoch, events int64
		_, err = pgx.ForEachRow(rows, []any{&epoch, &events}, func() error {
			total += events
			if n := len(parts); n > 0 && parts[n-1].events+events <= sealRowsAtOnce && epoch-parts[n-1].from < sealEpochsAtOnce &&
				(!a.scope.bounded() || epoch == parts[n-1].to+1) {
				parts[n-1].to, parts[n-1].events = epoch, parts[n-1].events+events
				return nil
			}
			parts = append(parts, epochSpan{epoch, epoch, events})
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("list epochs: %w", err)
	}
	a.count(PhaseSeals, total, func(*AuditReport) int64 { return 0 })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.scope.Workers)
	for _, part := range parts {
		group.Go(func() error { return a.verifyEpochs(ctx, part, total) })
	}
	return group.Wait()
}

// sealChains verifies the chain of each tenant's seals, and that those that were kept elsewhere are in it.
func (a *auditor) sealChains(ctx context.Context) error {
	type place struct {
		tenant string
		number int64
	}
	kept := make(map[place]Seal, len(a.scope.Kept))
	for _, seal := range a.scope.Kept {
		if a.scope.Tenant == "" || a.scope.Tenant == seal.TenantID {
			kept[place{seal.TenantID, seal.Number}] = seal
		}
	}
	var before Seal
	var seals, cuts int64
	noted := map[place]bool{}
	err := a.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, notedCuts, a.scope.Tenant)
		if err != nil {
			return err
		}
		var of place
		if _, err := pgx.ForEachRow(rows, []any{&of.tenant, &of.number}, func() error {
			noted[of] = true
			return nil
		}); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, "SELECT "+sealColumns+" FROM audit_seals WHERE ($1 = '' OR tenant_id = $1) ORDER BY tenant_id, number",
			a.scope.Tenant)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			seal, err := scanSeal(rows)
			if err != nil {
				return err
			}
			if seal.TenantID != before.TenantID {
				before = Seal{TenantID: seal.TenantID}
			}
			if !bytes.Equal(seal.sum(), seal.Hash) {
				a.foundSeal(AuditSeals, seal, "the seal is not what its hash was made of")
			}
			if !seal.follows(before) {
				a.foundSeal(AuditSeals, seal, fmt.Sprintf("it does not follow seal %d: seals were removed, inserted or replaced", before.Number))
			}
			at := place{seal.TenantID, seal.Number}
			if k, ok := kept[at]; ok && !bytes.Equal(k.Hash, seal.Hash) {
				a.foundSeal(AuditSeals, seal, "it is not the seal that was kept: the seals up to it were made anew")
			}
			delete(kept, at)
			before = seal
			if seals++; seal.Kind == SealOfCut {
				cuts++
				if !noted[at] {
					a.foundSeal(AuditSeals, seal, "it says that retention removed rows, and no retention noted that")
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("read seals: %w", err)
	}
	for _, seal := range kept {
		a.foundSeal(AuditSeals, seal, "the seal was kept, and is not there any more")
	}
	a.count(PhaseSeals, 0, func(sums *AuditReport) int64 {
		sums.Seals, sums.Cuts = seals, cuts
		return 0
	})
	return nil
}

func (a *auditor) foundSeal(problem string, seal Seal, detail string) {
	a.found(AuditFinding{Problem: problem, TenantID: seal.TenantID, Seal: seal.Number, Detail: detail})
}

// verifyEpochs compares the rows of a range of epochs with their seals.
func (a *auditor) verifyEpochs(ctx context.Context, part epochSpan, total int64) error {
	type place struct {
		tenant string
		epoch  int64
	}
	var tenant *string
	if a.scope.Tenant != "" {
		tenant = &a.scope.Tenant
	}
	var sealed int64
	err := a.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lastSeals, part.from, part.to, tenant)
		if err != nil {
			return err
		}
		seals, err := pgx.CollectRows(rows, scanSeal)
		if err != nil {
			return err
		}
		expected := make(map[place]Seal, len(seals))
		for _, seal := range seals {
			expected[place{seal.TenantID, seal.Epoch}] = seal
		}
		if rows, err = tx.Query(ctx, sealedRows, part.from, part.to, tenant); err != nil {
			return err
		}
		err = digestRows(rows, func(d epochDigest) error {
			at := place{d.tenant, d.epoch}
			seal, ok := expected[at]
			delete(expected, at)
			switch {
			case !ok:
				a.found(AuditFinding{Problem: AuditSeal, TenantID: d.tenant, Detail: fmt.Sprintf(
					"%d rows are of epoch %d, which is over and of which the tenant has no seal", d.events, d.epoch)})
			case d.events != seal.Events || !bytes.Equal(d.digest, seal.Digest):
				a.foundSeal(AuditSeal, seal, seal.differs(d.events))
			}
			sealed += d.events
			return nil
		})
		for _, seal := range expected { // There is no row of them.
			if seal.Events != 0 {
				a.foundSeal(AuditSeal, seal, seal.differs(0))
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("epochs %d to %d: %w", part.from, part.to, err)
	}
	a.count(PhaseSeals, total, func(sums *AuditReport) int64 {
		sums.Sealed += sealed
		return sums.Sealed
	})
	return nil
}

// differs says how the rows of an epoch are not those that were sealed.
func (s Seal) differs(events int64) string {
	const layout = "2006-01-02 15:04:05"
	when := fmt.Sprintf("of the %d rows stored between %s and %s (UTC)", s.Events, s.BegunAt.Format(layout), s.EndedAt.Format(layout))
	switch {
	case events < s.Events:
		return fmt.Sprintf("%s, %d are missing", when, s.Events-events)
	case events > s.Events:
		return fmt.Sprintf("%s, there are %d too many", when, events-s.Events)
	default:
		return when + ", some were replaced"
	}
}
