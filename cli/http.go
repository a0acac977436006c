package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	fiberrecover "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/requestid"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/api/reference"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
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
	// connections is how many clients may be connected at once.
	connections int
	// stop is how long stopping may take, delay how much of that requests are still taken while /readyz says that it stops.
	stop, delay time.Duration
	stopping    atomic.Bool
	// leaving is run as soon as the process is told to stop, to end what lasts for as long as it is left to, and should begin anew
	// elsewhere.
	leaving []func()
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
	Senders      *auth.Senders
	Refusals     *auth.Refusals
	Tracers      *sdktrace.TracerProvider
}

// newServer makes the server with what every role has: health, metrics, authentication and the reference.
func newServer(d serverDeps) *httpServer {
	app := fiber.New(fiber.Config{
		AppName: "rastro", DisableStartupMessage: true, ServerHeader: "",
		// Larger bodies are answered by the ingest edge, in its own words, up to a point where reading on is no use.
		BodyLimit: d.Process.Ingest.MaxBodyBytes + 64<<10,
		// A body is read when there is room for it, not when it comes: see wholeBodies and the ingest edge.
		StreamRequestBody: true, DisablePreParseMultipartForm: true,
		ReadBufferSize: auth.HeaderBytes,
		ReadTimeout:    time.Minute,
		IdleTimeout:    2 * time.Minute,
		ErrorHandler:   problem.Handler(logInternal(d.Logger)),
	})
	s := &httpServer{
		app: app, logger: d.Logger, listen: d.Process.Listen, listener: d.Surroundings.listener, connections: d.Process.MaxConnections,
		stop: d.Process.ShutdownTimeout, delay: min(d.Process.ShutdownDelay, d.Process.ShutdownTimeout/2),
	}
	app.Use(requestid.New(), fiberrecover.New(fiberrecover.Config{EnableStackTrace: true, StackTraceHandler: logPanic(d.Logger)}),
		s.sendAway, traceRequests(d.Tracers.Tracer("github.com/rastrohq/rastro/cli")), wholeBodies)

	ready := readiness(&s.stopping, map[string]func(context.Context) error{"database": d.Store.Ping, "broker": d.Transport.Ping})
	app.Get(livePath, func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "ok"}) })
	app.Get(readyPath, ready)
	app.Get("/api/v1/events/health", ready)
	app.Get("/api/v1/trace/health", ready)
	if d.Process.MetricsListen == "" {
		app.Get(metricsPath, adaptor.HTTPHandler(metricsHandler(d.Gatherer)))
	} else { // the dashboard would answer with its page
		app.All(metricsPath, func(*fiber.Ctx) error { return fiber.ErrNotFound })
	}
	for _, m := range d.Surroundings.mounts {
		app.All(m.path+"/*", adaptor.HTTPHandler(m.handler))
	}
	s.api = newAPI(app)
	reference.Register(app, s.api)
	app.Use("/api/v1", wellFormed)
	app.Use("/api/v1", auth.Gate{
		Verifier: d.Verifier, Sessions: d.Sessions, Senders: d.Senders, Refusals: d.Refusals, Crossings: auth.NewCrossings(d.Store, d.Logger),
	}.Handler())
	serveProfiles(app)
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
		"apiKey": {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "An API key, for sending events only."},
		"webhook": {
			Type: "apiKey", In: "header", Name: "webhook-signature",
			Description: "A signature as in Standard Webhooks (with webhook-id and webhook-timestamp), for sending events only.",
		},
	}
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[tracking.Personal](), reflect.TypeFor[Personal]())
	return humafiber.New(app, c)
}

// Personal documents what answers say of personal data: tracking.Personal is masked, whoever encodes it.
type Personal struct {
	Masked bool `json:"masked" doc:"There is personal data; GET /api/v1/events/{uid}/personal opens it" example:"true"`
}

// schemaName names the schema of a type. What the engine's types are called others' may be called as well.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[pipeline.Spec]().PkgPath() {
		return "Pipeline" + name
	}
	return name
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
				if err := s.app.Listener(newLingering(s.listener, s.connections)); err != nil {
					s.logger.Error("HTTP server stopped", slog.Any("error", err))
					_ = shutdown.Shutdown(fx.ExitCode(exitFailure))
				}
			}()
			return nil
		},
		OnStop: s.end,
	})
	return nil
}

// end has load balancers notice that the process stops, finishes the requests in hand and closes.
func (s *httpServer) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.stop)
	defer cancel()
	s.stopping.Store(true)
	for _, f := range s.leaving {
		f()
	}
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
	}
	for _, f := range s.closing {
		f()
	}
	if err := s.app.ShutdownWithContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop HTTP server: %w", err)
	}
	return nil
}

// sendAway has clients that keep their connection come back over another one, to another process, once this one stops.
func (s *httpServer) sendAway(c *fiber.Ctx) error {
	err := c.Next()
	if s.stopping.Load() {
		c.Context().SetConnectionClose()
	}
	return err
}

// smallBody is the largest body of a request that is not read by the ingest edge, in bytes.
const smallBody = 256 << 10

// wholeBodies reads the bodies of requests, but for those that the ingest edge reads in its own time, and closes the connections
// of requests whose body nobody has read.
func wholeBodies(c *fiber.Ctx) error {
	request := c.Request()
	stream, whole := request.BodyStream(), false
	if stream != nil && !ingest.ReadsBody(c.Method(), c.Path()) {
		body, err := io.ReadAll(io.LimitReader(stream, smallBody+1))
		switch {
		case err != nil:
			c.Context().SetConnectionClose()
			return problem.New(http.StatusBadRequest, "malformed", "The body ended before all of it had come.")
		case len(body) > smallBody:
			c.Context().SetConnectionClose()
			return fiber.ErrRequestEntityTooLarge
		}
		// Typed operations read a stream where the server streams, and know nothing of bodies that were set otherwise.
		request.SetBodyStream(bytes.NewReader(body), len(body))
		whole = true
	}
	err := c.Next()
	if request.IsBodyStream() && !whole {
		c.Context().SetConnectionClose()
	}
	return err
}

// wellFormed refuses addresses that hold what is no text: it could match nothing, and PostgreSQL takes neither NUL nor broken UTF-8.
func wellFormed(c *fiber.Ctx) error {
	isText := func(text []byte) bool { return utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 }
	field := ""
	// Parameters of the path are decoded by whoever reads them, once more than the server does.
	if path, err := url.PathUnescape(c.Path()); err != nil || !isText([]byte(path)) || !isText(c.Request().URI().Path()) {
		field = "path"
	}
	for name, value := range c.Request().URI().QueryArgs().All() {
		if !isText(name) || !isText(value) {
			field = strings.ToValidUTF8(string(name), "\ufffd")
		}
	}
	if field == "" {
		return c.Next()
	}
	p := problem.New(http.StatusUnprocessableEntity, "validation", "The address holds what is no text: NUL, or bytes that are not UTF-8.")
	p.Errors = []problem.Field{{Field: field, Code: "invalid", Message: "not text in UTF-8, without NUL"}}
	return p
}

// readiness answers whether everything that the process depends on answers, and that it is not when the process stops.
func readiness(stopping *atomic.Bool, checks map[string]func(context.Context) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if stopping.Load() {
			return c.Status(http.StatusServiceUnavailable).JSON(fiber.Map{"status": "stopping"})
		}
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
