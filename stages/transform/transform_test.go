package transform

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func delivery(payload string) *tracking.Event {
	return &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: "e1", CorrelationID: "0045123456", AggregateID: "bag",
		Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		Location: &tracking.Location{IATA: "LIM", Name: "Lima"}, Payload: json.RawMessage(payload),
	}
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("t.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: transform\n"+with), r)
}

func process(t testing.TB, with string, events ...*tracking.Event) *pipeline.Batch {
	t.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(t, stageOf(t, with).Process(context.Background(), batch))
	return batch
}

func stageOf(t testing.TB, with string) pipeline.Stage {
	t.Helper()
	spec, err := parse(with)
	require.NoError(t, err)
	built, err := spec.Stages[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	require.NoError(t, err)
	return built
}

const documented = `
    with:
      set:
        event_type: event.payload.code.upperAscii()
        timestamp: timestamp(event.payload.when)
        location.iata: 'event.payload.station == "MIA2" ? "MIA" : event.payload.station'
        payload.total: event.payload.pieces.size()
        enrichment.attributes.lane: event.payload.from + "-" + event.payload.to
      unset: [payload.secret, location.name]
      on_missing: keep
`

func TestFieldsAreMapped(t *testing.T) {
	t.Parallel()
	whole := delivery(`{ "code":"dep", "when":"2026-01-31T12:00:00-05:00", "secret":{"a":1}, "station":"MIA2","pieces":[1, 2],"from":"LIM","to":"MIA" }`)
	bare := delivery(`{"secret":1,"weight":1.50}`)
	given := whole.Clone()
	batch := process(t, documented, whole, bare)

	got := batch.Event(0)
	require.Equal(t, given, whole, "the event that came in is what is tried again, or dead-lettered")
	require.Equal(t, "DEP", got.Type)
	require.Equal(t, "2026-01-31T12:00:00-05:00", got.OccurredAt.Format(time.RFC3339))
	require.Equal(t, &tracking.Location{IATA: "MIA"}, got.Location)
	require.Equal(t, `{ "code":"dep", "when":"2026-01-31T12:00:00-05:00", "station":"MIA2","pieces":[1, 2],"from":"LIM","to":"MIA","total":2 }`,
		string(got.Payload))
	require.Equal(t, map[string]json.RawMessage{"lane": json.RawMessage(`"LIM-MIA"`)}, got.Enrichment.Attributes)
	require.Equal(t, []any{whole.UID, whole.TenantID, whole.ReceivedAt}, []any{got.UID, got.TenantID, got.ReceivedAt})

	got = batch.Event(1)
	require.Equal(t, pipeline.Pass, batch.Verdict(1).Outcome)
	require.Equal(t, "loaded", got.Type, "what has no value leaves the field as it is")
	require.Equal(t, `{"weight":1.50}`, string(got.Payload))
	require.Equal(t, &tracking.Location{IATA: "LIM"}, got.Location)
}

func TestAPayloadThatIsNotChangedIsNotTouched(t *testing.T) {
	t.Parallel()
	event := delivery("{ \"a\" : 1.10 ,\n\t\"a\":2}")
	got := process(t, "    with: {set: {event_type: event.kind}}\n", event).Event(0)
	require.Equal(t, &event.Payload[0], &got.Payload[0], "not even copied")
}

func TestAnEventThatCannotBeMappedIsRejectedAsItCame(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]pipeline.Reason{
		"set: {event_type: event.payload.n}":                           {Code: "transform", Field: "/event_type", Message: "a text is wanted, and this is a int; write string(...)"},
		"set: {timestamp: timestamp(event.payload.s)}":                 {Code: "transform", Field: "/timestamp", Message: "evaluate `timestamp(event.payload.s)`: "},
		"set: {location.iata: event.payload.gate}, on_missing: reject": {Code: "transform", Field: "/location/iata", Message: "`event.payload.gate` has no value"},
		"set: {event_type: event.payload.gate}, on_missing: 'null'":    {Code: "transform", Field: "/event_type", Message: "no event can be without it"},
		"set: {corrects.kind: '\"void\"'}":                             {Code: "transform", Field: "/corrects", Message: "a correction has a kind"},
		"set: {payload.s.x: '1'}":                                      {Code: "transform", Field: "/payload/s/x", Message: `"x" cannot be set within`},
	} {
		event := delivery(`{"n":1,"s":"x"}`)
		batch := process(t, "    with: {"+with+"}\n", event)
		verdict := batch.Verdict(0)
		require.Equal(t, pipeline.Reject, verdict.Outcome, with)
		require.Contains(t, verdict.Reason.Message, want.Message, with)
		require.Equal(t, want.Field, verdict.Reason.Field)
		require.Equal(t, want.Code, verdict.Reason.Code)
		require.Same(t, event, batch.Event(0))
	}
}

func TestWhatIsWrongIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"":                               "set: say which fields to change",
		"    with: {on_missing: keep}\n": "set: say which fields to change",
		"    with:\n      set: {event_type: event.kind}\n      on_missing: drop\n":    `t.yaml:7:19: on_missing: "drop" is not one of keep, reject, null`,
		"    with:\n      set:\n        quantity.pieces: event.event_type\n":          "t.yaml:7:26: an integer is wanted here, and this is a string; write int(...)",
		"    with:\n      set:\n        tenant_id: event.source\n":                    "t.yaml:7:9: tenant_id cannot be changed",
		"    with:\n      set:\n        location.iatta: event.source\n":               `t.yaml:7:9: unknown field "location.iatta"; did you mean "location.iata"?`,
		"    with:\n      unset: [event_type]\n":                                      "t.yaml:6:14: unset: no event can be without event_type",
		"    with:\n      set: {payload.x: '1'}\n      unset:\n        - payload.x\n": "unset: payload.x is changed twice",
		"    with:\n      unset: [payload..x]\n":                                      "t.yaml:6:15: field path",
	} {
		_, err := parse(with)
		require.ErrorContains(t, err, want, with)
	}
}

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register,
		With: "set:\n  event_type: event.payload.code.upperAscii()\n  payload.total: event.payload.pieces.size()\n" +
			"  enrichment.attributes.lane: event.payload.code\n  location.iata: '\"MIA\"'\nunset: [payload.secret, location.name]\non_missing: reject\n",
		NoDefaults: true,
		Events: func() []*tracking.Event {
			return []*tracking.Event{
				delivery(`{"code":"dep","pieces":[1],"secret":1}`), delivery(`{"code":"arr","pieces":"x"}`), delivery(`{"code":1}`), delivery(`{}`),
			}
		},
		Invalid: []string{
			"set: {}", "set: {uid: event.uid}", "set: {nowhere: event.uid}", "set: {event_type: event.revision}", "unset: [source]", "unset: [received_at]",
			"set: {event_type: event.kind}\non_missing: drop", "set: [event_type]", "set: {payload.a: '1'}\nunset: [payload.a]",
		},
	})
}

func BenchmarkTransform(b *testing.B) {
	for name, with := range map[string]string{
		"documented": documented,
		"one field":  "    with: {set: {event_type: event.payload.code.upperAscii()}}\n",
	} {
		b.Run(name, func(b *testing.B) {
			built := stageOf(b, with)
			events := make([]*tracking.Event, 100)
			for i := range events {
				events[i] = delivery(`{ "code":"dep", "when":"2026-01-31T12:00:00-05:00", "secret":{"a":1}, "station":"MIA2","pieces":[1, 2],"from":"LIM","to":"MIA" }`)
			}
			given := make([]*tracking.Event, len(events))
			b.ReportAllocs()
			for b.Loop() {
				copy(given, events)
				if err := built.Process(b.Context(), pipeline.NewBatch(given)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(events))/b.Elapsed().Seconds(), "events/s")
		})
	}
}
