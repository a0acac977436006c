package seal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/seal"
)

func ring(tb testing.TB, keys ...string) *seal.Ring {
	tb.Helper()
	r, err := seal.ParseRing(strings.Join(keys, ","))
	require.NoError(tb, err)
	return r
}

func TestWhatIsSealedOpensWhereItBelongs(t *testing.T) {
	t.Parallel()
	key := seal.NewKey()
	rapid.Check(t, func(t *rapid.T) {
		plain, bound := rapid.SliceOf(rapid.Byte()).Draw(t, "plain"), rapid.SliceOf(rapid.Byte()).Draw(t, "bound")
		sealed, err := key.Seal(plain, bound)
		require.NoError(t, err)
		opened, err := key.Open(sealed, bound)
		require.NoError(t, err)
		require.Equal(t, string(plain), string(opened))

		_, err = key.Open(sealed, append(bound, 0))
		require.ErrorIs(t, err, seal.ErrDamaged)
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		_, err = key.Open(sealed, bound)
		require.ErrorIs(t, err, seal.ErrDamaged)
	})
	_, err := key.Open(nil, nil)
	require.ErrorIs(t, err, seal.ErrDamaged)
}

func TestBindTellsTextsApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.StringMatching(`[a-c\x00\x01]{0,3}`))
		a, b := texts.Draw(t, "a"), texts.Draw(t, "b")
		same := fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
		require.Equal(t, same, string(seal.Bind(a...)) == string(seal.Bind(b...)))
	})
}

func TestMasterKeysRotate(t *testing.T) {
	t.Parallel()
	old, young := seal.NewMaster(), seal.NewMaster()
	key, bound := seal.NewKey(), []byte("here")
	wrapped, err := ring(t, old).Wrap(key, bound)
	require.NoError(t, err)
	again, err := ring(t, old).Wrap(key, bound)
	require.NoError(t, err)
	require.NotEqual(t, wrapped, again)

	both := ring(t, young, old)
	require.False(t, both.Current(wrapped))
	got, err := both.Unwrap(wrapped, bound)
	require.NoError(t, err)
	require.Equal(t, key[:], got[:])
	rewrapped, err := both.Wrap(got, bound)
	require.NoError(t, err)
	require.True(t, both.Current(rewrapped))
	got, err = ring(t, young).Unwrap(rewrapped, bound)
	require.NoError(t, err)
	require.Equal(t, key[:], got[:])

	_, err = ring(t, young).Unwrap(wrapped, bound)
	require.ErrorIs(t, err, seal.ErrUnknownMaster)
	require.ErrorContains(t, err, ring(t, old).IDs()[0])
	_, err = both.Unwrap(wrapped, []byte("there"))
	require.ErrorIs(t, err, seal.ErrDamaged)
	for i := range wrapped {
		broken := []byte(string(wrapped))
		broken[i] ^= 1
		_, err = both.Unwrap(broken, bound)
		require.Error(t, err, "byte %d", i)
	}
	_, err = both.Unwrap(wrapped[:9], bound)
	require.ErrorIs(t, err, seal.ErrDamaged)
}

func TestParseRing(t *testing.T) {
	t.Parallel()
	one := seal.NewMaster()
	require.Equal(t, ring(t, one).IDs(), ring(t, strings.TrimRight(one, "=")+"\n").IDs())
	for text, want := range map[string]string{
		"":               "no key",
		" ,\n":           "no key",
		one + "," + one:  "key 2 stands twice",
		one + "," + "ab": "key 2 is not 32 bytes in base64",
		"%%%":            "key 1 is not 32 bytes in base64",
	} {
		_, err := seal.ParseRing(text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), one)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	key, text := seal.NewKey(), seal.NewMaster()
	printed := fmt.Sprintf("%v %+v %#v %s %v %s", key, key, key, key, ring(t, text), ring(t, text))
	require.NotContains(t, printed, text)
	require.Equal(t, 6, strings.Count(printed, "(redacted)"))
}
