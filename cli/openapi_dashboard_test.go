package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// dashboardDocument is what the dashboard's types are made of: `make api` writes it, and the types after it.
const dashboardDocument = "../dashboard/src/api/openapi.json"

// The dashboard is compiled against the API that there is. RASTRO_UPDATE_GOLDEN=1 writes its document anew.
func TestTheDashboardsDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	address, _ := newEnvironment(t).serve(t, allRoles()...)
	var document map[string]any
	require.NoError(t, json.Unmarshal(readDocument(t, address).raw, &document))
	document["info"].(map[string]any)["version"] = "" // it differs from build to build
	stripExamples(document)
	var served bytes.Buffer
	encoder := json.NewEncoder(&served)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(document))
	if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(dashboardDocument, served.Bytes(), 0o644))
	}
	kept, err := os.ReadFile(dashboardDocument)
	require.NoError(t, err)
	require.Equal(t, string(kept), served.String(), "the API has changed: run `make api`")
}

// stripExamples takes out of a document what says nothing of its types, and would be most of it.
func stripExamples(node any) {
	switch n := node.(type) {
	case map[string]any:
		delete(n, "example")
		delete(n, "examples")
		for name, child := range n {
			if properties, ok := child.(map[string]any); ok && name == "properties" {
				for _, property := range properties { // one may be called so
					stripExamples(property)
				}
				continue
			}
			stripExamples(child)
		}
	case []any:
		for _, child := range n {
			stripExamples(child)
		}
	}
}
