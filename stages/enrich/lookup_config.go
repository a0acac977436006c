package enrich

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rastrohq/rastro/internal/outbound"
	"github.com/rastrohq/rastro/pipeline"
)

// Lookup says what to look up by which key, and where. Exactly one of CSV, Postgres and HTTP is set.
type Lookup struct {
	Key       Paths     `yaml:"key" doc:"The field to look up, or several that make up the key together. An event that lacks one of them passes as it is." jsonschema:"required,oneof_type=string;array"`
	Into      string    `yaml:"into" doc:"The name under which the entry is added to the event: enrichment.attributes.NAME." jsonschema:"required"`
	CSV       *CSV      `yaml:"csv,omitempty" doc:"Looks the key up in a file, which is read when the pipeline starts." jsonschema:"oneof_required=csv"`
	Postgres  *Postgres `yaml:"postgres,omitempty" doc:"Looks the keys of a batch up in a PostgreSQL database, in one round trip." jsonschema:"oneof_required=postgres"`
	HTTP      *HTTP     `yaml:"http,omitempty" doc:"Looks each key up by a GET request that is answered with JSON; 404 says that there is no entry." jsonschema:"oneof_required=http"`
	OnMissing OnMissing `yaml:"on_missing" doc:"What becomes of an event whose key has no entry: pass, reject or drop. Defaults to pass." jsonschema:"enum=pass,enum=reject,enum=drop"`
}

// CSV is a file with a header row.
type CSV struct {
	File    string `yaml:"file" doc:"The file, with the names of its columns in the first row." jsonschema:"required"`
	Key     Names  `yaml:"key" doc:"The column that holds the key, or as many as the lookup's key has parts." jsonschema:"required,oneof_type=string;array"`
	Columns Names  `yaml:"columns,omitempty" doc:"The columns that make up the entry, as text; without it, all but the key's. A cell that is empty is left out." jsonschema:"oneof_type=string;array"`
}

// Postgres is a query to a database.
type Postgres struct {
	URL    string `yaml:"url" doc:"The connection string of the database." secret:"true" jsonschema:"required"`
	Query  string `yaml:"query" doc:"The SELECT that finds the entry of one key, whose parts are $1, $2 and so on. The entry is its first row, as an object with a key for each column." jsonschema:"required"`
	Conns  int32  `yaml:"conns" doc:"How many connections to open at most. Defaults to 4."`
	Remote `yaml:",inline"`
}

// HTTP is a request to a service.
type HTTP struct {
	URL             string `yaml:"url" doc:"The address of an entry, with {key} for the key, or {1}, {2} and so on for its parts." jsonschema:"required"`
	Parallel        int    `yaml:"parallel" doc:"How many requests to make at once, for each batch. Defaults to 8."`
	outbound.Access `yaml:",inline"`
	Remote          `yaml:",inline"`
}

// Remote is what lookups elsewhere have in common.
type Remote struct {
	Timeout   time.Duration `yaml:"timeout" doc:"How long a query for a batch, or a request, may take. Defaults to 2s."`
	OnFailure OnFailure     `yaml:"on_failure" doc:"What becomes of events while the source is down: wait holds them until it works again, skip lets them pass without the entry and adds the lookup's name to enrichment.attributes.skipped_lookups. Defaults to wait." jsonschema:"enum=wait,enum=skip"`
	Pause     time.Duration `yaml:"pause" doc:"How long a source that failed three times in a row is left alone before it is asked again. Defaults to 5s."`
	Cache     Cache         `yaml:"cache" doc:"How long answers are kept."`
}

// Cache says how long answers are kept.
type Cache struct {
	TTL         time.Duration `yaml:"ttl" doc:"How long an entry is taken to be up to date; 0s asks every time. Defaults to 10m."`
	NegativeTTL time.Duration `yaml:"negative_ttl" doc:"How long it is taken for granted that a key has no entry; 0s asks every time. Defaults to 1m."`
	Stale       time.Duration `yaml:"stale" doc:"How much longer an answer serves while the source is down. Defaults to 0s."`
	MaxBytes    uint64        `yaml:"max_bytes" doc:"How much memory the answers may take, in bytes; those least used go first. Defaults to 16777216."`
}

// OnMissing is what becomes of an event whose key has no entry.
type OnMissing string

// What becomes of events whose key has no entry.
const (
	MissingPass   OnMissing = "pass"
	MissingReject OnMissing = "reject"
	MissingDrop   OnMissing = "drop"
)

// OnFailure is what becomes of events while a source is down.
type OnFailure string

// What becomes of events while a source is down.
const (
	FailureWait OnFailure = "wait"
	FailureSkip OnFailure = "skip"
)

// SkippedLookups is the attribute that names the lookups which an event passed without, because their source was down.
const SkippedLookups = "skipped_lookups"

func defaultLookup() *Lookup { return &Lookup{OnMissing: MissingPass} }

func defaultRemote() Remote {
	return Remote{
		Timeout: 2 * time.Second, OnFailure: FailureWait, Pause: 5 * time.Second,
		Cache: Cache{TTL: 10 * time.Minute, NegativeTTL: time.Minute, MaxBytes: 16 << 20},
	}
}

