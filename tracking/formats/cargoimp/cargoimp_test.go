package cargoimp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cargoimp"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
)

var received = time.Date(2026, 6, 25, 12, 0, 0, 0, time.UTC)

var reference = sync.OnceValue(func() formats.Options {
	t := panicking{}
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
})

// panicking fails what runs before there is a test to fail.
type panicking struct{}

func (panicking) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panicking) FailNow()                          {}

func options(t testing.TB) formats.Options {
	t.Helper()
	return reference()
}

func TestSamples(t *testing.T) {
	opt := options(t)
	golden.Check(t, "testdata/*.txt", "demo-cargo-imp", func(body []byte, _ formats.Options) ([]formats.Result, error) {
		return cargoimp.Decode(body, opt)
	})
}

func decode(t testing.TB, body string) []formats.Result {
	t.Helper()
	results, err := cargoimp.Decode([]byte(body), options(t))
	require.NoError(t, err)
	for _, r := range results {
		golden.Sound(t, r)
	}
	return results
}

func one(t testing.TB, body string) formats.Result {
	t.Helper()
	results := decode(t, body)
	require.Len(t, results, 1)
	return results[0]
}

const consignment = "FSU/14\n045-53806270LIMJFK/P2K101.0T10\n"

type payload struct {
	Flight      string `json:"flight"`
	FlightDate  string `json:"flight_date"`
	Carrier     string `json:"carrier"`
	Discrepancy string `json:"discrepancy"`
	Name        string `json:"name"`
	Manifest    string `json:"transfer_manifest"`
	Quantity    *struct {
		Code, Weight, Volume string
		VolumeUnit           string `json:"volume_unit"`
		DensityGroup         int    `json:"density_group"`
	} `json:"quantity"`
	Volume *struct {
		Volume       string
		DensityGroup int `json:"density_group"`
	} `json:"volume"`
	Times []struct {
		Of, Kind, Text string
		At             time.Time
	} `json:"times"`
	AWB      struct{ Airline string } `json:"awb"`
	ULD      string                   `json:"uld"`
	ULDs     []string                 `json:"ulds"`
	OSI, OCI []string
	Onward   []string `json:"onward"`
	Handling []string `json:"special_handling"`
	Goods    string   `json:"goods"`
	Other    []string `json:"other"`
	Flags    []string `json:"quality_flags"`
	Message  struct {
		Part int
		Last *bool
	} `json:"message"`
	Envelope struct {
		Priority, From string
		To             []string
		Sent           *time.Time
		Duplicate      bool `json:"possible_duplicate"`
	} `json:"envelope"`
	Raw      string `json:"raw"`
	RawBytes []byte `json:"raw_base64"`
}

func payloadOf(t require.TestingT, r formats.Result) payload {
	require.True(t, r.OK(), r.Findings)
	var p payload
	require.NoError(t, json.Unmarshal(r.Event.Payload, &p))
	return p
}

func codes(r formats.Result) []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("%d %s %s", f.Line, f.Field, f.Code))
	}
	return list
}

