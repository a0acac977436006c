package tracking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

func TestStatus(t *testing.T) {
	none := tracking.Milestone("")
	leg1, leg2 := on("LA", "2047", "LIM", "SCL"), on("LA", "501", "SCL", "EZE")
	for name, test := range map[string]struct {
		tell      func(s *story)
		status    tracking.Milestone
		exception string
		anomalies []string
	}{
		"nothing maps": {tell: func(s *story) { s.add(1, none); s.add(2, unknown) }, status: unknown},
		"plans alone move nothing": {
			tell:   func(s *story) { s.add(1, arrived, classified(tracking.Estimated)) },
			status: unknown,
		},
		"furthest of a leg": {
			tell:   func(s *story) { s.add(1, loaded, leg1); s.add(2, inTransit, leg1); s.add(3, arrived, leg1) },
			status: arrived,
		},
		"monotonic within a leg": {
			tell:   func(s *story) { s.add(1, inTransit, leg1); s.add(2, arrived, leg1); s.add(3, loaded, leg1) },
			status: arrived,
		},
		"a late departure fills history": {
			tell:   func(s *story) { s.add(1, accepted); s.add(9, arrived, leg1); s.add(5, inTransit, leg1) },
			status: arrived,
		},
		"a new leg opens loaded to arrived again": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(2, transfer); s.add(3, loaded, leg2) },
			status: loaded,
		},
		"out for delivery, then flown on": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(2, outFor); s.add(3, inTransit, leg2) },
			status: inTransit,
		},
		"the first leg reported after the second": {
			tell:   func(s *story) { s.add(10, inTransit, leg2); s.add(5, arrived, leg1); s.add(1, inTransit, leg1) },
			status: inTransit,
		},
		"booking both legs does not begin them": {
			tell: func(s *story) {
				s.add(1, announced, leg1)
				s.add(1, announced, leg2)
				s.add(3, inTransit, leg1)
			},
			status: inTransit,
		},
		"an arrival after a stray scan for another flight": {
			tell:   func(s *story) { s.add(1, loaded, leg1); s.add(5, arrived, leg1); s.add(2, loaded, leg2) },
			status: arrived,
		},
		"an arrival reported again after the next departure": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(5, inTransit, leg2); s.add(6, arrived, leg1) },
			status: inTransit,
		},
		"one flight by two designators": {
			tell: func(s *story) {
				s.add(1, arrived, leg1)
				s.add(2, inTransit, on("LAN", "2047", "", ""), func(e *tracking.Event) {
					e.Enrichment.Airline = &tracking.Airline{IATA: "LA", ICAO: "LAN"}
				})
			},
			status: arrived,
		},
		"a leg-bound event without a leg belongs to the latest": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(3, inTransit, leg2); s.add(5, arrived) },
			status: arrived,
		},
		"a leg-bound event without a leg, before the latest leg": {
			tell:   func(s *story) { s.add(2, arrived); s.add(3, inTransit, leg2) },
			status: inTransit,
		},
		"a departure without a leg after the last arrival is a new leg": {
			tell:   func(s *story) { s.add(1, inTransit); s.add(2, arrived); s.add(3, inTransit) },
			status: inTransit,
		},
		"but not at the time of the arrival": {
			tell:   func(s *story) { s.add(1, inTransit); s.add(2, arrived); s.add(2, inTransit) },
			status: arrived,
		},
		"nor after out for delivery": {
			tell:   func(s *story) { s.add(2, arrived); s.add(3, outFor); s.add(4, inTransit) },
			status: outFor,
		},
		"a transfer at the time of the next departure is over": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(3, transfer); s.add(3, inTransit, leg2) },
			status: inTransit,
		},
		"the flight's date and designator in other ways": {
			tell: func(s *story) {
				s.add(1, arrived, leg1)
				s.add(2, inTransit, leg2)
				s.add(4, arrived, func(e *tracking.Event) { e.Transport = &tracking.Transport{Number: "LA0501"} })
			},
			status: arrived,
		},
		"delivered": {tell: func(s *story) { s.add(1, accepted); s.add(2, delivered) }, status: delivered},
		"late departure after delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(3, inTransit, leg1) },
			status: delivered,
		},
		"departure that occurs after delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(6, inTransit, leg1) },
			status: delivered, anomalies: []string{tracking.PostTerminal},
		},
		"departure at the time of delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(5, inTransit, leg1) },
			status: delivered,
		},
		"lost and found at one time": {
			tell:   func(s *story) { s.add(1, accepted); s.add(5, lost); s.add(5, none, exception("cleared")) },
			status: accepted,
		},
		"a new plan does not end trouble": {
			tell:   func(s *story) { s.add(5, none, exception("on_hold")); s.add(6, announced) },
			status: announced, exception: "on_hold",
		},
		"returned after delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(8, returned) },
			status: returned,
		},
		"returned before delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(4, returned) },
			status: delivered,
		},
		"the latest ending stands": {
			tell:   func(s *story) { s.add(7, returned); s.add(5, cancelled); s.add(6, lost) },
			status: returned,
		},
		"lost, then delivered":  {tell: func(s *story) { s.add(9, delivered); s.add(5, lost) }, status: delivered},
		"lost, then found":      {tell: func(s *story) { s.add(1, accepted); s.add(5, lost); s.add(6, none, exception("cleared")) }, status: accepted},
		"found, then lost":      {tell: func(s *story) { s.add(1, accepted); s.add(7, lost); s.add(6, none, exception("cleared")) }, status: lost},
		"exception":             {tell: func(s *story) { s.add(1, accepted); s.add(5, none, exception("on_hold")) }, status: accepted, exception: "on_hold"},
		"latest exception":      {tell: func(s *story) { s.add(7, none, exception("missing")); s.add(5, none, exception("on_hold")) }, status: unknown, exception: "missing"},
		"progress ends trouble": {tell: func(s *story) { s.add(6, loaded, leg1); s.add(5, none, exception("on_hold")) }, status: loaded},
		"progress at the same time does not": {
			tell:   func(s *story) { s.add(5, loaded, leg1); s.add(5, none, exception("on_hold")) },
			status: loaded, exception: "on_hold",
		},
		"found at the same time does": {
			tell:   func(s *story) { s.add(5, none, exception("cleared")); s.add(5, none, exception("missing")) },
			status: unknown,
		},
		"found ends what was missing": {
			tell:   func(s *story) { s.add(6, none, exception("cleared:missing")); s.add(5, none, exception("missing")) },
			status: unknown,
		},
		"found ends nothing else": {
			tell: func(s *story) {
				s.add(5, none, exception("missing"))
				s.add(4, none, exception("customs"))
				s.add(6, none, exception("cleared:missing"))
			},
			status: unknown, exception: "customs",
		},
		"found, and missing again": {
			tell: func(s *story) {
				s.add(5, none, exception("missing"))
				s.add(6, none, exception("cleared:missing"))
				s.add(7, none, exception("missing"))
			},
			status: unknown, exception: "missing",
		},
		"papers found while the cargo is missing": {
			tell: func(s *story) {
				s.add(4, none, exception("missing"))
				s.add(5, none, exception("documents_missing"))
				s.add(6, none, exception("cleared:documents_missing"))
			},
			status: unknown, exception: "missing",
		},
		"all is well": {
			tell: func(s *story) {
				s.add(4, none, exception("missing"))
				s.add(5, none, exception("customs"))
				s.add(6, none, exception("cleared"))
			},
			status: unknown,
		},
		"lost, then found as cargo": {
			tell:   func(s *story) { s.add(1, accepted); s.add(5, lost); s.add(6, none, exception("cleared:missing")) },
			status: accepted,
		},
		"lost, and cleared by customs": {
			tell:   func(s *story) { s.add(1, accepted); s.add(5, lost); s.add(6, none, exception("cleared:customs")) },
			status: lost,
		},
		"clearance is progress": {
			tell: func(s *story) {
				s.add(4, none, exception("delayed"))
				s.add(5, loaded, leg1, exception("cleared:customs"))
			},
			status: loaded,
		},
		"a milestone that is itself trouble": {
			tell:   func(s *story) { s.add(4, loaded, leg1); s.add(5, processing, exception("offloaded")) },
			status: loaded, exception: "offloaded",
		},
		"a later revision": {
			tell:   func(s *story) { s.add(5, delivered, revised("x", 2)); s.add(5, arrived, revised("x", 7)) },
			status: arrived,
		},
		"an older revision after the newer": {
			tell:   func(s *story) { s.add(5, arrived, revised("x", 7)); s.add(5, delivered, revised("x", 2)) },
			status: arrived,
		},
		"the same id twice": {
			tell:   func(s *story) { s.add(5, arrived, revised("x", 0)); s.add(5, arrived, revised("x", 0)) },
			status: arrived,
		},
		"one id for two occurrences": {
			tell:   func(s *story) { s.add(5, arrived, revised("x", 0)); s.add(6, delivered, revised("x", 0)) },
			status: arrived, anomalies: []string{tracking.IDConflict},
		},
		"voided":        {tell: func(s *story) { s.add(1, accepted); s.add(5, delivered); s.add(6, none, corrects(tracking.Void, "e2")) }, status: accepted},
		"voided before": {tell: func(s *story) { s.add(6, none, corrects(tracking.Void, "e3")); s.add(1, accepted); s.add(5, delivered) }, status: accepted},
		"replaced": {tell: func(s *story) {
			s.add(1, accepted)
			s.add(5, delivered)
			s.add(5, arrived, corrects(tracking.Replace, "e2"))
		}, status: arrived},
		"a void that is voided": {
			tell: func(s *story) {
				s.add(7, none, corrects(tracking.Void, "e4"))
				s.add(1, accepted)
				s.add(5, delivered)
				s.add(6, none, corrects(tracking.Void, "e3"))
			},
			status: delivered,
		},
		"another source cannot void": {
			tell: func(s *story) {
				s.add(5, delivered)
				s.add(6, none, corrects(tracking.Void, "e1")).Source = "other"
			},
			status: delivered,
		},
		"retracted under its own id": {
			tell: func(s *story) {
				s.add(1, accepted)
				s.add(5, delivered)
				s.add(6, none, revised("e2", 0), corrects(tracking.Void, "e2"))
			},
			status: accepted,
		},
		"retracted, then an older revision": {
			tell: func(s *story) {
				s.add(1, accepted)
				s.add(6, none, revised("x", 3), corrects(tracking.Void, "x"))
				s.add(5, delivered, revised("x", 2))
			},
			status: accepted,
		},
		"three corrections in a circle": {
			tell: func(s *story) {
				s.add(1, accepted, corrects(tracking.Replace, "e2"))
				s.add(2, delivered, corrects(tracking.Replace, "e3"))
				s.add(3, loaded, corrects(tracking.Replace, "e1"))
			},
			status: loaded,
		},
		"two corrections in a circle": {
			tell: func(s *story) {
				s.add(1, accepted, corrects(tracking.Replace, "e2"))
				s.add(2, delivered, corrects(tracking.Replace, "e1"))
			},
			status: accepted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			test.tell(s)
			trace := tracking.Fold(s.events)
			require.Equal(t, test.status, trace.Status)
			require.Equal(t, test.exception, trace.Exception)
			require.Equal(t, test.anomalies, trace.Anomalies)
		})
	}
}
