package baggage_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/baggage"
)

// summary is what is compared of results: the type and tag of each event, what was set aside, and what was refused where.
func summary(results []formats.Result) []string {
	var list []string
	for _, r := range results {
		switch {
		case r.OK():
			list = append(list, r.Event.Type+" "+r.Event.AggregateID)
		case r.Aside():
			list = append(list, "aside "+r.Findings[len(r.Findings)-1].Code)
		default:
			list = append(list, "refused "+r.Findings[0].Field)
		}
	}
	return list
}

// However a message is framed, it says the same.
func TestFraming(t *testing.T) {
	lines := []string{"BPM", ".V/1LOSL", ".J/S/BGFUSION/CI621/20JUN/1059L/LB9/LB9", ".F/SK4416/20JUN/TOS", ".N/0117814872002", ".R/DIVERTEDOK", ".X//CLR///HBS302/HBSLEVEL1", "ENDBPM"}
	plain := strings.Join(lines, "\r\n")
	want := decode(t, []byte(plain))
	require.Empty(t, want[0].Findings)
	for name, body := range map[string]string{
		"line feeds":         strings.Join(lines, "\n") + "\n",
		"carriage returns":   strings.Join(lines, "\r"),
		"blank lines":        "\r\n\r\n" + strings.Join(lines, "\r\n\r\n") + "\r\n\r\n",
		"blanks":             "  " + strings.Join(lines, "  \r\n  "),
		"byte order mark":    "\xef\xbb\xbf" + plain,
		"type B":             "QU OSLXXSK OSLYYSK\r\n.OSLBGSK 200859\r\n" + plain + "\r\n",
		"type B, controls":   "\x01QD OSLXXSK\r\n.OSLBGSK 200859\r\n\x02" + plain + "\r\n\x03",
		"controls":           "\x01\x02" + plain + "\x03",
		"addresses, 2 lines": "QU OSLXXSK OSLYYSK\r\nOSLZZSK OSLVVSK\r\n.OSLBGSK 200859 JUN26\r\n" + plain,
		"SITATEX":            "=PRIORITY\r\nQU\r\n=DESTINATION TYPE B\r\nSTX,OSLXXSK\r\n=ORIGIN\r\nOSLBGSK\r\n=TEXT\r\n" + plain,
		"telex":              "ZCZC 123\r\n" + plain + "\r\nNNNN\r\n",
		"one line":           strings.Join(lines, "/"),
		"one line, blanks":   strings.Join(lines, " "),
		"one line, both":     strings.Join(lines, " / "),
		"one line, type B":   "\x01QD OSLXXSK / .OSLBGSK 200859 / \x02" + strings.Join(lines, " / ") + " / \x03",
		"one line, bare":     "QD OSLXXSK / .OSLBGSK 200859 / " + strings.Join(lines, " / "),
		"small letters":      strings.ToLower(plain),
		"trailing slashes":   strings.Join(lines[:7], "/\r\n") + "/\r\n" + lines[7],
		"end on a line":      strings.Join(lines[:7], "\r\n") + " " + lines[7],
	} {
		t.Run(name, func(t *testing.T) {
			got := decode(t, []byte(body))
			require.Equal(t, summary(want), summary(got))
			for i := range want {
				require.Empty(t, got[i].Findings)
				require.Equal(t, want[i].Event.EventID, got[i].Event.EventID)
				require.True(t, want[i].Event.OccurredAt.Equal(got[i].Event.OccurredAt))
				require.Equal(t, want[i].Event.Transport, got[i].Event.Transport)
				require.Contains(t, body, text(t, got[i].Event))
			}
		})
	}
}

