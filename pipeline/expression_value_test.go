package pipeline_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func attributed() *tracking.Event {
	event := judged()
	event.Enrichment.Attributes = map[string]json.RawMessage{
		"customer": json.RawMessage(`{"tier":"gold","discount":0.50,"phones":["1"],"gone":null}`), "risk": json.RawMessage(`3`), "none": json.RawMessage(`null`),
	}
	return event
}

func TestAttributesAreReadLikeThePayload(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`event.enrichment.attributes.customer.tier == "gold"`:                                                        true,
		`event.enrichment.attributes.risk > 2`:                                                                       true,
		`event.enrichment.attributes.customer.tier != "gold"`:                                                        false,
		`event.enrichment.attributes["customer"].phones[0] == "1"`:                                                   true,
		`has(event.enrichment.attributes.customer) && has(event.enrichment.attributes)`:                              true,
		`has(event.enrichment.attributes.nobody) || has(event.enrichment.attributes.none)`:                           false,
		`has(event.enrichment.attributes.nobody.tier) || has(event.enrichment.attributes.customer.gone)`:             false,
		`event.enrichment.attributes.nobody == null && event.enrichment.attributes.none == null`:                     true,
		`event.enrichment.attributes.nobody.tier.level != 3`:                                                         true,
		`event.enrichment.attributes.nobody > 3`:                                                                     false,
		`!(event.enrichment.attributes.nobody > 3)`:                                                                  false,
		`event.enrichment.attributes.nobody > 3 || event.payload.nobody == null`:                                     true,
		`"risk" in event.enrichment.attributes && !("none" in event.enrichment.attributes)`:                          true,
		`size(event.enrichment.attributes) == 2 && event.enrichment.attributes.exists(k, k == "risk")`:               true,
		`event.enrichment.attributes == event.enrichment.attributes && event.enrichment == event.enrichment`:         true,
		`event.enrichment.milestone == "loaded" && dyn(event.enrichment).attributes.risk == 3`:                       true,
		`event.enrichment.attributes.customer == {"tier": "gold", "discount": 0.5, "phones": ["1"]}`:                 true,
		`event.enrichment.attributes.risk + event.payload.weight == 26 && event.enrichment.place.country == "PE"`:    true,
		`event.enrichment.attributes.risk + event.payload.missing == 26 || event.enrichment.attributes.missing == 1`: false,
	} {
		condition, err := pipeline.CompileCondition(source)
		require.NoError(t, err, source)
		got, err := condition.Holds(attributed())
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
	}
	condition, err := pipeline.CompileCondition(`has(event.enrichment.attributes) || event.enrichment.attributes.x.y == 1`)
	require.NoError(t, err)
	holds, err := condition.Holds(judged())
	require.NoError(t, err)
	require.False(t, holds)
}

func valueOf(t require.TestingT, source string, event *tracking.Event, variables ...pipeline.Variable) pipeline.Value {
	expression, err := pipeline.CompileExpression(source, pipeline.ValueAny, variables...)
	require.NoError(t, err, source)
	require.Equal(t, source, expression.Text())
	value, err := expression.Evaluate(pipeline.NewScope(event))
	require.NoError(t, err, source)
	return value
}

