package pipeline_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func pathEvent() *tracking.Event {
	lat := -12.0219
	return &tracking.Event{
		UID: uuid.MustParse("0197a1b2-0000-7000-8000-000000000001"), TenantID: "talma-pe", Source: "LA", EventID: "evt-1",
		Revision: 7, CorrelationID: "045-53806270", AggregateID: "045-53806270", Kind: tracking.Cargo, Type: "DEP",
		Classifier: tracking.Actual,
		OccurredAt: time.Date(2026, 6, 20, 19, 5, 0, 120_000_000, time.FixedZone("", -5*3600)),
		Location:   &tracking.Location{IATA: "LIM", Lat: &lat},
		Quantity:   &tracking.Quantity{TotalPieces: 10, Weight: 505.5},
		Corrects:   &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"evt-0"}},
		Payload: json.RawMessage(`{"location":"LIM","flight":{"number":2468,"legs":["LIM","JFK"]},"big":12345678901234567890,
			"exact":1.10,"none":null,"empty":"","yes":true,"a.b":"dotted","back\\slash":"slashed","@this":"literal","*":"star",
			"#":"hash","|":"pipe","0":"zero","ñandú":"é"}`),
		Enrichment: tracking.Enrichment{Milestone: tracking.InTransit, Place: &tracking.Place{IATA: "LIM", TimeZone: "America/Lima"},
			Attributes: map[string]json.RawMessage{"customer": json.RawMessage(`{"tier":"gold","since":[2019]}`), "a.b": json.RawMessage(`1.50`)}},
	}
}

func TestPathNamesTheValuesOfAnEvent(t *testing.T) {
	t.Parallel()
	cases := []struct {
		path, want string
		present    bool
	}{
		{"uid", "0197a1b2-0000-7000-8000-000000000001", true},
		{"tenant_id", "talma-pe", true},
		{"event_type", "DEP", true},
		{"kind", "cargo", true},
		{"revision", "7", true},
		{"timestamp", "2026-06-21T00:05:00.12Z", true},
		{"received_at", "", false}, // zero
		{"time_quality", "", false},
		{"location.iata", "LIM", true},
		{"location.icao", "", false},
		{"location.latitude", "-12.0219", true},
		{"location.longitude", "", false},
		{"quantity.pieces", "0", true},
		{"quantity.weight", "505.5", true},
		{"transport.number", "", false}, // no transport at all
		{"corrects.kind", "void", true},
		{"enrichment.milestone", "in_transit", true},
		{"enrichment.place.time_zone", "America/Lima", true},
		{"enrichment.airline.iata", "", false},
		{"enrichment.attributes.customer.tier", "gold", true},
		{"enrichment.attributes.customer.since.0", "2019", true},
		{"enrichment.attributes.customer", `{"tier":"gold","since":[2019]}`, true},
		{`enrichment.attributes.a\.b`, "1.50", true},
		{"enrichment.attributes.nobody", "", false},
		{"enrichment.attributes.nobody.tier", "", false},
		{"payload.location", "LIM", true},
		{"payload.flight.number", "2468", true},
		{"payload.flight.legs.1", "JFK", true},
		{"payload.flight.legs.2", "", false},
		{"payload.flight.legs", `["LIM","JFK"]`, true},
		{"payload.big", "12345678901234567890", true},
		{"payload.exact", "1.10", true},
		{"payload.none", "", false},
		{"payload.empty", "", false},
		{"payload.yes", "true", true},
		{"payload.absent", "", false},
		{`payload.a\.b`, "dotted", true},
		{"payload.a.b", "", false},
		{`payload.back\\slash`, "slashed", true},
		{"payload.@this", "literal", true},
		{"payload.*", "star", true},
		{"payload.#", "hash", true},
		{"payload.|", "pipe", true},
		{"payload.0", "zero", true},
		{"payload.ñandú", "é", true},
	}
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			path, err := pipeline.ParsePath(c.path)
			require.NoError(t, err)
			require.Equal(t, c.path, path.Text())

			got, present := path.String(pathEvent())
			require.Equal(t, c.want, got)
			require.Equal(t, c.present, present)

			appended, present := path.Append([]byte("before:"), pathEvent())
			require.Equal(t, "before:"+c.want, string(appended))
			require.Equal(t, c.present, present)
		})
	}
}

