package routers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Invariant 14: the books of a pipeline balance when every event that came in has ended in one way, or is still under way. Hops say what came
// and what ended; nothing that they say may count twice when a frame is delivered again. Therefore they do not count: they
// name. An event has the same name on its way through all pipelines and however often it is delivered: the frame in which
// it first came in, whose UUID the broker keeps over redeliveries, and its place in that frame. An event that a stage made has its
// UID, which is the same every time. To say of an event that it ended is then to set a bit, and a batch says what there is to say
// in one small message.
//
// A frame that a hop publishes cannot stand for its events: after a redelivery they are published again, in other
// company. This is why frames between hops carry the origins of their events.

// origin names an event.
type origin struct {
	frame uuid.UUID
	index uint32
}

// frameID returns the UUID of a frame that carries no origins: it names its events by their places.
func frameID(msg *message.Message) uuid.UUID {
	if id, err := uuid.Parse(msg.UUID); err == nil {
		return id
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, msg.Payload) // from a publisher that names nothing; the bytes are the same every time
}

// originsIn names the events of a frame that carries no origins.
func originsIn(frame uuid.UUID, events int) []origin {
	all := make([]origin, events)
	for i := range all {
		all[i] = origin{frame, uint32(i)}
	}
	return all
}

// Origins are packed as runs of neighbours: the length of the run and the index of its first event, both as unsigned varints.
// Where a run is of another frame than the one before, a zero and the frame's UUID come first.
type originPacker struct {
	packed []byte
	frame  uuid.UUID
	first  uint32
	length uint32
}

// maxPackedOrigin is the most bytes that one more origin takes.
const maxPackedOrigin = 1 + len(uuid.UUID{}) + 2*binary.MaxVarintLen32

func (p *originPacker) add(o origin) {
	if p.length > 0 && p.frame == o.frame && o.index == p.first+p.length {
		p.length++
		return
	}
	p.flush()
	if len(p.packed) == 0 || p.frame != o.frame {
		p.packed = append(append(p.packed, 0), o.frame[:]...)
	}
	p.frame, p.first, p.length = o.frame, o.index, 1
}

func (p *originPacker) flush() {
	if p.length > 0 {
		p.packed = binary.AppendUvarint(binary.AppendUvarint(p.packed, uint64(p.length)), uint64(p.first))
	}
	p.length = 0
}

var errOrigins = errors.New("decode frame: the origins of its events are broken")

// unpackOrigins returns as many origins as there are events; anything else is an error.
func unpackOrigins(packed []byte, events int) ([]origin, error) {
	all := make([]origin, 0, events)
	var frame uuid.UUID
	number := func() (uint32, bool) {
		n, size := binary.Uvarint(packed)
		if size <= 0 || n > 1<<31-1 {
			return 0, false
		}
		packed = packed[size:]
		return uint32(n), true
	}
	for len(packed) > 0 {
		if packed[0] == 0 {
			if len(packed) < 1+len(frame) {
				return nil, errOrigins
			}
			packed = packed[1+copy(frame[:], packed[1:]):]
		}
		length, ok := number()
		first, ok2 := number()
		if !ok || !ok2 || length == 0 || int(length) > events-len(all) {
			return nil, errOrigins
		}
		for i := range length {
			all = append(all, origin{frame, first + i})
		}
	}
	if len(all) != events {
		return nil, errOrigins
	}
	return all, nil
}

// arrival is how an event came to the hop that has it in hand.
type arrival uint8

const (
	cameInside   arrival = iota // from another hop of the pipeline, which has said how it came
	cameReceived                // from outside
	cameEmitted                 // made by a stage of this hop
)

// ending is how an event ended.
type ending uint8

const (
	openEnd ending = iota // it has not: it is tried again, or goes on to another hop
	passedEnd
	duplicateEnd
	droppedEnd
	rejectedEnd
)

// endOf returns how an item that has just been handed on ended.
func (h *hop) endOf(it *item) ending {
	if it.open {
		return openEnd
	}
	switch v := it.work.Verdict; {
	case v.Outcome == pipeline.Reject:
		return rejectedEnd
	case v.Outcome == pipeline.Drop && isDuplicate(v.Reason):
		return duplicateEnd
	case v.Outcome == pipeline.Drop:
		return droppedEnd
	case it.work.Left || it.work.Goto == "" && h.last():
		return passedEnd
	default:
		return openEnd
	}
}

func isDuplicate(reason pipeline.Reason) bool {
	return reason.Of != uuid.Nil || reason.Code == "duplicate"
}

// ledgerEntry is what a ledger frame holds many of: one of them is set.
type ledgerEntry struct {
	Mark      *store.LedgerMark `cbor:"1,keyasint,omitempty"`
	Duplicate *store.Duplicate  `cbor:"2,keyasint,omitempty"`
	Redriven  *store.RedriveEnd `cbor:"3,keyasint,omitempty"`
	Trail     *store.Trail      `cbor:"4,keyasint,omitempty"`
}

