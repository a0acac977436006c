package sqs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// Queues that Provision makes bear tags that say for what: by them a queue is known to be of this installation, whose prefix may
// be the beginning of another's.
const (
	tagPrefix = "rastro:prefix"
	tagTopic  = "rastro:topic"
	tagReader = "rastro:reader"
)

// ErrNotOurs says that a queue does not bear the tags of those that this installation makes.
var ErrNotOurs = errors.New("the queue has no tags that say that this installation made it")

func (t *Transport) tags(topic, reader string) map[string]string {
	return map[string]string{tagPrefix: t.config.Prefix, tagTopic: topic, tagReader: reader}
}

var _ routers.Tidier = (*Transport)(nil)

// Stale implements routers.Tidier: it lists queues whose names are as ours and that no reader of the topics has. Those whose tags
// say that another installation made them are left out, and those without tags are unsure: whoever made them removes them. A
// queue and its dead-letter queue are one; the backlog is of both.
func (t *Transport) Stale(ctx context.Context, topics []pipeline.Topic) ([]routers.StaleReader, error) {
	queues, err := t.listQueues(ctx)
	if err != nil {
		return nil, err
	}
	for _, place := range t.names.Places(topics) {
		for _, queue := range place.Queues {
			delete(queues, queue.Name)
			delete(queues, queue.DeadLetterQueue)
		}
	}
	var stale []routers.StaleReader
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		if base, is := strings.CutSuffix(name, deadLetterSuffix); is && queues[base] != "" {
			continue // with its queue
		}
		one, ours, err := t.staleQueue(ctx, name, queues[name], queues[t.names.DeadLetterQueue(name)])
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", name, err)
		}
		if ours {
			stale = append(stale, one)
		}
	}
	return stale, nil
}

// listQueues returns the URLs of all queues whose names begin as ours, by name.
func (t *Transport) listQueues(ctx context.Context) (map[string]string, error) {
	queues := map[string]string{}
	begin := t.config.Prefix + "-"
	pages := sqs.NewListQueuesPaginator(t.sqs, &sqs.ListQueuesInput{QueueNamePrefix: aws.String(begin), MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list queues: %w", err)
		}
		for _, url := range page.QueueUrls {
			if name := path.Base(url); strings.HasPrefix(name, begin) {
				queues[name] = url
			}
		}
	}
	return queues, nil
}

// staleQueue describes a queue that nobody reads; false when it is another installation's, or is gone.
func (t *Transport) staleQueue(ctx context.Context, name, url, deadLetters string) (routers.StaleReader, bool, error) {
	one := routers.StaleReader{Place: name}
	tags, err := t.tagsOf(ctx, url)
	if err != nil {
		return one, false, err
	}
	if prefix, tagged := tags[tagPrefix]; tagged && prefix != t.config.Prefix {
		return one, false, nil
	}
	one.Topic, one.Reader = tags[tagTopic], tags[tagReader]
	// An orphaned dead-letter queue, or one whose tags were changed, is nothing that Forget finds by topic and reader.
	if one.Unsure = t.names.Queue(one.Topic, one.Reader) != name; one.Unsure {
		one.Topic, one.Reader = "", ""
	}
	for _, each := range []string{url, deadLetters} {
		if each == "" {
			continue
		}
		has, err := t.attributes(ctx, each, append(backlogCounts(), types.QueueAttributeNameCreatedTimestamp)...)
		if errorIsNoQueue(err) {
			continue // somebody else tidies too
		}
		if err != nil {
			return one, false, err
		}
		waiting, err := readCounts(has)
		if err != nil {
			return one, false, err
		}
		one.Backlog += waiting.Total()
		made, err := strconv.ParseInt(has[string(types.QueueAttributeNameCreatedTimestamp)], 10, 64)
		if err == nil && made > 0 && each == url {
			one.Since = time.Unix(made, 0).UTC()
		}
		one.Commands = append(one.Commands, "aws sqs delete-queue --queue-url "+each)
	}
	return one, len(one.Commands) > 0, nil
}