// Messages as they stand in public documents.
func TestPublicMessages(t *testing.T) {
	for body, want := range map[string]string{
		"BSM/.V/1LOSL/.F/SK4416/05FEB/TOS/C/.N/0117814872001/.S/N/05A/C/051/051//N/I/.W/P/1/.P/XXXXXXXX/XXXXXXX/.E/PRIO/ENDBSM":                              "BSM 0117814872",
		"BPM .V/1LTPE .J/R///18APR/002903L/TIAT2/ .F/BR0026/17APR/SEA/Y .B/UNS/0695463055001 .I/BR0266/17APR/PNH/Y .S/Y/70D/C/080/080//Y/A .W/K/1/17 ENDBPM": "BPM.UNS 0695463055",
		"\x01QD MUCBPLH\r\n.MUCDPLH 281602\r\n\x02BCM\r\nFOM\r\n.V/1LMUC\r\n.F/LH2860/29JAN/BUD\r\nENDBCM\r\n\x03":                                           "aside no_bag",
		"BSM\n.V/1TZRH\n.F/SR101/18APR/JFK/F\n.N/0085123456001\nENDBSM":                                                                                      "BSM 0085123456",
		"BPM\n.V/1LMUC\n.J/R///18APR/145625L\n.F/LH2860/18APR/BUD\n.U/AKE12345LH\n.N/0220123456001\nENDBPM":                                                  "BPM.U 0220123456",
		"BSM\n.V/1RLHR\n.F/BA904/0/8MAY/FRA/J\n.N/0125123456001\nENDBSM":                                                                                     "refused .F/2",
		"BSM\n.V/1LIST/PART1\n.F/TK1/18APR/JFK\n.N/0235123456001\nENDPART1":                                                                                  "BSM 0235123456",
	} {
		require.Equal(t, []string{want}, summary(decode(t, []byte(body))), body)
	}
	e := decode(t, []byte("BPM .V/1LTPE .J/R///18APR/002903L/TIAT2/ .F/BR0026/17APR/SEA/Y .B/UNS/0695463055001 .I/BR0266/17APR/PNH/Y .S/Y/70D/C/080/080//Y/A .W/K/1/17 ENDBPM"))[0].Event
	require.Equal(t, "2026-04-18T00:29:03+08:00", e.OccurredAt.Format(time.RFC3339))
	require.Equal(t, "70D", field(t, e.Personal.Data, "seat"))
	require.Equal(t, "2026-04-17", e.Transport.Date)
}

func TestSeveralMessages(t *testing.T) {
	const a, b, c = "BSM\r\n.V/1LLIM\r\n.F/LA2468/20JUN/JFK\r\n.N/0045000001001\r\nENDBSM\r\n", "BUM\r\n.V/1LLIM\r\n.N/0045000002001\r\nENDBUM\r\n", "BCM\r\nFOM\r\n.V/1LMUC\r\n.F/LH2860/20JUN/BUD\r\nENDBCM\r\n"
	want := []string{"BSM 0045000001", "BUM 0045000002", "aside no_bag"}
	for name, body := range map[string]string{
		"in a row":         a + b + c,
		"each enveloped":   "\x01QU LIMXXLA\r\n.LIMRSLA 201530\r\n\x02" + a + "\x03\x01QU LIMXXLA\r\n.LIMRSLA 201531\r\n\x02" + b + "\x03" + c,
		"on one line":      strings.ReplaceAll(a+b+c, "\r\n", " / "),
		"without the ends": strings.NewReplacer("ENDBSM\r\n", "", "ENDBUM\r\n", "").Replace(a + b + c),
		"ends on lines":    strings.ReplaceAll(a+b+c, "\r\nEND", " END"),
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, want, summary(decode(t, []byte(body)))) })
	}
	results := decode(t, []byte(a+b+c))
	require.Contains(t, results[2].Findings[0].Message, "FOM")
	require.Equal(t, 10, results[2].Line)
	results = decode(t, []byte("QU LIMXXLA\n.LIMRSLA 201530\n"+b+"QU LIMXXLA\n.LIMRSLA 201645\n"+strings.ReplaceAll(b, "02001", "03001")))
	require.Equal(t, "15:30", results[0].Event.OccurredAt.Format("15:04"))
	require.Equal(t, "16:45", results[1].Event.OccurredAt.Format("15:04"))
}