func TestPathOfTheWholePayload(t *testing.T) {
	t.Parallel()
	path, err := pipeline.ParsePath("payload")
	require.NoError(t, err)

	got, present := path.String(&tracking.Event{Payload: json.RawMessage(`{"a": 1}`)})
	require.True(t, present)
	require.JSONEq(t, `{"a":1}`, got)

	_, present = path.String(&tracking.Event{})
	require.False(t, present)
}

func TestZeroPathNamesNothing(t *testing.T) {
	t.Parallel()
	var path pipeline.Path
	require.True(t, path.IsZero())
	_, present := path.String(pathEvent())
	require.False(t, present)
}

func TestParsePathSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"":                         "field path is empty; write a field's name",
		"tenant":                   `unknown field "tenant"; did you mean "tenant_id"?`,
		"event_typ":                `unknown field "event_typ"; did you mean "event_type"?`,
		"type":                     `unknown field "type"; did you mean "event_type"?`,
		"occurred_at":              `unknown field "occurred_at"; did you mean "timestamp"?`,
		"Type":                     `did you mean "event_type"?`,
		"location.iatta":           `unknown field "location.iatta"; did you mean "location.iata"?`,
		"location.lat":             `did you mean "location.latitude"?`,
		"location":                 `field "location" has parts; name one of them: location.iata, location.icao`,
		"enrichment.place":         "name one of them: enrichment.place.iata",
		"enrichment.attributes":    "name one of them: enrichment.attributes.NAME",
		"enrichment.attributes.":   "has an empty part",
		"source.name":              `"source" is a single value and has no parts`,
		"timestamp.year":           `"timestamp" is a single value and has no parts`,
		"corrects.event_ids":       `field "corrects.event_ids" is a list; a path names a single value`,
		"event.payload.location":   `did you mean "payload.location"?`,
		"payload..location":        "has an empty part",
		"payload.":                 "has an empty part",
		`payload.a\b`:              "a backslash stands only before a dot or a backslash",
		`payload.a\`:               "a backslash stands only before a dot or a backslash",
		strings.Repeat("a", 1000):  "256 at most",
		"zzzzzzzzzzzzzzzzzzzzzzzz": "there is uid, tenant_id, source",
	}
	for text, want := range cases {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.ParsePath(text)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestMustParsePath(t *testing.T) {
	t.Parallel()
	require.Equal(t, "tenant_id", pipeline.MustParsePath("tenant_id").Text())
	require.Panics(t, func() { pipeline.MustParsePath("tenant") })
}

func TestPathInAConfigIsAnErrorAtItsPlace(t *testing.T) {
	t.Parallel()
	var config struct {
		Key []pipeline.Path `yaml:"key"`
	}
	require.NoError(t, yaml.Unmarshal([]byte("key: [tenant_id, payload.a]"), &config))
	require.Equal(t, "payload.a", config.Key[1].Text())

	err := yaml.Unmarshal([]byte("key:\n  - tenant_id\n  - sauce\n"), &config)
	var at yaml.Error
	require.ErrorAs(t, err, &at)
	require.Equal(t, 3, at.GetToken().Position.Line)
	require.Equal(t, `unknown field "sauce"; did you mean "source"?`, at.GetMessage())

	require.Error(t, yaml.Unmarshal([]byte("key: [{a: b}]"), &config))
}

// Every field of the wire must be reachable: a new kind of field breaks this test and not a pipeline.
func TestEveryValueOfTheWireHasAPath(t *testing.T) {
	t.Parallel()
	event := &tracking.Event{}
	fill(reflect.ValueOf(event).Elem())
	event.Payload = json.RawMessage(`{"a":1}`)
	count := 0
	walk("", reflect.TypeFor[tracking.Event](), func(path string) {
		if path == "corrects.event_ids" {
			return // a list
		}
		count++
		parsed, err := pipeline.ParsePath(path)
		require.NoError(t, err)
		text, present := parsed.String(event)
		require.True(t, present, path)
		require.NotEmpty(t, text, path)
	})
	require.Greater(t, count, 40)
}

func walk(prefix string, at reflect.Type, visit func(path string)) {
	if at.Kind() == reflect.Pointer {
		at = at.Elem()
	}
	if at == reflect.TypeFor[tracking.Personal]() || at == reflect.TypeFor[tracking.SpanContext]() {
		return // nothing reaches it
	}
	if at.Kind() == reflect.Map {
		visit(prefix + "x")
		return
	}
	if at.Kind() != reflect.Struct || at == reflect.TypeFor[time.Time]() {
		visit(strings.TrimSuffix(prefix, "."))
		return
	}
	for i := range at.NumField() {
		name, _, _ := strings.Cut(at.Field(i).Tag.Get("json"), ",")
		walk(prefix+name+".", at.Field(i).Type, visit)
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]json.RawMessage{"x": json.RawMessage(`{"y":1}`)}))
	case reflect.Array:
		v.Index(0).SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
	}
}

// Whatever a sender calls its keys, a path that escapes dots and backslashes finds the value and nothing else.
func TestPathFindsAnyKey(t *testing.T) {
	t.Parallel()
	escape := strings.NewReplacer(`\`, `\\`, `.`, `\.`)
	key := rapid.StringMatching(`[a-c.\\@#*?|!{}\[\]"ñ0-2 :<>=%]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		outer, inner, other := key.Draw(t, "outer"), key.Draw(t, "inner"), key.Draw(t, "other")
		object := map[string]any{outer: map[string]any{inner: "found"}}
		if other != outer {
			object[other] = "other"
		}
		payload, err := json.Marshal(object)
		require.NoError(t, err)
		path, err := pipeline.ParsePath("payload." + escape.Replace(outer) + "." + escape.Replace(inner))
		require.NoError(t, err)
		got, present := path.String(&tracking.Event{Payload: payload})
		require.True(t, present)
		require.Equal(t, "found", got)
	})
}

