package pipeline_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func judged() *tracking.Event {
	latitude := -12.02
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.FixedZone("", -5*3600))
	return &tracking.Event{
		UID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), TenantID: "talma-pe", Source: "LA", EventID: "e1", Revision: 3,
		CorrelationID: "0045123456", AggregateID: "bag", Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual,
		OccurredAt: at, ReceivedAt: at.Add(10 * time.Minute).UTC(),
		Location: &tracking.Location{IATA: "LIM", Lat: &latitude},
		Quantity: &tracking.Quantity{Pieces: 2, Weight: 20.5},
		Corrects: &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"e0"}},
		Payload: json.RawMessage(`{"location":"LIM","weight":23,"big":9007199254740993,"huge":18446744073709551615,"half":0.5,` +
			`"fragile":true,"nothing":null,"flight":{"number":"LA2468","legs":[{"from":"LIM"},{"from":"SCL","to":"GRU"}]},` +
			`"a.b":1,"nulls":[null,1],"object":{"a":1},"tags":["x","y"],"tags":["z"]}`),
		Enrichment: tracking.Enrichment{
			Milestone: tracking.Loaded, Place: &tracking.Place{IATA: "LIM", Country: "PE", Lat: -12}, Airline: &tracking.Airline{Name: "LATAM"},
		},
	}
}

