package quantiles

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func durations(t *rapid.T, label string) []time.Duration {
	one := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(math.Pow(2, rapid.Float64Range(16.1, 46.9).Draw(t, "log2")))
	})
	return rapid.SliceOfN(one, 1, 200).Draw(t, label)
}

func of(all []time.Duration) *Histogram {
	var h Histogram
	for _, d := range all {
		h.Add(d, 1)
	}
	return &h
}

func TestAQuantileIsThatOfTheValuesWithinTheError(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := durations(t, "durations")
		h := of(all)
		slices.Sort(all)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		want := all[max(int(math.Ceil(q*float64(len(all)))), 1)-1]
		got, ok := h.Quantile(q)
		require.True(t, ok)
		require.InEpsilon(t, float64(want), float64(got), RelativeError*1.001)
	})
}

func TestMergedHistogramsAreThoseOfAllValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := durations(t, "a"), durations(t, "b")
		merged := of(a)
		merged.Merge(of(b))
		require.Equal(t, of(slices.Concat(b, a)), merged)
		encoded, err := merged.MarshalBinary()
		require.NoError(t, err)
		var decoded Histogram
		require.NoError(t, decoded.UnmarshalBinary(encoded))
		require.Equal(t, merged, &decoded)
		require.NoError(t, decoded.UnmarshalBinary(encoded), "into one that has counted already")
		require.Equal(t, 2*merged.Count(), decoded.Count())
	})
}

func TestTheEdges(t *testing.T) {
	t.Parallel()
	var h Histogram
	_, ok := h.Quantile(0.5)
	require.False(t, ok)
	h.Add(time.Second, 0)
	require.Zero(t, h.Count())
	h.Add(-time.Hour, 1)
	h.Add(0, 1)
	h.Add(math.MaxInt64, 1)
	low, _ := h.Quantile(0)
	require.Less(t, low, 66*time.Microsecond)
	high, _ := h.Quantile(2)
	require.Greater(t, high, 38*time.Hour)
	_, ok = h.Quantile(math.NaN())
	require.False(t, ok)
	for bucket := 1; bucket < buckets; bucket++ {
		require.Equal(t, bucket, bucketOf(middle(bucket)))
	}
}

func FuzzUnmarshal(f *testing.F) {
	encoded, _ := of([]time.Duration{time.Millisecond, time.Second}).MarshalBinary()
	f.Add(encoded)
	f.Add([]byte{})
	f.Add([]byte{version, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Histogram
		if h.UnmarshalBinary(b) != nil {
			require.Zero(t, h.Count())
			return
		}
		again, err := h.MarshalBinary()
		require.NoError(t, err)
		var same Histogram
		require.NoError(t, same.UnmarshalBinary(again))
		require.Equal(t, h.Count(), same.Count())
	})
}

// A tenth of the nanoseconds that anything else about an event takes.
func BenchmarkAdd(b *testing.B) {
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.Add(time.Duration(i)*time.Microsecond, 1)
	}
}
