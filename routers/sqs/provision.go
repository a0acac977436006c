package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	wmsns "github.com/ThreeDotsLabs/watermill-aws/sns"
	wmsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// How long queues keep what is not received, in seconds: a week, and two for dead letters, whose time counts from when they
// were sent.
const (
	retention           = "604800"
	deadLetterRetention = "1209600"
)

// provisionParallel is how many topics are seen to at once.
const provisionParallel = 8

// ErrMissing says that queues, topics or subscriptions that the pipelines need do not exist, or are not as they must be.
var ErrMissing = errors.New("SQS is not set up for this configuration")

// Provision implements routers.Transport. It creates what is missing when the config says so, and otherwise fails with an error
// that wraps ErrMissing and names all of it. A topic with several readers is an SNS topic with a subscribed queue each, a
// topic with one is its queue, and a topic with none is nothing.
func (t *Transport) Provision(ctx context.Context, topics []pipeline.Topic) error {
	var missing missingThings
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(provisionParallel)
	for _, place := range t.names.Places(topics) {
		group.Go(func() error {
			provision := t.check
			if t.config.Provision {
				provision = t.create
			}
			r, err := provision(ctx, place, &missing)
			if err != nil {
				return fmt.Errorf("provision topic %q: %w", place.Topic, err)
			}
			t.setRoute(place.Topic, r)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return missing.err()
}

// create makes a place exist.
func (t *Transport) create(ctx context.Context, place Place, _ *missingThings) (route, error) {
	var r route
	var policy string
	if place.SNSTopic != "" {
		input, err := wmsns.GenerateCreateTopicInputDefault(ctx, wmsns.TopicName(place.SNSTopic), wmsns.ConfigAttributes{})
		if err != nil {
			return route{}, fmt.Errorf("create SNS topic: %w", err)
		}
		topic, err := t.sns.CreateTopic(ctx, &input)
		if err != nil {
			return route{}, fmt.Errorf("create SNS topic %q: %w", place.SNSTopic, err)
		}
		r.sns = aws.ToString(topic.TopicArn)
	}
	for _, queue := range place.Queues {
		tags := t.tags(place.Topic, queue.Reader)
		_, deadLetters, err := t.createQueue(ctx, queue.DeadLetterQueue, tags, wmsqs.QueueConfigAttributes{MessageRetentionPeriod: deadLetterRetention})
		if err != nil {
			return route{}, err
		}
		attributes := wmsqs.QueueConfigAttributes{
			MessageRetentionPeriod: retention,
			VisibilityTimeout:      strconv.Itoa(int(t.config.VisibilityTimeout.Seconds())),
			MaximumMessageSize:     strconv.Itoa(t.config.MaxMessageBytes),
			RedrivePolicy:          fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, deadLetters, t.config.MaxReceives),
		}
		url, arn, err := t.createQueue(ctx, queue.Name, tags, attributes)
		if err != nil {
			return route{}, err
		}
		r.queues = append(r.queues, url)
		if r.sns == "" {
			continue
		}
		if policy, err = accessPolicy(ctx, arn, r.sns); err != nil {
			return route{}, err
		}
		if err := t.subscribe(ctx, url, arn, policy, r.sns); err != nil {
			return route{}, err
		}
	}
	return r, nil
}

// createQueue makes a queue exist with the attributes, and the tags if it is new, and returns its URL and ARN.
func (t *Transport) createQueue(ctx context.Context, name string, tags map[string]string, attributes wmsqs.QueueConfigAttributes) (url, arn string, err error) {
	input, err := wmsqs.GenerateCreateQueueInputDefault(ctx, wmsqs.QueueName(name), attributes)
	if err != nil {
		return "", "", fmt.Errorf("create queue: %w", err)
	}
	input.Tags = tags
	created, err := t.sqs.CreateQueue(ctx, input)
	var exists *types.QueueNameExists // with other attributes
	switch {
	case errors.As(err, &exists):
		if url, err = t.queueURL(ctx, name); err != nil {
			return "", "", err
		}
		if _, err := t.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: aws.String(url), Attributes: input.Attributes}); err != nil {
			return "", "", fmt.Errorf("update queue %q: %w", name, err)
		}
	case err != nil:
		return "", "", fmt.Errorf("create queue %q: %w", name, err)
	default:
		url = aws.ToString(created.QueueUrl)
	}
	has, err := t.attributes(ctx, url, types.QueueAttributeNameQueueArn)
	if err != nil {
		return "", "", fmt.Errorf("create queue %q: %w", name, err)
	}
	return url, has[string(types.QueueAttributeNameQueueArn)], nil
}

func accessPolicy(ctx context.Context, queueARN, topicARN string) (string, error) {
	policy, err := wmsns.GenerateQueueAccessPolicyDefault(ctx, wmsns.GenerateQueueAccessPolicyParams{
		SqsQueueArn: wmsqs.QueueArn(queueARN), SnsTopicArn: wmsns.TopicArn(topicARN),
	})
	if err != nil {
		return "", fmt.Errorf("make access policy: %w", err)
	}
	text, err := json.Marshal(policy)
	if err != nil {
		return "", fmt.Errorf("make access policy: %w", err)
	}
	return string(text), nil
}

