package ops

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rastrohq/rastro/store"
)

// refolder folds traces anew whose codes were decided about: here, or in a process that has died.
type refolder struct {
	store  *store.Store
	logger *slog.Logger
	poll   time.Duration
	work   context.Context // ends when the work is to be let go
	stop   context.CancelFunc
	wake   chan struct{}
	hands  sync.WaitGroup
	once   sync.Once
}

func newRefolder(config Config, deps Deps) *refolder {
	r := &refolder{store: deps.Store, logger: deps.Logger, poll: config.Poll, wake: make(chan struct{}, 1)}
	r.work, r.stop = context.WithCancel(context.Background())
	return r
}

func (r *refolder) start() { r.once.Do(func() { r.hands.Go(func() { r.look(r.work) }) }) }

func (r *refolder) close() {
	r.stop()
	r.hands.Wait()
}

// nudge has the refolder look for work at once.
func (r *refolder) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // it will
	}
}

func (r *refolder) look(ctx context.Context) {
	ticker := time.NewTicker(r.poll)
	defer ticker.Stop()
	failing := false
	for {
		worked, err := r.store.RefoldCodes(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.logger.WarnContext(ctx, "cannot fold traces anew; trying again", slog.Any("error", err))
		}
		failing = err != nil
		if worked && ctx.Err() == nil {
			continue
		}
		select {
		case <-ticker.C:
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}