// A message may be about bags of several passengers, flights and containers.
func TestGroups(t *testing.T) {
	type bag struct{ tag, flight, uld, seat, inbound string }
	for name, test := range map[string]struct {
		lines string
		want  []bag
	}{
		"passengers after their tags": {
			"BTM|.V/1TJFK|.I/LA2468/20JUN/LIM|.F/BA178/21JUN/LHR|.N/0045000001001|.N/0045000002001|.S/Y/1A|.P/A|.N/0045000003001|.S/Y/2B|.P/B|.F/DL1/21JUN/LAX|.N/0045000004001|.P/C|ENDBTM",
			[]bag{
				{"0045000001", "BA178", "", "1A", "LA2468"}, {"0045000002", "BA178", "", "1A", "LA2468"}, {"0045000003", "BA178", "", "2B", "LA2468"}, {"0045000004", "DL1", "", "", "LA2468"},
			},
		},
		"passengers before their tags": {
			"BTM|.V/1TJFK|.F/BA178/21JUN/LHR|.P/A|.S/Y/1A|.N/0045000001001|.P/B|.S/Y/2B|.N/0045000002001|.N/0045000003001|ENDBTM",
			[]bag{{"0045000001", "BA178", "", "1A", ""}, {"0045000002", "BA178", "", "2B", ""}, {"0045000003", "BA178", "", "2B", ""}},
		},
		"containers": {
			"BMM|.V/1LLIM|.F/LA2468/20JUN/JFK|.N/0045000001001|.U/AKE1LA|.N/0045000002001|.N/0045000003001|.U/AKE2LA|.N/0045000004001|ENDBMM",
			[]bag{
				{"0045000001", "LA2468", "", "", ""}, {"0045000002", "LA2468", "AKE1LA", "", ""}, {"0045000003", "LA2468", "AKE1LA", "", ""}, {"0045000004", "LA2468", "AKE2LA", "", ""},
			},
		},
		"another flight ends the container": {
			"BMM|.V/1LLIM|.F/LA2468/20JUN/JFK|.U/AKE1LA|.N/0045000001001|.F/LA2470/20JUN/MIA|.N/0045000002001|ENDBMM",
			[]bag{{"0045000001", "LA2468", "AKE1LA", "", ""}, {"0045000002", "LA2470", "", "", ""}},
		},
		"flights after the tag": {
			"BPM|.V/1TJFK|.J/R///20JUN/2116L/G|.F/BA178/21JUN/LHR|.B/UNS/0045000001001|.I/LA2468/20JUN/LIM|.S/Y/1A|.W/K/1/17|ENDBPM",
			[]bag{{"0045000001", "BA178", "", "1A", "LA2468"}},
		},
		"the tag first": {
			"BPM|.V/1LLIM|.N/0045000001001|.F/LA2468/20JUN/JFK|.U/AKE1LA|ENDBPM",
			[]bag{{"0045000001", "LA2468", "AKE1LA", "", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []bag
			for _, r := range decode(t, message(strings.Split(test.lines, "|")...)) {
				require.True(t, r.OK(), r.Findings)
				e := r.Event
				b := bag{tag: e.AggregateID}
				b.flight = field(t, e.Payload, "outbound", "flight")
				b.inbound = field(t, e.Payload, "inbound", "flight")
				b.uld = field(t, e.Payload, "stowage", "device")
				if e.Personal != nil {
					b.seat = field(t, e.Personal.Data, "seat")
					require.Len(t, strings.Split(string(e.Personal.Data), `"surname"`), strings.Count(test.lines, "|.P/")*0+1+strings.Count(field(t, e.Payload, "text"), ".P/"))
				}
				got = append(got, b)
			}
			require.Equal(t, test.want, got)
		})
	}
	results := decode(t, message("BPM", ".V/1LLIM", ".F/LA2468/20JUN/JFK", ".B/NAL/0045000001001", ".B/OFF/0045000002001/0045000005002", ".N/0045000003001", "ENDBPM"))
	require.Equal(t, []string{"BPM.NAL 0045000001", "BPM.OFF 0045000002", "BPM.OFF 0045000005", "BPM.OFF 0045000006", "BPM 0045000003"}, summary(results))
}

// The parts of a message are put together in whatever order they stand in a body, and what is missing is said.
func TestParts(t *testing.T) {
	const (
		one   = "BTM\n.V/1TJFK/PART1/77\n.I/LA2468/20JUN/LIM\n.F/BA178/21JUN/LHR\n.N/0045000001001\nENDPART1\n"
		two   = "BTM\n.V/1TJFK/PART2/77\n.N/0045000002001\n.F/DL1/21JUN/LAX\n.N/0045000003001\nENDPART2\n"
		three = "BTM\n.V/1TJFK/PART3/77\n.N/0045000004001\nENDBTM\n"
		other = "BSM\n.V/1LLIM\n.N/0045000009001\nENDBSM\n"
		again = "BTM\n.V/1TJFK/PART1/78\n.N/0045000005001\nENDBTM\n"
	)
	all := []string{"BTM 0045000001", "BTM 0045000002", "BTM 0045000003", "BTM 0045000004"}
	for _, body := range []string{one + two + three, three + two + one, one + "\x03\x01QU JFKXXBA\n.LIMRSLA 201530\n\x02" + two + three} {
		results := decode(t, []byte(body))
		require.Equal(t, all, summary(results))
		for _, r := range results {
			require.NotContains(t, codes(r), "warning incomplete .V")
		}
		require.Equal(t, "BA178", field(t, results[1].Event.Payload, "outbound", "flight"), "a part goes on where the one before it ended")
		require.Equal(t, "DL1", field(t, results[3].Event.Payload, "outbound", "flight"))
	}
	for body, missing := range map[string]string{
		one + three: "part 2 of", one: "part 2 and perhaps more of", two + three: "part 1 of", three: "part 1 to 2 of", two: "part 1, 3 and perhaps more of",
	} {
		results := decode(t, []byte(body))
		require.Equal(t, []string{"warning incomplete .V"}, filter(codes(results[0]), "incomplete"))
		require.Contains(t, joined(results[0]), missing)
		require.True(t, results[0].OK(), "its bags are traced all the same")
	}
	require.Equal(t, append(all, "BSM 0045000009", "BTM 0045000005"), summary(decode(t, []byte(one+other+two+again+three)))[:6])
	results := decode(t, []byte("BSM\n.V/1LLIM\n.N/0045000001001\nENDPART1\nBSM\n.V/1LLIM\n.N/0045000002001\nENDPART2\nBSM\n.V/1LLIM/PART3\n.N/0045000003001\nENDBSM\n"))
	require.Equal(t, []string{"BSM 0045000001", "BSM 0045000002", "BSM 0045000003"}, summary(results), "the end numbers parts too")
	require.NotContains(t, joined(results[0]), "missing")
}

func joined(r formats.Result) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Message)
	}
	return strings.Join(all, "\n")
}

