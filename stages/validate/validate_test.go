package validate

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

var clock = time.Date(2026, 6, 21, 12, 0, 0, 0, time.UTC)

func settings() pipeline.Settings {
	return pipeline.Settings{
		Name: "validate", Pipeline: "tracking", Logger: slog.New(slog.DiscardHandler), Files: config.Files(),
		Now: func() time.Time { return clock },
	}
}

// withSchema returns settings whose event.schema.json has the given content.
func withSchema(schema string) pipeline.Settings {
	s := settings()
	s.Files = fstest.MapFS{"event.schema.json": {Data: []byte(schema)}}
	return s
}

func newStage(tb testing.TB, s pipeline.Settings) pipeline.Stage {
	tb.Helper()
	built, err := build(Defaults(), s)
	require.NoError(tb, err)
	return built
}

func goodEvent() *tracking.Event {
	lat, lon := -12.0219, -77.1143
	return &tracking.Event{
		UID: uuid.MustParse("0197a1b2-0000-7000-8000-000000000001"), TenantID: "talma-pe", Source: "/carriers/andes-express",
		EventID: "evt-1", Revision: 3, CorrelationID: "045-53806270", AggregateID: "045-53806270", Kind: tracking.Cargo,
		Type: "DEP", Classifier: tracking.Actual,
		OccurredAt:  time.Date(2026, 6, 21, 0, 12, 0, 0, time.FixedZone("", -5*3600)),
		TimeQuality: tracking.YearInferred, ReceivedAt: clock.Add(-time.Second),
		Location:  &tracking.Location{IATA: "LIM", ICAO: "SPJC", UNLocode: "PECLL", GLN: "0614141073467", Name: "Jorge Chávez", Lat: &lat, Lon: &lon},
		Quantity:  &tracking.Quantity{Pieces: 2, TotalPieces: 10, Weight: 505.5, WeightUnit: "kg"},
		Transport: &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20", Origin: "LIM", Destination: "JFK"},
		Corrects:  &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{"evt-0"}, Reason: "incorrect_data"},
		Payload:   json.RawMessage(`{"flight":"LA2468","pieces":2,"note":"ñ"}`),
	}
}

func process(tb testing.TB, stage pipeline.Stage, events ...*tracking.Event) *pipeline.Batch {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(tb, stage.Process(context.Background(), batch))
	return batch
}

func TestGoodEventsPassUntouched(t *testing.T) {
	t.Parallel()
	full, bare := goodEvent(), goodEvent()
	bare.Revision, bare.Kind, bare.TimeQuality, bare.Payload = 0, "", "", nil
	bare.Location, bare.Quantity, bare.Transport, bare.Corrects = nil, nil, nil, nil
	enriched := goodEvent()
	enriched.Enrichment = tracking.Enrichment{Milestone: tracking.InTransit, Place: &tracking.Place{IATA: "LIM"}}
	before, err := json.Marshal(full)
	require.NoError(t, err)

	batch := process(t, newStage(t, settings()), full, bare, enriched)
	for i := range batch.Len() {
		require.Equal(t, pipeline.Verdict{}, batch.Verdict(i))
	}
	after, err := json.Marshal(full)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.Same(t, bare, batch.Event(1))
}

