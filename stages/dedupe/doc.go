// Package dedupe is the stage that lets every occurrence through once, however often it is sent.
//
// A business key, made of fields of the event, is claimed in the store for the event's UID. The first UID to claim a key
// keeps it for a window of time. An event whose key another UID holds is dropped with the code "duplicate" and names that
// UID. An event whose own UID holds the key is a redelivery of the first and passes: a crash between the claim and whatever
// comes after it loses nothing (Invariant 7).
//
//	stages:
//	  - use: dedupe
//	    with:
//	      key: [tenant_id, source, event_id, revision] # the default
//	      window: 72h                                  # the default
//
// The key's parts are field paths of the wire; `payload.x.y` reaches into the payload. Keep the revision among them unless
// corrections are to be dropped too: a correction has the event id of the event it mends (EPCIS errorDeclaration).
//
// An event is only ever a duplicate of one of the same tenant, in the same pipeline, under the same key fields, whether or
// not the key says so. An event that lacks a part of the key has no key: it passes without a claim, as two events that both
// lack a reference are not the same event.
//
// Keys are SHA-256 digests, so that no personal data stands in the table of claims.
package dedupe
