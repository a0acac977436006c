package baggage

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// sum makes the common part of the payload, and the digest of what the message says of the group: without what is personal, what
// marks a repetition, and how it is written.
func (r *reading) sum() {
	common, err := encode(&r.content)
	if err != nil {
		r.notes.failf(r.h.m.line, "", formats.CodeFormat, "%s", err)
		return
	}
	r.common = common
	m := r.h.m
	hash := sha256.New()
	part := func(s string) {
		var size [binary.MaxVarintLen64]byte
		hash.Write(size[:binary.PutUvarint(size[:], uint64(len(s)))])
		hash.Write([]byte(s))
	}
	part(m.kind)
	part(m.change)
	part(m.control)
	part(string(rune(r.h.indicator)) + r.h.station)
	for _, f := range append([]*flight{r.Outbound, r.Inbound}, r.Onward...) {
		if f != nil {
			part(f.Date)
		}
	}
	if r.stated {
		part(r.at.UTC().Format(time.RFC3339))
	}
	for _, indexes := range [2][]int{r.g.context, r.g.own} {
		for _, i := range indexes {
			e := &m.elements[i]
			if e.letter == 0 || e.hasTags() {
				continue
			}
			part(e.name(0))
			last := len(e.fields)
			for last > 0 && e.fields[last-1] == "" {
				last--
			}
			for k, f := range e.fields[:last] {
				if !personal(e.letter, k+1) {
					part(strings.ToUpper(f))
				}
			}
			part("")
		}
	}
	hash.Sum(r.digest[:0])
}

// identify gives an event its id. The id of what is said is made of all that the message says of the bag, so that the same message
// again has the same.
//
// A plan (BSM, BTM) has an id of its tag and station instead, so that a change or deletion can name the plan that it replaces.
// Where the envelope says when it was sent, plan, changes and deletion all have that id, and the time is the revision: the latest
// stands. Without an envelope nothing orders them: a change or deletion has an id of what it says and replaces the plan, and of
// plans that differ the one for the later date stands.
func (r *reading) identify(e *tracking.Event, number string, h *head) {
	m := h.m
	sum := sha256.New()
	sum.Write(r.digest[:])
	sum.Write([]byte(number + "\x00" + e.Type))
	digest := sum.Sum(nil)
	plan := fmt.Sprintf("%s/%s/1%c%s", m.kind, number, cmp.Or(h.indicator, '-'), h.station)
	e.EventID = fmt.Sprintf("%s/%s/1%c%s/%s", e.Type, number, cmp.Or(h.indicator, '-'), h.station, hex.EncodeToString(digest[:12]))
	if m.kind != "BSM" && m.kind != "BTM" || e.Type != m.kind && e.Type != m.kind+".CHG" && e.Type != m.kind+".DEL" {
		return
	}
	changes := map[string]int64{"": 0, "CHG": 1, "DEL": 2}
	switch m.change {
	case "CHG":
		e.Corrects = &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{plan}, Reason: "incorrect_data"}
	case "DEL":
		e.Corrects = &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{plan}, Reason: "did_not_occur"}
	}
	random := int64(binary.BigEndian.Uint32(digest))
	switch {
	case !h.sent.IsZero():
		// Messages of one minute are told apart by what they say, a deletion after a change.
		const part = int64(20 * time.Second / time.Microsecond)
		e.EventID, e.Revision = plan, h.sent.UnixMicro()+changes[m.change]*part+random%part
	case m.change == "":
		day := int64(0)
		if r.Outbound != nil {
			day = max(0, r.Outbound.day.Unix()/86400)
		}
		e.EventID, e.Revision = plan, min(day, 1<<17)<<32|random
	}
}
