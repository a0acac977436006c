package aggregate

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
)

// NewMemory returns Windows that are kept in this process and end with it, for running a pipeline without a database and for tests.
func NewMemory() Windows { return &memory{windows: map[[32]byte]*held{}} }

type memory struct {
	mu      sync.Mutex
	windows map[[32]byte]*held
}

// held is a window and who is in it.
type held struct {
	store.Window
	owner     store.WindowOwner
	members   map[uuid.UUID][]byte
	closed    bool
	holder    uuid.UUID
	heldUntil time.Time
	sentAt    time.Time
}

// JoinWindows implements Windows.
func (m *memory) JoinWindows(
	ctx context.Context, owner store.WindowOwner, now time.Time, windows []store.Window, members []store.WindowMember,
) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	open := make(map[[32]byte]bool, len(windows))
	for _, w := range windows {
		if !now.Before(w.ClosesAt) {
			continue
		}
		if m.windows[w.ID] == nil {
			w.About = bytes.Clone(w.About)
			m.windows[w.ID] = &held{Window: w, owner: owner, members: map[uuid.UUID][]byte{}}
		}
		open[w.ID] = !m.windows[w.ID].closed
	}
	joined := make([]bool, len(members))
	for i, member := range members {
		window := m.windows[member.Window]
		if window == nil {
			continue
		}
		_, joined[i] = window.members[member.UID]
		if !joined[i] && open[member.Window] {
			window.members[member.UID], joined[i] = bytes.Clone(member.Value), true
		}
	}
	return joined, nil
}

// DueWindows implements Windows.
func (m *memory) DueWindows(ctx context.Context, owner store.WindowOwner, lease store.WindowLease, now time.Time, limit int) ([]store.Window, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []store.Window
	for _, w := range m.windows {
		free := w.holder == uuid.Nil || w.holder == lease.Holder || !now.Before(w.heldUntil)
		if w.owner == owner && w.sentAt.IsZero() && !now.Before(w.ClosesAt) && free {
			due = append(due, w.Window)
		}
	}
	slices.SortFunc(due, func(a, b store.Window) int {
		if c := a.ClosesAt.Compare(b.ClosesAt); c != 0 {
			return c
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	due = due[:min(limit, len(due))]
	for _, w := range due {
		taken := m.windows[w.ID]
		taken.closed, taken.holder, taken.heldUntil = true, lease.Holder, now.Add(lease.For)
	}
	return due, nil
}

// EachWindowMember implements Windows. visit must not call m.
func (m *memory) EachWindowMember(ctx context.Context, windows [][32]byte, visit func(store.WindowMember) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range windows {
		if m.windows[id] == nil {
			continue
		}
		for uid, value := range m.windows[id].members {
			if err := visit(store.WindowMember{Window: id, UID: uid, Value: value}); err != nil {
				return err
			}
		}
	}
	return nil
}

// SentWindows implements Windows.
func (m *memory) SentWindows(ctx context.Context, now time.Time, windows [][32]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range windows {
		if w := m.windows[id]; w != nil && w.closed && w.sentAt.IsZero() {
			w.sentAt = now
		}
	}
	return nil
}

// PruneWindows implements Windows.
func (m *memory) PruneWindows(ctx context.Context, owner store.WindowOwner, sentBy time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	pruned := 0
	for id, w := range m.windows {
		if pruned == limit {
			break
		}
		if w.owner == owner && !w.sentAt.IsZero() && !w.sentAt.After(sentBy) {
			delete(m.windows, id)
			pruned++
		}
	}
	return pruned, nil
}
