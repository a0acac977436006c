package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Admiral-Piett/goaws/app/models"
	"github.com/Admiral-Piett/goaws/app/router"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

// amazon is goaws, which has SNS and SQS in this process, and clients to look into it. What goaws holds is global to it, so
// that names are made new for every test; and it changes it without locks, so that one request is served at a time.
type amazon struct {
	url  string
	sns  *sns.Client
	sqs  *sqs.Client
	http *http.Client

	mu       sync.Mutex
	requests int
	down     bool
}

var setUp sync.Once

func startAmazon(tb testing.TB) *amazon {
	tb.Helper()
	setUp.Do(func() {
		models.CurrentEnvironment.Region, models.CurrentEnvironment.AccountID = "us-east-1", "123456789012"
		models.CurrentEnvironment.Host, models.CurrentEnvironment.Port = "127.0.0.1", "1"
		models.CurrentEnvironment.QueueAttributeDefaults.VisibilityTimeout = 30
		models.CurrentEnvironment.QueueAttributeDefaults.MaximumMessageSize = 262144
	})
	a := &amazon{}
	handler := router.New()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		goaws.Lock()
		defer goaws.Unlock()
		a.mu.Lock()
		a.requests++
		down := a.down
		a.mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	tb.Setenv("AWS_ACCESS_KEY_ID", "test")
	tb.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	tb.Setenv("AWS_REGION", "us-east-1")
	tb.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	tb.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	tb.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	loaded, client, err := awsConfig(tb.Context(), "us-east-1")
	require.NoError(tb, err)
	a.url, a.http = srv.URL, client
	loaded.BaseEndpoint = aws.String(srv.URL)
	a.sns, a.sqs = sns.NewFromConfig(loaded), sqs.NewFromConfig(loaded)
	tb.Cleanup(func() { a.http.CloseIdleConnections(); srv.Close() })
	return a
}

var goaws sync.Mutex

func (a *amazon) set(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down, a.requests = down, 0
}

func (a *amazon) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// queue makes a queue and returns its URL.
func (a *amazon) queue(tb testing.TB, suffix string) string {
	tb.Helper()
	made, err := a.sqs.CreateQueue(tb.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q" + uuid.NewString() + suffix)})
	require.NoError(tb, err)
	return *made.QueueUrl
}

func (a *amazon) receive(tb testing.TB, queue string) []types.Message {
	tb.Helper()
	var all []types.Message
	for {
		got, err := a.sqs.ReceiveMessage(tb.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &queue, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		})
		require.NoError(tb, err)
		if len(got.Messages) == 0 {
			return all
		}
		all = append(all, got.Messages...)
		for _, m := range got.Messages {
			_, err := a.sqs.DeleteMessage(tb.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle})
			require.NoError(tb, err)
		}
	}
}

// topic makes a topic with a queue that gets its messages as they are, those that a filter lets through.
func (a *amazon) topic(tb testing.TB, filter string) (arn, queue string) {
	tb.Helper()
	made, err := a.sns.CreateTopic(tb.Context(), &sns.CreateTopicInput{Name: aws.String("t" + uuid.NewString())})
	require.NoError(tb, err)
	queue = a.queue(tb, "")
	attributes := map[string]string{"RawMessageDelivery": "true"}
	if filter != "" {
		attributes["FilterPolicy"] = filter
	}
	name := queue[strings.LastIndex(queue, "/")+1:]
	_, err = a.sns.Subscribe(tb.Context(), &sns.SubscribeInput{
		TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Attributes: attributes,
		Endpoint: aws.String("arn:aws:sqs:us-east-1:123456789012:" + name),
	})
	require.NoError(tb, err)
	return *made.TopicArn, queue
}

func ids(tb testing.TB, messages []types.Message) []string {
	tb.Helper()
	list := make([]string, len(messages))
	for i, m := range messages {
		results, err := cloudevents.Decode([]byte(*m.Body), cloudevents.Single, formats.Options{})
		require.NoError(tb, err)
		require.True(tb, results[0].OK(), *m.Body)
		list[i] = results[0].Event.EventID
	}
	return list
}

func numbered(n int) []*tracking.Event {
	events := make([]*tracking.Event, n)
	for i := range events {
		events[i] = delivery(fmt.Sprintf("e%02d", i))
	}
	return events
}

