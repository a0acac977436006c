package auth

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The example of the Standard Webhooks libraries: secret, message and the signature that they make of it.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	w, err := parseWebhook("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	require.NoError(t, err)
	require.True(t, w.signedBy([]byte(`{"test": 2432232314}`), key))
	require.False(t, w.signedBy([]byte(`{"test": 2432232315}`), key))
}

func TestMalformedWebhookHeadersAreRefused(t *testing.T) {
	t.Parallel()
	mac := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	_, err := parseWebhook("msg_1", "1614265330", mac)
	require.NoError(t, err)
	for name, h := range map[string][3]string{
		"no id":              {"", "1614265330", mac},
		"dot in the id":      {"msg.1", "1614265330", mac},
		"space in the id":    {"msg 1", "1614265330", mac},
		"line break":         {"msg\n1", "1614265330", mac},
		"long id":            {strings.Repeat("a", 256), "1614265330", mac},
		"no time":            {"m", "", mac},
		"signed time":        {"m", "+1614265330", mac},
		"negative time":      {"m", "-1", mac},
		"leading zero":       {"m", "01614265330", mac},
		"a fraction":         {"m", "1614265330.5", mac},
		"far future":         {"m", "99999999999999", mac},
		"no signature":       {"m", "1614265330", ""},
		"another version":    {"m", "1614265330", "v2" + mac[2:]},
		"no comma":           {"m", "1614265330", "v1"},
		"short":              {"m", "1614265330", "v1,AAAA"},
		"not base64":         {"m", "1614265330", "v1,****"},
		"too many":           {"m", "1614265330", strings.Repeat(mac+" ", 9)},
		"too long to look":   {"m", "1614265330", mac + strings.Repeat(" v2,x", 300)},
		"trailing bits":      {"m", "1614265330", mac[:len(mac)-2] + "B="},
		"unpadded signature": {"m", "1614265330", strings.TrimRight(mac, "=")},
	} {
		_, err := parseWebhook(h[0], h[1], h[2])
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "AAAA", "an error must not quote the signature")
	}
}

// Whatever is signed is good with its own key, and nothing that differs anywhere is.
func TestASignatureIsForOneMessageOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 64).Draw(t, "key")
		body := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "body")
		id := rapid.StringMatching(`[a-zA-Z0-9_-]{1,40}`).Draw(t, "id")
		at := rapid.Int64Range(0, 1<<33).Draw(t, "at")
		w := webhook{id: id, timestamp: strconv.FormatInt(at, 10)}
		header := "v1," + base64.StdEncoding.EncodeToString(w.sign(key, body))
		read := func(id string, at int64) webhook {
			w, err := parseWebhook(id, strconv.FormatInt(at, 10), header)
			require.NoError(t, err)
			return w
		}
		other := append([]byte{key[0] + 1}, key[1:]...)
		changed := append([]byte{}, body...)
		changed[rapid.IntRange(0, len(body)-1).Draw(t, "place")] ^= rapid.ByteRange(1, 255).Draw(t, "bits")
		require.True(t, read(id, at).signedBy(body, key))
		require.True(t, read(id, at).signedBy(body, other, key), "the second secret counts")
		require.False(t, read(id, at).signedBy(body, other))
		require.False(t, read(id, at).signedBy(body))
		require.False(t, read(id, at).signedBy(changed, key))
		require.False(t, read(id, at).signedBy(append(body, 0), key))
		require.False(t, read(id+"x", at).signedBy(body, key))
		require.False(t, read(id, at+1).signedBy(body, key))
	})
}

func TestTimeHasTheToleranceAndNoMore(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for off, good := range map[time.Duration]bool{
		0: true, -5 * time.Minute: true, 5 * time.Minute: true, -5*time.Minute - time.Second: false, 5*time.Minute + time.Second: false,
	} {
		err := webhook{at: now.Add(off)}.checkTime(now, 5*time.Minute)
		if good {
			require.NoError(t, err, off)
		} else {
			require.ErrorIs(t, err, ErrWebhookTime, off)
		}
	}
}

func FuzzParseWebhook(f *testing.F) {
	f.Add("msg_1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	f.Add("", "-1", "v1, v1,")
	f.Add("a.b", "1614265330.5", "v1a,x v2,y")
	f.Fuzz(func(t *testing.T, id, timestamp, signature string) {
		w, err := parseWebhook(id, timestamp, signature)
		if err != nil {
			return
		}
		if strings.ContainsAny(w.id+w.timestamp, ". \n\x00") || len(w.signatures) == 0 || len(w.signatures) > maxSignatures {
			t.Fatalf("took %q %q %q", id, timestamp, signature)
		}
		if strconv.FormatInt(w.at.Unix(), 10) != timestamp {
			t.Fatalf("%q was read as %d", timestamp, w.at.Unix())
		}
		if w.signedBy([]byte("x"), []byte("0123456789abcdef01234567")) {
			t.Fatal("a made-up signature is good")
		}
	})
}

func TestTheVaultOpensForItsCredentialOnly(t *testing.T) {
	t.Parallel()
	oldKey, newKey := strings.Repeat("old!", 8), strings.Repeat("new!", 8)
	before, err := NewVault(oldKey)
	require.NoError(t, err)
	id, other := uuid.New(), uuid.New()
	secret, kept, err := before.NewWebhookSecret(id)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(secret, "whsec_"))
	want, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	require.NotContains(t, string(kept.Sealed), string(want), "sealed, not plain")
	after, err := NewVault(newKey, oldKey)
	require.NoError(t, err)
	for _, v := range []*Vault{before, after} {
		got, err := v.open(id, kept.Sealed)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = v.open(other, kept.Sealed)
		require.ErrorIs(t, err, errSeal, "another credential's")
	}
	alone, err := NewVault(newKey)
	require.NoError(t, err)
	_, err = alone.open(id, kept.Sealed)
	require.ErrorIs(t, err, errSeal)
	_, err = NewVault("short")
	require.Error(t, err)
}

func TestAPIKeysAreLongAndTheirOwn(t *testing.T) {
	t.Parallel()
	key, kept, err := NewAPIKey()
	require.NoError(t, err)
	require.Regexp(t, apiKeyForm, key)
	require.Equal(t, key[:9], kept.Prefix)
	other, _, err := NewAPIKey()
	require.NoError(t, err)
	require.NotEqual(t, key, other)
}
