package jsonedit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/jsonedit"
)

const marker = `"[personal]"`

func paths(tb testing.TB, texts ...string) []jsonedit.Path {
	tb.Helper()
	list := make([]jsonedit.Path, len(texts))
	for i, text := range texts {
		path, err := jsonedit.ParsePath(text)
		require.NoError(tb, err)
		require.Equal(tb, text, path.Text())
		list[i] = path
	}
	return list
}

func TestReplace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, want string
		paths      []string
		pointers   string
	}{
		{`{"p": {"name" : "Ana",  "seat":"12A"} }`, `{"p": {"name" : #,  "seat":#} }`, []string{"p.name", "p.seat"}, "/p/name /p/seat"},
		{`{"p":{"name":"Ana"}}`, `{"p":#}`, []string{"p.name", "p"}, "/p"},
		{`{"items":[{"name":"A","n":1},{"name":null},{"name":"B"}]}`, `{"items":[{"name":#,"n":1},{"name":null},{"name":#}]}`, []string{"items[*].name"}, "/items/0/name /items/2/name"},
		{`{"items":[{"name":"A"},{"name":"B"}]}`, `{"items":[{"name":"A"},{"name":#}]}`, []string{"items[1].name"}, "/items/1/name"},
		{`{"items":[[{"name":"A"}],{"name":"B"}]}`, `{"items":[[{"name":#}],{"name":#}]}`, []string{"items.name"}, "/items/0/0/name /items/1/name"},
		{`{"items":{"name":"A"}}`, `{"items":{"name":#}}`, []string{"items[*].name"}, "/items/name"},
		{`{"items":["A","B"]}`, `{"items":[#,#]}`, []string{"items[*]"}, "/items/0 /items/1"},
		{`{"items":"A"}`, `{"items":#}`, []string{"items[*]"}, "/items"},
		{`{"items":"A"}`, `{"items":"A"}`, []string{"items[1]"}, ""},
		{`{"n":"A","n":"B"}`, `{"n":#,"n":#}`, []string{"n"}, "/n /n"},
		{`{"\u006eame":"A"}`, `{"\u006eame":#}`, []string{"name"}, "/name"},
		{`{"a.b":{"c/[d]~":1}}`, `{"a.b":{"c/[d]~":#}}`, []string{`a\.b.c/\[d\]~`}, "/a.b/c~1[d]~0"},
		{`{"n":-1.5e3,"m":[ ],"o":{ },"x":"\\\""}`, `{"n":#,"m":#,"o":#,"x":#}`, []string{"x", "o", "m", "n"}, "/n /m /o /x"},
		{`{"n":"[personal]"}`, `{"n":"[personal]"}`, []string{"n"}, ""},
		{`{"Name":"A"}`, `{"Name":"A"}`, []string{"name"}, ""},
		{` "text" `, ` "text" `, []string{"name"}, ""},
		{"[\n{\"name\":\"A\"}\n]", "[\n{\"name\":#}\n]", []string{"name"}, "/0/name"},
	} {
		got, found, err := jsonedit.Replace([]byte(test.text), paths(t, test.paths...), marker)
		require.NoError(t, err, test.text)
		require.Equal(t, strings.ReplaceAll(test.want, "#", marker), string(got))
		var pointers []string
		for _, f := range found {
			pointers = append(pointers, f.Pointer)
		}
		require.Equal(t, test.pointers, strings.Join(pointers, " "), test.text)
		again, err := jsonedit.Restore(got, found, marker)
		require.NoError(t, err)
		require.Equal(t, test.text, string(again))
	}
	_, _, err := jsonedit.Replace([]byte(`{"a":`), paths(t, "a"), marker)
	require.ErrorIs(t, err, jsonedit.ErrNotJSON)
}

