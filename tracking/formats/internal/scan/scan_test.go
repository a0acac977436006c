package scan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

func TestValue(t *testing.T) {
	for text, want := range map[string]scan.Value{
		`null`:                       {Kind: scan.Null},
		` true `:                     {Kind: scan.Bool},
		`-1.5e+3`:                    {Kind: scan.Number},
		`"a"`:                        {Kind: scan.String},
		`[]`:                         {Kind: scan.Array, Depth: 1},
		`[[],[[1]]]`:                 {Kind: scan.Array, Depth: 3},
		`{}`:                         {Kind: scan.Object, Depth: 1},
		`{"a":{"b":[1,2],"c":null}}`: {Kind: scan.Object, Depth: 3},
	} {
		s := scan.New([]byte(text))
		v, err := s.Value()
		require.NoError(t, err, text)
		require.NoError(t, s.End(), text)
		require.Equal(t, strings.TrimSpace(text), string(v.Raw))
		require.Equal(t, want.Kind, v.Kind, text)
		require.Equal(t, want.Depth, v.Depth, text)
	}
}

func TestFaults(t *testing.T) {
	for text, offset := range map[string]int{
		``: 0, `  `: 2, `{`: 1, `{"a"}`: 4, `{"a":}`: 5, `{"a":1,}`: 7, `[1,]`: 3, `[1 2]`: 3, `{'a':1}`: 1, `"a`: 2, `"\x"`: 2,
		`"\u12"`: 5, "\"\n\"": 1, `01`: 2, `1.`: 2, `1e`: 2, `-`: 1, `nul`: 0, `tru`: 0, `]`: 0, `{]`: 1, `[}`: 1, `1 1`: 2,
	} {
		s := scan.New([]byte(text))
		_, err := s.Value()
		if err == nil {
			err = s.End()
		}
		var fault *scan.Fault
		require.ErrorAs(t, err, &fault, text)
		require.Equal(t, offset, fault.Offset, text)
	}
}

func TestMembersAndItems(t *testing.T) {
	s := scan.New([]byte("\xef\xbb\xbf[{\"a\":1,\"b\\u0063\":\"x\\ny\"},{}]"))
	var seen []string
	require.NoError(t, s.Items(func() error {
		return s.Members(func(key []byte, v scan.Value) {
			text := string(v.Raw)
			if v.Kind == scan.String {
				text = v.Text()
			}
			seen = append(seen, string(key)+"="+text)
		})
	}))
	require.NoError(t, s.End())
	require.Equal(t, []string{"a=1", "bc=x\ny"}, seen)
}

func FuzzValue(f *testing.F) {
	for _, text := range []string{`{"a":[1,2.5e-3,"x\u00e9\\",true,null,{}]}`, `[[[[`, `"\ud800"`, "\"\x80\"", `[1,]`, `-0`, `0e0`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scan.New(text)
		v, err := s.Value()
		if err == nil {
			err = s.End()
		}
		if strings.HasPrefix(string(text), "\xef\xbb\xbf") {
			return // encoding/json takes no byte order mark
		}
		if v.Depth < 9000 { // beyond, encoding/json gives up
			require.Equal(t, json.Valid(text), err == nil, "%q: %v", text, err)
		}
		if err == nil && v.Kind == scan.String {
			var want string
			require.NoError(t, json.Unmarshal(v.Raw, &want))
			if !strings.ContainsRune(want, '\ufffd') {
				require.Equal(t, want, v.Text())
			}
		}
	})
}
