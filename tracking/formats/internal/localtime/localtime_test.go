package localtime_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	require.NoError(t, err)
	return z
}

func TestIn(t *testing.T) {
	lima, auckland := zone(t, "America/Lima"), zone(t, "Pacific/Auckland")
	for _, test := range []struct {
		received, text string
		zone           *time.Location
		want           string
		quality        tracking.TimeQuality
		far            bool
	}{
		{"2026-06-21T00:00:00Z", "20JUN1510", lima, "2026-06-20T15:10:00-05:00", tracking.YearInferred, false},
		{"2026-06-21T00:00:00Z", "20jun1510L", lima, "2026-06-20T15:10:00-05:00", tracking.YearInferred, false},
		{"2026-06-21T00:00:00Z", "20JUN1510Z", lima, "2026-06-20T15:10:00Z", tracking.YearInferred, false},
		{"2026-06-21T00:00:00Z", "20JUN151030", lima, "2026-06-20T15:10:30-05:00", tracking.YearInferred, false},
		{"2026-06-21T00:00:00Z", "20JUN1510", nil, "2026-06-20T15:10:00Z", tracking.ZoneInferred, false},
		{"2026-06-21T00:00:00Z", "20JUN", lima, "2026-06-20T00:00:00-05:00", tracking.DateOnly, false},
		{"2026-06-21T00:00:00Z", "20JUN25", lima, "2025-06-20T00:00:00-05:00", tracking.DateOnly, false},
		{"2026-01-02T00:00:00Z", "31DEC2350", lima, "2025-12-31T23:50:00-05:00", tracking.YearInferred, false},
		{"2025-12-31T23:00:00Z", "01JAN0030", lima, "2026-01-01T00:30:00-05:00", tracking.YearInferred, false},
		{"2025-12-31T12:00:00Z", "01JAN0130", auckland, "2026-01-01T01:30:00+13:00", tracking.YearInferred, false},
		{"2026-11-30T00:00:00Z", "20JAN1200", lima, "2027-01-20T12:00:00-05:00", tracking.YearInferred, false},
		{"2026-11-30T00:00:00Z", "10FEB1200", lima, "2026-02-10T12:00:00-05:00", tracking.YearInferred, false},
		{"2026-11-30T00:00:00Z", "01FEB1200", lima, "2027-02-01T12:00:00-05:00", tracking.YearInferred, true},
		{"2028-03-01T00:00:00Z", "29FEB1200", lima, "2028-02-29T12:00:00-05:00", tracking.YearInferred, false},
		{"2026-06-21T00:00:00Z", "20JUN0001", lima, "2026-06-20T00:01:00-05:00", tracking.YearInferred, false},
		{"2026-06-21T00:00:00Z", "20JUN2400", lima, "2026-06-21T00:00:00-05:00", tracking.YearInferred, false},
	} {
		received, err := time.Parse(time.RFC3339, test.received)
		require.NoError(t, err)
		date, clock, err := localtime.Parse(test.text)
		require.NoError(t, err)
		got, err := date.In(received, test.zone, clock)
		require.NoError(t, err)
		require.Equal(t, test.want, got.Time.Format(time.RFC3339), test.text)
		require.Equal(t, test.quality, got.Quality, test.text)
		require.Equal(t, test.far, got.Far, test.text)
	}
	date, clock, err := localtime.Parse("29FEB1200")
	require.NoError(t, err)
	_, err = date.In(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), nil, clock)
	require.Error(t, err)
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "20", "20JU", "20JUX", "00JUN", "31JUN", "30FEB", "29FEB25", "20JUN9", "20JUN123", "20JUN2500", "20JUN1260", "20JUN12345", "2OJUN1200", "20JUN1200X",
		"20JUN0000000000000000", "0/8MAY", "20JUNL",
	} {
		_, _, err := localtime.Parse(text)
		require.Error(t, err, text)
	}
	for _, text := range []string{"", "Z", "12", "2401", "1260", "126060", "12345", "-100", "12:30"} {
		_, err := localtime.ParseClock(text)
		require.Error(t, err, text)
	}
}

