// Package transform is the stage that changes fields of an event by CEL expressions.
//
//	stages:
//	  - use: transform
//	    with:
//	      set:
//	        event_type: event.payload.code.upperAscii()
//	        timestamp: timestamp(event.payload.when)
//	        location.iata: 'event.payload.station == "MIA2" ? "MIA" : event.payload.station'
//	        payload.total: event.payload.pieces.size()
//	        enrichment.attributes.lane: event.payload.from + "-" + event.payload.to
//	      unset: [payload.secret, location.name]
//	      on_missing: keep # or reject, null
//
// The rules:
//
//   - Every expression sees the event as it came in, and not what the others change: their order means nothing. Fields above are
//     changed before those below: `payload` is set before `payload.total`, `location` unset before `location.iata` is set.
//   - An expression must fit the type of its field, which is checked when the pipeline is linted as far as it can be known. What
//     the payload holds is known only with the event: one whose value does not fit is rejected with the code "transform" and the
//     field's JSON pointer. `timestamp("2026-01-31T12:00:00Z")`, `string(...)`, `int(...)` and `double(...)` convert.
//   - An expression that needs what the payload lacks has no value, and neither has null. on_missing says what becomes of the
//     field then: `keep` leaves it as it is, `reject` rejects the event, `null` makes a part of the payload or of an attribute
//     null and takes any other field out of the event. `CONDITION ? VALUE : dyn(null)` sets a field for some events only.
//   - Payload and attributes take any value. What is not changed of them keeps its bytes and its order.
//   - Whose delivery the event is cannot be changed: uid, tenant_id, received_at. What the stage makes keeps to what the wire
//     allows: an event has an event_type, a kind is one of those there are, a weight is not negative.
//
// A dead letter holds the event as it came in.
package transform