// Every status of the standard, in the form that it has there.
func TestStatuses(t *testing.T) {
	for line, want := range map[string]string{
		"BKD/LA2468/20JUN/LIMJFK/P2K101.0/S2350/S0820":          "LIM 2026-06-20T00:00:00-05:00 date_only actual LA2468 2026-06-20 LIM-JFK",
		"BKD/16JUN1317/LIM/ACME":                                "LIM 2026-06-16T13:17:00-05:00 year_inferred actual  ",
		"MAN/LA2468/20JUN/LIMJFK/P2K101.0/S2350":                "LIM 2026-06-20T00:00:00-05:00 date_only actual LA2468 2026-06-20 LIM-JFK",
		"PRE/LA2468/20JUN/LIMJFK/P2K101.0":                      "LIM 2026-06-20T00:00:00-05:00 date_only actual LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN/LIMJFK/P2K101.0":                      "LIM 2026-06-20T23:59:00-05:00 date_only actual LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN/LIMJFK/P2K101.0/A2355/E0810":          "LIM 2026-06-20T23:55:00-05:00 year_inferred actual LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN/LIMJFK/P2K101.0/A0012-N":              "LIM 2026-06-21T00:12:00-05:00 year_inferred actual LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN/LIMJFK/P2K101.0/S0010/A2355":          "LIM 2026-06-19T23:55:00-05:00 year_inferred actual LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN/LIMJFK/P2K101.0/S2350":                "LIM 2026-06-20T23:50:00-05:00 year_inferred planned LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN/LIMJFK/P2K101.0/E2350/S0820":          "LIM 2026-06-20T23:50:00-05:00 year_inferred estimated LA2468 2026-06-20 LIM-JFK",
		"DEP/LA2468/20JUN2351/LIMJFK/P2K101.0/S2350":            "LIM 2026-06-20T23:51:00-05:00 year_inferred actual LA2468 2026-06-20 LIM-JFK",
		"RCS/20JUN1510/LIM/P2K101.0/ANDES FREIGHT SAC/MC1.2DG3": "LIM 2026-06-20T15:10:00-05:00 year_inferred actual  ",
		"FOH/20JUN1510/LIM/P2K101.0/ANDES FREIGHT SAC":          "LIM 2026-06-20T15:10:00-05:00 year_inferred actual  ",
		"DPU/20JUN1510/LIM/P2K101.0":                            "LIM 2026-06-20T15:10:00-05:00 year_inferred actual  ",
		"DOC/20JUN1510/LIM/P2K101.0":                            "LIM 2026-06-20T15:10:00-05:00 year_inferred actual  ",
		"RCF/LA2468/21JUN0930/JFK/P2K101.0//A0811":              "JFK 2026-06-21T09:30:00-04:00 year_inferred actual LA2468  -JFK",
		"ARR/LA2468/21JUN0815/JFK/P2K101.0/S0820/A0811":         "JFK 2026-06-21T08:15:00-04:00 year_inferred actual LA2468  -JFK",
		"ARR/LA2468/21JUN/JFK/P2K101.0/S0820/E0911":             "JFK 2026-06-21T09:11:00-04:00 year_inferred estimated LA2468  -JFK",
		"AWR/LA2468/21JUN0930/JFK/P2K101.0":                     "JFK 2026-06-21T09:30:00-04:00 year_inferred actual LA2468  -JFK",
		"FIW/LA2468/21JUN1039/JFK/P2K101.0/S0720/A1008":         "JFK 2026-06-21T10:39:00-04:00 year_inferred actual LA2468  -",
		"FOW/LA2468/20JUN1039Z/LIM/P2K101.0":                    "LIM 2026-06-20T10:39:00Z year_inferred actual LA2468  -",
		"TFD/CX/21JUN1510/JFK/P2K101.0/12345/CARGO HANDLERS":    "JFK 2026-06-21T15:10:00-04:00 year_inferred actual  ",
		"RCT/CX/21JUN1510/JFK/P2K101.0/12345":                   "JFK 2026-06-21T15:10:00-04:00 year_inferred actual  ",
		"TRM/CX/21JUN/JFK/P2K101.0":                             "JFK 2026-06-21T00:00:00-04:00 date_only actual  ",
		"TRM/CX/JFK/P2K101.0":                                   "JFK 2026-06-25T12:00:00Z date_only actual  ",
		"CRC/21JUN1510/JFK/P2K101.0/LA2468":                     "JFK 2026-06-21T15:10:00-04:00 year_inferred actual LA2468  -",
		"TGC/21JUN1510/JFK/P2K101.0":                            "JFK 2026-06-21T15:10:00-04:00 year_inferred actual  ",
		"CCD/21JUN1510/JFK/P2K101.0":                            "JFK 2026-06-21T15:10:00-04:00 year_inferred actual  ",
		"NFD/21JUN1815/JFK/P2K101.0/HUDSON IMPORTS":             "JFK 2026-06-21T18:15:00-04:00 year_inferred actual  ",
		"AWD/21JUN1815/JFK/P2K101.0/HUDSON IMPORTS":             "JFK 2026-06-21T18:15:00-04:00 year_inferred actual  ",
		"DLV/22JUN0905/JFK/P2K101.0/HUDSON IMPORTS":             "JFK 2026-06-22T09:05:00-04:00 year_inferred actual  ",
		"DLV/22JUN/JFK/P2K101.0/HUDSON IMPORTS":                 "JFK 2026-06-22T23:59:00-04:00 date_only actual  ",
		"DDL/22JUN0905/JFK/P2K101.0/HUDSON IMPORTS":             "JFK 2026-06-22T09:05:00-04:00 year_inferred actual  ",
		"DIS/LA2468/22JUN0905/JFK/MSCA/P2K101.0":                "JFK 2026-06-22T09:05:00-04:00 year_inferred actual LA2468  -",
		"DIS//22JUN0905/JFK/FDAW":                               "JFK 2026-06-22T09:05:00-04:00 year_inferred actual  ",
	} {
		r := one(t, consignment+line+"\n")
		require.True(t, r.OK(), "%s: %v", line, r.Findings)
		e := r.Event
		flight, leg := "", ""
		if tr := e.Transport; tr != nil {
			flight, leg = tr.Carrier+tr.Number, tr.Date+" "+tr.Origin+"-"+tr.Destination
		}
		got := fmt.Sprintf("%s %s %s %s %s %s", e.Location.IATA, e.OccurredAt.Format(time.RFC3339), e.TimeQuality, e.Classifier, flight, leg)
		require.Equal(t, want, got, line)
		require.Equal(t, line[:3], e.Type)
		require.Equal(t, "045-53806270", e.CorrelationID)
		require.Equal(t, "045-53806270", e.AggregateID)
		require.Equal(t, tracking.Cargo, e.Kind)
		require.Equal(t, &tracking.Quantity{Pieces: 2, TotalPieces: 10, Weight: 101, WeightUnit: "kg"}, e.Quantity, line)
		for _, f := range r.Findings {
			require.Equal(t, formats.SeverityInfo, f.Severity, "%s: %v", line, f)
		}
		require.Equal(t, consignment+line+"\n", payloadOf(t, r).Raw)
	}
}

