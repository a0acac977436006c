package http

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/rastrohq/rastro/internal/outbound"
)

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	URL             string `yaml:"url" doc:"The address to call. Keys belong into headers: an address shows up in logs." jsonschema:"required"`
	Method          string `yaml:"method" doc:"The method of the requests: POST, PUT or PATCH." jsonschema:"enum=POST,enum=PUT,enum=PATCH"`
	outbound.Access `yaml:",inline"`
	Timeout         time.Duration `yaml:"timeout" doc:"How long a request may take, from the look-up of the host to the last byte of the answer."`
	MaxEvents       int           `yaml:"max_events" doc:"How many events a request has at most."`
	MaxBytes        int           `yaml:"max_bytes" doc:"How many bytes a request has at most; an event that alone has more is sent all the same."`
	Parallel        int           `yaml:"parallel" doc:"How many requests to make at once, for each batch."`
	Body            Body          `yaml:"body" doc:"What a request has: events, which is several, or one." jsonschema:"enum=events,enum=one"`
	Format          Format        `yaml:"format" doc:"How events are written: json (as at ingest, with what stages have added; several are an array), ndjson or cloudevents (1.0, JSON; several are a batch)." jsonschema:"enum=json,enum=ndjson,enum=cloudevents"`
	Response        Response      `yaml:"response" doc:"What to do with an answer: ignore it, add it to the events as attributes, or settle the events by its verdicts." jsonschema:"enum=ignore,enum=attributes,enum=verdicts"`
	Into            string        `yaml:"into,omitempty" doc:"With response attributes: the name to add the answer under, enrichment.attributes.NAME."`
	RejectOn        []int         `yaml:"reject_on" doc:"The statuses that say that an event will never be right."`
	RetryOn         []int         `yaml:"retry_on" doc:"The statuses that say that the service cannot work at present: all events wait, and use up no attempts."`
	Idempotency     string        `yaml:"idempotency" doc:"The header whose value is the same when the same events are sent again; empty for none."`
	Idempotent      bool          `yaml:"idempotent,omitempty" doc:"Says that an event that is sent again makes no difference to the service."`
}

// Body is what a request has.
type Body string

// What a request has.
const (
	BodyEvents Body = "events"
	BodyOne    Body = "one"
)

// Format is how events are written.
type Format string

// How events are written.
const (
	FormatJSON        Format = "json"
	FormatNDJSON      Format = "ndjson"
	FormatCloudEvents Format = "cloudevents"
)

// Response is what to do with an answer.
type Response string

// What to do with an answer.
const (
	ResponseIgnore     Response = "ignore"
	ResponseAttributes Response = "attributes"
	ResponseVerdicts   Response = "verdicts"
)

// Defaults returns the config that `with` is read over. It has no address: the stage needs one.
func Defaults() Config {
	return Config{
		Method: http.MethodPost, Timeout: 10 * time.Second, MaxEvents: 100, MaxBytes: 1 << 20, Parallel: 4,
		Body: BodyEvents, Format: FormatJSON, Response: ResponseIgnore,
		RejectOn: []int{
			http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
		},
		RetryOn:     []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
		Idempotency: "Idempotency-Key",
	}
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if err := outbound.ValidateURL(c.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := c.Access.Validate(); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, c.Method):
		return fmt.Errorf("method: %q is not POST, PUT or PATCH", c.Method)
	case c.Timeout < time.Millisecond || c.Timeout > 10*time.Minute:
		return fmt.Errorf("timeout: %s is not from 1ms to 10m", c.Timeout)
	case c.MaxEvents < 1 || c.MaxEvents > 10_000:
		return fmt.Errorf("max_events: %d is not from 1 to 10000", c.MaxEvents)
	case c.MaxBytes < 1<<10 || c.MaxBytes > 64<<20:
		return fmt.Errorf("max_bytes: %d is not from 1024 to 67108864", c.MaxBytes)
	case c.Parallel < 1 || c.Parallel > 100:
		return fmt.Errorf("parallel: %d is not from 1 to 100", c.Parallel)
	}
	if err := c.validateForm(); err != nil {
		return err
	}
	return c.validateStatuses()
}

func (c *Config) validateForm() error {
	switch {
	case c.Body != BodyEvents && c.Body != BodyOne:
		return fmt.Errorf("body: %q is not events or one", string(c.Body))
	case !slices.Contains([]Format{FormatJSON, FormatNDJSON, FormatCloudEvents}, c.Format):
		return fmt.Errorf("format: %q is not json, ndjson or cloudevents", string(c.Format))
	case !slices.Contains([]Response{ResponseIgnore, ResponseAttributes, ResponseVerdicts}, c.Response):
		return fmt.Errorf("response: %q is not ignore, attributes or verdicts", string(c.Response))
	case c.Response == ResponseAttributes && !namePattern.MatchString(c.Into):
		return fmt.Errorf("into: %q cannot name an attribute; write lower case letters, digits and _, for example `into: risk`", c.Into)
	case c.Response != ResponseAttributes && c.Into != "":
		return fmt.Errorf("into: with `response: %s` nothing is added under a name; write `response: attributes`", c.Response)
	}
	if c.Idempotency != "" {
		if err := (outbound.Access{Headers: map[string]string{c.Idempotency: ""}}).Validate(); err != nil {
			return errors.New("idempotency: it cannot be the name of a header; write for example Idempotency-Key")
		}
	}
	return nil
}

func (c *Config) validateStatuses() error {
	for _, status := range c.RejectOn {
		switch {
		case status < 400 || status > 599:
			return fmt.Errorf("reject_on: %d is not the status of an error, which is from 400 to 599", status)
		case slices.Contains(c.RetryOn, status):
			return fmt.Errorf("reject_on: %d stands in retry_on as well; it is an event's fault, or nobody's", status)
		}
	}
	for _, status := range c.RetryOn {
		if status < 400 || status > 599 {
			return fmt.Errorf("retry_on: %d is not the status of an error, which is from 400 to 599", status)
		}
	}
	return nil
}

// Action implements pipeline.Acting.
func (c Config) Action() string {
	u, err := url.Parse(c.URL)
	if c.Idempotent || err != nil {
		return ""
	}
	return "calls " + u.Scheme + "://" + u.Host + u.EscapedPath()
}

// WorstCase implements pipeline.Timed: the requests take a round for each `parallel` of them, and as much again is granted to
// find out which event a service refuses. The stage gives up then.
func (c Config) WorstCase(events int) time.Duration {
	requests := (events + c.perRequest() - 1) / c.perRequest()
	rounds := (requests + c.Parallel - 1) / c.Parallel
	return 2 * c.Timeout * time.Duration(max(1, rounds))
}

func (c Config) perRequest() int {
	if c.Body == BodyOne {
		return 1
	}
	return c.MaxEvents
}
