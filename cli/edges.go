package cli

import (
	"context"
	"io/fs"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/store"
)

// ingestDeps is what serveIngest needs.
type ingestDeps struct {
	fx.In
	Lifecycle  fx.Lifecycle
	Server     *httpServer
	Process    config.Process
	Logger     *slog.Logger
	Store      *store.Store
	Transport  routers.Transport
	Codec      *routers.Codec
	Recorder   routers.Recorder
	Registerer prometheus.Registerer
	Carriers   *carrierSet
}

// tenantFreshness is how old the tenants' settings may be that ingest goes by: a change holds everywhere within 5 s, the reading
// included.
const tenantFreshness = 3 * time.Second

// serveIngest adds the ingest edge to the server.
func serveIngest(d ingestDeps) error {
	publisher, err := routers.NewPublisher(routers.DefaultPublisherConfig(ingest.Topic), d.Codec, d.Transport)
	if err != nil {
		return err
	}
	d.Lifecycle.Append(fx.StopHook(publisher.Close))
	metrics, err := ingest.NewMetrics(d.Registerer)
	if err != nil {
		return err
	}
	c := ingest.DefaultConfig()
	c.MaxBodyBytes, c.MaxEvents, c.Timeout = d.Process.Ingest.MaxBodyBytes, d.Process.Ingest.MaxEvents, d.Process.Ingest.Timeout
	c.MaxInFlightBytes = d.Process.Ingest.MaxInFlightBytes
	c.MaxEventBytes = largestEvent(d.Process, d.Transport)
	handler, err := ingest.New(c, ingest.Deps{
		Publisher: publisher, Tenants: ingest.NewTenants(d.Store, tenantFreshness, time.Now, d.Logger),
		Carriers: d.Carriers, Captures: d.Store, Recorder: d.Recorder, Metrics: metrics, Logger: d.Logger, Now: time.Now,
	})
	if err != nil {
		return err
	}
	d.Lifecycle.Append(fx.StartStopHook(handler.Start, handler.Close))
	handler.Register(d.Server.app.Group("/api/v1"))
	ingest.Document(d.Server.api)
	return nil
}

// largestEvent is the largest payload of an event. Later stages add to an event, and a dead letter to that; all of it must still fit
// in a frame.
func largestEvent(process config.Process, transport routers.Transport) int {
	return min(process.Ingest.MaxEventBytes, transport.MaxFrameBytes()/2)
}

// opsDeps is what serveOps needs.
type opsDeps struct {
	fx.In
	Lifecycle fx.Lifecycle
	Server    *httpServer
	Logger    *slog.Logger
	Store     *store.Store
	Transport routers.Transport
	Codec     *routers.Codec
	Planner   planner
	Files     fs.FS
}

// serveOps adds the edge for operations to the server, and runs its jobs.
func serveOps(d opsDeps) error {
	quiet := d.Planner
	quiet.logger = slog.New(slog.DiscardHandler) // what may be wrong was said at the start
	handler, err := ops.New(ops.DefaultConfig(), ops.Deps{
		Store: d.Store, Redriver: routers.NewRedriver(d.Codec, d.Transport), Plans: quiet.load, Logger: d.Logger, Now: time.Now,
		Carriers: func(context.Context) (ops.Carriers, error) { return configuredCarriers(d.Files) },
		Trial:    func(clock trial.Clock) pipeline.Settings { return inMemory(d.Files, clock, persist.NewMemory()) },
	})
	if err != nil {
		return err
	}
	handler.Register(d.Server.api)
	d.Lifecycle.Append(fx.StartStopHook(handler.Start, handler.Close))
	return nil
}

// serveQuery adds the query edge to the server.
func serveQuery(server *httpServer, db readStore, logger *slog.Logger) {
	handler := query.New(query.Deps{Traces: db, Ledger: db, Search: db, Logger: logger})
	server.closing = append(server.closing, handler.Close)
	handler.Register(server.api)
}

// liveDeps is what serveLive needs.
type liveDeps struct {
	fx.In
	Lifecycle fx.Lifecycle
	Server    *httpServer
	Process   config.Process
	Logger    *slog.Logger
	Store     *store.Store
	Reads     readStore
	Transport routers.Transport
	Planner   planner
	Files     fs.FS
	Registry  *pipeline.Registry
	Noted     *reloads
}

// serveLive adds the edge for who watches to the server.
func serveLive(d liveDeps) error {
	quiet := d.Planner
	quiet.logger = slog.New(slog.DiscardHandler) // what may be wrong was said at the start
	c := live.DefaultConfig()
	c.MaxStreams, c.MaxTenantStreams = d.Process.Streams.Max, d.Process.Streams.MaxTenant
	c.Alerts = alertConfig(d.Process.Alerts)
	handler, err := live.New(c, live.Deps{
		Store: d.Store, Reads: d.Reads.Store, Backlogs: d.Transport, Approximate: d.Process.Broker.Kind == config.BrokerSQS, Plans: quiet.load, Loaded: quiet.loaded(d.Noted),
		Registry: d.Registry, Logger: d.Logger, Now: time.Now,
		Carriers: func(context.Context) (*carriers.Set, error) {
			set, _, err := carriers.Load(d.Files, nil) // what is wrong with any is said where the configuration is
			return set, err
		},
		Limits: live.Limits{
			MaxBodyBytes: d.Process.Ingest.MaxBodyBytes, MaxEvents: d.Process.Ingest.MaxEvents, MaxEventBytes: largestEvent(d.Process, d.Transport),
			RetentionDays: d.Process.Retention.Days,
		},
	})
	if err != nil {
		return err
	}
	d.Server.leaving = append(d.Server.leaving, handler.Leave)
	d.Server.closing = append(d.Server.closing, handler.Close)
	handler.RegisterStream(d.Server.app.Group("/api/v1"))
	handler.Register(d.Server.api)
	d.Lifecycle.Append(fx.StartStopHook(handler.Start, handler.Close))
	return nil
}

// alertConfig is what alerts go by.
func alertConfig(p config.Alerts) live.AlertConfig {
	c := live.DefaultAlertConfig()
	c.Every, c.Late, c.VeryLate, c.Slow, c.Backlog = p.Every, p.Late, p.VeryLate, p.Slow, p.Backlog
	c.SilentAfter, c.BalanceAfter = p.SilentAfter, p.BalanceAfter
	c.RejectedShare, c.ManyRejected = p.RejectedShare, min(10*p.RejectedShare, 1)
	return c
}