func TestShippedSchemaRejections(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name           string
		spoil          func(e *tracking.Event)
		field, message string
	}{
		{"no type", func(e *tracking.Event) { e.Type = "" }, "/event_type", "/event_type is empty"},
		{"unknown kind", func(e *tracking.Event) { e.Kind = "bag" }, "/kind",
			`/kind is "bag", must be one of "baggage", "cargo", "parcel", "passenger", "equipment"`},
		{"no classifier", func(e *tracking.Event) { e.Classifier = "" }, "/classifier", `/classifier is "", must be one of "actual"`},
		{"negative revision", func(e *tracking.Event) { e.Revision = -1 }, "/revision", "/revision is -1, must be at least 0"},
		{"control character", func(e *tracking.Event) { e.CorrelationID = "a\x00b" }, "/correlation_id", `is "a\x00b", must match the pattern`},
		{"long id", func(e *tracking.Event) { e.EventID = strings.Repeat("x", 257) }, "/event_id", "has 257 characters, must have at most 256"},
		{"no time", func(e *tracking.Event) { e.OccurredAt = time.Time{} }, "/timestamp", `/timestamp is "0001-01-01T00:00:00Z", must match`},
		{"impossible year", func(e *tracking.Event) { e.OccurredAt = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) }, "/timestamp",
			"which is not a valid date-time"},
		{"iata", func(e *tracking.Event) { e.Location.IATA = "LIMA" }, "/location/iata", "/location/iata is \"LIMA\", must match the pattern"},
		{"latitude", func(e *tracking.Event) { v := 91.5; e.Location.Lat = &v }, "/location/latitude", "is 91.5, must be at most 90"},
		{"pieces", func(e *tracking.Event) { e.Quantity.Pieces = -2 }, "/quantity/pieces", "is -2, must be at least 0"},
		{"date", func(e *tracking.Event) { e.Transport.Date = "20JUN" }, "/transport/date", `is "20JUN", which is not a valid date`},
		{"mode", func(e *tracking.Event) { e.Transport.Mode = "mule" }, "/transport/mode", `is "mule", must be one of "air"`},
		{"nothing corrected", func(e *tracking.Event) { e.Corrects.EventIDs = nil }, "/corrects/event_ids", "is of type null, must be array"},
		{"none corrected", func(e *tracking.Event) { e.Corrects.EventIDs = []string{} }, "/corrects/event_ids", "has 0 items, must have at least 1"},
		{"correction of nothing", func(e *tracking.Event) { e.Corrects.EventIDs = []string{"a", ""} }, "/corrects/event_ids/1", "is empty"},
		{"payload", func(e *tracking.Event) { e.Payload = json.RawMessage(`{"a":`) }, "/payload", "payload is not JSON"},
	}
	stage := newStage(t, settings())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			event := goodEvent()
			c.spoil(event)
			verdict := process(t, stage, event).Verdict(0)
			require.Equal(t, pipeline.Reject, verdict.Outcome)
			require.Equal(t, CodeSchema, verdict.Reason.Code)
			require.Equal(t, c.field, verdict.Reason.Field)
			require.Contains(t, verdict.Reason.Message, c.message)
		})
	}
}

func TestOnlyTheWrongOnesOfABatchAreRejected(t *testing.T) {
	t.Parallel()
	events := make([]*tracking.Event, 20)
	for i := range events {
		events[i] = goodEvent()
		if i%3 == 1 {
			events[i].Type = ""
		}
	}
	batch := pipeline.NewBatch(events)
	batch.Drop(4, pipeline.Reason{Code: "earlier"}) // already settled, and wrong besides
	require.NoError(t, newStage(t, settings()).Process(context.Background(), batch))
	for i := range events {
		want := pipeline.Pass
		switch {
		case i == 4:
			want = pipeline.Drop
		case i%3 == 1:
			want = pipeline.Reject
		}
		require.Equal(t, want, batch.Verdict(i).Outcome, i)
		require.Same(t, events[i], batch.Event(i))
	}
}

func TestFuture(t *testing.T) {
	t.Parallel()
	cases := []struct {
		classifier tracking.Classifier
		ahead      time.Duration
		want       pipeline.Outcome
	}{
		{tracking.Actual, 0, pipeline.Pass},
		{tracking.Actual, 5 * time.Minute, pipeline.Pass},
		{tracking.Actual, 5*time.Minute + time.Second, pipeline.Reject},
		{tracking.Estimated, 48 * time.Hour, pipeline.Pass},
		{tracking.Planned, 48 * time.Hour, pipeline.Pass},
		{tracking.Requested, 48 * time.Hour, pipeline.Pass},
		{tracking.Expected, 48 * time.Hour, pipeline.Pass},
	}
	stage := newStage(t, settings())
	for _, c := range cases {
		event := goodEvent()
		event.Classifier, event.OccurredAt = c.classifier, clock.Add(c.ahead).In(time.FixedZone("", -5*3600))
		verdict := process(t, stage, event).Verdict(0)
		require.Equal(t, c.want, verdict.Outcome, "%s %s", c.classifier, c.ahead)
		if c.want == pipeline.Reject {
			require.Equal(t, CodeFuture, verdict.Reason.Code)
			require.Equal(t, "/timestamp", verdict.Reason.Field)
			require.Contains(t, verdict.Reason.Message, "timestamp 2026-06-21T07:05:01-05:00 is 5m1s ahead of the clock, 5m0s at most")
		}
	}
}

