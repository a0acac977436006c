package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// The events of a trace are a chain: each row has its place in it, the hash of the row before, and its own hash, which is the
// SHA-256 (FIPS 180-4) of everything else that the row holds. The head of the chain, which is the place and the hash of its last
// row, stands in traces, whose row is locked by whoever adds to the chain.
//
// What is hashed is a label that names the version of the encoding, and then each column in the order of encode. A column is 8
// bytes that say how long it is, big-endian, and its bytes; NULL is a length of 2^64-1 and nothing. Numbers are 8 bytes, big-endian
// two's complement; instants are their microseconds since 1970 in UTC, as PostgreSQL keeps them; text is its UTF-8, json its text.
const chainLabel = "rastro.event.1"

// firstPrev is what stands for the hash of the row before the first.
var firstPrev = make([]byte, sha256.Size) //nolint:gochecknoglobals // A constant.

// link is a row's place in the chain of its trace.
type link struct {
	epoch, seq int64
	prev, hash []byte
}

// storedRow is a row of event_store as it is stored, whatever somebody may have made of it.
type storedRow struct {
	uid                                             uuid.UUID
	tenant, correlation, aggregate, source, eventID string
	revision                                        int64
	kind, eventType, classifier, milestone, quality string
	occurredAt, receivedAt                          pgtype.Timestamptz
	offset                                          int16
	payload, details                                []byte // nil for NULL
	epoch, seq                                      *int64
	prev, hash                                      []byte
}

// storedColumns is what scanStored reads, in order.
const storedColumns = storedEventColumns + `, chain_epoch, chain_seq, chain_prev, chain_hash`

func (r *storedRow) targets() []any {
	return []any{
		&r.uid, &r.tenant, &r.correlation, &r.aggregate, &r.source, &r.eventID, &r.revision, &r.kind, &r.eventType, &r.classifier,
		&r.milestone, &r.quality, &r.occurredAt, &r.offset, &r.receivedAt, &r.payload, &r.details, &r.epoch, &r.seq, &r.prev, &r.hash,
	}
}

// hasher encodes rows and hashes them. It is reused, because a batch has hundreds of rows.
type hasher struct{ buffer []byte }

// sum returns the hash of a row, whose own hash is not a part of it.
func (h *hasher) sum(r *storedRow) [sha256.Size]byte {
	h.buffer = h.buffer[:0]
	h.bytes([]byte(chainLabel))
	h.bytes(r.uid[:])
	for _, text := range [...]string{r.tenant, r.correlation, r.aggregate, r.source, r.eventID} {
		h.text(text)
	}
	h.number(r.revision)
	for _, text := range [...]string{r.kind, r.eventType, r.classifier, r.milestone, r.quality} {
		h.text(text)
	}
	h.instant(r.occurredAt)
	h.number(int64(r.offset))
	h.instant(r.receivedAt)
	h.bytes(r.payload)
	h.bytes(r.details)
	h.maybe(r.epoch)
	h.maybe(r.seq)
	h.bytes(r.prev)
	return sha256.Sum256(h.buffer)
}

func (h *hasher) bytes(b []byte) {
	if b == nil {
		h.null()
		return
	}
	h.buffer = binary.BigEndian.AppendUint64(h.buffer, uint64(len(b)))
	h.buffer = append(h.buffer, b...)
}

func (h *hasher) null() { h.buffer = binary.BigEndian.AppendUint64(h.buffer, math.MaxUint64) }

func (h *hasher) text(s string) {
	h.buffer = binary.BigEndian.AppendUint64(h.buffer, uint64(len(s)))
	h.buffer = append(h.buffer, s...)
}

func (h *hasher) number(n int64) {
	h.buffer = binary.BigEndian.AppendUint64(h.buffer, 8)
	h.buffer = binary.BigEndian.AppendUint64(h.buffer, uint64(n)) //nolint:gosec // Two's complement.
}

func (h *hasher) maybe(n *int64) {
	if n == nil {
		h.null()
		return
	}
	h.number(*n)
}

// instant encodes an instant. Rastro never writes infinity; one that somebody else wrote differs from every number.
func (h *hasher) instant(at pgtype.Timestamptz) {
	switch {
	case !at.Valid:
		h.null()
	case at.InfinityModifier != pgtype.Finite:
		h.text(at.InfinityModifier.String())
	default:
		h.number(at.Time.UnixMicro())
	}
}

// stored returns the row as the database will keep it.
func (r eventRow) stored() *storedRow {
	return &storedRow{
		uid: r.UID, tenant: r.TenantID, correlation: r.CorrelationID, aggregate: r.AggregateID, source: r.Source, eventID: r.EventID,
		revision: r.Revision, kind: string(r.Kind), eventType: r.Type, classifier: string(r.Classifier),
		milestone: string(r.Enrichment.Milestone), quality: string(r.TimeQuality), occurredAt: timestamptz(r.OccurredAt),
		offset: r.offset(), receivedAt: timestamptz(r.ReceivedAt), payload: r.payload(), details: r.details,
		epoch: &r.chain.epoch, seq: &r.chain.seq, prev: r.chain.prev, hash: r.chain.hash,
	}
}

func timestamptz(at time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: at, Valid: true} }

// chain appends rows, in their order, to the chains of their traces.
func chain(rows []eventRow, traces map[traceKey]*touched, epoch int64) {
	var h hasher
	for i := range rows {
		row := &rows[i]
		head := &traces[traceKey{row.TenantID, row.CorrelationID}].head
		row.chain = link{epoch: epoch, seq: head.seq + 1, prev: head.hash}
		if head.hash == nil {
			row.chain.prev = firstPrev
		}
		sum := h.sum(row.stored())
		row.chain.hash = sum[:]
		*head = chainHead{row.chain.seq, row.chain.hash}
	}
}

// chainHead is the last row of a chain; zero when there is none.
type chainHead struct {
	seq  int64
	hash []byte
}

// hasNUL reports whether JSON has an escaped NUL, which PostgreSQL's text cannot hold: json would take it, and whoever reads the
// field by SQL would fail.
func hasNUL(encoded []byte) bool {
	for rest := encoded; ; {
		at := bytes.Index(rest, []byte(`\u0000`))
		if at < 0 {
			return false
		}
		slashes := 0 // before it, each of which may be an escaped one
		for slashes < at && rest[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return true
		}
		rest = rest[at+1:]
	}
}

func scanStored(row pgx.CollectableRow) (*storedRow, error) {
	var r storedRow
	if err := row.Scan(r.targets()...); err != nil {
		return nil, fmt.Errorf("read row: %w", err)
	}
	return &r, nil
}
