package auth

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

const (
	// chunkBytes is what one cookie's value may hold: browsers take 4096 bytes with name and attributes (RFC 6265,
	// section 6.1).
	chunkBytes = 3800
	// maxChunks bounds a value, so that all cookies together fit into HeaderBytes.
	maxChunks = 5
)

// jar reads and writes the session's cookies on one request. A value too long for one cookie is cut into chunks: the
// first is "<number of chunks>.<text>", the others, named _1, _2 and so on, are text alone.
type jar struct {
	c      *fiber.Ctx
	secure bool
}

// name carries a prefix that browsers enforce (RFC 6265bis, section 4.1.3), so that no other site under the domain can
// plant it.
func (j jar) name(kind, path string) string {
	switch {
	case j.secure && path == "/":
		return "__Host-rastro_" + kind
	case j.secure:
		return "__Secure-rastro_" + kind
	default:
		return "rastro_" + kind
	}
}

func chunkName(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "_" + strconv.Itoa(i)
}

// read joins the chunks of a value; it is empty when there is none or a chunk is missing.
func (j jar) read(kind, path string) string {
	name := j.name(kind, path)
	count, text, found := strings.Cut(j.c.Cookies(name), ".")
	n, err := strconv.Atoi(count)
	if !found || err != nil || n < 1 || n > maxChunks {
		return ""
	}
	var value strings.Builder
	value.WriteString(text)
	for i := 1; i < n; i++ {
		part := j.c.Cookies(chunkName(name, i))
		if part == "" {
			return ""
		}
		value.WriteString(part)
	}
	return value.String()
}

// present reports whether the browser sent the cookie, readable or not.
func (j jar) present(kind, path string) bool { return j.c.Cookies(j.name(kind, path)) != "" }

// write sets a value for as long as ttl, and clears chunks of a longer one before it.
func (j jar) write(kind, path, value string, ttl time.Duration) error {
	chunks := (len(value) + chunkBytes - 1) / chunkBytes
	if chunks > maxChunks {
		return fmt.Errorf("cookie %s of %d bytes does not fit into %d cookies of %d", kind, len(value), maxChunks, chunkBytes)
	}
	name := j.name(kind, path)
	for i := range chunks {
		part := value[i*chunkBytes : min((i+1)*chunkBytes, len(value))]
		if i == 0 {
			part = strconv.Itoa(chunks) + "." + part
		}
		j.set(chunkName(name, i), path, part, ttl)
	}
	for i := chunks; i < maxChunks; i++ {
		if j.c.Cookies(chunkName(name, i)) != "" {
			j.set(chunkName(name, i), path, "", -1)
		}
	}
	return nil
}

// clear ends a cookie and all its chunks.
func (j jar) clear(kind, path string) {
	name := j.name(kind, path)
	for i := range maxChunks {
		if i == 0 || j.c.Cookies(chunkName(name, i)) != "" {
			j.set(chunkName(name, i), path, "", -1)
		}
	}
}

// set writes one cookie; a negative ttl ends it.
func (j jar) set(name, path, value string, ttl time.Duration) {
	expires := time.Now().Add(ttl)
	if ttl < 0 {
		expires = fasthttp.CookieExpireDelete
	}
	j.c.Cookie(&fiber.Cookie{
		Name: name, Value: value, Path: path, Expires: expires,
		Secure: j.secure, HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode,
	})
}