func filter(list []string, word string) []string {
	var out []string
	for _, s := range list {
		if strings.Contains(s, word) {
			out = append(out, s)
		}
	}
	return out
}

// What is wrong is refused with the line and the element, and nothing else is.
func TestRefusals(t *testing.T) {
	good := "BPM|.V/1LLIM|.J/S///20JUN/2116L/X|.F/LA2468/20JUN/JFK/Y|.N/0045123456001|ENDBPM"
	for _, test := range []struct {
		old, replacement, field, code string
		line                          int
	}{
		{".V/1LLIM|", "", ".V", formats.CodeRequired, 1},
		{".V/1LLIM", ".V/", ".V", formats.CodeRequired, 1},
		{".V/1LLIM", ".V/LLIM", ".V/1", formats.CodeFormat, 2},
		{".V/1LLIM", ".V/1LIMA5", ".V/1", formats.CodeFormat, 2},
		{"/20JUN/JFK", "/0/8MAY/JFK", ".F/2", formats.CodeFormat, 4},
		{"/20JUN/JFK", "/31JUN/JFK", ".F/2", formats.CodeFormat, 4},
		{"/20JUN/JFK", "/20JNE/JFK", ".F/2", formats.CodeFormat, 4},
		{"|.N/", "|.I/LA1/2OJUN|.N/", ".I/2", formats.CodeFormat, 5},
		{"|.N/", "|.O/LA1/XX|.N/", ".O/2", formats.CodeFormat, 5},
		{"2116L", "2516L", ".J/5", formats.CodeFormat, 3},
		{"2116L", "21:16", ".J/5", formats.CodeFormat, 3},
		{"20JUN/2116L", "JUN20/2116L", ".J/4", formats.CodeFormat, 3},
		{".N/0045123456001", ".N/45123456001", ".N/1", formats.CodeFormat, 5},
		{".N/0045123456001", ".N/0045123456000", ".N/1", formats.CodeFormat, 5},
		{".N/0045123456001", ".N/0045999999002", ".N/1", formats.CodeFormat, 5},
		{".N/0045123456001", ".N/LA45123456001", ".N/1", formats.CodeFormat, 5},
		{".N/0045123456001", ".N/", ".N/1", formats.CodeRequired, 5},
		{".N/0045123456001", ".N/0045123456001/X", ".N/2", formats.CodeFormat, 5},
		{".N/0045123456001", ".B/NAL/X", ".B/2", formats.CodeFormat, 5},
		{"|.N/0045123456001", "", ".N", formats.CodeRequired, 1},
		{"|.N/0045123456001", "|.B/NAL", ".N", formats.CodeRequired, 1},
		{"BPM|", "BPM|CHG|DEL|", "", formats.CodeConflict, 3},
	} {
		results := decode(t, message(strings.Split(strings.Replace(good, test.old, test.replacement, 1), "|")...))
		last := results[len(results)-1]
		require.False(t, last.OK(), test)
		require.False(t, last.Aside(), test)
		var errors []formats.Finding
		for _, f := range last.Findings {
			if f.Severity == formats.SeverityError {
				errors = append(errors, f)
			}
		}
		require.Len(t, errors, 1, test)
		require.Equal(t, test.field, errors[0].Field, test)
		require.Equal(t, test.code, errors[0].Code, test)
		require.Equal(t, test.line, errors[0].Line, test)
	}
	results := decode(t, []byte("BSM\n.V/1LLIM\n.N/0045000001001\nENDBSM\nBXM\n.V/1LLIM\n.N/0045000002001\nENDBXM\nBSM\n.V/1LLIM\n.N/0045000003001\nENDBSM\n"))
	require.Equal(t, []string{"BSM 0045000001", "refused ", "BSM 0045000003"}, summary(results))
	require.Equal(t, 5, results[1].Line)
	require.Contains(t, results[1].Findings[0].Message, "BXM")
}

