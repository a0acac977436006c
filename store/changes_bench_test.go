package store

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkPersistTogether measures what several workers store at once: whether noting changes, and telling of them, costs throughput.
func BenchmarkPersistTogether(b *testing.B) {
	s := open(b)
	var next atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			n := int(next.Add(1))
			events := benchEvents(100, n*100)
			_, err := s.Persist(b.Context(), events)
			require.NoError(b, err)
		}
	})
	b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "events/s")
}
