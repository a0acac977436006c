package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"golang.org/x/sync/errgroup"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/dashboard"
	"github.com/rastrohq/rastro/internal/devstack"
	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/devstack/postgres"
	"github.com/rastrohq/rastro/internal/devstack/simulator"
	"github.com/rastrohq/rastro/internal/devstack/sqsemulator"
	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/store"
)

// devFlags are the flags of `rastro dev`.
type devFlags struct {
	listen, data, simulate, configDir, broker string
}

func newDevCommand(o options) *cobra.Command {
	var flags devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: broker, database, sign-in, all roles, and carriers that play traffic",
		Long: `Run all of Rastro in one process, with what it needs embedded: a NATS JetStream broker, a real PostgreSQL, an OpenID
Connect issuer with demo users, and a simulator that plays the traffic of four demo tenants (talma-pe, talma-ec, talma-co,
talma-mx), that of talma-pe's demonstration carriers in each carrier's own format. The data stays in the data folder from one run to the next. Ctrl-C stops everything.

PostgreSQL is the one that RASTRO_DATABASE_URL names when that is set; else programs found on this machine are run in the
data folder; else they are downloaded.

With --broker sqs the events go over SQS and SNS, as in production: over those at RASTRO_SQS_ENDPOINT when that is set, else
over an emulator in this process that keeps nothing from one run to the next. The other variables of ` + "`rastro serve --help`" + ` hold here too.`,
		Example: `  rastro dev
  rastro dev --listen 127.0.0.1:9000 --data /tmp/rastro --simulate 500
  rastro dev --simulate off --config ./my-config`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rate, err := parseRate(flags.simulate)
			if err != nil {
				return exitWith(exitUsage, err)
			}
			process, err := config.FromEnvironment(os.Environ())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			if flags.configDir != "" {
				process.ConfigDir = flags.configDir
			}
			process.ShutdownDelay = 0 // no load balancer has to notice
			if flags.broker != "" {
				process.Broker.Kind = flags.broker
			}
			if err := process.Validate(); err != nil {
				return exitWith(exitUsage, err)
			}
			if os.Getenv("RASTRO_LOG_FORMAT") == "" {
				process.Log.Format = "text"
			}
			logger, err := telemetry.NewLogger(cmd.ErrOrStderr(), process.Log.Level, process.Log.Format)
			if err != nil {
				return err
			}
			d := &dev{options: o, flags: flags, rate: rate, process: process, logger: logger, out: cmd.OutOrStdout()}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&flags.listen, "listen", "127.0.0.1:8080", "`address` to serve at; port 0 takes a free one")
	cmd.Flags().StringVar(&flags.data, "data", devstack.DefaultDataDir, "`folder` that keeps the data")
	cmd.Flags().StringVar(&flags.simulate, "simulate", "20", "events a second that the simulated carriers send, or off")
	cmd.Flags().StringVar(&flags.broker, "broker", "", "nats, or sqs: `broker` to run everything over (default: RASTRO_BROKER, else nats)")
	cmd.Flags().StringVar(&flags.configDir, "config", "", "`folder` of pipelines, carriers, milestones and tenants that stand before the built-in ones")
	return cmd
}

func parseRate(s string) (float64, error) {
	if s == "off" || s == "0" {
		return 0, nil
	}
	rate, err := strconv.ParseFloat(s, 64)
	if err != nil || rate < 0 || rate > 100_000 {
		return 0, fmt.Errorf("--simulate is %q: give events a second, as 20, or off", s)
	}
	return rate, nil
}

// dev is one run of `rastro dev`.
type dev struct {
	options options
	flags   devFlags
	rate    float64
	process config.Process
	logger  *slog.Logger
	out     io.Writer

	data     string
	url      string
	secrets  devSecrets
	broker   *broker.Server      // nil when SQS carries the events
	queues   *sqsemulator.Server // nil unless SQS does, and RASTRO_SQS_ENDPOINT names none
	postgres *postgres.Server    // nil when RASTRO_DATABASE_URL names another
	issuer   *issuer.Issuer
}

