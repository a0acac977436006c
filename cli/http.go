package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	fiberrecover "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/requestid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/api/reference"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// mount serves a handler under a path, outside the API.
type mount struct {
	path    string
	handler http.Handler
}

// httpServer is the one HTTP server of a process; every role adds to it.
type httpServer struct {
	app    *fiber.App
	api    huma.API
	logger *slog.Logger
	listen string
	stop   time.Duration
	// closing is run before the server stops, to end what would keep its connections open.
	closing []func()
	// pages adds the dashboard, which must be asked only after everything else because it answers every address.
	pages func() error
	// listener is used instead of listening at listen when it is set.
	listener net.Listener
}

// serverDeps is what newServer needs.
type serverDeps struct {
	fx.In
	Surroundings surroundings
	Process      config.Process
	Logger       *slog.Logger
	Gatherer     prometheus.Gatherer
	Store        *store.Store
	Transport    routers.Transport
	Verifier     *auth.Verifier
	Sessions     *auth.Sessions
}

// newServer makes the server with what every role has: health, metrics, authentication and the reference.
func newServer(d serverDeps) *httpServer {
	app := fiber.New(fiber.Config{
		AppName: "rastro", DisableStartupMessage: true, ServerHeader: "",
		// Larger bodies are answered by the ingest edge, in its own words, up to a point where reading on is no use.
		BodyLimit:      d.Process.Ingest.MaxBodyBytes + 64<<10,
		ReadBufferSize: auth.HeaderBytes,
		ReadTimeout:    time.Minute,
		IdleTimeout:    2 * time.Minute,
		ErrorHandler:   problem.Handler(logInternal(d.Logger)),
	})
	app.Use(requestid.New(), fiberrecover.New(fiberrecover.Config{EnableStackTrace: true, StackTraceHandler: logPanic(d.Logger)}))
	s := &httpServer{
		app: app, logger: d.Logger, listen: d.Process.Listen, listener: d.Surroundings.listener, stop: d.Process.ShutdownTimeout,
	}

	ready := readiness(map[string]func(context.Context) error{"database": d.Store.Ping, "broker": d.Transport.Ping})
	app.Get("/livez", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "ok"}) })
	app.Get("/readyz", ready)
	app.Get("/api/v1/events/health", ready)
	app.Get("/api/v1/trace/health", ready)
	app.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(d.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})))
	for _, m := range d.Surroundings.mounts {
		app.All(m.path+"/*", adaptor.HTTPHandler(m.handler))
	}
	s.api = newAPI(app)
	reference.Register(app, s.api)
	app.Use("/api/v1", auth.Middleware(d.Verifier, d.Sessions))
	return s
}

// newAPI makes the typed API and what its OpenAPI document says of the whole.
func newAPI(app *fiber.App) huma.API {
	c := huma.DefaultConfig("Rastro", buildVersion())
	c.Info.Description = "Track & trace: carriers send events in, and whoever waits asks where things are."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.DocsPath, c.OpenAPIPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil // no $schema links in the answers
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An access token of the OpenID Connect issuer."},
	}
	return humafiber.New(app, c)
}

// start serves from OnStart to OnStop.
func (s *httpServer) start(lc fx.Lifecycle, shutdown fx.Shutdowner) error {
	if s.pages != nil {
		if err := s.pages(); err != nil {
			return err
		}
	}
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			if s.listener == nil {
				var err error
				if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen); err != nil {
					return fmt.Errorf("listen on %s: %w", s.listen, err)
				}
			}
			go func() {
				if err := s.app.Listener(lingering{s.listener}); err != nil {
					s.logger.Error("HTTP server stopped", slog.Any("error", err))
					_ = shutdown.Shutdown(fx.ExitCode(exitFailure))
				}
			}()
			return nil
		},
		OnStop: func(ctx context.Context) error {
			for _, f := range s.closing {
				f()
			}
			ctx, cancel := context.WithTimeout(ctx, s.stop)
			defer cancel()
			if err := s.app.ShutdownWithContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("stop HTTP server: %w", err)
			}
			return nil
		},
	})
	return nil
}

// readiness answers whether everything that the process depends on answers.
func readiness(checks map[string]func(context.Context) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		ctx, cancel := context.WithTimeout(c.UserContext(), 2*time.Second)
		defer cancel()
		status, states := http.StatusOK, fiber.Map{}
		for name, check := range checks {
			states[name] = "ok"
			if err := check(ctx); err != nil {
				// Who may ask this needs no token, so the cause stays in the log of whoever uses the dependency.
				status, states[name] = http.StatusServiceUnavailable, "unavailable"
			}
		}
		word := "ok"
		if status != http.StatusOK {
			word = "unavailable"
		}
		return c.Status(status).JSON(fiber.Map{"status": word, "dependencies": states})
	}
}

func logInternal(logger *slog.Logger) func(*fiber.Ctx, error) {
	return func(c *fiber.Ctx, err error) {
		logger.ErrorContext(c.UserContext(), "request failed", slog.String("method", c.Method()), slog.String("path", c.Path()),
			slog.Any("request_id", c.Locals("requestid")), slog.Any("error", err))
	}
}

func logPanic(logger *slog.Logger) func(*fiber.Ctx, any) {
	return func(c *fiber.Ctx, reason any) {
		logger.ErrorContext(c.UserContext(), "request panicked", slog.String("path", c.Path()), slog.Any("panic", reason))
	}
}
