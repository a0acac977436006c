package dcsa

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// Every code of the standard is taken in both versions without a remark about it, and the catalogue says what it means.
func TestEveryCodeOfTheStandard(t *testing.T) {
	file, err := os.Open("../../../config/milestones.yaml")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	catalog, err := tracking.LoadCatalog(file)
	require.NoError(t, err)
	for kind, codes := range kinds {
		for _, code := range codes {
			field := codeFields[kind]
			for version, body := range map[string]string{
				"3.0.0": fmt.Sprintf(`{"events":[{"eventID":"1","eventDateTime":"2026-01-20T12:30:00Z","eventUpdatedDateTime":"2026-01-20T12:31:00Z",
					"eventRouting":{"originatingParty":{"partyCode":"EXCO"}},"eventClassification":{"eventTypeCode":%q,"eventClassifierCode":"ACT",%q:%q},
					"shipmentDetails":{"documentReference":{"typeCode":"BKG","reference":"B1"}},"equipmentDetails":{"equipmentReference":"APZU4812090"}}]}`, kind, field, code),
				"2.2": fmt.Sprintf(`[{"eventID":"84db923d-2a19-4eb0-beb5-446c1ec57d34","eventType":%q,"eventClassifierCode":"ACT",%q:%q,"eventDateTime":"2026-01-20T12:30:00Z",
					"eventCreatedDateTime":"2026-01-20T12:31:00Z","documentID":"B1","documentTypeCode":"BKG","emptyIndicatorCode":"LADEN","equipmentReference":"APZU4812090",
					"transportCall":{"transportCallID":"1"}}]`, kind, field, code),
			} {
				results, err := Decode([]byte(body), formats.Options{DefaultSource: "s"})
				require.NoError(t, err)
				require.True(t, results[0].OK(), "%s %s %s: %v", version, kind, code, results[0].Findings)
				require.Equal(t, code, results[0].Event.Type)
				for _, f := range results[0].Findings {
					require.False(t, strings.HasSuffix(f.Field, field), "%s %s: %s", version, code, f.Message)
				}
				_, known := catalog.Lookup(tracking.Equipment, code)
				require.True(t, known, "%s of %s", code, kind)
			}
		}
	}
}
