package publish

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/pipeline"
)

// Name is what `use` says.
const Name = "publish"

// Codes of the reasons that the stage gives.
const (
	// CodeTooLarge says that the event is larger than the destination takes.
	CodeTooLarge = "too_large"
	// CodeRefused says that the destination will never take the event.
	CodeRefused = "refused"
	// CodeEncode says that the event cannot be written in the format.
	CodeEncode = "encode"
)

// The formats.
const (
	formatCloudEvents = "cloudevents"
	formatEvent       = "event"
	formatPayload     = "payload"
)

// Limits of SNS and SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html and
// https://docs.aws.amazon.com/general/latest/gr/sns.html.
const (
	maxEntries    = 10 // messages a request
	maxAttributes = 10 // of a message
	maxRequest    = 1 << 20
)

const maxTimeout = 10 * time.Minute

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	SNS        *SNS                     `yaml:"sns,omitempty" doc:"Publish to an SNS topic."`
	SQS        *SQS                     `yaml:"sqs,omitempty" doc:"Send to an SQS queue."`
	NATS       *NATS                    `yaml:"nats,omitempty" doc:"Publish to a NATS subject."`
	Format     string                   `yaml:"format" doc:"What a message holds: a CloudEvent, the event as on the wire, or only its payload." jsonschema:"enum=cloudevents,enum=event,enum=payload"`
	Attributes map[string]pipeline.Path `yaml:"attributes,omitempty" doc:"Message attributes (NATS: headers) by name, each with the field whose value it gets; 10 at most."`
	Timeout    time.Duration            `yaml:"timeout" doc:"How long publishing a batch may take."`
}

// SNS names a topic.
type SNS struct {
	TopicARN string        `yaml:"topic_arn" doc:"The topic. One that ends in .fifo keeps order and drops redeliveries." jsonschema:"required"`
	Region   string        `yaml:"region,omitempty" doc:"The AWS region; that of the topic by default."`
	Endpoint string        `yaml:"endpoint,omitempty" doc:"Another address than that of AWS, as http://localhost:4566."`
	Group    pipeline.Path `yaml:"group" doc:"For a FIFO topic: events with the same value keep their order."`
	MaxBytes pipeline.Size `yaml:"max_bytes" doc:"How large a message may be, and a request."`
}

// SQS names a queue.
type SQS struct {
	QueueURL string        `yaml:"queue_url" doc:"The queue. One that ends in .fifo keeps order and drops redeliveries." jsonschema:"required"`
	Region   string        `yaml:"region,omitempty" doc:"The AWS region; by default that of the AWS configuration."`
	Endpoint string        `yaml:"endpoint,omitempty" doc:"Another address than that of AWS, as http://localhost:4566."`
	Group    pipeline.Path `yaml:"group" doc:"For a FIFO queue: events with the same value keep their order."`
	MaxBytes pipeline.Size `yaml:"max_bytes" doc:"How large a message may be, and a request; 1MiB where the queue allows it."`
}

// NATS names a subject.
type NATS struct {
	URL         string  `yaml:"url" doc:"The servers, separated by commas, as nats://nats.example.com:4222 or tls://..." jsonschema:"required"`
	Subject     Subject `yaml:"subject" doc:"The subject; {field} stands for the value of a field of the event, as in rastro.{tenant_id}.{event_type}." jsonschema:"required"`
	JetStream   bool    `yaml:"jetstream" doc:"Publish to the stream that has the subject, and wait until it is stored; false is core NATS."`
	Credentials string  `yaml:"credentials,omitempty" doc:"The path of a credentials file on this machine (.creds)."`
	User        string  `yaml:"user,omitempty" doc:"The user, where the server wants one."`
	Password    string  `yaml:"password,omitempty" doc:"The user's password." secret:"true"`
	Token       string  `yaml:"token,omitempty" doc:"The token, where the server wants one." secret:"true"`
}

// Defaults returns the config that `with` is read over. It has no destination: the stage needs one.
func Defaults() Config { return Config{Format: formatCloudEvents, Timeout: 10 * time.Second} }

func defaultGroup() pipeline.Path { return pipeline.MustParsePath("correlation_id") }

