package routers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/tracking"
)

// A frame is many events in one message: a CBOR sequence (RFC 8742) of events, after one byte that says which form of the
// encoding follows. It is what makes a queue cheap: a request to the broker is paid once a frame, not once an event.
const (
	// frameVersion begins a frame of which the events enter the hop at its first stage.
	frameVersion = 1
	// frameWithEntry begins a frame that says, before its events, at which stage of the hop they enter.
	frameWithEntry = 2
	// frameWithOrigins begins a frame that says, before its events, at which stage of the hop they enter, and their origins.
	frameWithOrigins = 3
	// frameWithWalks begins a frame that also says, behind the origins, how its events came to the hop.
	frameWithWalks = 4
	// newestForm is the last form that is read here; forms from the next one to lastForm are for later versions.
	newestForm = frameWithWalks
	lastForm   = 31

	contentType   = "application/cbor-seq"
	contentHeader = "content-type"
	// itemsHeader says how much is in a frame to whoever counts without decoding.
	itemsHeader = "items"
	// redrivenHeader names the job that redrove the events of a frame. It goes with them through their pipeline.
	redrivenHeader = "redriven"
)

// ErrTooLarge says that one event alone is larger than a frame may be.
var ErrTooLarge = errors.New("event is larger than the broker takes")

// Codec encodes events as frames and decodes them.
type Codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
	// bodies are buffers in which events are encoded before it is known what goes before them in their frames.
	bodies sync.Pool
}

// keptBody is how large a buffer is kept for other frames.
const keptBody = 2 << 20

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

// Encode packs events, in order, into as few messages as maxBytes a message allows. They enter the hop that reads them at the
// stage named entry; at the first when there is none. An event that does not fit in a message of its own is an error that
// wraps ErrTooLarge.
func (c *Codec) Encode(events []*tracking.Event, entry string, maxBytes int) ([]*message.Message, error) {
	head := []byte{frameVersion}
	if entry != "" {
		name, err := c.enc.Marshal(entry)
		if err != nil {
			return nil, fmt.Errorf("encode frame: %w", err)
		}
		head = append([]byte{frameWithEntry}, name...)
	}
	messages, err := encode(events, head, maxBytes, func(to []byte, e *tracking.Event) ([]byte, error) { return appendEvent(to, c.enc, e) })
	return traceMessages(messages, events), err
}

// encode packs what appendItem writes into messages.
func encode[T any](items []T, head []byte, maxBytes int, appendItem func(to []byte, item T) ([]byte, error)) ([]*message.Message, error) {
	var messages []*message.Message
	frame, n := slices.Clone(head), 0
	for i, item := range items {
		before := len(frame)
		var err error
		if frame, err = appendItem(frame, item); err != nil {
			return nil, fmt.Errorf("encode frame: %w", err)
		}
		if size := len(frame) - before; size+len(head) > maxBytes {
			return nil, fmt.Errorf("encode frame: %d bytes: %w", size, ErrTooLarge)
		}
		if len(frame) > maxBytes {
			next := slices.Concat(head, frame[before:])
			messages = append(messages, newMessage(frame[:before:before], n))
			frame, n = next, 0
		}
		if n++; n == 1 { // about as much as all of them, if they are like the first
			frame = slices.Grow(frame, min((len(frame)-len(head))*(len(items)-i-1)*9/8, maxBytes-len(frame)))
		}
	}
	if n > 0 {
		messages = append(messages, newMessage(frame, n))
	}
	return messages, nil
}

// marshal is what encode appends of an item that the library encodes.
func (c *Codec) marshal(to []byte, item any) ([]byte, error) {
	encoded, err := c.enc.Marshal(item)
	return append(to, encoded...), err
}

func newMessage(frame []byte, items int) *message.Message {
	msg := message.NewMessage(watermill.NewUUID(), frame)
	msg.Metadata.Set(contentHeader, contentType)
	msg.Metadata.Set(itemsHeader, strconv.Itoa(items))
	return msg
}

