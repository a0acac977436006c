package formats_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

func TestIsCloudEvents(t *testing.T) {
	for body, want := range map[string]bool{
		`{"specversion":"1.0"}`:                true,
		"\xef\xbb\xbf [ {\"specversion\":1},x": true,
		`{"a":{"specversion":"1.0"}}`:          false,
		`{"correlation_id":"x"}`:               false,
		`[{},{"specversion":"1.0"}]`:           false,
		`[]`:                                   false,
		`[1]`:                                  false,
		`{"specversion":"1.0"`:                 false,
		``:                                     false,
		`"specversion"`:                        false,
	} {
		require.Equal(t, want, formats.IsCloudEvents([]byte(body)), body)
	}
}

func TestAside(t *testing.T) {
	finding := func(s formats.Severity) []formats.Finding { return []formats.Finding{{Severity: s}} }
	require.True(t, formats.Result{Findings: finding(formats.SeverityInfo)}.Aside())
	require.False(t, formats.Result{Findings: finding(formats.SeverityError)}.Aside())
	require.False(t, formats.Result{Event: &tracking.Event{}, Findings: finding(formats.SeverityInfo)}.Aside())
}
