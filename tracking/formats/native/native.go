// Package native decodes Rastro's own JSON.
package native

import (
	"github.com/rastrohq/rastro/tracking/formats"
)

// Form is how events stand in a body.
type Form int

// The forms.
const (
	// JSON is one event object, or an array of them.
	JSON Form = iota
	// NDJSON is one event object a line.
	NDJSON
)

// Decode reads the events of a body.
func Decode(body []byte, form Form, opt formats.Options) ([]formats.Result, error) {
	_, _, _ = body, form, opt
	return nil, nil
}
