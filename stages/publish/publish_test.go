package publish

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func delivery(id string) *tracking.Event {
	uid, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 6, 20, 10, 5, 0, 0, time.FixedZone("", -5*3600))
	return &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA-baggage", EventID: id, CorrelationID: "0045123456", AggregateID: "0045123456",
		Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at.UTC(),
		Location: &tracking.Location{IATA: "LIM"}, Payload: json.RawMessage(`{"location":"LIM", "flight":"LA2468"}`),
	}
}

func deliveries(ids ...string) []*tracking.Event {
	events := make([]*tracking.Event, len(ids))
	for i, id := range ids {
		events[i] = delivery(id)
	}
	return events
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: publish\n    with:\n      "+with+"\n"), r)
}

func open(t *testing.T, with string) *stage {
	t.Helper()
	spec, err := parse(with)
	require.NoError(t, err)
	built, err := spec.Stages[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	require.NoError(t, err)
	s, ok := built.(*stage)
	require.True(t, ok)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func outcomes(batch *pipeline.Batch) []string {
	list := make([]string, batch.Len())
	for i := range list {
		v := batch.Verdict(i)
		list[i] = strings.TrimSpace(v.Outcome.String() + " " + v.Reason.Code)
	}
	return list
}

// pass publishes events that must all get through.
func pass(t *testing.T, s *stage, events ...*tracking.Event) {
	t.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, len(events), batch.PendingLen(), outcomes(batch))
}

func TestFormats(t *testing.T) {
	t.Parallel()
	event := delivery("e1")
	event.Enrichment.Milestone = tracking.Loaded

	body, media, err := encode(formatCloudEvents, event)
	require.NoError(t, err)
	require.Equal(t, "application/cloudevents+json", media)
	results, err := cloudevents.Decode(body, cloudevents.Single, formats.Options{})
	require.NoError(t, err)
	require.Empty(t, results[0].Findings)
	want := event.Clone()
	want.UID, want.ReceivedAt, want.Enrichment = uuid.Nil, time.Time{}, tracking.Enrichment{}
	require.True(t, want.OccurredAt.Equal(results[0].Event.OccurredAt))
	results[0].Event.OccurredAt = want.OccurredAt
	require.Equal(t, want, results[0].Event)

	body, media, err = encode(formatEvent, event)
	require.NoError(t, err)
	require.Equal(t, "application/json", media)
	var back tracking.Event
	require.NoError(t, json.Unmarshal(body, &back))
	require.Equal(t, event.UID, back.UID)
	require.Equal(t, tracking.Loaded, back.Enrichment.Milestone)

	body, _, err = encode(formatPayload, event)
	require.NoError(t, err)
	require.Equal(t, string(event.Payload), string(body))

	event.Payload = nil
	_, _, err = encode(formatPayload, event)
	require.ErrorContains(t, err, "no payload to send")
	event.Payload = json.RawMessage(`{`)
	for _, format := range []string{formatCloudEvents, formatEvent, formatPayload} {
		_, _, err = encode(format, event)
		require.Error(t, err, format)
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	event := delivery("e1")
	event.Payload = json.RawMessage(`{"dots":"a.b","wild":">","star":"*","space":"a b\n","own":"$SYS","long":"` + strings.Repeat("x", 300) + `"}`)
	for text, want := range map[string]string{
		"rastro":                                  "rastro",
		"rastro.{tenant_id}.{event_type}":         "rastro.talma-pe.loaded",
		"{tenant_id}":                             "talma-pe",
		"a.x{kind}-{location.iata}.b":             "a.xbaggage-LIM.b",
		"a.{payload.dots}.{payload.wild}":         "a.a_b._",
		"a.{payload.star}.{payload.space}":        "a._.a_b_",
		"{payload.own}.{payload.none}.{revision}": "_SYS._.0",
	} {
		subject, err := ParseSubject(text)
		require.NoError(t, err, text)
		got, err := subject.Of(event)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for text, want := range map[string]string{
		"":                        "1 to 1024 characters",
		"a..b":                    "is empty",
		".a":                      "is empty",
		"a.":                      "is empty",
		"a.{tenant_id":            "a { without its }",
		"a.tenant_id}":            "a } without its {",
		"a.{tenant}":              `did you mean "tenant_id"?`,
		"a.{}":                    "field path is empty",
		"a.*":                     `"*" cannot stand in a subject`,
		"a.>":                     `">" cannot stand`,
		"a b":                     `" " cannot stand`,
		strings.Repeat("a", 1025): "1 to 1024 characters",
	} {
		_, err := ParseSubject(text)
		require.ErrorContains(t, err, want, text)
	}
	subject, err := ParseSubject("a.{payload.long}")
	require.NoError(t, err)
	_, err = subject.Of(event)
	require.ErrorContains(t, err, "payload.long is 300 bytes long; in a subject 256 are allowed")
}

// Whatever an event holds, its subject has the form that the config says.
func TestNoValueChangesTheFormOfASubject(t *testing.T) {
	t.Parallel()
	subject, err := ParseSubject("rastro.{tenant_id}.{event_type}.{payload.x}")
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		event := delivery("e")
		event.TenantID = rapid.StringN(0, 20, 80).Draw(rt, "tenant")
		event.Type = rapid.StringN(0, 20, 80).Draw(rt, "type")
		got, err := subject.Of(event)
		require.NoError(rt, err)
		tokens := strings.Split(got, ".")
		require.Len(rt, tokens, 4)
		for _, token := range tokens {
			require.NotEmpty(rt, token)
			require.False(rt, strings.ContainsAny(token, "*> \t\r\n\x00"), token)
		}
	})
}

func FuzzParseSubject(f *testing.F) {
	f.Add("rastro.{tenant_id}.{event_type}")
	f.Add("a.{payload.x\\.y}.b")
	f.Fuzz(func(t *testing.T, text string) {
		subject, err := ParseSubject(text)
		if err != nil {
			return
		}
		got, err := subject.Of(delivery("e"))
		require.NoError(t, err)
		require.NotContains(t, strings.Split(got, "."), "")
	})
}

const topic = `"arn:aws:sns:us-east-1:123456789012:events"`

func TestWhatIsWrongIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"format: event": "name exactly one of sns, sqs and nats",
		"{sns: {topic_arn: " + topic + "}, nats: {url: 'nats://x', subject: x}}": "there are 2",
		"{sns: {topic_arn: events}}":                                              `topic_arn: "events" is not the ARN of a topic`,
		"{sns: {topic_arn: " + topic + ", max_bytes: 1MiB}}":                      "max_bytes: 1MiB is not between 1KiB and 256KiB",
		"{sns: {topic_arn: " + topic + ", endpoint: localhost}}":                  `endpoint: "localhost" is not a URL`,
		"{sns: {topic: " + topic + "}}":                                           `unknown field "topic"`,
		"{sqs: {queue_url: events}}":                                              `queue_url: "events" is not the URL of a queue`,
		"{sqs: {queue_url: 'https://sqs.example.com/'}}":                          "is not the URL of a queue",
		"{nats: {subject: x}}":                                                    "url: name the server",
		"{nats: {url: 'localhost:4222', subject: x}}":                             "a server is written as nats://",
		"{nats: {url: 'nats://me:pw@x', subject: x}}":                             "leave user and password out of it",
		"{nats: {url: 'nats://x'}}":                                               "subject: say where events go",
		"{nats: {url: 'nats://x', subject: 'a.{tenat_id}'}}":                      `p.yaml:6:41: subject: unknown field "tenat_id"; did you mean "tenant_id"?`,
		"{nats: {url: 'nats://x', subject: x, token: a, user: b}}":                "only one of credentials, user and token",
		"{nats: {url: 'nats://x', subject: x, password: b}}":                      "without a user there is nobody",
		"{sns: {topic_arn: " + topic + "}, format: xml}":                          `format: there is no "xml"; there is cloudevents, event, payload`,
		"{sns: {topic_arn: " + topic + "}, timeout: 0s}":                          "timeout: 0s is not more than 0s",
		"{sns: {topic_arn: " + topic + "}, attributes: {AWS.x: kind}}":            "names that are not ours to give",
		"{sns: {topic_arn: " + topic + "}, attributes: {a..b: kind}}":             `"a..b" is no name`,
		"{sns: {topic_arn: " + topic + "}, attributes: {a: knd}}":                 `did you mean "kind"?`,
		"{sns: {topic_arn: " + topic + "}, attributes: {a: null}}":                "a: name the field whose value it gets",
		"{nats: {url: 'nats://x', subject: x}, attributes: {content-type: kind}}": "is set by the format",
		"{sns: {topic_arn: " + topic + "}, attributes: {a: uid, b: uid, c: uid, d: uid, e: uid, f: uid, g: uid, h: uid, i: uid, j: uid, k: uid}}": "11 are too many",
	} {
		_, err := parse(with)
		require.ErrorContains(t, err, want, with)
	}
}

