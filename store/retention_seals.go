package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"

	"github.com/jackc/pgx/v5"
)

// sealedEpoch is what a seal is of.
type sealedEpoch struct {
	tenant string
	epoch  int64
}

// The last seals of tenants and epochs.
const sealsOfEpochs = `
SELECT DISTINCT ON (tenant_id, epoch) ` + sealColumns + `
FROM audit_seals JOIN unnest($1::text[], $2::bigint[]) AS k (tenant_id, epoch) USING (tenant_id, epoch)
ORDER BY tenant_id, epoch, number DESC`

// lastSealsOf returns the last seals of epochs; those that are not sealed yet have none, and need none when rows of them are cut.
func lastSealsOf(ctx context.Context, tx pgx.Tx, epochs map[sealedEpoch]bool) (map[sealedEpoch]Seal, error) {
	tenants, numbers := make([]string, 0, len(epochs)), make([]int64, 0, len(epochs))
	for e := range epochs {
		tenants, numbers = append(tenants, e.tenant), append(numbers, e.epoch)
	}
	rows, err := tx.Query(ctx, sealsOfEpochs, tenants, numbers)
	if err != nil {
		return nil, fmt.Errorf("read seals: %w", err)
	}
	seals, err := pgx.CollectRows(rows, scanSeal)
	if err != nil {
		return nil, fmt.Errorf("read seals: %w", err)
	}
	last := make(map[sealedEpoch]Seal, len(seals))
	for _, seal := range seals {
		last[sealedEpoch{seal.TenantID, seal.Epoch}] = seal
	}
	return last, nil
}

// leftOf is what of a sealed epoch is there, and what a cut leaves.
type leftOf struct {
	all, left   hash.Hash
	events, cut int64
}

// reseal compares epochs with their seals before rows of them are cut, and returns the seals of what will be left, and those that
// the rows do not agree with. The rows are tenant, epoch, hash and whether it is cut, and are sorted as digestRows wants them.
func reseal(rows pgx.Rows, last map[sealedEpoch]Seal) (cuts, unsound []Seal, err error) {
	epochs := make(map[sealedEpoch]*leftOf, len(last))
	for at := range last {
		epochs[at] = &leftOf{all: sha256.New(), left: sha256.New()}
	}
	var at sealedEpoch
	var rowHash []byte
	var cut bool
	if _, err := pgx.ForEachRow(rows, []any{&at.tenant, &at.epoch, &rowHash, &cut}, func() error {
		e := epochs[at]
		if e == nil {
			return nil
		}
		e.events++
		_, _ = e.all.Write(rowHash)
		if cut {
			e.cut++
		} else {
			_, _ = e.left.Write(rowHash)
		}
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("read hashes: %w", err)
	}
	for at, e := range epochs {
		seal := last[at]
		if e.events != seal.Events || !bytes.Equal(e.all.Sum(nil), seal.Digest) {
			unsound = append(unsound, seal)
		}
		cuts = append(cuts, Seal{
			TenantID: seal.TenantID, Kind: SealOfCut, Epoch: seal.Epoch, BegunAt: seal.BegunAt, EndedAt: seal.EndedAt,
			Events: e.events - e.cut, Digest: e.left.Sum(nil),
		})
	}
	bySeal := func(a, b Seal) int { return cmp.Or(cmp.Compare(a.TenantID, b.TenantID), cmp.Compare(a.Epoch, b.Epoch)) }
	slices.SortFunc(cuts, bySeal)
	slices.SortFunc(unsound, bySeal)
	return cuts, unsound, nil
}

// keep has what was written in epochs kept, whose rows are not those that were sealed.
func (w *retainer) keep(unsound []Seal) {
	for _, seal := range unsound {
		at := sealedEpoch{seal.TenantID, seal.Epoch}
		if w.unsound[at] {
			continue
		}
		w.unsound[at] = true
		w.find(seal.TenantID, "", "the rows stored between %s and %s (UTC) are not those of seal %d: `rastro audit verify` says more; they are kept",
			seal.BegunAt.Format(sealTimeLayout), seal.EndedAt.Format(sealTimeLayout), seal.Number)
	}
}

const sealTimeLayout = "2006-01-02 15:04:05"

const keptForCount = "the journey has %d rows and should have %d: `rastro audit verify` says more; it is kept"
