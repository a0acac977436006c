package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/stages/aggregate"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/stages/wasm"
	"github.com/rastrohq/rastro/store"
)

// The roles that a process can play.
const (
	roleIngest    = "ingest"
	roleQuery     = "query"
	roleProcessor = "processor"
	roleDashboard = "dashboard"
)

func allRoles() []string { return []string{roleIngest, roleQuery, roleProcessor, roleDashboard} }

// surroundings is what a process is given besides its configuration.
type surroundings struct {
	process config.Process
	roles   []string
	logger  *slog.Logger
	// broker are options of the broker connection, such as to a server in process.
	broker []natsgo.Option
	// mounts add to the HTTP server what is no role: the development issuer.
	mounts []mount
	// listener is where to serve; nil to listen as the configuration says.
	listener net.Listener
	// exportTraces says whether spans are sent anywhere.
	exportTraces bool
	// alone says that no other process uses the broker.
	alone bool
	// watch says that the configuration is to be read again when a file of it changes.
	watch bool
}

func (s surroundings) plays(role string) bool { return slices.Contains(s.roles, role) }

// module returns the fx module of a role, empty when the process does not play it.
func (s surroundings) module(role string, options ...fx.Option) fx.Option {
	if !s.plays(role) {
		return fx.Options()
	}
	return fx.Module(role, options...)
}

// check reports everything that the configuration lacks for the roles.
func (s surroundings) check() error {
	errs := []error{checkBroker(s.process)}
	if s.process.Database.URL == "" {
		errs = append(errs, errors.New("RASTRO_DATABASE_URL is not set: say which database, as postgres://user:password@host:5432/rastro"))
	}
	if s.process.Identity.Issuer == "" {
		errs = append(errs, errors.New("RASTRO_OIDC_ISSUER is not set: say whose tokens to believe, as https://keycloak.example.com/realms/rastro"))
	}
	if s.process.Identity.SessionKey == "" && s.plays(roleDashboard) {
		errs = append(errs, errors.New("RASTRO_SESSION_KEY is not set: the dashboard needs a key of 32 characters or more to seal its cookies; "+
			"`openssl rand -hex 32` makes one"))
	}
	return errors.Join(errs...)
}

// newApp wires a process that plays the roles. What is wrong comes back from its Err and Start.
func newApp(o options, s surroundings) *fx.App {
	silent := fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger })
	if err := s.check(); err != nil {
		return fx.New(silent, fx.Error(err))
	}
	return fx.New(
		silent,
		fx.StartTimeout(time.Minute),
		fx.StopTimeout(s.process.ShutdownTimeout+5*time.Second),
		fx.Supply(s, s.process, s.logger, fx.Annotate(s.alone, fx.ResultTags(`name:"alone"`))),
		fx.Provide(
			func() (*pipeline.Registry, error) { return o.registry() },
			func() fs.FS { return configFiles(s.process.ConfigDir) },
			fx.Annotate(telemetry.NewRegistry, fx.As(fx.Self()), fx.As(new(prometheus.Registerer)), fx.As(new(prometheus.Gatherer))),
			newTracerProvider, newStore, newReads, newTransport, routers.NewCodec, routers.NewMetrics, newRecorder,
			newPlanner, planner.plans, newCarrierSet, newReloads, newVerifier, newSessions, newVault, newSenders, newRefusals, newServer,
		),
		// Modules start in this order and stop in the opposite one: no request comes before, or after, everything behind it
		// is there.
		fx.Module("metrics", fx.Invoke(serveMetrics)),
		fx.Module("topics", fx.Invoke(provision)),
		s.module(roleProcessor, fx.Provide(newModules, newPauses, stageSettings, newGenerations), fx.Invoke(runProcessors, retainBySchedule)),
		s.module(roleIngest, fx.Invoke(serveIngest)),
		s.module(roleQuery, fx.Invoke(serveQuery, serveLive, serveOps, keepFigures)),
		s.module(roleDashboard, fx.Invoke(serveDashboard)),
		fx.Module("http", fx.Invoke((*httpServer).start)),
		fx.Module("reload", fx.Invoke(watchConfig)),
	)
}