// page is what a batch has to say.
type page struct {
	byKey   map[markKey]*store.LedgerMark
	last    *store.LedgerMark // neighbours share a mark
	trails  map[trailKey]*store.Trail
	entries []ledgerEntry
}

type markKey struct {
	frame  uuid.UUID
	part   int32
	tenant string
}

const bitsPerMark = 64

func (p *page) mark(o origin, tenant string) *store.LedgerMark {
	key := markKey{o.frame, int32(o.index / bitsPerMark), tenant} //nolint:gosec // An index is below 1<<31.
	if p.last != nil && p.last.Part == key.part && p.last.Frame == key.frame && p.last.TenantID == key.tenant {
		return p.last
	}
	m := p.byKey[key]
	if m == nil {
		m = &store.LedgerMark{Frame: key.frame, Part: key.part, TenantID: tenant}
		if p.byKey == nil {
			p.byKey = map[markKey]*store.LedgerMark{}
		}
		p.byKey[key] = m
		p.entries = append(p.entries, ledgerEntry{Mark: m})
	}
	p.last = m
	return m
}

// note says how an event came, unless that has been said, and how it ended, if it has.
func (p *page) note(o origin, tenant string, came arrival, end ending) {
	if came == cameInside && end == openEnd {
		return
	}
	m, bit := p.mark(o, tenant), uint64(1)<<(o.index%bitsPerMark)
	switch came {
	case cameReceived:
		m.Received |= bit
	case cameEmitted:
		m.Emitted |= bit
	case cameInside:
	}
	switch end {
	case passedEnd:
		m.Passed |= bit
	case duplicateEnd:
		m.Duplicates |= bit
	case droppedEnd:
		m.Dropped |= bit
	case rejectedEnd:
		m.Rejected |= bit
	case openEnd:
	}
}

// duplicate says of what an event is a copy or, with a time, that it was dropped then for another reason.
func (p *page) duplicate(w *pipeline.Work, droppedAt time.Time) {
	e, reason, message := w.Event, w.Verdict.Reason, ""
	if !droppedAt.IsZero() {
		message = reason.Message
	}
	p.entries = append(p.entries, ledgerEntry{Duplicate: &store.Duplicate{
		UID: e.UID, Of: reason.Of, TenantID: e.TenantID, Stage: w.Stage, Code: reason.Code, Source: e.Source,
		EventID: e.EventID, EventType: e.Type, CorrelationID: e.CorrelationID, ReceivedAt: e.ReceivedAt,
		DroppedAt: droppedAt, Message: message,
	}})
}

// redriven says how the redrive of an event ended. What was rejected again says so itself, by a dead letter.
func (p *page) redriven(it *item, end ending) {
	e, said := it.work.Event, store.RedriveEnd{UID: it.work.Event.UID, TenantID: it.work.Event.TenantID, Job: it.redrive}
	switch reason := it.work.Verdict.Reason; end {
	case passedEnd:
		said.Passed = true
	case duplicateEnd, droppedEnd:
		said.Stage, said.Code, said.Message = it.work.Stage, reason.Code, reason.Message
		if reason.Of != uuid.Nil && reason.Of != e.UID {
			said.Message = strings.TrimPrefix(said.Message+"; a copy of event "+reason.Of.String(), "; ")
		}
	case openEnd, rejectedEnd:
		return
	}
	p.entries = append(p.entries, ledgerEntry{Redriven: &said})
}

// enter says in the pipeline's ledger what came and what ended of a batch that has just been handed on. What could not be said
// stays open.
func (h *hop) enter(b *batch) error {
	if h.processor.config.Ledger == nil {
		return nil
	}
	var p page
	var told []*item
	for _, it := range b.items {
		end := h.endOf(it)
		if it.came == cameInside && end == openEnd {
			continue
		}
		p.note(it.origin, it.work.Event.TenantID, it.came, end)
		if end != openEnd {
			p.walked(it.work.Event.UID, it.work.Event.TenantID, b.walks.of(it))
		}
		switch end {
		case duplicateEnd:
			p.duplicate(it.work, time.Time{})
		case droppedEnd:
			p.duplicate(it.work, time.Now().UTC())
		case openEnd, passedEnd, rejectedEnd:
		}
		if it.redrive != uuid.Nil {
			p.redriven(it, end)
		}
		told = append(told, it)
	}
	if err := h.processor.publishLedger(p); err != nil {
		for _, it := range told {
			it.open = true
		}
		return err
	}
	for _, it := range told {
		it.came = cameInside // that it came has been said
	}
	return nil
}

// enterRejected says that a frame was dead-lettered as a whole. One whose events are not known counts as one event of no tenant.
func (h *hop) enterRejected(msg *message.Message, events []*tracking.Event, origins []origin) error {
	if h.processor.config.Ledger == nil {
		return nil
	}
	var p page
	if len(events) == 0 {
		p.note(origin{frame: frameID(msg)}, "", cameReceived, rejectedEnd)
	}
	came := h.arrivalOf(origins)
	if origins == nil {
		origins = originsIn(frameID(msg), len(events))
	}
	for i, e := range events {
		p.note(origins[i], e.TenantID, came, rejectedEnd)
	}
	return h.processor.publishLedger(p)
}

