// Package trial runs pipelines without a broker: to try them on a file, and to test them before they ship.
//
// A Runner takes the plans of one or several pipelines and the events that are sent to a topic. What a stage passes goes on
// to the next hop as it does in production: the same Chain runs the stages, and a topic is a queue in memory. An event that one
// pipeline writes to a topic which another reads goes on there; what nobody reads is an output. A Runner works in the
// goroutine that calls it and holds no more events than MaxInFlight beside those it has just been given, so that a stream of
// any length takes the same memory.
//
// With a Manual clock nothing waits and the same input has the same result every time. Around puts something between the engine
// and the stages, such as Faults, and Crash has the process die: what is not acknowledged is delivered again to stages
// that are built anew.
package trial