func TestDetails(t *testing.T) {
	p := payloadOf(t, one(t, consignment+"RCS/20JUN1510/LIM/S2L101.5MC1.2DG3/ANDES FREIGHT SAC/CF42DG7\n"))
	require.Equal(t, "ANDES FREIGHT SAC", p.Name)
	require.Equal(t, "1.2", p.Quantity.Volume)
	require.Equal(t, "m3", p.Quantity.VolumeUnit)
	require.Equal(t, 3, p.Quantity.DensityGroup)
	require.Equal(t, "42", p.Volume.Volume)
	require.Equal(t, 7, p.Volume.DensityGroup)
	require.Equal(t, "LA", p.AWB.Airline)
	p = payloadOf(t, one(t, consignment+"TFD/CX/21JUN1510/JFK/P2K101.0/12345/CARGO HANDLERS\n"))
	require.Equal(t, []string{"CX", "12345", "CARGO HANDLERS"}, []string{p.Carrier, p.Manifest, p.Name})
	p = payloadOf(t, one(t, consignment+"BKD/LA2468/20JUN/LIMJFK/P2/S2350/S0820\n"))
	require.Len(t, p.Times, 2)
	require.Equal(t, "2026-06-20T23:50:00-05:00", p.Times[0].At.Format(time.RFC3339))
	require.Equal(t, "2026-06-21T08:20:00-04:00", p.Times[1].At.Format(time.RFC3339))
	require.Equal(t, "arrival", p.Times[1].Of)
	p = payloadOf(t, one(t, consignment+"DIS/LA2468/22JUN0905/JFK/XXXX/P2K101.0\n"))
	require.Equal(t, "XXXX", p.Discrepancy)
	require.Equal(t, []string{cargoimp.CodeUnknownStatus}, p.Flags)
}

// What carriers do besides the standard is understood, and said.
func TestDeviations(t *testing.T) {
	const rcs = "RCS/20JUN1510/LIM/P2K101.0"
	for name, test := range map[string]struct {
		body string
		want []string
	}{
		"as it should be":        {consignment + rcs + "\r\n", nil},
		"a byte order mark":      {"\ufeff" + consignment + rcs, nil},
		"no line end":            {consignment + rcs, nil},
		"CR only":                {strings.ReplaceAll(consignment, "\n", "\r") + rcs, nil},
		"CR CR LF":               {strings.ReplaceAll(consignment, "\n", "\r\r\n") + rcs, nil},
		"blank lines and blanks": {"\n  \nFSU/14  \n\n045-53806270LIMJFK/P2K101.0T10   \n\t" + rcs + " \t\n\n", nil},
		"small letters":          {strings.ToLower(consignment + rcs), []string{"3 RCS deviation"}},
		"a slash at the end":     {consignment + rcs + "//", []string{"3 RCS deviation"}},
		"no hyphen":              {"FSU/14\n04553806270LIMJFK/P2K101.0T10\n" + rcs, []string{"2 AWB deviation"}},
		"no version":             {"FSU\n045-53806270LIMJFK/P2K101.0T10\n" + rcs, []string{"1 FSU.version deviation"}},
		"another version":        {"FSU/16\n045-53806270LIMJFK/P2K101.0T10\n" + rcs, []string{"1 FSU.version range"}},
		"no route":               {"FSU/14\n045-53806270/P2K101.0T10\n" + rcs, []string{"2 AWB.route deviation"}},
		"no quantity":            {"FSU/14\n045-53806270LIMJFK/P2K101.0T10\nRCS/20JUN1510/LIM", []string{"3 RCS.quantity deviation"}},
		"no weight":              {"FSU/14\n045-53806270LIMJFK/T2\n" + rcs, []string{"2 AWB.quantity deviation"}},
		"a broken line":          {consignment + "RCS/20JUN1510/LIM/P2K1\n01.0", []string{"4 RCS deviation"}},
		"broken before letters":  {consignment + "DEP/LA2468/20JUN/LIM\nJFK/P2K101.0/A2350", []string{"4 DEP deviation"}},
		"broken at a slash":      {consignment + "RCS/20JUN1510/LIM\n/P2K101.0", []string{"4 RCS deviation"}},
		"one digit of a day":     {consignment + "RCS/2JUN1510/LIM/P2K101.0", []string{"3 RCS.date deviation"}},
		"date and time apart":    {consignment + "RCS/20JUN/1510/LIM/P2K101.0", []string{"3 RCS.date deviation"}},
		"two airports":           {consignment + "DIS/LA2468/20JUN1510/LIMJFK/SSPD/P2K101.0", []string{"3 DIS.airport deviation"}},
		"a zone of neighbours":   {consignment + "RCS/20JUN1510/DOH/P2K101.0", nil},
		"airports apart":         {consignment + "MAN/LA2468/20JUN/LIM/JFK/P2K101.0", []string{"3 MAN.route deviation"}},
		"flight apart":           {consignment + "MAN/LA/2468/20JUN/LIMJFK/P2K101.0", []string{"3 MAN.flight deviation"}},
		"three letters":          {consignment + "MAN/LAN2468/20JUN/LIMJFK/P2K101.0", []string{"3 MAN.flight deviation"}},
		"a check digit":          {"FSU/14\n045-53806271LIMJFK/P2K101.0T10\n" + rcs, []string{"2 AWB.serial check_digit"}},
		"more than all":          {"FSU/14\n045-53806270LIMJFK/P2K101.0T1\nRCS/20JUN1510/LIM/P1K1", []string{"2 AWB.quantity conflict"}},
		"a zone nobody knows":    {consignment + "RCS/20JUN1510/QQQ/P2K101.0", []string{"3 RCS.airport inferred"}},
		"far":                    {consignment + "RCS/26AUG1510/LIM/P2K101.0", []string{"3 RCS.date inferred"}},
		"a stray line before":    {"HELLO\n" + consignment + rcs, []string{"1 message deviation"}},
		"a field too many":       {consignment + "DEP/LA2468/20JUN/LIMJFK/P2K101.0/A2350/A0800/WHAT", []string{"3 DEP deviation"}},
		"all in one line":        {"FSU/14 045-53806270LIMJFK/P2K101.0T10 " + rcs, []string{"1 message deviation"}},
		"an unknown status":      {consignment + "ZZZ/LA2468/20JUN1510/LIM/P2K101.0/WHAT", []string{"3 status unknown_status"}},
		"an unknown part":        {"FSU/14\n045-53806270LIMJFK/P2K101.0\n" + rcs, []string{"3 RCS.quantity inferred"}},
	} {
		r := one(t, test.body)
		require.True(t, r.OK(), "%s: %v", name, r.Findings)
		require.Equal(t, test.want, codes(r), "%s: %v", name, r.Findings)
		require.Equal(t, 2, r.Event.Quantity.Pieces+strings.Count(name, "more"), name)
	}
}

