package sqsemulator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/sqsemulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*sqs.Client, *sns.Client) {
	t.Helper()
	server, err := sqsemulator.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	keys := credentials.NewStaticCredentialsProvider("a", "b", "")
	return sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: aws.String(server.URL()), Credentials: keys}),
		sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: aws.String(server.URL()), Credentials: keys})
}

func create(t *testing.T, client *sqs.Client, name string, attributes map[string]string) *string {
	t.Helper()
	out, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
	require.NoError(t, err)
	return out.QueueUrl
}

func receive(t *testing.T, client *sqs.Client, url *string, wait int32) []types.Message {
	t.Helper()
	out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: url, WaitTimeSeconds: wait, VisibilityTimeout: 1, MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	require.NoError(t, err)
	return out.Messages
}

func TestALongPollEndsWhenAMessageComes(t *testing.T) {
	client, _ := start(t)
	// A queue may itself say how long receives wait.
	url := create(t, client, "q", map[string]string{"ReceiveMessageWaitTimeSeconds": "20"})
	started := time.Now()
	done := make(chan []types.Message, 1)
	go func() {
		out, err := client.ReceiveMessage(context.WithoutCancel(t.Context()), &sqs.ReceiveMessageInput{QueueUrl: url})
		if err == nil {
			done <- out.Messages
		}
		close(done)
	}()
	_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("bag")})
	require.NoError(t, err)
	require.Len(t, <-done, 1)
	require.Less(t, time.Since(started), 10*time.Second)
}

func TestAMessageBecomesVisibleAgainAndIsCounted(t *testing.T) {
	client, _ := start(t)
	dead := create(t, client, "dead", nil)
	url := create(t, client, "q", map[string]string{
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs::%s:dead","maxReceiveCount":"2"}`, sqsemulator.Account),
	})
	_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("bag")})
	require.NoError(t, err)
	first := receive(t, client, url, 0)
	require.Len(t, first, 1)
	require.Equal(t, "1", first[0].Attributes["ApproximateReceiveCount"])
	require.Empty(t, receive(t, client, url, 0), "hidden")
	counts, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"All"}})
	require.NoError(t, err)
	require.Equal(t, "0", counts.Attributes["ApproximateNumberOfMessages"])
	require.Equal(t, "1", counts.Attributes["ApproximateNumberOfMessagesNotVisible"])

	second := receive(t, client, url, 5)
	require.Len(t, second, 1)
	require.Equal(t, "2", second[0].Attributes["ApproximateReceiveCount"])
	require.Equal(t, first[0].Attributes["SentTimestamp"], second[0].Attributes["SentTimestamp"])
	require.Empty(t, receive(t, client, url, 2), "it was received often enough")
	require.Len(t, receive(t, client, dead, 0), 1)
}

func TestBatchesSayWhatWasTaken(t *testing.T) {
	client, topics := start(t)
	url := create(t, client, "q", nil)
	input := &sqs.SendMessageBatchInput{QueueUrl: url}
	for i := range 10 {
		input.Entries = append(input.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("bag")})
	}
	sent, err := client.SendMessageBatch(t.Context(), input)
	require.NoError(t, err)
	require.Len(t, sent.Successful, 10)

	topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("t")})
	require.NoError(t, err)
	_, err = client.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"Policy": `{"Version":"2012-10-17"}`}})
	require.NoError(t, err)
	_, err = topics.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs::" + sqsemulator.Account + ":q"),
		Attributes: map[string]string{"RawMessageDelivery": "true"},
	})
	require.NoError(t, err)
	published := &sns.PublishBatchInput{TopicArn: topic.TopicArn}
	for i := range 10 {
		published.PublishBatchRequestEntries = append(published.PublishBatchRequestEntries, snstypes.PublishBatchRequestEntry{
			Id: aws.String(fmt.Sprint(i)), Message: aws.String(fmt.Sprintf("bag %d", i)),
			MessageAttributes: map[string]snstypes.MessageAttributeValue{"k": {DataType: aws.String("String"), StringValue: aws.String(fmt.Sprint(i))}},
		})
	}
	out, err := topics.PublishBatch(t.Context(), published)
	require.NoError(t, err)
	require.Len(t, out.Successful, 10)
	require.Len(t, receive(t, client, url, 0), 10)
	require.Len(t, receive(t, client, url, 0), 10)
}

func TestErrorsHaveTheirNames(t *testing.T) {
	client, _ := start(t)
	_, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("none")})
	var missing *types.QueueDoesNotExist
	require.ErrorAs(t, err, &missing)
}

func TestAProcessRunsOneAtATime(t *testing.T) {
	start(t)
	_, err := sqsemulator.Start(t.Context())
	require.ErrorContains(t, err, "one runs in this process already")
}
