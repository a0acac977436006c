//go:build !chaos

package crash_test

import (
	"testing"

	"github.com/rastrohq/rastro/internal/crash"
)

// A binary built as any other has no way to crash, whatever its environment says.
func TestAnOrdinaryBinaryDoesNotCrash(t *testing.T) {
	for _, point := range crash.Points() {
		t.Setenv(crash.Variable, string(point)+":1")
		crash.At(point)
	}
}

// What a point costs: nothing, as in an empty loop.
func BenchmarkAt(b *testing.B) {
	for b.Loop() {
		crash.At(crash.Published)
	}
}