// What does not tell what happened when, to what, is refused, at its line and field.
func TestRefused(t *testing.T) {
	for body, want := range map[string]string{
		"FSU/14\n":  "1 AWB required",
		consignment: "1 status required",
		"FSU/XX\n045-53806270LIMJFK/T1K1\nRCS/20JUN1510/LIM/T1K1":              "1 FSU.version format",
		"FSU/14\nRCS/20JUN1510/LIM/T1K1":                                       "2 AWB format",
		"FSU/14\n045-5380627LIMJFK/T1K1\nRCS/20JUN1510/LIM/T1K1":               "2 AWB.serial format",
		"FSU/14\n045-538062700LIMJFK/T1K1\nRCS/20JUN1510/LIM/T1K1":             "2 AWB.serial format",
		"FSU/14\n45-53806270LIMJFK/T1K1\nRCS/20JUN1510/LIM/T1K1":               "2 AWB format",
		"FSU/14\n045-53806270LIMJF/T1K1\nRCS/20JUN1510/LIM/T1K1":               "2 AWB.route format",
		"FSU/14\n045-53806270LIMJFK/T\nRCS/20JUN1510/LIM/T1K1":                 "2 AWB.quantity format",
		"FSU/14\n045-53806270LIMJFK/X1K1\nRCS/20JUN1510/LIM/T1K1":              "2 AWB.quantity format",
		"FSU/14\n045-53806270LIMJFK/T1K1Q\nRCS/20JUN1510/LIM/T1K1":             "2 AWB.quantity format",
		consignment + "FOH/12":                                                 "3 FOH.date format",
		consignment + "RCS":                                                    "3 RCS.date required",
		consignment + "RCS//LIM/T1K1":                                          "3 RCS.date required",
		consignment + "RCS/LIM/T1K1":                                           "3 RCS.date required",
		consignment + "RCS/31JUN1510/LIM/T1K1":                                 "3 RCS.date format",
		consignment + "RCS/20JUX1510/LIM/T1K1":                                 "3 RCS.date format",
		consignment + "RCS/20JUN2510/LIM/T1K1":                                 "3 RCS.date format",
		consignment + "RCS/20JUN151/LIM/T1K1":                                  "3 RCS.date format",
		consignment + "RCS/29FEB1510/LIM/T1K1":                                 "3 RCS.date range",
		consignment + "RCS/20JUN1510//T1K1":                                    "3 RCS.airport required",
		consignment + "RCS/20JUN1510/LIMA/T1K1":                                "3 RCS.airport format",
		consignment + "RCS/20JUN1510/LIM/T10K":                                 "3 RCS.quantity format",
		consignment + "RCS/20JUN1510/LIM/T0K1":                                 "3 RCS.quantity format",
		consignment + "RCS/20JUN1510/LIM/TK1":                                  "3 RCS.quantity format",
		consignment + "RCS/20JUN1510/LIM/T1K1.2.3":                             "3 RCS.quantity format",
		consignment + "RCS/20JUN1510/LIM/T123456K1":                            "3 RCS.quantity format",
		consignment + "DEP/20JUN/LIMJFK/T1K1":                                  "3 DEP.flight required",
		consignment + "DEP//20JUN/LIMJFK/T1K1":                                 "3 DEP.flight required",
		consignment + "DEP/LA24680/20JUN/LIMJFK/T1K1":                          "3 DEP.flight format",
		consignment + "DEP/LA2468//LIMJFK/T1K1":                                "3 DEP.date required",
		consignment + "DEP/LA2468/20JUN/T1K1":                                  "3 DEP.route required",
		consignment + "DEP/LA2468/20JUN/LIMJF/T1K1":                            "3 DEP.route format",
		consignment + "DEP/LA2468/20JUN/LIMJFK/T1K1/A2500":                     "3 DEP.time format",
		consignment + "DEP/LA2468/20JUN/LIMJFK/T1K1/A250":                      "3 DEP.time format",
		consignment + "DIS/LA2468/22JUN0905/JFK/P1K1":                          "3 DIS.discrepancy required",
		consignment + "DIS/LA2468/22JUN0905/JFK/MSC/P1K1":                      "3 DIS.discrepancy format",
		consignment + "TFD/21JUN1510/JFK/P1K1":                                 "3 TFD.carrier required",
		"FWB/16\n045-53806270LIMJFK/T1K1\nFLT/LA2468/20":                       "1 message unsupported",
		"MVT\nLA2468/20.CCCQA.LIM\nAD202355":                                   "1 message unsupported",
		"FFM/8\n":                                                              "1 FFM.flight required",
		"FFM/8\n1/LA2468/LIM\nJFK\n045-53806270LIMJFK/T1K1":                    "2 FFM.flight format",
		"FFM/8\n1/LA2468/31JUN/LIM\nJFK\n045-53806270LIMJFK/T1K1":              "2 FFM.date format",
		"FFM/8\n1/LA2468/20JUN/LIM\nJFK":                                       "1 AWB required",
		"FFM/8\n1/LA2468/20JUN/LIM\nJFK\n045-5380627LIMJFK/T1K1\nLAST":         "4 AWB.serial format",
		"FFM/8\n1/LA2468/20JUN/LIM\nJFK\n045-53806270LIMJFK\nLAST":             "4 AWB.quantity required",
		consignment + "RCS/20JUN1510/LIM/T1K1/" + strings.Repeat("X", 2000):    "3 status too_long",
		consignment + "RCS/20JUN1510/LIM\n" + strings.Repeat("OSI/X\n", 51):    "54 RCS too_long",
		"FSU/14\n045-53806270LIMJFK/T1K1" + strings.Repeat(" ", 300) + "\nRCS": "2 AWB too_long",
	} {
		results := decode(t, body)
		require.NotEmpty(t, results, body)
		var got []string
		for _, f := range results[0].Findings {
			if f.Severity == formats.SeverityError {
				got = append(got, fmt.Sprintf("%d %s %s", f.Line, f.Field, f.Code))
			}
		}
		require.False(t, results[0].OK(), body)
		require.Contains(t, got, want, "%s: %v", body, results[0].Findings)
	}
	for _, body := range []string{"", " \r\n", "\x01\x02\x03", "hello", "QD LIMFMLA\n.MIAFMLA 200739\n", "UNB+IATA:1+A+B+251120:1015+R'", "{}"} {
		_, err := cargoimp.Decode([]byte(body), options(t))
		var fault *formats.BodyError
		require.ErrorAs(t, err, &fault, body)
	}
	results, err := cargoimp.Decode([]byte(consignment+"RCS/20JUN1510/LIM/P2K1\n"), formats.Options{ReceivedAt: received})
	require.NoError(t, err)
	require.Contains(t, codes(results[0]), "3 source required")
}

