package publish

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

func openSNS(ctx context.Context, config SNS) (outlet, error) {
	loaded, httpClient, err := awsConfig(ctx, config.region())
	if err != nil {
		return nil, err
	}
	client := sns.NewFromConfig(loaded, func(o *sns.Options) {
		if config.Endpoint != "" {
			o.BaseEndpoint = aws.String(config.Endpoint)
		}
	})
	fifo := isFIFO(config.TopicARN)
	return &awsOutlet{
		fifo: fifo, maxBytes: int(config.MaxBytes), client: httpClient,
		request: func(ctx context.Context, messages []*message) (map[int]entryError, error) {
			entries := make([]types.PublishBatchRequestEntry, len(messages))
			for i, m := range messages {
				entries[i] = types.PublishBatchRequestEntry{Id: entryID(i), Message: aws.String(string(m.body)), MessageAttributes: snsAttributes(m)}
				if fifo {
					entries[i].MessageGroupId, entries[i].MessageDeduplicationId = aws.String(groupID(m.group)), aws.String(m.uid)
				}
			}
			answer, err := client.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: aws.String(config.TopicARN), PublishBatchRequestEntries: entries})
			if err != nil {
				return nil, err
			}
			return byEntry(answer.Failed, func(f types.BatchResultErrorEntry) (*string, entryError) {
				return f.Id, entryError{aws.ToString(f.Code), aws.ToString(f.Message), f.SenderFault}
			}, len(messages))
		},
	}, nil
}

func snsAttributes(m *message) map[string]types.MessageAttributeValue {
	values := make(map[string]types.MessageAttributeValue, len(m.attributes))
	for _, a := range m.attributes {
		values[a.name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(a.value)}
	}
	return values
}