func TestNear(t *testing.T) {
	lima := zone(t, "America/Lima")
	for _, test := range []struct{ schedule, clock, want string }{
		{"2026-06-20T23:50:00-05:00", "0012", "2026-06-21T00:12:00-05:00"},
		{"2026-06-20T00:10:00-05:00", "2355", "2026-06-19T23:55:00-05:00"},
		{"2026-06-20T07:20:00-05:00", "1008", "2026-06-20T10:08:00-05:00"},
		{"2026-06-20T23:50:00-05:00", "0500Z", "2026-06-21T05:00:00Z"},
	} {
		schedule, err := time.Parse(time.RFC3339, test.schedule)
		require.NoError(t, err)
		clock, err := localtime.ParseClock(test.clock)
		require.NoError(t, err)
		require.Equal(t, test.want, clock.Near(schedule, lima).Format(time.RFC3339))
	}
}

func TestDayTime(t *testing.T) {
	for _, test := range []struct{ received, text, want string }{
		{"2026-06-21T00:00:00Z", "200739", "2026-06-20T07:39:00Z"},
		{"2026-07-01T00:10:00Z", "302359", "2026-06-30T23:59:00Z"},
		{"2026-03-01T00:10:00Z", "310800", "2026-01-31T08:00:00Z"},
		{"2026-06-30T23:59:00Z", "010001", "2026-07-01T00:01:00Z"},
	} {
		received, err := time.Parse(time.RFC3339, test.received)
		require.NoError(t, err)
		got, err := localtime.DayTime(test.text, received)
		require.NoError(t, err)
		require.Equal(t, test.want, got.Format(time.RFC3339))
	}
	for _, text := range []string{"", "000000", "320000", "202500", "20073"} {
		_, err := localtime.DayTime(text, time.Now())
		require.Error(t, err, text)
	}
}

// Whatever happened within the frame is found again from its day and time.
func TestAnyTimeWithinTheFrameIsFound(t *testing.T) {
	zones := []string{"America/Lima", "Pacific/Auckland", "Asia/Kathmandu", "Pacific/Honolulu", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		z, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		require.NoError(t, err)
		received := time.Unix(rapid.Int64Range(1_000_000_000, 4_000_000_000).Draw(t, "received"), 0).UTC()
		ago := rapid.Int64Range(-59*24*60, 299*24*60).Draw(t, "minutes ago")
		happened := received.Add(-time.Duration(ago) * time.Minute).Truncate(time.Minute).In(z)
		date, clock, err := localtime.Parse(happened.Format("02Jan1504"))
		require.NoError(t, err)
		got, err := date.In(received, z, clock)
		require.NoError(t, err)
		require.Equal(t, happened.Format("2006-01-02T15:04"), got.Time.Format("2006-01-02T15:04"))
		require.InDelta(t, 0, got.Time.Sub(happened).Hours(), 1) // an hour that the clocks repeat is told by nothing
		require.False(t, got.Far)
		require.Equal(t, tracking.YearInferred, got.Quality)
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"20JUN1510", "05FEB", "124657Z", "29FEB2400L", "20JUN26"} {
		f.Add(text)
	}
	received := time.Date(2026, 6, 21, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if date, clock, err := localtime.Parse(text); err == nil {
			if got, err := date.In(received, nil, clock); err == nil {
				require.NotZero(t, got.Time)
				require.InDelta(t, 0, got.Time.Sub(received).Hours(), 100*366*24)
			}
		}
		if clock, err := localtime.ParseClock(text); err == nil {
			require.InDelta(t, 0, clock.Near(received, nil).Sub(received).Hours(), 24)
		}
		if at, err := localtime.DayTime(text, received); err == nil {
			require.InDelta(t, 0, at.Sub(received).Hours(), 63*24)
		}
	})
}