func TestSQSGetsEveryEvent(t *testing.T) {
	a := startAmazon(t)
	queue := a.queue(t, "")
	s := open(t, "{sqs: {queue_url: '"+queue+"', endpoint: '"+a.url+"'}, attributes: {tenant: tenant_id, none: payload.none}}")
	a.set(false)
	pass(t, s, numbered(25)...)
	require.Equal(t, 3, a.count(), "ten messages a request")
	messages := a.receive(t, queue)
	require.Len(t, messages, 25)
	got := map[string]bool{}
	for _, id := range ids(t, messages) {
		got[id] = true
	}
	require.Len(t, got, 25)
	require.Equal(t, "talma-pe", *messages[0].MessageAttributes["tenant"].StringValue)
	require.Len(t, messages[0].MessageAttributes, 1, "a value that is not there is left out")
}

func TestAFIFOQueueDropsARedelivery(t *testing.T) {
	a := startAmazon(t)
	queue := a.queue(t, ".fifo")
	goaws.Lock()
	models.SyncQueues.Queues[queue[strings.LastIndex(queue, "/")+1:]].EnableDuplicates = true
	goaws.Unlock()
	s := open(t, "{sqs: {queue_url: '"+queue+"', endpoint: '"+a.url+"'}}")
	events := numbered(12)
	for i, e := range events {
		e.CorrelationID = fmt.Sprintf("a bag with spaces %d", i%2)
	}
	pass(t, s, events...)
	pass(t, s, events...)
	goaws.Lock()
	defer goaws.Unlock()
	kept := models.SyncQueues.Queues[queue[strings.LastIndex(queue, "/")+1:]].Messages
	require.Len(t, kept, 12)
	groups := map[string]bool{}
	for i, m := range kept {
		require.Equal(t, events[i].UID.String(), m.DeduplicationID, "in order")
		groups[m.GroupID] = true
	}
	require.Len(t, groups, 2)
	require.True(t, groups[groupID("a bag with spaces 0")])
}

func TestSNSSubscriptionsFilterByAttributes(t *testing.T) {
	a := startAmazon(t)
	arn, queue := a.topic(t, `{"type":["departed"]}`)
	s := open(t, "{sns: {topic_arn: '"+arn+"', endpoint: '"+a.url+"'}, attributes: {type: event_type}}")
	events := numbered(18)
	events[3].Type, events[17].Type = "departed", "departed"
	a.set(false)
	// goaws counts one entry too many, and takes nine.
	pass(t, s, events[:9]...)
	pass(t, s, events[9:]...)
	require.Equal(t, 2, a.count())
	require.ElementsMatch(t, []string{"e03", "e17"}, ids(t, a.receive(t, queue)))

	batch := pipeline.NewBatch(numbered(10))
	require.ErrorContains(t, s.Process(t.Context(), batch), "TooManyEntries", "a request that is refused as a whole is no event's fault")
	require.Equal(t, 10, batch.PendingLen())
}

func TestRequestsStayBelowTheirLimit(t *testing.T) {
	a := startAmazon(t)
	queue := a.queue(t, "")
	s := open(t, "{sqs: {queue_url: '"+queue+"', endpoint: '"+a.url+"', max_bytes: 4KiB}, attributes: {tenant: tenant_id}}")
	events := numbered(6)
	for i, size := range []int{1000, 1000, 4000, 1000, 1000, 10} {
		events[i].Payload = json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
	}
	events[5].Payload = json.RawMessage("\"\uffff\"")
	a.set(false)
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"pass", "pass", "reject too_large", "pass", "pass", "reject refused"}, outcomes(batch))
	require.Equal(t, 2, a.count(), "four messages of about 1.4 kB do not fit into 4 KiB")
	require.Contains(t, batch.Verdict(2).Reason.Message, "4096 are allowed (max_bytes)")
	require.Contains(t, batch.Verdict(5).Reason.Message, "U+FFFF")
	require.Len(t, a.receive(t, queue), 4)
}

// A destination that is down, or that is not there, is an outage: nothing is judged.
func TestAnOutageOfAmazonIsNoFaultOfTheEvents(t *testing.T) {
	a := startAmazon(t)
	queue := a.queue(t, "")
	s := open(t, "{sqs: {queue_url: '"+queue+"', endpoint: '"+a.url+"'}, timeout: 20s}")
	a.set(true)
	batch := pipeline.NewBatch(numbered(12))
	require.Error(t, s.Process(t.Context(), batch))
	require.Equal(t, 12, batch.PendingLen())
	a.set(false)
	pass(t, s, numbered(12)...)

	missing := open(t, "{sqs: {queue_url: '"+queue+"x', endpoint: '"+a.url+"'}}")
	batch = pipeline.NewBatch(numbered(3))
	require.Error(t, missing.Process(t.Context(), batch))
	require.Equal(t, 3, batch.PendingLen())
}

