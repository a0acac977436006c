// Package golden compares what decoders make of sample bodies with files that people review. Run the tests with
// RASTRO_UPDATE_GOLDEN=1 to write them anew.
package golden

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// Decode decodes a body.
type Decode func(body []byte, opt formats.Options) ([]formats.Result, error)

type entry struct {
	Index    int               `json:"index"`
	Event    *tracking.Event   `json:"event,omitempty"`
	Findings []formats.Finding `json:"findings,omitempty"`
}

// Check decodes every file that a pattern names, and compares the results, without the payloads, with FILE.golden. Payloads
// must be JSON.
func Check(t *testing.T, pattern, source string, decode Decode) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file) //nolint:gosec // a test names its own files
			require.NoError(t, err)
			before := bytes.Clone(body)
			results, err := decode(body, formats.Options{DefaultSource: source})
			require.NoError(t, err)
			require.Equal(t, before, body, "the body must not be changed")
			entries := make([]entry, 0, len(results))
			for _, r := range results {
				Sound(t, r)
				e := entry{Index: r.Index, Findings: r.Findings}
				if r.OK() {
					e.Event = r.Event.Clone()
					e.Event.Payload = nil
				}
				entries = append(entries, e)
			}
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			require.NoError(t, encoder.Encode(entries))
			name := strings.TrimSuffix(file, ".json") + ".golden"
			if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(name, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(name) //nolint:gosec // a test names its own files
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

// Sound checks what holds of every result of a decoder.
func Sound(t require.TestingT, r formats.Result) {
	require.LessOrEqual(t, len(r.Findings), formats.MaxFindings)
	for _, f := range r.Findings {
		require.Equal(t, r.Index, f.Index)
		require.NotEmpty(t, f.Message)
		require.NotEmpty(t, f.Code)
		if r.OK() {
			require.NotEqual(t, formats.SeverityError, f.Severity)
		}
	}
	if !r.OK() {
		require.NotEmpty(t, r.Findings)
		return
	}
	e := r.Event
	for _, s := range []string{e.Source, e.EventID, e.CorrelationID, e.AggregateID, e.Type} {
		require.NotEmpty(t, s)
		require.LessOrEqual(t, len(s), formats.MaxIDBytes)
	}
	require.False(t, e.OccurredAt.IsZero())
	require.GreaterOrEqual(t, e.Revision, int64(0))
	require.NotEmpty(t, e.Classifier)
	require.True(t, len(e.Payload) == 0 || json.Valid(e.Payload), "%s", e.Payload)
}
