// Package filter is the stage that keeps the events a condition holds for and drops the rest, with a reason.
//
//	stages:
//	  - use: filter
//	    with:
//	      keep: event.kind == "baggage" && event.payload.state != "test"
//	      reason: not baggage, or a test # what a dropped event is said to be
//
// keep is a CEL condition on the event, by the wire's names; pipeline.Condition has its rules. A payload field that an event
// lacks is null: `event.payload.state != "test"` keeps events without a state, `event.payload.weight > 20` drops those without
// a weight. An event that cannot be judged, as when its weight is a text, is not dropped unseen but rejected, with the code
// "keep".
//
// To have events pass one stage by rather than drop them, give that stage a `when`.
package filter