// redrive returns messages with the mark that their events were redriven by a job; the zero job is none.
func redrive(messages []*message.Message, job uuid.UUID) []*message.Message {
	for _, m := range messages {
		if job != uuid.Nil {
			m.Metadata.Set(redrivenHeader, job.String())
		}
	}
	return messages
}

// redrivenBy returns the job that redrove the events of a frame; the zero UUID when they were not redriven.
func redrivenBy(msg *message.Message) uuid.UUID {
	job, err := uuid.Parse(msg.Metadata.Get(redrivenHeader))
	if err != nil {
		return uuid.Nil
	}
	return job
}

// FrameItems returns how many events, or letters, or ledger entries, a frame says that it holds; 0 when it does not say.
func FrameItems(msg *message.Message) int {
	n, err := strconv.Atoi(msg.Metadata.Get(itemsHeader))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Decode unpacks the events of a frame, and the name of the stage at which they enter. Anything but a whole frame is an error.
func (c *Codec) Decode(frame []byte) (events []*tracking.Event, entry string, err error) {
	opened, err := c.decodeFrame(frame)
	return opened.events, opened.entry, err
}

// openedFrame is what is in a frame.
type openedFrame struct {
	events  []*tracking.Event
	entry   string
	origins []origin // of each event; nil when the frame carries none
	walks   []*walk  // of each event; nil when the frame carries none
}

// decodeFrame is Decode with all that goes with the events.
func (c *Codec) decodeFrame(frame []byte) (opened openedFrame, err error) {
	switch {
	case len(frame) > 0 && frame[0] >= frameWithEntry && frame[0] <= frameWithWalks:
		opened, err = c.decodeWithHead(frame)
	case len(frame) > 0 && frame[0] == frameVersion:
		opened.events, err = c.decodeEvents(frame[1:])
	case len(frame) > 0 && frame[0] > newestForm && frame[0] <= lastForm:
		err = fmt.Errorf("decode frame: form %d: %w", frame[0], errNewerFrame)
	default:
		err = errVersion
	}
	if err != nil {
		return openedFrame{}, err
	}
	return opened, nil
}

// decodeWithHead decodes a frame that says more than its events.
func (c *Codec) decodeWithHead(frame []byte) (opened openedFrame, err error) {
	rest, err := c.dec.UnmarshalFirst(frame[1:], &opened.entry)
	if err != nil {
		return opened, fmt.Errorf("decode frame: entry: %w", err)
	}
	section := func() (packed []byte, ok bool) {
		length, size := binary.Uvarint(rest)
		if size <= 0 || length > uint64(len(rest)-size) { //nolint:gosec // It has read no more than there is.
			return nil, false
		}
		packed, rest = rest[size:size+int(length)], rest[size+int(length):] //nolint:gosec // It is no more than there is.
		return packed, true
	}
	var origins, walks []byte
	var ok bool
	if frame[0] >= frameWithOrigins {
		if origins, ok = section(); !ok {
			return opened, errOrigins
		}
	}
	if frame[0] >= frameWithWalks {
		if walks, ok = section(); !ok {
			return opened, errWalks
		}
	}
	if opened.events, err = c.decodeEvents(rest); err != nil || frame[0] < frameWithOrigins {
		return opened, err
	}
	if opened.origins, err = unpackOrigins(origins, len(opened.events)); err != nil || frame[0] < frameWithWalks {
		return opened, err
	}
	opened.walks, err = unpackWalks(c.dec, walks, len(opened.events))
	return opened, err
}

var errVersion = errors.New("decode frame: not a frame")

// errNewerFrame says that a later version wrote a frame. It is not the frame's fault: another process reads it.
var errNewerFrame = errors.New("a later version wrote it")

func decode[T any](dec cbor.DecMode, frame []byte) ([]*T, error) {
	if len(frame) == 0 || frame[0] != frameVersion {
		return nil, errVersion
	}
	return decodeItems[T](dec, frame[1:])
}

func decodeItems[T any](dec cbor.DecMode, rest []byte) ([]*T, error) {
	var items []*T
	for len(rest) > 0 {
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
