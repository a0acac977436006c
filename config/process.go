package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/internal/secrets/secretfile"
)

// Process is the configuration of a process, by environment variables. Every field has a default that works for `rastro dev`;
// `rastro serve` needs what Validate says it needs.
type Process struct {
	Listen string `env:"RASTRO_LISTEN" envDefault:":8080" help:"address to listen on"`
	// MetricsListen is empty by default.
	MetricsListen string `env:"RASTRO_METRICS_LISTEN" help:"address to tell metrics at, such as :9464, which those who use the API do not reach: metrics name tenants; that of RASTRO_LISTEN when empty"`
	PublicURL     string `env:"RASTRO_PUBLIC_URL" help:"URL that browsers reach the dashboard at; derived from the request when empty"`
	// Environment is empty by default.
	Environment string `env:"RASTRO_ENVIRONMENT" help:"what this Rastro is called, such as production or staging; the dashboard shows it beside its name, in red when it begins with prod"`
	ConfigDir   string `env:"RASTRO_CONFIG_DIR" help:"folder of pipelines, carriers, milestones and reference data that stand before the built-in ones"`

	Database    Database
	Broker      Broker
	Identity    Identity
	Credentials Credentials
	Ingest      Ingest
	Streams     Streams
	Alerts      Alerts
	Log         Log
	Personal    Personal
	Retention   Retention

	MaxConnections int `env:"RASTRO_MAX_CONNECTIONS" envDefault:"2048" help:"connections of clients at once; further ones are told to come again"`

	ShutdownDelay   time.Duration `env:"RASTRO_SHUTDOWN_DELAY" envDefault:"2s" help:"how long a stopping process goes on taking requests while /readyz says that it stops, for load balancers to notice; at most half of RASTRO_SHUTDOWN_TIMEOUT"`
	ShutdownTimeout time.Duration `env:"RASTRO_SHUTDOWN_TIMEOUT" envDefault:"25s" help:"how long a stopping process may take to finish what it has in hand, the delay included"`
}

// Database says where PostgreSQL is.
type Database struct {
	URL              string        `env:"RASTRO_DATABASE_URL" help:"PostgreSQL, as postgres://user:password@host:5432/rastro" secret:"true"`
	ReadURL          string        `env:"RASTRO_DATABASE_READ_URL" help:"read replica of it that the query role reads from; RASTRO_DATABASE_URL when empty" secret:"true"`
	ReadMaxLag       time.Duration `env:"RASTRO_DATABASE_READ_MAX_LAG" envDefault:"10s" help:"how far behind the replica may be that is read from; the primary is read when it is further behind"`
	Auth             string        `env:"RASTRO_DATABASE_AUTH" envDefault:"password" help:"how to sign in to PostgreSQL: password, or iam for tokens of Amazon RDS, signed anew for each connection"`
	CAFile           string        `env:"RASTRO_DATABASE_CA_FILE" help:"file of certificates (PEM) that vouch for the server, such as the bundle of Amazon RDS; those of the system when empty"`
	MaxConns         int32         `env:"RASTRO_DATABASE_MAX_CONNS" envDefault:"16" help:"connections a process holds at most, to the replica as many again"`
	MaxConnLifetime  time.Duration `env:"RASTRO_DATABASE_MAX_CONN_LIFETIME" envDefault:"30m" help:"how old a connection may become, give or take a fifth more, before another takes its place"`
	StatementTimeout time.Duration `env:"RASTRO_DATABASE_STATEMENT_TIMEOUT" envDefault:"30s" help:"how long one statement may take"`
}

// The ways to sign in to PostgreSQL.
const (
	DatabaseAuthPassword = "password"
	DatabaseAuthIAM      = "iam"
)