func newTracerProvider(lc fx.Lifecycle, s surroundings) (*sdktrace.TracerProvider, error) {
	provider, err := telemetry.NewTracerProvider(context.Background(), s.exportTraces, buildVersion())
	if err != nil {
		return nil, err
	}
	lc.Append(fx.StopHook(provider.Shutdown))
	return provider, nil
}

// closeTime is how long taking leave of the database may take when the process stops. Nothing is in hand any more by then.
const closeTime = 2 * time.Second

func newStore(lc fx.Lifecycle, process config.Process, tracers *sdktrace.TracerProvider, logger *slog.Logger) (*store.Store, error) {
	c := storeConfig(process)
	if hosts, err := c.Unencrypted(); err == nil && len(hosts) > 0 { // what is wrong with it, opening says
		logger.Warn("connections to the database may be made without encryption, as its URL says: use sslmode=verify-full", slog.Any("hosts", hosts))
	}
	db, err := store.Open(context.Background(), c, withTracing(tracers))
	if err != nil {
		return nil, err
	}
	lc.Append(fx.StartStopHook(func(ctx context.Context) error { return checkSchema(ctx, db) }, leave(db)))
	return db, nil
}

// readStore is the store that the query role reads from, and writes nothing to: a replica, where there is one.
type readStore struct{ *store.Store }

func newReads(lc fx.Lifecycle, db *store.Store, tracers *sdktrace.TracerProvider, logger *slog.Logger) (readStore, error) {
	opened, err := db.OpenReads(context.Background(), logger, withTracing(tracers))
	if err != nil {
		return readStore{}, err
	}
	lc.Append(fx.StopHook(leave(opened)))
	return readStore{opened}, nil
}

func withTracing(tracers *sdktrace.TracerProvider) store.Option {
	return store.WithTelemetry(tracers, noop.NewMeterProvider())
}

// leave returns what takes leave of a database, without waiting for it for long.
func leave(db *store.Store) func(context.Context) {
	return func(ctx context.Context) {
		closed := make(chan struct{})
		go func() { db.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(closeTime): // each connection waits for the database to say goodbye, which may hang
		case <-ctx.Done():
		}
	}
}

// checkSchema refuses a database that this version does not know.
func checkSchema(ctx context.Context, db *store.Store) error {
	current, wanted, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if current < wanted {
		return fmt.Errorf("the database's schema is at version %d and this rastro needs %d: run `rastro migrate`", current, wanted)
	}
	return nil
}

// provision makes the topics exist. Every role does it, so that the order in which roles start does not matter.
func provision(lc fx.Lifecycle, transport routers.Transport, plans []pipeline.Plan) {
	lc.Append(fx.StartHook(func(ctx context.Context) error {
		return transport.Provision(ctx, pipeline.Topics(plans...))
	}))
}

func newRecorder(lc fx.Lifecycle, db *store.Store, logger *slog.Logger) routers.Recorder {
	recorder := routers.NewStatsRecorder(db, 500*time.Millisecond, time.Now, logger)
	lc.Append(fx.StopHook(recorder.Close))
	return recorder
}

// processors is what runProcessors needs.
type processors struct {
	fx.In
	Lifecycle fx.Lifecycle
	Process   config.Process
	Logger    *slog.Logger
	Plans     []pipeline.Plan
	Files     fs.FS
	Store     *store.Store
	Transport routers.Transport
	Codec     *routers.Codec
	Tracers   *sdktrace.TracerProvider
	Metrics   *routers.Metrics
	Recorder  routers.Recorder
	Pauses    *routers.Pauses
	// Modules are WebAssembly modules that were compiled.
	Modules *wasm.Cache
	// Alone says that no other process uses the broker.
	Alone bool `name:"alone"`
}

