package validate

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/tracking"
)

// The schemas that quick is compared with the validator on: every keyword it knows, and values at every edge of them.
var quickSchemas = []string{
	`true`, `false`, `{"type":"object"}`, `{"type":["string","null"]}`, `{"type":"integer"}`, `{"type":"number"}`,
	`{"enum":["a","b"]}`, `{"format":"date"}`, `{"format":"date-time","type":"string"}`, `{"format":"uuid"}`,
	`{"minLength":1,"maxLength":2}`, `{"pattern":"^[ab]*$"}`, `{"minimum":-1,"maximum":3}`, `{"minimum":0.5}`,
	`{"maximum":9007199254740992}`, `{"minimum":9007199254740992,"type":"integer"}`,
	`{"required":["a"]}`, `{"properties":{"a":{"type":"string"}},"additionalProperties":false}`,
	`{"properties":{"a":{"type":"integer","minimum":1}},"additionalProperties":true}`, `{"properties":{"a":false,"b":true}}`,
	`{"minItems":1,"maxItems":2}`, `{"items":{"enum":["a"]}}`, `{"items":{"type":"object","required":["a"]},"type":"array"}`,
	`{"$ref":"#/$defs/x","maxLength":1,"$defs":{"x":{"type":"string","minLength":1}}}`,
	`{"properties":{"a":{"$ref":"#/$defs/x"},"b":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"string"}}}`,
}

func drawValue(t *rapid.T, depth int) any {
	kinds := 9
	if depth == 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.SampledFrom([]string{"", "a", "b", "ab", "abc", "ñ", "2026-06-20", "2026-06-20T10:00:00Z", "2026-02-30",
			"0197a1b2-0000-7000-8000-000000000001"}).Draw(t, "text")
	case 3:
		return rapid.SampledFrom([]int64{-2, -1, 0, 1, 3, 4, 1 << 53, 1<<53 + 1, 1<<53 - 1, math.MaxInt64, math.MinInt64}).Draw(t, "whole")
	case 4:
		return rapid.IntRange(-2, 4).Draw(t, "int")
	case 5:
		return rapid.SampledFrom([]float64{-1, -1.0000001, 0, 0.1, 0.5, 3, 3.0000001, 1e300, 1 << 53, math.NaN(), math.Inf(1)}).Draw(t, "float")
	case 6:
		return json.Number(rapid.SampledFrom([]string{"0", "-0", "1", "1.0", "1e0", "3", "3.00000000000000000000001", "0.1", "-1",
			"9007199254740993", "9223372036854775808", "1e999"}).Draw(t, "number"))
	case 7:
		return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.Custom(func(t *rapid.T) any { return drawValue(t, depth-1) }), 0, 3).
			Draw(t, "object")
	default:
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any { return drawValue(t, depth-1) }), 0, 3).Draw(t, "array")
	}
}

func TestQuickNeverAcceptsWhatTheValidatorWouldNot(t *testing.T) {
	t.Parallel()
	type pair struct {
		text   string
		schema *jsonschema.Schema
		quick  *quick
	}
	var pairs []pair
	for _, text := range quickSchemas {
		schema, err := compile(withSchema(text).Files, "event.schema.json")
		require.NoError(t, err, text)
		q := newQuick(schema)
		require.NotNil(t, q, text)
		pairs = append(pairs, pair{text, schema, q})
	}
	accepted := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			value := drawValue(t, 2)
			for _, p := range pairs {
				if p.quick.accepts(value) {
					accepted[p.text] = true
					require.NoError(t, p.schema.Validate(value), "%s accepts %#v", p.text, value)
				}
			}
		}
	})
	require.Len(t, accepted, len(pairs)-1, "all but false accept something")
}

func TestQuickAndTheValidatorAgreeOnEvents(t *testing.T) {
	t.Parallel()
	schema, err := compile(config.Files(), "event.schema.json")
	require.NoError(t, err)
	q := newQuick(schema)
	require.NotNil(t, q, "the shipped schema must be one that quick knows")

	good := goodEvent()
	good.Enrichment = tracking.Enrichment{Milestone: tracking.InTransit}
	document := map[string]any{}
	fillDocument(document, good, true)
	require.True(t, q.accepts(document))

	rapid.Check(t, func(t *rapid.T) {
		document := map[string]any{}
		fillDocument(document, drawEvent(t), true)
		require.Equal(t, schema.Validate(document) == nil, q.accepts(document))
		// A good one with a single field taken from a random one is on the edge of fitting.
		mixed := map[string]any{}
		fillDocument(mixed, goodEvent(), true)
		for name, value := range document {
			if rapid.IntRange(0, 4).Draw(t, name) == 0 {
				mixed[name] = value
			}
		}
		require.Equal(t, schema.Validate(mixed) == nil, q.accepts(mixed))
	})
}

func TestQuickLeavesWhatItDoesNotKnowToTheValidator(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"not":{"type":"string"}}`, `{"allOf":[true]}`, `{"properties":{"a":{"anyOf":[{"type":"string"}]}}}`, `{"const":1}`,
		`{"multipleOf":2}`, `{"exclusiveMinimum":1}`, `{"uniqueItems":true}`, `{"contains":{"type":"string"}}`, `{"enum":["a",1]}`,
		`{"additionalProperties":{"type":"string"}}`, `{"patternProperties":{"a":{"type":"string"}}}`, `{"minProperties":1}`,
		`{"prefixItems":[{"type":"string"}]}`, `{"if":true,"then":{"type":"string"}}`, `{"unevaluatedProperties":false}`,
		`{"properties":{"a":{"$ref":"#"}}}`, `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`,
		`{"minimum":0.1}`, `{"maximum":9223372036854775807}`, // neither is a float64
		`{"items":{"contentEncoding":"base64","const":"x"}}`, `{"dependentRequired":{"a":["b"]}}`, `{"propertyNames":{"maxLength":1}}`,
	} {
		schema, err := compile(withSchema(text).Files, "event.schema.json")
		require.NoError(t, err, text)
		require.Nil(t, newQuick(schema), text)
	}
}
