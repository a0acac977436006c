package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
)

// reloadQuiet is how long a folder must be quiet before what changed in it is read: editors write in several steps.
const reloadQuiet = 200 * time.Millisecond

// reloading is what watchConfig needs.
type reloading struct {
	fx.In
	Lifecycle   fx.Lifecycle
	Process     config.Process
	Logger      *slog.Logger
	Situation   surroundings
	Generations *generations `optional:"true"`
	Planner     planner
	Plans       []pipeline.Plan
	Noted       *reloads
	Carriers    *carrierSet
}

// watchConfig has the configuration read again on SIGHUP and, where the process is to watch its files, when one changes.
func watchConfig(r reloading) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	hangup := make(chan os.Signal, 1)
	r.Lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error {
			signal.Notify(hangup, syscall.SIGHUP)
			changes := make(chan struct{}, 1)
			if r.Situation.watch && r.Process.ConfigDir != "" {
				if err := watchFolder(ctx, r.Process.ConfigDir, changes, r.Logger); err != nil {
					r.Logger.Warn("changed files are not noticed; send SIGHUP to have them read", slog.Any("error", err))
				}
			}
			go func() {
				defer close(done)
				r.run(ctx, hangup, changes)
			}()
			return nil
		},
		OnStop: func(context.Context) error {
			signal.Stop(hangup)
			stop()
			<-done
			return nil
		},
	})
}

// reread reads the configuration again in a process that runs no pipelines of it, and only shows them.
func (r *reloading) reread(ctx context.Context) error {
	plans, err := r.Planner.load(ctx)
	r.Noted.note(r.Plans, plans, nil, err)
	if err == nil {
		r.Plans = plans
	}
	return err
}

func (r reloading) run(ctx context.Context, hangup <-chan os.Signal, changes <-chan struct{}) {
	for {
		select {
		case <-hangup:
		case <-changes:
		case <-ctx.Done():
			return
		}
		carriers, err := r.Carriers.read()
		if err != nil {
			logRefused(ctx, r.Logger, err)
			continue
		}
		if r.Generations == nil {
			if err := r.reread(ctx); err != nil && ctx.Err() == nil {
				logRefused(ctx, r.Logger, err)
				continue
			}
			r.Carriers.set.Store(carriers)
			r.Logger.Info("configuration read again: this process runs no pipelines", slog.Any("roles", r.Situation.roles))
			continue
		}
		if err := r.Generations.reload(ctx); err != nil && ctx.Err() == nil {
			logRefused(ctx, r.Logger, err)
			continue
		}
		r.Carriers.set.Store(carriers)
	}
}

// logRefused says why a configuration was not taken.
func logRefused(ctx context.Context, logger *slog.Logger, err error) {
	const refused = "the configuration was read again and not taken: everything goes on as before"
	if found, ok := errors.AsType[pipeline.Findings](err); ok {
		for _, finding := range found {
			logger.ErrorContext(ctx, refused, slog.String("finding", finding.String()))
		}
		return
	}
	logger.ErrorContext(ctx, refused, slog.Any("error", err))
}

// watchFolder tells of changes below a folder, once it has been quiet for a moment, until ctx ends.
func watchFolder(ctx context.Context, dir string, changes chan<- struct{}, logger *slog.Logger) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	if err := watchBelow(watcher, dir); err != nil {
		return errors.Join(err, watcher.Close())
	}
	go func() {
		defer func() { _ = watcher.Close() }()
		quiet := time.NewTimer(time.Hour)
		quiet.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event, open := <-watcher.Events:
				if !open {
					return
				}
				if event.Has(fsnotify.Create) {
					_ = watchBelow(watcher, event.Name) // a new folder; a file is watched with its folder
				}
				if !event.Has(fsnotify.Chmod) || event.Op != fsnotify.Chmod {
					quiet.Reset(reloadQuiet)
				}
			case err, open := <-watcher.Errors:
				if open {
					logger.WarnContext(ctx, "a changed file may not have been noticed; send SIGHUP to have all read", slog.Any("error", err))
				}
			case <-quiet.C:
				select {
				case changes <- struct{}{}:
				default: // one is waiting already
				}
			}
		}
	}()
	return nil
}

// watchBelow watches a folder and those in it; nothing when it is not a folder.
func watchBelow(watcher *fsnotify.Watcher, dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return watcher.Add(name)
	})
}