func TestConditionsHoldOrDoNot(t *testing.T) {
	for source, want := range map[string]bool{
		`event.event_type == "loaded" && event.payload.location == "LIM"`:            true,
		`event.event_type != "loaded"`:                                               false,
		`event.kind == "baggage" && event.classifier == "actual"`:                    true,
		`event.uid == "01890a5d-ac96-774b-bcce-b302099a8057"`:                        true,
		`event.revision > 2`:                                                         true,
		`event.timestamp == timestamp("2026-03-01T15:00:00Z")`:                       true,
		`event.received_at - event.timestamp > duration("5m")`:                       true,
		`event.timestamp.getHours() == 15`:                                           true,
		`event.location.iata == "LIM" && event.location.latitude < -12`:              true,
		`event.quantity.weight > 20`:                                                 true,
		`"e0" in event.corrects.event_ids && event.corrects.kind == "void"`:          true,
		`event.enrichment.milestone == "loaded" && event.enrichment.exception == ""`: true,
		`event.enrichment.place.country == "PE"`:                                     true,
		`event.enrichment.airline.name.startsWith("LATAM")`:                          true,
		`event.enrichment == event.enrichment && event == event`:                     true,
		`event.location == event.location && dyn(event.location) == 3`:               false,
		`[event][0].event_type == "loaded"`:                                          true,
		`dyn(event).event_type == "loaded" && has(dyn(event).location)`:              true,
		`event.source in ["LA", "AV"]`:                                               true,
		`event.source.matches("^[A-Z]{2}$")`:                                         true,
		// What the event does not have is empty.
		`has(event.location) && !has(event.transport) && !has(event.location.longitude)`: true,
		`event.transport.number == "" && event.location.longitude == 0.0`:                true,
		`has(event.enrichment.transport)`:                                                false,
		`has(event.payload)`:                                                             true,
		// The payload.
		`event.payload.weight == 23 && event.payload.weight > 20 && event.payload.weight < 23.5`: true,
		`event.payload.big == 9007199254740993 && event.payload.big != 9007199254740992`:         true,
		`event.payload.huge == 18446744073709551615u`:                                            true,
		`event.payload.half == 0.5`: true,
		`event.payload.fragile`:     true,
		`event.payload["a.b"] == 1`: true,
		`event.payload.flight.legs[1].to == "GRU" && size(event.payload.flight.legs) == 2`:                                 true,
		`event.payload.flight.legs.exists(l, l.to == "GRU")`:                                                               true,
		`event.payload.flight.legs.all(l, has(l.from)) && event.payload.flight.legs.all(l, l.via == null)`:                 true,
		`event.payload.flight.legs[0] == {"from": "LIM"} && {"from": "LIM"} == event.payload.flight.legs[0]`:               true,
		`"flight" in event.payload && !("fight" in event.payload) && !("nothing" in event.payload)`:                        true,
		`event.payload.exists(k, k == "flight") && !event.payload.exists(k, k == "nothing")`:                               true,
		`event.payload.tags == ["x", "y"]`:                                                                                 true, // of a key that is repeated, the first
		`event.payload.nulls[0] == null && event.payload.nulls == [null, 1] && size(event.payload.nulls) == 2`:             true,
		`event.payload.nulls[0].x == 1`:                                                                                    false,
		`{"a": 1} in [event.payload.object] && [event.payload.object] == [{"a": 1}] && event.payload.object in [{"a": 1}]`: true,
		`type(event.payload.missing) == null_type`:                                                                         true,
		// What it lacks is null, at any depth.
		`has(event.payload.gate) || has(event.payload.nothing) || has(event.payload.gate.number) || has(event.payload.location.x)`: false,
		`event.payload.gate == "A1"`:                                  false,
		`event.payload.gate != "A1"`:                                  true,
		`event.payload.gate.area.name != "A1"`:                        true,
		`event.payload.gate == null && event.payload.nothing == null`: true,
		`null == event.payload.gate.number`:                           true,
		`event.payload.gate in ["A1", "A2"]`:                          false,
		// What needs it has no answer, and then the condition does not hold.
		`event.payload.gate > 3`:                                       false,
		`3 > event.payload.gate`:                                       false,
		`!(event.payload.gate > 3)`:                                    false,
		`event.payload.gate`:                                           false,
		`!event.payload.gate`:                                          false,
		`event.payload.gate.startsWith("A")`:                           false,
		`event.payload.gate > 3 || event.event_type == "loaded"`:       true,
		`event.payload.flight.legs[7].to == "GRU"`:                     false,
		`event.payload.gates.exists(g, g == 1)`:                        false,
		`has(event.payload.gate) && event.payload.gate > 3`:            false,
		`event.payload.gate == "A1" ? false : event.revision == 3`:     true,
		`size(event.payload.flight) == 2 && event.payload.flight != 3`: true,
	} {
		condition, err := pipeline.CompileCondition(source)
		require.NoError(t, err, source)
		require.Equal(t, source, condition.Text())
		got, err := condition.Holds(judged())
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
}

func TestConditionsOnAnEventWithoutAPayload(t *testing.T) {
	for source, want := range map[string]bool{
		`has(event.payload)`: false, `event.payload == null`: true, `event.payload.x != 1`: true, `event.payload.x > 1`: false,
		`"x" in event.payload`: false, `event.event_type == ""`: true, `event.timestamp.getFullYear() == 1`: true,
	} {
		condition, err := pipeline.CompileCondition(source)
		require.NoError(t, err, source)
		got, err := condition.Holds(&tracking.Event{})
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
	var always pipeline.Condition
	require.True(t, always.IsZero())
	got, err := always.Holds(&tracking.Event{})
	require.NoError(t, err)
	require.True(t, got)
}

func TestWhatIsWrongInAnExpressionIsNamedWhereItStands(t *testing.T) {
	for source, want := range map[string]string{
		`event.evnt_type == "loaded"`:                 `1:7: unknown field "event.evnt_type"; did you mean "event.event_type"?`,
		`event.occurred_at > event.received_at`:       `1:7: unknown field "event.occurred_at"; did you mean "event.timestamp"?`,
		`true && event.enrichment.plaec.iata == ""`:   `1:26: unknown field "event.enrichment.plaec"; did you mean "event.enrichment.place"?`,
		"true &&\n  event . locaton.iata == \"LIM\"":  `2:11: unknown field "event.locaton"; did you mean "event.location"?`,
		`event.location.zzz == ""`:                    `1:16: unknown field "event.location.zzz"; event.location has iata, icao, unlocode, gln, name, facility, latitude, longitude`,
		`evnt.event_type == ""`:                       `1:1: unknown name "evnt"; did you mean "event"?`,
		`event_type == "loaded"`:                      `1:1: unknown name "event_type"; did you mean "event.event_type"?`,
		`event.event_type == loaded`:                  "1:21: unknown name \"loaded\"; the event is `event`, a text stands in quotes",
		`event.event_type == 3`:                       "1:18: `==` does not go between string and int; a text stands in quotes",
		`event.revision == "3"`:                       "1:16: `==` does not go between int and string; a number stands without quotes",
		`event.quantity.weight == 20`:                 "1:23: `==` does not go between double and int; write the number with a fraction: 20.0",
		`event.timestamp > "2026-01-01T00:00:00Z"`:    "1:17: `>` does not go between timestamp and string; write timestamp(\"2026-01-31T12:00:00Z\")",
		`event.event_type`:                            `1:1: a condition is true or false, and this is a string; compare it with something`,
		``:                                            "1:1: the expression is empty; write for example `event.event_type == \"loaded\"`",
		strings.Repeat("a", pipeline.MaxExpression+1): `1:1: the expression has 4097 characters: 4096 at most`,
		`event.source.matches("(")`:                   "1:22: invalid matches argument",
		`event.source.matches(event.payload.x)`:       "1:35: a pattern is a text in quotes",
		`event.timestamp > timestamp("tomorrow")`:     "1:29: invalid timestamp argument",
		`event.event_type.startswith("x")`:            "1:28: unknown name \"startswith\"; did you mean \"startsWith\"?",
	} {
		_, err := pipeline.CompileCondition(source)
		var wrong pipeline.SourceErrors
		require.ErrorAs(t, err, &wrong, source)
		require.Equal(t, want, wrong[0].Error(), source)
	}
	_, err := pipeline.CompileCondition(`event.knd == "x" || event.sorce == "y"`)
	require.EqualError(t, err, "1:7: unknown field \"event.knd\"; did you mean \"event.kind\"?\n"+
		"1:27: unknown field \"event.sorce\"; did you mean \"event.source\"?")
	_, err = pipeline.CompileCondition(`event.event_type == `)
	require.ErrorContains(t, err, "1:21: ")
}

func TestAnEventThatCannotBeJudgedIsAnError(t *testing.T) {
	for source, want := range map[string]string{
		`event.payload.location > 3`:    "no such overload",
		`event.payload.location`:        "a condition is true or false, and this is a string",
		`event.payload.weight / 0 == 1`: "division by zero",
		// Quadratic and more: the bound on cost.
		`event.payload.many.all(a, event.payload.many.all(b, event.payload.many.all(c, a + b + c > -1)))`: "cost limit exceeded",
	} {
		condition, err := pipeline.CompileCondition(source)
		require.NoError(t, err, source)
		event := judged()
		if strings.Contains(source, "many") {
			event.Payload = json.RawMessage(`{"many":[` + strings.Repeat("1,", 500) + `1]}`)
		}
		_, err = condition.Holds(event)
		require.ErrorContains(t, err, want, source)
		require.ErrorContains(t, err, "evaluate `"+source+"`")
	}
}

func TestADeepPayloadIsNoTrouble(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000)
	for _, source := range []string{`event.payload == {"a": 1}`, `event.payload == event.payload`, `size(event.payload) == 2`} {
		condition, err := pipeline.CompileCondition(source)
		require.NoError(t, err)
		_, err = condition.Holds(&tracking.Event{Payload: json.RawMessage(deep)})
		_ = err // an error or an answer, but no crash
	}
	lists := strings.Repeat(`[`, 200_000) + strings.Repeat("]", 200_000)
	condition, err := pipeline.CompileCondition(`event.payload == event.payload`)
	require.NoError(t, err)
	_, _ = condition.Holds(&tracking.Event{Payload: json.RawMessage(lists)})
}

// A condition that does not touch the payload never reads it.
func TestThePayloadIsReadOnlyWhenAskedFor(t *testing.T) {
	condition, err := pipeline.CompileCondition(`event.event_type == "loaded"`)
	require.NoError(t, err)
	small, large := judged(), judged()
	large.Payload = json.RawMessage(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	cost := func(e *tracking.Event) float64 {
		return testing.AllocsPerRun(100, func() {
			if ok, err := condition.Holds(e); !ok || err != nil {
				t.Fatal(ok, err)
			}
		})
	}
	require.Equal(t, cost(small), cost(large))
	require.LessOrEqual(t, cost(large), 4.0)
}

// fragments that expressions are made of.
var fragments = []string{
	"event", ".", "event_type", "event.payload", ".location", "event.timestamp", "event.location.iata", "event.enrichment.place", "==", "!=", "<",
	"&&", "||", "!", "(", ")", "[", "]", "0", "1.5", `"LIM"`, "null", "true", "has(", "size(", "in", "+", "-", "/", "?", ":", ".exists(x, x == 1)", ".all(x, ",
	"x", ".map(x, x)", "timestamp(", "duration(", `.matches("a+")`, "{", "}", ",", "\n", "event.quantity.pieces", "string(", "type(", "dyn(", "é", "\x00",
	".startsWith(", "event.corrects.event_ids", "[0]", "int(", ".getHours()",
}

func payloads() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		``, `null`, `[]`, `{}`, `{"location":"LIM"}`, `{"location":{"a":[1,2,{"b":null}]}}`, `[1,[2,[3]],"x",1e400,-0]`, `{"location":`, `"text"`, `12345678901234567890123`,
		`{"a":1,"a":2}`, `{"location":[true,false]}`, "\xff\xfe", `{"x":{"x":{"x":1}}}`,
	})
}

