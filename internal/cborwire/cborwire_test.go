package cborwire_test

import (
	"math"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/cborwire"
)

// What is written is what the library writes, and is read back.
func TestItemsAreThoseOfTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 70_000)).Draw(t, "int")
		s := rapid.StringN(0, 300, 400).Draw(t, "text")
		b := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		f := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(t, "float")
		var got, want []byte
		got = cborwire.AppendBytes(cborwire.AppendText(cborwire.AppendInt(got, n), s), b)
		for _, value := range []any{n, s, b} {
			encoded, err := cbor.Marshal(value)
			require.NoError(t, err)
			want = append(want, encoded...)
		}
		require.Equal(t, want, got)
		encoded, err := cbor.Marshal(f)
		require.NoError(t, err)
		require.Equal(t, encoded, cborwire.AppendFloat(nil, f))

		r := cborwire.Reader{Rest: got}
		require.Equal(t, n, r.Int())
		require.Equal(t, s, r.Text(""))
		require.Equal(t, b, r.Bytes())
		require.False(t, r.Odd)
		require.Empty(t, r.Rest)
	})
}

// What is not asked for makes a reader odd, wherever it breaks off, and no reader reads on after that.
func TestWhatIsNotAskedForIsOdd(t *testing.T) {
	whole := cborwire.AppendText(nil, "a text of more than twenty-three bytes")
	for n := range whole {
		r := cborwire.Reader{Rest: whole[:n]}
		r.Text("")
		require.True(t, r.Odd, "%d bytes", n)
		require.Zero(t, r.Int())
	}
	for name, read := range map[string]func(r *cborwire.Reader){
		"an integer":          func(r *cborwire.Reader) { r.Int() },
		"a float":             func(r *cborwire.Reader) { r.Float() },
		"bytes":               func(r *cborwire.Reader) { r.Bytes() },
		"bytes of one length": func(r *cborwire.Reader) { r.Fill(make([]byte, 3)) },
	} {
		r := cborwire.Reader{Rest: whole}
		read(&r)
		require.True(t, r.Odd, name)
	}
	for name, odd := range map[string][]byte{
		"not UTF-8":            {cborwire.Text | 1, 0xff},
		"without end":          {cborwire.Text | 31, 0x61, 0x61, 0xff},
		"more than an int64":   {cborwire.Uint | 27, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"less than an int64":   {cborwire.Nint | 27, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"longer than there is": {cborwire.Text | 27, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		r := cborwire.Reader{Rest: odd}
		if odd[0]&0xe0 == cborwire.Text {
			r.Text("")
		} else {
			r.Int()
		}
		require.True(t, r.Odd, name)
	}
}
