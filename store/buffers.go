package store

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// roomKey is where a connection's custom data hold its room.
	roomKey = "rastro.store.room"
	// keptBytes is how large a buffer is kept at most: as large as a shard of the largest batches needs.
	keptBytes = 4 << 20
	// smallBuffer is how large a buffer a connection has between batches.
	smallBuffer = 1 << 10
	// plenty is what a batch makes do with that has no need of buffers of its own.
	plenty = 8 << 10
)

// buffers are kept for the batches that follow: pgx makes new ones for each, which is a fifth of what a processor allocates.
type buffers struct {
	mu   sync.Mutex
	free []*buffer
}

// buffer is what a batch is written to, twice: by column, and then as the messages that are sent.
type buffer struct {
	// columns holds what one statement is sent with, until it is written as messages, which is before the next.
	columns []byte
	// messages holds what is sent, until it is flushed.
	messages []byte
}

func (b *buffers) take() *buffer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := len(b.free) - 1; last >= 0 {
		taken := b.free[last]
		b.free = b.free[:last]
		return taken
	}
	return &buffer{}
}

// keep keeps as many as are in use at once when batches are large.
func (b *buffers) keep(used *buffer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < maxShards && cap(used.columns) <= keptBytes && cap(used.messages) <= keptBytes {
		b.free = append(b.free, used)
	}
}

// room is where a connection finds the buffer of the batch that it sends.
type room struct {
	kept *buffers
	// under is the buffer, nil between batches.
	under *buffer
	// messages and largest are how many bytes its messages, and the columns of its largest statement, take.
	messages, largest int
}

// send runs the statements of a batch, whose results nobody needs, in one round trip. It returns the
// first error of any of them.
func send(ctx context.Context, conn *pgxpool.Conn, batch *pgx.Batch) error {
	at, ok := conn.Conn().PgConn().CustomData()[roomKey].(*room)
	if !ok || conn.Conn().IsClosed() || !at.measure(batch) {
		return conn.SendBatch(ctx, batch).Close()
	}
	at.under = at.kept.take()
	conn.Conn().PgConn().Frontend().Send(rebuffer(at.enough))
	err := conn.SendBatch(ctx, batch).Close()
	used := at.under
	at.under = nil
	if err == nil { // otherwise the connection may not be done with it
		conn.Conn().PgConn().Frontend().Send(rebuffer(another)) // pgx keeps a buffer of which it has sent little
		at.kept.keep(used)
	}
	return err
}

// measure finds what room a batch needs, and whether that is worth making.
func (r *room) measure(batch *pgx.Batch) bool {
	const statement = 200
	r.messages, r.largest = 0, 0
	for _, q := range batch.QueuedQueries {
		columns := 0
		for _, argument := range q.Arguments {
			columns += columnSize(argument)
		}
		r.messages, r.largest = r.messages+statement+columns, max(r.largest, columns)
	}
	return r.messages > plenty
}

// grown returns what the columns of a statement are written to, with room for need more bytes. Values of the same statement that were written
// before may still be in the kept buffer: then it has become too small, and another takes its place.
func (r *room) grown(to []byte, need int) []byte {
	if need <= cap(to)-len(to) {
		return to
	}
	need += len(to)
	if r.under == nil {
		return append(make([]byte, 0, 2*need), to...) // further columns come behind
	}
	if need > cap(r.under.columns) {
		r.under.columns = make([]byte, 0, max(need, r.largest))
	}
	return append(r.under.columns[:0], to...)
}

// rebuffer is no message: it exchanges the buffer in which a connection gathers what it sends.
type rebuffer func(to []byte) []byte

var _ pgproto3.FrontendMessage = rebuffer(nil)

// Frontend implements pgproto3.FrontendMessage.
func (rebuffer) Frontend() {}

// Decode implements pgproto3.Message.
func (rebuffer) Decode([]byte) error { return nil }

// Encode implements pgproto3.Message.
func (r rebuffer) Encode(to []byte) ([]byte, error) { return r(to), nil }

// enough returns a buffer for all messages of the batch, which else grows as they are written, step by step, a batch several times its size.
func (r *room) enough(to []byte) []byte {
	if cap(r.under.messages) < r.messages {
		r.under.messages = make([]byte, 0, r.messages)
	}
	return append(r.under.messages[:0], to...)
}

// another returns a buffer that nobody else has.
func another(to []byte) []byte { return append(make([]byte, 0, smallBuffer), to...) }
