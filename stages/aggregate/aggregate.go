package aggregate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "aggregate"

// Codes of the reasons that the stage gives.
const (
	// CodeLate says that the windows of the event had all closed when it came.
	CodeLate = "late"
	// CodeAhead says that the event lies too far ahead of the clock.
	CodeAhead = "ahead"
	// CodeAggregated says that the event is in its windows and only what is made of them goes on.
	CodeAggregated = "aggregated"
)

const (
	// lease is how long the windows that a process sends are left to it.
	lease = 30 * time.Second
	// maxDue bounds the windows that are sent at once.
	maxDue = 200
	// maxPruned bounds the windows that are forgotten at once, and pruneEvery how often that is done when few are.
	maxPruned  = 200
	pruneEvery = time.Minute
)

// Windows keeps windows and who is in them. *store.Store is one, and so is what NewMemory returns.
type Windows interface {
	// JoinWindows has events join windows, made if need be, and reports of each whether it is in its window, since now or
	// before. Those closed by now or by DueWindows take nobody; to repeat a call changes nothing.
	JoinWindows(ctx context.Context, owner store.WindowOwner, now time.Time, windows []store.Window, members []store.WindowMember) ([]bool, error)
	// DueWindows closes and returns windows whose time has come and that were not sent, limit at most and the first to close
	// first, to one holder at a time.
	DueWindows(ctx context.Context, owner store.WindowOwner, lease store.WindowLease, now time.Time, limit int) ([]store.Window, error)
	// EachWindowMember calls visit for every member of windows, in any order. A member's Value is good until visit returns.
	EachWindowMember(ctx context.Context, windows [][32]byte, visit func(store.WindowMember) error) error
	// SentWindows says that what came of windows was sent: they are no longer due.
	SentWindows(ctx context.Context, now time.Time, windows [][32]byte) error
	// PruneWindows forgets windows that were sent by an instant, limit at most, and returns how many.
	PruneWindows(ctx context.Context, owner store.WindowOwner, sentBy time.Time, limit int) (int, error)
}

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Makes one event of those within a window of time, for each key by itself.", Defaults, build).
		Described(doc, example))
}

const doc = `
An event counts in the window that its own time lies in, once, however often and in whatever order it is delivered. A window
closes when the clock passes its end by the allowed lateness; then its event is sent, even if the process is killed meanwhile, with
a UID that is always the same for the same window. What comes later is late: it is counted in no window, and ` + "`late`" + ` says what
becomes of it.

The payload of what is sent holds ` + "`window_start`, `window_end`, `key`" + ` (by field) and the results by name. Sums are exact. Numbers
may be sent as texts; what is no number is left out of sum, min, max and avg.

After a change of key, window or compute the windows under way are sent as they were begun. Those of a stage that is renamed or
taken out are not sent: stop the events and wait until they have closed first.`

const example = `
- use: aggregate
  with:
    window: {tumbling: 5m}
    allowed_lateness: 2m
    key: [location.iata, event_type]
    compute:
      bags: count
      weight: sum(payload.weight)
      aircraft: distinct(transport.number)
    emit: {event_type: bags_per_5m}`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	windows, err := pipeline.Resource[Windows](settings)
	if err != nil {
		return nil, err
	}
	holder, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("name the holder of windows: %w", err)
	}
	return &stage{
		cutter: newCutter(config, settings.Pipeline, settings.Name), config: config, windows: windows, now: settings.Now, logger: settings.Logger,
		owner: store.WindowOwner{Pipeline: settings.Pipeline, Stage: settings.Name}, lease: store.WindowLease{Holder: holder, For: lease},
	}, nil
}

// stage is safe for concurrent use.
type stage struct {
	cutter  *cutter
	config  Config
	windows Windows
	owner   store.WindowOwner
	lease   store.WindowLease
	now     func() time.Time
	logger  *slog.Logger

	mu        sync.Mutex
	nextPrune time.Time
}

// joining is what a batch brings to windows.
type joining struct {
	windows []store.Window
	members []store.WindowMember
	// events are the indices in the batch of the members' events.
	events []int
	known  map[[32]byte]bool
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	now := s.now()
	all := joining{known: map[[32]byte]bool{}}
	outside := map[int]pipeline.Reason{}
	for i, event := range batch.Pending() {
		if ahead := event.OccurredAt.Sub(now); ahead > s.config.MaxAhead {
			outside[i] = pipeline.Reason{
				Code: CodeAhead, Field: "/timestamp", Message: fmt.Sprintf("lies %s ahead of the clock: %s at most", ahead, s.config.MaxAhead),
			}
			continue
		}
		outside[i] = pipeline.Reason{Code: CodeLate, Message: "came when its window had closed"} // unless it turns out to be in one
		if err := s.join(&all, i, event); err != nil {
			return err
		}
	}
	joined, err := s.joinAll(ctx, now, all)
	if err != nil {
		return err
	}
	for n, is := range joined {
		if is {
			delete(outside, all.events[n])
		}
	}
	s.settle(ctx, batch, outside)
	return nil
}

