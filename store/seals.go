package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// HexBytes are bytes that are written in hexadecimal.
type HexBytes []byte

// MarshalText writes lower-case hexadecimal.
func (b HexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText reads hexadecimal.
func (b *HexBytes) UnmarshalText(text []byte) error {
	decoded, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("decode hexadecimal: %w", err)
	}
	*b = decoded
	return nil
}

// The kinds of seals.
const (
	SealOfEpoch = "seal" // an epoch as it was when it was over
	SealOfCut   = "cut"  // an epoch as retention left it
)

// Seal says what the rows of a tenant were that were written in an epoch. The seals of a tenant are a chain: each holds the hash
// of the one before it, so that one that is kept elsewhere vouches for all before it.
type Seal struct {
	TenantID string    `json:"tenant_id"`
	Number   int64     `json:"number"` // from 1 on
	Kind     string    `json:"kind"`
	Epoch    int64     `json:"epoch"`
	BegunAt  time.Time `json:"begun_at"` // of the epoch
	EndedAt  time.Time `json:"ended_at"`
	SealedAt time.Time `json:"sealed_at"`
	Events   int64     `json:"events"`
	Digest   HexBytes  `json:"digest"` // SHA-256 of the hashes of the rows, sorted
	Prev     HexBytes  `json:"prev"`   // 32 zeros for the first
	Hash     HexBytes  `json:"hash"`
}

const sealLabel = "rastro.seal.1"

// sum returns the hash of a seal, encoded as rows are (see chainLabel).
func (s Seal) sum() []byte {
	var h hasher
	h.bytes([]byte(sealLabel))
	h.text(s.TenantID)
	h.number(s.Number)
	h.text(s.Kind)
	h.number(s.Epoch)
	h.instant(timestamptz(s.BegunAt))
	h.instant(timestamptz(s.EndedAt))
	h.instant(timestamptz(s.SealedAt))
	h.number(s.Events)
	h.bytes(s.Digest)
	h.bytes(s.Prev)
	sum := sha256.Sum256(h.buffer)
	return sum[:]
}

const sealColumns = `tenant_id, number, kind, epoch, begun_at, ended_at, sealed_at, events, digest, prev, hash`

func scanSeal(row pgx.CollectableRow) (Seal, error) {
	var s Seal
	var begun, ended, sealed pgtype.Timestamptz // which somebody may have set to infinity
	err := row.Scan(&s.TenantID, &s.Number, &s.Kind, &s.Epoch, &begun, &ended, &sealed, &s.Events, (*[]byte)(&s.Digest),
		(*[]byte)(&s.Prev), (*[]byte)(&s.Hash))
	s.BegunAt, s.EndedAt, s.SealedAt = begun.Time.UTC(), ended.Time.UTC(), sealed.Time.UTC()
	return s, err
}

// auditLock has one process at a time seal and cut.
const auditLock = "SELECT pg_advisory_xact_lock(hashtextextended('rastro.audit', 0))"

// longWork prepares a transaction for statements that take as long as they take.
func longWork(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0")
	return err
}