func TestSeveralStatusesAndMessages(t *testing.T) {
	body := consignment + "MAN/LA2468/20JUN/LIMJFK/P2K101.0\nOSI/FIRST\n/AND MORE\nDEP/LA2468/20JUN/LIMJFK/P2K101.0/A2350\nULD/PMC72534LA/PMC77313LA\n" +
		"RCF/LA2468//JFK/P2K101.0\n\nFSA/15\n157-90667135DOHLIM/T3K41.5MC0.3\nDLV/24MAY1223/LIM/T3K41.5/PACIFICO\nFFM/8\n1/LA2468/20JUN/LIM\nJFK/NIL\nLAST\n"
	results := decode(t, body)
	require.Len(t, results, 4)
	require.Equal(t, []string{"FIRST", "AND MORE"}, payloadOf(t, results[0]).OSI)
	require.Equal(t, []string{"PMC72534LA", "PMC77313LA"}, payloadOf(t, results[1]).ULDs)
	require.False(t, results[2].OK())
	require.Equal(t, 8, results[2].Line)
	require.Equal(t, "157-90667135", results[3].Event.CorrelationID)
	require.Equal(t, 12, results[3].Line)
	require.Equal(t, 3, results[3].Index)

	opt := options(t)
	opt.MaxEvents = 3
	_, err := cargoimp.Decode([]byte(body), opt)
	var fault *formats.BodyError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, formats.CodeTooMany, fault.Code)
	opt.MaxEvents = 4
	_, err = cargoimp.Decode([]byte(body), opt)
	require.NoError(t, err)
}

// A status without a date is dated by the one before it, where there is one.
func TestUndated(t *testing.T) {
	results := decode(t, consignment+"TRM/CX/JFK/P2K101.0\nRCF/LA2468/21JUN0930/JFK/P2K101.0\nTRM/CX/JFK/P2K101.0\n")
	require.Equal(t, received, results[0].Event.OccurredAt)
	require.Equal(t, results[1].Event.OccurredAt, results[2].Event.OccurredAt)
	require.Equal(t, results[0].Event.EventID, results[2].Event.EventID, "the line says the same")
}

// Information without a status is kept as an event of its own.
func TestInformationAlone(t *testing.T) {
	r := one(t, consignment+"OSI/HELD FOR PAPERS\nOCI/PE/IMP/M/123\n")
	require.Equal(t, "OSI", r.Event.Type)
	p := payloadOf(t, r)
	require.Equal(t, []string{"HELD FOR PAPERS"}, p.OSI)
	require.Equal(t, []string{"PE/IMP/M/123"}, p.OCI)
	require.Equal(t, received, r.Event.OccurredAt)
	require.Equal(t, "OCI", one(t, consignment+"OCI/PE/IMP/M/123\n").Event.Type)
}

