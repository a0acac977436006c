package validate

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/tracking"
)

// Schemas that ask of the fields of an event what can be asked of them.
var directSchemas = []string{
	`{"type":"object"}`, `{"properties":{"uid":true,"timestamp":true,"kind":{"enum":["baggage"]}}}`,
	`{"required":["uid","tenant_id","timestamp"],"properties":{"timestamp":{"pattern":"^20[0-9]{2}-"},"received_at":{"format":"date-time"}}}`,
	`{"properties":{"timestamp":{"pattern":"Z$"},"received_at":{"maxLength":24}}}`, `{"properties":{"timestamp":{"pattern":"^2026-0"}}}`,
	`{"properties":{"uid":{"pattern":"^0"},"timestamp":false}}`, `{"properties":{"uid":{"format":"date"}}}`,
	`{"properties":{"timestamp":{"type":"integer"},"revision":{"maximum":3}},"additionalProperties":true}`,
	`{"properties":{"event_id":{"pattern":"^[a-z]+$"},"source":{"pattern":"^[^ñ]*$"},"event_type":{"minLength":2,"maxLength":3}}}`,
	`{"properties":{"timestamp":{"$ref":"#/$defs/t","maxLength":40}},"$defs":{"t":{"format":"date-time","pattern":"^(19|20)"}}}`,
	`{"properties":{"payload":true},"additionalProperties":false}`,
}

// mixed is a good event with some fields of a random one: it is on the edge of fitting.
func mixed(t *rapid.T) *tracking.Event {
	e, random := goodEvent(), drawEvent(t)
	random.UID = uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uid"))
	random.OccurredAt = time.Date(rapid.IntRange(-1, 10_001).Draw(t, "year"), 5, 3, 1, 2, 3, rapid.IntRange(0, 999_999_999).Draw(t, "ns"),
		time.FixedZone("", rapid.OneOf(rapid.IntRange(-90_000, 90_000), rapid.Just(0), rapid.Just(-18_000)).Draw(t, "zone")))
	into, from := reflect.ValueOf(e).Elem(), reflect.ValueOf(random).Elem()
	for i := range into.NumField() {
		if rapid.IntRange(0, 5).Draw(t, into.Type().Field(i).Name) == 0 {
			into.Field(i).Set(from.Field(i))
		}
	}
	return e
}

func TestDirectNeverAcceptsWhatTheValidatorWouldNot(t *testing.T) {
	t.Parallel()
	shipped, err := compile(config.Files(), "event.schema.json")
	require.NoError(t, err)
	quick := newQuick(shipped)
	require.NotNil(t, newDirect(quick), "the shipped schema must be one that direct knows")
	all := []*stage{{schema: shipped, quick: quick, direct: newDirect(quick)}}
	for _, text := range directSchemas {
		schema, err := compile(withSchema(text).Files, "event.schema.json")
		require.NoError(t, err, text)
		direct := newDirect(newQuick(schema))
		require.NotNil(t, direct, text)
		all = append(all, &stage{schema: schema, direct: direct})
	}
	accepted := make([]int, len(all))
	rapid.Check(t, func(t *rapid.T) {
		memories := make([]memory, len(all))
		for range 5 { // what is remembered of one must not tell of another
			e := mixed(t)
			document := map[string]any{}
			fillDocument(document, e, true)
			for i, s := range all {
				invalid := s.schema.Validate(document)
				if s.direct.accepts(e, &memories[i]) {
					accepted[i]++
					require.NoError(t, invalid)
				} else if i == 0 {
					require.Error(t, invalid, "the shipped schema is worth knowing all of")
				}
			}
		}
	})
	for i, n := range accepted[1:] {
		if refuses := i == 5 || i == 6 || i == 7 || i == 10; refuses {
			require.Zero(t, n, directSchemas[i])
		} else {
			require.NotZero(t, n, directSchemas[i])
		}
	}
}

func TestDirectLeavesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`true`, `{"required":["kind"]}`, `{"required":["nonsense"]}`, `{"type":"string"}`, `{"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}}`,
		`{"enum":["a"]}`, `{"not":{"required":["kind"]}}`,
	} {
		schema, err := compile(withSchema(text).Files, "event.schema.json")
		require.NoError(t, err, text)
		require.Nil(t, newDirect(newQuick(schema)), text)
	}
}

// What is told of a pattern without running it is what running it tells.
func TestPatternsAreKnownForWhatTheyAre(t *testing.T) {
	t.Parallel()
	sets := []string{`^[^\x00-\x1f\x7f]*$`, `^[a-zñ]+$`, `^[A-Za-z0-9]*$`, `^[^a]+$`, `^(?i)[a-k]*$`, `^\d+$`, `^[\x{80}-\x{10ffff}]*$`, `^[\x{81}-\x{10ffff}]*$`}
	texts := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9]{0,4}`), rapid.StringMatching(`[A-Zñé]{0,3}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }))
	for _, pattern := range sets {
		compiled := regexp.MustCompile(pattern)
		set := charsetOf(compiled)
		require.NotNil(t, set, pattern)
		rapid.Check(t, func(t *rapid.T) {
			if text := texts.Draw(t, "text"); set.accepts(text) {
				require.True(t, compiled.MatchString(text), "%s %q", pattern, text)
			}
		})
	}
	for _, pattern := range []string{`[a]*`, `^[a]*`, `(?m)^[a]*$`, `^[a]*[b]$`, `^a*$`, `^[a]?$`, `x`} {
		require.Nil(t, charsetOf(regexp.MustCompile(pattern)), pattern)
	}
	for pattern, reach := range map[string]int{
		`^(19[7-9][0-9]|[2-9][0-9]{3})-`: 5, `^ab`: 2, `^a?b`: 2, `^[ab]{2,3}c`: 4, `^(a|bcd)e`: 4,
	} {
		require.Equal(t, reach, reachOf(regexp.MustCompile(pattern)), pattern)
	}
	for _, pattern := range []string{`a`, `^a$`, `^a*`, `^a{2,}`, `^.`, `^ñ`, `^(?i)k`, `^a\b`, `^[^a]`, `(^a|b)`} {
		require.Greater(t, reachOf(regexp.MustCompile(pattern)), 1000, pattern)
	}
}