// arrivalOf tells how the events of a frame came. Those without origins come from outside whichever hop they come to, as what is
// sent to a stage again does.
func (h *hop) arrivalOf(origins []origin) arrival {
	if origins == nil || h.processor.config.Plan.Hops[0].Name == h.planned.Name {
		return cameReceived
	}
	return cameInside
}

// publishLedger sends what is to be entered to its topic rather than to the database, so that an outage of it holds nothing up.
func (p *Processor) publishLedger(said page) error {
	if len(said.entries) == 0 {
		return nil
	}
	messages, err := encode(said.entries, []byte{frameVersion}, p.config.Transport.MaxFrameBytes(),
		func(to []byte, entry ledgerEntry) ([]byte, error) { return p.codec.marshal(to, entry) })
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := p.config.Transport.Publisher().Publish(p.config.Plan.Ledger, messages...); err != nil {
		return fmt.Errorf("publish to %s: %w", p.config.Plan.Ledger, err)
	}
	return nil
}

// encodeFrames is Codec.Encode for events whose origins, and how they came, are to go with them. ways may be nil.
func (c *Codec) encodeFrames(events []*tracking.Event, origins []origin, ways []*walk, entry string, maxBytes int) ([]*message.Message, error) {
	name, err := c.enc.Marshal(entry)
	if err != nil {
		return nil, fmt.Errorf("encode frame: %w", err)
	}
	f := frameBuilder{name: name, walks: walkPacker{enc: c.enc}}
	if body, ok := c.bodies.Get().(*[]byte); ok {
		f.body = (*body)[:0]
	}
	defer func() {
		if body := f.body; cap(body) <= keptBody { // frames hold copies
			c.bodies.Put(&body) // alone: &f.body would keep the frames
		}
	}()
	for i, event := range events {
		before := len(f.body)
		if f.body, err = appendEvent(f.body, c.enc, event); err != nil {
			return nil, fmt.Errorf("encode frame: %w", err)
		}
		var way *walk
		if ways != nil {
			way = ways[i]
		}
		if err := f.add(len(f.body)-before, origins[i], way, maxBytes); err != nil {
			return nil, err
		}
		if i == 0 { // about as much as all of them, if they are like the first
			f.body = slices.Grow(f.body, min(len(f.body)*len(events)*9/8, maxBytes))
		}
	}
	f.flush(len(f.body))
	return traceMessages(f.messages, events), nil
}

// frameBuilder puts events into frames.
type frameBuilder struct {
	name     []byte // of the stage at which they enter, encoded
	messages []*message.Message
	body     []byte
	origins  originPacker
	walks    walkPacker
	n        int
}

// fixed is the most bytes that a frame takes besides its events, and what goes with each of them.
func (f *frameBuilder) fixed() int {
	return 1 + len(f.name) + 2*binary.MaxVarintLen32 + maxPackedOrigin
}

// add takes up the event whose encoded bytes are the last of the body, size of them.
func (f *frameBuilder) add(size int, o origin, way *walk, maxBytes int) error {
	for {
		room, err := f.walks.room(way) // more in a new frame than where the event before came the same way
		if err != nil {
			return err
		}
		if f.fixed()+size+room > maxBytes { // An event is worth more than how it came.
			way, room = nil, 2*binary.MaxVarintLen32
		}
		if f.fixed()+size+room > maxBytes {
			return fmt.Errorf("encode frame: %d bytes: %w", size, ErrTooLarge)
		}
		// What is not packed yet of the run of neighbours before is in the frame as well.
		held := 2*binary.MaxVarintLen32 + len(f.origins.packed) + len(f.walks.packed) + 2*binary.MaxVarintLen32 + len(f.walks.encoded[f.walks.last])
		if f.n == 0 || f.fixed()+held+len(f.body)+room <= maxBytes {
			break
		}
		f.flush(len(f.body) - size)
	}
	f.origins.add(o)
	f.walks.add(way)
	f.n++
	return nil
}

// flush ends the frame with the first size bytes of the body; what is behind them is the body of the next.
func (f *frameBuilder) flush(size int) {
	if f.n == 0 {
		return
	}
	f.origins.flush()
	f.walks.flush()
	frame := make([]byte, 0, f.fixed()+len(f.origins.packed)+len(f.walks.packed)+size)
	form := byte(frameWithOrigins)
	if f.walks.some {
		form = frameWithWalks
	}
	frame = append(append(frame, form), f.name...)
	frame = append(binary.AppendUvarint(frame, uint64(len(f.origins.packed))), f.origins.packed...)
	if f.walks.some {
		frame = append(binary.AppendUvarint(frame, uint64(len(f.walks.packed))), f.walks.packed...)
	}
	f.messages = append(f.messages, newMessage(append(frame, f.body[:size]...), f.n))
	f.origins, f.body, f.n = originPacker{}, f.body[:copy(f.body, f.body[size:])], 0
	f.walks.reset()
}
