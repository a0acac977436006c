package aggregate

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "23": "23", "-23.50": "-23.5", "0.001": "0.001", "1e3": "1000", "1.25E-2": "0.0125", "+7": "7", "007": "7",
		"9007199254740993": "9007199254740993", "1e64": "1" + strings.Repeat("0", 64), "-0.05": "-0.05", "12.5e1": "125", "100": "100",
	} {
		got, ok := parseDecimal(text)
		require.True(t, ok, text)
		require.Equal(t, want, got.String(), text)
	}
	for _, text := range []string{
		"", "-", "+", "--1", "+-1", "-+1", ".5", "5.", "1.2.3", "1e", "1e+", "1e65", "1e999999999999", "1_000", "0x10", "Inf", "NaN", " 1", "1 ", "heavy", "1/2",
		"٣", "true", `{"a":1}`, strings.Repeat("1", 65),
	} {
		_, ok := parseDecimal(text)
		require.False(t, ok, text)
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"0", "-23.50", "1e3", "1.25E-2", "9007199254740993", "-0.0", "1e64", "1e-64", "+1", "1_0", ".5", "0b1", "1e0x1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseDecimal(text)
		if !ok {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		require.True(t, ok)
		require.Zero(t, want.Cmp(rational(got)), "%s read as %s", text, got)
		require.True(t, json.Valid([]byte(got.String())))
		again, ok := new(big.Rat).SetString(got.String())
		require.True(t, ok)
		require.Zero(t, want.Cmp(again))
	})
}

func rational(d decimal) *big.Rat { return new(big.Rat).SetFrac(d.units, powerOfTen(d.scale)) }

func number() *rapid.Generator[string] {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?`).
		Filter(func(s string) bool { _, ok := parseDecimal(s); return ok })
}

func TestArithmeticIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, _ := parseDecimal(number().Draw(t, "a"))
		b, _ := parseDecimal(number().Draw(t, "b"))
		n := rapid.Int64Range(1, 1_000_000).Draw(t, "n")
		x, y := rational(a), rational(b)
		require.Zero(t, new(big.Rat).Add(x, y).Cmp(rational(a.plus(b))))
		require.Equal(t, x.Cmp(y), a.compare(b))
		want, _ := new(big.Rat).SetString(new(big.Rat).Quo(x, big.NewRat(n, 1)).FloatString(6))
		require.Zero(t, want.Cmp(rational(a.over(n))))
		require.Zero(t, x.Cmp(rational(a)), "the operands stay as they were")
	})
}

func TestParseReduction(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"count": "count", "count(payload.bag)": "count(payload.bag)", " sum ( payload.weight ) ": "sum(payload.weight)",
		"distinct(transport.number)": "distinct(transport.number)", "first(event_type)": "first(event_type)", `last(payload.a\.b)`: `last(payload.a\.b)`,
	} {
		got, err := ParseReduction(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String())
		again, err := ParseReduction(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for text, want := range map[string]string{
		"": "unknown function", "median(payload.a)": `unknown function "median"; there is count, sum`, "sum": "sum needs a field",
		"sum(payload.weight": "closing bracket", "sum()": "field path is empty", "sum(weight)": `unknown field "weight"`, "sum(event.kind)": "did you mean",
		"sum(payload.a) + 1": "closing bracket",
	} {
		_, err := ParseReduction(text)
		require.ErrorContains(t, err, want, text)
	}
}

// Whatever the order, the result is the same; values that are absent, and numbers that are none, are left out.
func TestReductions(t *testing.T) {
	t.Parallel()
	type value struct {
		at   int64
		text string
		ok   bool
	}
	values := []value{{3, "10", true}, {1, "x", true}, {2, "", false}, {5, "2.50", true}, {4, "10", true}, {9, "-7e-1", true}}
	want := map[string]string{
		count: "5", sum: "21.8", least: "-0.7", greatest: "10", average: "5.45", distinct: "4", first: `"x"`, last: `"-7e-1"`,
	}
	for _, function := range functions() {
		empty := map[string]string{count: "0", sum: "0", distinct: "0"}[function]
		if empty == "" {
			empty = "null"
		}
		require.Equal(t, empty, string(newAccumulator(function).result()), function)
		rapid.Check(t, func(t *rapid.T) {
			a := newAccumulator(function)
			for _, v := range rapid.Permutation(values).Draw(t, "order") {
				a.add(moment{at: v.at}, v.text, v.ok)
			}
			require.Equal(t, want[function], string(a.result()), function)
		})
	}
}
