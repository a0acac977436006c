// Package routers runs pipelines: Watermill routers over a transport, frames of many events between hops, and the dead
// letters of what stages reject. A transport is a sub-package; a Processor runs one generation of one pipeline.
package routers