// What deviates from the standard is read all the same, and said.
func TestDeviations(t *testing.T) {
	good := "BPM|.V/1LLIM|.J/S///20JUN/2116L/X|.F/LA2468/20JUN/JFK/Y|.N/0045123456001|ENDBPM"
	for _, test := range []struct{ old, replacement, finding string }{
		{"|ENDBPM", "", "warning deviation "},
		{"ENDBPM", "ENDBSM", "warning deviation "},
		{"ENDBPM", "END", "warning deviation "},
		{"BPM|", "BPM|NEW|", "info deviation "},
		{"BPM|", "BPM|HELLO|", "warning deviation "},
		{"BPM|", "PDM|BPM|", "info possible_repeat "},
		{"BPM|", "BPM PDM|", "info possible_repeat "},
		{"BPM|", "WHAT IS THIS|BPM|", "warning deviation "},
		{"|.N/", "|AND THIS|.N/", "warning deviation "},
		{"|ENDBPM", "|ENDBPM|AND THIS", "warning deviation "},
		{"456001", "456", "warning deviation .N/1"},
		{".N/", ".N", "warning deviation .N"},
		{"1LLIM", "1ZLIM", "warning unknown_code .V/1"},
		{"LLIM", "LXXQ", "warning zone_unknown .V"},
		{"LA2468", "LATAM", "warning identifier .F/1"},
		{"JFK", "NEW YORK", "warning identifier .F/3"},
		{"/20JUN/JFK", "//JFK", "warning deviation .F/2"},
		{"/20JUN/JFK", "/20JUN27/JFK", ""},
		{"|.N/", "|.F/LA1/20JUN|.N/", "warning deviation .F"},
		{".N/0045", ".N/0000", "info identifier "},
		{".J/S", ".J/Q", "warning unknown_code .J/1"},
		{"20JUN/2116L", "/2116L", "warning deviation .J/4"},
		{"|.N/", "|.X//OK|.N/", "warning unknown_code .X/2"},
		{".N/", ".B/LOST/", "warning unknown_code .B/1"},
		{".N/", ".B/NOT A CODE/", "warning unknown_code .B/1"},
		{"|.N/", "|.W/S/1/2|.N/", "warning unknown_code .W/1"},
		{"|.N/", "|.W/K/one/2|.N/", "warning deviation .W/2"},
		{"|.N/", "|.M/X|.N/", "info unknown_field .M"},
	} {
		r := one(t, strings.Split(strings.Replace(good, test.old, test.replacement, 1), "|")...)
		require.True(t, r.OK(), "%+v %+v", test, r.Findings)
		if test.finding == "" {
			require.Empty(t, r.Findings)
			continue
		}
		require.Equal(t, []string{test.finding}, codes(r), "%+v", r.Findings)
	}
	far := one(t, strings.Split(strings.ReplaceAll(good, "20JUN", "22AUG"), "|")...)
	require.Equal(t, []string{"warning far_date .F/2", "warning far_date .J/4"}, filter(codes(far), "far"), far.Event.OccurredAt)
}