// Broker says which broker carries the events and where it is.
type Broker struct {
	Kind string `env:"RASTRO_BROKER" envDefault:"nats" help:"which broker carries the events: nats, or sqs (with SNS)"`

	NATSURL          string        `env:"RASTRO_NATS_URL" envDefault:"nats://127.0.0.1:4222" help:"NATS server or cluster with JetStream" secret:"true"`
	AckWait          time.Duration `env:"RASTRO_NATS_ACK_WAIT" envDefault:"10s" help:"how long after a crash what a process had in hand is delivered again"`
	MaxBytes         int64         `env:"RASTRO_NATS_MAX_BYTES" envDefault:"2147483648" help:"what one topic holds on disk at most, in bytes"`
	Replicas         int           `env:"RASTRO_NATS_REPLICAS" envDefault:"1" help:"how many servers hold each topic"`
	Domain           string        `env:"RASTRO_NATS_DOMAIN" help:"domain of the JetStream to use, when the server is a leaf node of it"`
	MaxInFlightBytes int           `env:"RASTRO_NATS_MAX_IN_FLIGHT_BYTES" envDefault:"16777216" help:"what the messages in hand of one hop take in memory at most, in bytes"`

	SQS SQS
}

// The kinds of brokers.
const (
	BrokerNATS = "nats"
	BrokerSQS  = "sqs"
)

// SQS says how the queues of Amazon SQS are used. Credentials come as the AWS SDK finds them.
type SQS struct {
	Region            string        `env:"RASTRO_SQS_REGION" help:"AWS region; as the AWS SDK finds it when empty"`
	Endpoint          string        `env:"RASTRO_SQS_ENDPOINT" help:"where SQS is when not at AWS's own address: an emulator, or a VPC endpoint"`
	SNSEndpoint       string        `env:"RASTRO_SNS_ENDPOINT" help:"where SNS is when not at RASTRO_SQS_ENDPOINT"`
	Prefix            string        `env:"RASTRO_SQS_PREFIX" envDefault:"rastro" help:"what the names of queues and SNS topics begin with"`
	Provision         bool          `env:"RASTRO_SQS_PROVISION" envDefault:"false" help:"make missing queues, SNS topics and subscriptions; otherwise they must exist"`
	VisibilityTimeout time.Duration `env:"RASTRO_SQS_VISIBILITY_TIMEOUT" envDefault:"30s" help:"how long after a crash what a process had in hand is delivered again"`
	Wait              time.Duration `env:"RASTRO_SQS_WAIT" envDefault:"20s" help:"how long a request for messages waits for one, up to 20s; longer is cheaper"`
	Gather            time.Duration `env:"RASTRO_SQS_GATHER" envDefault:"200ms" help:"how long a queue that brought little is left alone, so that more comes with a request, and half of which what comes in waits for more: cheaper, and later; 0 never waits"`
	Pollers           int           `env:"RASTRO_SQS_POLLERS" envDefault:"4" help:"requests for messages under way at once for a full queue"`
	MaxMessageBytes   int           `env:"RASTRO_SQS_MAX_MESSAGE_BYTES" envDefault:"262144" help:"largest message that the queues take, in bytes; up to 1048576 where they are set to it"`
	MaxInFlightBytes  int           `env:"RASTRO_SQS_MAX_IN_FLIGHT_BYTES" envDefault:"16777216" help:"what the messages in hand of one hop take in memory at most, in bytes"`
	MaxReceives       int           `env:"RASTRO_SQS_MAX_RECEIVES" envDefault:"50" help:"how often a message is received before it goes to its dead-letter queue"`
}

