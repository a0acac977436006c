package validate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func TestShippedSchemaCostsNoDecodingOfPayloads(t *testing.T) {
	t.Parallel()
	schema, err := compile(config.Files(), "event.schema.json")
	require.NoError(t, err)
	require.True(t, ignoresPayload(schema))
}

// A schema for which the payload is not decoded must say the same of any payload.
func TestIgnoresPayload(t *testing.T) {
	t.Parallel()
	cases := []struct {
		schema string
		want   bool
	}{
		{`true`, true},
		{`false`, true},
		{`{}`, true},
		{`{"type":"object","required":["payload","source"]}`, true},
		{`{"properties":{"payload":true},"additionalProperties":false}`, true},
		{`{"properties":{"payload":{"title":"any","description":"any"}}}`, true},
		{`{"properties":{"source":{"minLength":1}},"additionalProperties":false}`, true},
		{`{"properties":{"payload":false}}`, false},
		{`{"properties":{"payload":{"type":"object"}}}`, false},
		{`{"properties":{"payload":{"$ref":"#/$defs/p"}},"$defs":{"p":true}}`, false},
		{`{"additionalProperties":{"type":"string"}}`, false},
		{`{"patternProperties":{"^pay":{"type":"object"}}}`, false},
		{`{"allOf":[{"properties":{"payload":{"type":"object"}}}]}`, false},
		{`{"if":{"properties":{"kind":{"const":"cargo"}}},"then":{"properties":{"payload":{"type":"object"}}}}`, false},
		{`{"dependentSchemas":{"kind":{"properties":{"payload":{"type":"object"}}}}}`, false},
		{`{"not":{"properties":{"payload":{"type":"array"}}}}`, false},
		{`{"unevaluatedProperties":false}`, false},
		{`{"$ref":"#/$defs/e","$defs":{"e":{"properties":{"payload":{"type":"object"}}}}}`, false},
	}
	for _, c := range cases {
		schema, err := compile(withSchema(c.schema).Files, "event.schema.json")
		require.NoError(t, err, c.schema)
		require.Equal(t, c.want, ignoresPayload(schema), c.schema)
	}
}

func TestSchemaOfThePayload(t *testing.T) {
	t.Parallel()
	stage := newStage(t, withSchema(`{"properties":{"payload":{
		"type":"object","required":["flight","bags"],"additionalProperties":false,"minProperties":1,
		"propertyNames":{"maxLength":12},
		"dependentRequired":{"gate":["terminal"]},
		"properties":{
			"flight":{"type":"string","pattern":"^[A-Z0-9]{2}[0-9]{1,4}$"},
			"pieces":{"type":"integer","minimum":1,"exclusiveMaximum":1000,"multipleOf":1},
			"weight":{"exclusiveMinimum":0},
			"bags":{"type":"array","minItems":1,"maxItems":3,"items":{"anyOf":[{"type":"string","minLength":10},
				{"type":"object","required":["tag","count"]}]},"contains":{"type":"string"}},
			"state":{"const":"ok"},"gate":true,"terminal":true,"secret":false,"mail":{"format":"email"},
			"one":{"oneOf":[{"type":"integer"},{"minimum":0}]},"odd":{"not":{"type":"integer"}}}}}}`))
	cases := map[string]struct{ field, message string }{
		`{"flight":"LA2468","bags":["0045123456"]}`: {},
		`{"flight":"LA2468","bags":["0045123456",{"tag":"0045123457","count":1}],"pieces":12345678901234567890}`: {
			"/payload/pieces", "/payload/pieces is 12345678901234567890, must be less than 1000"},
		`[]`:                         {"/payload", "/payload is of type array, must be object"},
		`{"flight":2468}`:            {"/payload/bags", "/payload/bags is missing; /payload/flight is of type number, must be string"},
		`{"flight":"?"}`:             {"/payload/bags", `/payload/flight is "?", must match the pattern ^[A-Z0-9]{2}[0-9]{1,4}$`},
		`{"flight":"LA1","bags":[]}`: {"/payload/bags", "has 0 items, must have at least 1"},
		`{"flight":"LA1","bags":["0045123456","short"]}`:         {"/payload/bags/1", "has 5 characters, must have at least 10"},
		`{"flight":"LA1","bags":["0045123456",{"tag":"1"}]}`:     {"/payload/bags/1", "/payload/bags/1 is of type object, must be string"},
		`{"flight":"LA1","bags":["0045123456"],"state":"bad"}`:   {"/payload/state", `is "bad", must be "ok"`},
		`{"flight":"LA1","bags":["0045123456"],"gate":1}`:        {"/payload/terminal", `is missing; "gate" needs it`},
		`{"flight":"LA1","bags":["0045123456"],"secret":1}`:      {"/payload/secret", "is not allowed here"},
		`{"flight":"LA1","bags":["0045123456"],"extra/~":1}`:     {"/payload/extra~1~0", "is not a known field"},
		`{"flight":"LA1","bags":["0045123456"],"mail":"x"}`:      {"/payload/mail", `is "x", which is not a valid email`},
		`{"flight":"LA1","bags":["0045123456"],"weight":0}`:      {"/payload/weight", "is 0, must be more than 0"},
		`{"flight":"LA1","bags":["0045123456"],"pieces":1.25}`:   {"/payload/pieces", "is of type number, must be integer"},
		`{"flight":"LA1","bags":["0045123456"],"one":3}`:         {"/payload/one", "fits several forms of which it may fit only one"},
		`{"flight":"LA1","bags":["0045123456"],"odd":3}`:         {"/payload/odd", "does not fit"},
		`{"flight":"LA1","bags":["0045123456"],"pieces":1e9999}`: {"/payload", "a number with the exponent 9999"},
	}
	for payload, want := range cases {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			event := goodEvent()
			event.Payload = json.RawMessage(payload)
			verdict := process(t, stage, event).Verdict(0)
			if want.field == "" {
				require.Equal(t, pipeline.Pass, verdict.Outcome, verdict.Reason)
				return
			}
			require.Equal(t, pipeline.Reject, verdict.Outcome)
			require.Equal(t, want.field, verdict.Reason.Field)
			require.Contains(t, verdict.Reason.Message, want.message)
			require.Equal(t, payload, string(event.Payload))
		})
	}
}

