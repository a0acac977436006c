package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rastrohq/rastro/routers"
)

// requestTimeout is how long one request may take, besides what it asks the service to wait.
const requestTimeout = 10 * time.Second

// Transport implements routers.Transport.
type Transport struct {
	config    Config
	names     Names
	sqs       *sqs.Client
	sns       *sns.Client
	http      *httpClient
	urls      *wmsqs.GetQueueUrlByNameUrlResolver
	marshaler *Marshaler
	metrics   *Metrics
	logger    *slog.Logger
	publisher *Publisher
	// unbatched says that the endpoint is an emulator that has no ChangeMessageVisibilityBatch.
	unbatched atomic.Bool
	// unfound has the dead-letter queues that were said not to exist.
	unfound sync.Map

	mu     sync.RWMutex
	routes map[string]route // by topic

	closeOnce sync.Once
	closed    error
}

// route is where messages of a topic go.
type route struct {
	sns    string   // ARN of the SNS topic; empty when there is one reader or none
	queues []string // URLs
}

var _ routers.Transport = (*Transport)(nil)

// Connect prepares the clients; nothing is asked of AWS until it is needed. Close must be called.
func Connect(ctx context.Context, config Config, metrics *Metrics, logger *slog.Logger) (*Transport, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	marshaler, err := NewMarshaler()
	if err != nil {
		return nil, err
	}
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 2 * time.Second })
		}),
	}
	if config.Region != "" {
		options = append(options, awsconfig.WithRegion(config.Region))
	}
	if config.Credentials != nil {
		options = append(options, awsconfig.WithCredentialsProvider(config.Credentials))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	if loaded.Region == "" {
		return nil, errors.New("sqs: no AWS region is set: set RASTRO_SQS_REGION or AWS_REGION")
	}
	transport := awshttp.NewBuildableClient().GetTransport()
	if own, is := loaded.HTTPClient.(*awshttp.BuildableClient); is {
		transport = own.GetTransport()
	}
	client := newHTTPClient(transport, metrics)
	loaded.HTTPClient = client
	t := &Transport{
		config: config, names: Names{config.Prefix}, http: client, marshaler: marshaler, metrics: metrics, logger: logger,
		urls:   wmsqs.NewGetQueueUrlByNameUrlResolver(wmsqs.GetQueueUrlByNameUrlResolverConfig{}),
		routes: map[string]route{},
	}
	t.sqs = sqs.NewFromConfig(loaded, func(o *sqs.Options) {
		if config.Endpoint != "" {
			o.BaseEndpoint = aws.String(config.Endpoint)
		}
	})
	t.sns = sns.NewFromConfig(loaded, func(o *sns.Options) {
		if endpoint := firstSet(config.SNSEndpoint, config.Endpoint); endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})
	t.publisher = newPublisher(t)
	return t, nil
}

func firstSet(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// Publisher implements routers.Transport.
func (t *Transport) Publisher() message.Publisher { return t.publisher }

// MaxFrameBytes implements routers.Transport. It is less than MaxMessageBytes by what a text that holds any bytes needs.
func (t *Transport) MaxFrameBytes() int { return frameBytes(t.config.MaxMessageBytes) }

const (
	// gatherMoment is how long it takes at most until the messages of one answer are with those who handle them.
	gatherMoment = 5 * time.Millisecond
	// gatherQuiet is how long nothing has to come in until what came is sent: senders that wait for their answers send nothing more.
	gatherQuiet = 15 * time.Millisecond
)

// Moment implements routers.Gathering.
func (t *Transport) Moment() time.Duration { return gatherMoment }

// Patience implements routers.Gathering.
func (t *Transport) Patience() (quiet, most time.Duration) { return t.config.patience() }

var _ routers.Gathering = (*Transport)(nil)

// Ping implements routers.Transport.
func (t *Transport) Ping(ctx context.Context) error {
	if _, err := t.sqs.ListQueues(ctx, &sqs.ListQueuesInput{
		QueueNamePrefix: aws.String(t.config.Prefix), MaxResults: aws.Int32(1),
	}); err != nil {
		return fmt.Errorf("ping SQS: %w", err)
	}
	return nil
}

// Backlog implements routers.Transport. SQS' counts are approximate and may be a minute old, and it does not say how old messages are.
func (t *Transport) Backlog(ctx context.Context, topic, reader string) (backlog routers.Backlog, err error) {
	url, err := t.queueURL(ctx, t.names.Queue(topic, reader))
	if err != nil {
		return backlog, fmt.Errorf("backlog of %q for %q: %w", topic, reader, err)
	}
	has, err := t.attributes(ctx, url, backlogCounts()...)
	if err != nil {
		if errorIsNoQueue(err) { // its address is remembered
			err = errors.Join(routers.ErrNoQueue, err)
		}
		return backlog, fmt.Errorf("backlog of %q for %q: %w", topic, reader, err)
	}
	if backlog, err = readCounts(has); err != nil {
		return backlog, fmt.Errorf("backlog of %q for %q: %w", topic, reader, err)
	}
	return backlog, nil
}

// Close implements routers.Transport.
func (t *Transport) Close() error {
	t.closeOnce.Do(func() {
		t.closed = t.publisher.Close()
		t.http.close()
		t.marshaler.dec.Close()
		if err := t.marshaler.enc.Close(); err != nil {
			t.closed = errors.Join(t.closed, fmt.Errorf("close message encoding: %w", err))
		}
	})
	return t.closed
}

// queueURL returns the URL of a queue by its name, asking SQS the first time. The error wraps routers.ErrNoQueue when it does not exist.
func (t *Transport) queueURL(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := t.urls.ResolveQueueUrl(ctx, wmsqs.ResolveQueueUrlParams{
		Topic: name, SqsClient: t.sqs, Logger: watermill.NopLogger{},
	})
	if err != nil {
		return "", fmt.Errorf("find queue %q: %w", name, err)
	}
	if found.QueueURL == nil {
		return "", fmt.Errorf("find queue %q: %w", name, routers.ErrNoQueue)
	}
	return string(*found.QueueURL), nil
}

func (t *Transport) routeOf(topic string) (route, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r, known := t.routes[topic]
	if !known {
		return route{}, fmt.Errorf("topic %q is not provisioned", topic)
	}
	return r, nil
}

func (t *Transport) setRoute(topic string, r route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routes[topic] = r
}
