package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

const hours72 = 72 * time.Hour

func key(name string) [32]byte { return sha256.Sum256([]byte(name)) }

func newUID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// at returns an option that stops the clock of claims.
func at(now time.Time) Option { return WithClock(func() time.Time { return now }) }

func claimOne(t testing.TB, s *Store, window time.Duration, name string, uid uuid.UUID) uuid.UUID {
	t.Helper()
	winners, err := s.Claim(t.Context(), window, []Claim{{key(name), uid}})
	require.NoError(t, err)
	require.Len(t, winners, 1)
	return winners[0]
}

func TestClaimBindsTheKeyToTheFirst(t *testing.T) {
	t.Parallel()
	s := open(t)
	first, second, other := newUID(), newUID(), newUID()
	winners, err := s.Claim(t.Context(), hours72, []Claim{
		{key("b"), first}, {key("a"), other}, {key("b"), second}, {key("a"), other},
	})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{first, other, first, other}, winners, "of two claims in one call the first wins")

	require.Equal(t, first, claimOne(t, s, hours72, "b", second), "another delivery is a duplicate")
	require.Equal(t, first, claimOne(t, s, hours72, "b", first), "the same delivery again is a redelivery")

	winners, err = s.Claim(t.Context(), hours72, nil)
	require.NoError(t, err)
	require.Empty(t, winners)
}

func TestClaimWindow(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	start := time.Date(2026, 3, 10, 1, 0, 0, 0, time.UTC)
	later := func(d time.Duration) *Store { return openURL(t, url, at(start.Add(d))) }
	first, second, third := newUID(), newUID(), newUID()

	require.Equal(t, first, claimOne(t, later(0), time.Hour, "short", first))
	require.Equal(t, first, claimOne(t, later(time.Hour-time.Second), time.Hour, "short", second))
	require.Equal(t, second, claimOne(t, later(time.Hour), time.Hour, "short", second), "taken over on the same day")
	require.Equal(t, second, claimOne(t, later(2*time.Hour-time.Second), time.Hour, "short", third))

	require.Equal(t, first, claimOne(t, later(0), hours72, "long", first))
	require.Equal(t, first, claimOne(t, later(hours72-time.Second), hours72, "long", second), "held over three midnights")
	require.Equal(t, second, claimOne(t, later(hours72), hours72, "long", second))
	require.Equal(t, second, claimOne(t, later(hours72+time.Second), hours72, "long", first))
}

// A clock that is put back over midnight, as that of the server that takes over may be, does not set free what was claimed before.
func TestClaimsOutlastAClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	midnight := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	first := newUID()
	require.Equal(t, first, claimOne(t, openURL(t, url, at(midnight.Add(time.Second))), hours72, "a", first))
	require.Equal(t, first, claimOne(t, openURL(t, url, at(midnight.Add(-time.Second))), hours72, "a", newUID()))
}

func TestClaimRefusesWindowsItCannotKeep(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, window := range []time.Duration{0, -time.Second, 32 * 24 * time.Hour} {
		_, err := s.Claim(t.Context(), window, []Claim{{key("a"), newUID()}})
		require.ErrorContains(t, err, "window", window)
	}
}

// Invariant 7: many claimants claim the same keys at once, in batches that overlap in every way.
func TestClaimHasOneWinner(t *testing.T) {
	t.Parallel()
	s := open(t)
	const claimants, keys = 12, 200
	told := make([][]uuid.UUID, claimants)
	mine := make([]map[uuid.UUID]bool, claimants)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	errs := make(chan error, claimants)
	for c := range claimants {
		wg.Go(func() {
			told[c], mine[c] = make([]uuid.UUID, keys), map[uuid.UUID]bool{}
			random := rand.New(rand.NewPCG(uint64(c), 1))
			order := random.Perm(keys)
			<-begin
			for len(order) > 0 {
				n := min(len(order), 1+random.IntN(60))
				claims := make([]Claim, n)
				for i, k := range order[:n] {
					claims[i] = Claim{key(fmt.Sprint(k)), newUID()}
					mine[c][claims[i].UID] = true
				}
				winners, err := s.Claim(context.Background(), hours72, claims)
				if err != nil {
					errs <- err
					return
				}
				for i, k := range order[:n] {
					told[c][k] = winners[i]
				}
				order = order[n:]
			}
		})
	}
	close(begin)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	winners := 0
	for c := range claimants {
		require.Equal(t, told[0], told[c], "all are told the same")
		for _, uid := range told[c] {
			if mine[c][uid] {
				winners++
			}
		}
	}
	require.Equal(t, keys, winners, "each key has one winner, who knows it")
}

