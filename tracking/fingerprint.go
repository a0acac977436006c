package tracking

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
)

// fingerprintPrefix marks an EventID that we made up.
const fingerprintPrefix = "fp:"

// Fingerprint identifies an occurrence whose sender gave it no id: "fp:" and the SHA-256, in hexadecimal, of a canonical form
// of source, kind, correlation, aggregate, type, classifier, time (UTC, rounded half up to the millisecond), location,
// quantity, transport, what it corrects, and payload. In the payload neither white space nor the order of keys nor the way
// that strings and numbers are written matters; the order of lists does. Our own fields, the tenant, the revision and what
// stages add are left out, and so is personal data: a digest of it would outlive it.
func Fingerprint(e *Event) string {
	w := canonical{buf: make([]byte, 0, 512+len(e.Payload))}
	w.text(e.Source)
	w.text(string(e.Kind))
	w.text(e.CorrelationID)
	w.text(e.AggregateID)
	w.text(e.Type)
	classifier := e.Classifier
	if classifier == "" {
		classifier = Actual
	}
	w.text(string(classifier))
	w.number(floorDiv(e.OccurredAt.UnixMicro()+500, 1000))
	w.location(e.Location)
	w.quantity(e.Quantity)
	w.transport(e.Transport)
	w.correction(e.Corrects)
	w.payload(e.Payload)

	sum := sha256.Sum256(w.buf)
	var out [len(fingerprintPrefix) + 2*sha256.Size]byte
	copy(out[:], fingerprintPrefix)
	hex.Encode(out[len(fingerprintPrefix):], sum[:])
	return string(out[:])
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// canonical writes values one after the other such that no two sequences of values come out the same.
type canonical struct{ buf []byte }

func (w *canonical) none() { w.buf = append(w.buf, '-') }

func (w *canonical) text(s string) {
	w.buf = binary.AppendUvarint(append(w.buf, 's'), uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *canonical) number(n int64) { w.buf = binary.AppendVarint(append(w.buf, 'i'), n) }

func (w *canonical) float(f float64) {
	if f == 0 {
		f = 0 // and not -0
	}
	w.buf = append(strconv.AppendFloat(append(w.buf, 'f'), f, 'g', -1, 64), ';')
}

func (w *canonical) location(l *Location) {
	if l == nil {
		w.none()
		return
	}
	for _, s := range [...]string{l.IATA, l.ICAO, l.UNLocode, l.GLN, l.Name, l.Facility} {
		w.text(s)
	}
	for _, f := range [...]*float64{l.Lat, l.Lon} {
		if f == nil {
			w.none()
		} else {
			w.float(*f)
		}
	}
}

func (w *canonical) quantity(q *Quantity) {
	if q == nil {
		w.none()
		return
	}
	w.number(int64(q.Pieces))
	w.number(int64(q.TotalPieces))
	w.float(q.Weight)
	w.text(q.WeightUnit)
}

func (w *canonical) transport(t *Transport) {
	if t == nil {
		w.none()
		return
	}
	for _, s := range [...]string{t.Mode, t.Carrier, t.Number, t.Date, t.Origin, t.Destination} {
		w.text(s)
	}
}

func (w *canonical) correction(c *Correction) {
	if c == nil {
		w.none()
		return
	}
	w.text(string(c.Kind))
	ids := slices.Sorted(slices.Values(c.EventIDs))
	w.number(int64(len(ids)))
	for _, id := range ids {
		w.text(id)
	}
	w.text(c.Reason)
}

func (w *canonical) payload(p []byte) {
	if len(p) == 0 {
		w.none()
		return
	}
	start := len(w.buf)
	c := canonicalizer{in: p, out: w.buf}
	if c.document() {
		w.buf = c.out
		return
	}
	w.buf = append(w.buf[:start], 'r') // not JSON that we can read: the bytes as they are
	w.buf = append(w.buf, p...)
}
