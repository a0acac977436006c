package cargoimp_test

import (
	"os"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cargoimp"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
)

var received = time.Date(2026, 6, 25, 12, 0, 0, 0, time.UTC)

func options(t testing.TB) formats.Options {
	t.Helper()
	airports, err := os.Open("../../../config/reference/airports.csv")
	require.NoError(t, err)
	places, err := tracking.LoadPlaces(airports)
	require.NoError(t, err)
	require.NoError(t, airports.Close())
	carriers, err := os.Open("../../../config/reference/airlines.csv")
	require.NoError(t, err)
	airlines, err := tracking.LoadAirlines(carriers)
	require.NoError(t, err)
	require.NoError(t, carriers.Close())
	return formats.Options{DefaultSource: "demo-cargo-imp", ReceivedAt: received, Places: places, Airlines: airlines}
}

func TestSamples(t *testing.T) {
	opt := options(t)
	golden.Check(t, "testdata/*.txt", "demo-cargo-imp", func(body []byte, _ formats.Options) ([]formats.Result, error) {
		return cargoimp.Decode(body, opt)
	})
}