// run starts everything, serves until ctx ends, and stops everything that it started.
func (d *dev) run(ctx context.Context) (err error) {
	started := time.Now()
	listener, err := d.prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stopStack(ctx)) }()
	if err := d.startStack(ctx); err != nil {
		_ = listener.Close()
		return d.unlessInterrupted(ctx, err)
	}
	app := newApp(d.options, surroundings{
		process: d.process, roles: allRoles(), logger: d.logger, listener: listener,
		broker:       d.brokerOptions(),
		mounts:       []mount{{path: issuerPath, handler: d.issuer.Handler()}},
		exportTraces: exportsTraces(os.Getenv), alone: true, watch: true,
	})
	if err := startApp(ctx, app); err != nil {
		_ = listener.Close()
		return d.unlessInterrupted(ctx, err)
	}
	state := d.state()
	if err := state.Write(); err != nil {
		d.logger.Warn("other commands may not find this process by themselves", slog.Any("error", err))
	}
	d.announce(time.Since(started))

	carriers, stopCarriers := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return d.simulate(carriers) })
	code := d.wait(ctx, app.Wait())
	_, _ = fmt.Fprintln(d.out, "Stopping…")
	stopCarriers()
	err = errors.Join(group.Wait(), stopApp(ctx, app), state.Remove())
	if err == nil && code != 0 {
		return exitWith(code, nil)
	}
	return err
}

// unlessInterrupted returns err unless it is only that starting was broken off.
func (d *dev) unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		d.logger.Debug("start broken off", slog.Any("error", err))
		return nil //nolint:nilerr // the user asked for it
	}
	return err
}

// prepare makes the data folder, and takes the address before anything is started that would have to be stopped again.
func (d *dev) prepare(ctx context.Context) (net.Listener, error) {
	data, err := filepath.Abs(d.flags.data)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	// Others may pass through: run by root, PostgreSQL works in here as another user. What is in here looks after itself.
	if err := os.MkdirAll(data, 0o711); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	d.data = data
	// A pipeline that does not lint is told before anything is started.
	registry, err := d.options.registry()
	if err != nil {
		return nil, err
	}
	before := planner{configFiles(d.process.ConfigDir), registry, deliveryLimits(d.process), slog.New(slog.DiscardHandler)}
	if _, err := before.load(ctx); err != nil { // warnings are logged by the process itself
		return nil, err
	}
	if _, _, err := checkedCarriers(before.files); err != nil {
		return nil, err
	}
	if d.secrets, err = loadSecrets(filepath.Join(data, "secrets.json")); err != nil {
		return nil, err
	}
	if d.process.Personal.Key == "" {
		d.process.Personal.Key = d.secrets.PersonalKey
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.flags.listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; is another rastro running there? --listen takes another address", d.flags.listen, err)
	}
	d.url = "http://" + reachable(listener.Addr())
	return listener, nil
}

// reachable returns an address that clients on this machine can use for one that is listened at.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// issuerPath is where the development issuer is served.
const issuerPath = "/oidc"

