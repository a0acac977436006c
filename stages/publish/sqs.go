package publish

import (
	"context"
	"net/url"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

var queueHost = regexp.MustCompile(`^sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)

// region is what the config says, or else that of the queue's host; empty when neither tells.
func (s *SQS) region() string {
	if s.Region != "" {
		return s.Region
	}
	if u, err := url.Parse(s.QueueURL); err == nil {
		if found := queueHost.FindStringSubmatch(u.Hostname()); found != nil {
			return found[1]
		}
	}
	return ""
}

func openSQS(ctx context.Context, config SQS) (outlet, error) {
	loaded, httpClient, err := awsConfig(ctx, config.region())
	if err != nil {
		return nil, err
	}
	client := sqs.NewFromConfig(loaded, func(o *sqs.Options) {
		if config.Endpoint != "" {
			o.BaseEndpoint = aws.String(config.Endpoint)
		}
	})
	fifo := isFIFO(config.QueueURL)
	return &awsOutlet{
		fifo: fifo, maxBytes: int(config.MaxBytes), client: httpClient,
		request: func(ctx context.Context, messages []*message) (map[int]entryError, error) {
			entries := make([]types.SendMessageBatchRequestEntry, len(messages))
			for i, m := range messages {
				entries[i] = types.SendMessageBatchRequestEntry{Id: entryID(i), MessageBody: aws.String(string(m.body)), MessageAttributes: sqsAttributes(m)}
				if fifo {
					entries[i].MessageGroupId, entries[i].MessageDeduplicationId = aws.String(groupID(m.group)), aws.String(m.uid)
				}
			}
			answer, err := client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: aws.String(config.QueueURL), Entries: entries})
			if err != nil {
				return nil, err
			}
			return byEntry(answer.Failed, func(f types.BatchResultErrorEntry) (*string, entryError) {
				return f.Id, entryError{aws.ToString(f.Code), aws.ToString(f.Message), f.SenderFault}
			}, len(messages))
		},
	}, nil
}

func sqsAttributes(m *message) map[string]types.MessageAttributeValue {
	values := make(map[string]types.MessageAttributeValue, len(m.attributes))
	for _, a := range m.attributes {
		values[a.name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(a.value)}
	}
	return values
}
