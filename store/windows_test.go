package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var (
	ownerOfWindows = WindowOwner{Pipeline: "tracking", Stage: "aggregate"}
	noon           = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
)

// windowOf returns a tenant's window of five minutes that begins at start and closes a minute after its end.
func windowOf(tenant string, start time.Time) Window {
	start = start.UTC().Truncate(time.Microsecond)
	return Window{
		ID: sha256.Sum256([]byte(tenant + start.String())), TenantID: tenant, Start: start, End: start.Add(5 * time.Minute),
		ClosesAt: start.Add(6 * time.Minute), About: []byte("about " + tenant),
	}
}

func join(t testing.TB, s *Store, now time.Time, w Window, uids ...uuid.UUID) []bool {
	t.Helper()
	members := make([]WindowMember, len(uids))
	for i, uid := range uids {
		members[i] = WindowMember{w.ID, uid, []byte("of " + uid.String())}
	}
	joined, err := s.JoinWindows(t.Context(), ownerOfWindows, now, []Window{w}, members)
	require.NoError(t, err)
	return joined
}

func leaseOf(holder uuid.UUID) WindowLease { return WindowLease{Holder: holder, For: 30 * time.Second} }

func due(t testing.TB, s *Store, holder uuid.UUID, now time.Time) []Window {
	t.Helper()
	windows, err := s.DueWindows(t.Context(), ownerOfWindows, leaseOf(holder), now, 100)
	require.NoError(t, err)
	return windows
}

func membersOf(t testing.TB, s *Store, windows ...Window) map[uuid.UUID]string {
	t.Helper()
	ids := make([][32]byte, len(windows))
	for i, w := range windows {
		ids[i] = w.ID
	}
	values := map[uuid.UUID]string{}
	require.NoError(t, s.EachWindowMember(t.Context(), ids, func(m WindowMember) error {
		_, seen := values[m.UID]
		require.False(t, seen, "a member is visited once")
		values[m.UID] = string(m.Value)
		return nil
	}))
	return values
}

func TestAWindowTakesAnEventOnceUntilItCloses(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := windowOf("acme", noon)
	a, b, c := newUID(), newUID(), newUID()
	require.Equal(t, []bool{true, true, true}, join(t, s, noon, w, a, b, a))
	again := w
	again.About = []byte("something else")
	require.Equal(t, []bool{true}, join(t, s, noon.Add(time.Minute), again, b), "a redelivery")
	require.Empty(t, due(t, s, newUID(), noon.Add(6*time.Minute-time.Microsecond)))

	require.Equal(t, []bool{false, true}, join(t, s, noon.Add(6*time.Minute), w, c, a), "closed by the clock; a redelivery is known")
	closed := due(t, s, newUID(), noon.Add(6*time.Minute))
	require.Equal(t, []Window{w}, closed, "as it was first")
	require.Equal(t, []bool{false, true}, join(t, s, noon, w, c, b), "closed, whatever another clock says")
	require.Equal(t, map[uuid.UUID]string{a: "of " + a.String(), b: "of " + b.String()}, membersOf(t, s, w))

	joined, err := s.JoinWindows(t.Context(), ownerOfWindows, noon, nil, nil)
	require.NoError(t, err)
	require.Empty(t, joined)
}