// Names of screeners never stand in the payload.
func TestNamesAreKeptApart(t *testing.T) {
	r := one(t, consignment+"RCS/20JUN1510/LIM/P2K101.0\nOCI/PE/ISS/RA/28490\n/PE//SM/XRY\n///SN/MARIA QUISPE\nOSI/FRAGILE\n")
	require.NotContains(t, string(r.Event.Payload), "QUISPE")
	require.Equal(t, "MARIA QUISPE", r.Event.Personal.Subject)
	require.JSONEq(t, `{"oci":["///SN/MARIA QUISPE\n"]}`, string(r.Event.Personal.Data))
	p := payloadOf(t, r)
	require.Equal(t, []string{"PE/ISS/RA/28490", "PE//SM/XRY", "//SN/[personal]"}, p.OCI)
	require.Equal(t, consignment+"RCS/20JUN1510/LIM/P2K101.0\nOCI/PE/ISS/RA/28490\n/PE//SM/XRY\nOSI/FRAGILE\n", p.Raw)
}

func TestEnvelopes(t *testing.T) {
	const rcs = consignment + "RCS/20JUN1510/LIM/P2K101.0\n"
	plain := one(t, rcs)
	for name, body := range map[string]string{
		"type B":          "QD LIMFMLA\n.MIAFMLA 200739\n" + rcs,
		"control":         "\x01QU LIMFMLA CUZKKLA\r\nBOGFMAV\r\n.MIAFMLA 200739\r\n\x02" + strings.ReplaceAll(rcs, "\n", "\r\n") + "\x03",
		"edifact":         "UNB+IATA:1+A:PIMA+B:PIMA+260620:2015+REF'UNH+1+CIMFSU:14'" + rcs + "'UNT+3+1'UNZ+1+REF'",
		"edifact lines":   "UNB+IATA:1+A:PIMA+B:PIMA+260620:2015+REF'\r\nUNH+1+CIMFSU:14'\r\n" + rcs + "'\r\nUNT+3+1'\r\nUNZ+1+REF'\r\n",
		"edifact, UNA":    "UNA:+.? 'UNB+IATA:1+A:PIMA+B:PIMA+260620:2015+REF'UNH+1+CIMFSU:14'" + rcs + "'UNT+3+1'UNZ+1+REF'",
		"edifact, cut":    "UNB+IATA:1+A:PIMA+B:PIMA+260620:2015+REF'UNH+1+CIMFSU:14'" + rcs,
		"both":            "QD LIMFMLA\n.MIAFMLA 200739\nUNB+IATA:1+A:PIMA+B:PIMA+260620:2015+REF'UNH+1+CIMFSU:14'" + rcs + "'UNT+3+1'UNZ+1+REF'",
		"end of messages": rcs + "=\nNNNN\n",
	} {
		r := one(t, body)
		require.True(t, r.OK(), "%s: %v", name, r.Findings)
		require.Empty(t, r.Findings, name)
		require.Equal(t, plain.Event.EventID, r.Event.EventID, "%s: the envelope is no part of what identifies a status", name)
		require.Equal(t, plain.Event.OccurredAt, r.Event.OccurredAt, name)
	}
	p := payloadOf(t, one(t, "\x01QU LIMFMLA CUZKKLA\r\nBOGFMAV\r\n.MIAFMLA 200739\r\nPDM\r\n\x02"+rcs+"\x03"))
	require.Equal(t, "QU", p.Envelope.Priority)
	require.Equal(t, []string{"LIMFMLA", "CUZKKLA", "BOGFMAV"}, p.Envelope.To)
	require.Equal(t, "MIAFMLA", p.Envelope.From)
	require.True(t, p.Envelope.Duplicate)
	require.Equal(t, "2026-06-20T07:39:00Z", p.Envelope.Sent.Format(time.RFC3339))

	two := decode(t, "UNB+IATA:1+A:PIMA+B:PIMA+210620:2015+REF'UNH+1+CIMFSU:14'"+rcs+"'UNT+3+1'UNH+2+CIMFSU:14'"+
		strings.ReplaceAll(rcs, "LIM/P2", "CUZ/P2")+"/O?'HIGGINS ?+ SONS\n'UNT+3+2'UNZ+2+REF'")
	require.Len(t, two, 2)
	require.Equal(t, 2021, two[0].Event.OccurredAt.Year(), "an interchange is dated with its year")
	require.Equal(t, "O'HIGGINS + SONS", payloadOf(t, two[1]).Name)
	require.Contains(t, payloadOf(t, two[1]).Raw, "O?'HIGGINS ?+ SONS")
	require.Equal(t, 6, two[1].Line)
	results := decode(t, "QD LIMFMLA\n.MIAFMLA 200739\n"+rcs+"\nQD LIMFMLA\n.BOGFMAV 210739\n"+rcs)
	require.Len(t, results, 2)
	require.Equal(t, "BOGFMAV", payloadOf(t, results[1]).Envelope.From)
}

// The same message has the same ids, whenever and however it comes; another has others.
func TestIDs(t *testing.T) {
	seen := map[string]string{}
	for _, line := range []string{
		"BKD/LA2468/29JUN/LIMJFK/P2K101.0/S2350", "BKD/LA2468/29JUN/LIMJFK/P3K101.0/S2350", "TRM/CX/JFK/P2K101.0", "DEP/LA2468/20JUN/LIMJFK/P2K101.0",
		"RCS/20JUN1510/LIM/P2K101.0", "RCS/20JUN1511/LIM/P2K101.0", "OSI/HELD", "OSI/GONE", "DIS/LA2468/22JUN0905/JFK/MSCA/P2", "DIS/LA2468/22JUN0905/JFK/FDCA/P2",
	} {
		opt := options(t)
		first, err := cargoimp.Decode([]byte(consignment+line), opt)
		require.NoError(t, err)
		opt.ReceivedAt, opt.Airlines = received.Add(9*24*time.Hour), nil
		second, err := cargoimp.Decode([]byte("QD LIMFMLA\r\n.MIAFMLA 200739\r\n"+strings.ReplaceAll(consignment, "\n", "\r\n")+line+"\r\n"), opt)
		require.NoError(t, err)
		id := first[0].Event.EventID
		require.Equal(t, id, second[0].Event.EventID, line)
		require.Empty(t, seen[id], line)
		seen[id] = line
	}
}