func TestExpressionsGiveJSON(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`event.payload.location`:                              `"LIM"`,
		`event.payload.flight.number.lowerAscii()`:            `"la2468"`,
		`event.payload.escaped`:                               `"\u0041\/"`, // handed on as it was sent
		`event.payload.escaped + ""`:                          `"A/"`,
		`event.payload.weight * 2`:                            `46`,
		`event.payload.big`:                                   `9007199254740993`,
		`event.payload.huge`:                                  `18446744073709551615`,
		`event.payload.half`:                                  `0.5`,
		`20.0`:                                                `20`,
		`event.payload.fragile`:                               `true`,
		`event.payload.flight`:                                `{"number":"LA2468","legs":[{"from":"LIM"},{"from":"SCL","to":"GRU"}]}`,
		`event.payload.flight.legs`:                           `[{"from":"LIM"},{"from":"SCL","to":"GRU"}]`,
		`event.payload.flight.legs.map(l, l.to)`:              `[null,"GRU"]`,
		`event.payload.flight.map(k, k)`:                      `["number","legs"]`,
		`{'b': event.payload.gate, 'a': event.payload.half}`:  `{"a":0.5}`, // what has no value is left out
		`{'x': {1: event.payload.tags}}`:                      `{"x":{"1":["x","y"]}}`,
		`event.payload.gate`:                                  `null`,
		`event.payload.gate.upperAscii()`:                     `null`,
		`event.payload.gate + 1`:                              `null`,
		`null`:                                                `null`,
		`event.payload.weight > 20 ? "heavy" : dyn(null)`:     `"heavy"`,
		`event.payload.weight < 20 ? "heavy" : dyn(null)`:     `null`,
		`event.timestamp`:                                     `"2026-03-01T10:00:00-05:00"`,
		`timestamp("2026-01-31T12:00:00.5Z")`:                 `"2026-01-31T12:00:00.5Z"`,
		`event.received_at - event.timestamp`:                 `"600s"`,
		`b"abc"`:                                              `"YWJj"`,
		`base64.encode(b"abc") + "<&>"`:                       `"YWJj<&>"`,
		`event.location`:                                      `{"iata":"LIM","latitude":-12.02}`,
		`event.transport`:                                     `null`,
		`event.corrects.event_ids`:                            `["e0"]`,
		`event.enrichment.attributes`:                         `{"customer":{"tier":"gold","discount":0.50,"phones":["1"],"gone":null},"none":null,"risk":3}`,
		`event.enrichment.attributes.customer.discount`:       `0.50`, // handed on as it was sent
		`event.enrichment.attributes.customer.discount * 1.0`: `0.5`,
		`event.enrichment.attributes.customer`:                `{"tier":"gold","discount":0.50,"phones":["1"],"gone":null}`,
		`event.enrichment.attributes.customer.phones + ["2"]`: `["1","2"]`,
		// CEL's extensions.
		`"%s/%d".format([event.payload.location, event.revision])`:  `"LIM/3"`,
		`"%s".format([event.payload.gate])`:                         `null`,
		`event.payload.tags.join("-").replace("x", "<é>")`:          `"<é>-y"`,
		`"LA2468".substring(2) + "a,b".split(",")[1]`:               `"2468b"`,
		`math.greatest(event.payload.weight, 30)`:                   `30`,
		`[3, 1, 2, 1].distinct().sort()`:                            `[1,2,3]`,
		`sets.contains(event.payload.tags, ["x"])`:                  `true`,
		`cel.bind(x, event.payload.weight, x + x)`:                  `46`,
		`event.payload.tags.transformList(i, tag, tag + string(i))`: `["x0","y1"]`,
		`{"a": 1, "b": 2}.transformMap(k, v, v + 1)`:                `{"a":2,"b":3}`,
		`event.payload.gate.distinct()`:                             `null`,
		`lists.range(3)`:                                            `[0,1,2]`,
		`json.encode(event.payload.object)`:                         `"{\"a\":1}"`,
		`"abcab".indexOf("ab", 1)`:                                  `3`,
	} {
		event := attributed()
		event.Payload = json.RawMessage(strings.Replace(string(event.Payload), "{", `{"escaped":"\u0041\/",`, 1))
		got, err := valueOf(t, source, event).JSON()
		require.NoError(t, err, source)
		require.Equal(t, want, string(got), source)
		require.Equal(t, want == "null", valueOf(t, source, event).IsNone(), source)
	}
	whole, err := valueOf(t, `event`, attributed()).JSON()
	require.NoError(t, err)
	want, err := json.Marshal(attributed())
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(whole))
}

