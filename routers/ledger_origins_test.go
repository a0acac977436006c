package routers

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// Events keep their origins over a frame, wherever the frames are cut, and the frames are no larger than allowed.
func TestFramesGiveBackOrigins(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	frames := []uuid.UUID{uuid.New(), uuid.New(), {}}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(drawEvent), 0, 30).Draw(t, "events")
		origins := make([]origin, len(events))
		for i := range origins {
			if i > 0 && rapid.IntRange(0, 3).Draw(t, "neighbour") > 0 {
				origins[i] = origin{origins[i-1].frame, (origins[i-1].index + 1) & (1<<31 - 1)}
				continue
			}
			origins[i] = origin{rapid.SampledFrom(frames).Draw(t, "frame"), rapid.Uint32Range(0, 1<<31-1).Draw(t, "index")}
		}
		entry := rapid.SampledFrom([]string{"", "persist"}).Draw(t, "entry")
		limit := rapid.IntRange(1300, 20_000).Draw(t, "limit")
		messages, err := codec.encodeFrames(events, origins, entry, limit)
		require.NoError(t, err)
		var back []*tracking.Event
		from := []origin{}
		for _, msg := range messages {
			require.LessOrEqual(t, len(msg.Payload), limit)
			decoded, named, at, err := codec.decodeFrame(msg.Payload)
			require.NoError(t, err)
			require.NotEmpty(t, decoded)
			require.Equal(t, entry, at)
			back, from = append(back, decoded...), append(from, named...)
		}
		if len(events) > 0 {
			require.Empty(t, cmp.Diff(events, back))
		}
		require.Equal(t, origins, from)
	})
}

func TestNeighboursArePackedTogether(t *testing.T) {
	var p originPacker
	for _, o := range originsIn(uuid.New(), 500) {
		p.add(o)
	}
	p.flush()
	require.Len(t, p.packed, 1+16+2+1)
	p = originPacker{}
	p.flush()
	require.Empty(t, p.packed)
}

func TestBrokenOriginsAreNotTaken(t *testing.T) {
	id := uuid.New()
	named := append([]byte{0}, id[:]...)
	for name, c := range map[string]struct {
		packed []byte
		events int
	}{
		"too few":      {append(named[:17:17], 2, 0), 3},
		"too many":     {append(named[:17:17], 4, 0), 3},
		"none":         {nil, 1},
		"cut uuid":     {named[:9], 1},
		"cut run":      {append(named[:17:17], 1), 1},
		"empty run":    {append(append(named[:17:17], 1, 0), 0), 1},
		"huge index":   {append(named[:17:17], 1, 0xff, 0xff, 0xff, 0xff, 0x7f), 1},
		"endless":      {append(named[:17:17], 1, 0x80), 1},
		"huge in runs": {append(named[:17:17], 0xff, 0xff, 0xff, 0xff, 0x07, 0), 1},
	} {
		_, err := unpackOrigins(c.packed, c.events)
		require.ErrorIs(t, err, errOrigins, name)
	}
}

// A frame is called the same every time it is delivered, whoever published it.
func TestFramesHaveANameOfTheirOwn(t *testing.T) {
	id := uuid.New()
	require.Equal(t, id, frameID(message.NewMessage(id.String(), nil)))
	named, other := frameID(message.NewMessage("", []byte("a"))), frameID(message.NewMessage("x", []byte("b")))
	require.Equal(t, named, frameID(message.NewMessage("y", []byte("a"))))
	require.NotEqual(t, named, other)
}
