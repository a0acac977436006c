package baggage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/baggage"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
)

// passengerOf is one passenger of a message that the property test writes, and his bags.
type passengerOf struct {
	carrier, number, airport, class string
	day                             time.Time
	first, bags                     int // of the tags
	issuer                          string
	surname, given, seat, booking   string
	weight                          int
}

// written is a message that the property test writes.
type written struct {
	kind, change, indicator, station string
	at                               time.Time // zero: none
	facility                         string
	passengers                       []passengerOf
	repeat                           bool
}

var stations = map[string]string{"LIM": "America/Lima", "JFK": "America/New_York", "OSL": "Europe/Oslo", "SYD": "Australia/Sydney"}

func drawMessage(t *rapid.T) written {
	word := func(name string, pattern string) string { return rapid.StringMatching(pattern).Draw(t, name) }
	w := written{
		kind: rapid.SampledFrom([]string{"BSM", "BPM", "BTM", "BUM", "BNS", "BMM"}).Draw(t, "kind"), indicator: rapid.SampledFrom([]string{"L", "T", "R"}).Draw(t, "indicator"),
		station: rapid.SampledFrom([]string{"LIM", "JFK", "OSL", "SYD"}).Draw(t, "station"), repeat: rapid.Bool().Draw(t, "repeat"),
	}
	if w.kind == "BSM" || w.kind == "BTM" {
		w.change = rapid.SampledFrom([]string{"", "CHG", "DEL"}).Draw(t, "change")
	}
	zone, err := time.LoadLocation(stations[w.station])
	require.NoError(t, err)
	if w.kind == "BPM" {
		w.at = received.Add(-time.Duration(rapid.IntRange(0, 290*24*3600).Draw(t, "ago")) * time.Second).In(zone)
		w.facility = word("facility", `[A-Z]{2,6}[0-9]{0,3}`)
	}
	for range rapid.IntRange(1, 4).Draw(t, "passengers") {
		day := received.AddDate(0, 0, -rapid.IntRange(-50, 290).Draw(t, "days ago")).In(zone)
		w.passengers = append(w.passengers, passengerOf{
			carrier: word("carrier", `[A-Z]{2}|[A-Z][0-9]`), number: word("number", `[0-9]{1,4}`), airport: word("airport", `[A-Z]{3}`), class: word("class", `[FJCY]`), day: day,
			first: rapid.IntRange(1, 999_900).Draw(t, "serial"), bags: rapid.IntRange(1, 40).Draw(t, "bags"), issuer: word("issuer", `[0-9][0-9]{2}[1-9]`),
			surname: word("surname", `Q[A-Z]{2,12}`), given: word("given", `X[A-Z]{2,8}`), seat: word("seat", `[1-9][0-9]?[A-K]`), booking: word("booking", `[A-Z0-9]{6}`),
			weight: rapid.IntRange(1, 99).Draw(t, "weight"),
		})
	}
	return w
}

// lines writes the message.
func (w written) lines() []string {
	lines := []string{w.kind}
	if w.change != "" {
		lines = append(lines, w.change)
	}
	if w.repeat {
		lines = append(lines, "PDM")
	}
	lines = append(lines, ".V/1"+w.indicator+w.station)
	if !w.at.IsZero() {
		lines = append(lines, strings.ToUpper(".J/S/AG/SC/"+w.at.Format("02Jan")+"/"+w.at.Format("150405")+"L/"+w.facility+"/"+w.facility))
	}
	for _, p := range w.passengers {
		lines = append(lines,
			strings.ToUpper(".F/"+p.carrier+p.number+"/"+p.day.Format("02Jan")+"/"+p.airport+"/"+p.class),
			fmt.Sprintf(".N/%s%06d%03d", p.issuer, p.first, p.bags), ".S/Y/"+p.seat+"/C/001/002//Y/A", fmt.Sprintf(".W/K/%d/%d", p.bags, p.weight), ".P/"+p.surname+"/"+p.given, ".L/"+p.booking)
	}
	return append(lines, "END"+w.kind)
}

