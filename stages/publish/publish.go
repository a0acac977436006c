package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Hands events to the outside: SNS, SQS or NATS.", Defaults, build).Described(doc, example))
}

const doc = `
An event that was handed over passes on. A message holds a CloudEvent (structured JSON), the event as on the wire, or only its
payload, as ` + "`format`" + ` says; ` + "`attributes`" + ` become message attributes, which SNS subscriptions can filter by, or NATS headers.

Delivery is at least once. FIFO topics and queues (their names end in .fifo) and JetStream are told the UID and drop a redelivery
within their window; put dedupe before this stage for what the sender sent twice. Events of one ` + "`group`" + ` keep their order in
FIFO topics and queues.

A message that the destination will never take is rejected, with the code "too_large", "refused" or "encode". When the
destination is down the stage fails as a whole, and events wait.

A field in braces in a NATS subject stands for its value, as one token: dots and wildcards in it become _, and so does a value
that is not there. AWS credentials come from where the AWS SDK looks for them.`

const example = `
- use: publish
  with:
    sns: {topic_arn: "arn:aws:sns:us-east-1:123456789012:events"}
    format: cloudevents
    attributes: {tenant: tenant_id, type: event_type}
    timeout: 10s`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	s := &stage{format: config.Format, fields: config.Attributes, timeout: config.Timeout}
	s.names = slices.Sorted(maps.Keys(config.Attributes))
	switch {
	case config.SNS != nil:
		s.group = config.SNS.Group
		s.open = func(ctx context.Context) (outlet, error) { return openSNS(ctx, *config.SNS) }
	case config.SQS != nil:
		s.group = config.SQS.Group
		s.open = func(ctx context.Context) (outlet, error) { return openSQS(ctx, *config.SQS) }
	default:
		s.subject = config.NATS.Subject
		s.open = func(ctx context.Context) (outlet, error) {
			return openNATS(ctx, *config.NATS, settings.Name, settings.Logger)
		}
	}
	s.opening = make(chan struct{}, 1)
	return s, nil
}

// outlet hands messages to one destination. It is safe for concurrent use.
type outlet interface {
	// send hands messages over and says in each of them what became of it.
	send(ctx context.Context, messages []*message)
	close() error
}

// message is an event on its way out.
type message struct {
	index      int // in the batch
	uid        string
	body       []byte
	media      string // the media type of body
	attributes []attribute
	group      string
	subject    string

	// err is why the message did not get through, when it may another time.
	err error
	// refusal is why it never will; its Code is empty otherwise.
	refusal pipeline.Reason
}

type attribute struct{ name, value string }

func (m *message) refuse(code, text string) { m.refusal = pipeline.Reason{Code: code, Message: text} }

// waiting reports whether nothing has been said of the message yet.
func (m *message) waiting() bool { return m.err == nil && m.refusal.Code == "" }

// stage opens its outlet with the first batch: a pipeline can be checked where there is no destination.
type stage struct {
	format  string
	names   []string // of the attributes, in order
	fields  map[string]pipeline.Path
	group   pipeline.Path
	subject Subject
	timeout time.Duration

	open    func(ctx context.Context) (outlet, error)
	opening chan struct{} // holds a token while somebody looks at outlet
	outlet  outlet
}

// Close implements io.Closer.
func (s *stage) Close() error {
	s.opening <- struct{}{}
	defer func() { <-s.opening }()
	if s.outlet == nil {
		return nil
	}
	err := s.outlet.close()
	s.outlet = nil
	return err
}

// opened returns the outlet, and opens it if nobody has yet.
func (s *stage) opened(ctx context.Context) (outlet, error) {
	select {
	case s.opening <- struct{}{}:
		defer func() { <-s.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.outlet == nil {
		opened, err := s.open(ctx)
		if err != nil {
			return nil, err
		}
		s.outlet = opened
	}
	return s.outlet, nil
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	messages := s.messages(batch)
	if len(messages) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("not done within %s", s.timeout))
	defer cancel()
	out, err := s.opened(limited)
	if err != nil {
		return fmt.Errorf("open the destination: %w", err)
	}
	out.send(limited, messages)
	return settle(batch, messages)
}

// settle says of each event what became of its message. When none got through the stage as a whole has failed.
func settle(batch *pipeline.Batch, messages []*message) error {
	delivered := 0
	var first error
	for _, m := range messages {
		switch {
		case m.refusal.Code != "":
			batch.Reject(m.index, m.refusal)
		case m.err == nil:
			delivered++
		case first == nil:
			first = m.err
		}
	}
	if first == nil {
		return nil
	}
	if delivered == 0 {
		return fmt.Errorf("publish: %w", first)
	}
	for _, m := range messages {
		if m.err != nil {
			batch.Retry(m.index, fmt.Errorf("publish: %w", m.err))
		}
	}
	return nil
}

// messages makes the messages of a batch and rejects the events that have none.
func (s *stage) messages(batch *pipeline.Batch) []*message {
	messages := make([]*message, 0, batch.PendingLen())
	for i, event := range batch.Pending() {
		m, err := s.message(event)
		if err != nil {
			batch.Reject(i, pipeline.Reason{Code: CodeEncode, Message: err.Error()})
			continue
		}
		m.index = i
		messages = append(messages, m)
	}
	return messages
}

func (s *stage) message(event *tracking.Event) (*message, error) {
	m := &message{uid: event.UID.String()}
	var err error
	if m.body, m.media, err = encode(s.format, event); err != nil {
		return nil, err
	}
	if !s.subject.IsZero() {
		if m.subject, err = s.subject.Of(event); err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
	}
	if m.group, _ = s.group.String(event); m.group == "" {
		m.group = m.uid
	}
	for _, name := range s.names {
		if value, ok := s.fields[name].String(event); ok && value != "" { // AWS refuses empty values
			m.attributes = append(m.attributes, attribute{name, value})
		}
	}
	return m, nil
}

// encode writes an event in a format and returns the media type of what it wrote.
func encode(format string, event *tracking.Event) ([]byte, string, error) {
	const plain = "application/json"
	var body []byte
	var err error
	media := plain
	switch format {
	case formatCloudEvents:
		media = "application/cloudevents+json"
		body, err = cloudevents.Encode(event)
	case formatEvent:
		body, err = wire(event)
	default:
		if body = event.Payload; len(body) == 0 {
			err = errors.New("the event has no payload to send; keep such events from this stage by a condition (when)")
		} else if !json.Valid(body) {
			err = errors.New("the payload is not JSON")
		}
	}
	if err == nil && !utf8.Valid(body) {
		err = errors.New("the event is not UTF-8")
	}
	return body, media, err
}

// wire writes an event in the form of the wire.
func wire(event *tracking.Event) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(event); err != nil {
		return nil, fmt.Errorf("write the event as JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
