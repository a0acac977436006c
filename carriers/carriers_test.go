package carriers_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

func tables(t testing.TB) carriers.Tables {
	t.Helper()
	tables, err := carriers.LoadTables(config.Files())
	require.NoError(t, err)
	return tables
}

func shipped(t *testing.T) *carriers.Set {
	t.Helper()
	set, found, err := carriers.Load(config.Files(), nil)
	require.NoError(t, err)
	require.Empty(t, found)
	return set
}

func TestShippedCarriers(t *testing.T) {
	set := shipped(t)
	byFormat := map[string]int{}
	for _, c := range set.All() {
		require.Equal(t, "talma-pe", c.Tenant)
		require.NotEmpty(t, c.Summary)
		byFormat[c.Format]++
	}
	for _, format := range carriers.Formats() {
		require.Positive(t, byFormat[format], "no carrier of the format %s is shipped", format)
	}
	require.Equal(t, 6, byFormat[carriers.Mapped])
	_, err := set.Lookup("talma-ec", "demo-epcis")
	require.ErrorIs(t, err, carriers.ErrUnknown)
	_, err = set.Lookup("talma-pe", "demo-epics")
	require.ErrorContains(t, err, `did you mean "demo-epcis"?`)
}

// Every shipped carrier has cases beside it. RASTRO_UPDATE_GOLDEN=1 writes what is wanted.
func TestCasesOfShippedCarriers(t *testing.T) {
	files := os.DirFS("../config")
	for _, carrier := range shipped(t).All() {
		cases, err := carriers.Cases(files, carrier.Name)
		require.NoError(t, err)
		require.NotEmpty(t, cases, "%s has no case", carrier.Name)
		for _, of := range cases {
			t.Run(of.Name, func(t *testing.T) {
				got, differences, err := carrier.Run(of)
				if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
					require.NoError(t, os.WriteFile(filepath.Join("../config", of.Want), carriers.Encode(got), 0o600))
					return
				}
				require.NoError(t, err)
				require.Empty(t, differences)
			})
		}
	}
}

const small = "carrier: x\nformat: native\n"

func parse(t *testing.T, text string) (*carriers.Carrier, []string) {
	t.Helper()
	c, found := carriers.Parse("carriers/x.yaml", []byte(text), tables(t))
	lines := []string{}
	for _, f := range found {
		lines = append(lines, strings.TrimPrefix(f.String(), "carriers/x.yaml:"))
	}
	return c, lines
}

func TestFaultsHavePlaces(t *testing.T) {
	for text, want := range map[string][]string{
		small:                                 nil,
		"":                                    {"1:1: a carrier's file holds one YAML document; begin with `carrier: NAME`"},
		"carrier: [x":                         {"1:10: "},
		"- x":                                 {"1:1: a carrier must be a mapping", "1:1: a carrier has a name; write `carrier: x`", "1:1: a carrier has a format"},
		"carrier: y\nformat: native\n":        {`1:10: the carrier is "y" and its file "x.yaml"; rename the file to y.yaml, or the carrier to x`},
		"carrier: x\nformat: epics\n":         {`2:9: there is no format "epics"; did you mean "epcis"?`},
		"carrier: x\nformt: native\n":         {"1:1: a carrier has a format", `2:1: a carrier has no "formt"; did you mean "format"?`},
		small + "shape: ups\n":                {"3:8: only the format mapped has a shape"},
		"carrier: x\nformat: mapped\n":        {"2:9: the format mapped needs a mapping"},
		small + "defaults: {time_zone: Lima}": {`3:23: time_zone "Lima" is not in the IANA time zone database; write one such as America/Lima`},
		small + "defaults: {time_zone: UTC}":  {"3:23: warning: times of the format native have zones; time_zone has no effect"},
		small + "defaults: {station: XXQ}":    {`3:21: station "XXQ" is in no table of airports`},
		small + "limits:\n  max_events: no\n  rate: 7\n": {
			`4:15: max_events must be a whole number from 1, not "no"`, `5:3: limits has no "rate"; there is events_per_second`,
		},
		small + "authentication: {hmac: false}":                           {"3:17: nobody can send"},
		small + "authentication: {oidc: {clients: [a, a]}, api_key: yes}": {`3:38: "a" stands twice in clients`, "3:52: api_key must be true or false"},
		small + "codes:\n  A: loadd\n  a: loaded\n  B: {exception: Bad}\n  C: {}\n  D: {mileston: loaded}\n": {
			`4:6: "loadd" is no milestone, and no word that milestones.yaml knows; did you mean "loaded"?`,
			`6:6: exception "Bad" must be a short name in snake_case`, `7:6: code "C" means nothing`,
			`8:7: a code has no "mileston"; did you mean "milestone"?`,
		},
		"carrier: x\nformat: mapped\nshape: upss\n": {`3:8: no shape "upss" is shipped; did you mean "ups"?`},
		"carrier: x\nformat: mapped\nmapping:\n  kind: bag\n  each: event.payload.[\n  set:\n    correlation_id: item.id\n    event_tpe: item.x\n    timestamp: 1 +\n": {
			`8:5: no event has the field "event_tpe"; did you mean "event_type"?`,
		},
		"carrier: x\nformat: mapped\nmapping:\n  kind: bag\n  each: event.payload.[\n  set:\n    correlation_id: item.id\n    timestamp: 1 +\n": {
			"4:3: a mapping sets event_type", "4:9: ", "5:9: ", "8:16: ",
		},
		small + "tenant: 'talma pe'\n": {`3:9: tenant "talma pe" has spaces`},
	} {
		_, got := parse(t, text)
		require.Len(t, got, len(want), "%s\n%v", text, got)
		for i := range want {
			require.True(t, strings.HasPrefix(got[i], want[i]), "%s\n%s\n%s", text, want[i], got[i])
		}
	}
}

