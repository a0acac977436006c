package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// Config configures how jobs are run.
type Config struct {
	// Lease is how long a job is held without a sign of life before another process takes over. Defaults to 10 s.
	Lease time.Duration
	// Poll is how often to look for jobs that nobody runs, and for what became of events that were redriven. Defaults to 1 s.
	Poll time.Duration
	// Jobs is how many jobs run at once in one process. Defaults to 4.
	Jobs int
	// Batch is how many letters are taken at once, at most. Defaults to 100.
	Batch int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Lease: 10 * time.Second, Poll: time.Second, Jobs: 4, Batch: 100}
}

// Validate reports what is wrong with the config.
func (c Config) Validate() error {
	if c.Lease < time.Second || c.Poll <= 0 || c.Jobs < 1 || c.Batch < 1 {
		return errors.New("ops config: lease (a second or more), poll, jobs and batch must all be set")
	}
	return nil
}

// runner works on jobs: on those asked for here, and on those whose process has died.
type runner struct {
	config Config
	deps   Deps
	work   context.Context // ends when the jobs are to be let go
	stop   context.CancelFunc
	wake   chan struct{}
	slots  chan struct{}
	jobs   sync.WaitGroup
	once   sync.Once
}

func newRunner(config Config, deps Deps) *runner {
	r := &runner{config: config, deps: deps, wake: make(chan struct{}, 1), slots: make(chan struct{}, config.Jobs)}
	r.work, r.stop = context.WithCancel(context.Background())
	return r
}

func (r *runner) start() { r.once.Do(func() { r.jobs.Go(func() { r.look(r.work) }) }) }

func (r *runner) close() {
	r.stop()
	r.jobs.Wait()
}

// nudge has the runner look for a job at once.
func (r *runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // it will
	}
}

func (r *runner) look(ctx context.Context) {
	ticker := time.NewTicker(r.config.Poll)
	defer ticker.Stop()
	failing := false
	for {
		err := r.takeOn(ctx)
		if _, e := r.deps.Store.SettleLetters(ctx); err == nil {
			err = e
		}
		if err != nil && !failing && ctx.Err() == nil {
			r.deps.Logger.WarnContext(ctx, "cannot look after dead letters; trying again", slog.Any("error", err))
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}

// takeOn begins with the jobs that nobody works on, as long as there is room.
func (r *runner) takeOn(ctx context.Context) error {
	for {
		select {
		case r.slots <- struct{}{}:
		default:
			return nil
		}
		holder := uuid.New()
		job, found, err := r.deps.Store.ClaimLetterJob(ctx, holder, r.config.Lease)
		if err != nil || !found {
			<-r.slots
			return err
		}
		r.jobs.Go(func() {
			defer func() { <-r.slots; r.nudge() }()
			r.run(ctx, job, holder)
		})
	}
}

// run works on a job until it is done, is taken over, or the process stops.
func (r *runner) run(ctx context.Context, job store.LetterJob, holder uuid.UUID) {
	logger := r.deps.Logger.With(slog.String("job", job.ID.String()), slog.String("action", job.Action))
	logger.InfoContext(ctx, "working on dead letters", slog.Int("letters", job.Total), slog.Int("settled", job.Settled()))
	batch := min(max(int(job.Rate/4), 1), r.config.Batch)
	limit := rate.NewLimiter(rate.Limit(job.Rate), batch)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, min(5*time.Second, r.config.Lease/3)
	failing := false
	for {
		taken, done, err := r.step(ctx, job, holder, batch)
		switch {
		case done:
			logger.InfoContext(ctx, "done with dead letters")
			return
		case errors.Is(err, store.ErrLeaseLost):
			logger.WarnContext(ctx, "another process has taken over", slog.Any("error", err))
			return
		case ctx.Err() != nil:
			r.release(ctx, job, holder, logger) // ctx has ended: that is why
			return
		case err == nil:
			failing = false
			pause.Reset()
			_ = limit.WaitN(ctx, min(taken, batch)) // it fails when ctx ends: the next step sees to that
			continue
		}
		if !failing {
			logger.WarnContext(ctx, "dead letters are waiting; trying again", slog.Any("error", err))
		}
		failing = true
		// The job is kept, and says why it stands still. When that fails too its time runs out, as it must.
		_ = r.deps.Store.HoldLetterJob(ctx, job.ID, holder, r.config.Lease, err.Error())
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
		}
	}
}

func (r *runner) release(ctx context.Context, job store.LetterJob, holder uuid.UUID, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.deps.Store.ReleaseLetterJob(ctx, job.ID, holder); err != nil {
		logger.WarnContext(ctx, "another process will go on only when the lease is over", slog.Any("error", err))
	}
}

// step takes some letters and is done with them when it returns nil. What it is not done with it is given again.
func (r *runner) step(ctx context.Context, job store.LetterJob, holder uuid.UUID, n int) (taken int, done bool, err error) {
	letters, taken, done, err := r.deps.Store.TakeLetters(ctx, job.ID, holder, r.config.Lease, n)
	if err != nil || done || len(letters) == 0 {
		return taken, done, err
	}
	results, err := r.publish(ctx, job.ID, letters)
	if err != nil {
		return taken, false, err
	}
	return taken, false, r.deps.Store.SettleJobLetters(ctx, job.ID, holder, r.config.Lease, results)
}

// publish sends letters again. The error says that it may work another time.
func (r *runner) publish(ctx context.Context, job uuid.UUID, letters []store.Letter) ([]store.LetterResult, error) {
	plans, err := r.deps.Plans(ctx)
	if err != nil {
		return nil, err
	}
	results := make([]store.LetterResult, len(letters))
	again := make([]routers.Redrive, 0, len(letters))
	for i, letter := range letters {
		results[i] = store.LetterResult{ID: letter.ID, Result: "redriven"}
		one, err := r.deps.Redriver.Prepare(plans, letter)
		if err != nil {
			results[i].Result, results[i].Detail = "failed", err.Error()
			continue
		}
		results[i].Over, results[i].Detail = one.Frame, remark(letter, one)
		if !one.Frame {
			one.Job = job
		}
		again = append(again, one)
	}
	return results, r.deps.Redriver.Send(ctx, plans, again)
}

// remark says what is not as usual about a redrive.
func remark(letter store.Letter, again routers.Redrive) string {
	switch {
	case again.Frame:
		return fmt.Sprintf("the frame can be decoded now: its %d events were sent on", len(again.Events))
	case again.FromStart:
		return fmt.Sprintf("from the beginning of the pipeline: it has no stage %q any more", letter.Stage)
	default:
		return ""
	}
}