// UnmarshalYAML implements yaml.NodeUnmarshaler: it gives the topic its defaults.
func (s *SNS) UnmarshalYAML(node ast.Node) error {
	type plain SNS
	p := plain{Group: defaultGroup(), MaxBytes: 256 << 10}
	if err := yaml.NodeToValue(node, &p, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	*s = SNS(p)
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: it gives the queue its defaults.
func (s *SQS) UnmarshalYAML(node ast.Node) error {
	type plain SQS
	p := plain{Group: defaultGroup(), MaxBytes: 256 << 10}
	if err := yaml.NodeToValue(node, &p, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	*s = SQS(p)
	return nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: it gives the subject its defaults.
func (n *NATS) UnmarshalYAML(node ast.Node) error {
	type plain NATS
	p := plain{JetStream: true}
	if err := yaml.NodeToValue(node, &p, yaml.DisallowUnknownField()); err != nil {
		return err
	}
	*n = NATS(p)
	return nil
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	destinations := 0
	for _, set := range []bool{c.SNS != nil, c.SQS != nil, c.NATS != nil} {
		if set {
			destinations++
		}
	}
	if destinations != 1 {
		return fmt.Errorf("name exactly one of sns, sqs and nats, for example "+
			"`sns: {topic_arn: \"arn:aws:sns:us-east-1:123456789012:events\"}`; there are %d", destinations)
	}
	if !slices.Contains([]string{formatCloudEvents, formatEvent, formatPayload}, c.Format) {
		return fmt.Errorf("format: there is no %q; there is cloudevents, event, payload", c.Format)
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		return fmt.Errorf("timeout: %s is not more than 0s and at most %s", c.Timeout, maxTimeout)
	}
	if len(c.Attributes) > maxAttributes {
		return fmt.Errorf("attributes: %d are too many; a message has %d at most", len(c.Attributes), maxAttributes)
	}
	for name, field := range c.Attributes {
		if err := c.checkAttribute(name, field); err != nil {
			return fmt.Errorf("attributes: %w", err)
		}
	}
	switch {
	case c.SNS != nil:
		return prefixed("sns", c.SNS.validate())
	case c.SQS != nil:
		return prefixed("sqs", c.SQS.validate())
	default:
		return prefixed("nats", c.NATS.validate())
	}
}

func prefixed(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// What AWS and NATS allow as a name; theirs begin so.
var (
	attributePattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	reservedNames    = []string{"aws.", "amazon.", "nats-"}
)

func (c *Config) checkAttribute(name string, field pipeline.Path) error {
	if len(name) > 256 || !attributePattern.MatchString(name) {
		return fmt.Errorf("%q is no name; it is letters, digits, _ - and single dots, 256 at most", name)
	}
	for _, reserved := range reservedNames {
		if strings.HasPrefix(strings.ToLower(name), reserved) {
			return fmt.Errorf("%q begins as names that are not ours to give", name)
		}
	}
	if c.NATS != nil && strings.EqualFold(name, "content-type") {
		return fmt.Errorf("%q is set by the format", name)
	}
	if field.IsZero() {
		return fmt.Errorf("%s: name the field whose value it gets", name)
	}
	return nil
}

var arnPattern = regexp.MustCompile(`^arn:[a-z0-9-]+:sns:([a-z0-9-]+):([^:]+):([A-Za-z0-9_-]{1,256}(\.fifo)?)$`)

func (s *SNS) validate() error {
	if !arnPattern.MatchString(s.TopicARN) {
		return fmt.Errorf("topic_arn: %q is not the ARN of a topic, as arn:aws:sns:us-east-1:123456789012:events", s.TopicARN)
	}
	return errors.Join(checkEndpoint(s.Endpoint), checkBytes(s.MaxBytes, 256<<10))
}

// region is that of the topic unless the config says otherwise.
func (s *SNS) region() string {
	if s.Region != "" {
		return s.Region
	}
	return arnPattern.FindStringSubmatch(s.TopicARN)[1]
}

func (s *SQS) validate() error {
	u, err := url.Parse(s.QueueURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || path.Base(u.Path) == "/" || path.Base(u.Path) == "." {
		return fmt.Errorf("queue_url: %q is not the URL of a queue, as https://sqs.us-east-1.amazonaws.com/123456789012/events", s.QueueURL)
	}
	return errors.Join(checkEndpoint(s.Endpoint), checkBytes(s.MaxBytes, maxRequest))
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("endpoint: %q is not a URL, as http://localhost:4566", endpoint)
	}
	return nil
}

func checkBytes(size, most pipeline.Size) error {
	if size < 1<<10 || size > most {
		return fmt.Errorf("max_bytes: %s is not between 1KiB and %s", size, most)
	}
	return nil
}

func (n *NATS) validate() error {
	if n.URL == "" {
		return errors.New("url: name the server, as nats://nats.example.com:4222")
	}
	for server := range strings.SplitSeq(n.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return errors.New("url: a server is written as nats://nats.example.com:4222, with nats, tls, ws or wss")
		}
		if u.User != nil {
			return errors.New("url: leave user and password out of it, where they would be shown; there is user, password and token")
		}
	}
	if n.Subject.IsZero() {
		return errors.New("subject: say where events go, as rastro.{tenant_id}.{event_type}")
	}
	ways := 0
	for _, set := range []bool{n.Credentials != "", n.User != "", n.Token != ""} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("credentials: only one of credentials, user and token can be used")
	}
	if n.Password != "" && n.User == "" {
		return errors.New("password: without a user there is nobody whose it is")
	}
	return nil
}

// WorstCase implements pipeline.Timed.
func (c Config) WorstCase(int) time.Duration { return c.Timeout }

// Action implements pipeline.Acting.
func (c Config) Action() string {
	const redelivery = "; of a redelivery within its window it keeps one"
	switch {
	case c.SNS != nil && isFIFO(c.SNS.TopicARN):
		return "publishes to the SNS topic " + c.SNS.TopicARN + redelivery
	case c.SNS != nil:
		return "publishes to the SNS topic " + c.SNS.TopicARN
	case c.SQS != nil && isFIFO(c.SQS.QueueURL):
		return "sends to the SQS queue " + c.SQS.QueueURL + redelivery
	case c.SQS != nil:
		return "sends to the SQS queue " + c.SQS.QueueURL
	case c.NATS != nil && c.NATS.JetStream:
		return "publishes to the JetStream subject " + c.NATS.Subject.Text() + redelivery
	case c.NATS != nil:
		return "publishes to the NATS subject " + c.NATS.Subject.Text()
	default:
		return ""
	}
}

// isFIFO reports whether a topic or queue is one that keeps order: its name must say so.
func isFIFO(name string) bool { return strings.HasSuffix(name, ".fifo") }