// UnmarshalYAML implements yaml.NodeUnmarshaler, for the defaults.
func (p *Postgres) UnmarshalYAML(node ast.Node) error {
	type plain Postgres
	read := plain{Conns: 4, Remote: defaultRemote()}
	if err := yaml.NodeToValue(node, &read, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	*p = Postgres(read)
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler, for the defaults.
func (h *HTTP) UnmarshalYAML(node ast.Node) error {
	type plain HTTP
	read := plain{Parallel: 8, Remote: defaultRemote()}
	if err := yaml.NodeToValue(node, &read, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	*h = HTTP(read)
	return nil
}

// Paths is one path, or a list of them.
type Paths []pipeline.Path

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *Paths) UnmarshalYAML(node ast.Node) error {
	list, err := oneOrMore[pipeline.Path](node)
	*p = list
	return err
}

// Names is one name, or a list of them.
type Names []string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (n *Names) UnmarshalYAML(node ast.Node) error {
	list, err := oneOrMore[string](node)
	*n = list
	return err
}

func oneOrMore[T any](node ast.Node) ([]T, error) {
	if _, ok := node.(*ast.SequenceNode); ok {
		var list []T
		err := yaml.NodeToValue(node, &list)
		return list, err
	}
	var one T
	err := yaml.NodeToValue(node, &one)
	return []T{one}, err
}

var intoPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// maxParts bounds the parts of a key.
const maxParts = 8

func (l *Lookup) validate() error {
	if len(l.Key) == 0 || len(l.Key) > maxParts {
		return fmt.Errorf("lookup.key: name one to %d fields, for example `key: payload.gate`", maxParts)
	}
	if !intoPattern.MatchString(l.Into) || l.Into == SkippedLookups {
		return fmt.Errorf("lookup.into: %q cannot name an attribute; write lower case letters, digits and _, for example `into: gate`", l.Into)
	}
	switch l.OnMissing {
	case MissingPass, MissingReject, MissingDrop:
	default:
		return fmt.Errorf("lookup.on_missing: %q is not pass, reject or drop", string(l.OnMissing))
	}
	sources := 0
	var errs []error
	if l.CSV != nil {
		sources++
		errs = append(errs, l.CSV.validate(len(l.Key)))
	}
	if l.Postgres != nil {
		sources++
		errs = append(errs, l.Postgres.validate(len(l.Key)))
	}
	if l.HTTP != nil {
		sources++
		errs = append(errs, l.HTTP.validate(len(l.Key)))
	}
	if sources != 1 {
		return fmt.Errorf("lookup: it looks in exactly one of csv, postgres and http, this one in %d of them", sources)
	}
	return errors.Join(errs...)
}

// worstCase is how long it takes to ask for a key of each event. A batch that waits for what another one asks for waits no
// longer than that either.
func (l *Lookup) worstCase(events int) time.Duration {
	switch {
	case l.Postgres != nil:
		return l.Postgres.Timeout
	case l.HTTP != nil:
		return l.HTTP.Timeout * time.Duration((events+l.HTTP.Parallel-1)/l.HTTP.Parallel)
	default:
		return 0
	}
}

func (c *CSV) validate(parts int) error {
	switch {
	case c.File == "" || !fs.ValidPath(c.File):
		return fmt.Errorf("lookup.csv.file: %q is not a path below the configuration's folder", c.File)
	case len(c.Key) != parts:
		return fmt.Errorf("lookup.csv.key: it names %d columns, and the key has %d parts", len(c.Key), parts)
	}
	return nil
}

func (p *Postgres) validate(parts int) error {
	const key = "lookup.postgres."
	if p.URL == "" {
		return errors.New(key + "url: say which database, for example postgres://user@host/database")
	}
	if _, err := pgxpool.ParseConfig(p.URL); err != nil {
		return errors.New(key + "url: it is not a connection string; write for example postgres://user@host/database")
	}
	if strings.TrimSpace(p.Query) == "" {
		return errors.New(key + "query: say how to find an entry, for example `SELECT zone FROM gates WHERE code = $1`")
	}
	for i := range parts {
		if !strings.Contains(p.Query, fmt.Sprintf("$%d", i+1)) {
			return fmt.Errorf("%squery: it does not use $%d, and the key has %d parts", key, i+1, parts)
		}
	}
	if strings.Contains(p.Query, fmt.Sprintf("$%d", parts+1)) {
		return fmt.Errorf("%squery: it uses $%d, and the key has %d parts", key, parts+1, parts)
	}
	if p.Conns < 1 || p.Conns > 100 {
		return fmt.Errorf("%sconns: %d is not from 1 to 100", key, p.Conns)
	}
	return p.Remote.validate(key)
}

func (h *HTTP) validate(parts int) error {
	const key = "lookup.http."
	if _, err := parseTemplate(h.URL, parts); err != nil {
		return fmt.Errorf("%surl: %w", key, err)
	}
	if h.Parallel < 1 || h.Parallel > 100 {
		return fmt.Errorf("%sparallel: %d is not from 1 to 100", key, h.Parallel)
	}
	if err := h.Validate(); err != nil {
		return fmt.Errorf("%s%w", key, err)
	}
	return h.Remote.validate(key)
}

func (r Remote) validate(key string) error {
	switch {
	case r.Timeout < time.Millisecond || r.Timeout > time.Minute:
		return fmt.Errorf("%stimeout: %s is not from 1ms to 1m", key, r.Timeout)
	case r.Pause < time.Millisecond || r.Pause > time.Hour:
		return fmt.Errorf("%spause: %s is not from 1ms to 1h", key, r.Pause)
	case r.OnFailure != FailureWait && r.OnFailure != FailureSkip:
		return fmt.Errorf("%son_failure: %q is not wait or skip", key, string(r.OnFailure))
	case r.Cache.TTL < 0 || r.Cache.NegativeTTL < 0 || r.Cache.Stale < 0:
		return fmt.Errorf("%scache: a duration is negative", key)
	case r.Cache.MaxBytes == 0:
		return fmt.Errorf("%scache: max_bytes is 0; write 0s for ttl and negative_ttl to ask every time", key)
	}
	return nil
}