func TestOtherEncodings(t *testing.T) {
	body := message("BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK", ".N/0045123456001", ".P/MU\xd1OZ/JOS\xc9", ".R/CAF\xc9", "ENDBSM")
	results := decode(t, body)
	e := results[0].Event
	require.Contains(t, codes(results[0]), "warning deviation ")
	require.Equal(t, "iso-8859-1", field(t, e.Payload, "encoding"))
	var back []byte
	for _, r := range text(t, e) {
		back = append(back, byte(r))
	}
	require.Equal(t, body, back)
}

func TestBodies(t *testing.T) {
	for body, code := range map[string]string{
		"": formats.CodeEmpty, "\xef\xbb\xbf \r\n": formats.CodeEmpty, "FSU/14\r\n157-53806270HKGNLU/P2K505.0T10": formats.CodeSyntax, "{}": formats.CodeSyntax, ".V/1LLIM": formats.CodeSyntax,
		"BSMX\n.V/1LLIM": formats.CodeSyntax,
	} {
		_, err := baggage.Decode([]byte(body), options(t))
		var fault *formats.BodyError
		require.ErrorAs(t, err, &fault, body)
		require.Equal(t, code, fault.Code, body)
	}
}

// A few bytes may name very many bags: what comes of them is bounded.
func TestLimits(t *testing.T) {
	opt := options(t)
	opt.MaxEvents = 1000
	body := message("BSM", ".V/1LLIM", ".N/0045000001999", "ENDBSM")
	results, err := baggage.Decode(body, opt)
	require.NoError(t, err)
	require.Len(t, results, 999)
	_, err = baggage.Decode(append(bytes.Clone(body), body...), opt)
	var fault *formats.BodyError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, formats.CodeTooMany, fault.Code)
	require.Equal(t, 7, fault.Line)

	opt.MaxEvents = 0
	_, err = baggage.Decode(bytes.Repeat(body, 11), opt)
	require.ErrorAs(t, err, &fault)
	require.Contains(t, fault.Message, "10000 bags")
	long := ".R/" + strings.Repeat("X", 1<<16)
	_, err = baggage.Decode(message("BSM", ".V/1LLIM", ".N/0045000001999", long, "ENDBSM"), opt)
	require.ErrorAs(t, err, &fault)
	require.Contains(t, fault.Message, "larger than")
	results, err = baggage.Decode(message("BSM", ".V/1LLIM", ".N/0045000001001", ".P/"+strings.Repeat("X", 1<<16), "ENDBSM"), opt)
	require.NoError(t, err)
	require.Equal(t, formats.CodeTooLong, results[0].Findings[len(results[0].Findings)-1].Code)
	results, err = baggage.Decode(message("BSM", ".V/1LLIM", strings.Repeat(".O/LA1/20JUN\n", 100)+".N/0045000001001", ".P/A", ".N/0045000002001", "ENDBSM"), opt)
	require.NoError(t, err)
	require.Equal(t, []string{"refused "}, summary(results))

	// A manifest of many tags: the text of each is not that of all.
	var tags []string
	for i := range 500 {
		tags = append(tags, ".N/0045"+string("0123456789"[i/100])+string("0123456789"[i/10%10])+string("0123456789"[i%10])+"000001")
	}
	results, err = baggage.Decode(message(append(append([]string{"BMM", ".V/1LLIM", ".F/LA2468/20JUN/JFK"}, tags...), "ENDBMM")...), opt)
	require.NoError(t, err)
	require.Len(t, results, 500)
	require.Equal(t, "BMM\r\n.V/1LLIM\r\n.F/LA2468/20JUN/JFK\r\n"+tags[77]+"\r\nENDBMM\r\n", field(t, results[77].Event.Payload, "text"))
}

