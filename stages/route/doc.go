// Package route is the stage that sends events to other topics, or on to a later stage, by conditions.
//
//	stages:
//	  - use: route
//	    with:
//	      cases:
//	        - when: event.kind == "cargo"
//	          to: cargo.events
//	        - when: event.payload.priority == "high"
//	          copy: [alerts.urgent, audit.events]
//	        - when: has(event.enrichment.milestone)
//	          stage: persist
//	      otherwise: pass
//
// The cases are tried in order and the first whose condition holds is the event's only one. It says one of three things, the last
// two of which go together:
//
//   - to: the event goes to a topic, or to several, and leaves this pipeline.
//   - copy: a copy of the event goes to a topic, or to several, and the event goes on here.
//   - stage: the event goes on at a later stage of this pipeline; those between do not see it.
//
// An event for which no condition holds is settled as otherwise says: `pass`, the default, has it go on to the next stage; `drop`
// and `reject` end it with the code "unrouted"; a mapping of to, copy and stage routes it like a case.
//
// A condition is pipeline.Condition. One that cannot be evaluated on an event, as when a text is compared with a number, rejects
// the event with the code "route": which case is its is not known then.
package route
