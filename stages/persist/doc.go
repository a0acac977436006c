// Package persist is the stage that stores events and moves their traces.
//
// A batch is stored in one go: its events are inserted and the traces they belong to are advanced in the same transaction,
// and only an event that is new advances its trace (Invariant 6). A redelivery therefore passes and changes nothing. An event
// that the store refuses for good, such as one whose text the database cannot hold, is rejected with the code "refused"; its
// batch mates are stored. An outage is an error: the whole batch goes round again, and what had been stored of it is not
// stored twice.
//
//	stages:
//	  - use: persist
//	    with:
//	      personal: # what in payloads is kept apart, encrypted under a key of its subject
//	        - subject: event.payload.passenger.reference
//	          fields: [payload.passenger.name]
package persist