func TestSourcesAreTheCarriersOwn(t *testing.T) {
	c, found := parse(t, small+"sources: [handler]\n")
	require.Empty(t, found)
	event := func(source string) []byte {
		return []byte(`{"correlation_id":"1","aggregate_id":"1","event_type":"loaded","timestamp":"2026-06-20T10:05:00Z","source":"` + source + `"}`)
	}
	for source, want := range map[string]string{
		"handler": "handler", "x": "x", "x/a": "x/a", "latam": "x/latam", "/a/b": "x/a/b", "xy": "x/xy",
	} {
		results, err := c.Decode(carriers.Body{Bytes: event(source)}, formats.Options{})
		require.NoError(t, err)
		require.Equal(t, want, results[0].Event.Source)
	}
	results, err := c.Decode(carriers.Body{Bytes: event(strings.Repeat("s", 255))}, formats.Options{})
	require.NoError(t, err)
	require.False(t, results[0].OK())
	require.Equal(t, formats.CodeTooLong, results[0].Findings[0].Code)
}

func TestCodesMeanWhatTheCarrierSays(t *testing.T) {
	c, found := parse(t, small+"codes:\n  loaded: arrived\n  q1: picked_up\n  Q2: {milestone: processing, exception: offloaded}\n  q3: none\n")
	require.Empty(t, found)
	for code, want := range map[string]tracking.Enrichment{
		"LOADED": {Milestone: tracking.Arrived}, "Q1": {Milestone: tracking.Accepted}, "q2": {Milestone: tracking.Processing, Exception: "offloaded"},
		"Q3": {Milestone: tracking.None}, "delivered": {}, "ZZ9": {},
	} {
		results, err := c.Decode(carriers.Body{Bytes: []byte(
			`{"correlation_id":"1","aggregate_id":"1","event_type":"` + code + `","timestamp":"2026-06-20T10:05:00Z"}`)}, formats.Options{})
		require.NoError(t, err)
		require.Equal(t, want, results[0].Event.Enrichment, code)
		require.Equal(t, code, results[0].Event.Type, "codes are kept as they were sent")
		require.Equal(t, code == "ZZ9", carriers.Unmapped(results[0]), code)
	}
}

func TestLimitsOfACarrier(t *testing.T) {
	c, found := parse(t, small+"limits: {max_events: 2, events_per_second: 0.5, max_body_bytes: 1_000}\n")
	require.Empty(t, found)
	require.InDelta(t, 0.5, c.Limits.EventsPerSecond, 0)
	require.Equal(t, 1000, c.Limits.MaxBodyBytes)
	_, err := c.Decode(carriers.Body{Bytes: []byte(`[{},{},{}]`)}, formats.Options{MaxEvents: 100})
	var fault *formats.BodyError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, formats.CodeTooMany, fault.Code)
}

func TestCasesSayWhatDiffers(t *testing.T) {
	c, found := parse(t, small)
	require.Empty(t, found)
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, "carriers", "tests", "x", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	run := func() []string {
		cases, err := carriers.Cases(os.DirFS(dir), "x")
		require.NoError(t, err)
		require.Len(t, cases, 1)
		_, differences, err := c.Run(cases[0])
		require.NoError(t, err)
		return differences
	}
	write("a.json", `[{"correlation_id":"1","aggregate_id":"1","event_type":"loaded","timestamp":"2026-06-20T10:05:00Z"},{}]`)
	cases, err := carriers.Cases(os.DirFS(dir), "x")
	require.NoError(t, err)
	_, _, err = c.Run(cases[0])
	require.ErrorIs(t, err, carriers.ErrNoWant)
	write("a.want.ndjson", "{\"correlation_id\":\"2\",\"milestone\":\"loaded\",\"aggregate_id\":null,\"quantity\":{}}\n{\"event_type\":\"x\"}\n{\"event_type\":\"y\"}\n")
	require.Equal(t, []string{
		`item 1: aggregate_id: must not be there, is "1"`, `item 1: correlation_id: want "2", is "1"`, "item 1: quantity: want {}, is missing",
	}, run()[:3])
	require.Contains(t, run()[3], `item 2: event_type: want "x", is missing; it is refused: [{"code":"required","field":"correlation_id"}`)
	require.Equal(t, `item 3: missing: {"event_type":"y"}`, run()[4])
	got, _, err := c.Run(cases[0])
	require.ErrorIs(t, err, carriers.ErrNoWant)
	write("a.want.ndjson", string(carriers.Encode(got)))
	require.Empty(t, run())
}

func FuzzParse(f *testing.F) {
	tables := tables(f)
	names, err := carriers.Files(config.Files())
	require.NoError(f, err)
	for _, name := range names {
		text, err := fs.ReadFile(config.Files(), name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(small + "mapping: {each: [], set: {a: {}}}\ncodes: {A: {}}\nlimits: 7\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, found := carriers.Parse("carriers/x.yaml", text, tables)
		require.Equal(t, c == nil, len(found.Errors()) > 0)
		for _, finding := range found {
			require.Positive(t, finding.Line)
			require.NotEmpty(t, finding.Message)
		}
	})
}
