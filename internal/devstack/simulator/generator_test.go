package simulator_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/devstack/simulator"
	"github.com/rastrohq/rastro/tracking"
)

// wire is the contract of POST /api/v1/events, read strictly.
type wire struct {
	TenantID      *string              `json:"tenant_id"`
	Source        string               `json:"source"`
	EventID       string               `json:"event_id"`
	Revision      int64                `json:"revision"`
	CorrelationID *string              `json:"correlation_id"`
	AggregateID   *string              `json:"aggregate_id"`
	Kind          tracking.Kind        `json:"kind"`
	Type          *string              `json:"event_type"`
	Timestamp     *time.Time           `json:"timestamp"`
	Location      *tracking.Location   `json:"location"`
	Quantity      *tracking.Quantity   `json:"quantity"`
	Transport     *tracking.Transport  `json:"transport"`
	Corrects      *tracking.Correction `json:"corrects"`
	Payload       map[string]any       `json:"payload"`
}

func decode(body []byte) (wire, error) {
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return w, err
	}
	for name, field := range map[string]*string{
		"tenant_id": w.TenantID, "correlation_id": w.CorrelationID, "aggregate_id": w.AggregateID, "event_type": w.Type,
	} {
		if field == nil || *field == "" {
			return w, fmt.Errorf("%s is missing", name)
		}
	}
	if w.Timestamp == nil || w.Payload == nil {
		return w, fmt.Errorf("timestamp or payload is missing")
	}
	return w, nil
}

// clock is one that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

var start = time.Date(2026, 6, 20, 15, 4, 5, 0, time.UTC)

// told is an event and what the generator says of it.
type told struct {
	simulator.Wire
	wire wire
	at   int
}

// tell lets a generator of that seed tell n events while the clock goes on as it does at that rate.
func tell(t require.TestingT, seed uint64, rate float64, n int) []told {
	c := &clock{now: start}
	g := simulator.NewGenerator(simulator.Config{Seed: seed, EventsPerSecond: rate, Now: c.Now})
	all := make([]told, n)
	for i := range all {
		c.now = c.now.Add(time.Duration(float64(time.Second) / rate))
		w := g.Next()
		all[i] = told{Wire: w, at: i}
		require.False(t, w.OccurredAt.After(c.now), "%s: in the future", w.Body)
		decoded, err := decode(w.Body)
		if !w.Valid {
			require.Error(t, err, "%s is to be malformed", w.Body)
			require.True(t, json.Valid(w.Body), "a malformed event must not spoil its batch")
			continue
		}
		require.NoError(t, err, "%s", w.Body)
		require.Equal(t, w.Tenant, *decoded.TenantID)
		require.Equal(t, w.CorrelationID, *decoded.CorrelationID)
		require.Equal(t, w.EventID, decoded.EventID)
		require.Equal(t, w.Type, *decoded.Type)
		require.True(t, w.OccurredAt.Equal(*decoded.Timestamp))
		all[i].wire = decoded
	}
	return all
}

const (
	tapeRate = 20
	tapeSize = 12_000 // ten minutes
)

// tape is what several tests look at from different sides. They must not change it.
var tape = sync.OnceValue(func() []told { return tell(panicker{}, 11, tapeRate, tapeSize) })

// panicker is a test for what belongs to none.
type panicker struct{}

func (panicker) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (panicker) FailNow() {}

func TestEveryEventIsWhatItIsSaidToBe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := tell(t, rapid.Uint64Min(1).Draw(t, "seed"), rapid.Float64Range(0.1, 10).Draw(t, "rate"), 80)
		for _, e := range all {
			if e.Valid {
				requireIdentifiers(t, e.wire)
				requirePayload(t, e.wire)
			}
		}
	})
}

var (
	bagTag    = regexp.MustCompile(`^0\d{9}$`)
	waybill   = regexp.MustCompile(`^\d{3}-(\d{7})(\d)$`)
	postal    = regexp.MustCompile(`^[A-Z]{2}(\d{8})(\d)[A-Z]{2}$`)
	iata      = regexp.MustCompile(`^[A-Z]{3}$`)
	localDate = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
)

func requireIdentifiers(t require.TestingT, w wire) {
	id := *w.CorrelationID
	require.Equal(t, id, *w.AggregateID)
	switch w.Kind {
	case tracking.Baggage:
		require.Regexp(t, bagTag, id)
	case tracking.Cargo:
		parts := waybill.FindStringSubmatch(id)
		require.NotNil(t, parts, id)
		serial, err := strconv.Atoi(parts[1])
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(serial%7), parts[2], id)
		require.NotNil(t, w.Location)
	case tracking.Parcel:
		parts := postal.FindStringSubmatch(id)
		require.NotNil(t, parts, id)
		require.Equal(t, s10Check(parts[1]), parts[2], id)
	default:
		require.Fail(t, "unknown kind", string(w.Kind))
	}
}

