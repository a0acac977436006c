package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sort"
	"strings"

	"github.com/rastrohq/rastro/tracking"
)

// The letters that facets begin with.
const (
	facetSource    = "s"
	facetType      = "t"
	facetKind      = "k"
	facetMilestone = "m" // reached: of an actual event
	facetForeseen  = "e" // of a plan or an estimate
	facetLocation  = "l"
	facetCarrier   = "c"
	facetFlight    = "f"
)

const (
	// longestFacet is how many bytes of a value a facet holds; of a longer one it holds a digest.
	longestFacet = 200
	// longestFaceted bounds tenant and correlation of what has facets, in bytes: an index entry has its limits, and an event
	// must be stored even when it cannot be found by everything.
	longestFaceted = 2000
)

func facet(letter, value string) string {
	if len(value) > longestFacet {
		digest := sha256.Sum256([]byte(value))
		value = "sha256:" + hex.EncodeToString(digest[:])
	}
	return letter + ":" + value
}

func facets(letter string, values []string) []string {
	return column(values, func(value string) string { return facet(letter, value) })
}

// facetsOf returns what an event can be searched by, sorted; the function event_facets of the schema says the same.
func facetsOf(e *tracking.Event) []string {
	var all []string
	eachFacet(e, func(letter, value string) { all = append(all, facet(letter, value)) })
	slices.Sort(all)
	return slices.Compact(all)
}

// eachFacet hands on what an event can be searched by, some of it more than once.
func eachFacet(e *tracking.Event, hand func(letter, value string)) {
	add := func(letter, value string) {
		if value != "" {
			hand(letter, value)
		}
	}
	add(facetSource, e.Source)
	add(facetType, e.Type)
	add(facetKind, string(e.Kind))
	milestone := facetForeseen
	if e.Classifier == tracking.Actual {
		milestone = facetMilestone
	}
	add(milestone, string(e.Enrichment.Milestone))
	if l := e.Location; l != nil {
		for _, code := range [...]string{l.IATA, l.ICAO, l.UNLocode, l.GLN, l.Name} {
			add(facetLocation, code)
		}
	}
	if p := e.Enrichment.Place; p != nil {
		add(facetLocation, p.IATA)
	}
	add(facetCarrier, carrierOf(e))
	add(facetFlight, flightOf(e))
}

// carrierOf returns the carrier of the event's leg: its IATA designator where that is known.
func carrierOf(e *tracking.Event) string {
	leg := e.Leg()
	if leg == nil {
		return ""
	}
	carrier := upper(leg.Carrier)
	if a := e.Enrichment.Airline; a != nil && a.IATA != "" && a.ICAO != "" && a.ICAO == carrier {
		return a.IATA
	}
	return carrier
}

// flightOf returns carrier and number of the event's leg, without leading zeros of the number; empty when it has no number.
func flightOf(e *tracking.Event) string {
	leg := e.Leg()
	if leg == nil {
		return ""
	}
	number := strings.TrimLeft(upper(leg.Number), "0")
	if number == "" {
		return ""
	}
	return carrierOf(e) + number
}

// upper is upper() of the collation C: ASCII only.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

// insertFacets and insertUnknownFacets take the arguments that facetArgs makes. Whoever inserts has locked the traces, so nobody else
// inserts the same. The second leaves those alone that are there, which costs twice as much.
var (
	insertFacets = `
INSERT INTO trace_facets (tenant_id, facet, correlation_id) ` + sent("tenant_id text, facet text, correlation_id text")
	insertUnknownFacets = insertFacets + `
ON CONFLICT DO NOTHING`
)

// facetRow is a row of trace_facets.
type facetRow struct{ tenant, facet, correlation string }

// newFacets returns the facets that events bring to their traces, without those that the traces are known to have, in the order of their
// index, where neighbours then find their place together. It is sure of them when no trace may have facets that it does not know.
func newFacets(traces map[traceKey]*touched) (rows []facetRow, sure bool) {
	sure = true
	for key, t := range traces {
		if len(key.tenant)+len(key.correlation) > longestFaceted {
			continue
		}
		if t.locked && len(t.facets) == 0 {
			sure = false
		}
		for _, e := range t.events {
			eachFacet(e, func(letter, value string) {
				if t.facets.add(letter, value) {
					rows = append(rows, facetRow{key.tenant, facet(letter, value), key.correlation})
				}
			})
		}
		if t.facets.full() {
			sure = false
		}
	}
	slices.SortFunc(rows, func(a, b facetRow) int {
		return cmp.Or(strings.Compare(a.tenant, b.tenant), strings.Compare(a.facet, b.facet), strings.Compare(a.correlation, b.correlation))
	})
	return rows, sure
}

// facetArgs turns rows into columns.
func facetArgs(rows []facetRow) []any {
	return []any{
		column(rows, func(r facetRow) string { return r.tenant }),
		column(rows, func(r facetRow) string { return r.facet }),
		column(rows, func(r facetRow) string { return r.correlation }),
	}
}

// knownFacets are digests of facets that a trace has in trace_facets, big-endian and sorted. A facet is not looked up, and not written
// again, when its digest is among them.
type knownFacets []byte

const (
	facetDigest = 8
	// maxKnownFacets bounds them. What is beyond is written, and found to be there, every time.
	maxKnownFacets = 128
)

// full reports whether there may be facets that are not among them.
func (k knownFacets) full() bool { return len(k) >= maxKnownFacets*facetDigest }

// add notes a facet and reports whether it was not known yet.
func (k *knownFacets) add(letter, value string) bool {
	// FNV-1a. Two facets of one trace with the same digest would be one too few in 2^64 / n^2 traces.
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, part := range [...]string{letter, ":", value} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
	}
	n := len(*k) / facetDigest
	at := sort.Search(n, func(i int) bool { return binary.BigEndian.Uint64((*k)[facetDigest*i:]) >= h })
	if at < n && binary.BigEndian.Uint64((*k)[facetDigest*at:]) == h {
		return false
	}
	if !k.full() {
		*k = slices.Insert(*k, facetDigest*at, binary.BigEndian.AppendUint64(nil, h)...)
	}
	return true
}
