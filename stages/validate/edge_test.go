package validate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

// What the edge accepts the shipped schema must not reject: a sender that was told "accepted" would never hear of it.
func TestEdgeAndSchemaAgreeOnCodes(t *testing.T) {
	stage := newStage(t, settings())
	for field, codes := range map[string]map[string]bool{
		"iata":     {"LIM": true, "lim": true, "LIMA": false, "L1M": false, "ÑAN": false},
		"icao":     {"SPJC": true, "KJFK": true, "SP": false, "SPJ-": false},
		"unlocode": {"PELIM": true, "PE LIM": true, "US2AB": true, "US1AB": false, "PEL IM": false, "PELIMA": false},
		"gln":      {"0614141073467": true, "061414107346": false, "06141410734AB": false},
	} {
		for code, right := range codes {
			body := fmt.Sprintf(`{"tenant_id":"t","correlation_id":"c","aggregate_id":"a","event_type":"loaded",`+
				`"timestamp":"2026-06-20T22:55:01-05:00","location":{%q:%q}}`, field, code)
			results, err := native.Decode([]byte(body), native.JSON, formats.Options{DefaultSource: "s"})
			require.NoError(t, err)
			require.Equal(t, right, results[0].OK(), "%s %q at the edge: %v", field, code, results[0].Findings)
			if !right {
				require.Equal(t, "location."+field, results[0].Findings[0].Field)
				continue
			}
			batch := pipeline.NewBatch([]*tracking.Event{results[0].Event})
			results[0].Event.ReceivedAt = clock
			require.NoError(t, stage.Process(t.Context(), batch))
			require.Equal(t, pipeline.Pass, batch.Verdict(0).Outcome, "%s %q: %v", field, code, batch.Verdict(0).Reason)
		}
	}
}
