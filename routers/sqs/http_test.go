package sqs

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// slowBody notes whether it was read to its end.
type slowBody struct {
	io.Reader
	ended bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p[:min(len(p), 100)])
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *slowBody) Close() error { return nil }

func testMetrics(t *testing.T) *Metrics {
	t.Helper()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	return metrics
}

// net/http may close a request's body before it begins to write it. The bodies of smithy-go then say io.EOF, and the answer is
// lost with the connection. This plays such a net/http; that the SDK's request passes it is what httpClient is for.
func TestARequestSurvivesTheEarlyEndOfItsBody(t *testing.T) {
	answer := `{"Messages":[{"MessageId":"m","Body":"` + strings.Repeat("x", 30_000) + `"}]}`
	body := &slowBody{Reader: strings.NewReader(answer)}
	var sent bytes.Buffer
	client := &httpClient{
		metrics: testMetrics(t),
		client: http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
			if _, err := io.Copy(&sent, r.Body); err != nil {
				return nil, err
			}
			if int64(sent.Len()) != r.ContentLength {
				return nil, io.ErrUnexpectedEOF // as net/http, which gives up the connection
			}
			return &http.Response{
				StatusCode: http.StatusOK, Body: body, Request: r, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
			}, nil
		})},
	}
	service := awssqs.New(awssqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), HTTPClient: client, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
		DisableMessageChecksumValidation: true,
	})
	out, err := service.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: aws.String("http://127.0.0.1:1/1/q")})
	require.NoError(t, err)
	require.Len(t, out.Messages, 1)
	require.True(t, body.ended)
	require.Contains(t, sent.String(), "/1/q")
}

func TestAnAnswerIsReadWholeBeforeItIsAnAnswer(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(`{"Messages":[`), iotestErr{})
	client := &httpClient{
		metrics: testMetrics(t),
		client: http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(broken), Request: r}, nil
		})},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1/", strings.NewReader("{}"))
	require.NoError(t, err)
	response, err := client.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
