package store

import (
	"bytes"
	"fmt"

	"github.com/google/uuid"
)

// traceHead is what the row of a trace says of its chain.
type traceHead struct {
	chainHead

	before  int64 // rows of before the chain
	removed int64 // rows that retention removed
}

// gap is a run of places that no row of a trace has.
type gap struct {
	from, to int64
	after    uuid.UUID // the row before it; zero when there is none
}

// spanVerifier verifies traces whose rows come sorted by trace and place.
type spanVerifier struct {
	*auditor

	epoch  int64 // under way
	heads  map[traceKey]traceHead
	hasher hasher

	// Of the trace whose rows are coming:
	key    traceKey
	begun  bool
	last   chainHead
	uid    uuid.UUID // of the last row
	gaps   []gap
	old    int64       // rows of before the chain
	oldUID []uuid.UUID // the first of them

	traces, before, removed int64
}

// oldNamed is how many rows of before the chain are named when there are too many.
const oldNamed = 100

func (v *spanVerifier) row(r *storedRow) {
	if key := (traceKey{r.tenant, r.correlation}); !v.begun || key != v.key {
		v.endTrace()
		v.key, v.begun = key, true
	}
	if r.seq == nil {
		v.old++
		if len(v.oldUID) < oldNamed {
			v.oldUID = append(v.oldUID, r.uid)
		}
		if r.epoch != nil || r.prev != nil || r.hash != nil {
			v.tell(AuditChanged, r.uid, 0, "the row has no place in the chain of its trace any more")
		}
		return
	}
	seq := *r.seq
	if own := v.hasher.sum(r); !bytes.Equal(own[:], r.hash) {
		v.tell(AuditChanged, r.uid, seq, "the row is not what its hash was made of")
	} else if r.epoch == nil || *r.epoch > v.epoch {
		v.tell(AuditInserted, r.uid, seq, "the row is of an epoch that has not begun")
	}
	v.link(r.uid, seq, r.prev)
	if seq > v.last.seq {
		v.last, v.uid = chainHead{seq, r.hash}, r.uid
	}
}

// link checks that a row follows the one before it.
func (v *spanVerifier) link(uid uuid.UUID, seq int64, prev []byte) {
	switch {
	case seq < 1:
		v.tell(AuditInserted, uid, seq, "no row has a place below 1")
	case seq == v.last.seq:
		v.tell(AuditInserted, uid, seq, fmt.Sprintf("row %s has the same place in the trace; one of them is too many", v.uid))
	case seq > v.last.seq+1:
		v.gaps = append(v.gaps, gap{v.last.seq + 1, seq - 1, v.uid})
	case seq == 1 && !bytes.Equal(prev, firstPrev):
		v.tell(AuditUnlinked, uid, seq, "it is the first row of the trace and names one before it")
	case seq > 1 && !bytes.Equal(prev, v.last.hash):
		v.tell(AuditUnlinked, uid, seq, fmt.Sprintf("it does not follow row %s, which is before it: one of them was replaced", v.uid))
	}
}

func (v *spanVerifier) tell(problem string, uid uuid.UUID, seq int64, detail string) {
	f := AuditFinding{Problem: problem, TenantID: v.key.tenant, CorrelationID: v.key.correlation, Place: seq, Detail: detail}
	if uid != uuid.Nil {
		f.UID = &uid
	}
	v.found(f)
}

// end verifies the last trace, and those of which there is no row.
func (v *spanVerifier) end() {
	v.endTrace()
	for key, head := range v.heads {
		v.key, v.begun = key, true
		if head.seq == 0 && head.before == 0 {
			v.tell(AuditHead, uuid.Nil, 0, "the trace is listed and has no events")
			v.begun = false
			continue
		}
		v.endTrace()
	}
}

// endTrace compares the rows of a trace with its head.
func (v *spanVerifier) endTrace() {
	if !v.begun {
		return
	}
	head, listed := v.heads[v.key]
	delete(v.heads, v.key)
	v.traces++
	v.before += v.old
	v.removed += head.removed
	if !listed {
		v.tell(AuditHead, uuid.Nil, 0, fmt.Sprintf("the trace has events up to place %d and is not listed in traces", v.last.seq))
	} else {
		v.compare(head)
	}
	v.begun, v.last, v.uid, v.gaps, v.old, v.oldUID = false, chainHead{}, uuid.Nil, nil, 0, nil
}

func (v *spanVerifier) compare(head traceHead) {
	switch {
	case v.last.seq < head.seq:
		v.gaps = append(v.gaps, gap{v.last.seq + 1, head.seq, v.uid})
	case v.last.seq > head.seq:
		v.tell(AuditInserted, v.uid, v.last.seq, fmt.Sprintf("the trace ends at place %d by its head: rows were added, or the head was changed", head.seq))
	case head.seq > 0 && !bytes.Equal(v.last.hash, head.hash):
		v.tell(AuditHead, v.uid, v.last.seq, "the last row is not the one that the head of the trace names")
	}
	var missing int64
	for _, g := range v.gaps {
		missing += g.to - g.from + 1
	}
	switch {
	case missing > head.removed:
		for _, g := range v.gaps {
			v.tell(AuditRemoved, uuid.Nil, g.from, g.describe(head.removed))
		}
	case missing < head.removed:
		v.tell(AuditHead, uuid.Nil, 0, fmt.Sprintf("retention is said to have removed %d rows, and %d are missing", head.removed, missing))
	}
	switch {
	case v.old > head.before && head.before == 0:
		for _, uid := range v.oldUID {
			v.tell(AuditInserted, uid, 0, "the row has no place in the chain, and the trace has no rows of before the chain")
		}
	case v.old != head.before:
		v.tell(AuditRemoved, uuid.Nil, 0, fmt.Sprintf("the trace had %d rows of before the chain, and has %d", head.before, v.old))
	}
}

func (g gap) describe(removed int64) string {
	text := fmt.Sprintf("the rows at places %d to %d are missing", g.from, g.to)
	if g.from == g.to {
		text = fmt.Sprintf("the row at place %d is missing", g.from)
	}
	if g.after != uuid.Nil {
		text += fmt.Sprintf(", after row %s", g.after)
	}
	if removed > 0 {
		text += fmt.Sprintf("; retention removed only %d of the trace", removed)
	}
	return text
}
