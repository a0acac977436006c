package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Claim says that a delivery carries a business key.
type Claim struct {
	// Key is the SHA-256 of the business key.
	Key [32]byte
	// UID identifies the delivery.
	UID uuid.UUID
}

// midnightMargin is how near midnight (UTC) claims take turns. A claim must not take longer than that, so its statements are
// given half of it.
const midnightMargin = time.Minute

// Claims of one day meet in the primary key of that day's partition, where the first wins and the others wait for it. Claims of
// two days do not meet there: one that begins before midnight and is not committed yet is invisible to one that begins after.
// Therefore claims share a lock by day and, within a minute of midnight, each has it alone: what it reads after getting the
// lock then holds every claim made before it.
const (
	claimTimeout = "SET LOCAL statement_timeout = '30s'"

	claimLock = `
SELECT CASE
    WHEN (now_at - $2::interval)::date <> (now_at + $2::interval)::date
    THEN pg_advisory_xact_lock(hashtextextended('rastro.claims', 0))
    ELSE pg_advisory_xact_lock_shared(hashtextextended('rastro.claims', 0)) END
FROM (SELECT coalesce($1::timestamptz, now()) AT TIME ZONE 'UTC') AS clock (now_at)`

	// claimInsert enters the claims whose key nobody holds. Who has held one since another day is looked for; who has since today is met
	// in the primary key. A row of today that is older than the window has lost its hold and is taken over. Rows are locked in the order
	// of their keys, so that claimants never wait for each other in a circle.
	claimInsert = `
WITH held AS MATERIALIZED (
    SELECT key FROM dedupe_claims WHERE key = ANY ($3) AND claimed_at > coalesce($1::timestamptz, now()) - $2::interval
        AND day >= (coalesce($1::timestamptz, now()) AT TIME ZONE 'UTC' - $2::interval)::date
        AND day < (coalesce($1::timestamptz, now()) AT TIME ZONE 'UTC')::date
    UNION ALL -- The clock may have been put back over midnight.
    SELECT key FROM dedupe_claims WHERE key = ANY ($3) AND claimed_at > coalesce($1::timestamptz, now()) - $2::interval
        AND day >= (coalesce($1::timestamptz, now()) AT TIME ZONE 'UTC')::date + 1
)
INSERT INTO dedupe_claims (key, day, uid, claimed_at)
SELECT claim.key, (clock.now_at AT TIME ZONE 'UTC')::date, claim.uid, clock.now_at
FROM (SELECT coalesce($1::timestamptz, now())) AS clock (now_at), (SELECT unnest($3::bytea[]), unnest($4::uuid[])) AS claim (key, uid)
WHERE NOT EXISTS (SELECT FROM held WHERE held.key = claim.key)
ORDER BY claim.key
ON CONFLICT (key, day) DO UPDATE SET uid = excluded.uid, claimed_at = excluded.claimed_at
WHERE dedupe_claims.claimed_at <= excluded.claimed_at - $2::interval
RETURNING key`

	// claimRead tells who holds the keys that claimInsert did not enter. It is a statement of its own because it must see what others
	// committed while claimInsert waited for them.
	claimRead = `
SELECT claim.key, held.uid
FROM unnest($3::bytea[]) WITH ORDINALITY AS claim (key, position)
    CROSS JOIN LATERAL (
        SELECT uid FROM dedupe_claims held
        WHERE held.key = claim.key
            AND held.day >= (coalesce($1::timestamptz, now()) AT TIME ZONE 'UTC' - $2::interval)::date
            AND held.claimed_at > coalesce($1::timestamptz, now()) - $2::interval
        ORDER BY held.day
        LIMIT 1
    ) AS held
ORDER BY claim.position`
)