// Whatever is written as a message is read again.
func TestWhatIsWrittenIsRead(t *testing.T) {
	opt := options(t)
	rapid.Check(t, func(t *rapid.T) {
		w := drawMessage(t)
		separator := rapid.SampledFrom([]string{"\r\n", "\n", " ", " / "}).Draw(t, "separator")
		body := strings.Join(w.lines(), separator)
		if rapid.Bool().Draw(t, "envelope") {
			body = "\x01QU LIMXXLA\r\n.LIMRSLA " + received.Add(-time.Hour).Format("021504") + "\r\n\x02" + body + "\r\n\x03"
		}
		results, err := baggage.Decode([]byte(body), opt)
		require.NoError(t, err)
		i := 0
		for _, p := range w.passengers {
			for k := range p.bags {
				r := results[i]
				i++
				golden.Sound(t, r)
				require.True(t, r.OK(), "%+v", r.Findings)
				e := r.Event
				require.Equal(t, fmt.Sprintf("%s%06d", p.issuer, p.first+k), e.AggregateID)
				require.Equal(t, e.AggregateID, e.CorrelationID)
				require.True(t, strings.HasPrefix(e.Type, w.kind), e.Type)
				if w.change != "" {
					require.Equal(t, w.kind+"."+w.change, e.Type)
					require.Equal(t, tracking.Replace, e.Corrects.Kind)
				}
				require.Equal(t, w.station, e.Location.IATA)
				require.Equal(t, w.facility, e.Location.Facility)
				require.Equal(t, &tracking.Transport{
					Mode: "air", Carrier: p.carrier, Number: p.number, Date: p.day.Format(time.DateOnly), Origin: w.station, Destination: p.airport,
				}, e.Transport)
				if !w.at.IsZero() {
					require.Equal(t, w.at.Format("2006-01-02T15:04:05"), e.OccurredAt.Format("2006-01-02T15:04:05"))
				}
				require.Equal(t, e.AggregateID, e.Personal.Subject)
				var kept struct {
					Names            []struct{ Surname string }
					Seat             string
					BookingReference []string `json:"booking_reference"`
				}
				require.NoError(t, json.Unmarshal(e.Personal.Data, &kept))
				require.Equal(t, p.surname, kept.Names[0].Surname)
				require.Equal(t, p.seat, kept.Seat)
				require.Equal(t, []string{p.booking}, kept.BookingReference)
				require.NotContains(t, string(e.Payload), p.surname)
				require.NotContains(t, e.EventID, p.surname)
				if len(w.passengers) == 1 {
					require.Contains(t, body, strings.TrimSpace(text(t, e)))
					require.True(t, strings.HasPrefix(text(t, e), w.kind))
				}
			}
		}
		require.Len(t, results, i)
		// Sent again, it has the same ids.
		again, err := baggage.Decode([]byte(body), opt)
		require.NoError(t, err)
		for i := range results {
			require.Equal(t, results[i].Event.EventID, again[i].Event.EventID)
			require.Equal(t, results[i].Event.Revision, again[i].Event.Revision)
		}
	})
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		f.Add(read(f, file))
	}
	for _, body := range []string{
		"QU LIMXXLA\r\n.LIMRSLA 201530 PDM\r\n\x02BTM\r\nCHG\r\n.V/1TJFK/PART1/77/A\r\n.I/LA2468/20JUN/LIM\r\n.F/BA178/21JUN/LHR\r\n.N/0045000001999\r\n.P/2A/B/C\r\nENDPART1\r\n\x03",
		"BSM/.V/1LOSL/.F/SK4416/05FEB/TOS/C/.N/0117814872001/.S/N/05A/C/051/051//N/I/.W/P/1/.P/X/Y/.L/ABC/.Y/SK1/.C/G/.G/1/2/3/.E/PRIO/ENDBSM",
		"BPM .V/1LTPE .J/R///18APR/002903L/TIAT2/ .F/BR0026/17APR/SEA/Y .B/UNS/0695463055001 .I/BR0266/17APR/PNH/Y .D/A/B/17APR/0100Z/C/D .H/1/2/3 .U/AKE1LA .X//CLR .R/A .K/B ENDBPM",
		"=TEXT\nBCM\nFOM\n.V/1LMUC\n.F/LH2860/29JAN/BUD\nENDBCM\nBXM\n.V/1LMUC\nENDBXM\nBNS\n.V/1\xd1LIM\n.B/OFF\n.N/0045000001\nstray\nBUM DEL\n.V/1XJFK\n.N/0000000000003/1045000001002\nNNNN",
	} {
		f.Add([]byte(body))
	}
	opt := options(f)
	opt.MaxEvents = 2000
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		results, err := baggage.Decode(body, opt)
		require.Equal(t, before, body)
		if err != nil {
			var fault *formats.BodyError
			require.ErrorAs(t, err, &fault)
			return
		}
		require.NotEmpty(t, results)
		require.LessOrEqual(t, len(results), opt.MaxEvents)
		size := 0
		for i, r := range results {
			require.Equal(t, i, r.Index)
			golden.Sound(t, r)
			if !r.OK() {
				continue
			}
			size += len(r.Event.Payload)
			_, err := tracking.ParseBagTag(r.Event.CorrelationID)
			require.NoError(t, err)
			require.NotContains(t, r.Event.Type, " ")
			if r.Event.Personal != nil {
				require.True(t, json.Valid(r.Event.Personal.Data))
				require.LessOrEqual(t, len(r.Event.Personal.Data), tracking.MaxPersonalBytes)
			}
		}
		require.LessOrEqual(t, size, 32<<20)
		again, err := baggage.Decode(body, opt)
		require.NoError(t, err)
		require.Equal(t, results, again)
	})
}

func BenchmarkDecode(b *testing.B) {
	const bag = "BPM\r\n.V/1LLIM\r\n.J/S/SORT1/CI621/20JUN/2115L/LB9/LB9\r\n.F/LA2468/20JUN/JFK/Y\r\n.N/0045123456001\r\n.S/Y/14C/C/031//N\r\n.W/K/1/17\r\n.P/QUISPE/ANA\r\n.X//CLR///HBS302/HBSLEVEL1\r\nENDBPM\r\n"
	for name, body := range map[string]string{"single": bag, "hundred": strings.Repeat(bag, 100), "manifest": "BMM\r\n.V/1LLIM\r\n.F/LA2468/20JUN/JFK\r\n.U/AKE1LA\r\n" + strings.Repeat(".N/0045123456001\r\n", 300) + "ENDBMM\r\n"} {
		b.Run(name, func(b *testing.B) {
			opt := options(b)
			text := []byte(body)
			events := 0
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				results, err := baggage.Decode(text, opt)
				if err != nil || !results[0].OK() {
					b.Fatal(err, results)
				}
				events += len(results)
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