// runProcessors runs the pipelines, and the housekeeping of the store.
func runProcessors(p processors, g *generations) {
	keepPartitions(p)
	announceChanges(p)
	p.Lifecycle.Append(fx.StartStopHook(p.Pauses.Start, p.Pauses.Close)) // known before anything is received
	p.Lifecycle.Append(fx.Hook{OnStart: g.start, OnStop: g.close})
}

// newPauses returns which stages are paused by hand.
func newPauses(db *store.Store, logger *slog.Logger) *routers.Pauses {
	return routers.NewPauses(db, logger)
}

func newModules(lc fx.Lifecycle) *wasm.Cache {
	cache := wasm.NewCache()
	lc.Append(fx.StopHook(cache.Close))
	return cache
}

// stageSettings is what stages are given of a process.
func stageSettings(p processors) pipeline.Settings {
	settings := pipeline.Settings{Logger: p.Logger, Files: p.Files, Now: time.Now}
	settings = pipeline.Provide[dedupe.Claims](settings, p.Store)
	settings = pipeline.Provide[aggregate.Windows](settings, p.Store)
	settings = pipeline.Provide(settings, p.Modules)
	return pipeline.Provide[persist.Store](settings, p.Store)
}

// keepPartitions makes the store's partitions exist ahead of time, before anything else and every hour, and has other things pruned and
// sealed.
func keepPartitions(p processors) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	ensure := func(ctx context.Context, now time.Time) {
		if err := p.Store.EnsurePartitions(ctx, now); err != nil && ctx.Err() == nil {
			p.Logger.ErrorContext(ctx, "cannot make partitions ahead; events go to the default partition until it works", slog.Any("error", err))
		}
	}
	keep := func(now time.Time) {
		if err := p.Store.PruneLedger(ctx, now); err != nil && ctx.Err() == nil {
			p.Logger.ErrorContext(ctx, "cannot prune the ledger; it grows until it works", slog.Any("error", err))
		}
		if _, err := p.Store.Seal(ctx); err != nil && ctx.Err() == nil {
			p.Logger.ErrorContext(ctx, "cannot seal what was stored; it is sealed when it works again", slog.Any("error", err))
		}
		if err := p.Store.PruneTimings(ctx, now); err != nil && ctx.Err() == nil {
			p.Logger.ErrorContext(ctx, "cannot prune what live views are made of; it grows until it works", slog.Any("error", err))
		}
	}
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(start context.Context) error {
			ensure(start, time.Now())
			go func() {
				defer close(done)
				keep(time.Now()) // not while starting: who seals may wait for a retention that drops a month
				ticker := time.NewTicker(time.Hour)
				defer ticker.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case now := <-ticker.C:
						ensure(ctx, now)
						keep(now)
					}
				}
			}()
			return nil
		},
		OnStop: func(context.Context) error {
			stop()
			<-done
			return nil
		},
	})
}

const (
	// announceEvery is how long changes of traces gather until live streams are told of them.
	announceEvery = 100 * time.Millisecond
	// pruneChangesEvery is how often changes are removed that nobody can ask for any more.
	pruneChangesEvery = 5 * time.Minute
)

// announceChanges tells live streams of the traces that this process changes, and removes what they no longer need.
func announceChanges(p processors) {
	ctx, stop := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	announce := func() {
		p.Store.Announce(ctx, announceEvery, func(err error) {
			p.Logger.WarnContext(ctx, "cannot tell live streams of changes; they look for themselves", slog.Any("error", err))
		})
	}
	prune := func() {
		ticker := time.NewTicker(pruneChangesEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker.C:
				if err := p.Store.PruneChanges(ctx, now); err != nil && ctx.Err() == nil {
					p.Logger.WarnContext(ctx, "cannot prune changes; they grow until it works", slog.Any("error", err))
				}
			}
		}
	}
	p.Lifecycle.Append(fx.StartStopHook(func() {
		tasks.Go(announce)
		tasks.Go(prune)
	}, func() {
		stop()
		tasks.Wait()
	}))
}
