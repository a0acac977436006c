package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Batches of every size, one after the other and at the same time, on connections that share buffers, are read by PostgreSQL as they were meant:
// none is written to a buffer that another still needs.
func TestBatchesThatShareBuffersAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	s := open(t)
	var senders sync.WaitGroup
	for sender := range 3 {
		senders.Go(func() {
			conn, err := s.pool.Acquire(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Release()
			for n := range 40 {
				var batch pgx.Batch
				for statement, size := range []int{1, 3000 * (n % 3), 20, 500 * (n % 7), 2} {
					texts, numbers := make([]string, size), make([]int64, size)
					for i := range texts {
						texts[i], numbers[i] = fmt.Sprintf("%d-%d-%d-%d", sender, n, statement, i), int64(i)
					}
					batch.Queue("SELECT $1::text[], $2::text, $3::bigint[], $4::text[]", texts, strings.Repeat("x", 100*size), numbers, texts).QueryRow(func(row pgx.Row) error {
						var plain string
						var first, second []string
						var ns []int64
						if err := row.Scan(&first, &plain, &ns, &second); err != nil {
							return err
						}
						if fmt.Sprint(first, ns, second) != fmt.Sprint(texts, numbers, texts) || len(plain) != 100*size {
							return fmt.Errorf("sender %d, batch %d, statement %d: not what was sent", sender, n, statement)
						}
						return nil
					})
				}
				if err := send(t.Context(), conn, &batch); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
}

// What a large batch was written to is there for the next, on whichever connection, and no connection goes on with it. What
// failed may still be written to.
func TestBuffersAreKeptOfBatchesThatWereSent(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn, err := s.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	at, ok := conn.Conn().PgConn().CustomData()[roomKey].(*room)
	require.True(t, ok)
	run := func(ctx context.Context, sql string, rows int) error {
		var batch pgx.Batch
		batch.Queue(sql, make([]int64, rows))
		return send(ctx, conn, &batch)
	}
	const count = "SELECT count(*) FROM unnest($1::bigint[])"
	require.NoError(t, run(t.Context(), count, 10))
	require.Empty(t, at.kept.free, "a small batch has no need of any")
	require.NoError(t, run(t.Context(), count, 10_000))
	require.Len(t, at.kept.free, 1)
	kept := at.kept.free[0]
	require.NoError(t, run(t.Context(), count, 9000))
	require.Equal(t, []*buffer{kept}, at.kept.free)
	conn.Conn().PgConn().Frontend().Send(rebuffer(func(to []byte) []byte {
		require.NotSame(t, &kept.messages[:1][0], &to[:1][0])
		return to
	}))

	require.Error(t, run(t.Context(), "SELECT 1/0 FROM unnest($1::bigint[])", 10_000))
	require.Empty(t, at.kept.free)
	require.Nil(t, at.under)
	require.NoError(t, run(t.Context(), count, 10_000))
	require.Len(t, at.kept.free, 1)
	require.NoError(t, run(t.Context(), count, keptBytes))
	require.Empty(t, at.kept.free, "one this large is not kept")

	for range 2 * maxShards {
		at.kept.keep(&buffer{})
	}
	require.Len(t, at.kept.free, maxShards)
}