func FuzzPath(f *testing.F) {
	f.Add("payload.flight.legs.1", `{"flight":{"legs":["LIM","JFK"]}}`)
	f.Add(`payload.a\.b`, `{"a.b":1}`)
	f.Add("location.iata", `{`)
	f.Add("payload.#.a|@pretty", `[{"a":1}]`)
	f.Fuzz(func(t *testing.T, text, payload string) {
		path, err := pipeline.ParsePath(text)
		if err != nil {
			return
		}
		event := &tracking.Event{Payload: json.RawMessage(payload), Location: &tracking.Location{}}
		got, present := path.String(event)
		appended, alsoPresent := path.Append(nil, event)
		require.Equal(t, got, string(appended))
		require.Equal(t, present, alsoPresent)
		require.True(t, present || got == "")
	})
}

func TestPathDoesNotAllocate(t *testing.T) {
	event, dst := pathEvent(), make([]byte, 0, 256)
	for _, text := range []string{"uid", "tenant_id", "revision", "timestamp", "location.latitude", "quantity.weight"} {
		path, err := pipeline.ParsePath(text)
		require.NoError(t, err)
		allowed := 0.0
		if text == "uid" {
			allowed = 1
		}
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { dst, _ = path.Append(dst[:0], event) }), allowed, text)
	}
}

func BenchmarkPath(b *testing.B) {
	for _, text := range []string{"tenant_id", "location.iata", "payload.flight.number"} {
		b.Run(text, func(b *testing.B) {
			path, err := pipeline.ParsePath(text)
			require.NoError(b, err)
			event, dst := pathEvent(), make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = path.Append(dst[:0], event)
			}
		})
	}
}
