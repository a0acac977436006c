package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

// drawJSON writes a JSON value that nests up to so deep, with white space of all sorts in it.
func drawJSON(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", " ", "\n\t"})
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		text, _ := json.Marshal(rapid.String().Draw(t, "text"))
		return string(text)
	case 1:
		return rapid.SampledFrom([]string{"0", "-1.5e3", "12345678901234567890"}).Draw(t, "number")
	case 2:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word")
	case 3:
		return rapid.SampledFrom([]string{"{}", "[]", "[ ]", "{\n}"}).Draw(t, "nothing")
	case 4:
		var b strings.Builder
		for i := range rapid.IntRange(1, 4).Draw(t, "items") {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(space.Draw(t, "space") + drawJSON(t, depth-1))
		}
		return "[" + b.String() + "]"
	default:
		var b strings.Builder
		for i := range rapid.IntRange(1, 20).Draw(t, "members") {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `%s"k%d\u0041"%s:%s`, space.Draw(t, "space"), i, space.Draw(t, "space"), drawJSON(t, depth-1))
		}
		return "{" + b.String() + "}"
	}
}

// value returns what a node says, as encoding/json has it, and requires that the text of each is its own.
func value(t require.TestingT, n *Node) any {
	var own any
	require.NoError(t, json.Unmarshal(n.Raw, &own))
	require.Equal(t, n.Raw, bytes.TrimSpace(n.Raw))
	switch n.Kind {
	case scan.Array:
		list := []any{}
		for i := range n.Items {
			list = append(list, value(t, &n.Items[i]))
		}
		return list
	case scan.Object:
		members := map[string]any{}
		for i := range n.Members {
			members[n.Members[i].Key] = value(t, &n.Members[i].Value)
		}
		return members
	case scan.String:
		require.Equal(t, own, n.Text)
	case scan.Null, scan.Bool, scan.Number:
	}
	return own
}

// A document is read as encoding/json reads it, whatever it holds and however deep it nests.
func TestDocumentsAreReadWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := drawJSON(t, 5)
		root, err := Document([]byte("\n " + text + " "))
		require.NoError(t, err, text)
		var want any
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		require.Equal(t, want, value(t, root), text)
		require.Equal(t, text, string(root.Raw))
	})
}

func TestAFieldThatStandsTwiceIsNamed(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"k%d":%d,`, i, i)
	}
	for text, pointer := range map[string]string{
		`{"a":1,"b":{"c":[{},{"d":1,"\u0064":2}]}}`:       "/b/c/1/d",
		`{"a":{` + many.String() + `"k3":0},"a":1}`:       "/a/k3",
		`[{` + many.String() + `"x":0,"x":1}]`:            "/0/x",
		`{"a":{"x":1},"b":{"x":1},"c":[{"x":1}],"b":[]}`:  "/b",
		`[[{"a":[0,{"a":1}]},{"a":1,"b":{"a":2,"a":3}}]]`: "/0/1/b/a",
	} {
		_, err := Document([]byte(text))
		require.ErrorContains(t, err, pointer+" stands twice", text)
	}
	for _, text := range []string{"", "{", `{"a"}`, `[1,]`, `{"a":1}x`, "[" + strings.Repeat("[", 70) + strings.Repeat("]", 71), "\xff"} {
		_, err := Document([]byte(text))
		require.Error(t, err, text)
	}
}
