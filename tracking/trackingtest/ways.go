package trackingtest

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// Way is a way in which events come to be written: by several writers at once, each with batches one after the other.
type Way [][]Batch

// Batch is some events that are written together. They are copies, as whoever decodes a message has them.
type Batch struct {
	Events []*tracking.Event
	Fate   Fate
}

// Fate is what becomes of a batch.
type Fate int

// The fates.
const (
	// Acknowledged: it is written, and the broker is told.
	Acknowledged Fate = iota
	// Redelivered: it is written, its writer ends before the broker is told, and it is delivered again.
	Redelivered
	// Interrupted: its writer ends while it is written, and it is delivered again.
	Interrupted
)

// Ways draws ways to write events: in any order, each event once or more often, in batches of any size, by one to three writers.
func Ways(events []*tracking.Event) *rapid.Generator[Way] {
	return rapid.Custom(func(t *rapid.T) Way {
		way := make(Way, rapid.IntRange(1, 3).Draw(t, "writers"))
		shares := make([][]*tracking.Event, len(way))
		for _, e := range events {
			w := rapid.IntRange(0, len(way)-1).Draw(t, "writer")
			shares[w] = append(shares[w], e)
		}
		for w, share := range shares {
			share = append(share, rapid.SliceOfN(rapid.SampledFrom(events), 0, 6).Draw(t, "again")...)
			share = rapid.Permutation(share).Draw(t, "order")
			size := rapid.IntRange(1, len(share)+1).Draw(t, "batch")
			for batch := range slices.Chunk(share, size) {
				fate := rapid.SampledFrom([]Fate{Acknowledged, Acknowledged, Acknowledged, Redelivered, Interrupted}).Draw(t, "fate")
				way[w] = append(way[w], Batch{Events: copies(batch), Fate: fate})
			}
		}
		return way
	})
}

func copies(events []*tracking.Event) []*tracking.Event {
	list := make([]*tracking.Event, len(events))
	for i, e := range events {
		list[i] = e.Clone()
	}
	return list
}
