//go:build !chaos

package crash

// Compiled says whether this binary can crash by itself.
const Compiled = false

// At does nothing: this binary was built without the tag chaos.
func At(Point) {}