// s10Check is UPU S10's, written from the standard's examples: 47312482 has 9 (RR473124829GB).
func s10Check(digits string) string {
	sum := 0
	for i, c := range digits {
		sum += int(c-'0') * []int{8, 6, 4, 2, 3, 5, 9, 7}[i]
	}
	return map[int]string{0: "5", 1: "0", 2: "9", 3: "8", 4: "7", 5: "6", 6: "5", 7: "4", 8: "3", 9: "2", 10: "1"}[sum%11]
}

func TestS10CheckVector(t *testing.T) {
	t.Parallel()
	require.Equal(t, "9", s10Check("47312482"))
}

func requirePayload(t require.TestingT, w wire) {
	location, ok := w.Payload["location"].(string)
	require.True(t, ok)
	require.Regexp(t, iata, location)
	require.NotEmpty(t, w.Payload["device"])
	if w.Transport != nil {
		require.Equal(t, w.Transport.Carrier+w.Transport.Number, w.Payload["flight"])
		require.Regexp(t, localDate, w.Transport.Date)
		require.NotEqual(t, w.Transport.Origin, w.Transport.Destination)
	}
	if w.Quantity != nil {
		require.Positive(t, w.Quantity.Pieces)
		require.LessOrEqual(t, w.Quantity.Pieces, w.Quantity.TotalPieces)
	}
}

func TestSameSeedSameStories(t *testing.T) {
	t.Parallel()
	first, second := tell(t, 7, 5, 800), tell(t, 7, 5, 800)
	require.Equal(t, first, second)
	require.NotEqual(t, first, tell(t, 8, 5, 800))
}

func TestEveryNatureIsToldInProportion(t *testing.T) {
	t.Parallel()
	all := tape()
	counts, noID := map[simulator.Nature]int{}, 0
	tenants := map[string]int{}
	for _, e := range all {
		counts[e.Nature]++
		tenants[e.Tenant]++
		if e.Valid && e.EventID == "" {
			noID++
		}
	}
	for nature, perMille := range map[simulator.Nature][2]int{
		simulator.Regular: {850, 960}, simulator.Late: {10, 30}, simulator.Resend: {15, 35}, simulator.Correction: {5, 15},
		simulator.Mistake: {3, 12}, simulator.Void: {3, 12}, simulator.UnknownCode: {3, 12}, simulator.Malformed: {5, 15},
	} {
		share := counts[nature] * 1000 / len(all)
		require.GreaterOrEqual(t, share, perMille[0], nature)
		require.LessOrEqual(t, share, perMille[1], nature)
	}
	require.Greater(t, noID, len(all)/50)
	require.Len(t, tenants, 4)
	require.Greater(t, tenants["talma-pe"], tenants["talma-mx"])
}

func TestDisorderIsWhatItIsSaidToBe(t *testing.T) {
	t.Parallel()
	all := tape()
	bodies, byID := map[string]bool{}, map[string][]told{}
	latest := map[string]time.Time{}
	hoursLate := 0
	for _, e := range all {
		key := e.wire.Source + "/" + e.EventID
		switch e.Nature {
		case simulator.Resend:
			require.True(t, bodies[string(e.Body)], "%s was not told before", e.Body)
			require.NotEmpty(t, e.EventID)
		case simulator.Correction:
			require.NotEmpty(t, byID[key])
			require.Greater(t, e.wire.Revision, byID[key][0].wire.Revision)
			require.NotEqual(t, byID[key][0].wire.Payload, e.wire.Payload)
		case simulator.Void:
			require.Equal(t, tracking.Void, e.wire.Corrects.Kind)
			wrong := byID[e.wire.Source+"/"+e.wire.Corrects.EventIDs[0]]
			require.Len(t, wrong, 1)
			require.Equal(t, simulator.Mistake, wrong[0].Nature)
			require.Equal(t, e.CorrelationID, wrong[0].CorrelationID)
		case simulator.Late:
			require.True(t, latest[e.CorrelationID].After(e.OccurredAt), "%s is not late", e.Body)
			if start.Sub(e.OccurredAt) > time.Hour {
				hoursLate++
			}
		case simulator.Regular, simulator.Mistake, simulator.UnknownCode:
			if e.EventID != "" {
				require.Empty(t, byID[key], "%s: an event id is used twice", e.Body)
			}
		case simulator.Malformed, simulator.NoRead:
			continue
		}
		bodies[string(e.Body)] = true
		byID[key] = append(byID[key], e)
		if e.OccurredAt.After(latest[e.CorrelationID]) {
			latest[e.CorrelationID] = e.OccurredAt
		}
	}
	require.Positive(t, hoursLate)
}

