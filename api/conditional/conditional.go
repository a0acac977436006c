// Package conditional answers requests that say what the client has already (RFC 9110, section 13).
package conditional

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// JSON answers with a body in JSON and its entity tag, or with 304 when the client has just that. A weak tag says that the body may be
// written differently another time and mean the same.
func JSON(body []byte, weak bool) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		sum := sha256.Sum256(body)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		if weak {
			tag = "W/" + tag
		}
		ctx.SetHeader("ETag", tag)
		ctx.SetHeader("Cache-Control", "private, no-cache")
		ctx.SetHeader("Vary", "Accept, Authorization, Cookie")
		if Matches(ctx.Header("If-None-Match"), tag) {
			ctx.SetStatus(http.StatusNotModified)
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		_, _ = ctx.BodyWriter().Write(body) // into memory: it does not fail
	}}
}

// Matches compares an If-None-Match header with a tag: weakly, any of a list, or *.
func Matches(header, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || candidate == tag {
			return true
		}
	}
	return false
}
