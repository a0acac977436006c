package cloudevents_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

// headers are those of an event in binary mode; more of them are given as name and value.
func headers(more ...string) http.Header {
	h := http.Header{}
	all := append([]string{
		"Content-Type", "application/json; charset=utf-8", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s",
		"ce-type", "com.andes.parcel.loaded", "ce-subject", "AX1", "ce-time", "2026-06-20T10:05:00-05:00",
	}, more...)
	for i := 0; i < len(all); i += 2 {
		h.Set(all[i], all[i+1])
	}
	return h
}

func TestBinaryIsStructured(t *testing.T) {
	data := `{ "a" : 1.0 }`
	results, err := cloudevents.DecodeBinary(headers("ce-location", `{"iata":"LIM"}`, "ce-kind", "baggage"), []byte(data), formats.Options{})
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Empty(t, results[0].Findings)
	want := one(t, "{"+required+`,"location":"{\"iata\":\"LIM\"}","kind":"baggage","data":`+data+`}`)
	require.Equal(t, want.Event, results[0].Event)
	require.True(t, cloudevents.IsBinary(headers()))
	require.False(t, cloudevents.IsBinary(headers("Content-Type", "application/cloudevents+json")))
	require.False(t, cloudevents.IsBinary(http.Header{}))
}

func TestBinaryData(t *testing.T) {
	for _, test := range []struct{ media, body, payload string }{
		{"application/json", "", ""}, {"application/vnd.x+json", "[1]", "[1]"}, {"text/plain", "a\"b", `"a\"b"`},
		{"application/octet-stream", "\xff\x00", `"/wA="`}, {"", "7", "7"},
	} {
		results, err := cloudevents.DecodeBinary(headers("Content-Type", test.media), []byte(test.body), formats.Options{})
		require.NoError(t, err)
		require.True(t, results[0].OK(), results[0].Findings)
		require.Equal(t, test.payload, string(results[0].Event.Payload))
	}
	_, err := cloudevents.DecodeBinary(headers(), []byte("{"), formats.Options{})
	var fault *formats.BodyError
	require.ErrorAs(t, err, &fault)
}

func TestBinaryHeaders(t *testing.T) {
	results, err := cloudevents.DecodeBinary(headers("ce-subject", "Euro%20%E2%82%AC", "ce-source", `"/quoted"`), nil, formats.Options{})
	require.NoError(t, err)
	require.Equal(t, "Euro €", results[0].Event.AggregateID)
	require.Equal(t, "/quoted", results[0].Event.Source)
	require.Equal(t, tracking.Parcel, results[0].Event.Kind)
	for _, test := range []struct{ name, value, field, code string }{
		{"ce-time", "yesterday", "ce-time", "format"}, {"ce-id", "%zz", "ce-id", "format"}, {"ce-id", "%ff", "ce-id", "format"},
		{"ce-datacontenttype", "text/plain", "ce-datacontenttype", "unknown_field"}, {"ce-specversion", "0.3", "ce-specversion", "enum"},
	} {
		results, err := cloudevents.DecodeBinary(headers(test.name, test.value), nil, formats.Options{})
		require.NoError(t, err)
		require.False(t, results[0].OK())
		require.Equal(t, test.field, results[0].Findings[0].Field)
		require.Equal(t, test.code, results[0].Findings[0].Code)
	}
	twice := headers()
	twice.Add("ce-id", "2")
	results, err = cloudevents.DecodeBinary(twice, nil, formats.Options{})
	require.NoError(t, err)
	require.Equal(t, formats.CodeDuplicateField, results[0].Findings[0].Code)
}