// Identity says whose tokens are believed.
type Identity struct {
	Issuer       string   `env:"RASTRO_OIDC_ISSUER" help:"OpenID Connect issuer, as https://keycloak.example.com/realms/rastro"`
	DiscoveryURL string   `env:"RASTRO_OIDC_DISCOVERY_URL" help:"where the issuer is reached when not at its own name"`
	Audience     string   `env:"RASTRO_OIDC_AUDIENCE" envDefault:"rastro-api" help:"audience that tokens must be for"`
	TenantClaim  string   `env:"RASTRO_OIDC_TENANT_CLAIM" envDefault:"tenant" help:"claim that names the tenant"`
	RoleClaims   []string `env:"RASTRO_OIDC_ROLE_CLAIMS" envDefault:"realm_access.roles,roles" help:"claims that list roles"`
	ClientID     string   `env:"RASTRO_OIDC_CLIENT_ID" envDefault:"rastro-dashboard" help:"client that the dashboard signs in as"`
	ClientSecret string   `env:"RASTRO_OIDC_CLIENT_SECRET" help:"secret of that client; empty for a public one" secret:"true"`
	SessionKey   string   `env:"RASTRO_SESSION_KEY" help:"key that seals the dashboard's session cookies, 32 characters or more; the same for every dashboard and query process" secret:"true"`
}

// Credentials says how API keys and signatures of carriers are checked.
type Credentials struct {
	Key         string        `env:"RASTRO_CREDENTIALS_KEY" help:"key that seals the secrets of carriers that sign what they send, 32 characters or more; without it no signature is checked" secret:"true"`
	PreviousKey string        `env:"RASTRO_CREDENTIALS_PREVIOUS_KEY" help:"the key before that one, while secrets are still sealed with it" secret:"true"`
	Tolerance   time.Duration `env:"RASTRO_WEBHOOK_TOLERANCE" envDefault:"5m" help:"how far the time of a signed message may be from now; it is remembered for twice as long"`
	MaxStale    time.Duration `env:"RASTRO_CREDENTIALS_MAX_STALE" envDefault:"1h" help:"how long known API keys and secrets go on working while the database does not answer"`
}

// Ingest bounds what is taken in.
type Ingest struct {
	MaxBodyBytes     int           `env:"RASTRO_INGEST_MAX_BODY_BYTES" envDefault:"4194304" help:"largest request body, in bytes"`
	MaxEvents        int           `env:"RASTRO_INGEST_MAX_EVENTS" envDefault:"10000" help:"most events in a request"`
	MaxEventBytes    int           `env:"RASTRO_INGEST_MAX_EVENT_BYTES" envDefault:"131072" help:"largest single event, in bytes"`
	Timeout          time.Duration `env:"RASTRO_INGEST_TIMEOUT" envDefault:"10s" help:"how long a request waits for the broker before it is told to come again"`
	MaxInFlightBytes int64         `env:"RASTRO_INGEST_MAX_IN_FLIGHT_BYTES" envDefault:"67108864" help:"what the bodies of all requests in hand take at most, in bytes; further requests wait, and are then told to come again"`
}

// Streams bounds the live streams that a process serves.
type Streams struct {
	Max       int `env:"RASTRO_STREAMS_MAX" envDefault:"1000" help:"live streams that a process serves at once; further ones are told to come again"`
	MaxTenant int `env:"RASTRO_STREAMS_MAX_TENANT" envDefault:"100" help:"how many of them one tenant may have"`
}

// Alerts says from when on something is wrong. The rest of what alerts go by has defaults that are good anywhere: see docs/alerts.md.
type Alerts struct {
	Every         time.Duration `env:"RASTRO_ALERTS_EVERY" envDefault:"15s" help:"how often one of the processes of the query role looks for what is wrong"`
	Late          time.Duration `env:"RASTRO_ALERTS_LATE" envDefault:"30s" help:"how old events at a stage, and the first message of a queue, may be before that is a warning"`
	VeryLate      time.Duration `env:"RASTRO_ALERTS_VERY_LATE" envDefault:"2m" help:"how old they may be before it is critical"`
	Slow          time.Duration `env:"RASTRO_ALERTS_SLOW" envDefault:"4096ms" help:"how long events may take from received to stored: one in sixteen or so may take longer"`
	Backlog       int64         `env:"RASTRO_ALERTS_BACKLOG" envDefault:"100" help:"how many messages may wait in a queue however their number grows"`
	SilentAfter   time.Duration `env:"RASTRO_ALERTS_SILENT_AFTER" envDefault:"10m" help:"how long any carrier may send nothing, whatever it usually does"`
	RejectedShare float64       `env:"RASTRO_ALERTS_REJECTED_SHARE" envDefault:"0.01" help:"which share of a stage's or a carrier's events may be dead-lettered before that is a warning; ten times as much is critical"`
	BalanceAfter  time.Duration `env:"RASTRO_ALERTS_BALANCE_AFTER" envDefault:"15m" help:"how long an event may be in flight while nothing waits in its pipeline's queues"`
}

