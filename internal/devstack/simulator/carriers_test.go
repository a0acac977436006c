package simulator_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/simulator"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

var shipped = sync.OnceValue(func() *carriers.Set {
	set, found, err := carriers.Load(config.Files(), nil)
	if err != nil || len(found) > 0 {
		panic(errors.Join(err, found))
	}
	return set
})

// said is a message and what a carrier makes of it.
type said struct {
	simulator.Message
	results []formats.Result
	fault   error
}

// say lets carriers say n things while the clock goes on as it does at that rate.
func say(t require.TestingT, seed uint64, rate float64, n int) []said {
	c := &clock{now: start}
	g := simulator.NewCarriers(simulator.Config{Seed: seed, EventsPerSecond: rate, Now: c.Now})
	all := make([]said, n)
	for i := range all {
		c.now = c.now.Add(time.Duration(float64(time.Second) / rate))
		m := g.Next()
		carrier, err := shipped().Lookup("talma-pe", m.Carrier)
		require.NoError(t, err)
		all[i].Message = m
		all[i].results, all[i].fault = carrier.Decode(carriers.Body{
			Bytes: m.Body, Header: http.Header{"Content-Type": {m.ContentType}}, ReceivedAt: c.now,
		}, formats.Options{})
		for _, r := range all[i].results {
			if r.OK() {
				r.Event.UID, r.Event.ReceivedAt = uuid.Must(uuid.NewV7()), c.now
				require.False(t, r.Event.OccurredAt.After(c.now.Add(time.Minute)), "%s\nis in the future: %s", m.Body, r.Event.OccurredAt)
			}
		}
	}
	return all
}

var saidTape = sync.OnceValue(func() []said { return say(panicker{}, 5, 10, 6000) })

// A carrier takes all that is said to it but what is meant to be wrong, which it refuses; and nothing is odd about it but codes that are
// meant to be unknown.
func TestCarriersTakeWhatIsSaidToThem(t *testing.T) {
	t.Parallel()
	for _, m := range saidTape() {
		taken, refused, unmapped := 0, 0, 0
		for _, r := range m.results {
			switch {
			case r.OK():
				taken++
			case !r.Aside():
				refused++
			}
			if carriers.Unmapped(r) {
				unmapped++
			}
			if m.Valid && m.Nature != simulator.UnknownCode && m.Nature != simulator.NoRead {
				for _, f := range r.Findings {
					require.Equal(t, formats.SeverityInfo, f.Severity, "%s: %v\n%s", m.Carrier, f, m.Body)
				}
			}
		}
		if !m.Valid {
			require.True(t, m.fault != nil || refused > 0, "%s takes what is meant to be wrong:\n%s", m.Carrier, m.Body)
			require.Zero(t, taken)
			continue
		}
		require.NoError(t, m.fault, "%s: %s", m.Carrier, m.Body)
		require.Zero(t, refused, "%s refuses\n%s\n%v", m.Carrier, m.Body, m.results[0].Findings)
		require.Equal(t, m.Events, taken, "%s", m.Body)
		require.Equal(t, m.Nature == simulator.UnknownCode, unmapped > 0, "%s %s\n%s\n%v", m.Carrier, m.Nature, m.Body, m.results)
	}
}

func TestEveryCarrierSpeaks(t *testing.T) {
	t.Parallel()
	heard, captured, natures := map[string]int{}, 0, map[simulator.Nature]int{}
	for _, m := range saidTape() {
		heard[m.Carrier]++
		natures[m.Nature]++
		require.True(t, strings.HasPrefix(m.Path, "/api/v1/carriers/"+m.Carrier+"/"), m.Path)
		if strings.HasSuffix(m.Path, "/capture") {
			captured++
		}
	}
	for _, c := range shipped().All() {
		require.GreaterOrEqual(t, heard[c.Name], 50, c.Name)
	}
	require.Len(t, heard, len(shipped().All()))
	require.Positive(t, captured)
	for _, nature := range []simulator.Nature{
		simulator.Regular, simulator.Late, simulator.Resend, simulator.Correction, simulator.Mistake, simulator.Void, simulator.UnknownCode, simulator.Malformed, simulator.NoRead,
	} {
		require.Positive(t, natures[nature], nature)
	}
	require.Greater(t, natures[simulator.Regular], len(saidTape())*8/10)
}

func TestSameSeedSameMessages(t *testing.T) {
	t.Parallel()
	messages := func(seed uint64) []simulator.Message {
		c := &clock{now: start}
		g := simulator.NewCarriers(simulator.Config{Seed: seed, EventsPerSecond: 5, Now: c.Now})
		all := make([]simulator.Message, 500)
		for i := range all {
			c.now = c.now.Add(200 * time.Millisecond)
			all[i] = g.Next()
		}
		return all
	}
	require.Equal(t, messages(7), messages(7))
	require.NotEqual(t, messages(7), messages(8))
}

// The journeys that carriers tell of fold into traces that make sense, whatever was sent twice, late, by mistake or corrected.
func TestJourneysOfCarriersMakeSense(t *testing.T) {
	t.Parallel()
	file, err := config.Files().Open("milestones.yaml")
	require.NoError(t, err)
	catalog, err := tracking.LoadCatalog(file)
	require.NoError(t, errors.Join(err, file.Close()))
	journeys, carrierOf, first := map[string][]*tracking.Event{}, map[string]string{}, map[string]int{}
	for i, m := range saidTape() {
		for _, r := range m.results {
			if !r.OK() || r.Event.CorrelationID != m.CorrelationID {
				continue
			}
			if e := r.Event; e.Enrichment.Milestone == "" && e.Enrichment.Exception == "" {
				meaning, _ := catalog.Lookup(e.Kind, e.Type)
				e.Enrichment.Milestone, e.Enrichment.Exception = meaning.Milestone, meaning.Exception
			}
			journeys[m.CorrelationID] = append(journeys[m.CorrelationID], r.Event)
		}
		if _, seen := first[m.CorrelationID]; !seen {
			first[m.CorrelationID], carrierOf[m.CorrelationID] = i, m.Carrier
		}
	}
	ended, furthest := map[string]int{}, map[string]map[tracking.Milestone]int{}
	for id, events := range journeys {
		trace, carrier := tracking.Fold(events), carrierOf[id]
		if furthest[carrier] == nil {
			furthest[carrier] = map[tracking.Milestone]int{}
		}
		furthest[carrier][trace.Status]++
		if trace.Status.Terminal() || trace.Status == tracking.Available || carrier == "demo-epcis" && trace.Status == tracking.Arrived {
			ended[carrier]++
		}
	}
	for _, c := range shipped().All() {
		require.Positive(t, ended[c.Name], "no journey of %s comes to its end: %v", c.Name, furthest[c.Name])
		require.Greater(t, len(furthest[c.Name]), 1, "%s: %v", c.Name, furthest[c.Name])
	}
}

func TestContainersHaveCheckDigits(t *testing.T) {
	t.Parallel()
	containers := 0
	for _, m := range saidTape() {
		for _, r := range m.results {
			if r.OK() && m.Carrier == "demo-dcsa" && r.Event.AggregateID != r.Event.CorrelationID {
				containers++
				require.NoError(t, tracking.CheckContainer(r.Event.AggregateID))
			}
		}
	}
	require.Positive(t, containers)
}
