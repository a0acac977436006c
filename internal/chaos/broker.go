package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rastrohq/rastro/config"
	devbroker "github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/internal/devstack/sqsemulator"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/routers/sqs"
)

// redelivery is how long after a kill the broker delivers again what the dead process had in hand.
const redelivery = 2 * time.Second

// broker is a broker in this process, which nobody kills, that the roles reach over TCP.
type broker struct {
	env       []string // what the roles are told of it
	transport routers.Transport
	topics    []topic
	stopping  []func()
}

// topic is a topic as `rastro pipeline topics --format json` tells it.
type topic struct {
	Name    string
	Readers []struct{ Pipeline string }
}

// startBroker starts a broker of a kind; one that keeps files keeps them in dir.
func startBroker(ctx context.Context, kind, dir string) (*broker, error) {
	b := &broker{}
	start := b.startNATS
	if kind == config.BrokerSQS {
		start = b.startSQS
	}
	if err := start(ctx, dir); err != nil {
		b.stop()
		return nil, err
	}
	b.stopping = append(b.stopping, func() { _ = b.transport.Close() })
	return b, nil
}

func (b *broker) startNATS(ctx context.Context, dir string) error {
	s, err := devbroker.Listen(ctx, dir)
	if err != nil {
		return err
	}
	b.stopping = append(b.stopping, s.Stop)
	c := nats.DefaultConfig()
	c.URL, c.AckWait = s.URL(), redelivery
	b.env = []string{"RASTRO_BROKER=nats", "RASTRO_NATS_URL=" + c.URL, "RASTRO_NATS_ACK_WAIT=" + redelivery.String()}
	b.transport, err = nats.Connect(c, slog.New(slog.DiscardHandler))
	return err
}

func (b *broker) startSQS(ctx context.Context, _ string) error {
	emulator, err := sqsemulator.Start(ctx)
	if err != nil {
		return err
	}
	b.stopping = append(b.stopping, emulator.Stop)
	c := sqs.DefaultConfig()
	c.Region, c.Endpoint, c.VisibilityTimeout, c.Wait = "us-east-1", emulator.URL(), redelivery, 2*time.Second
	c.Credentials = credentials.NewStaticCredentialsProvider("rastro", "rastro", "")
	b.env = []string{
		"RASTRO_BROKER=sqs", "RASTRO_SQS_ENDPOINT=" + c.Endpoint, "RASTRO_SQS_REGION=" + c.Region, "RASTRO_SQS_PROVISION=true",
		"RASTRO_SQS_VISIBILITY_TIMEOUT=" + c.VisibilityTimeout.String(), "RASTRO_SQS_WAIT=" + c.Wait.String(),
	}
	metrics, err := sqs.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return err
	}
	b.transport, err = sqs.Connect(ctx, c, metrics, slog.New(slog.DiscardHandler))
	return err
}

// know learns the topics from what `rastro pipeline topics` prints.
func (b *broker) know(printed []byte) error {
	if err := json.Unmarshal(printed, &b.topics); err != nil {
		return fmt.Errorf("read topics: %w", err)
	}
	if len(b.topics) == 0 {
		return errors.New("the pipelines have no topics")
	}
	return nil
}

// backlog returns how many messages are not settled yet, by all readers of all topics.
func (b *broker) backlog(ctx context.Context) (int64, error) {
	var total int64
	for _, t := range b.topics {
		for _, r := range t.Readers {
			n, err := b.transport.Backlog(ctx, t.Name, r.Pipeline)
			if err != nil {
				return 0, err
			}
			total += n.Total()
		}
	}
	return total, nil
}

// stop stops in the opposite order of starting.
func (b *broker) stop() {
	for i := len(b.stopping) - 1; i >= 0; i-- {
		b.stopping[i]()
	}
	b.stopping = nil
}
