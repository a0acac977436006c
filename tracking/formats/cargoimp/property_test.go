package cargoimp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/cargoimp"
)

// drawn is a status as a carrier means it.
type drawn struct {
	code, line string
	at         time.Time
	dateOnly   bool
	station    string
	flight     string
	origin     string
	to         string
	name       string
	reason     string
	pieces     int
	weight     string
}

var stations = map[string]string{"LIM": "America/Lima", "JFK": "America/New_York", "FRA": "Europe/Berlin", "SYD": "Australia/Sydney", "DEL": "Asia/Kolkata"}

// status draws a status of the standard and writes its line as the standard has it.
func status(t *rapid.T, total int) drawn {
	s := drawn{
		pieces: rapid.IntRange(1, total).Draw(t, "pieces"),
		weight: rapid.StringMatching(`[1-9]\d{0,3}(\.\d)?`).Draw(t, "weight"),
		at:     received.Add(-time.Duration(rapid.IntRange(2*24*60, 290*24*60).Draw(t, "minutes ago")) * time.Minute),
	}
	s.station = rapid.SampledFrom([]string{"LIM", "JFK", "FRA", "SYD", "DEL"}).Draw(t, "station")
	s.to = rapid.SampledFrom([]string{"LIM", "JFK", "FRA", "SYD", "DEL"}).Draw(t, "to")
	zone, err := time.LoadLocation(stations[s.station])
	require.NoError(t, err)
	s.at = s.at.In(zone)
	s.flight = rapid.StringMatching(`(LA|KZ|5X|O3)[1-9]\d{2,3}`).Draw(t, "flight")
	carrier := rapid.SampledFrom([]string{"LA", "5X", "CX"}).Draw(t, "carrier")
	quantity := fmt.Sprintf("P%dK%s", s.pieces, s.weight)
	if s.pieces == total {
		quantity = fmt.Sprintf("T%dL%s", s.pieces, s.weight)
	}
	day, minute := upper(s.at.Format("02Jan")), s.at.Format("1504")
	name := rapid.StringMatching(`[A-Z]{5,9}( [A-Z]{2,8})?( SAC)?`).Draw(t, "name")
	s.code = rapid.SampledFrom(strings.Fields(`BKD MAN PRE DEP FOH RCS DPU DOC ARR RCF AWR FIW FOW TFD RCT TRM CRC TGC CCD NFD AWD DLV DDL DIS`)).Draw(t, "code")
	fields := []string{s.code}
	switch s.code {
	case "BKD", "MAN", "PRE":
		s.dateOnly, s.origin = true, s.station
		fields = append(fields, s.flight, day, s.station+s.to, quantity, "S"+minute)
	case "DEP":
		s.origin = s.station
		fields = append(fields, s.flight, day, s.station+s.to, quantity, "A"+minute)
	case "ARR", "RCF", "AWR":
		s.to = s.station
		fields = append(fields, s.flight, day+minute, s.station, quantity)
	case "FIW", "FOW":
		s.to = ""
		fields = append(fields, s.flight, day+minute, s.station, quantity, "S"+minute, "A"+minute)
	case "TFD", "RCT", "TRM":
		s.flight, s.to = "", ""
		fields = append(fields, carrier, day+minute, s.station, quantity)
	case "DIS":
		s.to = ""
		s.reason = rapid.SampledFrom([]string{"MSCA", "FDCA", "OFLD", "SSPD", "MSAW"}).Draw(t, "reason")
		fields = append(fields, s.flight, day+minute, s.station, s.reason, quantity)
	default:
		s.flight, s.to = "", ""
		fields = append(fields, day+minute, s.station, quantity)
		if rapid.Bool().Draw(t, "named") {
			s.name = name
			fields = append(fields, name)
		}
	}
	s.line = strings.Join(fields, "/")
	return s
}

func upper(s string) string { return strings.ToUpper(s) }

// Whatever a carrier means and writes as the standard has it, that is what is read.
func TestStatusesComeBackAsTheyWereMeant(t *testing.T) {
	opt := options(t)
	rapid.Check(t, func(t *rapid.T) {
		serial := rapid.IntRange(0, 9_999_999).Draw(t, "serial")
		number := fmt.Sprintf("%03d-%07d%d", rapid.IntRange(0, 999).Draw(t, "prefix"), serial, serial%7)
		total := rapid.IntRange(1, 9999).Draw(t, "total")
		statuses := make([]drawn, rapid.IntRange(1, 5).Draw(t, "statuses"))
		lines := []string{
			fmt.Sprintf("FSU/%d", rapid.IntRange(8, 15).Draw(t, "version")), fmt.Sprintf("%sLIMJFK/T%dK505.0", number, total),
		}
		for i := range statuses {
			statuses[i] = status(t, total)
			lines = append(lines, statuses[i].line)
		}
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		results, err := cargoimp.Decode([]byte(strings.Join(lines, end)+end), opt)
		require.NoError(t, err)
		require.Len(t, results, len(statuses))
		for i, r := range results {
			s := statuses[i]
			require.True(t, r.OK(), "%s: %v", s.line, r.Findings)
			require.Empty(t, r.Findings, s.line)
			require.Equal(t, i+3, r.Line)
			e := r.Event
			require.Equal(t, number, e.CorrelationID)
			require.Equal(t, s.code, e.Type)
			require.Equal(t, s.station, e.Location.IATA)
			if s.dateOnly {
				require.Equal(t, tracking.DateOnly, e.TimeQuality)
				require.Equal(t, s.at.Format(time.DateOnly), e.OccurredAt.Format(time.DateOnly), s.line)
			} else {
				require.Equal(t, tracking.YearInferred, e.TimeQuality)
				require.InDelta(t, 0, e.OccurredAt.Sub(s.at).Hours(), 1, s.line) // where clocks go back an hour comes twice
				require.Equal(t, s.at.Format("2006-01-02T15:04"), e.OccurredAt.Format("2006-01-02T15:04"), s.line)
			}
			require.Equal(t, s.pieces, e.Quantity.Pieces)
			require.Equal(t, total, e.Quantity.TotalPieces)
			require.Equal(t, s.weight, strings.TrimSuffix(fmt.Sprintf("%.1f", e.Quantity.Weight), strings.Repeat(".0", 1-strings.Count(s.weight, "."))))
			p := payloadOf(t, r)
			require.Equal(t, []string{s.flight, s.name, s.reason}, []string{p.Flight, p.Name, p.Discrepancy})
			require.Equal(t, lines[0]+end+lines[1]+end+s.line+end, p.Raw)
			if s.flight == "" {
				require.Nil(t, e.Transport)
				continue
			}
			require.Equal(t, s.flight, e.Transport.Carrier+e.Transport.Number)
			require.Equal(t, []string{s.origin, s.to}, []string{e.Transport.Origin, e.Transport.Destination}, s.line)
			if s.origin != "" {
				require.Equal(t, s.at.Format(time.DateOnly), e.Transport.Date)
			}
		}
	})
}