// Personal says how personal data is kept.
type Personal struct {
	Key string `env:"RASTRO_PERSONAL_KEY" help:"master keys of personal data, 32 bytes each in base64 with commas between them: the first wraps, all open; the same for every process. Without one, events with personal data wait" secret:"true"`
}

// Keys returns the master keys; nil when there are none.
func (p Personal) Keys() (*seal.Ring, error) {
	if p.Key == "" {
		return nil, nil //nolint:nilnil // none is as good as any
	}
	return seal.ParseRing(p.Key)
}

// Retention says how long what is stored is kept.
type Retention struct {
	Days      int           `env:"RASTRO_RETENTION_DAYS" envDefault:"0" help:"days that journeys are kept of tenants that do not say so themselves; 0: for ever"`
	Grace     time.Duration `env:"RASTRO_RETENTION_GRACE" envDefault:"1080h" help:"how much longer a journey may stay so that it is removed with its whole month at once, which is cheaper by far; 0: not at all"`
	StatsDays int           `env:"RASTRO_RETENTION_STATS_DAYS" envDefault:"92" help:"days that counts by the minute are kept, which the dashboard draws; 0: for ever"`
	Every     time.Duration `env:"RASTRO_RETENTION_EVERY" envDefault:"24h" help:"how often one of the processors removes what is over; 0: never, so that only rastro retain does"`
}

