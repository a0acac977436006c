package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// The backfill of a migration and what persist writes are the same.
func TestFacetsAreTheSameInGoAndInTheSchema(t *testing.T) {
	t.Parallel()
	s := open(t)
	value := rapid.OneOf(rapid.StringMatching(`[ -~éñß]{0,6}`), rapid.Just(""), rapid.Just("0047"), rapid.Just("LAN"),
		rapid.Just(strings.Repeat("ñ", 101)), rapid.Just(strings.Repeat("x", 200)))
	rapid.Check(t, func(rt *rapid.T) {
		e := newEvent("acme", "c1", "e1")
		text := func(name string) string { return value.Draw(rt, name) }
		transport := func(name string) *tracking.Transport {
			if !rapid.Bool().Draw(rt, "has "+name) {
				return nil
			}
			return &tracking.Transport{Carrier: text(name + " carrier"), Number: text(name + " number")}
		}
		e.Source, e.Type, e.Kind = text("source"), text("type"), tracking.Kind(text("kind"))
		e.Classifier = rapid.SampledFrom(tracking.Classifiers()).Draw(rt, "classifier")
		e.Enrichment.Milestone = tracking.Milestone(text("milestone"))
		e.Transport, e.Enrichment.Transport = transport("own"), transport("read")
		if rapid.Bool().Draw(rt, "has airline") {
			e.Enrichment.Airline = &tracking.Airline{IATA: text("airline iata"), ICAO: text("airline icao")}
		}
		if rapid.Bool().Draw(rt, "has location") {
			e.Location = &tracking.Location{IATA: text("iata"), UNLocode: text("unlocode"), ICAO: text("icao"), GLN: text("gln"), Name: text("name")}
		}
		if rapid.Bool().Draw(rt, "has place") {
			e.Enrichment.Place = &tracking.Place{IATA: text("place")}
		}
		row, err := rowOf(e)
		require.NoError(rt, err)
		rows, err := s.pool.Query(context.Background(), "SELECT event_facets($1, $2, $3, $4, $5, $6::jsonb)",
			e.Source, e.Type, string(e.Kind), string(e.Classifier), string(e.Enrichment.Milestone), row.details)
		require.NoError(rt, err)
		inSchema, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(rt, err)
		slices.Sort(inSchema)
		require.Equal(rt, slices.Compact(inSchema), append([]string{}, facetsOf(e)...))
	})
}

func TestFacetsNeverStandInTheWayOfAnEvent(t *testing.T) {
	t.Parallel()
	s := open(t)
	long := newEvent("acme", strings.Repeat("a1b2c3d4", 256), "e1")
	long.Source, long.Type = strings.Repeat("s", 3000), strings.Repeat("t", 3000)
	persistAll(t, s, long, newEvent("acme", "c1", "e2"))
	require.Equal(t, []string{"c1"}, get[[]string](t, s, "SELECT array_agg(DISTINCT correlation_id) FROM trace_facets"))
}

// What a trace is known to be found by is not written again, and what is not known is, whatever was forgotten or never known.
func TestKnownFacets(t *testing.T) {
	t.Parallel()
	s := open(t)
	found := func() []string {
		return get[[]string](t, s, "SELECT array_agg(facet ORDER BY facet) FROM trace_facets")
	}
	event := func(id string, kind string) *tracking.Event {
		e := newEvent("acme", "c1", id)
		e.Type = kind
		return e
	}
	persistAll(t, s, event("e1", "loaded"), event("e2", "departed"))
	all := found()
	require.Contains(t, all, "t:loaded")
	require.Contains(t, all, "t:departed")
	require.Len(t, get[[]byte](t, s, "SELECT facets_known FROM traces"), facetDigest*len(all))

	tamper(t, s, "DELETE FROM trace_facets WHERE facet = 't:loaded'")
	persistAll(t, s, event("e3", "loaded"))
	require.NotContains(t, found(), "t:loaded", "it was known to be there")

	tamper(t, s, "UPDATE traces SET facets_known = NULL")
	persistAll(t, s, event("e4", "loaded"))
	require.Equal(t, all, found(), "nothing was known any more")

	tamper(t, s, "UPDATE traces SET facets_known = substr(facets_known, 1, 8)")
	persistAll(t, s, event("e5", "departed"))
	require.Equal(t, all, found(), "what it knew was not all that there is")
	require.Equal(t, 5, get[int](t, s, "SELECT event_count FROM traces"))

	var many knownFacets
	for i := range 3 * maxKnownFacets {
		require.True(t, many.add("t", fmt.Sprint(i)))
		require.Equal(t, i >= maxKnownFacets, many.add("t", fmt.Sprint(i)))
	}
	require.Len(t, many, facetDigest*maxKnownFacets)
	require.False(t, many.add("t", "0"))
	require.True(t, many.add("s", "0"))
}
