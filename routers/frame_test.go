package routers

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// drawEvent draws any event that ingest could make.
func drawEvent(t *rapid.T) *tracking.Event {
	text := rapid.StringN(0, 20, 60)
	when := func(label string) time.Time {
		return time.UnixMicro(rapid.Int64Range(0, 4_000_000_000_000_000).Draw(t, label)).UTC()
	}
	e := &tracking.Event{
		UID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uid")), TenantID: text.Draw(t, "tenant"),
		Source: text.Draw(t, "source"), EventID: text.Draw(t, "event id"), Revision: rapid.Int64().Draw(t, "revision"),
		CorrelationID: text.Draw(t, "correlation"), AggregateID: text.Draw(t, "aggregate"), Type: text.Draw(t, "type"),
		Kind: rapid.SampledFrom(tracking.Kinds()).Draw(t, "kind"), Classifier: tracking.Actual,
		OccurredAt: fixZone(when("occurred").In(time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "offset")))),
		ReceivedAt: when("received"),
		Payload:    json.RawMessage(rapid.SampledFrom([]string{``, `{"a": 1.0,  "b":"\u00e9<&>"}`, `[12345678901234567890]`}).Draw(t, "payload")),
	}
	if len(e.Payload) == 0 {
		e.Payload = nil
	}
	if rapid.Bool().Draw(t, "enriched") {
		lat := rapid.Float64Range(-90, 90).Draw(t, "lat")
		e.Location = &tracking.Location{IATA: "LIM", Lat: &lat}
		e.Quantity = &tracking.Quantity{Pieces: 2, TotalPieces: 10, Weight: 101.5, WeightUnit: "kg"}
		e.Transport = &tracking.Transport{Carrier: "LA", Number: "2468"}
		e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"x"}}
		e.Enrichment = tracking.Enrichment{Milestone: tracking.Loaded, Place: &tracking.Place{IATA: "LIM", City: "Lima", Lat: -12.02}}
	}
	return e
}

func TestFramesGiveBackWhatWentIn(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(drawEvent), 0, 30).Draw(t, "events")
		limit := rapid.IntRange(1200, 20_000).Draw(t, "limit")
		messages, err := codec.Encode(events, "", limit)
		require.NoError(t, err)
		var back []*tracking.Event
		for _, msg := range messages {
			require.LessOrEqual(t, len(msg.Payload), limit)
			decoded, _, err := codec.Decode(msg.Payload)
			require.NoError(t, err)
			require.NotEmpty(t, decoded, "no frame may be empty")
			back = append(back, decoded...)
		}
		if len(events) == 0 {
			require.Empty(t, messages)
			return
		}
		if diff := cmp.Diff(events, back); diff != "" {
			t.Fatal(diff)
		}
		for i := range events {
			_, want := events[i].OccurredAt.Zone()
			_, got := back[i].OccurredAt.Zone()
			require.Equal(t, want, got, "the zone as sent must survive")
		}
	})
}

func TestAnEventTooLargeForAFrameIsNamed(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	e := &tracking.Event{Payload: json.RawMessage(`"` + string(make([]byte, 2000)) + `"`)}
	_, err = codec.Encode([]*tracking.Event{e}, "", 1000)
	require.True(t, errors.Is(err, ErrTooLarge))
}

func FuzzDecode(f *testing.F) {
	codec, err := NewCodec()
	require.NoError(f, err)
	messages, err := codec.Encode([]*tracking.Event{{EventID: "a"}, {EventID: "b", Payload: json.RawMessage(`{}`)}}, "", 1<<20)
	require.NoError(f, err)
	f.Add([]byte(messages[0].Payload))
	f.Add([]byte{frameVersion, 0xbf, 0xff})
	routed, err := codec.Encode([]*tracking.Event{{EventID: "a"}}, "persist", 1<<20)
	require.NoError(f, err)
	f.Add([]byte(routed[0].Payload))
	named, err := codec.encodeFrames([]*tracking.Event{{EventID: "a"}, {EventID: "b"}}, originsIn(uuid.New(), 2), nil, "persist", 1<<20)
	require.NoError(f, err)
	f.Add([]byte(named[0].Payload))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		events, entry, err := codec.Decode(frame)
		if err != nil {
			return
		}
		again, err := codec.Encode(events, entry, 1<<30)
		require.NoError(t, err)
		for _, msg := range again {
			_, at, err := codec.Decode(msg.Payload)
			require.NoError(t, err)
			require.Equal(t, entry, at)
		}
	})
}
