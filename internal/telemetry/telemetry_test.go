package telemetry

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func TestTheStandardVariablesNameTheService(t *testing.T) {
	for name, test := range map[string]struct{ service, attributes, want, wantVersion string }{
		"nothing set":          {want: "rastro", wantVersion: "1.2.3"},
		"a role":               {service: "rastro-ingest", want: "rastro-ingest", wantVersion: "1.2.3"},
		"attributes":           {attributes: "service.name=tracking,service.version=blue", want: "tracking", wantVersion: "blue"},
		"a name over them":     {service: "rastro-query", attributes: "service.name=tracking", want: "rastro-query", wantVersion: "1.2.3"},
		"attributes of others": {attributes: "deployment.environment.name=lima", want: "rastro", wantVersion: "1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_SERVICE_NAME", test.service)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", test.attributes)
			provider, err := NewTracerProvider(t.Context(), true, "1.2.3")
			require.NoError(t, err)
			defer func() { require.NoError(t, provider.Shutdown(t.Context())) }()
			_, span := provider.Tracer("test").Start(t.Context(), "span")
			recording, ok := span.(sdktrace.ReadOnlySpan)
			require.True(t, ok)
			of := func(key string) string {
				value, _ := recording.Resource().Set().Value(attribute.Key(key))
				return value.AsString()
			}
			require.Equal(t, test.want, of("service.name"))
			require.Equal(t, test.wantVersion, of("service.version"))
			require.Equal(t, "opentelemetry", of("telemetry.sdk.name"))
		})
	}
}