// A change replaces the plan of its tag, and a deletion does so with the end of the journey.
func TestChangeAndDeletion(t *testing.T) {
	at := func(sent string, lines ...string) *tracking.Event {
		if sent != "" {
			lines = append([]string{"QU LIMXXLA", ".LIMRSLA " + sent}, lines...)
		}
		return event(t, lines...)
	}
	legs := func(trace tracking.Trace) string {
		var list []string
		for _, l := range trace.Legs {
			list = append(list, l.Transport.Carrier+l.Transport.Number)
		}
		return strings.Join(list, " ")
	}
	tag := ".N/0045123456001"
	for _, times := range [][3]string{{"201500", "201510", "201520"}, {"201500", "201500", "201500"}, {"", "", ""}} {
		plan := at(times[0], "BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK", tag, "ENDBSM")
		again := at(times[0], "BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK", tag, "ENDBSM", "PDM")
		require.Equal(t, plan.EventID, again.EventID)
		require.Equal(t, plan.Revision, again.Revision)
		change := at(times[1], "BSM", "CHG", ".V/1LLIM", ".F/LA2470/20JUN/JFK", tag, "ENDBSM")
		gone := at(times[2], "BSM", "DEL", ".V/1LLIM", ".F/LA2470/20JUN/JFK", tag, "ENDBSM")
		loaded := event(t, "BPM", ".V/1LLIM", ".J/R///20JUN/2255L/G", ".F/LA2470/20JUN/JFK", ".U/AKE1LA", tag, "ENDBPM")
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
			events := []*tracking.Event{plan, change, loaded}
			trace := fold(t, events[order[0]], events[order[1]], events[order[2]])
			require.Equal(t, tracking.Loaded, trace.Status)
			require.Equal(t, "LA2470", legs(trace), times)
			require.Equal(t, 1, trace.VoidedCount)
			events = []*tracking.Event{plan, change, gone}
			trace = fold(t, events[order[0]], events[order[1]], events[order[2]])
			require.Equal(t, tracking.Cancelled, trace.Status, times)
			trace = fold(t, gone)
			require.Equal(t, tracking.Cancelled, trace.Status, "the plan may never come")
		}
		require.Equal(t, tracking.Announced, fold(t, change).Status)
	}
	// Where the envelope orders messages, the latest stands whatever it is.
	first := at("201500", "BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK", tag, "ENDBSM")
	gone := at("201510", "BSM", "DEL", ".V/1LLIM", ".F/LA2468/20JUN/JFK", tag, "ENDBSM")
	back := at("201520", "BSM", ".V/1LLIM", ".F/LA2472/20JUN/JFK", tag, "ENDBSM")
	changed := at("201530", "BSM", "CHG", ".V/1LLIM", ".F/LA2474/20JUN/JFK", tag, "ENDBSM")
	require.Equal(t, "LA2472", legs(fold(t, back, gone, first)))
	require.Equal(t, tracking.Announced, fold(t, back, gone, first).Status)
	require.Equal(t, "LA2474", legs(fold(t, changed, back, gone, first)))
	// The plan of another station is not touched.
	transfer := event(t, "BSM", ".V/1TJFK", ".I/LA2468/20JUN/LIM", ".F/BA178/21JUN/LHR", tag, "ENDBSM")
	require.Equal(t, "LA2474 BA178", legs(fold(t, transfer, first, changed)))
	// Two plans that differ and that nothing orders are told apart, and the same again is not.
	a := event(t, "BSM", ".V/1LLIM", ".F/LA2468/20JUN/JFK", tag, "ENDBSM")
	b := event(t, "BSM", ".V/1LLIM", ".F/LA2468/21JUN/JFK", tag, "ENDBSM")
	require.Equal(t, a.EventID, b.EventID)
	require.Greater(t, b.Revision, a.Revision)
	require.Greater(t, first.Revision, b.Revision)
}

