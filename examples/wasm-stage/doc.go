// Package wasmstage holds the tests of a stage in WebAssembly; the stage is in redact and guest.
package wasmstage
