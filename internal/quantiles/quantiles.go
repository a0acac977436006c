// Package quantiles keeps durations in histograms that can be merged: a quantile of many processes and minutes is that of their
// merged histogram. Quantiles themselves are never averaged, which would mean nothing.
package quantiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A bucket is a sixteenth of an octave of nanoseconds, so that its middle is off by one part in 32 at most (as in HdrHistogram,
// https://hdrhistogram.org). The first takes all that is shorter than 65.5 µs, the last all that is longer than a day and a half.
const (
	shortest = 16 // the octave of the second bucket
	longest  = 46
	subBits  = 4
	buckets  = 1 + (longest-shortest+1)<<subBits
)

// RelativeError bounds by how much a quantile is off, of durations from 65.5 µs to 39 h.
const RelativeError = 1.0 / 32

// Histogram counts durations. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	counts []uint64 // nil while it is empty, else one a bucket
	total  uint64
}

// bucketOf returns where a duration is counted; a negative one counts as none.
func bucketOf(d time.Duration) int {
	if d < 1<<shortest {
		return 0
	}
	v := uint64(d)
	octave := bits.Len64(v) - 1
	if octave > longest {
		return buckets - 1
	}
	return 1 + (octave-shortest)<<subBits + int(v>>(octave-subBits)&(1<<subBits-1))
}

// middle returns the duration that a bucket stands for.
func middle(bucket int) time.Duration {
	if bucket == 0 {
		return 1 << (shortest - 1)
	}
	octave, sub := shortest+(bucket-1)>>subBits, (bucket-1)&(1<<subBits-1)
	width := int64(1) << (octave - subBits)
	return time.Duration(int64(1)<<octave + int64(sub)*width + width/2)
}

// Add counts n durations of d.
func (h *Histogram) Add(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	if h.counts == nil {
		h.counts = make([]uint64, buckets)
	}
	h.counts[bucketOf(d)] += n
	h.total += n
}

// Merge counts all that another histogram has counted.
func (h *Histogram) Merge(o *Histogram) {
	if o.total == 0 {
		return
	}
	if h.counts == nil {
		h.counts = make([]uint64, buckets)
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram {
	return &Histogram{counts: slices.Clone(h.counts), total: h.total}
}

// Count returns how many durations there are.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns the duration that a share q of all does not exceed, q from 0 to 1; false when there is none at all.
func (h *Histogram) Quantile(q float64) (time.Duration, bool) {
	if h.total == 0 || math.IsNaN(q) {
		return 0, false
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(h.total)))
	rank = min(max(rank, 1), h.total)
	for bucket, n := range h.counts {
		if n >= rank {
			return middle(bucket), true
		}
		rank -= n
	}
	return middle(buckets - 1), true
}

// version is the first byte of an encoded histogram.
const version = 1

// ErrMalformed says that bytes are no encoded histogram.
var ErrMalformed = errors.New("not an encoded histogram")

// Halves returns how many durations there are in each half of an octave, with where it ends; the first holds all that are shorter, and
// the last all that are longer.
func (h *Histogram) Halves() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		if h.total == 0 || !yield(1<<shortest, h.counts[0]) {
			return
		}
		const half = 1 << (subBits - 1)
		for first := 1; first < buckets; first += half {
			octave, sub := shortest+(first-1)>>subBits, (first-1)&(1<<subBits-1)
			var n uint64
			for _, count := range h.counts[first : first+half] {
				n += count
			}
			if !yield(time.Duration(int64(1)<<octave+int64(sub+half)<<(octave-subBits)), n) {
				return
			}
		}
	}
}

// AppendBinary implements encoding.BinaryAppender: a version, and for each bucket that has counted anything how many buckets lie
// between it and the one before, and its count, as unsigned varints.
func (h *Histogram) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, version)
	next := 0
	for bucket, n := range h.counts {
		if n > 0 {
			b = binary.AppendUvarint(b, uint64(bucket-next))
			b = binary.AppendUvarint(b, n)
			next = bucket + 1
		}
	}
	return b, nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (h *Histogram) MarshalBinary() ([]byte, error) { return h.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It adds to what the histogram has counted, so that many can be read into
// one; what it cannot read it leaves as it is.
func (h *Histogram) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("%w of version %d", ErrMalformed, version)
	}
	read := Histogram{}
	next := uint64(0)
	for b = b[1:]; len(b) > 0; {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("%w: cut short", ErrMalformed)
		}
		count, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return fmt.Errorf("%w: cut short", ErrMalformed)
		}
		if gap >= buckets || next+gap >= buckets || count == 0 || count > math.MaxUint64/2-read.total {
			return fmt.Errorf("%w: out of range", ErrMalformed)
		}
		if read.counts == nil {
			read.counts = make([]uint64, buckets)
		}
		read.counts[next+gap] = count
		read.total += count
		next += gap + 1
		b = b[n+m:]
	}
	if h.total > math.MaxUint64/2 {
		return fmt.Errorf("%w: out of range", ErrMalformed)
	}
	h.Merge(&read)
	return nil
}
