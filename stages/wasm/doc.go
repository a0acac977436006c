// Package wasm is the stage that runs a WebAssembly module: a stage in any language that compiles to it.
//
//	stages:
//	  - use: wasm
//	    with:
//	      module: stages/redact.wasm # a file of the configuration
//	      config: {fields: [passenger, phone]} # whatever the module takes, handed to it as JSON
//	      memory: 32MiB
//	      timeout: 5s
//	      instances: 2
//
// # The binary interface, version 1
//
// The module is a core module (WebAssembly 2.0), built as a library (a "reactor"), not as a command. It exports its memory as
// "memory" and these functions; all pointers and sizes are bytes of that memory:
//
//	rastro_abi() -> i32                  1, the version of this interface
//	alloc(size i32) -> i32               memory of so many bytes for the host to write to; 0 when there is none
//	free(ptr i32, size i32)              optional: gives back what alloc returned, or a result that the host has read
//	configure(ptr i32, size i32) -> i64  optional: takes `config` as JSON, once, before any event
//	process(ptr i32, size i32) -> i64    takes a batch, returns its results
//
// An i64 that is returned is a place in memory, pointer << 32 | size. The one of configure is 0, or else a message that says
// what is wrong with the config. A module without configure takes no config. _initialize is called first where it is exported.
//
// process gets a JSON array of events in the form of the wire (POST /api/v1/events, with uid, received_at and enrichment
// besides). It returns a JSON array with one result an event, in the same order; a size of 0 says that all of them pass. A
// result is null or an object of which every member is optional:
//
//	outcome     "pass" (the default), "drop", "reject" or "retry"
//	code        why, for counting: lower case letters, digits and _ . -, 64 at most; "wasm" by default
//	message     why, for people
//	field       the JSON pointer of the offending part of the event
//	after       for a retry: how long to wait at least, such as "30s"
//	attributes  an object: what to add to the event's enrichment, under these names
//	set         an object: fields of the event to change, by the names of the wire; null takes one away
//
// set takes what a sender may set but for tenant_id, and the event that comes of it is checked as a sender's would be. attributes
// and set count only for an event that passes.
//
// # What a module may do
//
// WASI (preview 1) is there for languages that need it, with nothing behind it: no files, no network, no environment, no
// arguments. The clock stands at the Unix epoch and random numbers are the same each time, so that a redelivery is judged like
// the first delivery, unless `allow` gives it the real ones. What it writes to standard output and error is logged, up to 100
// lines of 1 KiB a batch.
//
// A module is single-threaded: an instance works on one batch at a time, and there are as many as `instances` says. They share
// nothing, and one may be replaced by a new one at any time: a module keeps nothing between batches that it cannot do without.
//
// # When it fails
//
// An instance that traps, exits, answers what is no result, or takes longer than `timeout` is thrown away, and the events of
// its batch are run one by one in another. Only those that fail again are rejected, with the code "wasm_trap", "wasm_result" or
// "wasm_timeout"; for running them one by one there is three times the timeout, and those not reached by then are retried.
//
// What is wrong with a module as such (it is none, an export is missing, it refuses its config) is found when the pipeline is
// linted. That takes compiling it: a Cache keeps what was compiled. docs/wasm.md shows how to write one, and what it costs.
package wasm