// startStack starts broker and database side by side, brings the schema up to date, and makes the issuer.
func (d *dev) startStack(ctx context.Context) error {
	group, starting := errgroup.WithContext(ctx)
	group.Go(func() error { return d.startBroker(starting) })
	group.Go(func() error { return d.startDatabase(starting) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := setUp(ctx, d.process); err != nil {
		return err
	}
	c := issuer.DefaultConfig(d.url+issuerPath, d.secrets.ClientSecret)
	c.KeyFile = filepath.Join(d.data, "issuer.pem")
	c.AccessTokenTTL = time.Hour // a token that was pasted should live as long as the try-out
	c.Logger = d.logger
	var err error
	if d.issuer, err = issuer.New(c); err != nil {
		return err
	}
	d.process.Identity.Issuer = c.Issuer
	d.process.Identity.Audience = issuer.Audience
	d.process.Identity.ClientID, d.process.Identity.ClientSecret = issuer.WebClientID, ""
	if d.process.Identity.SessionKey == "" {
		d.process.Identity.SessionKey = d.secrets.SessionKey
	}
	if d.process.Credentials.Key == "" {
		d.process.Credentials.Key = d.secrets.SessionKey // of which each makes its own key
	}
	return nil
}

// startBroker starts the broker that the events go over: NATS with its data in the data folder, or an emulator of SQS in memory,
// unless RASTRO_SQS_ENDPOINT names another.
func (d *dev) startBroker(ctx context.Context) (err error) {
	if d.process.Broker.Kind != config.BrokerSQS {
		// The connection is in process; the URL is only its name.
		d.process.Broker.NATSURL = "nats://in-process"
		d.broker, err = broker.Start(ctx, filepath.Join(d.data, "broker"))
		return err
	}
	d.process.Broker.SQS.Provision = true
	if d.process.Broker.SQS.Endpoint != "" {
		return nil
	}
	if d.queues, err = sqsemulator.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	d.process.Broker.SQS.Endpoint = d.queues.URL()
	d.logger.Warn("SQS is emulated in memory: what is on its way when this process ends is lost")
	return nil
}

func (d *dev) brokerOptions() []natsgo.Option {
	if d.broker == nil {
		return nil
	}
	return []natsgo.Option{d.broker.Option()}
}

func (d *dev) startDatabase(ctx context.Context) error {
	if d.process.Database.URL == "" {
		c := postgres.DefaultConfig()
		c.DataDir = filepath.Join(d.data, "postgres")
		c.Logger = d.logger
		server, err := postgres.Start(ctx, c)
		if err != nil {
			return err
		}
		d.postgres = server
		d.process.Database.URL = server.URL()
	}
	return store.MigrateWith(ctx, storeConfig(d.process), d.logger)
}

// stopStack stops what startStack started.
func (d *dev) stopStack(ctx context.Context) error {
	if d.broker != nil {
		d.broker.Stop()
	}
	if d.queues != nil {
		d.queues.Stop() //nolint:contextcheck // it stops in its own time
	}
	if d.postgres == nil {
		return nil
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return d.postgres.Stop(stop)
}

func (d *dev) state() devstack.State {
	return devstack.State{
		URL: d.url, Issuer: d.url + issuerPath, TokenURL: d.url + issuerPath + "/oauth/token",
		ClientID: issuer.ServiceClientID, ClientSecret: d.secrets.ClientSecret,
		DatabaseURL: d.process.Database.URL, PID: os.Getpid(), StartedAt: time.Now().UTC(), DataDir: d.data, Version: buildVersion(),
	}
}

// wait returns when ctx ends, or with an exit code when something that everything needs has gone.
func (d *dev) wait(ctx context.Context, app <-chan fx.ShutdownSignal) int {
	var database <-chan struct{}
	if d.postgres != nil {
		database = d.postgres.Done()
	}
	select {
	case <-ctx.Done():
		return 0
	case signal := <-app:
		return signal.ExitCode
	case <-database:
		d.logger.Error("PostgreSQL has stopped", slog.String("log", d.postgres.LogFile()))
		return exitFailure
	}
}

// simulate plays the carriers until ctx ends.
func (d *dev) simulate(ctx context.Context) error {
	if d.rate == 0 {
		return nil
	}
	tokens := newTokenCache(func(ctx context.Context, tenant string) (string, error) {
		return d.issuer.Mint(ctx, issuer.ServiceClientID, tenant, "events:write")
	}, 20*time.Minute, time.Now)
	c := simulator.DefaultConfig()
	c.URL, c.TokenSource, c.EventsPerSecond, c.Logger = d.url, tokens.get, d.rate, d.logger
	carriers, err := simulator.New(c)
	if err != nil {
		return err
	}
	if err := carriers.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("simulate carriers: %w", err)
	}
	return nil
}

// announce says where everything is, and how to try it.
func (d *dev) announce(took time.Duration) {
	self, err := os.Executable()
	if err != nil {
		self = "rastro"
	}
	database := d.process.Database.URL
	if u, err := url.Parse(database); err == nil {
		database = u.Redacted()
	}
	if d.postgres != nil {
		database = "psql '" + d.postgres.URL() + "'"
	}
	page := d.url + "/"
	if !dashboard.Built() {
		page += "   (not built: run `make build`)"
	}
	carriers := "off"
	if d.rate > 0 {
		carriers = fmt.Sprintf("%g events/s of %s", d.rate, strings.Join(simulator.DefaultTenants(), ", "))
	}
	_, _ = fmt.Fprintf(d.out, `
Rastro %s is running (ready in %.1f s). Ctrl-C stops it.

  Dashboard   %s
  API         %s/api/v1   reference: %s/reference
  Sign-in     %s (pick a demo user)
  Metrics     %s/metrics
  Database    %s
  Data        %s
  Carriers    %s

Send an event and see its trace:

  curl -sS %s/api/v1/events -H "Authorization: Bearer $('%s' token)" -H 'Content-Type: application/json' -d '{"correlation_id":"0045123456","aggregate_id":"0045123456","event_type":"loaded","timestamp":"%s","payload":{"location":"LIM","flight":"LA2468"}}'
  '%s' trace 0045123456

`, buildVersion(), took.Seconds(), page, d.url, d.url, d.url+issuerPath, d.url, database, d.data, carriers,
		d.url, self, time.Now().UTC().Format(time.RFC3339), self)
}
