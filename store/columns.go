package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Batches are sent by column, as arrays of a value a row. pgx encodes an array element by element, by reflection, and a UUID by way
// of its text; with dozens of columns of hundreds of rows that is a good part of what storing an event costs. columnCodec writes the
// slices that this package sends straight into the array's binary form (PostgreSQL's array_recv), and leaves the rest to pgx.
type columnCodec struct {
	*pgtype.ArrayCodec
	room *room
}

// arrays are the types of columns that are written here.
func arrays() []uint32 {
	return []uint32{
		pgtype.TextArrayOID, pgtype.UUIDArrayOID, pgtype.ByteaArrayOID, pgtype.Int8ArrayOID, pgtype.Int4ArrayOID, pgtype.Int2ArrayOID,
		pgtype.TimestamptzArrayOID, pgtype.TIDArrayOID,
	}
}

// fastColumns has new connections use columnCodec, and the buffers that are kept.
func fastColumns(kept *buffers) func(context.Context, *pgx.Conn) error {
	return func(_ context.Context, conn *pgx.Conn) error {
		at := &room{kept: kept}
		conn.PgConn().CustomData()[roomKey] = at
		registerColumns(conn.TypeMap(), at)
		return nil
	}
}

func registerColumns(types *pgtype.Map, at *room) {
	for _, oid := range arrays() {
		known, ok := types.TypeForOID(oid)
		if !ok {
			continue
		}
		if codec, ok := known.Codec.(*pgtype.ArrayCodec); ok {
			types.RegisterType(&pgtype.Type{Name: known.Name, OID: oid, Codec: columnCodec{codec, at}})
		}
	}
}

