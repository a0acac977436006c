package pipeline_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// mapped returns an event as it is mapped.
func mapped(t require.TestingT, event *tracking.Event, set map[string]string, unset []string, missing pipeline.OnMissing) (*tracking.Event, error) {
	assignments, err := pipeline.NewAssignments(set)
	require.NoError(t, err)
	var targets []pipeline.Target
	for _, text := range unset {
		target, err := pipeline.ParseTarget(text)
		require.NoError(t, err)
		targets = append(targets, target)
	}
	mapping, err := pipeline.NewMapping(assignments, targets, missing)
	require.NoError(t, err)
	changed := event.Clone()
	return changed, mapping.Apply(pipeline.NewScope(event), changed)
}

func TestFieldsOfEveryTypeCanBeSet(t *testing.T) {
	t.Parallel()
	event := attributed()
	got, err := mapped(t, event, map[string]string{
		"event_type": `event.payload.location`, "kind": `"cargo"`, "revision": `event.revision + 1`, "classifier": `"planned"`,
		"timestamp": `timestamp("2026-01-31T12:00:00.1234567-05:00")`, "time_quality": `"date_only"`, "correlation_id": `event.event_type`,
		"location.latitude": `event.payload.half`, "location.longitude": `-1`, "location.iata": `event.payload.flight.legs[1].to`,
		"quantity.pieces": `event.payload.tags.size()`, "quantity.weight": `event.payload.weight`, "quantity.weight_unit": `"kg"`,
		"transport.mode": `"air"`, "transport.date": `"2026-01-31"`, "corrects.event_ids": `event.payload.tags`,
		"enrichment.milestone": `"delivered"`, "enrichment.place.city": `"Lima"`, "enrichment.attributes.lane.to": `"GRU"`,
		"enrichment.attributes.customer.discount": `1`, "payload.flight.legs.0.to": `event.payload.location`, "payload.total": `{'n': 1}`,
	}, nil, pipeline.MissingReject)
	require.NoError(t, err)
	want := event.Clone()
	want.Type, want.Kind, want.Revision, want.Classifier, want.TimeQuality = "LIM", "cargo", 4, "planned", "date_only"
	want.CorrelationID = "loaded"
	require.Equal(t, "2026-01-31T12:00:00.123456-05:00", got.OccurredAt.Format("2006-01-02T15:04:05.999999999Z07:00"))
	want.OccurredAt = got.OccurredAt
	half, minus := 0.5, -1.0
	want.Location.Lat, want.Location.Lon, want.Location.IATA = &half, &minus, "GRU"
	want.Quantity.Weight, want.Quantity.WeightUnit = 23, "kg"
	want.Transport = &tracking.Transport{Mode: "air", Date: "2026-01-31"}
	want.Corrects.EventIDs = []string{"x", "y"}
	want.Enrichment.Milestone, want.Enrichment.Place.City = "delivered", "Lima"
	want.Enrichment.Attributes["lane"] = json.RawMessage(`{"to":"GRU"}`)
	want.Enrichment.Attributes["customer"] = json.RawMessage(`{"tier":"gold","discount":1,"phones":["1"],"gone":null}`)
	want.Payload = json.RawMessage(strings.Replace(strings.TrimSuffix(string(event.Payload), "}"), `{"from":"LIM"}`, `{"from":"LIM","to":"LIM"}`, 1) + `,"total":{"n":1}}`)
	require.Equal(t, want, got)
	require.Equal(t, attributed(), event, "the event that was mapped is as it was")
}