// tagsOf returns the tags of a queue; none where it is gone, or the endpoint is an emulator that knows no tags.
func (t *Transport) tagsOf(ctx context.Context, url string) (map[string]string, error) {
	out, err := t.sqs.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: aws.String(url)})
	switch code := errorCode(err); {
	case err == nil:
		return out.Tags, nil
	case errorIsNoQueue(err), strings.Contains(code, "Unsupported"), strings.Contains(code, "InvalidAction"), strings.Contains(code, "AccessDenied"):
		return nil, nil
	default:
		return nil, fmt.Errorf("read tags: %w", err)
	}
}

// Forget implements routers.Tidier: it removes the queue of a reader, its dead-letter queue and its subscription. The error wraps
// ErrNotOurs when the queue does not bear our tags. SQS makes no queue of the same name for a minute after that.
func (t *Transport) Forget(ctx context.Context, topic, reader string) error {
	if err := t.forget(ctx, topic, reader); err != nil {
		return fmt.Errorf("forget reader %q of topic %q: %w", reader, topic, err)
	}
	return nil
}

func (t *Transport) forget(ctx context.Context, topic, reader string) error {
	queues, err := t.listQueues(ctx)
	if err != nil {
		return err
	}
	name := t.names.Queue(topic, reader)
	url := queues[name]
	if url == "" {
		return nil
	}
	tags, err := t.tagsOf(ctx, url)
	if err != nil {
		return err
	}
	if !maps.Equal(t.tags(topic, reader), ours(tags)) {
		return fmt.Errorf("queue %s: %w", name, ErrNotOurs)
	}
	if err := t.unsubscribe(ctx, topic, url); err != nil {
		return err
	}
	// The dead-letter queue first: without its queue it would not be known for ours.
	for _, each := range []string{queues[t.names.DeadLetterQueue(name)], url} {
		if each == "" {
			continue
		}
		_, err := t.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: aws.String(each)})
		if err != nil && !errorIsNoQueue(err) {
			return fmt.Errorf("delete queue %s: %w", path.Base(each), err)
		}
	}
	return nil
}

// ours are the tags that Provision sets.
func ours(tags map[string]string) map[string]string {
	set := map[string]string{}
	for _, key := range []string{tagPrefix, tagTopic, tagReader} {
		set[key] = tags[key]
	}
	return set
}

// unsubscribe takes a queue off the SNS topic of its topic, where there is one.
func (t *Transport) unsubscribe(ctx context.Context, topic, url string) error {
	has, err := t.attributes(ctx, url, types.QueueAttributeNameQueueArn)
	if err != nil {
		return err
	}
	queueARN := has[string(types.QueueAttributeNameQueueArn)]
	pages := sns.NewListSubscriptionsByTopicPaginator(t.sns, &sns.ListSubscriptionsByTopicInput{
		TopicArn: aws.String(topicARN(queueARN, t.names.Topic(topic))),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNotFound(err) {
			return nil // the topic had one reader
		}
		if err != nil {
			return fmt.Errorf("list subscriptions: %w", err)
		}
		for _, s := range page.Subscriptions {
			if aws.ToString(s.Endpoint) != queueARN {
				continue
			}
			if _, err := t.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: s.SubscriptionArn}); err != nil && !isNotFound(err) {
				return fmt.Errorf("unsubscribe %s: %w", queueARN, err)
			}
		}
	}
	return nil
}

func errorIsNoQueue(err error) bool {
	var gone *types.QueueDoesNotExist
	return errors.As(err, &gone) || strings.Contains(cmp.Or(errorCode(err), "-"), "NonExistentQueue")
}

// backlogCounts are the attributes that count what is not settled.
func backlogCounts() []types.QueueAttributeName {
	return []types.QueueAttributeName{
		types.QueueAttributeNameApproximateNumberOfMessages,
		types.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		types.QueueAttributeNameApproximateNumberOfMessagesDelayed,
	}
}

// readCounts reads them. goaws has no delayed ones.
func readCounts(attributes map[string]string) (backlog routers.Backlog, err error) {
	for i, count := range []*int64{&backlog.Ready, &backlog.InFlight, &backlog.Delayed} {
		name := backlogCounts()[i]
		value, has := attributes[string(name)]
		if !has {
			continue
		}
		if *count, err = strconv.ParseInt(value, 10, 64); err != nil {
			return backlog, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return backlog, nil
}
