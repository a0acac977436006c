package routers

import (
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/store"
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
		ways := drawWalks(t, len(events))
		messages, err := codec.encodeFrames(events, origins, ways, entry, limit)
		require.NoError(t, err)
		var back []*tracking.Event
		from := []origin{}
		for _, msg := range messages {
			require.LessOrEqual(t, len(msg.Payload), limit)
			opened, err := codec.decodeFrame(msg.Payload)
			require.NoError(t, err)
			require.NotEmpty(t, opened.events)
			require.Equal(t, entry, opened.entry)
			for i := range opened.events {
				if opened.walks == nil {
					opened.walks = make([]*walk, len(opened.events))
				}
				if way := ways[len(back)+i]; way == nil || opened.walks[i] != nil {
					require.Equal(t, way, opened.walks[i])
				} else { // left out only where there is no room for it
					size, err := codec.enc.Marshal(opened.events[i])
					require.NoError(t, err)
					steps, err := codec.enc.Marshal(way.steps)
					require.NoError(t, err)
					require.Greater(t, len(size)+len(steps)+100, limit)
				}
			}
			back, from = append(back, opened.events...), append(from, opened.origins...)
		}
		if len(events) > 0 {
			require.Empty(t, cmp.Diff(events, back))
		}
		require.Equal(t, origins, from)
	})
}

// drawWalks draws how events came: neighbours mostly the same way, some in a way that is not known.
func drawWalks(t *rapid.T, events int) []*walk {
	ways := make([]*walk, events)
	for i := range ways {
		if i > 0 && rapid.IntRange(0, 2).Draw(t, "same way") > 0 {
			ways[i] = ways[i-1]
			continue
		}
		if steps := rapid.SampledFrom([]int{0, 1, 4, 40}).Draw(t, "steps"); steps > 0 {
			ways[i] = &walk{steps: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.TrailStep {
				return store.TrailStep{
					Stage: rapid.SampledFrom([]string{"validate", "dedupe"}).Draw(t, "stage"), Version: "3f1c9a0b77de", Outcome: "pass",
					At: rapid.Int64().Draw(t, "at"), Took: rapid.Int64().Draw(t, "took"), Attempt: rapid.Int().Draw(t, "attempt"), Events: rapid.Int().Draw(t, "batch"),
				}
			}), steps, steps).Draw(t, "walk")}
		}
	}
	return ways
}

// Where a frame is cut between events that came the same way, the new one has to say the way again, and is no larger for it than it may be.
func TestACutBetweenEventsThatCameTheSameWayLeavesRoom(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	const limit = 4000
	way := &walk{steps: make([]store.TrailStep, 40)}
	event := func(payload int) *tracking.Event {
		return &tracking.Event{UID: uuid.New(), Payload: []byte(`"` + strings.Repeat("x", payload) + `"`)}
	}
	for payload := 1000; payload < limit; payload++ {
		messages, err := codec.encodeFrames([]*tracking.Event{event(1000), event(payload)}, originsIn(uuid.New(), 2), []*walk{way, way}, "", limit)
		if errors.Is(err, ErrTooLarge) {
			require.Greater(t, payload, limit-300)
			return
		}
		require.NoError(t, err)
		for _, msg := range messages {
			require.LessOrEqual(t, len(msg.Payload), limit, "a payload of %d bytes", payload)
		}
	}
	require.Fail(t, "nothing is too large")
}

// A frame says once how many events came.
func TestTheWayOfManyEventsIsSaidOnce(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	way := &walk{steps: []store.TrailStep{{Stage: "validate", Version: "3f1c9a0b77de", Outcome: "pass", At: 1 << 50, Took: 1000, Attempt: 1, Events: 500}}}
	events, ways := make([]*tracking.Event, 500), make([]*walk, 500)
	for i := range events {
		events[i], ways[i] = &tracking.Event{UID: uuid.New()}, way
	}
	size := func(ways []*walk) int {
		messages, err := codec.encodeFrames(events, originsIn(uuid.New(), 500), ways, "", 1<<20)
		require.NoError(t, err)
		require.Len(t, messages, 1)
		return len(messages[0].Payload)
	}
	require.Less(t, size(ways)-size(nil), 80)
}

func TestBrokenWalksAreNotTaken(t *testing.T) {
	codec, err := NewCodec()
	require.NoError(t, err)
	for name, packed := range map[string][]byte{
		"too few": {1, 0}, "too many": {3, 0}, "none": {0, 0, 2, 0}, "cut off": {2, 4, 0x80}, "no steps": {2, 1, 0x01}, "no length": {2}, "endless": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		_, err := unpackWalks(codec.dec, packed, 2)
		require.ErrorIs(t, err, errWalks, name)
	}
	all, err := unpackWalks(codec.dec, []byte{1, 0, 1, 1, 0x80}, 2)
	require.NoError(t, err)
	require.Equal(t, []*walk{nil, {steps: []store.TrailStep{}}}, all)
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