func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "a part is empty",
		"a..b":                   "a part is empty",
		"a.":                     "a part is empty",
		"[0]":                    "a part is empty",
		"a[x]":                   "[x] is neither [*] nor the index",
		"a[-1]":                  "neither",
		"a[0":                    "not closed",
		"a]":                     "was not opened",
		"a[0]b":                  "a dot must stand",
		`a\b`:                    "a backslash stands only",
		`a\`:                     "a backslash stands only",
		"a.*":                    "write [*]",
		strings.Repeat("a", 257): "257 characters",
	} {
		_, err := jsonedit.ParsePath(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestRestoreTakesOnlyItsOwnText(t *testing.T) {
	t.Parallel()
	for _, found := range [][]jsonedit.Found{{{Offset: 1}}, {{Offset: 99}}, {{Offset: -1}}, {{Offset: 5}, {Offset: 5}}} {
		_, err := jsonedit.Restore([]byte(`{"n":`+marker+`}`), found, marker)
		require.Error(t, err)
	}
}

// document draws a value and writes it with white space of all kinds. secret stands for what is to be replaced.
func document(t *rapid.T, depth int) string {
	gap := rapid.SampledFrom([]string{"", " ", "\n\t", "  "})
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "0", "-1.50e+2", "1E400"}).Draw(t, "literal")
	case 1:
		return rapid.SampledFrom([]string{`""`, `"a\"]}"`, `"\\"`, `"\u0000{"`, `"ñ,:"`, marker}).Draw(t, "text")
	case 2, 3:
		return `"secret"`
	case 4:
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			items = append(items, gap.Draw(t, "gap")+document(t, depth-1)+gap.Draw(t, "gap"))
		}
		return "[" + gap.Draw(t, "gap") + strings.Join(items, ",") + "]"
	default:
		var items []string
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			key := rapid.SampledFrom([]string{`"a"`, `"b"`, `"\u0061"`, `"c d"`, `"1"`}).Draw(t, "key")
			items = append(items, gap.Draw(t, "gap")+key+gap.Draw(t, "gap")+":"+gap.Draw(t, "gap")+document(t, depth-1))
		}
		return "{" + gap.Draw(t, "gap") + strings.Join(items, ",") + gap.Draw(t, "gap") + "}"
	}
}

// replaced is what Replace is to come to, by other means: a walk through the tokens of a decoder, which keeps repeated keys, with
// one path of keys, or of a key for every item of lists.
func replaced(d *json.Decoder, at []string) any {
	token, err := d.Token()
	if err != nil {
		panic(err)
	}
	meant := len(at) == 0
	switch token {
	case json.Delim('{'):
		var members []any
		for d.More() {
			key, _ := d.Token()
			next := []string{"no such key"}
			if !meant && at[0] == key {
				next = at[1:]
			}
			if len(members) == 0 {
				members = []any{"{"}
			}
			members = append(members, key, replaced(d, next))
		}
		_, _ = d.Token()
		if meant {
			return "[personal]"
		}
		return members
	case json.Delim('['):
		items := []any{"["}
		for d.More() {
			next := at
			if meant {
				next = []string{"no such key"}
			}
			items = append(items, replaced(d, next))
		}
		_, _ = d.Token()
		if meant {
			return "[personal]"
		}
		return items
	case nil:
		return nil
	}
	if meant {
		return "[personal]"
	}
	return token
}

func tokens(text []byte, at []string) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return replaced(d, at)
}

// The text without the fields is the JSON with the fields replaced, and every other byte is what it was.
func TestReplaceIsReplacingAndNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := document(t, 4)
		at := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "1"}), 1, 3).Draw(t, "path")
		path, err := jsonedit.ParsePath(strings.Join(at, "."))
		require.NoError(t, err)
		got, found, err := jsonedit.Replace([]byte(text), []jsonedit.Path{path}, marker)
		require.NoError(t, err)
		require.True(t, json.Valid(got), "%s", got)
		require.Equal(t, tokens([]byte(text), at), tokens(got, []string{"no such key"}))

		restored, err := jsonedit.Restore(got, found, marker)
		require.NoError(t, err)
		require.Equal(t, text, string(restored))

		again, more, err := jsonedit.Replace(got, []jsonedit.Path{path}, marker)
		require.NoError(t, err)
		require.Empty(t, more, "what is replaced is not replaced again")
		require.Equal(t, string(got), string(again))
	})
}

func FuzzReplace(f *testing.F) {
	f.Add(`{"p":{"name":"Ana"},"items":[{"name":1}]}`, "items[*].name")
	f.Add(`[[[{"a":[]}]]]`, "a")
	f.Add(`{"\ud800":{}}`, "a[0].b")
	f.Fuzz(func(t *testing.T, text, where string) {
		path, err := jsonedit.ParsePath(where)
		if err != nil {
			return
		}
		got, found, err := jsonedit.Replace([]byte(text), []jsonedit.Path{path}, marker)
		if err != nil {
			require.False(t, json.Valid([]byte(text)))
			return
		}
		require.True(t, json.Valid(got))
		restored, err := jsonedit.Restore(got, found, marker)
		require.NoError(t, err)
		require.Equal(t, text, string(restored))
		for _, one := range found {
			require.True(t, json.Valid(one.Value), strconv.Quote(string(one.Value)))
			require.NotEqual(t, "null", string(one.Value))
		}
	})
}

func ExampleReplace() {
	path, err := jsonedit.ParsePath("items[*].name")
	if err != nil {
		panic(err)
	}
	text, found, err := jsonedit.Replace([]byte(`{"items": [{"name": "Ana", "n":1.0}]}`), []jsonedit.Path{path}, `"[personal]"`)
	fmt.Println(string(text), found[0].Pointer, string(found[0].Value), err)
	// Output: {"items": [{"name": "[personal]", "n":1.0}]} /items/0/name "Ana" <nil>
}