// What has happened never lies ahead of the message that says so, unless the message itself says.
func TestNothingLiesAhead(t *testing.T) {
	for _, line := range []string{"BKD/LA2468/29JUN/LIMJFK/P2K101.0/S2350", "MAN/LA2468/26JUN/LIMJFK/P2", "DEP/LA2468/25JUN/LIMJFK/P2", "DLV/25JUN/JFK/P2", "RCS/25JUN1700/QQQ/P2"} {
		e := one(t, consignment+line).Event
		require.False(t, e.OccurredAt.After(received), line)
		require.Equal(t, tracking.Actual, e.Classifier, line)
	}
	require.True(t, one(t, consignment+"DEP/LA2468/29JUN/LIMJFK/P2K101.0/S2350").Event.OccurredAt.After(received), "a plan may")
}

func TestBytesThatAreNoText(t *testing.T) {
	r := one(t, consignment+"DLV/22JUN0905/JFK/P2K101.0/PE\xd1A \x00SAC\n")
	require.Equal(t, "PEÑA SAC", payloadOf(t, r).Name)
	require.Equal(t, consignment+"DLV/22JUN0905/JFK/P2K101.0/PE\xd1A \x00SAC\n", string(payloadOf(t, r).RawBytes))
	require.NotContains(t, string(r.Event.Payload), `\u0000`)
}

func TestManifest(t *testing.T) {
	body := "FFM/5\n5/KZ134/20JUN/NRT/JA15KZ\nORD/21JUN0910\n933-22405784NRTORD/D3K1.1T203/CONSOLIDATED CA/EAWGEN\nULD/PMC98669KZ\n" +
		"933-22405670NRTORD/D2K440.1MC0.39T298/CONSOLIDATED CA/EAWGEN\nOSI/FIRMS-I338\nOSI/  NOT RESTRICTED\n933-33470242BKKATL/T1K86MC0.65/CONSOLIDATION A/OSCEAP\n" +
		"/ATLKZ9195/21JUN\n/PER/COL\nULD/PMC96188KZ/W-2190.0 C-L\n933-34751150HKGORD/S102K2081MC14.28T150/CNSL AWO BUC 13/BUCELI\nFRA\nULD/QQ\n" +
		"933-34751150HKGORD/S48K81MC14.28T150/CNSL\nCONT\n"
	results := decode(t, body)
	require.Len(t, results, 5)
	loose, first, onward, second, last := payloadOf(t, results[0]), payloadOf(t, results[1]), payloadOf(t, results[2]), payloadOf(t, results[3]), payloadOf(t, results[4])
	require.Empty(t, loose.ULD)
	require.Equal(t, "933-22405784", results[0].Event.AggregateID)
	require.Equal(t, "PMC98669KZ", results[1].Event.AggregateID)
	require.Equal(t, "933-22405670", results[1].Event.CorrelationID)
	require.Equal(t, &tracking.Quantity{Pieces: 2, TotalPieces: 298, Weight: 440.1, WeightUnit: "kg"}, results[1].Event.Quantity)
	require.Equal(t, []string{"FIRMS-I338", "NOT RESTRICTED"}, first.OSI)
	require.Equal(t, "CONSOLIDATED CA", first.Goods)
	require.Equal(t, []string{"EAW", "GEN"}, first.Handling)
	require.Equal(t, []string{"ATLKZ9195/21JUN"}, onward.Onward)
	require.Equal(t, []string{"OSC", "EAP", "PER", "COL"}, onward.Handling)
	require.Equal(t, "PMC96188KZ", second.ULD)
	require.Equal(t, "ORD", results[3].Event.Transport.Destination)
	require.Equal(t, "FRA", results[4].Event.Transport.Destination)
	require.Equal(t, []string{"format"}, last.Flags[:1])
	require.Equal(t, 5, first.Message.Part)
	require.False(t, *first.Message.Last)
	require.Equal(t, "FFM/5\n5/KZ134/20JUN/NRT/JA15KZ\nORD/21JUN0910\nULD/PMC98669KZ\n933-22405670NRTORD/D2K440.1MC0.39T298/CONSOLIDATED CA/EAWGEN\n"+
		"OSI/FIRMS-I338\nOSI/  NOT RESTRICTED\n", first.Raw)
	require.Equal(t, "2026-06-20T00:00:00+09:00", results[1].Event.OccurredAt.Format(time.RFC3339))

	for _, body := range []string{"FFM/8\n1/LA2468/20JUN/LIM\nJFK/NIL\nLAST\n"} {
		require.Empty(t, decode(t, body))
	}
	broken := decode(t, "FFM/8\n1/LA2468/20JUN/LIM\nJFK\n045-53806270LIMJFK/T10K505.0/ASPAR\nAGUS/PER\n")
	require.Equal(t, "ASPARAGUS", payloadOf(t, broken[0]).Goods)
	require.Equal(t, []string{"1 FFM deviation", "5 AWB deviation"}, codes(broken[0]))
}

