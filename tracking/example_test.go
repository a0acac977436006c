package tracking_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/tracking"
)

// A trace is a function of its events, in whatever order and however often they come.
func ExampleFold() {
	event := func(n byte, code string, milestone tracking.Milestone, clock string) *tracking.Event {
		at, err := time.Parse(time.RFC3339, "2026-06-20T"+clock+":00-05:00")
		if err != nil {
			fmt.Println(err)
		}
		return &tracking.Event{
			UID: uuid.UUID{15: n}, TenantID: "talma-pe", Source: "LA-baggage", EventID: code, CorrelationID: "0045123456",
			AggregateID: "0045123456", Kind: tracking.Baggage, Type: code, Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at.UTC(),
			Enrichment: tracking.Enrichment{Milestone: milestone},
		}
	}
	checkedIn := event(1, "checked_in", tracking.Accepted, "19:40")
	screened := event(2, "screened", tracking.Processing, "20:05")
	loaded := event(3, "loaded", tracking.Loaded, "22:55")

	trace := tracking.Fold([]*tracking.Event{loaded, checkedIn, loaded, screened})
	fmt.Println(trace.CorrelationID, trace.Status, trace.EventCount)
	for _, e := range trace.Events {
		fmt.Println(e.OccurredAt.Format("15:04"), e.Type)
	}
	// Output:
	// 0045123456 loaded 3
	// 19:40 checked_in
	// 20:05 screened
	// 22:55 loaded
}
