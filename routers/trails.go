package routers

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// What stages made of an event is told when it has ended, with how it ended: to tell at each hop would cost a message each. Until then it
// goes with the event from hop to hop, in the head of its frames. Events that came the same way in the same batches share it, so
// that a frame says it once.

// walk is how events came through the hops of a pipeline. Events that share one came the same way. A walk never changes.
type walk struct{ steps []store.TrailStep }

// walkKey is what a walk is made of: how an event came to a hop, and how through it.
type walkKey struct {
	before *walk
	trail  *pipeline.Trail
}

// walks makes the walks of a batch, each once.
type walks struct {
	version string
	made    map[walkKey]*walk
	key     walkKey // neighbours share a walk
	last    *walk
}

// maxSteps bounds what is told of an event that is routed back again and again.
const maxSteps = 64

func (w *walks) of(it *item) *walk {
	key := walkKey{it.walk, it.work.Trail}
	if key.trail == nil || key == w.key {
		if key.trail == nil {
			return key.before
		}
		return w.last
	}
	made, known := w.made[key]
	if !known {
		made = &walk{}
		if key.before != nil {
			made.steps = append(made.steps, key.before.steps...)
		}
		for _, s := range key.trail.Steps() {
			made.steps = append(made.steps, store.TrailStep{
				Stage: s.Stage, Version: w.version, Outcome: s.Outcome.String(), At: s.At.UnixMicro(), Took: s.Took.Microseconds(),
				Attempt: s.Attempt, Events: s.Events,
			})
		}
		made.steps = made.steps[max(0, len(made.steps)-maxSteps):]
		if w.made == nil {
			w.made = map[walkKey]*walk{}
		}
		w.made[key] = made
	}
	w.key, w.last = key, made
	return made
}

// Walks are packed as runs of events that share one: how many there are, how many bytes the steps take, and these as CBOR; no bytes
// for events of which nothing is known.
type walkPacker struct {
	enc     cbor.EncMode
	packed  []byte
	last    *walk
	length  int
	some    bool // anything is known of any event
	encoded map[*walk][]byte
}

// bytes returns a walk as it is packed.
func (p *walkPacker) bytes(w *walk) ([]byte, error) {
	if w == nil {
		return nil, nil
	}
	if known, ok := p.encoded[w]; ok {
		return known, nil
	}
	body, err := p.enc.Marshal(w.steps)
	if err != nil {
		return nil, fmt.Errorf("encode frame: %w", err)
	}
	if p.encoded == nil {
		p.encoded = map[*walk][]byte{}
	}
	p.encoded[w] = body
	return body, nil
}

// room is the most bytes that one more event with a walk takes.
func (p *walkPacker) room(w *walk) (int, error) {
	if p.length > 0 && w == p.last {
		return 0, nil
	}
	body, err := p.bytes(w)
	return 2*binary.MaxVarintLen32 + len(body), err
}

func (p *walkPacker) add(w *walk) {
	if p.length > 0 && w == p.last {
		p.length++
		return
	}
	p.flush()
	p.last, p.length = w, 1
	p.some = p.some || w != nil
}

func (p *walkPacker) flush() {
	if p.length > 0 {
		body := p.encoded[p.last]
		p.packed = binary.AppendUvarint(binary.AppendUvarint(p.packed, uint64(p.length)), uint64(len(body)))
		p.packed = append(p.packed, body...)
	}
	p.length = 0
}

// reset begins anew; what was encoded is remembered.
func (p *walkPacker) reset() { p.packed, p.last, p.length, p.some = nil, nil, 0, false }

var errWalks = errors.New("decode frame: how its events came is broken")

// unpackWalks returns as many walks as there are events, nil where nothing is known; anything else is an error.
func unpackWalks(dec cbor.DecMode, packed []byte, events int) ([]*walk, error) {
	all := make([]*walk, 0, events)
	number := func() (int, bool) {
		n, size := binary.Uvarint(packed)
		if size <= 0 || n > 1<<31-1 {
			return 0, false
		}
		packed = packed[size:]
		return int(n), true
	}
	for len(packed) > 0 {
		count, ok := number()
		length, ok2 := number()
		if !ok || !ok2 || count == 0 || count > events-len(all) || length > len(packed) {
			return nil, errWalks
		}
		var w *walk
		if length > 0 {
			w = &walk{}
			if err := dec.Unmarshal(packed[:length], &w.steps); err != nil {
				return nil, errWalks
			}
			packed = packed[length:]
		}
		for range count {
			all = append(all, w)
		}
	}
	if len(all) != events {
		return nil, errWalks
	}
	return all, nil
}

// maxTrailEvents is how many events an entry of the ledger names at most.
const maxTrailEvents = 1000

type trailKey struct {
	tenant string
	walk   *walk
}

// walked says how an event came to its end.
func (p *page) walked(uid uuid.UUID, tenant string, w *walk) {
	if w == nil {
		return
	}
	key := trailKey{tenant, w}
	t := p.trails[key]
	if t == nil || len(t.UIDs) >= maxTrailEvents*len(uid) {
		t = &store.Trail{TenantID: tenant, Steps: w.steps}
		if p.trails == nil {
			p.trails = map[trailKey]*store.Trail{}
		}
		p.trails[key] = t
		p.entries = append(p.entries, ledgerEntry{Trail: t})
	}
	t.UIDs = append(t.UIDs, uid[:]...)
}