// join adds to what a batch brings the windows that an event is in.
func (s *stage) join(all *joining, i int, event *tracking.Event) error {
	key := s.cutter.key(event)
	brought, err := s.cutter.contribution(event)
	if err != nil {
		return err
	}
	var about []byte
	for _, window := range s.cutter.cut(event, key) {
		if !all.known[window.ID] {
			all.known[window.ID] = true
			if about == nil {
				if about, err = s.cutter.about(event, key); err != nil {
					return err
				}
			}
			window.About = about
			all.windows = append(all.windows, window)
		}
		all.members = append(all.members, store.WindowMember{Window: window.ID, UID: event.UID, Value: brought})
		all.events = append(all.events, i)
	}
	return nil
}

func (s *stage) joinAll(ctx context.Context, now time.Time, all joining) ([]bool, error) {
	if len(all.members) == 0 {
		return nil, ctx.Err()
	}
	joined, err := s.windows.JoinWindows(ctx, s.owner, now, all.windows, all.members)
	if err != nil {
		return nil, fmt.Errorf("aggregate: %w", err)
	}
	if len(joined) != len(all.members) {
		return nil, fmt.Errorf("aggregate: %d members got %d answers", len(all.members), len(joined))
	}
	return joined, nil
}

// settle says what becomes of each event, and how many are in no window.
func (s *stage) settle(ctx context.Context, batch *pipeline.Batch, outside map[int]pipeline.Reason) {
	var late, ahead int
	for i := range batch.Pending() {
		reason, out := outside[i]
		switch {
		case !out && s.config.Events == Drop:
			batch.Drop(i, pipeline.Reason{Code: CodeAggregated, Message: "is aggregated: what is made of its window goes on"})
		case out && reason.Code == CodeLate:
			late++
		case out:
			ahead++
		}
		switch {
		case out && s.config.Late == Drop:
			batch.Drop(i, reason)
		case out && s.config.Late == Reject:
			batch.Reject(i, reason)
		}
	}
	if late+ahead > 0 {
		s.logger.InfoContext(ctx, "events are in no window", slog.Int("late", late), slog.Int("ahead", ahead))
	}
}

// Due implements pipeline.Emitter: it closes the windows whose time has come and returns what they give. Windows are sent when
// the function returned with it is called; until then they are due again, to this process at once and to others when the lease
// is over.
func (s *stage) Due(ctx context.Context, now time.Time) ([]*tracking.Event, func(context.Context) error, error) {
	if err := s.prune(ctx, now); err != nil {
		return nil, nil, err
	}
	windows, err := s.windows.DueWindows(ctx, s.owner, s.lease, now, maxDue)
	if err != nil {
		return nil, nil, fmt.Errorf("aggregate: %w", err)
	}
	if len(windows) == 0 {
		return nil, func(context.Context) error { return nil }, nil
	}
	events, ids, err := s.sumUp(ctx, windows)
	if err != nil {
		return nil, nil, fmt.Errorf("aggregate: %w", err)
	}
	sent := func(ctx context.Context) error {
		if err := s.windows.SentWindows(ctx, now, ids); err != nil {
			return fmt.Errorf("aggregate: %w", err)
		}
		return nil
	}
	return events, sent, nil
}

// sumUp makes the events of windows, in their order.
func (s *stage) sumUp(ctx context.Context, windows []store.Window) ([]*tracking.Event, [][32]byte, error) {
	ids := make([][32]byte, len(windows))
	summaries := make(map[[32]byte]*summary, len(windows))
	for i, window := range windows {
		made, err := newSummary(window)
		if err != nil {
			return nil, nil, err
		}
		ids[i], summaries[window.ID] = window.ID, made
	}
	err := s.windows.EachWindowMember(ctx, ids, func(m store.WindowMember) error {
		if of, ok := summaries[m.Window]; ok {
			return of.add(m)
		}
		return errors.New("a member of a window that nobody asked for")
	})
	if err != nil {
		return nil, nil, err
	}
	events := make([]*tracking.Event, 0, len(windows))
	for _, id := range ids {
		event, err := summaries[id].event()
		if err != nil {
			return nil, nil, err
		}
		events = append(events, event)
	}
	return events, ids, nil
}

// prune forgets what is no longer needed to tell a redelivery from a late event, every now and then.
func (s *stage) prune(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.nextPrune) {
		return nil
	}
	n, err := s.windows.PruneWindows(ctx, s.owner, now.Add(-s.config.Remember), maxPruned)
	if err != nil {
		return fmt.Errorf("aggregate: %w", err)
	}
	if n < maxPruned {
		s.nextPrune = now.Add(pruneEvery)
	}
	return nil
}