func outletOf(fifo bool, request func(entries []*message) (map[int]entryError, error)) *awsOutlet {
	return &awsOutlet{fifo: fifo, maxBytes: 1000, client: &http.Client{Transport: &http.Transport{}}, request: func(_ context.Context, entries []*message) (map[int]entryError, error) {
		return request(entries)
	}}
}

func messagesOf(n int) []*message {
	list := make([]*message, n)
	for i := range list {
		list[i] = &message{index: i, uid: fmt.Sprint(i), body: []byte("x")}
	}
	return list
}

// What the services answer and goaws does not.
func TestEntriesThatFailAreJudgedOneByOne(t *testing.T) {
	t.Parallel()
	judge := func(o *awsOutlet, n int) ([]string, error) {
		list := messagesOf(n)
		o.send(t.Context(), list)
		batch := pipeline.NewBatch(numbered(n))
		err := settle(batch, list)
		return outcomes(batch), err
	}
	got, err := judge(outletOf(false, func([]*message) (map[int]entryError, error) {
		return map[int]entryError{0: {"InvalidMessageContents", "no", true}, 1: {"InternalError", "later", false}, 2: {"KmsThrottled", "slow", true}}, nil
	}), 4)
	require.NoError(t, err)
	require.Equal(t, []string{"reject refused", "retry", "retry", "pass"}, got)

	got, err = judge(outletOf(false, func([]*message) (map[int]entryError, error) {
		return map[int]entryError{0: {"InternalError", "later", false}, 1: {"AccessDenied", "", true}}, nil
	}), 2)
	require.ErrorContains(t, err, "later", "none got through")
	require.Equal(t, []string{"pass", "pass"}, got)

	// Where the order counts, nothing overtakes what failed.
	sent := 0
	got, err = judge(outletOf(true, func(entries []*message) (map[int]entryError, error) {
		sent += len(entries)
		return map[int]entryError{9: {"InternalError", "later", false}}, nil
	}), 25)
	require.NoError(t, err)
	require.Equal(t, 10, sent)
	require.Equal(t, "pass retry retry", strings.Join([]string{got[8], got[9], got[24]}, " "))

	// A request that is refused for one of its messages is taken apart.
	got, err = judge(outletOf(false, func(entries []*message) (map[int]entryError, error) {
		for _, m := range entries {
			if m.uid == "3" {
				return nil, &smithy.GenericAPIError{Code: "InvalidMessageContents", Message: "bad"}
			}
		}
		return nil, nil
	}), 6)
	require.NoError(t, err)
	require.Equal(t, []string{"pass", "pass", "pass", "reject refused", "pass", "pass"}, got)

	_, err = byEntry([]int{1}, func(int) (*string, entryError) { return aws.String("7"), entryError{code: "X"} }, 3)
	require.ErrorContains(t, err, `names an entry "7" that was not sent`)
}

func TestGroupsAreWhatAWSTakes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0045123456", groupID("0045123456"))
	require.Len(t, groupID("a b"), 64)
	require.Len(t, groupID(strings.Repeat("x", 129)), 64)
	require.NotEqual(t, groupID("ñ"), groupID("ñ "))
}

// The SDK must find the whole answer in its hands.
func TestAnswersAreReadWhole(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		_, _ = w.Write([]byte(strings.Repeat(string(sent), 10_000)))
	}))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("0123456789"))
	require.NoError(t, err)
	response, err := wholeBody{client}.Do(request)
	require.NoError(t, err)
	srv.CloseClientConnections()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	require.Len(t, body, 100_000)
}

func TestExerciseSQS(t *testing.T) {
	a := startAmazon(t)
	queue := a.queue(t, "")
	stagetest.Exercise(t, stagetest.Subject{
		Register:   Register,
		With:       "{sqs: {queue_url: '" + queue + "', endpoint: '" + a.url + "', max_bytes: 1KiB}, attributes: {tenant: tenant_id}, timeout: 5s}",
		NoDefaults: true,
		Events: func() []*tracking.Event {
			large := delivery("e3")
			large.Payload = json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)
			return []*tracking.Event{delivery("e1"), delivery("e2"), large}
		},
		Patience: time.Minute,
	})
}