// Any source either compiles or is an error, and what compiles never panics, whatever the event.
func TestExpressionsNeverPanic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := strings.Join(rapid.SliceOfN(rapid.SampledFrom(fragments), 1, 12).Draw(t, "fragments"), rapid.SampledFrom([]string{"", " "}).Draw(t, "space"))
		exercise(t, source, rapid.Custom(func(t *rapid.T) *tracking.Event {
			e := &tracking.Event{Type: rapid.String().Draw(t, "type"), Payload: json.RawMessage(payloads().Draw(t, "payload"))}
			if rapid.Bool().Draw(t, "whole") {
				payload := e.Payload
				e = judged()
				e.Payload = payload
			}
			return e
		}).Draw(t, "event"))
	})
}

func exercise(t require.TestingT, source string, event *tracking.Event) {
	condition, err := pipeline.CompileCondition(source)
	if err != nil {
		wrong, ok := err.(pipeline.SourceErrors) //nolint:errorlint // CompileCondition promises SourceErrors themselves
		require.True(t, ok, "%q: %v", source, err)
		require.NotEmpty(t, wrong)
		for _, e := range wrong {
			require.Positive(t, e.Line, source)
			require.Positive(t, e.Column, source)
		}
		return
	}
	before := string(event.Payload)
	_, err = condition.Holds(event)
	if err != nil {
		require.NotContains(t, err.Error(), "internal error", source)
	}
	require.Equal(t, before, string(event.Payload))
}

