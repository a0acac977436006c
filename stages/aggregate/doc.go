// Package aggregate is the stage that makes one event of many: what came within a window of time, for each key by itself, counted
// and summed up.
//
//	stages:
//	  - use: aggregate
//	    with:
//	      window: {tumbling: 5m}                 # or {sliding: 15m, every: 5m}
//	      allowed_lateness: 2m
//	      key: [location.iata, event_type]       # the tenant is always part of it
//	      compute:
//	        bags: count
//	        weight: sum(payload.weight)
//	        aircraft: distinct(transport.number)
//	      emit: {event_type: bags_per_5m}
//
// # Which window
//
// An event belongs to the window that its own time (`timestamp`) lies in, whenever it comes and in whatever order. Windows begin at
// whole multiples of their length, or of `every`, since 1970-01-01T00:00:00Z, moved by `offset`. Sliding windows overlap: an event
// is in each that its time lies in.
//
// A window closes when the clock passes its end by the allowed lateness. It is the clock that closes it and not, as with a
// watermark, the times of the events: one sender whose clock is ahead would close everybody's windows, and where nothing comes
// no window would ever close. The price is that events are late that come late for whatever reason, an outage or a replay among
// them: allow for it. An event whose windows have all closed is late; `late` says what becomes of it. One that lies further ahead
// of the clock than `max_ahead` is in no window either, so that a wrong year does not open windows that stay open until then.
//
// # What is made of it
//
// The event that is sent has the tenant of the events in the window, the end of the window as its time, and this payload:
//
//	{"window_start": "2026-03-10T12:00:00Z", "window_end": "2026-03-10T12:05:00Z",
//	 "key": {"location.iata": "LIM", "event_type": "loaded"}, "bags": 31, "weight": 644.5, "aircraft": 2}
//
// A part of the key that events lack is null, and they are aggregated together. count counts events, or those that have the field
// it is given. sum, min, max and avg take numbers, also in texts, and no digit is lost; avg has six digits behind the point. What is
// no number, or has more than 64 characters, is left out. distinct counts different values. first and last give the value of the
// event that happened first or last, as a text. Where no event has a value, the result is null, and 0 for a sum or a count.
//
// # Why it is right
//
// Windows and who is in them are kept in PostgreSQL (Windows). An event joins by its UID, in one transaction a batch: the same
// event delivered again changes nothing, whoever was killed in between. Results are made from the members when the window has
// closed, so that they do not depend on the order or the batches in which events came. Closing and joining take turns at the
// window's row: an event has either joined before and counts, or finds the window closed and is late.
//
// What a window gives is sent until it is known to have been sent, by one process at a time, with a UID that is derived from the
// window and so is the same whoever sends it: with `dedupe` or `persist` behind it, it has its effect once. Who was in a window is
// remembered for a while after (`remember`), so that a redelivery is not taken for late.
//
// A change of key, window or compute begins new windows; those under way are sent as they were begun. They belong to the stage by
// its name and its pipeline's: nobody sends those of a stage that was renamed or taken out.
package aggregate