func TestAWindowIsDueUntilItIsSent(t *testing.T) {
	t.Parallel()
	s := open(t)
	early, late := windowOf("acme", noon), windowOf("acme", noon.Add(5*time.Minute))
	join(t, s, noon, late, newUID())
	join(t, s, noon, early, newUID())
	one, other, now := newUID(), newUID(), noon.Add(time.Hour)
	require.NoError(t, s.SentWindows(t.Context(), now, [][32]byte{early.ID}))
	first, err := s.DueWindows(t.Context(), ownerOfWindows, leaseOf(one), now, 1)
	require.NoError(t, err)
	require.Equal(t, []Window{early}, first, "the first to close; what is not closed cannot have been sent")
	require.Equal(t, []Window{early, late}, due(t, s, one, now), "again to who has it")
	require.Empty(t, due(t, s, other, now.Add(30*time.Second-time.Microsecond)))
	require.Equal(t, []Window{early, late}, due(t, s, other, now.Add(30*time.Second)), "to another when the lease is over")
	require.Empty(t, due(t, s, one, now.Add(30*time.Second)))

	elsewhere := WindowOwner{Pipeline: "tracking", Stage: "other"}
	none, err := s.DueWindows(t.Context(), elsewhere, leaseOf(one), now, 100)
	require.NoError(t, err)
	require.Empty(t, none)

	require.NoError(t, s.SentWindows(t.Context(), now, [][32]byte{early.ID}))
	require.Equal(t, []Window{late}, due(t, s, other, now.Add(time.Hour)))
}

func TestWindowsAreForgottenAWhileAfterTheyWereSent(t *testing.T) {
	t.Parallel()
	s := open(t)
	sent, unsent := windowOf("acme", noon), windowOf("umbrella", noon)
	a := newUID()
	join(t, s, noon, sent, a)
	join(t, s, noon, unsent, a)
	now := noon.Add(time.Hour)
	require.Len(t, due(t, s, newUID(), now), 2)
	require.NoError(t, s.SentWindows(t.Context(), now, [][32]byte{sent.ID}))
	prune := func(owner WindowOwner, by time.Time) int {
		n, err := s.PruneWindows(t.Context(), owner, by, 10)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, prune(ownerOfWindows, now.Add(-time.Microsecond)))
	require.Zero(t, prune(WindowOwner{"tracking", "other"}, now))
	require.Equal(t, []bool{true}, join(t, s, now, sent, a))
	require.Equal(t, 1, prune(ownerOfWindows, now))
	require.Zero(t, prune(ownerOfWindows, now))
	require.Equal(t, []bool{false}, join(t, s, now, sent, a))
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM aggregate_members"))
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM aggregate_windows"))
}

func TestMembersOfLargeWindowsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	s := open(t)
	sizes := []int{1, firstMembers - 1, firstMembers, firstMembers + 1, firstMembers + moreMembers, firstMembers + moreMembers + 7}
	var windows []Window
	total := 0
	for i, size := range sizes {
		w := windowOf("acme", noon.Add(time.Duration(i)*time.Hour))
		windows = append(windows, w)
		join(t, s, noon, w, newUID())
		_, err := s.pool.Exec(t.Context(), "INSERT INTO aggregate_members SELECT $1, gen_random_uuid(), '' FROM generate_series(2, $2)", w.ID[:], size)
		require.NoError(t, err)
		total += size
	}
	require.Len(t, membersOf(t, s, windows...), total)
	ids := [][32]byte{windows[0].ID, windows[1].ID}
	stop := errors.New("stop")
	require.ErrorIs(t, s.EachWindowMember(t.Context(), ids, func(WindowMember) error { return stop }), stop)
	require.NoError(t, s.SentWindows(t.Context(), noon, nil))

	for _, w := range due(t, s, newUID(), noon.Add(24*time.Hour)) {
		require.NoError(t, s.SentWindows(t.Context(), noon, [][32]byte{w.ID}))
	}
	n, err := s.PruneWindows(t.Context(), ownerOfWindows, noon, 100)
	require.NoError(t, err)
	require.Equal(t, len(sizes), n)
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM aggregate_members"))
}

func TestAWindowThatSomebodyJoinsIsPassedOver(t *testing.T) {
	t.Parallel()
	s := open(t)
	busy, quiet := windowOf("acme", noon), windowOf("umbrella", noon)
	join(t, s, noon, busy, newUID())
	join(t, s, noon, quiet, newUID())
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), joinHold, [][]byte{busy.ID[:]})
	require.NoError(t, err)
	require.Equal(t, []Window{quiet}, due(t, s, newUID(), noon.Add(time.Hour)))
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, []Window{busy}, due(t, s, newUID(), noon.Add(time.Hour)))
}