// The id of what happened depends on what the message says of the bag, and on nothing else.
func TestIdentity(t *testing.T) {
	lines := []string{"BPM", ".V/1LLIM/REF1", ".J/S/A/B/20JUN/2116L/X", ".F/LA2468/20JUN/JFK/Y", ".N/0045123456001", ".P/QUISPE/ANA", "ENDBPM"}
	base := event(t, lines...).EventID
	same := func(old, replacement string) string {
		return event(t, strings.Split(strings.Replace(strings.Join(lines, "|"), old, replacement, 1), "|")...).EventID
	}
	for _, pair := range [][2]string{
		{"BPM|", "PDM|BPM|"}, {"BPM|", "BPM|PDM|"}, {"BPM|", "QU LIMXXLA|.LIMRSLA 201530 PDM|BPM|"}, {"QUISPE", "SOTO"}, {"REF1", "REF2"}, {"/Y|", "/Y/|"}, {"|.J", " |  .J"},
		{".J/S", ".j/s"},
	} {
		require.Equal(t, base, same(pair[0], pair[1]), pair)
	}
	for _, pair := range [][2]string{
		{"2116L", "2117L"}, {"20JUN/2116L", "19JUN/2116L"}, {"LA2468", "LA2470"}, {"456001", "457001"}, {"1LLIM", "1RLIM"}, {"/X", "/Z"}, {"BPM|", "BUM|"}, {"|.P", "|.E/RUSH|.P"},
		{"|.N", "|.U/AKE1LA|.N"},
	} {
		require.NotEqual(t, base, same(pair[0], pair[1]), pair)
	}
	opt := options(t)
	opt.ReceivedAt = received.AddDate(1, 0, 0)
	results, err := baggage.Decode(message(lines...), opt)
	require.NoError(t, err)
	require.NotEqual(t, base, results[0].Event.EventID, "tags are used again: the year counts")
	opt.ReceivedAt = received.AddDate(0, 1, 0)
	results, err = baggage.Decode(message(lines...), opt)
	require.NoError(t, err)
	require.Equal(t, base, results[0].Event.EventID, "the time of receipt does not")
}

// The journey of the samples: announced, screened, loaded, on the belt.
func TestJourney(t *testing.T) {
	var events []*tracking.Event
	want := []tracking.Milestone{tracking.Announced, tracking.Processing, tracking.Loaded, tracking.Available}
	for i, name := range []string{"01-bsm", "03-bpm-screened", "04-bpm-loaded", "06-bpm-arrival-belt"} {
		events = append(events, decode(t, read(t, "testdata/"+name+".txt"))[0].Event)
		require.Equal(t, want[i], fold(t, events...).Status, name)
	}
	trace := fold(t, events[3], events[2], events[1], events[0])
	require.Equal(t, tracking.Available, trace.Status)
	require.Len(t, trace.Legs, 1)
	require.Equal(t, tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468", Date: "2026-06-20", Origin: "LIM", Destination: "JFK"}, trace.Legs[0].Transport)
	alert := decode(t, read(t, "testdata/05-bpm-not-authorised.txt"))[0].Event
	require.Equal(t, "security_alert", fold(t, alert).Exception)
	deleted := decode(t, read(t, "testdata/07-bsm-delete.txt"))[0].Event
	three := decode(t, read(t, "testdata/02-bsm-three-tags.txt"))
	require.Equal(t, tracking.Cancelled, fold(t, deleted, three[2].Event).Status)
}
