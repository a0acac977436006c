// Package validate is the stage that lets only well-formed, believable events through.
//
// An event is checked, in the form it has on the wire, against a JSON Schema (draft 2020-12) that is compiled once, with
// assertions on `format`. The schema's `$ref`s may name other files of the configuration, never the network. What does not
// fit is rejected with the code "schema": the reason names every offending part (the first few of many), what is wrong with
// it and what would be right, and shows of a value at most its first 64 characters.
//
// An actual event cannot lie in the future: one whose timestamp is further ahead of the clock than `future_skew` is rejected
// with the code "future". Estimated, planned, requested and expected events may.
//
//	stages:
//	  - use: validate
//	    with:
//	      schema: event.schema.json # the default; a path among the configuration's files
//	      future_skew: 5m           # the default; how far a sender's clock may be ahead
//
// A schema that says nothing of the payload costs the least: the payload is then only checked to be JSON, not decoded.
package validate