func TestFieldsAboveAreChangedFirstAndExpressionsSeeTheEventAsItCame(t *testing.T) {
	t.Parallel()
	event := attributed()
	got, err := mapped(t, event, map[string]string{
		"payload": `event.payload.flight`, "payload.was": `event.payload.location`, "event_type": `event.kind`, "kind": `event.event_type == "loaded" ? "parcel" : "cargo"`,
		"location.name": `event.location.iata`, "enrichment.attributes.risk": `event.enrichment.attributes`,
	}, []string{"payload.legs", "location", "enrichment.attributes.customer", "enrichment.place", "quantity.pieces", "quantity.weight", "corrects"}, pipeline.MissingKeep)
	require.NoError(t, err)
	require.Equal(t, `{"number":"LA2468","was":"LIM"}`, string(got.Payload))
	require.Equal(t, "baggage", got.Type)
	require.Equal(t, tracking.Parcel, got.Kind)
	require.Equal(t, &tracking.Location{Name: "LIM"}, got.Location)
	require.Nil(t, got.Quantity, "an object in which nothing is left is not there")
	require.Nil(t, got.Corrects)
	require.Nil(t, got.Enrichment.Place)
	require.Equal(t, []string{"none", "risk"}, keysOf(got.Enrichment.Attributes))
	require.Contains(t, string(got.Enrichment.Attributes["risk"]), `"tier":"gold"`)

	got, err = mapped(t, event, map[string]string{"event_type": `"x"`}, []string{"enrichment.attributes", "payload", "payload.x", "transport.mode"}, pipeline.MissingKeep)
	require.NoError(t, err)
	require.Nil(t, got.Enrichment.Attributes)
	require.Empty(t, got.Payload)
	got, err = mapped(t, event, nil, []string{"enrichment.attributes.customer.phones", "enrichment.attributes.nobody.x", "payload.nothing", "payload.tags.x"}, pipeline.MissingKeep)
	require.NoError(t, err)
	require.Equal(t, `{"tier":"gold","discount":0.50,"gone":null}`, string(got.Enrichment.Attributes["customer"]))
	require.Equal(t, strings.Replace(string(event.Payload), `"nothing":null,`, "", 1), string(got.Payload))
}

func keysOf(m map[string]json.RawMessage) []string {
	var keys []string
	for _, name := range []string{"customer", "none", "risk"} {
		if _, ok := m[name]; ok {
			keys = append(keys, name)
		}
	}
	return keys
}

func TestWhatBecomesOfAFieldWithoutAValue(t *testing.T) {
	t.Parallel()
	set := map[string]string{"location.iata": `event.payload.gate.upperAscii()`, "payload.weight": `event.payload.gate`, "enrichment.attributes.risk": `null`}
	kept, err := mapped(t, attributed(), set, nil, pipeline.MissingKeep)
	require.NoError(t, err)
	require.Equal(t, attributed(), kept)
	null, err := mapped(t, attributed(), set, nil, pipeline.MissingNull)
	require.NoError(t, err)
	require.Empty(t, null.Location.IATA)
	require.Equal(t, "null", string(null.Enrichment.Attributes["risk"]))
	require.Equal(t, strings.Replace(string(judged().Payload), `"weight":23`, `"weight":null`, 1), string(null.Payload))
	_, err = mapped(t, attributed(), map[string]string{"location.iata": `event.payload.gate.upperAscii()`}, nil, pipeline.MissingReject)
	require.EqualError(t, err, "/location/iata: `event.payload.gate.upperAscii()` has no value: something that it needs is missing")
	_, err = mapped(t, attributed(), map[string]string{"event_type": `event.payload.gate`}, nil, pipeline.MissingNull)
	require.EqualError(t, err, "/event_type: no event can be without it")
	require.EqualError(t, pipeline.OnMissing("x").Validate(), `"x" is not one of keep, reject, null`)
}

func TestWhatTheWireDoesNotAllowIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ field, source, want string }{
		{"event_type", `event.payload.weight`, "/event_type: a text is wanted, and this is a int; write string(...)"},
		{"event_type", `""`, "/event_type: no event can be without it, and this is an empty text"},
		{"event_type", `event.payload.location + "\u0000"`, `/event_type: "LIM\x00" has control characters`},
		{"event_id", `event.payload.long`, "/event_id: 300 bytes are too long; 256 at most"},
		{"kind", `event.payload.location`, `/kind: "LIM" is not one of baggage, cargo, parcel, passenger, equipment`},
		{"corrects.kind", `"undo"`, `/corrects/kind: "undo" is not one of void, replace`},
		{"enrichment.milestone", `"gone"`, `/enrichment/milestone: "gone" is not one of announced`},
		{"quantity.pieces", `event.payload.half`, "/quantity/pieces: 0.5 is no integer of 64 bits"},
		{"quantity.pieces", `-1`, "/quantity/pieces: -1 is not between 0 and 1e+09"},
		{"location.latitude", `event.payload.weight * 5`, "/location/latitude: 115 is not between -90 and 90"},
		{"timestamp", `event.payload.location`, "/timestamp: a timestamp is wanted, and this is a string; write timestamp(...)"},
		{"timestamp", `timestamp("1960-01-01T00:00:00Z")`, "/timestamp: the year 1960 is not between 1970 and 9999"},
		{"transport.date", `"tomorrow"`, `/transport/date: "tomorrow" is no date as 2026-01-31`},
		{"corrects.event_ids", `event.payload.nulls`, "/corrects/event_ids: item 0: a text is wanted, and there is none"},
		{"corrects.event_ids", `["a", ""]`, "/corrects/event_ids: there is an empty text in the list"},
		{"corrects.event_ids", `[]`, "/corrects: a correction has a kind, void or replace, and the event_ids that it corrects"},
		{"payload.location.x", `1`, `/payload/location/x: "x" cannot be set within what is neither an object nor a list`},
		{"payload.tags.9", `1`, `/payload/tags/9: "9" is no item of a list of 2; write a number from 0 to 2`},
		{`payload.a~b/c\.d.x`, `event.payload.location + 1`, "/payload/a~0b~1c.d/x: evaluate `event.payload.location + 1`: no such overload"},
		{"payload." + strings.Repeat("a.", 70) + "b", `1`, "nests 71 levels deep; 63 at most"},
	} {
		event := attributed()
		event.Payload = json.RawMessage(strings.TrimSuffix(string(event.Payload), "}") + `,"long":"` + strings.Repeat("x", 300) + `"}`)
		_, err := mapped(t, event, map[string]string{c.field: c.source}, nil, pipeline.MissingReject)
		require.ErrorContains(t, err, c.want, c.field)
		var field *pipeline.FieldError
		require.ErrorAs(t, err, &field)
		require.Error(t, field.Unwrap())
	}
}

func TestWhatIsWrongInAssignmentsIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"set: {event_typ: 'event.kind'}":              `1:7 unknown field "event_typ"; did you mean "event_type"?`,
		"set: {uid: 'event.uid'}":                     "1:7 uid cannot be changed: it says whose delivery the event is",
		"set:\n  tenant_id: event.source":             "2:3 tenant_id cannot be changed: it says whose delivery the event is",
		"set: {received_at: event.timestamp}":         "1:7 received_at cannot be changed: it says whose delivery the event is",
		"set:\n  quantity.pieces: event.event_type":   "2:20 an integer is wanted here, and this is a string; write int(...)",
		"set:\n  timestamp: event.payload.when + x":   "2:35 unknown name \"x\"; the event is `event`",
		"set: {location: event.payload.location}":     `1:7 field "location" has parts; name one of them: location.iata`,
		"set: {enrichment.attributes: event.payload}": `1:7 field "enrichment.attributes" has parts; name one of them: enrichment.attributes.NAME`,
		"set: {event.kind: event.kind}":               `1:7 unknown field "event.kind"; did you mean "kind"?`,
		"set: {payload..x: event.kind}":               `1:7 field path "payload..x" has an empty part`,
		"set: [event_type]":                           "1:6 write FIELD: EXPRESSION lines",
		"set: {event_type: [a]}":                      "string",
		"unset: [uid]":                                "1:9 uid cannot be changed",
		"unset: [nowhere]":                            `1:9 unknown field "nowhere"`,
	} {
		var config struct {
			Set   pipeline.Assignments `yaml:"set"`
			Unset []pipeline.Target    `yaml:"unset"`
		}
		err := yaml.Unmarshal([]byte(source), &config)
		var at yaml.Error
		require.ErrorAs(t, err, &at, source)
		position := at.GetToken().Position
		require.Contains(t, strings.Join([]string{itoa(position.Line) + ":" + itoa(position.Column), at.GetMessage()}, " "), want, source)
	}
	for _, unset := range []string{"event_type", "payload.x"} {
		target, err := pipeline.ParseTarget(unset)
		require.NoError(t, err)
		set, err := pipeline.NewAssignments(map[string]string{"payload.x": "1"})
		require.NoError(t, err)
		_, err = pipeline.NewMapping(set, []pipeline.Target{target}, pipeline.MissingKeep)
		require.ErrorContains(t, err, "unset: ")
	}
	_, err := pipeline.NewAssignments(map[string]string{"nowhere": "1"})
	require.Error(t, err)
	_, err = pipeline.NewAssignments(map[string]string{"kind": "1"})
	require.ErrorContains(t, err, "kind: 1:1: a text is wanted here")
}