func TestAWindowIsTakenByOne(t *testing.T) {
	t.Parallel()
	s := open(t)
	const windows, holders = 60, 6
	for i := range windows {
		join(t, s, noon, windowOf(fmt.Sprint("tenant ", i), noon), newUID())
	}
	taken, errs := make(chan [32]byte, holders*windows), make(chan error, holders)
	var work sync.WaitGroup
	for range holders {
		work.Go(func() {
			for { // As a restarted process, under another name each time.
				got, err := s.DueWindows(t.Context(), ownerOfWindows, leaseOf(newUID()), noon.Add(time.Hour), 3)
				if err != nil || len(got) == 0 {
					errs <- err
					return
				}
				for _, w := range got {
					taken <- w.ID
				}
			}
		})
	}
	work.Wait()
	close(taken)
	for range holders {
		require.NoError(t, <-errs)
	}
	seen := map[[32]byte]int{}
	for id := range taken {
		seen[id]++
		require.Equal(t, 1, seen[id])
	}
	require.Len(t, append(due(t, s, newUID(), noon.Add(time.Hour)), make([]Window, len(seen))...), windows, "what all passed over is left")
}

// Many join the same windows, in every order, while others close and send them: an event is told that it is in a window if and
// only if it is among the members that whoever sends the window reads.
func TestJoiningAndClosingTakeTurns(t *testing.T) {
	t.Parallel()
	s := open(t)
	const windows, workers, rounds = 4, 6, 25
	all := make([][]Window, rounds)
	for round := range all {
		for i := range windows {
			all[round] = append(all[round], windowOf(fmt.Sprintf("tenant %d of round %d", i, round), noon))
		}
	}
	var mu sync.Mutex
	told, sent := map[[32]byte]map[uuid.UUID]bool{}, map[[32]byte]map[uuid.UUID]bool{}
	note := func(in map[[32]byte]map[uuid.UUID]bool, id [32]byte, uid uuid.UUID) {
		if in[id] == nil {
			in[id] = map[uuid.UUID]bool{}
		}
		in[id][uid] = true
	}
	errs := make(chan error, workers+2)
	var joiners sync.WaitGroup
	for w := range workers {
		joiners.Go(func() {
			for round := range rounds {
				var members []WindowMember
				for i := range windows {
					members = append(members, WindowMember{Window: all[round][(i+w)%windows].ID, UID: newUID()})
				}
				joined, err := s.JoinWindows(t.Context(), ownerOfWindows, noon, all[round], members) // their clocks stand still
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				for i, m := range members {
					if joined[i] {
						note(told, m.Window, m.UID)
					}
				}
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	var closers sync.WaitGroup
	for range 2 {
		closers.Go(func() {
			holder := newUID()
			for finished := false; ; {
				n, err := closeAndRead(t.Context(), s, holder, func(m WindowMember) {
					mu.Lock()
					defer mu.Unlock()
					note(sent, m.Window, m.UID)
				})
				switch {
				case err != nil:
					errs <- err
					return
				case n > 0:
					continue
				case finished:
					return
				}
				select {
				case <-done:
					finished = true // and look once more
				default:
				}
			}
		})
	}
	joiners.Wait()
	close(done)
	closers.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, sent, rounds*windows)
	require.Equal(t, told, sent)
}

// closeAndRead closes a window, the clock being past all, and reads it. It returns how many there were.
func closeAndRead(ctx context.Context, s *Store, holder uuid.UUID, visit func(WindowMember)) (int, error) {
	windows, err := s.DueWindows(ctx, ownerOfWindows, leaseOf(holder), noon.Add(time.Hour), 1)
	if err != nil {
		return 0, err
	}
	for _, w := range windows {
		err := s.EachWindowMember(ctx, [][32]byte{w.ID}, func(m WindowMember) error {
			visit(m)
			return nil
		})
		if err != nil {
			return 0, err
		}
		if err := s.SentWindows(ctx, noon.Add(time.Hour), [][32]byte{w.ID}); err != nil {
			return 0, err
		}
	}
	return len(windows), nil
}