// trueEvents returns the events that did happen and were told once and for all, by journey.
func trueEvents(all []told) map[string][]told {
	void := map[string]bool{}
	for _, e := range all {
		if e.Nature == simulator.Void {
			void[e.wire.Corrects.EventIDs[0]] = true
		}
	}
	journeys := map[string][]told{}
	for _, e := range all {
		if (e.Nature == simulator.Regular || e.Nature == simulator.Late) && !void[e.EventID] {
			journeys[e.CorrelationID] = append(journeys[e.CorrelationID], e)
		}
	}
	return journeys
}

func TestPiecesAddUp(t *testing.T) {
	t.Parallel()
	const n = 900
	split := 0
	for seed := range uint64(5) {
		for id, events := range trueEvents(tell(t, seed+1, 1, n)) {
			if events[0].wire.Kind != tracking.Cargo {
				continue
			}
			total := events[0].wire.Quantity.TotalPieces
			pieces, parts := map[string]int{}, map[string]int{}
			for _, e := range events {
				require.Equal(t, total, e.wire.Quantity.TotalPieces)
				pieces[e.Type] += e.wire.Quantity.Pieces
				parts[e.Type]++
			}
			for code, sum := range pieces {
				require.LessOrEqual(t, sum, total, "%s %s", id, code)
			}
			if events[0].at > n/4 {
				continue // it may not be at its end
			}
			for _, code := range []string{"BKD", "RCS", "MAN", "DEP", "RCF", "NFD", "DLV"} {
				require.Equal(t, total, pieces[code], "%s %s", id, code)
			}
			require.Equal(t, parts["DEP"], parts["DLV"])
			if parts["DEP"] == 2 {
				split++
			}
		}
	}
	require.Positive(t, split)
}

func TestJourneysEndAndTakeTheirTime(t *testing.T) {
	t.Parallel()
	all := tape()
	finals := map[string]int{}
	var took []time.Duration
	first := map[string]int{}
	for _, e := range all {
		if !e.Valid {
			continue
		}
		if _, seen := first[e.CorrelationID]; !seen {
			first[e.CorrelationID] = e.at
		}
		switch e.Type {
		case "delivered", "returned", "lost", "DLV":
			finals[e.Type]++
			if start.Before(e.OccurredAt) {
				took = append(took, time.Duration(e.at-first[e.CorrelationID])*time.Second/tapeRate)
			}
		}
	}
	for _, final := range []string{"delivered", "returned", "lost", "DLV"} {
		require.Positive(t, finals[final], final)
	}
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	mean := sum / time.Duration(len(took))
	require.InDelta(t, 2*time.Minute, mean, float64(time.Minute), "live journeys take about two minutes, these %s", mean)
	require.Greater(t, len(first), tapeSize/20)
}

func TestStoriesHappenInOrder(t *testing.T) {
	t.Parallel()
	for id, events := range trueEvents(tape()) {
		for i, e := range events[1:] {
			if e.Nature == simulator.Late || events[i].Nature == simulator.Late {
				continue
			}
			require.False(t, e.OccurredAt.Before(events[i].OccurredAt), "%s: %s happened before %s", id, e.Type, events[i].Type)
		}
	}
}

func TestUnknownTenantHasTraffic(t *testing.T) {
	t.Parallel()
	g := simulator.NewGenerator(simulator.Config{Seed: 1, Tenants: []string{"acme"}, Now: func() time.Time { return start }})
	for range 100 {
		require.Equal(t, "acme", g.Next().Tenant)
	}
}

func TestDefaultSeedDiffersByTheClock(t *testing.T) {
	t.Parallel()
	at := func(now time.Time) string {
		return string(simulator.NewGenerator(simulator.Config{Now: func() time.Time { return now }}).Next().Body)
	}
	require.NotEqual(t, at(start), at(start.Add(time.Nanosecond)))
}

func BenchmarkGenerator(b *testing.B) {
	g := simulator.NewGenerator(simulator.Config{Seed: 1, EventsPerSecond: 50_000})
	b.ReportAllocs()
	for b.Loop() {
		g.Next()
	}
}