// Seal ends the epoch under way, if anything was written in it, and seals every epoch that is over. It returns the new seals.
// Several processes may do so at once. Writers are not held up; those of an ended epoch are waited for.
func (s *Store) Seal(ctx context.Context) ([]Seal, error) {
	var open []int64
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := longWork(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, auditLock); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
WITH ended AS (
    UPDATE audit_epochs SET ended_at = clock_timestamp()
    WHERE ended_at IS NULL AND epoch = (SELECT max(epoch) FROM audit_epochs)
        AND EXISTS (SELECT FROM event_store WHERE chain_epoch = audit_epochs.epoch)
    RETURNING epoch, ended_at)
INSERT INTO audit_epochs (epoch, begun_at) SELECT epoch + 1, ended_at FROM ended`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT epoch FROM audit_epochs WHERE ended_at IS NOT NULL AND sealed_at IS NULL ORDER BY epoch")
		if err != nil {
			return err
		}
		open, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("end epoch: %w", err)
	}
	var all []Seal
	for _, epoch := range open {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			seals, err := sealEpoch(ctx, tx, epoch)
			all = append(all, seals...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("seal epoch %d: %w", epoch, err)
		}
	}
	return all, nil
}

// sealEpoch seals what tenants wrote in an epoch that is over.
func sealEpoch(ctx context.Context, tx pgx.Tx, epoch int64) ([]Seal, error) {
	if err := longWork(ctx, tx); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, auditLock); err != nil {
		return nil, err
	}
	// Whoever wrote in the epoch holds this lock shared (audit_epoch_join).
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('rastro.epoch'), $1)", epoch); err != nil {
		return nil, fmt.Errorf("wait for its writers: %w", err)
	}
	var begun, ended time.Time
	err := tx.QueryRow(ctx, `UPDATE audit_epochs SET sealed_at = clock_timestamp() WHERE epoch = $1 AND sealed_at IS NULL
		RETURNING begun_at, ended_at`, epoch).Scan(&begun, &ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil // Another process was faster.
	}
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, sealedRows, epoch, epoch, nil)
	if err != nil {
		return nil, err
	}
	var seals []Seal
	if err := digestRows(rows, func(d epochDigest) error {
		seals = append(seals, Seal{TenantID: d.tenant, Kind: SealOfEpoch, Epoch: epoch, BegunAt: begun, EndedAt: ended,
			Events: d.events, Digest: d.digest})
		return nil
	}); err != nil {
		return nil, err
	}
	return appendSeals(ctx, tx, seals)
}

// appendSeals continues the chains of the tenants of seals. It needs auditLock.
func appendSeals(ctx context.Context, tx pgx.Tx, seals []Seal) ([]Seal, error) {
	for i := range seals {
		seal := &seals[i]
		var last HexBytes
		err := tx.QueryRow(ctx, "SELECT number, hash, clock_timestamp() FROM audit_seals WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1",
			seal.TenantID).Scan(&seal.Number, (*[]byte)(&last), &seal.SealedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			last = firstPrev
			err = tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&seal.SealedAt)
		}
		if err != nil {
			return nil, fmt.Errorf("read last seal: %w", err)
		}
		seal.Number, seal.Prev = seal.Number+1, last
		seal.Hash = seal.sum()
		if _, err := tx.Exec(ctx, "INSERT INTO audit_seals ("+sealColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
			seal.TenantID, seal.Number, seal.Kind, seal.Epoch, seal.BegunAt, seal.EndedAt, seal.SealedAt, seal.Events,
			[]byte(seal.Digest), []byte(seal.Prev), []byte(seal.Hash)); err != nil {
			return nil, fmt.Errorf("insert seal: %w", err)
		}
	}
	return seals, nil
}

// Seals returns the seals of a tenant or, without one, of all, the oldest first; only the last of each tenant if so asked.
func (s *Store) Seals(ctx context.Context, tenant string, lastOnly bool) ([]Seal, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+sealColumns+` FROM audit_seals a WHERE ($1 = '' OR tenant_id = $1)
		AND (NOT $2 OR number = (SELECT max(number) FROM audit_seals b WHERE b.tenant_id = a.tenant_id))
		ORDER BY tenant_id, number`, tenant, lastOnly)
	if err != nil {
		return nil, fmt.Errorf("read seals: %w", err)
	}
	seals, err := pgx.CollectRows(rows, scanSeal)
	if err != nil {
		return nil, fmt.Errorf("read seals: %w", err)
	}
	return seals, nil
}

// sealedRows reads the hashes of a range of epochs in the order that digestRows wants, of one tenant if $3 names one.
const sealedRows = `
SELECT tenant_id, chain_epoch, chain_hash FROM event_store
WHERE chain_epoch BETWEEN $1 AND $2 AND ($3::text IS NULL OR tenant_id = $3)
ORDER BY tenant_id, chain_epoch, chain_hash`

// epochDigest is what the rows of a tenant in an epoch come to.
type epochDigest struct {
	tenant string
	epoch  int64
	events int64
	digest []byte
}

// digestRows turns rows that are sorted by tenant, epoch and hash into the digest of each tenant and epoch.
func digestRows(rows pgx.Rows, each func(epochDigest) error) error {
	defer rows.Close()
	var current epochDigest
	var sum hash.Hash
	finish := func() error {
		if sum == nil {
			return nil
		}
		current.digest = sum.Sum(nil)
		return each(current)
	}
	var tenant string
	var epoch int64
	var rowHash []byte
	for rows.Next() {
		if err := rows.Scan(&tenant, &epoch, &rowHash); err != nil {
			return fmt.Errorf("read hash: %w", err)
		}
		if sum == nil || tenant != current.tenant || epoch != current.epoch {
			if err := finish(); err != nil {
				return err
			}
			current, sum = epochDigest{tenant: tenant, epoch: epoch}, sha256.New()
		}
		current.events++
		// All hashes are of one length, and one that somebody made longer or shorter changes the sum.
		_, _ = sum.Write(rowHash)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read hashes: %w", err)
	}
	return finish()
}

// follows reports whether a seal is the next one after another, which is zero before the first.
func (s Seal) follows(before Seal) bool {
	prev := []byte(before.Hash)
	if before.Number == 0 {
		prev = firstPrev
	}
	return s.Number == before.Number+1 && bytes.Equal(s.Prev, prev)
}