func TestExpressionsGiveTypedValues(t *testing.T) {
	t.Parallel()
	event := attributed()
	text, err := valueOf(t, `event.payload.location`, event).Text()
	require.NoError(t, err)
	require.Equal(t, "LIM", text)
	for source, want := range map[string]int64{`event.payload.weight`: 23, `4u`: 4, `event.payload.half * 4.0`: 2} {
		n, err := valueOf(t, source, event).Integer()
		require.NoError(t, err)
		require.Equal(t, want, n, source)
	}
	for source, want := range map[string]float64{`event.payload.weight`: 23, `4u`: 4, `event.payload.half`: 0.5} {
		n, err := valueOf(t, source, event).Number()
		require.NoError(t, err)
		require.InDelta(t, want, n, 0, source)
	}
	yes, err := valueOf(t, `event.payload.fragile`, event).Bool()
	require.NoError(t, err)
	require.True(t, yes)
	at, err := valueOf(t, `timestamp("2026-01-31T12:00:00-05:00")`, event).Time()
	require.NoError(t, err)
	require.Equal(t, "2026-01-31T12:00:00-05:00", at.Format(time.RFC3339))
	texts, err := valueOf(t, `event.payload.tags`, event).Texts()
	require.NoError(t, err)
	require.Equal(t, []string{"x", "y"}, texts)
	items, err := valueOf(t, `event.payload.nulls`, event).List()
	require.NoError(t, err)
	require.Len(t, items, 2)
	require.True(t, items[0].IsNone())

	for _, c := range []struct{ source, want string }{
		{`event.payload.weight`, "a text is wanted, and this is a int; write string(...)"},
		{`event.payload.gate`, "a text is wanted, and there is none"},
	} {
		_, err := valueOf(t, c.source, event).Text()
		require.EqualError(t, err, c.want)
	}
	_, err = valueOf(t, `event.payload.half`, event).Integer()
	require.EqualError(t, err, "0.5 is no integer of 64 bits")
	_, err = valueOf(t, `event.payload.huge`, event).Integer()
	require.EqualError(t, err, "18446744073709551615 is no integer of 64 bits")
	_, err = valueOf(t, `event.payload.location`, event).Integer()
	require.EqualError(t, err, "an integer is wanted, and this is a string; write int(...)")
	_, err = valueOf(t, `1.0 / 0.0`, event).Number()
	require.EqualError(t, err, "+Inf is no number")
	_, err = valueOf(t, `1.0 / 0.0`, event).JSON()
	require.EqualError(t, err, "+Inf is no number")
	_, err = valueOf(t, `event.payload.location`, event).Number()
	require.EqualError(t, err, "a number is wanted, and this is a string; write double(...)")
	_, err = valueOf(t, `event.payload.location`, event).Time()
	require.EqualError(t, err, "a timestamp is wanted, and this is a string; write timestamp(...)")
	_, err = valueOf(t, `event.payload.location`, event).Bool()
	require.EqualError(t, err, "true or false is wanted, and this is a string")
	_, err = valueOf(t, `event.payload.location`, event).Texts()
	require.EqualError(t, err, "a list of texts is wanted, and this is a string; write [...]")
	_, err = valueOf(t, `event.payload.nulls`, event).Texts()
	require.EqualError(t, err, "item 0: a text is wanted, and there is none")
	_, err = valueOf(t, `[type(event.payload.location)]`, event).JSON()
	require.EqualError(t, err, "a type has no JSON")
	require.True(t, pipeline.Value{}.IsNone())

	var zero pipeline.Expression
	none, err := zero.Evaluate(pipeline.NewScope(event))
	require.NoError(t, err)
	require.True(t, zero.IsZero() && none.IsNone())
}

func TestAnExpressionMustFitWhatIsWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want   pipeline.ValueType
		source string
		wrong  string
	}{
		{pipeline.ValueText, `event.event_type`, ""},
		{pipeline.ValueText, `event.payload.x`, ""},
		{pipeline.ValueText, `null`, ""},
		{pipeline.ValueText, `event.revision`, "1:1: a text is wanted here, and this is a int; write string(...)"},
		{pipeline.ValueInteger, `event.event_type`, "1:1: an integer is wanted here, and this is a string; write int(...)"},
		{pipeline.ValueInteger, `event.quantity.weight`, "1:1: an integer is wanted here, and this is a double; write int(...)"},
		{pipeline.ValueInteger, `event.revision + 1`, ""},
		{pipeline.ValueInteger, `1u`, ""},
		{pipeline.ValueNumber, `event.revision + 1`, ""},
		{pipeline.ValueNumber, `"1"`, "1:1: a number is wanted here, and this is a string; write double(...)"},
		{pipeline.ValueTime, `event.received_at`, ""},
		{pipeline.ValueTime, `event.event_type`, "1:1: a timestamp is wanted here, and this is a string; write timestamp(...)"},
		{pipeline.ValueBool, `event.event_type`, "1:1: true or false is wanted here, and this is a string"},
		{pipeline.ValueBool, `event.event_type == ""`, ""},
		{pipeline.ValueList, `[1]`, ""},
		{pipeline.ValueList, `{}`, "1:1: a list is wanted here, and this is a map(dyn, dyn)"},
		{pipeline.ValueList, `1`, "1:1: a list is wanted here, and this is a int; write [...]"},
		{pipeline.ValueTexts, `["a"]`, ""},
		{pipeline.ValueTexts, `event.payload.list`, ""},
		{pipeline.ValueTexts, `[1]`, "1:1: a list of texts is wanted here, and this is a list(int)"},
		{pipeline.ValueAny, `type(1)`, "1:1: a value is wanted here, and this is a type(int)"},
		{pipeline.ValueAny, `event.evnt_type`, `1:7: unknown field "event.evnt_type"; did you mean "event.event_type"?`},
		{pipeline.ValueAny, `item`, "1:1: unknown name \"item\"; the event is `event`, a text stands in quotes"},
		{pipeline.ValueAny, `event.payload.x.matches(event.payload.y)`, "1:38: a pattern is a text in quotes"},
	} {
		_, err := pipeline.CompileExpression(c.source, c.want)
		if c.wrong == "" {
			require.NoError(t, err, c.source)
			continue
		}
		var wrong pipeline.SourceErrors
		require.ErrorAs(t, err, &wrong, c.source)
		require.Equal(t, c.wrong, wrong[0].Error())
	}
}

func TestExpressionsMayNameVariables(t *testing.T) {
	t.Parallel()
	variables := []pipeline.Variable{{Name: "item", Type: pipeline.ValueAny}, {Name: "index", Type: pipeline.ValueInteger}}
	scope := pipeline.NewScope(attributed())
	require.Equal(t, "loaded", scope.Event().Type)
	list, err := pipeline.CompileExpression(`event.payload.flight.legs`, pipeline.ValueList)
	require.NoError(t, err)
	value, err := list.Evaluate(scope)
	require.NoError(t, err)
	legs, err := value.List()
	require.NoError(t, err)
	expression, err := pipeline.CompileExpression(`string(index) + item.to`, pipeline.ValueText, variables...)
	require.NoError(t, err)
	for index, want := range []string{"", "1GRU"} {
		scope.Set("index", pipeline.IntegerValue(int64(index)))
		scope.Set("item", legs[index])
		value, err := expression.Evaluate(scope)
		require.NoError(t, err)
		text, _ := value.Text()
		require.Equal(t, want, text)
	}
	scope.Set("item", pipeline.Value{})
	value, err = expression.Evaluate(scope)
	require.NoError(t, err)
	require.True(t, value.IsNone())
}

func TestExpressionsThatShareAScopeDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	scope := pipeline.NewScope(attributed())
	lacking, err := pipeline.CompileExpression(`event.payload.gate.x > 3 ? event.payload.gate : 1`, pipeline.ValueAny)
	require.NoError(t, err)
	wrong, err := pipeline.CompileExpression(`event.payload.location + 3`, pipeline.ValueAny)
	require.NoError(t, err)
	condition, err := pipeline.CompileCondition(`event.payload.location > 3`)
	require.NoError(t, err)
	for range 2 {
		value, err := lacking.Evaluate(scope)
		require.NoError(t, err)
		require.True(t, value.IsNone())
		_, err = wrong.Evaluate(scope)
		require.ErrorContains(t, err, "no such overload", "what another expression lacked is no excuse")
		_, err = condition.HoldsIn(scope)
		require.ErrorContains(t, err, "no such overload")
	}
	var always pipeline.Condition
	holds, err := always.HoldsIn(scope)
	require.NoError(t, err)
	require.True(t, holds)
}

// What comes with an event must not make an evaluation take long, or much memory.
func TestWhatIsBeyondMeasureIsRefused(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("a", 300_000)
	payload := `{"big":"` + big + `","half":"` + big[:150_000] + `b","many":[` + numbers(60_000) + `],"words":[` +
		strings.Repeat(`"`+big[:1000]+`",`, 2000) + `""],"keys":{` + strings.Repeat(`"k":1,`, 10) + `"z":1}}`
	event := &tracking.Event{Payload: json.RawMessage(payload)}
	for source, want := range map[string]string{
		`event.payload.big.replace("a", event.payload.big)`:                                     "the text grows beyond|cost limit exceeded",
		`event.payload.big.replace("", event.payload.big, 1000)`:                                "the text grows beyond|cost limit exceeded",
		`event.payload.words.join("")`:                                                          "the text grows beyond|cost limit exceeded",
		`["a", "b", "c", "d", "e"].join(event.payload.big)`:                                     "the text grows beyond|cost limit exceeded",
		`event.payload.big.indexOf(event.payload.half)`:                                         "too large to be compared|cost limit exceeded",
		`event.payload.big.lastIndexOf(event.payload.half)`:                                     "too large to be compared|cost limit exceeded",
		`event.payload.many.distinct()`:                                                         "too large to be compared|cost limit exceeded",
		`sets.contains(event.payload.many, event.payload.many)`:                                 "too large to be compared|cost limit exceeded",
		`sets.intersects(event.payload.many, event.payload.many)`:                               "too large to be compared|cost limit exceeded",
		`sets.equivalent(event.payload.many, event.payload.many)`:                               "too large to be compared|cost limit exceeded",
		`lists.range(1000000)`:                                                                  "lists.range",
		`event.payload.many.map(x, event.payload.big + event.payload.big)`:                      "cost limit exceeded",
		`event.payload.many.map(x, event.payload.big.reverse())`:                                "cost limit exceeded",
		`event.payload.many.all(x, event.payload.many.size() > 0 && has(event.payload.keys.z))`: "cost limit exceeded",
	} {
		expression, err := pipeline.CompileExpression(source, pipeline.ValueAny)
		require.NoError(t, err, source)
		started := time.Now()
		_, err = expression.Evaluate(pipeline.NewScope(event))
		require.Error(t, err, source)
		require.Regexp(t, want, err.Error(), source)
		require.Less(t, time.Since(started), 5*time.Second, source)
	}
	many, err := pipeline.CompileExpression(`lists.range(200).map(i, event.payload.big)`, pipeline.ValueAny)
	require.NoError(t, err)
	value, err := many.Evaluate(pipeline.NewScope(event))
	require.NoError(t, err)
	_, err = value.JSON()
	require.ErrorContains(t, err, "the value is larger than")
	ok, err := pipeline.CompileExpression(`event.payload.half.replace("b", "bb").size()`, pipeline.ValueAny)
	require.NoError(t, err)
	_, err = ok.Evaluate(pipeline.NewScope(event))
	require.ErrorContains(t, err, "cost limit", "a text of 150,000 characters costs more than an expression may")
}

func numbers(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return strings.Join(all, ",")
}

