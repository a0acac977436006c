package cli

import (
	"context"
	"net"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/routers/sqs"
)

// newTransport connects to the broker that the configuration names.
func newTransport(lc fx.Lifecycle, s surroundings, registerer prometheus.Registerer) (routers.Transport, error) {
	transport, err := connect(s, registerer)
	if err != nil {
		return nil, err
	}
	lc.Append(fx.StopHook(transport.Close))
	return transport, nil
}

func connect(s surroundings, registerer prometheus.Registerer) (routers.Transport, error) {
	if s.process.Broker.Kind == config.BrokerSQS {
		return connectSQS(s, registerer)
	}
	c := nats.DefaultConfig()
	c.URL, c.AckWait, c.MaxBytes, c.Replicas = s.process.Broker.NATSURL, s.process.Broker.AckWait, s.process.Broker.MaxBytes, s.process.Broker.Replicas
	c.MaxInFlightBytes, c.Domain = s.process.Broker.MaxInFlightBytes, s.process.Broker.Domain
	c.Options = s.broker
	return nats.Connect(c, s.logger)
}

func connectSQS(s surroundings, registerer prometheus.Registerer) (routers.Transport, error) {
	metrics, err := sqs.NewMetrics(registerer)
	if err != nil {
		return nil, err
	}
	c := sqsConfig(s.process)
	if onThisMachine(c.Endpoint) {
		// An emulator wants requests signed, and does not look by whom.
		if os.Getenv("AWS_ACCESS_KEY_ID") == "" {
			c.Credentials = credentials.NewStaticCredentialsProvider("rastro", "rastro", "")
		}
		if c.Region == "" && os.Getenv("AWS_REGION") == "" {
			c.Region = "us-east-1"
		}
	}
	return sqs.Connect(context.Background(), c, metrics, s.logger)
}

// onThisMachine reports whether an endpoint is an emulator's on this machine.
func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// sqsConfig is what the process configuration says of SQS.
func sqsConfig(process config.Process) sqs.Config {
	from, c := process.Broker.SQS, sqs.DefaultConfig()
	c.Region, c.Endpoint, c.SNSEndpoint = from.Region, from.Endpoint, from.SNSEndpoint
	c.Prefix, c.Provision = from.Prefix, from.Provision
	c.VisibilityTimeout, c.Wait, c.Gather, c.Pollers = from.VisibilityTimeout, from.Wait, from.Gather, from.Pollers
	c.MaxMessageBytes, c.MaxInFlightBytes, c.MaxReceives = from.MaxMessageBytes, from.MaxInFlightBytes, from.MaxReceives
	return c
}

// checkBroker reports what is wrong with the configuration of the broker.
func checkBroker(process config.Process) error {
	if process.Broker.Kind != config.BrokerSQS {
		return nil
	}
	return sqsConfig(process).Validate()
}
