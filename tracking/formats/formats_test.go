package formats_test

import (
	"testing"

	"github.com/stretchr/testify/require"

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

func TestClosest(t *testing.T) {
	fields := []string{"correlation_id", "aggregate_id", "event_type", "event_id", "timestamp", "payload", "kind"}
	for word, want := range map[string]string{
		"event_typ": "event_type", "eventType": "event_type", "EVENT-ID": "event_id", "timestanp": "timestamp", "aggergate_id": "aggregate_id",
		"correlationid": "correlation_id", "payloads": "payload", "knid": "kind", "x": "", "": "", "zebra": "", "ki": "",
		"a very long name that nobody could have meant to write": "",
	} {
		require.Equal(t, want, formats.Closest(word, fields), word)
	}
}