func TestAnExpressionInAConfigIsAnErrorAtItsPlace(t *testing.T) {
	t.Parallel()
	var config struct {
		Key pipeline.Expression `yaml:"key"`
	}
	require.NoError(t, yaml.Unmarshal([]byte("key: event.payload.a + 1"), &config))
	require.Equal(t, "event.payload.a + 1", config.Key.Text())
	text, err := config.Key.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "event.payload.a + 1", string(text))
	err = yaml.Unmarshal([]byte("key: event.paylod.a\n"), &config)
	var at yaml.Error
	require.ErrorAs(t, err, &at)
	require.Equal(t, 12, at.GetToken().Position.Column)
	require.Error(t, yaml.Unmarshal([]byte("key: [a]"), &config))
}

// Any source either compiles or is an error; what compiles never panics, gives JSON, and gives the same again.
func exerciseExpression(t require.TestingT, source string, event *tracking.Event) {
	expression, err := pipeline.CompileExpression(source, pipeline.ValueAny)
	if err != nil {
		_, ok := err.(pipeline.SourceErrors) //nolint:errorlint // CompileExpression promises SourceErrors themselves
		require.True(t, ok, "%q: %v", source, err)
		return
	}
	before := string(event.Payload)
	scope := pipeline.NewScope(event)
	value, err := expression.Evaluate(scope)
	if err != nil {
		require.NotContains(t, err.Error(), "internal error", source)
		return
	}
	raw, err := value.JSON()
	if err != nil {
		return
	}
	require.True(t, json.Valid(raw), "%s: %s", source, raw)
	for _, in := range []*pipeline.Scope{scope, pipeline.NewScope(event)} {
		again, err := expression.Evaluate(in)
		require.NoError(t, err)
		same, err := again.JSON()
		require.NoError(t, err)
		require.Equal(t, string(raw), string(same), source)
	}
	require.Equal(t, before, string(event.Payload))
}

func TestExpressionsThatGiveValuesNeverPanic(t *testing.T) {
	t.Parallel()
	more := append([]string{".upperAscii()", ".split(", ".join(", ".distinct()", ".transformMap(k, v, ", "{'a': ", "math.greatest(", ".format([", "cel.bind(y, ",
		"event.enrichment.attributes", ".flatten()", ".replace(", `"%s"`, "lists.range(", "sets.contains(", ".sort()", "json.encode("}, fragments...)
	rapid.Check(t, func(t *rapid.T) {
		source := strings.Join(rapid.SliceOfN(rapid.SampledFrom(more), 1, 10).Draw(t, "fragments"), "")
		event := attributed()
		event.Payload = json.RawMessage(payloads().Draw(t, "payload"))
		exerciseExpression(t, source, event)
	})
}

func FuzzExpression(f *testing.F) {
	f.Add(`{'code': event.event_type.upperAscii(), 'legs': event.payload.legs.map(l, l.to)}`, []byte(`{"legs":[{"to":"LIM"},{}]}`))
	f.Add(`event.payload.a.transformList(i, v, [i, v]).flatten().distinct()`, []byte(`{"a":[1,[2],{"b":1.10}]}`))
	f.Add(`"%s-%d".format([event.payload.x, 3]).replace("-", event.payload.y)`, []byte(`{"x":"a","y":"\u0000"}`))
	f.Fuzz(func(t *testing.T, source string, payload []byte) {
		event := attributed()
		event.Payload = payload
		exerciseExpression(t, source, event)
	})
}

func BenchmarkExpression(b *testing.B) {
	for name, source := range map[string]string{
		"text": `event.payload.flight.number.lowerAscii()`, "map": `{'a': event.payload.location, 'b': event.event_type}`, "handed on": `event.payload.flight`,
	} {
		b.Run(name, func(b *testing.B) {
			expression, err := pipeline.CompileExpression(source, pipeline.ValueAny)
			require.NoError(b, err)
			event := judged()
			b.ReportAllocs()
			for b.Loop() {
				value, err := expression.Evaluate(pipeline.NewScope(event))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := value.JSON(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
