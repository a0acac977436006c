// Package carriers knows the carriers: who sends events in which format, how they prove who they are, what their codes mean, and how
// much of the system each may take. Each is one file carriers/NAME.yaml of the configuration, read strictly: whatever is wrong
// with it has a place and, where that can be told, a hint at what to write instead.
//
// A Carrier decodes bodies of its format to events, and does no I/O.
package carriers