// TestClaimAcrossMidnight has a claim begin while another, begun just before on the other side of one of the moments that
// matter, is not committed yet.
func TestClaimAcrossMidnight(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	const instant = 10 * time.Millisecond
	for name, boundary := range map[string]time.Time{
		"midnight":      midnight,
		"margin begins": midnight.Add(-midnightMargin),
		"margin ends":   midnight.Add(midnightMargin),
		"within a day":  midnight.Add(12 * time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := databases.URL(t)
			early, late := boundary.Add(-instant), boundary.Add(instant)
			s := openURL(t, url, at(late))
			require.NoError(t, s.EnsurePartitions(t.Context(), midnight))
			first, second := newUID(), newUID()

			tx, err := s.pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			k := key("k")
			_, err = tx.Exec(t.Context(), claimLock, early, midnightMargin)
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), claimInsert, early, hours72, [][]byte{k[:]}, []uuid.UUID{first})
			require.NoError(t, err)

			winner := make(chan uuid.UUID, 1)
			go func() {
				winners, err := s.Claim(context.Background(), hours72, []Claim{{k, second}})
				if err != nil || len(winners) != 1 {
					close(winner)
					return
				}
				winner <- winners[0]
			}()
			require.Eventually(t, func() bool {
				return get[int](t, s, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
			}, 10*time.Second, 10*time.Millisecond, "the second claim waits for the first")
			require.NoError(t, tx.Commit(t.Context()))
			require.Equal(t, first, <-winner)
		})
	}
}

// TestClaimantsAcrossMidnightAgree runs claimants whose clocks lie on both sides of each boundary.
func TestClaimantsAcrossMidnightAgree(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	midnight := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	const rounds, claimants, keys = 5, 6, 20
	for b, boundary := range []time.Time{midnight.Add(-midnightMargin), midnight, midnight.Add(midnightMargin)} {
		stores := make([]*Store, claimants)
		for c := range stores {
			stores[c] = openURL(t, url, at(boundary.Add(time.Duration(2*c-claimants+1)*time.Millisecond)))
		}
		require.NoError(t, stores[0].EnsurePartitions(t.Context(), midnight))
		for round := range rounds {
			told := make([][]uuid.UUID, claimants)
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for c := range claimants {
				wg.Go(func() {
					claims := make([]Claim, keys)
					for k := range claims {
						claims[k] = Claim{key(fmt.Sprint(b, round, k)), newUID()}
					}
					<-begin
					told[c], _ = stores[c].Claim(context.Background(), hours72, claims) // A failure shows in told.
				})
			}
			close(begin)
			wg.Wait()
			for c := range claimants {
				require.Len(t, told[c], keys)
				require.Equal(t, told[0], told[c])
			}
			late := openURL(t, url, at(midnight.Add(hours72-2*time.Minute)))
			for k := range keys {
				require.Equal(t, told[0][k], claimOne(t, late, hours72, fmt.Sprint(b, round, k), newUID()))
			}
			late.Close()
		}
		for _, s := range stores {
			s.Close()
		}
	}
}

func TestClaimMakesTheDayItNeeds(t *testing.T) {
	t.Parallel()
	uid := newUID()
	s := open(t, at(time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)))
	require.Equal(t, uid, claimOne(t, s, hours72, "k", uid))
	require.True(t, get[bool](t, s, "SELECT to_regclass('dedupe_claims_2031_05_01') IS NOT NULL"))
}