// subscribe has an SNS topic deliver to a queue.
func (t *Transport) subscribe(ctx context.Context, url, queueARN, policy, topicARN string) error {
	if _, err := t.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: aws.String(url), Attributes: map[string]string{string(types.QueueAttributeNamePolicy): policy},
	}); err != nil {
		return fmt.Errorf("allow %s to send to %s: %w", topicARN, queueARN, err)
	}
	input, err := wmsns.GenerateSubscribeInputDefault(ctx, wmsns.GenerateSubscribeInputParams{
		SnsTopicArn: wmsns.TopicArn(topicARN), SqsQueueArn: wmsqs.QueueArn(queueARN),
	})
	if err == nil {
		_, err = t.sns.Subscribe(ctx, input)
	}
	if err != nil {
		return fmt.Errorf("subscribe %s to %s: %w", queueARN, topicARN, err)
	}
	return nil
}

func (t *Transport) attributes(ctx context.Context, url string, names ...types.QueueAttributeName) (map[string]string, error) {
	out, err := t.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(url), AttributeNames: names})
	if err != nil {
		return nil, fmt.Errorf("read attributes: %w", err)
	}
	return out.Attributes, nil
}

// check finds a place and notes what of it is missing.
func (t *Transport) check(ctx context.Context, place Place, missing *missingThings) (route, error) {
	var r route
	arns := make([]string, len(place.Queues)) // empty for a queue that does not exist
	for i, queue := range place.Queues {
		who := fmt.Sprintf("(topic %s, reader %s)", place.Topic, queue.Reader)
		url, err := t.queueURL(ctx, queue.Name)
		if errors.Is(err, routers.ErrNoQueue) {
			missing.add("queue %s does not exist %s", queue.Name, who)
			continue
		}
		if err != nil {
			return route{}, err
		}
		has, err := t.attributes(ctx, url, types.QueueAttributeNameQueueArn, types.QueueAttributeNameMaximumMessageSize,
			types.QueueAttributeNameRedrivePolicy)
		if err != nil {
			return route{}, fmt.Errorf("queue %s: %w", queue.Name, err)
		}
		arns[i] = has[string(types.QueueAttributeNameQueueArn)]
		r.queues = append(r.queues, url)
		if !strings.Contains(has[string(types.QueueAttributeNameRedrivePolicy)], "deadLetterTargetArn") {
			missing.add("queue %s has no redrive policy to %s %s", queue.Name, queue.DeadLetterQueue, who)
		}
		if most, err := strconv.Atoi(has[string(types.QueueAttributeNameMaximumMessageSize)]); err == nil && most > 0 && most < t.config.MaxMessageBytes {
			missing.add("queue %s takes messages of %d bytes, RASTRO_SQS_MAX_MESSAGE_BYTES is %d %s", queue.Name, most, t.config.MaxMessageBytes, who)
		}
	}
	if place.SNSTopic == "" {
		return r, nil
	}
	i := slices.IndexFunc(arns, func(arn string) bool { return arn != "" })
	if i < 0 {
		missing.add("SNS topic %s needs to be subscribed by these queues (topic %s)", place.SNSTopic, place.Topic)
		return r, nil
	}
	r.sns = topicARN(arns[i], place.SNSTopic)
	return r, t.checkSubscriptions(ctx, place, r.sns, arns, missing)
}

// topicARN is the ARN of an SNS topic in the region and account of a queue.
func topicARN(queueARN, topic string) string {
	parts := strings.SplitN(queueARN, ":", 6) // arn:PARTITION:sqs:REGION:ACCOUNT:NAME
	if len(parts) < 6 {
		return topic
	}
	parts[2], parts[5] = "sns", topic
	return strings.Join(parts, ":")
}

func (t *Transport) checkSubscriptions(ctx context.Context, place Place, topic string, arns []string, missing *missingThings) error {
	subscribed := map[string]string{} // subscription by queue
	pages := sns.NewListSubscriptionsByTopicPaginator(t.sns, &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(topic)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNotFound(err) {
			missing.add("SNS topic %s does not exist (topic %s)", place.SNSTopic, place.Topic)
			return nil
		}
		if err != nil {
			return fmt.Errorf("list subscriptions of %s: %w", topic, err)
		}
		for _, s := range page.Subscriptions {
			subscribed[aws.ToString(s.Endpoint)] = aws.ToString(s.SubscriptionArn)
		}
	}
	for i, queue := range place.Queues {
		if arns[i] == "" {
			continue // named already
		}
		subscription, is := subscribed[arns[i]]
		if !is {
			missing.add("queue %s is not subscribed to SNS topic %s (topic %s, reader %s)", queue.Name, place.SNSTopic, place.Topic, queue.Reader)
			continue
		}
		has, err := t.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: aws.String(subscription)})
		if err != nil {
			return fmt.Errorf("read subscription of %s: %w", queue.Name, err)
		}
		if has.Attributes["RawMessageDelivery"] != "true" {
			missing.add("the subscription of queue %s to SNS topic %s has no raw message delivery (topic %s, reader %s)",
				queue.Name, place.SNSTopic, place.Topic, queue.Reader)
		}
	}
	return nil
}

func isNotFound(err error) bool {
	var notFound *snstypes.NotFoundException
	return errors.As(err, &notFound) || strings.HasSuffix(errorCode(err), "NonExistentTopic")
}

// missingThings gathers what is missing, for one error that names all of it.
type missingThings struct {
	mu     sync.Mutex
	things []string
}

func (m *missingThings) add(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.things = append(m.things, fmt.Sprintf(format, args...))
}

func (m *missingThings) err() error {
	if len(m.things) == 0 {
		return nil
	}
	slices.Sort(m.things)
	return fmt.Errorf("%w:\n  %s\n`rastro pipeline topics --format tfvars` prints what Terraform needs to make it; RASTRO_SQS_PROVISION=true has rastro make it",
		ErrMissing, strings.Join(m.things, "\n  "))
}
