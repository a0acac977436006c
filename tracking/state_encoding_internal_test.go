package tracking

import (
	"math"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/cborwire"
)

// drawFold draws a fold of which every field may be anything or nothing.
func drawFold(t *rapid.T) fold {
	var fill func(v reflect.Value, label string)
	fill = func(v reflect.Value, label string) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(rapid.OneOf(rapid.Just(""), rapid.StringN(0, 30, 40)).Draw(t, label))
		case reflect.Int, reflect.Int64:
			v.SetInt(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Int64Range(-300, 70_000)).Draw(t, label))
		case reflect.Float64:
			v.SetFloat(rapid.Float64Range(-180, 180).Draw(t, label))
		case reflect.Bool:
			v.SetBool(rapid.Bool().Draw(t, label))
		case reflect.Pointer:
			if rapid.Bool().Draw(t, label) {
				v.Set(reflect.New(v.Type().Elem()))
				fill(v.Elem(), label)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).Name != "_" {
					fill(v.Field(i), label+"."+v.Type().Field(i).Name)
				}
			}
		case reflect.Array:
			for i := range v.Len() {
				v.Index(i).SetUint(uint64(rapid.Byte().Draw(t, label)))
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				v.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, label))
				v.SetBytes(append(append(append(v.Bytes(), v.Bytes()...), v.Bytes()...), v.Bytes()...))
				return
			}
			if n := rapid.IntRange(-1, 2).Draw(t, label); n >= 0 {
				v.Set(reflect.MakeSlice(v.Type(), n, n))
				for i := range n {
					fill(v.Index(i), label)
				}
			}
		default:
			t.Fatalf("%s: nothing is drawn for a %s", label, v.Type())
		}
	}
	var f fold
	fill(reflect.ValueOf(&f).Elem(), "fold")
	f.Bloom = nil
	return f
}

func inCBOR(t require.TestingT, version int, f fold) []byte {
	body, err := cbor.Marshal(&f)
	require.NoError(t, err)
	data, err := cbor.Marshal(stateEnvelope{Version: version, Fold: body})
	require.NoError(t, err)
	return data
}

// A state is written as the library writes it, byte for byte, and read as the library reads it: states that are stored stay readable.
func TestStatesAreEncodedAsTheLibraryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFold(t)
		want := inCBOR(t, stateVersion, f)
		got, err := State{f}.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, want, got)
		var direct, byLibrary fold
		r := stateReader{cborwire.Reader{Rest: got[2:]}}
		require.True(t, r.fold(&direct))
		require.NoError(t, cbor.Unmarshal(got[2:], &byLibrary))
		require.Equal(t, byLibrary, direct)
	})
}

func FuzzStatesAreReadAsTheLibraryDoes(f *testing.F) {
	f.Add(inCBOR(f, stateVersion, rapid.Custom(drawFold).Example(1)))
	f.Add(inCBOR(f, stateVersion, fold{Location: Whereabouts{City: "Lima"}, Events: math.MaxInt32}))
	f.Add([]byte("\x82\x02\xa1\x05\x3b\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x82\x02\xbf\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var direct, byLibrary fold
		if r := (stateReader{cborwire.Reader{Rest: data}}); r.fold(&direct) {
			require.NoError(t, cbor.Unmarshal(data, &byLibrary))
			require.Equal(t, byLibrary, direct)
		}
		var s State
		if s.UnmarshalBinary(data) == nil && len(data) > 0 {
			_, err := s.MarshalBinary()
			require.NoError(t, err)
		}
	})
}

func BenchmarkState(b *testing.B) {
	var s State
	for i, kind := range []Milestone{Accepted, Loaded, InTransit, Arrived, Delivered} {
		e := &Event{TenantID: "talma-pe", Source: "LA", EventID: "e" + string(kind), CorrelationID: "0045123456", AggregateID: "0045123456", Kind: Baggage, Type: string(kind),
			Classifier: Actual, OccurredAt: microTime(1e15 + int64(i)), ReceivedAt: microTime(1e15 + int64(i)), Enrichment: Enrichment{Milestone: kind, Place: &Place{IATA: "LIM", City: "Lima", Country: "PE", TimeZone: "America/Lima"},
				Transport: &Transport{Carrier: "LA", Number: "2468"}}}
		require.True(b, s.Apply(e))
	}
	b.Run("direct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data, _ := s.MarshalBinary()
			var back State
			require.NoError(b, back.UnmarshalBinary(data))
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data := inCBOR(b, stateVersion, s.data)
			var envelope stateEnvelope
			var back fold
			require.NoError(b, cbor.Unmarshal(data, &envelope))
			require.NoError(b, cbor.Unmarshal(envelope.Fold, &back))
		}
	})
}
