package enrich

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

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func settings() pipeline.Settings {
	return pipeline.Settings{
		Name: "enrich", Pipeline: "tracking", Logger: slog.New(slog.DiscardHandler), Files: config.Files(), Now: time.Now,
	}
}

// shipped is the stage of the shipped pipeline.
const shipped = `
      - location: {from: payload.location}
      - airline: {from: payload.flight}
      - milestone: {catalog: milestones.yaml}`

func newStage(tb testing.TB, with string) pipeline.Stage {
	tb.Helper()
	var config Config
	require.NoError(tb, yaml.UnmarshalWithOptions([]byte(with), &config, yaml.DisallowUnknownField()))
	require.NoError(tb, config.Validate())
	stage, err := build(config, settings())
	require.NoError(tb, err)
	return stage
}

func process(tb testing.TB, stage pipeline.Stage, events ...*tracking.Event) *pipeline.Batch {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(tb, stage.Process(context.Background(), batch))
	require.Equal(tb, len(events), batch.PendingLen(), "enrich judges nobody")
	return batch
}

func TestShippedSteps(t *testing.T) {
	t.Parallel()
	stage := newStage(t, shipped)
	lima := &tracking.Place{
		IATA: "LIM", ICAO: "SPIM", Name: "Jorge Chávez International Airport", City: "Lima", Country: "PE",
		Lat: -12.0219, Lon: -77.11431, TimeZone: "America/Lima",
	}
	latam := &tracking.Airline{IATA: "LA", ICAO: "LAN", Prefix: "045", Name: "LATAM Chile"}
	leg := &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468"}
	cases := map[string]struct {
		event tracking.Event
		want  tracking.Enrichment
	}{
		"a bag as simple senders tell of it": {
			tracking.Event{Kind: tracking.Baggage, Type: "loaded", Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`)},
			tracking.Enrichment{Milestone: tracking.Loaded, Place: lima, Airline: latam, Transport: leg},
		},
		"cargo with everything typed": {
			tracking.Event{Kind: tracking.Cargo, Type: "DEP", Location: &tracking.Location{IATA: "LIM"},
				Transport: &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20"},
				Payload:   json.RawMessage(`{"location":"JFK","flight":"AV1"}`)},
			tracking.Enrichment{Milestone: tracking.InTransit, Place: lima, Airline: latam},
		},
		"an ICAO code": {
			tracking.Event{Kind: tracking.Cargo, Type: "ARR", Location: &tracking.Location{ICAO: "SPIM"}},
			tracking.Enrichment{Milestone: tracking.Arrived, Place: lima},
		},
		"an IATA code nobody knows, and an ICAO code": {
			tracking.Event{Type: "arrived", Location: &tracking.Location{IATA: "QQQ", ICAO: "SPIM"}},
			tracking.Enrichment{Milestone: tracking.Arrived, Place: lima},
		},
		"a sender's code nobody knows stands before the payload's": {
			tracking.Event{Type: "arrived", Location: &tracking.Location{IATA: "QQQ"}, Payload: json.RawMessage(`{"location":"LIM"}`)},
			tracking.Enrichment{Milestone: tracking.Arrived},
		},
		"a location without a code": {
			tracking.Event{Type: "arrived", Location: &tracking.Location{Name: "Dock 4"}, Payload: json.RawMessage(`{"location":" lim "}`)},
			tracking.Enrichment{Milestone: tracking.Arrived, Place: lima},
		},
		"an exception alone": {
			tracking.Event{Kind: tracking.Parcel, Type: "on_hold"}, tracking.Enrichment{Exception: "on_hold"},
		},
		"an exception and a milestone": {
			tracking.Event{Kind: tracking.Baggage, Type: "OFF"}, tracking.Enrichment{Milestone: tracking.Processing, Exception: "offloaded"},
		},
		"a CloudEvents type": {
			tracking.Event{Kind: tracking.Parcel, Type: "com.andes.parcel.out_for_delivery"},
			tracking.Enrichment{Milestone: tracking.OutForDelivery},
		},
		"a code with a reason": {
			tracking.Event{Kind: tracking.Cargo, Type: "DIS", Payload: json.RawMessage(`{"discrepancy":"FDCA"}`)},
			tracking.Enrichment{Exception: "cleared:missing"},
		},
		"a code with a reason that nobody knows": {
			tracking.Event{Kind: tracking.Cargo, Type: "DIS", Payload: json.RawMessage(`{"discrepancy":"QQQQ"}`)},
			tracking.Enrichment{Exception: "discrepancy"},
		},
		"a code that nobody knows": {
			tracking.Event{Kind: tracking.Cargo, Type: "ZZZ"}, tracking.Enrichment{Milestone: tracking.Unknown},
		},
		"nothing": {tracking.Event{}, tracking.Enrichment{Milestone: tracking.Unknown}},
		"a flight with a date after a slash": {
			tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"flight":"la 2468/20JUN"}`)},
			tracking.Enrichment{Milestone: tracking.Loaded, Airline: latam, Transport: leg},
		},
		"a flight with a suffix": {
			tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"flight":"LA2468A"}`)},
			tracking.Enrichment{Milestone: tracking.Loaded, Airline: latam, Transport: &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468A"}},
		},
		"a flight of an airline that nobody knows": {
			tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"flight":"0A12"}`)},
			tracking.Enrichment{Milestone: tracking.Loaded, Transport: &tracking.Transport{Mode: "air", Carrier: "0A", Number: "12"}},
		},
		"a transport without a carrier": {
			tracking.Event{Type: "loaded", Transport: &tracking.Transport{Number: "2468"}, Payload: json.RawMessage(`{"flight":"LA2468"}`)},
			tracking.Enrichment{Milestone: tracking.Loaded, Airline: latam},
		},
		"a ship's carrier is no airline": {
			tracking.Event{Type: "LOAD", Kind: tracking.Equipment, Transport: &tracking.Transport{Mode: "sea", Carrier: "LA"}},
			tracking.Enrichment{Milestone: tracking.Loaded},
		},
		"odd data": {
			tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"location":{"code":"LIM"},"flight":["LA2468"]}`)},
			tracking.Enrichment{Milestone: tracking.Loaded},
		},
		"a payload that is no object": {
			tracking.Event{Type: "loaded", Payload: json.RawMessage(`"LIM"`)}, tracking.Enrichment{Milestone: tracking.Loaded},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := c.event
			payload := string(c.event.Payload)
			process(t, stage, &c.event)
			require.Empty(t, cmp.Diff(c.want, c.event.Enrichment))
			require.Equal(t, payload, string(c.event.Payload))
			c.event.Enrichment = tracking.Enrichment{}
			require.Equal(t, before, c.event, "a stage changes the enrichment and nothing else")
		})
	}
}

func TestALegHasADateOnlyWhenThePayloadSaysIt(t *testing.T) {
	t.Parallel()
	stage := newStage(t, "\n      - airline: {from: payload.flight.number, date: payload.flight.date}")
	for date, want := range map[string]string{
		`"2026-06-20"`: "2026-06-20", `"20JUN"`: "", `"2026-02-30"`: "", `null`: "", `20260620`: "", `{}`: "",
	} {
		event := &tracking.Event{
			OccurredAt: time.Date(2026, 6, 21, 3, 0, 0, 0, time.UTC),
			Payload:    json.RawMessage(`{"flight":{"number":"LA2468","date":` + date + `}}`),
		}
		process(t, stage, event)
		require.Equal(t, want, event.Enrichment.Transport.Date, date)
	}
}

func TestLaterStepsAreFallbacks(t *testing.T) {
	t.Parallel()
	stage := newStage(t, `
      - location: {from: payload.station}
      - location: {from: payload.airport}
      - airline: {from: payload.flight}
      - airline: {from: payload.onward}
      - milestone: {}
      - milestone: {catalog: milestones.yaml}`)
	both := &tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"station":"UIO","airport":"LIM","flight":"AV1","onward":"LA2"}`)}
	second := &tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"station":"dock","airport":"LIM","flight":"?","onward":"LA2"}`)}
	process(t, stage, both, second)
	require.Equal(t, "UIO", both.Enrichment.Place.IATA)
	require.Equal(t, "AV", both.Enrichment.Airline.IATA)
	require.Equal(t, "1", both.Enrichment.Transport.Number)
	require.Equal(t, "LIM", second.Enrichment.Place.IATA)
	require.Equal(t, "LA", second.Enrichment.Airline.IATA)
	require.Equal(t, "2", second.Enrichment.Transport.Number)

	// Again, as after a redelivery: the same.
	before, err := json.Marshal(both)
	require.NoError(t, err)
	process(t, stage, both)
	after, err := json.Marshal(both)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after))
}

// What a later stage does to one event's enrichment must not reach another's.
func TestEnrichmentsAreNotShared(t *testing.T) {
	t.Parallel()
	stage := newStage(t, shipped)
	one := &tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`)}
	process(t, stage, one)
	one.Enrichment.Place.Name, one.Enrichment.Airline.Name = "changed", "changed"
	other := &tracking.Event{Type: "loaded", Payload: one.Payload}
	process(t, stage, other)
	require.NotEqual(t, "changed", other.Enrichment.Place.Name)
	require.NotEqual(t, "changed", other.Enrichment.Airline.Name)
}