// The document that the schema sees is the event as it is on the wire: neither more nor less.
func TestDocumentIsTheWireForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		event := drawEvent(t)
		document := map[string]any{}
		var payload any
		if len(event.Payload) > 0 {
			require.NoError(t, json.Unmarshal(event.Payload, &payload))
		}
		fillDocument(document, event, payload)
		got, err := json.Marshal(document)
		require.NoError(t, err)
		want, err := json.Marshal(event)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
	})
}

func drawEvent(t *rapid.T) *tracking.Event {
	text := rapid.SampledFrom([]string{"", "", "a", "LIM", "ñ \"quoted\""})
	optional := rapid.Bool()
	event := &tracking.Event{
		UID: uuid.MustParse("0197a1b2-0000-7000-8000-000000000001"), TenantID: text.Draw(t, "tenant"), Source: text.Draw(t, "source"),
		EventID: text.Draw(t, "id"), Revision: rapid.Int64Range(-1, 1<<60).Draw(t, "revision"), CorrelationID: text.Draw(t, "correlation"),
		AggregateID: text.Draw(t, "aggregate"), Kind: tracking.Kind(text.Draw(t, "kind")), Type: text.Draw(t, "type"),
		Classifier: tracking.Classifier(text.Draw(t, "classifier")), TimeQuality: tracking.TimeQuality(text.Draw(t, "quality")),
		OccurredAt: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).In(time.FixedZone("", 60*rapid.IntRange(-720, 840).Draw(t, "zone"))),
		ReceivedAt: clock,
	}
	if optional.Draw(t, "location") {
		lat := rapid.Float64Range(-90, 90).Draw(t, "lat")
		event.Location = &tracking.Location{IATA: text.Draw(t, "iata"), ICAO: text.Draw(t, "icao"), UNLocode: text.Draw(t, "un"),
			GLN: text.Draw(t, "gln"), Name: text.Draw(t, "name"), Facility: text.Draw(t, "facility"), Lat: &lat}
		if optional.Draw(t, "has longitude") {
			event.Location.Lon = &lat
		}
	}
	if optional.Draw(t, "quantity") {
		event.Quantity = &tracking.Quantity{Pieces: rapid.IntRange(0, 9).Draw(t, "pieces"), TotalPieces: rapid.IntRange(0, 9).Draw(t, "total"),
			Weight: rapid.Float64Range(0, 1e6).Draw(t, "weight"), WeightUnit: text.Draw(t, "unit")}
	}
	transport := func() *tracking.Transport {
		return &tracking.Transport{Mode: text.Draw(t, "mode"), Carrier: text.Draw(t, "carrier"), Number: text.Draw(t, "number"),
			Date: text.Draw(t, "date"), Origin: text.Draw(t, "origin"), Destination: text.Draw(t, "destination")}
	}
	if optional.Draw(t, "transport") {
		event.Transport = transport()
	}
	if optional.Draw(t, "corrects") {
		event.Corrects = &tracking.Correction{Kind: tracking.CorrectionKind(text.Draw(t, "correction")), Reason: text.Draw(t, "reason"),
			EventIDs: rapid.SampledFrom([][]string{nil, {}, {"a"}, {"a", "b"}}).Draw(t, "corrected")}
	}
	if optional.Draw(t, "payload") {
		event.Payload = json.RawMessage(`{"a":[1,2.5,"x",null]}`)
	}
	if optional.Draw(t, "enrichment") {
		event.Enrichment = tracking.Enrichment{Milestone: tracking.Milestone(text.Draw(t, "milestone")), Exception: text.Draw(t, "exception")}
		if optional.Draw(t, "attributes") {
			event.Enrichment.Attributes = map[string]json.RawMessage{
				"customer": json.RawMessage(`{"tier":"gold","since":[2019,1.50]}`), text.Draw(t, "attribute"): json.RawMessage(`null`),
			}
		}
		if optional.Draw(t, "place") {
			event.Enrichment.Place = &tracking.Place{IATA: text.Draw(t, "iata"), ICAO: text.Draw(t, "icao"), Name: text.Draw(t, "name"),
				City: text.Draw(t, "city"), Country: text.Draw(t, "country"), Lat: 1, Lon: 2, TimeZone: text.Draw(t, "tz")}
			event.Enrichment.Airline = &tracking.Airline{IATA: text.Draw(t, "iata"), ICAO: text.Draw(t, "icao"),
				Prefix: text.Draw(t, "prefix"), Name: text.Draw(t, "name")}
			event.Enrichment.Transport = transport()
		}
	}
	return event
}

