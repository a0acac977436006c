package sqs

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/tracking"
)

// sizes measures how large frames of made-up events are, by encoding them as those of real ones are.
type sizes struct {
	payload   int
	codec     *routers.Codec
	marshaler *Marshaler
	most      int // events in the largest frame
	known     map[int][2]float64
}

// sampledEvents is how many events are made up at most; larger frames are taken to be as dense.
const sampledEvents = 2000

func newSizes(c Config, payload int) (*sizes, error) {
	codec, err := routers.NewCodec()
	if err != nil {
		return nil, err
	}
	marshaler, err := NewMarshaler()
	if err != nil {
		return nil, err
	}
	s := &sizes{payload: payload, codec: codec, marshaler: marshaler, known: map[int][2]float64{}}
	const few = 20
	raw, _, err := s.of(few)
	if err == nil && raw/few > float64(frameBytes(c.MaxMessageBytes)) {
		err = fmt.Errorf("events of %d bytes: %w", payload, routers.ErrTooLarge)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.most = max(1, int(float64(frameBytes(c.MaxMessageBytes))/(raw/few)))
	return s, nil
}

func (s *sizes) close() {
	s.marshaler.dec.Close()
	_ = s.marshaler.enc.Close() // it holds nothing that could be lost
}

// of returns how many bytes a frame of so many events has, and how many its message, as SQS counts them.
func (s *sizes) of(events int) (raw, wire float64, err error) {
	events = max(events, 1)
	sampled := min(events, max(1, min(sampledEvents, MostMessageBytes/s.payload)))
	known, is := s.known[sampled]
	if !is {
		messages, err := s.codec.Encode(sampleEvents(sampled, s.payload), "", 8<<20)
		if err != nil {
			return 0, 0, fmt.Errorf("measure a frame: %w", err)
		}
		for _, msg := range messages {
			msg.UUID = uuid.Nil.String() // the same size each time
			sealed, err := s.marshaler.Marshal(msg)
			if err != nil {
				return 0, 0, fmt.Errorf("measure a frame: %w", err)
			}
			known[0] += float64(len(msg.Payload))
			known[1] += float64(messageSize(sealed))
		}
		s.known[sampled] = known
	}
	more := float64(events) / float64(sampled)
	return known[0] * more, known[1] * more, nil
}

// sampleEvents are events of which ids and a third of the payload are random and the rest repeats, as identifiers, codes and
// names in carriers' events do. They are the same each time.
func sampleEvents(n, payload int) []*tracking.Event {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // made-up events
	text := func(bytes int) string {
		out := make([]byte, (bytes+1)/2)
		for i := range out {
			out[i] = byte(random.IntN(256)) //nolint:gosec // below 256
		}
		return hex.EncodeToString(out)[:bytes]
	}
	words := []string{`"location":"LIM",`, `"flight":"LA2047",`, `"device":"scanner-`, `"remarks":"loaded at belt","quantity":1,`}
	at := time.Date(2026, 6, 20, 22, 55, 1, 0, time.UTC)
	events := make([]*tracking.Event, n)
	for i := range events {
		at = at.Add(time.Duration(random.IntN(50)) * time.Millisecond)
		body := []byte("{")
		for len(body) < payload {
			body = append(body, words[random.IntN(len(words))]...)
			body = append(body, text(8)...)
		}
		body = append(body[:payload-1], '}')
		var uid uuid.UUID
		for b := range uid {
			uid[b] = byte(random.IntN(256)) //nolint:gosec // below 256
		}
		events[i] = &tracking.Event{
			UID: uid, TenantID: "talma-pe", Source: "LA", EventID: text(16), CorrelationID: text(10), AggregateID: text(10),
			Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at, Payload: body,
		}
	}
	return events
}
