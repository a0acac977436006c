package baggage_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/baggage"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
)

// received is when the bodies of these tests come: on the day after the flights of most of them.
var received = time.Date(2026, 6, 21, 18, 0, 0, 0, time.UTC)

// tables are those that are shipped.
var tables = sync.OnceValues(func() (*tracking.Places, *tracking.Airlines) {
	read := func(name string) *bytes.Reader {
		text, err := os.ReadFile("../../../config/reference/" + name)
		if err != nil {
			panic(err)
		}
		return bytes.NewReader(text)
	}
	places, err := tracking.LoadPlaces(read("airports.csv"))
	if err != nil {
		panic(err)
	}
	airlines, err := tracking.LoadAirlines(read("airlines.csv"))
	if err != nil {
		panic(err)
	}
	return places, airlines
})

func options(t testing.TB) formats.Options {
	t.Helper()
	places, airlines := tables()
	return formats.Options{DefaultSource: "demo-baggage", ReceivedAt: received, Places: places, Airlines: airlines}
}

func TestSamples(t *testing.T) {
	opt := options(t)
	golden.Check(t, "testdata/*.txt", "demo-baggage", func(body []byte, given formats.Options) ([]formats.Result, error) {
		opt.DefaultSource = given.DefaultSource
		return baggage.Decode(body, opt)
	})
}

// message makes a body of lines that end as teletype's do.
func message(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

func decode(t testing.TB, body []byte) []formats.Result {
	t.Helper()
	results, err := baggage.Decode(body, options(t))
	require.NoError(t, err)
	for i, r := range results {
		require.Equal(t, i, r.Index)
		golden.Sound(t, r)
	}
	return results
}

// one decodes a body about one bag.
func one(t testing.TB, lines ...string) formats.Result {
	t.Helper()
	results := decode(t, message(lines...))
	require.Len(t, results, 1)
	return results[0]
}

func event(t testing.TB, lines ...string) *tracking.Event {
	t.Helper()
	r := one(t, lines...)
	require.True(t, r.OK(), "%+v", r.Findings)
	return r.Event
}

func codes(r formats.Result) []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, string(f.Severity)+" "+f.Code+" "+f.Field)
	}
	return list
}

func catalog(t testing.TB) *tracking.Catalog {
	t.Helper()
	f, err := os.Open("../../../config/milestones.yaml")
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	c, err := tracking.LoadCatalog(f)
	require.NoError(t, err)
	return c
}

// fold folds events as if they had been received and enriched in that order.
func fold(t testing.TB, events ...*tracking.Event) tracking.Trace {
	t.Helper()
	c := catalog(t)
	list := make([]*tracking.Event, len(events))
	for i, e := range events {
		list[i] = e.Clone()
		list[i].UID = uuid.UUID{15: byte(i + 1)}
		list[i].ReceivedAt = received.Add(time.Duration(i) * time.Minute)
		meaning, known := c.Lookup(e.Kind, e.Type)
		require.True(t, known, e.Type)
		list[i].Enrichment.Milestone, list[i].Enrichment.Exception = meaning.Milestone, meaning.Exception
	}
	return tracking.Fold(list)
}

