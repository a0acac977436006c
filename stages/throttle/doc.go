// Package throttle is the stage that lets events through no faster than a rate, for each key by itself.
//
//	stages:
//	  - use: throttle
//	    with:
//	      key: [tenant_id, source] # defaults to [tenant_id]
//	      rate: 100/s              # also 6000/m, 50000/h, 20/10s
//	      burst: 200               # defaults to what one second brings, 1 at least
//	      over: wait               # or drop, or reject
//
// Each key has a bucket of tokens (golang.org/x/time/rate): it holds `burst` of them, is full at first and filled at the rate; an
// event takes one. What comes when the bucket is empty waits, is dropped or is rejected, as `over` says.
//
// An event that waits gets the next place in the queue of its key and is tried again when its turn has come, to the nanosecond;
// its batch mates go on. It keeps its place however often it comes before its turn, by its UID, so that events of one key pass
// in the order in which they first came. Places are given out for `max_wait` ahead: an event that would wait for longer comes
// again after that time and asks anew, in whatever order it then comes. Both bound what the stage has to remember.
//
// The rate is that of a process: n processes that read the same topic let n times as many through. Divide the rate by the
// number of processes where the sum matters. Nothing is remembered across a restart: each key begins with a full bucket.
//
// Buckets are made when a key first comes and forgotten once they must be full again. There are `max_keys` at most; the one
// that was not used for the longest time makes room, and when its key comes again it has a full bucket: set max_keys above the
// number of keys that come within a few seconds. An event that lacks a part of the key shares a bucket with the others of its key
// that lack it.
package throttle
