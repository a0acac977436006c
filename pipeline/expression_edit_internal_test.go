package pipeline

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnEditedDocumentKeepsTheRestAsItWas(t *testing.T) {
	t.Parallel()
	const document = ` { "b" : 1.10, "a":{"x":[1, 2 ,3]} , "b":2,"é/~":null } `
	for place, want := range map[string]string{
		"b":     ` { "b" : "NEW", "a":{"x":[1, 2 ,3]} , "b":2,"é/~":null } `,
		"a":     ` { "b" : 1.10, "a":"NEW" , "b":2,"é/~":null } `,
		"a x 1": ` { "b" : 1.10, "a":{"x":[1, "NEW" ,3]} , "b":2,"é/~":null } `,
		"a x 3": ` { "b" : 1.10, "a":{"x":[1, 2 ,3,"NEW"]} , "b":2,"é/~":null } `,
		"a y":   ` { "b" : 1.10, "a":{"x":[1, 2 ,3],"y":"NEW"} , "b":2,"é/~":null } `,
		"c":     ` { "b" : 1.10, "a":{"x":[1, 2 ,3]} , "b":2,"é/~":null,"c":"NEW" } `,
		"é/~ q": ` { "b" : 1.10, "a":{"x":[1, 2 ,3]} , "b":2,"é/~":{"q":"NEW"} } `,
		"c d 0": ` { "b" : 1.10, "a":{"x":[1, 2 ,3]} , "b":2,"é/~":null,"c":{"d":{"0":"NEW"}} } `,
	} {
		got, err := setJSON([]byte(document), strings.Fields(place), []byte(`"NEW"`))
		require.NoError(t, err, place)
		require.Equal(t, want, string(got), place)
	}
	for place, want := range map[string]string{
		"b":     ` { "a":{"x":[1, 2 ,3]} , "b":2,"é/~":null } `,
		"é/~":   ` { "b" : 1.10, "a":{"x":[1, 2 ,3]} , "b":2 } `,
		"a x 0": ` { "b" : 1.10, "a":{"x":[2 ,3]} , "b":2,"é/~":null } `,
		"a x 2": ` { "b" : 1.10, "a":{"x":[1, 2]} , "b":2,"é/~":null } `,
		"a x":   ` { "b" : 1.10, "a":{} , "b":2,"é/~":null } `,
		"a x 3": document, "a x y": document, "c": document, "b c": document,
	} {
		got, err := deleteJSON([]byte(document), strings.Fields(place))
		require.NoError(t, err, place)
		require.Equal(t, want, string(got), place)
	}
	for place, want := range map[string]string{
		"b c":   `"c" cannot be set within what is neither an object nor a list`,
		"a x 4": `"4" is no item of a list of 3; write a number from 0 to 3`,
		"a x y": `"y" is no item of a list of 3`,
	} {
		_, err := setJSON([]byte(document), strings.Fields(place), []byte(`1`))
		require.ErrorContains(t, err, want)
	}
	for in, want := range map[string]string{"": `{"a":{"b":1}}`, "null": `{"a":{"b":1}}`, "{}": `{"a":{"b":1}}`, " { } ": ` {"a":{"b":1} } `} {
		got, err := setJSON([]byte(in), []string{"a", "b"}, []byte("1"))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	got, err := setJSON([]byte(" [ ] "), []string{"0"}, []byte("1"))
	require.NoError(t, err)
	require.Equal(t, " [1 ] ", string(got))
	_, err = setJSON([]byte(`{"a":1`), []string{"b"}, []byte("1"))
	require.ErrorIs(t, err, errNotJSON)
}

// Setting and deleting do what they do to the decoded document, and leave the given bytes alone.
func TestEditsAreThoseOfTheDecodedDocument(t *testing.T) {
	t.Parallel()
	keys := rapid.SampledFrom([]string{"a", "b", `q"\`, "0", "1", "é.x", ""})
	var values func(depth int) *rapid.Generator[any]
	values = func(depth int) *rapid.Generator[any] {
		scalars := rapid.SampledFrom([]any{nil, true, 1.5, "text", "", "{", `"`})
		if depth == 0 {
			return scalars
		}
		return rapid.OneOf(scalars, rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(keys, values(depth-1), 0, 3).Draw(t, "object") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(values(depth-1), 0, 3).Draw(t, "list") }))
	}
	rapid.Check(t, func(t *rapid.T) {
		before := values(3).Draw(t, "document")
		document, err := json.Marshal(before)
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "indent") {
			document, err = json.MarshalIndent(before, "", "  ")
			require.NoError(t, err)
		}
		given := string(document)
		parts := rapid.SliceOfN(keys, 1, 3).Draw(t, "parts")

		deleted, err := deleteJSON(document, parts)
		require.NoError(t, err)
		require.Equal(t, given, string(document))
		var want, got any
		require.NoError(t, json.Unmarshal(document, &want))
		require.NoError(t, json.Unmarshal(deleted, &got), "%s", deleted)
		require.Equal(t, deleteIn(want, parts), got)

		set, err := setJSON(document, parts, []byte(`"NEW"`))
		require.Equal(t, given, string(document))
		if err != nil {
			return
		}
		require.NoError(t, json.Unmarshal(set, &got), "%s", set)
		value, ok := lookIn(got, parts)
		require.True(t, ok)
		require.Equal(t, "NEW", value)
		// What was set again to what it was is what it was.
		if was, ok := lookIn(before, parts); ok {
			raw, err := json.Marshal(was)
			require.NoError(t, err)
			back, err := setJSON(set, parts, raw)
			require.NoError(t, err)
			require.JSONEq(t, given, string(back))
		}
	})
}

func lookIn(value any, parts []string) (any, bool) {
	if len(parts) == 0 {
		return value, true
	}
	switch v := value.(type) {
	case map[string]any:
		inner, ok := v[parts[0]]
		if !ok {
			return nil, false
		}
		return lookIn(inner, parts[1:])
	case []any:
		if n, err := strconv.Atoi(parts[0]); err == nil && n >= 0 && n < len(v) {
			return lookIn(v[n], parts[1:])
		}
	}
	return nil, false
}

func deleteIn(value any, parts []string) any {
	switch v := value.(type) {
	case map[string]any:
		if inner, ok := v[parts[0]]; ok && len(parts) > 1 {
			v[parts[0]] = deleteIn(inner, parts[1:])
		} else {
			delete(v, parts[0])
		}
	case []any:
		n, err := strconv.Atoi(parts[0])
		if err != nil || n < 0 || n >= len(v) {
			return v
		}
		if len(parts) > 1 {
			v[n] = deleteIn(v[n], parts[1:])
			return v
		}
		return append(v[:n:n], v[n+1:]...)
	}
	return value
}

func TestDepthOfJSON(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]int{`1`: 0, `[]`: 1, `{"a":[{"b":"]]}"}],"c":"\"[["}`: 3, ``: 0, `"[[["`: 0} {
		require.Equal(t, want, depthOf(json.RawMessage(document)), document)
	}
}
