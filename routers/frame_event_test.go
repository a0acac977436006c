package routers

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// drawAny draws an event of which every field may be anything or nothing.
func drawAny(t *rapid.T) *tracking.Event {
	texts := rapid.OneOf(rapid.SampledFrom([]string{"", "", "LIM", "LA"}), rapid.String(), rapid.StringN(20, 30, 300))
	var fill func(v reflect.Value, label string)
	fill = func(v reflect.Value, label string) {
		switch at := v.Addr().Interface().(type) {
		case *time.Time:
			if rapid.Bool().Draw(t, label) {
				zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, label))
				*at = time.UnixMicro(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, label)).In(zone)
			}
			return
		case *json.RawMessage:
			*at = []byte(rapid.StringN(0, 5, 300).Draw(t, label))
			return
		case *map[string]json.RawMessage:
			if rapid.Bool().Draw(t, label) {
				*at = map[string]json.RawMessage{texts.Draw(t, label): json.RawMessage(`1`)}
			}
			return
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString(texts.Draw(t, label))
		case reflect.Int, reflect.Int64:
			v.SetInt(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Int64Range(-300, 300)).Draw(t, label))
		case reflect.Float64:
			v.SetFloat(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Inf(1), math.Inf(-1), math.NaN()})).Draw(t, label))
		case reflect.Pointer:
			if rapid.Bool().Draw(t, label) {
				v.Set(reflect.New(v.Type().Elem()))
				fill(v.Elem(), label)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i), label+"."+v.Type().Field(i).Name)
			}
		case reflect.Array:
			for i := range v.Len() {
				v.Index(i).SetUint(uint64(rapid.SampledFrom([]byte{0, 0, 1, 255}).Draw(t, label)))
			}
		case reflect.Slice:
			if n := rapid.IntRange(0, 2).Draw(t, label); n > 0 {
				v.Set(reflect.MakeSlice(v.Type(), n, n))
				for i := range n {
					fill(v.Index(i), label)
				}
			}
		default:
			t.Fatalf("%s: nothing is drawn for a %s", label, v.Type())
		}
	}
	var e tracking.Event
	fill(reflect.ValueOf(&e).Elem(), "event")
	return &e
}

// What is written is what the library writes, and what is read is what the library reads, field by field, whatever comes.
func TestEventsAreEncodedAsTheLibraryDoes(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(drawAny), 1, 4).Draw(t, "events")
		if rapid.Bool().Draw(t, "alike") { // neighbours mostly are
			events = append(events, events[0].Clone(), events[len(events)-1], events[0])
		}
		var frame []byte
		for _, e := range events {
			want, err := codec.enc.Marshal(e)
			require.NoError(t, err)
			got, err := appendEvent(nil, codec.enc, e)
			require.NoError(t, err)
			require.Equal(t, want, got)
			frame = append(frame, got...)
		}
		requireReadAlike(t, codec, frame)
	})
}

// requireReadAlike reads a frame with and without the library.
func requireReadAlike(t require.TestingT, codec *Codec, frame []byte) {
	want, wantErr := decodeItems[tracking.Event](codec.dec, frame)
	for _, e := range want {
		e.OccurredAt, e.ReceivedAt = fixZone(e.OccurredAt), e.ReceivedAt.UTC()
	}
	got, gotErr := codec.decodeEvents(frame)
	require.Equal(t, wantErr == nil, gotErr == nil, "%v, %v", wantErr, gotErr)
	if wantErr != nil {
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		require.Fail(t, diff)
	}
	for i := range want {
		_, wanted := want[i].OccurredAt.Zone()
		_, read := got[i].OccurredAt.Zone()
		require.Equal(t, wanted, read)
	}
}

// Events that are read share no memory that either of them, or the frame, could be changed by.
func TestEventsReadShareNothing(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	lat := 1.5
	e := &tracking.Event{
		Location: &tracking.Location{IATA: "LIM", Lat: &lat}, Quantity: &tracking.Quantity{Pieces: 1}, Transport: &tracking.Transport{Carrier: "LA"},
		Payload: json.RawMessage(`{"a":1}`), Enrichment: tracking.Enrichment{
			Milestone: tracking.Loaded, Place: &tracking.Place{IATA: "LIM"}, Airline: &tracking.Airline{IATA: "LA"}, Transport: &tracking.Transport{Number: "1"},
		},
	}
	frame, err := appendEvent(nil, codec.enc, e)
	require.NoError(t, err)
	frame = append(frame, frame...)
	read, err := codec.decodeEvents(frame)
	require.NoError(t, err)
	clear(frame)
	first, second := read[0], read[1]
	*first.Location.Lat, first.Location.IATA, first.Quantity.Pieces, first.Transport.Carrier, first.Payload[1] = 2, "CUZ", 2, "AV", 'x'
	first.Enrichment.Place.IATA, first.Enrichment.Airline.IATA, first.Enrichment.Transport.Number = "CUZ", "AV", "2"
	require.Empty(t, cmp.Diff(e, second, cmpopts.EquateEmpty()))
}

// What another version, or anybody else, may write in CBOR is read as the library reads it, or refused as it does.
func FuzzEventsAreReadAsTheLibraryDoes(f *testing.F) {
	codec, err := NewCodec()
	require.NoError(f, err)
	e := rapid.Custom(drawAny).Example(1)
	seed, err := appendEvent(nil, codec.enc, e)
	require.NoError(f, err)
	f.Add(seed)
	indefinite, err := cbor.EncOptions{Time: cbor.TimeUnixDynamic, TimeTag: cbor.EncTagRequired, ShortestFloat: cbor.ShortestFloat16}.EncMode()
	require.NoError(f, err)
	other, err := indefinite.Marshal(e)
	require.NoError(f, err)
	f.Add(other)
	for _, odd := range []string{
		"\xbf\x02\x61a\xff", "\xa2\x02\x61a\x02\x61b", "\xa1\x02\xf6", "\xa1\x18\x02\x61a", "\xa1\x02\x61\xff", "\xa1\x18\x63\x01", "\xa1\x20\x01",
		"\xa1\x02\x7b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x05\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x05\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
		"\xa1\x01\x41a", "\xa1\x0b\x63now", "\xa1\x13\xa0\xa1\x13\xa0", "\xf6", "\xa0", "\xa1\x0e\xf6", "\xa1\x13\xa1\x06\xa1\x61a\x01",
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, frame []byte) { requireReadAlike(t, codec, frame) })
}

func BenchmarkFrame(b *testing.B) {
	codec, err := NewCodec()
	require.NoError(b, err)
	events, origins := make([]*tracking.Event, 500), make([]origin, 500)
	for i := range events {
		now := time.Now().UTC().Truncate(time.Microsecond)
		events[i] = &tracking.Event{
			TenantID: "talma-pe", Source: "LA", EventID: "evt-" + now.String()[20:30], CorrelationID: "0045123456", AggregateID: "0045123456",
			Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: now, ReceivedAt: now,
			Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`), Location: &tracking.Location{IATA: "LIM"},
			Enrichment: tracking.Enrichment{Milestone: tracking.Loaded, Place: &tracking.Place{IATA: "LIM", Name: "Jorge Chávez International Airport", Country: "PE"}},
		}
		origins[i].index = uint32(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		messages, err := codec.encodeFrames(events, origins, nil, "", 1<<20)
		require.NoError(b, err)
		_, err = codec.decodeFrame(messages[0].Payload)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