// What decides what a message says of a bag, and what that means.
func TestTypes(t *testing.T) {
	c := catalog(t)
	const f, j, n, in, onward = ".F/LA2468/20JUN/JFK/Y", ".J/S///20JUN/2116L/SORT2", ".N/0045123456001", ".I/LA2047/20JUN/CUZ/Y", ".O/BA178/21JUN/LHR/Y"
	for _, test := range []struct {
		lines     string
		code      string
		milestone tracking.Milestone
		exception string
	}{
		{"BSM|.V/1LLIM|" + f + "|" + n, "BSM", "announced", ""},
		{"BSM|CHG|.V/1LLIM|" + f + "|" + n, "BSM.CHG", "announced", ""},
		{"BSM|DEL|.V/1LLIM|" + f + "|" + n, "BSM.DEL", "cancelled", ""},
		{"BSM|.V/1TLIM|" + in + "|" + f + "|" + n, "BSM", "announced", ""},
		{"BSM|.V/1LLIM|" + f + "|" + n + "|.X/SEL", "BSM", "announced", ""},
		{"BTM|.V/1TJFK|" + in + "|" + f + "|" + n, "BTM", "transfer", ""},
		{"BTM|DEL|.V/1TJFK|" + in + "|" + f + "|" + n, "BTM.DEL", "cancelled", ""},
		{"BPM|.V/1LLIM|" + f + "|" + n, "BPM", "processing", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|" + n, "BPM.JS", "processing", ""},
		{"BPM|.V/1LLIM|.J/R///20JUN/2116L/G18|" + f + "|" + n, "BPM.JR", "processing", ""},
		{"BPM|.V/1LLIM|.J/G///20JUN/2116L/G18|" + f + "|" + n, "BPM.JG", "processing", ""},
		{"BPM|.V/1LLIM|.J/h///20JUN/2116L/G18|" + f + "|" + n, "BPM.JH", "processing", ""},
		{"BPM|.V/1LLIM|.J////20JUN/2116L/G18|" + f + "|" + n, "BPM.J", "processing", ""},
		{"BPM|.V/1LLIM|" + f + "|" + n + "|.R/DIVERTEDOK", "BPM.R", "processing", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|" + n + "|.G/20JUN/21JUN/1 MAIN ST", "BPM.G", "processing", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|" + n + "|.X//CLR///HBS302/HBSLEVEL1", "BPM.CLR", "processing", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|" + n + "|.X//REJ", "BPM.REJ", "processing", "screening_rejected"},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|" + n + "|.X//CLR|.X//UCL", "BPM.UCL", "processing", "screening_unclear"},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|" + n + "|.X/SEL", "BPM.X", "processing", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|.U/AKE12345LA|" + n + "|.X//CLR", "BPM.U", "loaded", ""},
		{"BPM|.V/1TLIM|" + j + "|" + in + "|" + f + "|.U/AKE12345LA|" + n, "BPM.U", "loaded", ""},
		{"BPM|.V/1XJFK|" + j + "|" + f + "|.U/AKE12345LA|" + n, "BPM.U.1X", "arrived", ""},
		{"BPM|.V/1FJFK|" + j + "|" + in + "|.U/AKE12345LA|" + n, "BPM.U.1F", "arrived", ""},
		{"BPM|.V/1XJFK|" + j + "|" + f + "|" + n, "BPM.1X", "available", ""},
		{"BPM|.V/1XJFK|" + f + "|" + n, "BPM.1X", "available", ""},
		{"BPM|.V/1FJFK|" + j + "|" + in + "|" + f + "|" + n, "BPM.1F", "transfer", ""},
		{"BPM|.V/1TJFK|" + j + "|" + f + "|" + onward + "|" + n, "BPM.1T", "transfer", ""},
		{"BPM|.V/1TJFK|" + j + "|" + f + "|" + n, "BPM.JS", "processing", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|.B/LOD/0045123456001", "BPM.LOD", "loaded", ""},
		{"BPM|.V/1LLIM|" + j + "|" + f + "|.U/AKE12345LA|.B/NAL/0045123456001", "BPM.NAL", "loaded", "security_alert"},
		{"BPM|.V/1LLIM|" + f + "|.B/OFF/0045123456001", "BPM.OFF", "processing", "offloaded"},
		{"BPM|.V/1LLIM|" + f + "|.B/OFF|" + n, "BPM.OFF", "processing", "offloaded"},
		{"BPM|.V/1XJFK|" + f + "|.B/NOF/0045123456001", "BPM.NOF", "arrived", ""},
		{"BPM|.V/1LLIM|" + f + "|.B/ONA/0045123456001", "BPM.ONA", "", "not_loaded"},
		{"BPM|.V/1LLIM|" + f + "|.B/OND/0045123456001", "BPM.OND", "", "not_loaded"},
		{"BPM|.V/1LLIM|" + f + "|.B/UNS/0045123456001", "BPM.UNS", "", "not_loaded"},
		{"BPM|.V/1LLIM|" + f + "|.B/LBA/0045123456001", "BPM.LBA", "", "left_behind"},
		{"BPM|.V/1LLIM|" + f + "|.B/LBN/0045123456001", "BPM.LBN", "", "left_behind"},
		{"BPM|DEL|.V/1LLIM|" + f + "|.B/LBN/0045123456001", "BPM.DEL", "cancelled", ""},
		{"BUM|.V/1LLIM|" + f + "|" + n, "BUM", "processing", "offloaded"},
		{"BUM|CHG|.V/1LLIM|" + f + "|" + n, "BUM", "processing", "offloaded"},
		{"BUM|DEL|.V/1LLIM|" + f + "|" + n, "BUM.DEL", "", "cleared"},
		{"BUM|.V/1LLIM|" + f + "|.B/OFF/0045123456001", "BUM.OFF", "processing", "offloaded"},
		{"BUM|.V/1XJFK|" + f + "|.U/AKE12345LA|" + n, "BUM.1X", "arrived", ""},
		{"BUM|.V/1FJFK|" + in + "|" + n, "BUM.1F", "arrived", ""},
		{"BNS|.V/1LLIM|" + f + "|" + n, "BNS", "", "not_loaded"},
		{"BNS|.V/1LLIM|" + f + "|.B/UNS/0045123456001", "BNS.UNS", "", "not_loaded"},
		{"BMM|.V/1LLIM|" + f + "|.U/AKE12345LA|" + n, "BMM", "loaded", ""},
		{"BRQ|.V/1LLIM|" + f + "|" + n, "BRQ", "none", ""},
		{"BCM|FCM|.V/1LLIM|" + f + "|" + n, "BCM.FCM", "none", ""},
	} {
		lines := strings.Split(test.lines+"|END"+test.lines[:3], "|")
		e := event(t, lines...)
		require.Equal(t, test.code, e.Type, test.lines)
		meaning, known := c.Lookup(e.Kind, e.Type)
		require.True(t, known, e.Type)
		require.Equal(t, tracking.Meaning{Milestone: test.milestone, Exception: test.exception}, meaning, test.lines)
		want := map[string]tracking.Classifier{"BTM": tracking.Planned, "BRQ": tracking.Requested}[test.lines[:3]]
		require.Equal(t, cmp.Or(want, tracking.Actual), e.Classifier)
		require.Equal(t, "0045123456", e.CorrelationID)
		require.Equal(t, "0045123456", e.AggregateID)
	}
}

// The flight of an event is the one that it is about: that out of the station, or that the bag came with.
func TestTransport(t *testing.T) {
	for _, test := range []struct {
		lines string
		want  *tracking.Transport
	}{
		{".V/1LLIM|.F/LA2468/20JUN/JFK/Y", &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20", Origin: "LIM", Destination: "JFK"}},
		{".V/1LLIM|.F/LAN0468A/20JUN/JFK/Y", &tracking.Transport{Mode: "air", Carrier: "LAN", Number: "0468A", Date: "2026-06-20", Origin: "LIM", Destination: "JFK"}},
		{".V/1LLIM|.F/LA2468//JFK", &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Origin: "LIM", Destination: "JFK"}},
		{".V/1XJFK|.F/LA2468/20JUN/JFK", &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20", Destination: "JFK"}},
		{".V/1XJFK|.I/LA2468/20JUN/LIM", &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20", Origin: "LIM", Destination: "JFK"}},
		{".V/1TJFK|.I/LA2468/20JUN/LIM|.F/BA178/21JUN/LHR", &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20", Origin: "LIM", Destination: "JFK"}},
		{".V/1TJFK|.F/BA178/21JUN/LHR|.O/BA1/22JUN/EDI", nil},
		{".V/1LLIM|.F/OPEN/20JUN/JFK/Y", nil},
		{".V/1LLIM", nil},
	} {
		lines := append(append([]string{"BPM"}, strings.Split(test.lines, "|")...), ".N/0045123456001", "ENDBPM")
		require.Equal(t, test.want, event(t, lines...).Transport, test.lines)
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		lines, want string
		quality     tracking.TimeQuality
	}{
		{"BPM|.V/1LLIM|.J/S///20JUN/2116L/X", "2026-06-20T21:16:00-05:00", tracking.YearInferred},
		{"BPM|.V/1LLIM|.J/S///20JUN/211604/X", "2026-06-20T21:16:04-05:00", tracking.YearInferred},
		{"BPM|.V/1LLIM|.J/S///21JUN/021604Z/X", "2026-06-21T02:16:04Z", tracking.YearInferred},
		{"BPM|.V/1LLIM|.J/S///20JUN26/2116L/X", "2026-06-20T21:16:00-05:00", tracking.Exact},
		{"BPM|.V/1LXXQ|.J/S///20JUN/2116L/X", "2026-06-20T21:16:00Z", tracking.ZoneInferred},
		{"BPM|.V/1LLIM|.J/S///20JUN//X", "2026-06-20T00:00:00-05:00", tracking.DateOnly},
		{"BPM|.V/1LLIM|.J/S////2116L/X", "2026-06-20T21:16:00-05:00", tracking.YearInferred},
		{"BPM|.V/1LLIM|.J/S///31DEC/2116L/X", "2025-12-31T21:16:00-05:00", tracking.YearInferred},
		{"BPM|.V/1LLIM|.J/S///20JUN/2116L/X|.J/R///20JUN/2120L/X", "2026-06-20T21:20:00-05:00", tracking.YearInferred},
		{"QU LIMXXLA|.LIMRSLA 201530|BPM|.V/1LLIM|.J/S///20JUN/2116L/X", "2026-06-20T21:16:00-05:00", tracking.YearInferred},
		{"QU LIMXXLA|.LIMRSLA 201530|BPM|.V/1LLIM", "2026-06-20T15:30:00Z", tracking.YearInferred},
		{"BSM|.V/1RLIM|.D/HOTEL/LOBBY/20JUN/0910L/CAR/X1", "2026-06-20T09:10:00-05:00", tracking.YearInferred},
		{"BSM|.V/1LLIM|.F/LA2468/20JUN/JFK", "2026-06-20T00:00:00-05:00", tracking.DateOnly}, // long before its receipt
		{"BSM|.V/1LLIM|.F/LA2468/21JUN/JFK", "2026-06-21T18:00:00Z", tracking.DateOnly},
		{"BSM|.V/1LLIM|.F/LA2468/22JUN/JFK", "2026-06-21T18:00:00Z", tracking.DateOnly},
		{"BSM|.V/1LLIM", "2026-06-21T18:00:00Z", tracking.DateOnly},
	} {
		lines := strings.Split(test.lines+"|.N/0045123456001|ENDBPM", "|")
		e := event(t, lines...)
		require.Equal(t, test.want, e.OccurredAt.Format(time.RFC3339), test.lines)
		require.Equal(t, test.quality, e.TimeQuality, test.lines)
	}
}

func TestZoneOfTheCarrierWhereTheStationIsNotKnown(t *testing.T) {
	opt := options(t)
	opt.TimeZone = time.FixedZone("", -4*3600)
	results, err := baggage.Decode(message("BPM", ".V/1LXXQ", ".J/S///20JUN/2116L/X", ".N/0045123456001", "ENDBPM"), opt)
	require.NoError(t, err)
	require.Empty(t, results[0].Findings)
	require.Equal(t, "2026-06-20T21:16:00-04:00", results[0].Event.OccurredAt.Format(time.RFC3339))

	opt.Station = "lim"
	results, err = baggage.Decode(message("BPM", ".J/S///20JUN/2116L/X", ".N/0045123456001", "ENDBPM"), opt)
	require.NoError(t, err)
	require.Equal(t, "LIM", results[0].Event.Location.IATA)
	require.Equal(t, []string{"warning deviation .V"}, codes(results[0]))
}

func TestConsecutiveTags(t *testing.T) {
	results := decode(t, message("BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK/Y", ".N/0085123456003", ".N/0085999999001", "ENDBSM"))
	var tags []string
	for _, r := range results {
		tags = append(tags, r.Event.AggregateID)
	}
	require.Equal(t, []string{"0085123456", "0085123457", "0085123458", "0085999999"}, tags)
	require.Equal(t, 4, results[2].Line)
	require.Equal(t, 5, results[3].Line)
}

func TestNoReads(t *testing.T) {
	results := decode(t, message("BPM", ".V/1LLIM", ".J/S///20JUN/211604L/SORT2", ".N/0000000000002", ".N/0045123456001", "ENDBPM"))
	require.Len(t, results, 2)
	require.True(t, results[0].Aside())
	require.Equal(t, []string{"info no_read .N/1"}, codes(results[0]))
	require.Contains(t, results[0].Findings[0].Message, "2 bags")
	require.True(t, results[1].OK())
}

// Names, bookings, seats and frequent flyer numbers are kept apart, and the text of the message in the payload byte for byte.
func TestPersonalData(t *testing.T) {
	body := message("BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK/Y", ".N/1045123456001", ".S/Y/14C/C/031/77//N", ".W/K/1/17", ".P/2QUISPE/ANA/LUZ",
		".L/PNRPNR", ".Y/LA998877/GOLD", ".C/BODA SOTO", ".G/20JUN/21JUN/CALLE 5", "QUISPE FLIES AGAIN", ".E/PRIO", "ENDBSM")
	results := decode(t, body)
	require.Len(t, results, 1)
	e := results[0].Event
	require.Equal(t, "1045123456", e.Personal.Subject)
	require.JSONEq(t, `{"names":[{"surname":"QUISPE","given":["ANA","LUZ"]}],"booking_reference":["PNRPNR"],"frequent_flyer":["LA998877/GOLD"],
		"group":["BODA SOTO"],"seat":"14C","sequence_number":"031","security_number":"77","address":["CALLE 5"],
		"text":["14C","031","77","2QUISPE","ANA","LUZ","PNRPNR","LA998877","GOLD","BODA SOTO","CALLE 5","QUISPE FLIES AGAIN"]}`, string(e.Personal.Data))
	everything, err := json.Marshal(results)
	require.NoError(t, err)
	for _, secret := range []string{"QUISPE", "ANA", "LUZ", "PNRPNR", "998877", "SOTO", "14C", "031", "CALLE"} {
		require.NotContains(t, string(everything), secret)
	}
	require.Equal(t, string(body), text(t, e))
	var payload struct {
		Tag struct{ Use, Issuer, Airline string } `json:"tag"`
	}
	require.NoError(t, json.Unmarshal(e.Payload, &payload))
	require.Equal(t, "fallback", payload.Tag.Use)
	require.Equal(t, "LA", payload.Tag.Airline)
	require.Equal(t, "045", payload.Tag.Issuer)

	require.Nil(t, event(t, "BPM", ".V/1LLIM", ".N/0045123456001", ".S/Y//C", "ENDBPM").Personal)
}

// text returns the text of an event with what is personal in its places again.
func text(t require.TestingT, e *tracking.Event) string {
	var payload struct{ Text string }
	require.NoError(t, json.Unmarshal(e.Payload, &payload))
	var kept struct{ Text []string }
	if e.Personal != nil {
		require.NoError(t, json.Unmarshal(e.Personal.Data, &kept))
	}
	whole := payload.Text
	require.Equal(t, len(kept.Text), strings.Count(whole, "[personal]"))
	for _, s := range kept.Text {
		whole = strings.Replace(whole, "[personal]", s, 1)
	}
	return whole
}

func TestPayload(t *testing.T) {
	e := event(t, "BPM", "PDM", ".V/1TJFK/REF77", ".J/S/AG1/CI621/20JUN/2115L/LB9/LB10", ".I/LA2468/20JUN/LIM/Y", ".F/BA178/21JUN/LHR/C", ".O/BA1440/22JUN/EDI/C",
		".O/BA1/22JUN/XXX", ".U/AKE12345LA/31/T/F/LHR/C", ".N/2045123456001", ".S/Y//C////Y/A", ".W/L/2/41.5/7", ".X/SEL/CLR/R1/XRY/HBS302/LEVEL1/A", ".E/RUSH", ".E/PRIO", ".H/T8/P4/G42",
		".Q/17", ".T/BTP4", ".R/DIVERTEDOK/X", ".K/A/B", "ENDBPM")
	var got map[string]any
	require.NoError(t, json.Unmarshal(e.Payload, &got))
	delete(got, "text")
	encoded, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, `{"message":"BPM","possible_duplicate":true,
		"tag":{"number":"2045123456","leading_digit":2,"use":"rush","issuer":"045","airline":"LA","serial":"123456"},
		"source":{"indicator":"T","meaning":"transfer departure","airport":"JFK","reference":"REF77"},
		"inbound":{"flight":"LA2468","date":"2026-06-20","airport":"LIM","class":"Y"},"outbound":{"flight":"BA178","date":"2026-06-21","airport":"LHR","class":"C"},
		"onward":[{"flight":"BA1440","date":"2026-06-22","airport":"EDI","class":"C"},{"flight":"BA1","date":"2026-06-22","airport":"XXX"}],
		"processing":[{"code":"S","meaning":"sorted","agent":"AG1","scanner":"CI621","at":"2026-06-20T21:15:00-04:00","location":"LB9","sent_to":"LB10"}],
		"stowage":{"device":"AKE12345LA","compartment":"31","baggage_type":"T","class":"F","destination":"LHR","closed":"C"},
		"reconciliation":{"authority_to_load":"Y","passenger_status":"C","authority_to_transport":"Y","tag_status":"A"},
		"weight":{"indicator":"L","pieces":2,"weight":41.5,"unit":"lb","unchecked_weight":7},
		"screening":[{"instruction":"SEL","result":"CLR","reason":"R1","method":"XRY","autograph":"HBS302","text":"LEVEL1/A"}],
		"exceptions":["RUSH","PRIO"],"handling":{"terminal":"T8","bay":"P4","gate":"G42"},"load_sequence":"17","printer":"BTP4","internal":["DIVERTEDOK/X"],
		"others":[{"element":".K","fields":["A","B"]}]}`, string(encoded))
	require.Nil(t, e.Quantity, "the weight is of two bags")
	require.Equal(t, "LB9", e.Location.Facility)
	require.Equal(t, &tracking.Quantity{Weight: 17, WeightUnit: "kg"}, event(t, "BSM", ".V/1LLIM", ".N/0045123456001", ".W/K/1/17", "ENDBSM").Quantity)
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(name)
	require.NoError(t, err)
	return body
}

// field returns a text of a JSON document; empty when there is none.
func field(t testing.TB, document []byte, path ...string) string {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(document, &v))
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	s, _ := v.(string)
	return s
}
