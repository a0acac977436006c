package sqs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	wmsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
	"github.com/rastrohq/rastro/tracking"
)

func marshaler(t testing.TB) *sqs.Marshaler {
	t.Helper()
	m, err := sqs.NewMarshaler()
	require.NoError(t, err)
	return m
}

func TestMessagesComeBackAsTheyWent(t *testing.T) {
	m := marshaler(t)
	rapid.Check(t, func(t *rapid.T) {
		msg := message.NewMessage(rapid.String().Draw(t, "uuid"), rapid.SliceOf(rapid.Byte()).Draw(t, "payload"))
		if rapid.Bool().Draw(t, "long") {
			msg.Payload = bytes.Repeat(append([]byte("x"), msg.Payload...), 100)
		}
		for key, value := range rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata") {
			msg.Metadata.Set(key, value)
		}
		raw, err := m.Marshal(msg)
		require.NoError(t, err)
		require.LessOrEqual(t, len(raw.MessageAttributes), 2)
		for _, c := range *raw.Body {
			require.True(t, c > ' ' && c < utf8.RuneSelf, "SQS takes no %q", c)
		}
		back, err := m.Unmarshal(raw)
		require.NoError(t, err)
		require.True(t, back.Equals(msg) && bytes.Equal(back.Payload, msg.Payload), "%v became %v", msg, back)
	})
}

// Empty attributes, and such as SQS does not take, stay inside.
func TestAttributesAreThoseThatSQSTakes(t *testing.T) {
	m := marshaler(t)
	msg := message.NewMessage("1", []byte("x"))
	msg.Metadata = message.Metadata{"content-type": "", "traceparent": "a\x00b", "other": "o"}
	raw, err := m.Marshal(msg)
	require.NoError(t, err)
	require.Empty(t, raw.MessageAttributes)
	msg.Metadata = message.Metadata{"content-type": "application/cbor-seq", "traceparent": "00-1-2-01", "other": "o"}
	raw, err = m.Marshal(msg)
	require.NoError(t, err)
	require.Len(t, raw.MessageAttributes, 2)
}

func TestWhatIsNotOursComesAsItIs(t *testing.T) {
	m := marshaler(t)
	for _, body := range []string{"", "R", "R1", "R1p!", "R1pAA", "R1q" + "AAAA", "R1zAAAA", `{"event":1}`, "R1p/////////8B"} {
		raw := &types.Message{Body: aws.String(body), MessageId: aws.String("id"), MessageAttributes: map[string]types.MessageAttributeValue{
			"k": {DataType: aws.String(wmsqs.AWSStringDataType), StringValue: aws.String("v")},
		}}
		msg, err := m.Unmarshal(raw)
		require.NoError(t, err)
		if body != "R1pAA" { // an empty message of ours, but for its metadata
			require.Equal(t, body, string(msg.Payload))
			require.Equal(t, "id", msg.UUID)
			require.Equal(t, "v", msg.Metadata.Get("k"))
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	m := marshaler(f)
	raw, err := m.Marshal(message.NewMessage("uuid", bytes.Repeat([]byte("payload"), 100)))
	require.NoError(f, err)
	f.Add(*raw.Body)
	f.Add("R1pAAAA")
	f.Fuzz(func(t *testing.T, body string) {
		msg, err := m.Unmarshal(&types.Message{Body: aws.String(body), MessageId: aws.String("id")})
		require.NoError(t, err)
		require.NotNil(t, msg)
	})
}

// frame is a frame of events that look like a carrier's.
func frame(t testing.TB, events int) *message.Message {
	t.Helper()
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	all := make([]*tracking.Event, events)
	now := time.Date(2026, 6, 20, 22, 55, 1, 0, time.UTC)
	for i := range all {
		id := fmt.Sprintf("00451%05d", i*7919%100000)
		all[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "latam", EventID: uuid.NewString(), CorrelationID: id, AggregateID: id,
			Kind: "baggage", Type: []string{"loaded", "unloaded", "sorted"}[i%3], OccurredAt: now.Add(time.Duration(i) * 1234 * time.Millisecond), ReceivedAt: now,
			Payload: json.RawMessage(fmt.Sprintf(`{"location":"%s","flight":"LA%d","belt":%d}`, []string{"LIM", "CUZ", "BOG"}[i%3], 2000+i%97, i%12)),
		}
	}
	messages, err := codec.Encode(all, "", 1<<20)
	require.NoError(t, err)
	require.Len(t, messages, 1)
	return messages[0]
}

func TestAFrameOfEventsIsSmallerThanItsBytes(t *testing.T) {
	msg := frame(t, 500)
	raw, err := marshaler(t).Marshal(msg)
	require.NoError(t, err)
	t.Logf("500 events: %d bytes as a frame, %d as a message", len(msg.Payload), len(*raw.Body))
	require.Less(t, len(*raw.Body), len(msg.Payload)*2/3)
}

func BenchmarkBody(b *testing.B) {
	m, msg := marshaler(b), frame(b, 500)
	raw, err := m.Marshal(msg)
	require.NoError(b, err)
	b.Run("marshal", func(b *testing.B) {
		b.SetBytes(int64(len(msg.Payload)))
		for b.Loop() {
			_, _ = m.Marshal(msg)
		}
		b.ReportMetric(float64(len(*raw.Body))/float64(len(msg.Payload)), "size/payload")
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.SetBytes(int64(len(msg.Payload)))
		for b.Loop() {
			_, _ = m.Unmarshal(raw)
		}
	})
}
