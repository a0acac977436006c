package tracking

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
)

// moment is the place of an event in the canonical order of its trace. Times are microseconds since the Unix epoch.
type moment struct {
	_        struct{} `cbor:",toarray"`
	At       int64
	Rank     int
	Received int64
	UID      [16]byte
}

func momentOf(e *Event) moment {
	return moment{
		At: e.OccurredAt.UnixMicro(), Rank: e.Enrichment.Milestone.Rank(), Received: e.ReceivedAt.UnixMicro(), UID: e.UID,
	}
}

func compareMoments(a, b moment) int {
	if c := cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Received, b.Received)); c != 0 {
		return c
	}
	return bytes.Compare(a.UID[:], b.UID[:])
}

// sighting is a word and the event that said it.
type sighting struct {
	_    struct{} `cbor:",toarray"`
	When moment
	Word string
}

// earliest keeps the word of the first event that says one. Events at the same moment are told apart by the word.
func (s *sighting) earliest(when moment, word string) {
	if word == "" {
		return
	}
	if c := compareMoments(when, s.When); s.Word == "" || c < 0 || c == 0 && word < s.Word {
		s.When, s.Word = when, word
	}
}

// latest keeps the word of the last event that says one.
func (s *sighting) latest(when moment, word string) {
	if word == "" {
		return
	}
	if c := compareMoments(when, s.When); s.Word == "" || c > 0 || c == 0 && word > s.Word {
		s.When, s.Word = when, word
	}
}

// sightings are words and the last events that said them, sorted by the words.
type sightings []sighting

// latest keeps when a word was last said. Of more than maxTroubles words those stay that were said last: whatever the order in which
// events are added, a word that belongs to them in the end has belonged to them since its last event.
func (l *sightings) latest(when moment, word string) {
	at, found := slices.BinarySearchFunc(*l, word, func(s sighting, word string) int { return strings.Compare(s.Word, word) })
	if found {
		if compareMoments(when, (*l)[at].When) > 0 {
			(*l)[at].When = when
		}
		return
	}
	*l = slices.Insert(*l, at, sighting{When: when, Word: word})
	if len(*l) <= maxTroubles {
		return
	}
	first := 0
	for i, s := range *l {
		if c := compareMoments(s.When, (*l)[first].When); c < 0 || c == 0 && s.Word < (*l)[first].Word {
			first = i
		}
	}
	*l = slices.Delete(*l, first, first+1)
}

func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }

// bucket sums up the events of one milestone.
type bucket struct {
	_           struct{} `cbor:",toarray"`
	Milestone   Milestone
	First, Last int64
	Count       int
	// Pieces is the sum of the pieces that events spoke of, and Most the largest of them.
	Pieces, Most int
	// Whole says that an event spoke of no pieces, and so of all there are.
	Whole bool
}

// maxPieces keeps sums of hostile counts from overflowing.
const maxPieces = 1_000_000_000

func (b *bucket) merge(o bucket) {
	if b.Count == 0 {
		*b = o
		return
	}
	b.First, b.Last = min(b.First, o.First), max(b.Last, o.Last)
	b.Count += o.Count
	b.Pieces = min(b.Pieces+o.Pieces, maxPieces)
	b.Most = max(b.Most, o.Most)
	b.Whole = b.Whole || o.Whole
}

// reached returns how many of total pieces the events of the bucket speak of; whole is what those mean that give no number.
func (b *bucket) reached(total, whole int) int {
	if b.Count == 0 {
		return 0
	}
	if b.Whole {
		return max(whole, min(b.Pieces, total))
	}
	return min(b.Pieces, total)
}

// buckets holds at most one bucket a milestone, in the order of a journey.
type buckets []bucket

func (l *buckets) add(o bucket) {
	for i := range *l {
		if (*l)[i].Milestone == o.Milestone {
			(*l)[i].merge(o)
			return
		}
	}
	at := len(*l)
	for at > 0 && (*l)[at-1].Milestone.order() > o.Milestone.order() {
		at--
	}
	*l = append(*l, bucket{})
	copy((*l)[at+1:], (*l)[at:])
	(*l)[at] = o
}

// get returns the bucket of a milestone, or an empty one.
func (l buckets) get(m Milestone) bucket {
	for i := range l {
		if l[i].Milestone == m {
			return l[i]
		}
	}
	return bucket{Milestone: m}
}

// bucketOf is the bucket of one event.
func bucketOf(e *Event) bucket {
	at := e.OccurredAt.UnixMicro()
	b := bucket{Milestone: e.Enrichment.Milestone, First: at, Last: at, Count: 1, Whole: true}
	if q := e.Quantity; q != nil && q.Pieces > 0 {
		n := min(q.Pieces, maxPieces)
		b.Pieces, b.Most, b.Whole = n, n, false
	}
	return b
}

// order is the place of a milestone in the order of a journey; endings follow delivery in the order of their declaration.
func (m Milestone) order() int {
	switch m {
	case Returned:
		return 101
	case Cancelled:
		return 102
	case Lost:
		return 103
	case Destroyed:
		return 104
	case Expired:
		return 105
	default:
		return m.Rank()
	}
}

// legBound reports whether m happens to a thing on one leg rather than at a place between legs.
func (m Milestone) legBound() bool { return m == Loaded || m == InTransit || m == Arrived }