func TestReasonsAreBoundedAndShowLittleOfValues(t *testing.T) {
	t.Parallel()
	stage := newStage(t, withSchema(`{"properties":{"payload":{"additionalProperties":{"enum":["a"]}}}}`))
	secret := strings.Repeat("QUISPE/ANA ", 40)
	payload := map[string]string{}
	for i := range 100 {
		payload[fmt.Sprintf("%03d%s", i, strings.Repeat("k", 500))] = secret
	}
	raw, err := json.Marshal(payload)
	require.NoError(t, err)
	event := goodEvent()
	event.Payload = raw

	first := process(t, stage, event).Verdict(0).Reason
	require.Equal(t, 5, strings.Count(first.Message, "must be one of"))
	require.Contains(t, first.Message, "; and 95 more")
	require.Contains(t, first.Message, "/payload/000kkk")
	require.Less(t, len(first.Message), 2000)
	require.NotContains(t, first.Message, secret[:maxValue+2])
	for range 10 { // maps are walked in no order; reasons must not be
		require.Equal(t, first, process(t, stage, event).Verdict(0).Reason)
	}
}

func TestSchemaFilesMayReferToEachOther(t *testing.T) {
	t.Parallel()
	s := settings()
	s.Files = fstest.MapFS{
		"event.schema.json":    {Data: []byte(`{"properties":{"payload":{"$ref":"carriers/la.json#/$defs/payload"}}}`)},
		"carriers/la.json":     {Data: []byte(`{"$defs":{"payload":{"$ref":"../common parts.json"}}}`)},
		"common parts.json":    {Data: []byte(`{"required":["flight"]}`)},
		"remote.json":          {Data: []byte(`{"$ref":"https://example.com/schema.json"}`)},
		"missing.json":         {Data: []byte(`{"$ref":"nowhere.json"}`)},
		"broken.json":          {Data: []byte(`{"type":`)},
		"wrong.json":           {Data: []byte(`{"type":"strin"}`)},
		"bad-pattern.json":     {Data: []byte(`{"pattern":"(?=a)"}`)},
		"outside/refers.json":  {Data: []byte(`{"$ref":"../../../../etc/hostname"}`)},
		"event.schema.v2.json": {Data: []byte(`{}`)},
	}
	event := goodEvent()
	event.Payload = json.RawMessage(`{}`)
	require.Equal(t, "/payload/flight", process(t, newStage(t, s), event).Verdict(0).Reason.Field)

	for file, want := range map[string]string{
		"remote.json":         "files of the configuration only",
		"missing.json":        "nowhere.json",
		"broken.json":         "broken.json",
		"wrong.json":          "wrong.json",
		"bad-pattern.json":    "bad-pattern.json",
		"outside/refers.json": "etc/hostname",
		"absent.json":         "absent.json",
	} {
		_, err := build(Config{Schema: file}, s)
		require.ErrorContains(t, err, want)
	}
}

func TestAbsurdExponent(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`1e10`: "", `[1E+999]`: "", `{"a":"1e99999"}`: "", `{"a":"\"1e99999"}`: "", `[true,false]`: "", `1e1000`: "1000",
		`[1, 2E-123456]`: "-123456", `{"1e99999":1e99999}`: "99999", `"\\",1e9999`: "9999", `1e`: "", `1e+`: "",
	} {
		exponent, found := absurdExponent([]byte(raw))
		require.Equal(t, want, exponent, raw)
		require.Equal(t, want != "", found, raw)
	}
}

func TestSchemaEnumsAreTheDomains(t *testing.T) {
	t.Parallel()
	stage := newStage(t, settings())
	for _, kind := range tracking.Kinds() {
		for _, classifier := range tracking.Classifiers() {
			for _, quality := range tracking.TimeQualities() {
				event := goodEvent()
				event.Kind, event.Classifier, event.TimeQuality = kind, classifier, quality
				require.Equal(t, pipeline.Pass, process(t, stage, event).Verdict(0).Outcome, "%s %s %s", kind, classifier, quality)
			}
		}
	}
}

// No payload may crash or stall the stage, whatever the schema asks of it.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1e999,"b":[1,1.0,"x"]}`, `[[[]]]`, `"\u0000"`, `{"a":-0.0e-12}`, `1e99999`, `nul`, ``} {
		f.Add([]byte(seed))
	}
	stage := newStage(f, withSchema(`{"properties":{"payload":{"anyOf":[{"type":"integer","minimum":3},{"type":"array","uniqueItems":true,
		"contains":{"const":1}},{"type":"object","additionalProperties":{"type":"number","multipleOf":0.5},"maxProperties":3}]}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		event := goodEvent()
		event.Payload = payload
		verdict := process(t, stage, event).Verdict(0)
		if verdict.Outcome == pipeline.Reject {
			require.NotEmpty(t, verdict.Reason.Message)
			require.Less(t, len(verdict.Reason.Message), 10_000)
		}
	})
}
