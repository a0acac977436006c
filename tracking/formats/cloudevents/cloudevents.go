// Package cloudevents decodes and encodes CloudEvents 1.0 in their JSON format.
package cloudevents

import (
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// Form is how events stand in a body.
type Form int

// The forms.
const (
	// Single is one structured event (application/cloudevents+json).
	Single Form = iota
	// Batch is an array of them (application/cloudevents-batch+json).
	Batch
	// Any is either of the two.
	Any
)

// Decode reads the events of a body.
func Decode(body []byte, form Form, opt formats.Options) ([]formats.Result, error) {
	_, _, _ = body, form, opt
	return nil, nil
}

// Encode writes an event as a CloudEvent.
func Encode(e *tracking.Event) ([]byte, error) { _ = e; return nil, nil }
