package suggest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/suggest"
)

func TestClosest(t *testing.T) {
	fields := []string{"correlation_id", "aggregate_id", "event_type", "event_id", "timestamp", "payload", "kind"}
	for word, want := range map[string]string{
		"event_typ": "event_type", "eventType": "event_type", "EVENT-ID": "event_id", "timestanp": "timestamp", "aggergate_id": "aggregate_id",
		"correlationid": "correlation_id", "payloads": "payload", "knid": "kind", "x": "", "": "", "zebra": "", "ki": "",
		"a very long name that nobody could have meant to write": "",
	} {
		require.Equal(t, want, suggest.Closest(word, fields), word)
	}
}
