package auth

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

var testKey = bytes.Repeat([]byte("k"), MinKeyBytes)

func TestSealer(t *testing.T) {
	t.Parallel()
	s, err := newSealer(testKey, nil)
	require.NoError(t, err)
	value := sealed{Token: "secret token", Started: time.Unix(1_790_000_000, 0).UTC()}
	text, err := s.seal(accessCookie, value)
	require.NoError(t, err)
	require.NotContains(t, text, "secret")
	again, err := s.seal(accessCookie, value)
	require.NoError(t, err)
	require.NotEqual(t, text, again, "every seal has its own nonce")

	var got sealed
	require.NoError(t, s.open(accessCookie, text, &got))
	require.Equal(t, value, got)
	require.ErrorIs(t, s.open(refreshCookie, text, &got), errSeal, "one purpose does not open as another")
	require.ErrorIs(t, s.open(accessCookie, "", &got), errSeal)
	require.ErrorIs(t, s.open(accessCookie, "????", &got), errSeal)

	data, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	for i := range data { // any bit anywhere
		data[i] ^= 1
		require.ErrorIs(t, s.open(accessCookie, base64.RawURLEncoding.EncodeToString(data), &got), errSeal)
		data[i] ^= 1
		require.ErrorIs(t, s.open(accessCookie, base64.RawURLEncoding.EncodeToString(data[:i]), &got), errSeal)
	}

	other := bytes.Repeat([]byte("o"), MinKeyBytes)
	changed, err := newSealer(other, nil)
	require.NoError(t, err)
	require.ErrorIs(t, changed.open(accessCookie, text, &got), errSeal, "another key")
	rotated, err := newSealer(other, [][]byte{testKey})
	require.NoError(t, err)
	require.NoError(t, rotated.open(accessCookie, text, &got), "a previous key still opens")
	fresh, err := rotated.seal(accessCookie, value)
	require.NoError(t, err)
	require.ErrorIs(t, s.open(accessCookie, fresh, &got), errSeal, "and no longer seals")

	_, err = newSealer([]byte("short"), nil)
	require.Error(t, err)
}

func FuzzOpen(f *testing.F) {
	s, err := newSealer(testKey, nil)
	require.NoError(f, err)
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 100))
	f.Fuzz(func(t *testing.T, text string) {
		var got sealed
		if s.open(accessCookie, text, &got) == nil {
			t.Fatalf("%q opened as %+v", text, got)
		}
	})
}

// browse plays a browser: what one request set, the next one sends.
func browse(app *fiber.App, cookies map[string]string, do func(*fiber.Ctx)) {
	c := app.AcquireCtx(&fasthttp.RequestCtx{})
	defer app.ReleaseCtx(c)
	for name, value := range cookies {
		c.Request().Header.SetCookie(name, value)
	}
	do(c)
	for key, raw := range c.Response().Header.Cookies() {
		var cookie fasthttp.Cookie
		if err := cookie.ParseBytes(raw); err != nil {
			panic(err)
		}
		if cookie.Expire().Before(time.Now()) {
			delete(cookies, string(key))
			continue
		}
		cookies[string(key)] = string(cookie.Value())
	}
}

func TestJarKeepsAnyValue(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	rapid.Check(t, func(rt *rapid.T) {
		cookies := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(rt, "writes") {
			value := strings.Repeat("x", rapid.IntRange(0, maxChunks*chunkBytes).Draw(rt, "length")) + "y"
			value = value[1:]
			if value == "" {
				continue
			}
			browse(app, cookies, func(c *fiber.Ctx) {
				if err := (jar{c: c}).write("access", "/", value, time.Hour); err != nil {
					rt.Fatal(err)
				}
			})
			for name, v := range cookies {
				if len(name)+len(v) > 4000 {
					rt.Fatalf("cookie %s has %d bytes", name, len(v))
				}
			}
			browse(app, cookies, func(c *fiber.Ctx) {
				if got := (jar{c: c}).read("access", "/"); got != value {
					rt.Fatalf("wrote %d bytes, read %d", len(value), len(got))
				}
			})
			if want := (len(value) + chunkBytes - 1) / chunkBytes; len(cookies) != want {
				rt.Fatalf("%d cookies for %d chunks", len(cookies), want)
			}
		}
		browse(app, cookies, func(c *fiber.Ctx) { (jar{c: c}).clear("access", "/") })
		if len(cookies) != 0 {
			rt.Fatalf("left behind: %d cookies", len(cookies))
		}
	})
}

func TestJarRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	browse(app, map[string]string{}, func(c *fiber.Ctx) {
		require.Error(t, jar{c: c}.write("access", "/", strings.Repeat("x", maxChunks*chunkBytes+1), time.Hour))
	})
	for _, cookies := range []map[string]string{
		{"rastro_access": "2.abc"}, // the second is missing
		{"rastro_access": "0.abc"},
		{"rastro_access": "6.abc"},
		{"rastro_access": "-1.abc"},
		{"rastro_access": "abc"},
		{"rastro_access_1": "abc"},
		{"__Host-rastro_access": "1.abc"},
	} {
		browse(app, cookies, func(c *fiber.Ctx) { require.Empty(t, jar{c: c}.read("access", "/")) })
	}
	require.Equal(t, "__Host-rastro_access", jar{secure: true}.name("access", "/"))
	require.Equal(t, "__Secure-rastro_id", jar{secure: true}.name("id", "/auth/"))
}
