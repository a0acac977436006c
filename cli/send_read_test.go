package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However a file is cut into reads and batches, every event is sent once and told of in order.
func TestBatcherLosesNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := random.IntN(50)
		var content strings.Builder
		for i := range n {
			form := []string{goodEvent + "\n", cloudEvent + "\n", "  " + badEvent + " \r\n", "{broken %d\n"}[random.IntN(4)]
			if i == 0 {
				form = goodEvent + "\n"
			}
			fmt.Fprintf(&content, form, i)
		}
		next := 0
		b := &batcher{size: 1 + random.IntN(10), handOn: func(_ context.Context, b *batch) error {
			require.LessOrEqual(t, len(b.places), 10)
			for i, at := range b.places {
				require.Equal(t, place{file: "f", index: next, line: next + 1}, at)
				if b.reason == nil {
					require.Contains(t, string(b.events[i]), fmt.Sprintf(`"%d"`, next))
				}
				next++
			}
			return nil
		}}
		require.NoError(t, b.read(t.Context(), "f", oneByte{strings.NewReader(content.String())}))
		require.Equal(t, n, next)
	}
}

// oneByte reads a byte at a time.
type oneByte struct{ in io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.in.Read(p[:min(len(p), 1)]) }

// What is read is arbitrary: it is cut or refused, never a panic, and what is sent is JSON.
func FuzzBatcher(f *testing.F) {
	for _, seed := range []string{eventLines(2, nil), "[1,2", "[{}]x", fmt.Sprintf(prettyEvent, 1), "{", "BSM", "[]", "\xef\xbb\xbf[", "{}\n{\n", "null"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		b := &batcher{size: 3, handOn: func(_ context.Context, b *batch) error {
			if b.reason != nil {
				require.Len(t, b.places, 1)
				return nil
			}
			require.Len(t, b.places, len(b.events))
			body, media := b.body()
			if media != mediaNDJSON {
				require.True(t, json.Valid(body), "%q", body)
			}
			return nil
		}}
		if err := b.read(t.Context(), "f", strings.NewReader(content)); err != nil {
			require.ErrorIs(t, err, errNotEvents)
		}
	})
}
