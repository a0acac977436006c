package cargoimp_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/cargoimp"
)

func catalog(t *testing.T) *tracking.Catalog {
	t.Helper()
	file, err := os.Open("../../../config/milestones.yaml")
	require.NoError(t, err)
	c, err := tracking.LoadCatalog(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return c
}

// told returns the events of messages as they are when they have been through the pipeline.
func told(t *testing.T, bodies ...string) []*tracking.Event {
	t.Helper()
	c := catalog(t)
	var events []*tracking.Event
	for _, body := range bodies {
		for _, r := range decode(t, body) {
			require.True(t, r.OK(), "%s: %v", body, r.Findings)
			e := r.Event
			e.UID, e.TenantID, e.ReceivedAt = uuid.UUID{byte(len(events) + 1)}, "talma-pe", received.Add(time.Duration(len(events))*time.Second)
			var p struct{ Discrepancy string }
			require.NoError(t, json.Unmarshal(e.Payload, &p))
			meaning, ok := c.LookupReason(e.Kind, e.Type, p.Discrepancy)
			if e.Enrichment.Milestone, e.Enrichment.Exception = meaning.Milestone, meaning.Exception; !ok {
				e.Enrichment.Milestone = tracking.Unknown
			}
			events = append(events, e)
		}
	}
	return events
}

// summary folds messages, in their order and in others.
func summary(t *testing.T, bodies ...string) tracking.Summary {
	t.Helper()
	events := told(t, bodies...)
	state := tracking.Rebuild(events)
	want := state.Summary()
	for range 5 {
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		state := tracking.Rebuild(events)
		require.Equal(t, want, state.Summary())
	}
	return want
}

func sample(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("testdata/" + name + ".txt")
	require.NoError(t, err)
	return string(body)
}

// A consignment that flies in two parts has arrived, and is delivered, when both have.
func TestTraceOfPartsOfAConsignment(t *testing.T) {
	journey := []string{sample(t, "01-bkd"), sample(t, "02-rcs"), sample(t, "03-man-dep"), sample(t, "04-rcf-split-1")}
	s := summary(t, journey[:1]...)
	require.Equal(t, tracking.Announced, s.Status)
	s = summary(t, journey...)
	require.Equal(t, tracking.InTransit, s.Status)
	require.Equal(t, tracking.Arrived, s.Furthest)
	require.Equal(t, &tracking.Pieces{Total: 10, ByMilestone: map[tracking.Milestone]int{
		tracking.Announced: 10, tracking.Accepted: 10, tracking.Processing: 10, tracking.InTransit: 10, tracking.Arrived: 2,
	}}, s.Pieces)
	s = summary(t, append(journey, sample(t, "05-rcf-split-2"))...)
	require.Equal(t, tracking.Arrived, s.Status)
	s = summary(t, append(journey, sample(t, "05-rcf-split-2"), sample(t, "06-nfd-dlv"))...)
	require.Equal(t, tracking.Delivered, s.Status)
	require.Empty(t, s.Anomalies)
	require.Zero(t, s.UnknownCount)

	const head = "FSU/14\n045-53806270LIMJFK/P2K101.0T10\n"
	s = summary(t, sample(t, "02-rcs"), head+"DLV/22JUN0905/JFK/P2K101.0/HUDSON\n")
	require.Equal(t, tracking.Accepted, s.Status)
	s = summary(t, sample(t, "02-rcs"), head+"DLV/22JUN0905/JFK/P2K101.0/HUDSON\n", strings.Replace(head, "P2K101.0T10", "P8K404.0T10", 1)+"DLV/22JUN1105/JFK/P8K404.0/HUDSON\n")
	require.Equal(t, tracking.Delivered, s.Status)
}

func TestTraceOfADiscrepancy(t *testing.T) {
	missing, found := sample(t, "07-dis-missing"), sample(t, "08-dis-found")
	const head = "FSU/12\n134-41266466UIOBOG/T60K1428\n"
	require.Equal(t, "missing", summary(t, missing).Exception)
	require.Empty(t, summary(t, missing, found).Exception)
	require.Empty(t, summary(t, found, missing).Exception, "whichever comes first")
	papers := head + "DIS/AV8372/24MAY1300/BOG/MSAW/P1K24\n"
	require.Equal(t, "documents_missing", summary(t, missing, papers, found).Exception, "cargo that was found does not bring the papers back")
	require.Equal(t, "missing", summary(t, missing, papers, head+"DIS/AV8372/25MAY0710/BOG/FDAW/P1K24\n").Exception)
	require.Empty(t, summary(t, missing, papers, found, head+"DIS/AV8372/25MAY0710/BOG/FDAW/P1K24\n").Exception)
	require.Equal(t, "discrepancy", summary(t, head+"DIS/AV8372/24MAY1300/BOG/QQQQ/P1K24\n").Exception)
	require.Equal(t, "customs", summary(t, head+"TGC/24MAY1200/BOG/T60K1428\n", missing, found).Exception)
	require.Empty(t, summary(t, head+"TGC/24MAY1200/BOG/T60K1428\n", head+"CCD/24MAY1300/BOG/T60K1428\n").Exception)
}

// What is known and no phase moves nothing and is not unknown; what nobody knows is counted.
func TestTraceOfWhatIsNoPhase(t *testing.T) {
	const head = "FSU/14\n045-53806270LIMJFK/T10K505.0\n"
	s := summary(t, sample(t, "02-rcs"), head+"DOC/20JUN1600/LIM/T10K505.0\nAWR/LA2468/21JUN0900/JFK/T10K505.0\n", head+"OSI/HELD\n", head+"OCI/PE/IMP/M/123\n")
	require.Equal(t, tracking.Accepted, s.Status)
	require.Zero(t, s.UnknownCount)
	require.Equal(t, 5, s.EventCount)
	require.Equal(t, 1, summary(t, sample(t, "12-unknown-status")).UnknownCount)
}

// A consignment that is spread over units is counted over all of them.
func TestTraceOfAManifest(t *testing.T) {
	var own []*tracking.Event
	for _, e := range told(t, sample(t, "15-ffm"), sample(t, "03-man-dep"), sample(t, "04-rcf-split-1"), sample(t, "05-rcf-split-2"), sample(t, "06-nfd-dlv")) {
		if e.CorrelationID == "045-53806270" {
			own = append(own, e)
		}
	}
	processing := tracking.Rebuild(own[:2])
	s := processing.Summary()
	require.Equal(t, tracking.Processing, s.Status)
	require.Equal(t, 10, s.Pieces.ByMilestone[tracking.Processing])
	require.Equal(t, []string{"AKE12345LA", "PMC98669LA"}, s.Aggregates)
	for i, want := range []tracking.Milestone{tracking.Processing, tracking.InTransit, tracking.InTransit, tracking.Arrived, tracking.Available, tracking.Delivered} {
		state := tracking.Rebuild(own[:3+i])
		require.Equal(t, want, state.Summary().Status, i)
	}
	all := tracking.Rebuild(own)
	s = all.Summary()
	require.Equal(t, 10, s.Pieces.Total)
	for _, a := range s.ByAggregate {
		require.Equal(t, tracking.Delivered, a.Status, a.AggregateID)
	}
}

// A message that comes twice is one.
func TestTraceOfAMessageTwice(t *testing.T) {
	once := told(t, sample(t, "03-man-dep"))
	twice, err := cargoimp.Decode([]byte("QD LIMFMLA\r\n.MIAFMLA 210739\r\n"+sample(t, "03-man-dep")), options(t))
	require.NoError(t, err)
	for i, r := range twice {
		require.Equal(t, once[i].EventID, r.Event.EventID)
	}
}
