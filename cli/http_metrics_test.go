package cli

import (
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Metrics name tenants. At an address of their own they are told there and nowhere else, and nothing else is told there.
func TestMetricsAtAnAddressOfTheirOwn(t *testing.T) {
	e := newEnvironment(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	own := listener.Addr().String()
	e.process.MetricsListen = own

	app := newApp(options{}, surroundings{process: e.process, roles: []string{roleIngest}, logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, startApp(t.Context(), app), "listen for metrics on "+own, "somebody else is there")
	require.NoError(t, listener.Close())

	url, stop := e.serve(t, roleIngest)
	status, _ := e.do(t, http.MethodPost, url+"/api/v1/events", loadedEvent)
	require.Equal(t, http.StatusAccepted, status)
	require.Contains(t, scrape(t, "http://"+own), "rastro_ingest_events_total")
	status, _ = e.do(t, http.MethodGet, url+metricsPath, "")
	require.Equal(t, http.StatusNotFound, status)
	for _, path := range []string{"/", livePath, "/api/v1/events/health", "/debug/pprof/"} {
		status, _ = e.do(t, http.MethodGet, "http://"+own+path, "")
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, _ = e.do(t, http.MethodPost, "http://"+own+metricsPath, "")
	require.Equal(t, http.StatusMethodNotAllowed, status)
	stop()
	listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", own)
	require.NoError(t, err, "it has stopped with the process")
	require.NoError(t, listener.Close())
}