func TestSettledEventsAreLeftAlone(t *testing.T) {
	t.Parallel()
	events := []*tracking.Event{{Type: "loaded"}, {Type: "loaded"}}
	batch := pipeline.NewBatch(events)
	batch.Drop(0, pipeline.Reason{Code: "duplicate"})
	require.NoError(t, newStage(t, shipped).Process(context.Background(), batch))
	require.Zero(t, events[0].Enrichment)
	require.Equal(t, tracking.Loaded, events[1].Enrichment.Milestone)
	require.Same(t, events[1], batch.Event(1))
}

func TestContextIsHonoured(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batch := pipeline.NewBatch([]*tracking.Event{{Type: "loaded"}})
	require.ErrorIs(t, newStage(t, shipped).Process(ctx, batch), context.Canceled)
	require.Equal(t, 1, batch.PendingLen())
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	stage := newStage(t, shipped)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 50 {
				event := &tracking.Event{Type: "loaded", Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`)}
				if err := stage.Process(context.Background(), pipeline.NewBatch([]*tracking.Event{event})); err != nil {
					t.Error(err)
				}
				if event.Enrichment.Place == nil || event.Enrichment.Milestone != tracking.Loaded {
					t.Error("the event was not enriched")
				}
			}
		})
	}
	workers.Wait()
}

func TestConfigInYAML(t *testing.T) {
	t.Parallel()
	cases := []struct{ with, want string }{
		{" [{milestone: {catalog: milestones.yaml}}]", ""},
		{" [{milestone: {}}, {location: {}}, {airline: {}}]", ""},
		{"\n      - milestone:\n      - location:\n          from: payload.location", ""},
		{" []", "name at least one step"},
		{" {location: {from: payload.location}}", "p.yaml:5:"},
		{"\n      - {}", "a step is exactly one of location, airline, milestone and lookup, this one has 0 of them"},
		{"\n      - loc: {}", `p.yaml:6:9: unknown step "loc"; there is location, airline, milestone, lookup`},
		{"\n      - location", "p.yaml:6:9: a step is written as `- location: {from: payload.location}`"},
		{"\n      - location: {from: payload.a}\n        airline: {from: payload.b}", "this one has 2 of them"},
		{"\n      - location: {form: payload.a}", `p.yaml:6:20: unknown field "form"`},
		{"\n      - location: {from: lokation}", `p.yaml:6:26: unknown field "lokation"; did you mean`},
		{"\n      - location: {from: [a]}", "p.yaml:6:"},
		{"\n      - location: payload.location", "p.yaml:6:"},
		{"\n      - location: {places: ../airports.csv}", `location.places: "../airports.csv" is not a path below`},
		{"\n      - airline: {airlines: ''}", `airline.airlines: "" is not a path below`},
		{"\n      - airline: {date: payload.date}", "airline.date: without airline.from there is no leg to date"},
		{"\n      - milestone: {catalogue: milestones.yaml}", `unknown field "catalogue"`},
	}
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	for _, c := range cases {
		t.Run(c.with, func(t *testing.T) {
			t.Parallel()
			source := "pipeline: p\nfrom: a\nstages:\n  - use: enrich\n    with:" + c.with + "\n"
			spec, err := pipeline.Parse("p.yaml", []byte(source), registry)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			_, err = spec.Stages[0].Build("p", settings())
			require.NoError(t, err)
		})
	}
}

func TestWithoutAConfigEveryStepRuns(t *testing.T) {
	t.Parallel()
	stage, err := build(Defaults(), settings())
	require.NoError(t, err)
	event := &tracking.Event{
		Kind: tracking.Cargo, Type: "DEP", Location: &tracking.Location{IATA: "LIM"}, Transport: &tracking.Transport{Carrier: "LA"},
	}
	process(t, stage, event)
	require.Equal(t, "Lima", event.Enrichment.Place.City)
	require.Equal(t, "LA", event.Enrichment.Airline.IATA)
	require.Equal(t, tracking.InTransit, event.Enrichment.Milestone)
}

func TestFilesThatAreMissingOrWrongAreErrorsAtStart(t *testing.T) {
	t.Parallel()
	s := settings()
	s.Files = fstest.MapFS{
		"places.csv":   {Data: []byte("code,name\n")},
		"airlines.csv": {Data: []byte("iata,icao,accounting_prefix,name\n,,,\n")},
		"codes.yaml":   {Data: []byte("kinds: {cargo: {DEP: departed}}\n")},
	}
	for want, step := range map[string]Step{
		"places.csv":   {Location: &Location{Places: "places.csv"}},
		"airlines.csv": {Airline: &Airline{Airlines: "airlines.csv"}},
		"codes.yaml":   {Milestone: &Milestone{Catalog: "codes.yaml"}},
		"absent.csv":   {Location: &Location{Places: "absent.csv"}},
	} {
		_, err := build(Config{step}, s)
		require.ErrorContains(t, err, want)
	}
}

// Whatever a sender writes, the stage neither fails nor crashes, and leaves what was sent as it was.
func FuzzEnrich(f *testing.F) {
	f.Add("cargo", "DEP", "LIM", "LA", []byte(`{"location":"LIM","flight":"LA2468"}`))
	f.Add("", "com.x.y.", "\xff", "\x00", []byte(`{"location":[],"flight":{}}`))
	f.Add("parcel", strings.Repeat(".", 300), "lim", "045", []byte(`{"flight":"LA`))
	stage, err := build(Config{
		{Location: &Location{From: pipeline.MustParsePath("payload.location"), Places: "reference/airports.csv"}},
		{Airline: &Airline{From: pipeline.MustParsePath("payload.flight"), Date: pipeline.MustParsePath("payload.date"), Airlines: "reference/airlines.csv"}},
		{Milestone: defaultMilestone()},
	}, settings())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, kind, code, place, carrier string, payload []byte) {
		event := &tracking.Event{
			Kind: tracking.Kind(kind), Type: code, Location: &tracking.Location{IATA: place},
			Transport: &tracking.Transport{Carrier: carrier}, Payload: payload,
		}
		bare := &tracking.Event{Kind: tracking.Kind(kind), Type: code, Payload: payload}
		sent := string(payload)
		process(t, stage, event, bare)
		require.Equal(t, sent, string(event.Payload))
		for _, e := range []*tracking.Event{event, bare} {
			require.True(t, e.Enrichment.Milestone != "" || e.Enrichment.Exception != "")
		}
	})
}

func BenchmarkEnrich(b *testing.B) {
	const batchSize = 500
	stage := newStage(b, shipped)
	events := make([]*tracking.Event, batchSize)
	payload := json.RawMessage(`{"location":"LIM","device":"BHS-3","flight":"LA2468","weight_kg":21}`)
	for i := range events {
		events[i] = &tracking.Event{Kind: tracking.Baggage, Type: "loaded", Payload: payload}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, event := range events {
			event.Enrichment = tracking.Enrichment{}
		}
		process(b, stage, events...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchSize), "ns/event")
}

func ExampleRegister() {
	registry := pipeline.NewRegistry()
	if err := Register(registry); err != nil {
		fmt.Println(err)
	}
	fmt.Println(registry.Names())
	// Output: [enrich]
}