func itoa(n int) string { return string(json.RawMessage(mustMarshal(n))) }

func mustMarshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// Every field of the wire but those that say whose delivery an event is can be set, to what it is: nothing changes.
func TestSettingAFieldToItselfChangesNothing(t *testing.T) {
	t.Parallel()
	set := map[string]string{}
	walk("", reflect.TypeFor[tracking.Event](), func(path string) {
		if path != "uid" && path != "tenant_id" && path != "received_at" {
			set[path] = "event." + path
		}
	})
	require.Greater(t, len(set), 40)
	rapid.Check(t, func(t *rapid.T) {
		event := attributed()
		event.Enrichment.Attributes["x"] = json.RawMessage(`{"y": 1.50}`)
		if rapid.Bool().Draw(t, "bare") {
			event = &tracking.Event{TenantID: "a", Source: "s", EventID: "e", CorrelationID: "c", AggregateID: "a", Type: "t", Classifier: tracking.Actual,
				OccurredAt: event.OccurredAt, Payload: json.RawMessage(payloads().Filter(func(s string) bool { return json.Valid([]byte(s)) }).Draw(t, "payload"))}
		}
		fields := rapid.SliceOfDistinct(rapid.SampledFrom(sorted(set)), func(s string) string { return s }).Draw(t, "fields")
		some := map[string]string{}
		for _, field := range fields {
			some[field] = set[field]
		}
		got, err := mapped(t, event, some, nil, pipeline.MissingKeep)
		if err != nil && strings.Contains(err.Error(), "nests") {
			return
		}
		require.NoError(t, err)
		require.Equal(t, string(event.Payload), string(got.Payload))
		got.Payload = event.Payload
		got.OccurredAt = event.OccurredAt
		require.Equal(t, event, got)
	})
}

func sorted(m map[string]string) []string {
	var keys []string
	walk("", reflect.TypeFor[tracking.Event](), func(path string) {
		if _, ok := m[path]; ok {
			keys = append(keys, path)
		}
	})
	return keys
}

func FuzzTarget(f *testing.F) {
	f.Add("payload.flight.legs.1", `{"flight":{"legs":["LIM","JFK"]}}`)
	f.Add(`payload.a\.b`, `{"a.b":1, "a":[{}]}`)
	f.Add("enrichment.attributes.x.y", `null`)
	f.Fuzz(func(t *testing.T, text, payload string) {
		target, err := pipeline.ParseTarget(text)
		if err != nil || !json.Valid([]byte(payload)) {
			return
		}
		if _, err := target.Takes(); err != nil || !strings.HasPrefix(text, "payload") {
			return
		}
		event := attributed()
		event.Payload = json.RawMessage(payload)
		got, err := mapped(t, event, map[string]string{text: `"NEW"`}, nil, pipeline.MissingKeep)
		if err != nil {
			return
		}
		require.True(t, json.Valid(got.Payload), "%s", got.Payload)
		require.Equal(t, payload, string(event.Payload))
		if path, err := pipeline.ParsePath(text); err == nil {
			found, present := path.String(got)
			require.True(t, present, "%s in %s", text, got.Payload)
			require.Equal(t, "NEW", found)
		}
		bare, err := mapped(t, got, nil, []string{text}, pipeline.MissingKeep)
		require.NoError(t, err)
		require.True(t, len(bare.Payload) == 0 || json.Valid(bare.Payload), "%s", bare.Payload)
	})
}

func BenchmarkMapping(b *testing.B) {
	for name, set := range map[string]map[string]string{
		"fields":  {"event_type": `event.payload.flight.number.upperAscii()`, "location.iata": `event.payload.location`},
		"payload": {"payload.total": `event.payload.weight * 2`, "payload.flight.number": `event.event_type`},
	} {
		b.Run(name, func(b *testing.B) {
			assignments, err := pipeline.NewAssignments(set)
			require.NoError(b, err)
			mapping, err := pipeline.NewMapping(assignments, nil, pipeline.MissingKeep)
			require.NoError(b, err)
			event := judged()
			b.ReportAllocs()
			for b.Loop() {
				if err := mapping.Apply(pipeline.NewScope(event), event.Clone()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
