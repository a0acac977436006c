package routers

import (
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/fxamacker/cbor/v2"

	"github.com/rastrohq/rastro/tracking"
)

// A frame is many events in one message: a CBOR sequence (RFC 8742) of events, after one byte that says which version of the
// encoding follows. It is what makes a queue cheap: a request to the broker is paid once a frame, not once an event.
const (
	frameVersion  = 1
	contentType   = "application/cbor-seq"
	contentHeader = "content-type"
)

// ErrTooLarge says that one event alone is larger than a frame may be.
var ErrTooLarge = errors.New("event is larger than the broker takes")

// Codec encodes events as frames and decodes them.
type Codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// NewCodec returns a codec.
func NewCodec() (*Codec, error) {
	// RFC 3339 text keeps the zone an event's time was written in; the numeric forms do not.
	enc, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		return nil, fmt.Errorf("frame encoding: %w", err)
	}
	dec, err := cbor.DecOptions{MaxNestedLevels: 16}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("frame decoding: %w", err)
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// Encode packs events, in order, into as few messages as maxBytes a message allows. An event that does not fit in a message
// of its own is an error that wraps ErrTooLarge.
func (c *Codec) Encode(events []*tracking.Event, maxBytes int) ([]*message.Message, error) {
	return encode(c.enc, events, maxBytes)
}

func encode[T any](enc cbor.EncMode, items []T, maxBytes int) ([]*message.Message, error) {
	var messages []*message.Message
	frame := []byte{frameVersion}
	flush := func() {
		if len(frame) > 1 {
			messages = append(messages, newMessage(frame))
			frame = []byte{frameVersion}
		}
	}
	for _, item := range items {
		encoded, err := enc.Marshal(item)
		if err != nil {
			return nil, fmt.Errorf("encode frame: %w", err)
		}
		if len(encoded)+1 > maxBytes {
			return nil, fmt.Errorf("encode frame: %d bytes: %w", len(encoded), ErrTooLarge)
		}
		if len(frame)+len(encoded) > maxBytes {
			flush()
		}
		frame = append(frame, encoded...)
	}
	flush()
	return messages, nil
}

func newMessage(frame []byte) *message.Message {
	msg := message.NewMessage(watermill.NewUUID(), frame)
	msg.Metadata.Set(contentHeader, contentType)
	return msg
}

// Decode unpacks the events of a frame. Anything but a whole frame is an error.
func (c *Codec) Decode(frame []byte) ([]*tracking.Event, error) {
	events, err := decode[tracking.Event](c.dec, frame)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		// The zone of what arrives is named by its offset alone, whatever zone this process runs in.
		e.OccurredAt = fixZone(e.OccurredAt)
		e.ReceivedAt = e.ReceivedAt.UTC()
	}
	return events, nil
}

func decode[T any](dec cbor.DecMode, frame []byte) ([]*T, error) {
	if len(frame) == 0 || frame[0] != frameVersion {
		return nil, fmt.Errorf("decode frame: not a frame of version %d", frameVersion)
	}
	var items []*T
	for rest := frame[1:]; len(rest) > 0; {
		item := new(T)
		var err error
		if rest, err = dec.UnmarshalFirst(rest, item); err != nil {
			return nil, fmt.Errorf("decode frame: item %d: %w", len(items), err)
		}
		items = append(items, item)
	}
	return items, nil
}

func fixZone(t time.Time) time.Time {
	_, offset := t.Zone()
	if offset == 0 {
		return t.UTC()
	}
	return t.In(time.FixedZone("", offset))
}