// Claim binds each key to the UID that claimed it first within the window and returns that UID for each claim, in order
// (Invariant 7). Of two claims of one key in one call the first wins. An error means that nothing is known; the call may be
// repeated.
func (s *Store) Claim(ctx context.Context, window time.Duration, claims []Claim) ([]uuid.UUID, error) {
	if window <= 0 || window > s.config.ClaimRetention {
		return nil, fmt.Errorf("claim within %s: the window must be above 0 and at most %s, as long as claims are kept",
			window, s.config.ClaimRetention)
	}
	if len(claims) == 0 {
		return nil, nil
	}
	keys, uids := firstClaims(claims)
	byKey, err := s.claim(ctx, window, keys, uids)
	if sqlState(err) == noPartition {
		if err := s.EnsurePartitions(ctx, s.clock()); err != nil {
			return nil, err
		}
		byKey, err = s.claim(ctx, window, keys, uids)
	}
	if err != nil {
		return nil, fmt.Errorf("claim %d keys: %w", len(keys), err)
	}
	winners := make([]uuid.UUID, len(claims))
	for i := range claims {
		winners[i] = byKey[claims[i].Key]
	}
	return winners, nil
}

// noPartition is the SQLSTATE check_violation, which is also that of a row that no partition takes.
const noPartition = "23514"

func (s *Store) clock() time.Time {
	if s.now != nil {
		return s.now()
	}
	return time.Now()
}

// firstClaims returns the first claim of each key, in the order of the keys.
func firstClaims(claims []Claim) (keys [][]byte, uids []uuid.UUID) {
	sorted := slices.Clone(claims)
	slices.SortStableFunc(sorted, func(a, b Claim) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	sorted = slices.CompactFunc(sorted, func(a, b Claim) bool { return a.Key == b.Key })
	keys, uids = make([][]byte, len(sorted)), make([]uuid.UUID, len(sorted))
	for i := range sorted {
		keys[i], uids[i] = sorted[i].Key[:], sorted[i].UID
	}
	return keys, uids
}

// claim enters the claims in one transaction of one round trip, and reads who holds the keys that others hold.
func (s *Store) claim(ctx context.Context, window time.Duration, keys [][]byte, uids []uuid.UUID) (map[[32]byte]uuid.UUID, error) {
	var at *time.Time // nil: the database's clock
	if s.now != nil {
		now := s.now()
		at = &now
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)

	holders := make(map[[32]byte]uuid.UUID, len(keys))
	if err := enterClaims(ctx, conn, at, window, keys, uids, holders); err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(keys), func(key []byte) bool { _, entered := holders[[32]byte(key)]; return entered })
	if len(others) == 0 {
		return holders, nil
	}
	if err := readHolders(ctx, conn, at, window, others, holders); err != nil {
		return nil, err
	}
	if len(holders) != len(keys) { // A hold has ended between the two.
		return nil, fmt.Errorf("%d keys have %d holders", len(keys), len(holders))
	}
	return holders, nil
}

// enterClaims runs one claiming transaction and notes the keys that it has entered as their claims' own.
func enterClaims(
	ctx context.Context, conn *pgxpool.Conn, at *time.Time, window time.Duration, keys [][]byte, uids []uuid.UUID, holders map[[32]byte]uuid.UUID,
) error {
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	batch.Queue(claimTimeout)
	batch.Queue(claimLock, at, midnightMargin)
	batch.Queue(keepPlans)
	batch.Queue(claimInsert, at, window, keys, uids).Query(func(rows pgx.Rows) error {
		var key []byte
		_, err := pgx.ForEachRow(rows, []any{&key}, func() error {
			i, _ := slices.BinarySearchFunc(keys, key, bytes.Compare)
			holders[[32]byte(key)] = uids[i]
			return nil
		})
		return err
	})
	batch.Queue("COMMIT")
	return send(ctx, conn, &batch)
}

// readHolders notes who holds keys.
func readHolders(ctx context.Context, conn *pgxpool.Conn, at *time.Time, window time.Duration, keys [][]byte, holders map[[32]byte]uuid.UUID) error {
	rows, err := conn.Query(ctx, claimRead, at, window, keys)
	if err != nil {
		return err
	}
	var key []byte
	var uid uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&key, &uid}, func() error {
		holders[[32]byte(key)] = uid
		return nil
	})
	return err
}
