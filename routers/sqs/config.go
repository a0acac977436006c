package sqs

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Limits of the services.
const (
	// DefaultMessageBytes is what a queue takes in a message unless it is set to take more, and what SNS takes.
	DefaultMessageBytes = 256 << 10
	// MostMessageBytes is what a queue can be set to take.
	MostMessageBytes = 1 << 20

	maxBatch      = 10 // entries in a request
	maxWait       = 20 * time.Second
	maxVisibility = 12 * time.Hour
	maxGather     = 10 * time.Second
	maxQueueName  = 80
)

// Config configures the transport.
type Config struct {
	// Region of the queues and topics. Defaults to what the SDK finds in the environment, the profile or the instance.
	Region string
	// Endpoint answers for SQS, and for SNS when SNSEndpoint is empty: an emulator, or a VPC endpoint. Defaults to AWS's.
	Endpoint string
	// SNSEndpoint answers for SNS where that is not Endpoint.
	SNSEndpoint string
	// Credentials sign the requests. Defaults to what the SDK finds: environment, profile, or the role of the task.
	Credentials aws.CredentialsProvider
	// Prefix begins the name of every queue and topic, so that several systems can share an account. No prefix may be another
	// one with a dash and more after it. Defaults to rastro.
	Prefix string
	// Provision makes Provision create what is missing. Without it Provision only checks, and its error names what is missing.
	Provision bool
	// VisibilityTimeout is how long a message stays hidden without a sign of life: how long after a crash its work is taken
	// up. Live processes renew it at half the time. Whole seconds. Defaults to 30 s.
	VisibilityTimeout time.Duration
	// Wait is how long a request for messages waits for one to come. Whole seconds, up to 20; longer is cheaper.
	// Defaults to 20 s.
	Wait time.Duration
	// Gather is how long a queue is left alone that brought few messages, so that more come with the next request: fewer
	// requests, for events that come later. A queue that fills a request is asked again at once. What comes in waits half as long for
	// what comes right after it. Defaults to 200 ms; 0 never waits.
	Gather time.Duration
	// Pollers is how many requests for messages a subscription has under way at once while it finds its queue full; a quiet
	// one has a single request. Defaults to 4.
	Pollers int
	// MaxMessageBytes is the largest message that the queues take. Defaults to 256 KiB; queues can be set to take 1 MiB.
	MaxMessageBytes int
	// MaxInFlightBytes bounds what the messages that a subscriber holds take in memory, as they are received. Defaults to
	// 16 MiB.
	MaxInFlightBytes int
	// MaxReceives is how often a message is received before its queue gives it up to its dead-letter queue. Rejected events
	// do not go that way, and an outage receives nothing: this is for what kills every process that takes it up, so it leaves
	// room for many restarts. Defaults to 50.
	MaxReceives int
	// NackDelay is how long a message that was not handled stays hidden the first time; it doubles with every receive up to
	// MaxNackDelay. What a stopping process lets go of is visible again at once. Whole seconds. Defaults to 1 s and 60 s.
	NackDelay, MaxNackDelay time.Duration
	// GivenUpEvery is how often dead-letter queues are looked at that were found empty; what is in them is brought in. Defaults
	// to 1 min.
	GivenUpEvery time.Duration
	// PublishTimeout is how long storing messages may take, retries included. Defaults to 15 s.
	PublishTimeout time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Prefix: "rastro", VisibilityTimeout: 30 * time.Second, Wait: maxWait, Gather: 200 * time.Millisecond, Pollers: 4,
		MaxMessageBytes: DefaultMessageBytes, MaxInFlightBytes: 16 << 20, MaxReceives: 50,
		NackDelay: time.Second, MaxNackDelay: time.Minute, PublishTimeout: 15 * time.Second,
		GivenUpEvery: time.Minute,
	}
}

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,29}$`)

// Validate reports everything that is wrong with the config.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("sqs: "+format, args...))
		}
	}
	seconds := func(d time.Duration) bool { return d%time.Second == 0 }
	check(prefixPattern.MatchString(c.Prefix), "prefix %q: give it 1 to 30 letters, digits, - and _, a letter or digit first", c.Prefix)
	check(c.VisibilityTimeout >= 2*time.Second && c.VisibilityTimeout <= maxVisibility && seconds(c.VisibilityTimeout),
		"visibility timeout %v: give it whole seconds, 2s to 12h", c.VisibilityTimeout)
	check(c.Wait >= time.Second && c.Wait <= maxWait && seconds(c.Wait), "wait %v: give it whole seconds, 1s to 20s", c.Wait)
	check(c.Gather >= 0 && c.Gather <= maxGather, "gather %v: give it 0 to %v", c.Gather, maxGather)
	check(c.Pollers >= 1 && c.Pollers <= 64, "%d pollers: give it 1 to 64", c.Pollers)
	check(c.MaxMessageBytes >= 4<<10 && c.MaxMessageBytes <= MostMessageBytes,
		"messages of %d bytes: give it 4096 to %d", c.MaxMessageBytes, MostMessageBytes)
	check(c.MaxInFlightBytes >= c.MaxMessageBytes, "%d bytes in flight: not one message of %d bytes has room", c.MaxInFlightBytes, c.MaxMessageBytes)
	check(c.MaxReceives >= 1 && c.MaxReceives <= 1000, "%d receives: give it 1 to 1000", c.MaxReceives)
	check(c.NackDelay >= 0 && seconds(c.NackDelay) && c.MaxNackDelay >= c.NackDelay && c.MaxNackDelay <= maxVisibility && seconds(c.MaxNackDelay),
		"nack delays %v to %v: give them whole seconds, the first no longer than the last", c.NackDelay, c.MaxNackDelay)
	check(c.GivenUpEvery > 0, "looking at dead-letter queues every %v: give it more than 0", c.GivenUpEvery)
	check(c.PublishTimeout > 0, "publish timeout %v: give it more than 0", c.PublishTimeout)
	return errors.Join(errs...)
}

// patience is how long events that come in wait for others: so that their senders wait less than a queue is left alone, half as long.
func (c Config) patience() (quiet, most time.Duration) {
	return min(gatherQuiet, c.Gather/2), c.Gather / 2
}

// nackDelay is how long a message that was received so often stays hidden after it was not handled.
func (c Config) nackDelay(receives int) time.Duration {
	delay := c.NackDelay
	for range receives - 1 {
		if delay >= c.MaxNackDelay {
			break
		}
		delay *= 2
	}
	return min(delay, c.MaxNackDelay)
}
