package store

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Columns are sent as pgx itself would send them, byte for byte.
func TestColumnsAreEncodedAsPgxDoes(t *testing.T) {
	text, bytes := rapid.String(), rapid.SliceOfN(rapid.Byte(), 0, 20)
	id := rapid.Custom(func(t *rapid.T) uuid.UUID { return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")) })
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).
			In(time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600))
	})
	t.Run("text", sameAsPgx(pgtype.TextArrayOID, text, func(s string) any { return s }))
	t.Run("text of bytes", sameAsPgx(pgtype.TextArrayOID, bytes, func(b []byte) any { return b }))
	t.Run("bytea", sameAsPgx(pgtype.ByteaArrayOID, bytes, func(b []byte) any { return b }))
	t.Run("uuid", sameAsPgx(pgtype.UUIDArrayOID, id, func(u uuid.UUID) any { return pgtype.UUID{Bytes: u, Valid: true} }))
	t.Run("bigint", sameAsPgx(pgtype.Int8ArrayOID, rapid.Int64(), func(n int64) any { return n }))
	t.Run("int", sameAsPgx(pgtype.Int4ArrayOID, rapid.Int32(), func(n int32) any { return n }))
	t.Run("smallint", sameAsPgx(pgtype.Int2ArrayOID, rapid.Int16(), func(n int16) any { return n }))
	t.Run("timestamptz", sameAsPgx(pgtype.TimestamptzArrayOID, at, func(at time.Time) any { return at }))
	t.Run("tid", sameAsPgx(pgtype.TIDArrayOID, rapid.Custom(func(t *rapid.T) pgtype.TID {
		return pgtype.TID{BlockNumber: rapid.Uint32().Draw(t, "block"), OffsetNumber: rapid.Uint16().Draw(t, "offset"), Valid: true}
	}), func(at pgtype.TID) any { return at }))
	t.Run("int or null", sameAsPgx(pgtype.Int4ArrayOID, rapid.Ptr(rapid.Int32(), true), func(n *int32) any { return n }))
	t.Run("timestamptz or null", sameAsPgx(pgtype.TimestamptzArrayOID, rapid.Ptr(at, true), func(at *time.Time) any { return at }))
}

func TestRowsAreSentByColumn(t *testing.T) {
	require.Equal(t, "SELECT unnest($1::text[]) AS a, unnest($2::timestamptz[]) AS b", sent("a text, b timestamptz"))
}

func sameAsPgx[T any](oid uint32, values *rapid.Generator[T], plainly func(T) any) func(*testing.T) {
	return rapid.MakeCheck(func(t *rapid.T) {
		column := rapid.SliceOfN(values, 0, 5).Draw(t, "column")
		plain := make(pgtype.FlatArray[any], len(column))
		for i, v := range column {
			plain[i] = plainly(v)
		}
		types := pgtype.NewMap()
		known, _ := types.TypeForOID(oid)
		codec, ok := known.Codec.(*pgtype.ArrayCodec)
		require.True(t, ok)
		want, err := codec.PlanEncode(types, oid, pgtype.BinaryFormatCode, plain).Encode(plain, []byte("before"))
		require.NoError(t, err)
		plan := columnCodec{codec, &room{}}.plan(column)
		require.NotNil(t, plan, "this type is left to pgx")
		got, err := plan.Encode(column, []byte("before"))
		require.NoError(t, err)
		if len(column) == 0 { // pgx sends an array of no dimensions' length; PostgreSQL itself sends no dimensions
			require.Equal(t, append([]byte("before"), 0, 0, 0, 0, 0, 0, 0, 0), got[:14])
			return
		}
		require.Equal(t, want, got)
		require.LessOrEqual(t, len(got)-len("before"), columnSize(column))
		require.Less(t, columnSize(column)-len(got), 8*len(column)+20, "of room that is made little is left over: what is NULL")
	})
}

// A connection of the store encodes columns by columnCodec, and PostgreSQL reads what was meant.
func TestColumnsAreReadByPostgreSQL(t *testing.T) {
	s := open(t)
	conn, err := s.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for _, oid := range arrays() {
		known, ok := conn.Conn().TypeMap().TypeForOID(oid)
		require.True(t, ok)
		require.IsType(t, columnCodec{}, known.Codec, known.Name)
	}
	at, n := time.Date(1969, 7, 20, 20, 17, 40, 123_456_789, time.FixedZone("", -5*3600)), int32(math.MinInt32)
	for _, c := range []struct {
		kind, want string
		column     any
	}{
		{"text", `{a,NULL,"c,d"}`, [][]byte{[]byte("a"), nil, []byte("c,d")}},
		{"text", `{a,"",ñ}`, []string{"a", "", "ñ"}},
		{"bytea", `{"\\x00ff",NULL}`, [][]byte{{0, 255}, nil}},
		{"uuid", `{01020304-0506-0708-090a-0b0c0d0e0f10}`, []uuid.UUID{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}},
		{"bigint", `{9223372036854775807,-1}`, []int64{math.MaxInt64, -1}},
		{"int", `{NULL,-2147483648}`, []*int32{nil, &n}},
		{"smallint", `{-720}`, []int16{-720}},
		{"timestamptz", `{"1969-07-21 01:17:40.123456+00",NULL}`, []*time.Time{&at, nil}},
		{"timestamptz", `{"1969-07-21 01:17:40.123456+00"}`, []time.Time{at}},
		{"text", `{}`, []string{}},
	} {
		var got string
		require.NoError(t, conn.QueryRow(t.Context(), fmt.Sprintf("SELECT ($1::%s[])::text", c.kind), c.column).Scan(&got))
		require.Equal(t, c.want, got)
	}
}
