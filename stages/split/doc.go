// Package split is the stage that makes one event for every item of a list that an event has, and ends the event itself.
//
//	stages:
//	  - use: split
//	    with:
//	      items: event.payload.pieces
//	      set:
//	        aggregate_id: item.id
//	        payload: item
//
// items is a CEL expression that gives a list. The expressions of set may name `event`, `item` and `index`, which counts from 0;
// pipeline.Mapping has their rules, which are those of the stage transform. A part is a copy of its event with what set changes,
// by default its payload alone, which becomes the item.
//
// The UID of a part is derived from that of its event (tracking.DeriveUID) by the names of the pipeline and the stage and its
// index, so that an event that is delivered again leads to the same parts. Its event_id is that of its event with `#` and the
// index behind it, unless set gives another; where that is longer than 256 bytes, a digest stands for the event's. An item that
// is null leads to no part.
//
// The event itself is dropped with the code "split" once it has led to its parts. One whose items are no list, that has more than
// max of them, or of which a part cannot be made, is rejected with the same code: all of its parts go on or none. What becomes of
// an event without items, empty says: `pass` lets it go on as it is, `drop` and `reject` end it.
package split