// What is made of a body stays in proportion to it.
func TestProportion(t *testing.T) {
	for name, body := range map[string]string{
		"statuses":        consignment + strings.Repeat("RCS\n", 4_000),
		"after blanks":    "FSU/14" + strings.Repeat(" ", 100_000) + "\n045-53806270LIMJFK/P2K101.0T10\n" + strings.Repeat("RCS/20JUN1510/LIM\n", 1_000),
		"in one line":     "FSU/14 045-53806270LIMJFK/T1K1" + strings.Repeat(" RCS/20JUN1510/LIM", 2_000),
		"information":     consignment + "RCS/20JUN1510/LIM\n" + strings.Repeat("OCI/A/B/SN/X\n", 4_000),
		"a long line":     consignment + "RCS/20JUN1510/LIM/" + strings.Repeat("/X", 100_000),
		"broken lines":    consignment + "RCS/20JUN1510/LIM/" + strings.Repeat("\nX", 100_000),
		"units":           "FFM/8\n1/LA2468/20JUN/LIM\nJFK\nULD/" + strings.Repeat("X", 100_000) + strings.Repeat("\n045-53806270LIMJFK/T1K1", 2_000),
		"unknown":         consignment + strings.Repeat("ZZZ/A/B/C\n", 3_000),
		"wrong, in parts": consignment + strings.Repeat("RCS/20JUN\nZZZ/LIM\n", 3_000),
		"messages":        strings.Repeat(consignment+"RCS/20JUN1510/LIM\n", 1_000),
		"addresses":       "QD" + strings.Repeat(" LIMFMLA", 50_000) + "\n.LIMFMLA\n" + strings.Repeat(consignment+"RCS/20JUN1510/LIM\n", 100),
	} {
		opt := options(t)
		results, err := cargoimp.Decode([]byte(body), opt)
		require.NoError(t, err, name)
		size := 0
		for _, r := range results {
			for _, f := range r.Findings {
				size += len(f.Message) + len(f.Field)
			}
			if r.OK() {
				size += len(r.Event.Payload)
			}
		}
		require.Less(t, size, 200*len(body), name)
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(f, err)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Add([]byte("UNA:+.? 'UNB+IATA:1+A+B+260620:2015+R'UNH+1+CIMFSU:14'FSU/14\n045-53806270LIMJFK/T1K1\nRCS/20JUN1510/LIM/T1K1/A?'B\n'UNT+3+1'UNZ+1+R'"))
	f.Add([]byte("FSU/14 020-12345675FRAJFK/T1K100 BKD/16OCT1317/FRA/ACME"))
	f.Add([]byte("\x01QU LIMFMLA\r\n.MIAFMLA 200739\r\n\x02FSA/8\r\n04553806270/p2l1.5t9\r\ntrm/cx/jfk\r\nDIS//1JAN/LIM/MSCA\r\n\x03"))
	opt := options(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		results, err := cargoimp.Decode(body, opt)
		require.Equal(t, before, body)
		if err != nil {
			var fault *formats.BodyError
			require.ErrorAs(t, err, &fault)
			return
		}
		size := 0
		for i, r := range results {
			golden.Sound(t, r)
			require.Equal(t, i, r.Index)
			require.Positive(t, r.Line)
			if r.OK() {
				size += len(r.Event.Payload)
				require.True(t, utf8.Valid(r.Event.Payload))
			}
		}
		require.Less(t, size, 2000+500*len(body))
		again, err := cargoimp.Decode(body, opt)
		require.NoError(t, err)
		require.Equal(t, results, again)
	})
}

func BenchmarkDecode(b *testing.B) {
	message := "QD LIMFMLA\r\n.MIAFMLA 200739\r\nFSU/14\r\n045-53806270LIMJFK/T10K505.0\r\nMAN/LA2468/20JUN/LIMJFK/T10K505.0\r\nDEP/LA2468/20JUN/LIMJFK/T10K505.0/S2350/A0012\r\n"
	body := []byte(strings.Repeat(message, 50))
	opt := options(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if results, err := cargoimp.Decode(body, opt); err != nil || len(results) != 100 || !results[99].OK() {
			b.Fatal(len(results), err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// The density group may stand in a field of its own, before or after the volume.
func TestVolumeAndDensityApart(t *testing.T) {
	for _, text := range []string{"MC1.2DG3", "MC1.2/DG3", "DG3/MC1.2"} {
		p := payloadOf(t, one(t, consignment+"BKD/LA2468/20JUN/LIMJFK/P2K101.0/S2350/S0715-N/"+text+"\n"))
		require.Equal(t, []any{"1.2", 3}, []any{p.Volume.Volume, p.Volume.DensityGroup}, text)
		require.Empty(t, p.Other, text)
	}
	p := payloadOf(t, one(t, consignment+"RCS/20JUN1510/LIM/P2K101.0/ANDES FREIGHT SAC/MC1.2DG3/MC1.3/DG4\n"))
	require.Equal(t, []any{"1.2", 3}, []any{p.Volume.Volume, p.Volume.DensityGroup})
	require.Equal(t, []string{"MC1.3", "DG4"}, p.Other, "the first counts")
}
