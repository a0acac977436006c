package live

import (
	"time"

	"github.com/rastrohq/rastro/internal/quantiles"
)

// Bar is how many there are of a range of durations.
type Bar struct {
	UpTo  float64 `json:"up_to_ms" doc:"Where the range ends, in milliseconds; it begins where the one before ends" example:"12.58"`
	Count uint64  `json:"count" doc:"How many events it is of"`
}

// barsOf cuts a histogram into ranges of half an octave, from the first that holds anything to the last.
func barsOf(h *quantiles.Histogram) []Bar {
	bars := []Bar{}
	if h == nil {
		return bars
	}
	for end, n := range h.Halves() {
		if n == 0 && len(bars) == 0 {
			continue
		}
		bars = append(bars, Bar{UpTo: milliseconds(end.Round(time.Microsecond)), Count: n})
	}
	for len(bars) > 0 && bars[len(bars)-1].Count == 0 {
		bars = bars[:len(bars)-1]
	}
	return bars
}