// Log says what is logged.
type Log struct {
	Level  string `env:"RASTRO_LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
	Format string `env:"RASTRO_LOG_FORMAT" envDefault:"json" help:"json, or text for people"`
}

// Default returns the defaults, whatever the environment says.
func Default() (Process, error) { return parse(map[string]string{}) }

// FromEnvironment reads the configuration from environment variables, given as os.Environ gives them. A variable that holds a
// secret may be left unset, and one with _FILE behind its name say which file holds it: RASTRO_DATABASE_URL_FILE. The newline at
// the file's end is not a part of it.
func FromEnvironment(environ []string) (Process, error) { return parse(env.ToMap(environ)) }

func parse(environment map[string]string) (Process, error) {
	var p Process
	environment, err := withFiles(environment)
	if err != nil {
		return Process{}, fmt.Errorf("read configuration: %w", err)
	}
	if err := env.ParseWithOptions(&p, env.Options{Environment: environment}); err != nil {
		return Process{}, fmt.Errorf("read configuration: %w", err)
	}
	return p, p.Validate()
}

// fileSuffix makes of the name of a variable that holds a secret the name of one that says in which file it is.
const fileSuffix = "_FILE"

// withFiles returns the environment with the secrets that are in files.
func withFiles(environment map[string]string) (map[string]string, error) {
	environment = maps.Clone(environment)
	var errs []error
	for _, name := range secretVariables(reflect.TypeFor[Process]()) {
		path := environment[name+fileSuffix]
		switch {
		case path == "":
		case environment[name] != "":
			errs = append(errs, fmt.Errorf("%s and %s are both set: set one of them", name, name+fileSuffix))
		default:
			value, err := secretfile.Read(path)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name+fileSuffix, err))
			}
			environment[name] = value
		}
	}
	return environment, errors.Join(errs...)
}

// secretVariables returns the variables below a struct that hold secrets.
func secretVariables(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, isVariable := field.Tag.Lookup("env")
		switch {
		case !isVariable:
			names = append(names, secretVariables(field.Type)...)
		case field.Tag.Get("secret") == "true":
			names = append(names, name)
		}
	}
	return names
}

// Validate reports every value that no process could work with.
func (p Process) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(p.Listen != "", "RASTRO_LISTEN is empty")
	if p.MetricsListen != "" {
		_, _, err := net.SplitHostPort(p.MetricsListen)
		check(err == nil, "RASTRO_METRICS_LISTEN is %q; it is HOST:PORT or :PORT", p.MetricsListen)
		check(p.MetricsListen != p.Listen, "RASTRO_METRICS_LISTEN is %s, as RASTRO_LISTEN is; leave it empty to have both there", p.MetricsListen)
	}
	check(p.Broker.Kind == BrokerNATS || p.Broker.Kind == BrokerSQS, "RASTRO_BROKER is %q; it is nats or sqs", p.Broker.Kind)
	check(p.Database.MaxConns >= 2, "RASTRO_DATABASE_MAX_CONNS is %d; a process needs 2 or more", p.Database.MaxConns)
	check(p.Database.Auth == DatabaseAuthPassword || p.Database.Auth == DatabaseAuthIAM,
		"RASTRO_DATABASE_AUTH is %q; it is password or iam", p.Database.Auth)
	check(p.Database.MaxConnLifetime >= time.Second, "RASTRO_DATABASE_MAX_CONN_LIFETIME is %v; give it 1s or more", p.Database.MaxConnLifetime)
	check(p.Database.ReadMaxLag >= time.Second, "RASTRO_DATABASE_READ_MAX_LAG is %v; give it 1s or more", p.Database.ReadMaxLag)
	check(p.Database.ReadURL == "" || p.Database.URL != "", "RASTRO_DATABASE_READ_URL is set without RASTRO_DATABASE_URL")
	check(p.Ingest.MaxBodyBytes >= 1024, "RASTRO_INGEST_MAX_BODY_BYTES is %d; give it 1024 or more", p.Ingest.MaxBodyBytes)
	check(p.Ingest.MaxEvents >= 1, "RASTRO_INGEST_MAX_EVENTS is %d; give it 1 or more", p.Ingest.MaxEvents)
	check(p.Ingest.MaxEventBytes >= 1024, "RASTRO_INGEST_MAX_EVENT_BYTES is %d; give it 1024 or more", p.Ingest.MaxEventBytes)
	check(p.Ingest.MaxInFlightBytes >= int64(p.Ingest.MaxBodyBytes),
		"RASTRO_INGEST_MAX_IN_FLIGHT_BYTES is %d; give it room for one body of RASTRO_INGEST_MAX_BODY_BYTES", p.Ingest.MaxInFlightBytes)
	check(p.Streams.Max >= 1, "RASTRO_STREAMS_MAX is %d; give it 1 or more", p.Streams.Max)
	check(p.Streams.MaxTenant >= 1, "RASTRO_STREAMS_MAX_TENANT is %d; give it 1 or more", p.Streams.MaxTenant)
	for name, d := range map[string]time.Duration{
		"EVERY": p.Alerts.Every, "LATE": p.Alerts.Late, "SLOW": p.Alerts.Slow, "SILENT_AFTER": p.Alerts.SilentAfter, "BALANCE_AFTER": p.Alerts.BalanceAfter,
	} {
		check(d >= time.Second, "RASTRO_ALERTS_%s is %v; give it 1s or more", name, d)
	}
	check(p.Alerts.VeryLate >= p.Alerts.Late, "RASTRO_ALERTS_VERY_LATE is %v; give it RASTRO_ALERTS_LATE or more", p.Alerts.VeryLate)
	check(p.Alerts.Backlog >= 0, "RASTRO_ALERTS_BACKLOG is %d; give it 0 or more", p.Alerts.Backlog)
	check(p.Alerts.RejectedShare > 0 && p.Alerts.RejectedShare <= 1, "RASTRO_ALERTS_REJECTED_SHARE is %v; give it a share, more than 0 and up to 1", p.Alerts.RejectedShare)
	check(p.MaxConnections >= 1, "RASTRO_MAX_CONNECTIONS is %d; give it 1 or more", p.MaxConnections)
	check(p.Ingest.Timeout > 0, "RASTRO_INGEST_TIMEOUT is %v; give it more than 0", p.Ingest.Timeout)
	check(p.ShutdownTimeout > 0, "RASTRO_SHUTDOWN_TIMEOUT is %v; give it more than 0", p.ShutdownTimeout)
	check(p.ShutdownDelay >= 0, "RASTRO_SHUTDOWN_DELAY is %v; give it 0 or more", p.ShutdownDelay)
	check(p.Identity.SessionKey == "" || len(p.Identity.SessionKey) >= 32,
		"RASTRO_SESSION_KEY has %d characters; give it 32 or more", len(p.Identity.SessionKey))
	for name, key := range map[string]string{"RASTRO_CREDENTIALS_KEY": p.Credentials.Key, "RASTRO_CREDENTIALS_PREVIOUS_KEY": p.Credentials.PreviousKey} {
		check(key == "" || len(key) >= 32, "%s has %d characters; give it 32 or more", name, len(key))
	}
	check(p.Credentials.PreviousKey == "" || p.Credentials.Key != "", "RASTRO_CREDENTIALS_PREVIOUS_KEY is set without RASTRO_CREDENTIALS_KEY")
	check(p.Credentials.Tolerance >= time.Second, "RASTRO_WEBHOOK_TOLERANCE is %v; give it 1s or more", p.Credentials.Tolerance)
	check(p.Credentials.MaxStale >= 10*time.Second, "RASTRO_CREDENTIALS_MAX_STALE is %v; give it 10s or more", p.Credentials.MaxStale)
	check(p.Retention.Days >= 0, "RASTRO_RETENTION_DAYS is %d; give it 0 or more", p.Retention.Days)
	check(p.Retention.StatsDays >= 0, "RASTRO_RETENTION_STATS_DAYS is %d; give it 0 or more", p.Retention.StatsDays)
	check(p.Retention.Grace >= 0, "RASTRO_RETENTION_GRACE is %v; give it 0 or more", p.Retention.Grace)
	check(p.Retention.Every >= 0, "RASTRO_RETENTION_EVERY is %v; give it 0 or more", p.Retention.Every)
	check(p.Log.Format == "json" || p.Log.Format == "text", "RASTRO_LOG_FORMAT is %q; it is json or text", p.Log.Format)
	if _, err := p.Personal.Keys(); err != nil {
		check(false, "RASTRO_PERSONAL_KEY: %w", err)
	}
	switch strings.ToLower(p.Log.Level) {
	case "debug", "info", "warn", "error":
	default:
		check(false, "RASTRO_LOG_LEVEL is %q; it is debug, info, warn or error", p.Log.Level)
	}
	return errors.Join(errs...)
}

// WriteHelp lists every variable with its default.
func WriteHelp(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	writeHelp(table, reflect.TypeFor[Process]())
	return table.Flush()
}

func writeHelp(w io.Writer, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, isVariable := field.Tag.Lookup("env")
		if !isVariable {
			writeHelp(w, field.Type)
			continue
		}
		help := field.Tag.Get("help")
		if value := field.Tag.Get("envDefault"); value != "" {
			help += " (default " + value + ")"
		}
		if field.Tag.Get("secret") == "true" {
			help += "; or " + name + fileSuffix + ": the file that holds it"
		}
		// A tabwriter keeps its errors for Flush.
		_, _ = fmt.Fprintf(w, "  %s\t%s\n", name, help)
	}
}