func TestWhatTheLinterIsTold(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"{sns: {topic_arn: " + topic + "}}":                                "publishes to the SNS topic arn:aws:sns:us-east-1:123456789012:events",
		"{sqs: {queue_url: 'https://h/1/q.fifo'}, timeout: 3s}":            "sends to the SQS queue https://h/1/q.fifo; of a redelivery within its window it keeps one",
		"{nats: {url: 'nats://x', subject: 'a.{kind}'}}":                   "publishes to the JetStream subject a.{kind}; of a redelivery within its window it keeps one",
		"{nats: {url: 'nats://x', subject: 'a.{kind}', jetstream: false}}": "publishes to the NATS subject a.{kind}",
	} {
		spec, err := parse(with)
		require.NoError(t, err)
		config := spec.Stages[0].Config()
		require.Equal(t, want, config.(pipeline.Acting).Action())  //nolint:forcetypeassert // a test
		require.NotZero(t, config.(pipeline.Timed).WorstCase(100)) //nolint:forcetypeassert // a test
	}
}

func TestRegionsAreFound(t *testing.T) {
	t.Parallel()
	require.Equal(t, "us-east-1", (&SNS{TopicARN: "arn:aws:sns:us-east-1:1:x"}).region())
	require.Equal(t, "eu-west-1", (&SNS{TopicARN: "arn:aws:sns:us-east-1:1:x", Region: "eu-west-1"}).region())
	require.Equal(t, "sa-east-1", (&SQS{QueueURL: "https://sqs.sa-east-1.amazonaws.com/1/x"}).region())
	require.Empty(t, (&SQS{QueueURL: "http://localhost:4100/1/x"}).region())
}
