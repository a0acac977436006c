// Package crash has a process kill itself where a crash does the most harm: between two steps of which the second must follow the
// first for nothing to be lost or done twice. `make chaos` uses it. Only a binary that is built with the tag chaos can do so; in any
// other one At is empty, and the compiler leaves nothing of its calls.
package crash

// Variable names the environment variable that says where to crash, and how often: POINT:PROBABILITY, several separated by commas,
// as claim:0.05,commit:0.01. A probability is that of one passing of the point.
const Variable = "RASTRO_CRASH_AT"

// Point is a boundary that a process can crash at.
type Point string

// The boundaries.
const (
	// Received is in ingest: events are about to be handed to the broker. Who has an answer by then was answered too early.
	Received Point = "receive"
	// Accepted is in ingest: the broker has the events, the sender has no answer yet.
	Accepted Point = "accept"
	// Claimed is in dedupe: the claims are committed, nothing is handed on yet.
	Claimed Point = "claim"
	// Committed is in persist: events and traces are committed, nothing is handed on or acknowledged yet.
	Committed Point = "commit"
	// Published is in every hop: what came of a batch is with the broker, none of it is acknowledged yet.
	Published Point = "publish"
	// Settled is in every reader: a frame's handler is done, the broker does not know yet.
	Settled Point = "ack"
	// Buried is in the reader of dead letters: they are stored, not acknowledged yet.
	Buried Point = "bury"
)

// Points lists every Point.
func Points() []Point {
	return []Point{Received, Accepted, Claimed, Committed, Published, Settled, Buried}
}