func TestAnEventThatDoesNotSayWhetherItHappenedDid(t *testing.T) {
	t.Parallel()
	event := goodEvent()
	event.Classifier, event.OccurredAt = "", clock.Add(time.Hour)
	require.Equal(t, CodeFuture, process(t, newStage(t, withSchema(`true`)), event).Verdict(0).Reason.Code)
}

func TestContextIsHonoured(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batch := pipeline.NewBatch([]*tracking.Event{goodEvent()})
	require.ErrorIs(t, newStage(t, settings()).Process(ctx, batch), context.Canceled)
	require.Equal(t, 1, batch.PendingLen())
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	stage := newStage(t, settings())
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 20 {
				wrong := goodEvent()
				wrong.Kind = "bag"
				batch := pipeline.NewBatch([]*tracking.Event{goodEvent(), wrong})
				if err := stage.Process(context.Background(), batch); err != nil {
					t.Error(err)
				}
				if batch.Verdict(0).Outcome != pipeline.Pass || batch.Verdict(1).Outcome != pipeline.Reject {
					t.Error("verdicts differ under concurrency")
				}
			}
		})
	}
	workers.Wait()
}

func TestConfigInYAML(t *testing.T) {
	t.Parallel()
	cases := []struct{ with, want string }{
		{"{}", ""},
		{"{schema: event.schema.json, future_skew: 5m}", ""},
		{"{future_skew: 0s}", ""},
		{"{skew: 5m}", `unknown field "skew"`},
		{"{schema: [a]}", "p.yaml:5:"},
		{"{future_skew: soon}", "invalid duration"},
		{"{future_skew: 5}", "p.yaml:5:"},
		{"{future_skew: -5m}", "future_skew: -5m0s is negative; write 0s"},
		{"{schema: ''}", "is not a path below the configuration's folder"},
		{"{schema: ../secret.json}", "is not a path below the configuration's folder"},
	}
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	for _, c := range cases {
		t.Run(c.with, func(t *testing.T) {
			t.Parallel()
			source := fmt.Sprintf("pipeline: p\nfrom: a\nstages:\n  - use: validate\n    with: %s\n", c.with)
			spec, err := pipeline.Parse("p.yaml", []byte(source), registry)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			_, err = spec.Plan().Hops[0].Build("p", settings(), nil)
			require.NoError(t, err)
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	const batchSize = 100
	const alone = "shipped schema, without the short cut"
	cases := map[string]pipeline.Settings{
		"shipped schema": settings(),
		alone:            settings(),
		"schema with payload": withSchema(`{"required":["payload"],"properties":{"payload":{"type":"object","required":["flight"],
			"properties":{"flight":{"type":"string","pattern":"^[A-Z0-9]{2}[0-9]{1,4}$"},"pieces":{"type":"integer","minimum":1}}}}}`),
	}
	for name, s := range cases {
		b.Run(name, func(b *testing.B) {
			built := newStage(b, s)
			if own, ok := built.(*stage); ok && name == alone {
				own.quick = nil
			}
			events := make([]*tracking.Event, batchSize)
			for i := range events {
				events[i] = goodEvent()
			}
			b.ReportAllocs()
			for b.Loop() {
				if batch := process(b, built, events...); batch.PendingLen() != batchSize {
					b.Fatal(batch.Verdict(0).Reason)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchSize), "ns/event")
		})
	}
}