// PlanEncode implements pgtype.Codec.
func (c columnCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		if plan := c.plan(value); plan != nil {
			return plan
		}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

func (c columnCodec) plan(value any) pgtype.EncodePlan {
	element := c.ElementType.OID
	switch value.(type) {
	case []string:
		return fitting(element == pgtype.TextOID, columnPlan[string]{element, c.room, func(to []byte, s string) []byte { return append(sized(to, len(s)), s...) }})
	case [][]byte:
		return fitting(element == pgtype.TextOID || element == pgtype.ByteaOID, columnPlan[[]byte]{element, c.room, appendBytes})
	case []uuid.UUID:
		return fitting(element == pgtype.UUIDOID, columnPlan[uuid.UUID]{element, c.room, func(to []byte, id uuid.UUID) []byte { return append(sized(to, len(id)), id[:]...) }})
	case []int64:
		return fitting(element == pgtype.Int8OID, columnPlan[int64]{element, c.room, appendInt8})
	case []int32:
		return fitting(element == pgtype.Int4OID, columnPlan[int32]{element, c.room, appendInt4})
	case []*int32:
		return fitting(element == pgtype.Int4OID, columnPlan[*int32]{element, c.room, orNull(appendInt4)})
	case []int16:
		return fitting(element == pgtype.Int2OID, columnPlan[int16]{element, c.room, appendInt2})
	case []time.Time:
		return fitting(element == pgtype.TimestamptzOID, columnPlan[time.Time]{element, c.room, appendTime})
	case []*time.Time:
		return fitting(element == pgtype.TimestamptzOID, columnPlan[*time.Time]{element, c.room, orNull(appendTime)})
	case []pgtype.TID:
		return fitting(element == pgtype.TIDOID, columnPlan[pgtype.TID]{element, c.room, appendTID})
	default:
		return nil
	}
}

func fitting[T any](fits bool, plan columnPlan[T]) pgtype.EncodePlan {
	if !fits {
		return nil
	}
	return plan
}

// columnPlan implements pgtype.EncodePlan for slices of T.
type columnPlan[T any] struct {
	element uint32
	room    *room
	append  func(to []byte, value T) []byte
}

// Encode implements pgtype.EncodePlan.
func (p columnPlan[T]) Encode(value any, to []byte) ([]byte, error) {
	values := value.([]T) //nolint:forcetypeassert // It was planned for this type.
	if values == nil {
		return nil, nil
	}
	dimensions := uint32(1)
	if len(values) == 0 {
		dimensions = 0
	}
	to = p.room.grown(to, columnSize(values))
	to = binary.BigEndian.AppendUint32(to, dimensions)
	nulls := len(to)
	to = binary.BigEndian.AppendUint32(to, 0)
	to = binary.BigEndian.AppendUint32(to, p.element)
	if len(values) == 0 {
		return to, nil
	}
	to = binary.BigEndian.AppendUint32(to, uint32(len(values))) //nolint:gosec // A batch is far from 2^32.
	to = binary.BigEndian.AppendUint32(to, 1)                   // where its indices begin
	for _, v := range values {
		before := len(to)
		to = p.append(to, v)
		if len(to) == before {
			to = binary.BigEndian.AppendUint32(to, null)
			binary.BigEndian.PutUint32(to[nulls:], 1)
		}
	}
	return to, nil
}

// columnSize returns how many bytes a column takes at most; 0 for what is no column.
func columnSize(column any) int {
	const head, length = 20, 4
	switch values := column.(type) {
	case []string:
		n := head + length*len(values)
		for _, v := range values {
			n += len(v)
		}
		return n
	case [][]byte:
		n := head + length*len(values)
		for _, v := range values {
			n += len(v)
		}
		return n
	case []uuid.UUID:
		return head + (length+16)*len(values)
	case []int64:
		return head + (length+8)*len(values)
	case []time.Time:
		return head + (length+8)*len(values)
	case []*time.Time:
		return head + (length+8)*len(values)
	case []int32:
		return head + (length+4)*len(values)
	case []*int32:
		return head + (length+4)*len(values)
	case []int16:
		return head + (length+2)*len(values)
	case []pgtype.TID:
		return head + (length+6)*len(values)
	default:
		return 0
	}
}

// sent is a query for the rows that are sent by column: of "a text, b int" it is SELECT unnest($1::text[]) AS a, unnest($2::int[]) AS b, in the
// order in which they are sent. Functions of a select list advance together, a row at a time; one unnest of many arrays in FROM gathers each of
// them in a store of its own first, which takes as long as a good part of an insert.
func sent(columns string) string {
	list := strings.Split(columns, ", ")
	for i, column := range list {
		name, kind, _ := strings.Cut(column, " ")
		list[i] = fmt.Sprintf("unnest($%d::%s[]) AS %s", i+1, kind, name)
	}
	return "SELECT " + strings.Join(list, ", ")
}

// keepPlans has the statements that follow in a transaction planned once a connection, for arrays of any length. Planned for the arrays at hand,
// as all others are (see poolConfig), a batch takes a quarter longer: arrays are copied into the plan, and weighed against statistics value by value.
// It is for statements that can be run in one good way only: rows that are sent are inserted, or looked up by ctid or by the one index of a
// table. The other way, which a plan made while a table is empty takes and goes on with, is to read all of it, so that is ruled out.
const keepPlans = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"

// null is the length of NULL. What appends an element appends nothing for it.
const null = ^uint32(0)

// sized appends the length that an element begins with.
func sized(to []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(to, uint32(n)) //nolint:gosec // PostgreSQL takes no value of more than a GiB.
}

func appendBytes(to, value []byte) []byte {
	if value == nil {
		return to
	}
	return append(sized(to, len(value)), value...)
}

func appendInt8(to []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(sized(to, 8), uint64(n)) //nolint:gosec // Two's complement.
}

func appendInt4(to []byte, n int32) []byte {
	return binary.BigEndian.AppendUint32(sized(to, 4), uint32(n)) //nolint:gosec // Two's complement.
}

func appendInt2(to []byte, n int16) []byte {
	return binary.BigEndian.AppendUint16(sized(to, 2), uint16(n)) //nolint:gosec // Two's complement.
}

func appendTID(to []byte, at pgtype.TID) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(sized(to, 6), at.BlockNumber), at.OffsetNumber)
}

// year2000 is where PostgreSQL's timestamps count from, in microseconds since 1970.
const year2000 = 946_684_800 * 1_000_000

func appendTime(to []byte, at time.Time) []byte { return appendInt8(to, at.UnixMicro()-year2000) }

// orNull appends what a pointer points to, and nothing for nil.
func orNull[T any](appendValue func(to []byte, value T) []byte) func(to []byte, value *T) []byte {
	return func(to []byte, value *T) []byte {
		if value == nil {
			return to
		}
		return appendValue(to, *value)
	}
}