func FuzzCondition(f *testing.F) {
	f.Add(`event.event_type == "loaded" && event.payload.location == "LIM"`, []byte(`{"location":"LIM"}`))
	f.Add(`event.payload.a.exists(x, x.b > 1) || event.timestamp < timestamp("2026-01-01T00:00:00Z")`, []byte(`{"a":[{"b":2}]}`))
	f.Add("event.payload.x[0].y == {'a': [1, 2u, 3.0]}\n? true : has(event.location)", []byte(`{"x":[{"y":{"a":[1,2,3]}}]}`))
	f.Fuzz(func(t *testing.T, source string, payload []byte) {
		event := judged()
		event.Payload = payload
		exercise(t, source, event)
	})
}

func BenchmarkCondition(b *testing.B) {
	for name, source := range map[string]string{
		"event_type": `event.event_type == "loaded"`,
		"payload":    `event.payload.location == "LIM"`,
		"nested":     `event.event_type == "loaded" && event.payload.flight.number == "LA2468"`,
		"counted":    `event.event_type.contains(event.event_type)`,
	} {
		b.Run(name, func(b *testing.B) {
			condition, err := pipeline.CompileCondition(source)
			require.NoError(b, err)
			event := judged()
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := condition.Holds(event); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// A condition is shared by the workers of a hop.
func TestWorkersMayShareACondition(t *testing.T) {
	for _, source := range []string{
		`event.payload.weight > 20 && event.payload.flight.legs.exists(l, l.to == "GRU")`, `event.payload.location > 3`,
		`event.payload.location && true`, `!event.payload.weight`, `event.payload.gate > 3`, `event.payload.location ? true : false`,
	} {
		condition, err := pipeline.CompileCondition(source)
		require.NoError(t, err)
		want, wantErr := condition.Holds(judged())
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for range 50 {
					got, err := condition.Holds(judged())
					if got != want || (err == nil) != (wantErr == nil) {
						t.Errorf("%s: %v %v", source, got, err)
					}
				}
			})
		}
		workers.Wait()
	}
}
