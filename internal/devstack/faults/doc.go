// Package faults stands between two programs that talk over TCP and breaks what they say: for tests of what a system does when
// its database or broker is slow, silent, torn away or gone. Nothing but tests may import it.
package faults
