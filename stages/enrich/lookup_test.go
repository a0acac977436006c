package enrich

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

const gatesCSV = "\ufeffcode,station,zone,level\nA1,LIM,north,2\n\"B\"\"2\",LIM,\"so\"\"uth\",\nA1,CUZ,<east>,1\n"

var gates = fstest.MapFS{
	"gates.csv": {Data: []byte("code,zone,level\nA1,north,2\n\"B\"\"2\",\"so\"\"uth\",\n")},
	"both.csv":  {Data: []byte(gatesCSV)},
}

// open builds a stage as a pipeline does and closes it with the test.
func open(tb testing.TB, s pipeline.Settings, with string) pipeline.Stage {
	tb.Helper()
	stage, err := tryOpen(s, with)
	require.NoError(tb, err)
	if closer, ok := stage.(io.Closer); ok {
		tb.Cleanup(func() { require.NoError(tb, closer.Close()) })
	}
	return stage
}

func tryOpen(s pipeline.Settings, with string) (pipeline.Stage, error) {
	registry := pipeline.NewRegistry()
	if err := Register(registry); err != nil {
		return nil, err
	}
	source := "pipeline: p\nfrom: a\nstages:\n  - use: enrich\n    with:\n" + indent(with)
	spec, err := pipeline.Parse("p.yaml", []byte(source), registry)
	if err != nil {
		return nil, err
	}
	return spec.Stages[0].Build("p", s)
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		b.WriteString("      " + line)
	}
	return b.String()
}

func withFiles(files fstest.MapFS) pipeline.Settings {
	s := settings()
	s.Files = files
	return s
}

func gateEvents(gates ...string) []*tracking.Event {
	events := make([]*tracking.Event, len(gates))
	for i, gate := range gates {
		payload, _ := json.Marshal(map[string]string{"gate": gate, "station": "LIM"})
		events[i] = &tracking.Event{Payload: payload}
	}
	return events
}

// attributes returns what the events have under a name.
func attributes(name string, events ...*tracking.Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = string(e.Enrichment.Attributes[name])
	}
	return out
}

func outcomes(batch *pipeline.Batch) []string {
	out := make([]string, batch.Len())
	for i := range out {
		v := batch.Verdict(i)
		out[i] = strings.TrimSpace(v.Outcome.String() + " " + v.Reason.Code)
	}
	return out
}

func TestLookupInAFile(t *testing.T) {
	t.Parallel()
	for with, want := range map[string][]string{
		"- lookup: {key: payload.gate, into: gate, csv: {file: gates.csv, key: code}}": {
			`{"zone":"north","level":"2"}`, `{"zone":"so\"uth"}`, "", "", `{"zone":"north","level":"2"}`,
		},
		"- lookup: {key: [payload.gate], into: gate, csv: {file: gates.csv, key: [code], columns: level}}": {`{"level":"2"}`, `{}`, "", "", `{"level":"2"}`},
		"- lookup: {key: [payload.station, payload.gate], into: gate, csv: {file: both.csv, key: [station, code], columns: [level, code]}}": {
			`{"level":"2","code":"A1"}`, `{"code":"B\"2"}`, "", "", `{"level":"2","code":"A1"}`,
		},
	} {
		events := append(gateEvents("A1", `B"2`, "C3", "", "A1"), &tracking.Event{})
		batch := pipeline.NewBatch(events)
		require.NoError(t, open(t, withFiles(gates), with).Process(t.Context(), batch))
		require.Equal(t, append(want, ""), attributes("gate", events...), with)
		require.Equal(t, len(events), batch.PendingLen())
	}
}

func TestWhatBecomesOfEventsWithoutAnEntry(t *testing.T) {
	t.Parallel()
	for onMissing, want := range map[string]string{"pass": "pass", "reject": "reject lookup_missing", "drop": "drop lookup_missing"} {
		stage := open(t, withFiles(gates), "- lookup: {key: payload.gate, into: gate, csv: {file: gates.csv, key: code}, on_missing: "+onMissing+"}")
		batch := pipeline.NewBatch(append(gateEvents("A1", "C3"), &tracking.Event{}))
		require.NoError(t, stage.Process(t.Context(), batch))
		require.Equal(t, []string{"pass", want, "pass"}, outcomes(batch), "an event without a key passes")
		if onMissing != "pass" {
			require.Equal(t, pipeline.Reason{Code: CodeMissing, Message: `there is no gate for "C3"`, Field: "/payload/gate"}, batch.Verdict(1).Reason)
		}
	}
	stage := open(t, withFiles(gates),
		"- lookup: {key: [payload.station, payload.gate], into: gate, csv: {file: both.csv, key: [station, code]}, on_missing: reject}")
	batch := pipeline.NewBatch(gateEvents(strings.Repeat("x", 500), strings.Repeat("x", maxKey+1)))
	require.NoError(t, stage.Process(t.Context(), batch))
	require.Equal(t, []string{"reject lookup_missing", "reject lookup_missing"}, outcomes(batch))
	require.Less(t, len(batch.Verdict(0).Reason.Message), 200, "what is quoted of a key is bounded")
	require.Empty(t, batch.Verdict(0).Reason.Field)
}

func TestPointers(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"tenant_id": "/tenant_id", "location.iata": "/location/iata", `payload.a\.b.c/d~e.\\f`: `/payload/a.b/c~1d~0e/\f`,
	} {
		require.Equal(t, want, pointer(pipeline.MustParsePath(path)))
	}
}

func TestALaterLookupIsAFallback(t *testing.T) {
	t.Parallel()
	stage := open(t, withFiles(gates), `
- lookup: {key: [payload.station, payload.gate], into: gate, csv: {file: both.csv, key: [code, station], columns: [zone]}}
- lookup: {key: payload.gate, into: gate, csv: {file: gates.csv, key: code, columns: [zone]}}
- lookup: {key: payload.gate, into: gate, csv: {file: gates.csv, key: code, columns: [level]}, on_missing: drop}`)
	events := gateEvents("A1", "C3")
	batch := pipeline.NewBatch(events)
	require.NoError(t, stage.Process(t.Context(), batch))
	require.Equal(t, []string{`{"zone":"north"}`, ""}, attributes("gate", events...))
	require.Equal(t, []string{"pass", "drop lookup_missing"}, outcomes(batch))
}

// What a later stage does to one event's attributes must reach neither another's, nor those of a copy, nor the table.
func TestAttributesAreNotShared(t *testing.T) {
	t.Parallel()
	stage := open(t, withFiles(gates), "- lookup: {key: payload.gate, into: gate, csv: {file: gates.csv, key: code}}")
	shared := map[string]json.RawMessage{"before": json.RawMessage("1")}
	events := gateEvents("A1", "A1")
	events[0].Enrichment.Attributes, events[1].Enrichment.Attributes = shared, shared
	require.NoError(t, stage.Process(t.Context(), pipeline.NewBatch(events)))
	require.Len(t, shared, 1, "a map that may be shared is not written to")
	require.Equal(t, "1", string(events[0].Enrichment.Attributes["before"]))
	copy(events[0].Enrichment.Attributes["gate"], "xxxxxxxxx")
	again := gateEvents("A1")
	require.NoError(t, stage.Process(t.Context(), pipeline.NewBatch(again)))
	require.JSONEq(t, `{"zone":"north","level":"2"}`, string(events[1].Enrichment.Attributes["gate"]))
	require.JSONEq(t, `{"zone":"north","level":"2"}`, string(again[0].Enrichment.Attributes["gate"]))
}

func TestTablesThatAreWrongAreErrorsAtStart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                           "the file is empty",
		"code,zone\nA,1\nB,2\nA,3\n": `line 4: "A" stands on line 2 already`,
		"code,zone\nA,1\n ,2\n":      `line 3: column "code" is empty`,
		"code,zone\nA,1,2\n":         "line 2: wrong number of fields",
		"code,zone\n\"A,1\n":         `extraneous or missing " in quoted-field`,
		"cod,zone\nA,1\n":            `there is no column "code"; there is cod, zone`,
		"code,code\nA,1\n":           `two columns are called "code"`,
		"code,area\nA,1\n":           `there is no column "zone"; there is code, area`,
	} {
		_, err := tryOpen(withFiles(fstest.MapFS{"t.csv": {Data: []byte(text)}}),
			"- lookup: {key: payload.gate, into: gate, csv: {file: t.csv, key: code, columns: [zone]}}")
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "t.csv")
	}
	_, err := tryOpen(withFiles(nil), "- lookup: {key: payload.gate, into: gate, csv: {file: t.csv, key: code}}")
	require.ErrorContains(t, err, "t.csv")
}

// Two keys are the same only when all their parts are.
func TestKeysDoNotCollide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`[0-9:a]{0,3}`), 2, 3)
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		same := len(a) == len(b) && strings.Join(a, "\x00") == strings.Join(b, "\x00")
		if (newKey(a).id == newKey(b).id) != same {
			t.Fatalf("%q %q", a, b)
		}
	})
}

// Whatever is in a file, reading it neither crashes nor gives entries that are not JSON.
func FuzzReadTable(f *testing.F) {
	f.Add(gatesCSV)
	f.Add("code\nx\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := readTable(strings.NewReader(text), CSV{Key: Names{"code"}})
		if err != nil {
			return
		}
		for id, entry := range table.entries {
			require.True(t, id != "" && json.Valid(entry), "%q: %s", id, entry)
		}
	})
}

func TestLookupConfigs(t *testing.T) {
	t.Parallel()
	const csv = ", csv: {file: gates.csv, key: code}"
	pg := func(more string) string {
		return "{key: payload.gate, into: gate, postgres: {url: postgres://h/d, query: SELECT 1 WHERE 'a' = $1" + more + "}}"
	}
	web := func(url, more string) string {
		return "{key: payload.gate, into: gate, http: {url: '" + url + "'" + more + "}}"
	}
	for with, want := range map[string]string{
		pg(""): "", pg(", cache: {ttl: 0s, stale: 1h}, on_failure: skip, pause: 1s"): "", web("https://h/{key}", ", token: t"): "", web("https://h/?q={1}", ""): "",
		"{into: gate" + csv + "}":                                           "lookup.key: name one",
		"{key: [], into: gate" + csv + "}":                                  "lookup.key: name one",
		"{key: payload.gate" + csv + "}":                                    `lookup.into: "" cannot name`,
		"{key: payload.gate, into: Gate" + csv + "}":                        `p.yaml:6:43: lookup.into: "Gate" cannot name`,
		"{key: payload.gate, into: skipped_lookups" + csv + "}":             "cannot name an attribute",
		"{key: payload.gate, into: gate}":                                   "this one in 0 of them",
		"{key: payload.gate, into: gate, on_missing: fail" + csv + "}":      `p.yaml:6:61: lookup.on_missing: "fail" is not`,
		"{key: nowhere, into: gate" + csv + "}":                             `p.yaml:6:23: unknown field "nowhere"`,
		"{key: payload.gate, into: gate, csv: {file: ../g.csv, key: code}}": `p.yaml:6:61: lookup.csv.file: "../g.csv"`,
		"{key: payload.gate, into: gate, csv: {file: g.csv}}":               "it names 0 columns, and the key has 1 parts",
		"{key: payload.gate, into: gate, csv: {file: g.csv, keys: a}}":      `unknown field "keys"`,
		"{key: payload.gate, into: gate, sql: {}}":                          `unknown field "sql"`,
		pg(", statement: x"):                                                `unknown field "statement"`,
		pg(", conns: 0"):                                                    "conns: 0 is not from 1 to 100",
		pg(", timeout: 0s"):                                                 "lookup.postgres.timeout: 0s is not",
		pg(", pause: 0s"):                                                   "pause: 0s is not",
		pg(", on_failure: give_up"):                                         `on_failure: "give_up" is not wait or skip`,
		pg(", cache: {ttl: -1s}"):                                           "cache: a duration is negative",
		pg(", cache: {max_bytes: 0}"):                                       "max_bytes is 0",
		pg(", cache: {tll: 1s}"):                                            `unknown field "tll"`,
		"{key: payload.gate, into: gate, postgres: {query: $1}}":            "lookup.postgres.url: say which",
		"{key: payload.gate, into: gate, postgres: {url: 'postgres://u:secret@h:x/', query: $1}}": "url: it is not a connection string",
		"{key: payload.gate, into: gate, postgres: {url: postgres://h/d}}":                        "query: say how",
		"{key: payload.gate, into: gate, postgres: {url: postgres://h/d, query: SELECT 1}}":       "it does not use $1",
		"{key: payload.gate, into: gate, postgres: {url: postgres://h/d, query: SELECT $1 $2}}":   "it uses $2, and the key has 1 parts",
		web("", ""): "lookup.http.url: say which service", web("https://h/", ""): "it does not use part 1", web("https://{key}/", ""): "belongs into the path or the query",
		web("https://h{key}", ""): "belongs into the path", web("https://h/{gate}", ""): "{gate} stands for no part", web("https://h/{key", ""): "{key stands for no part", web("https://h/{2}", ""): "{2} stands for no part",
		web("https://h/{key}", ", parallel: 0"): "parallel: 0", web("https://h/{key}", ", user: a, token: secret"): "lookup.http.token: there is a user",
		web("https://u:secret@h/{key}", ""): "credentials in an address",
	} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			stage, err := tryOpen(withFiles(gates), "- lookup: "+with)
			if want == "" {
				require.NoError(t, err)
				require.NoError(t, stage.(io.Closer).Close())
				return
			}
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestWorstCases(t *testing.T) {
	t.Parallel()
	var config Config
	require.NoError(t, yaml.Unmarshal([]byte(`
- milestone: {}
- lookup: {key: payload.gate, into: a, postgres: {url: postgres://h/d, query: SELECT 1 WHERE 'a' = $1, timeout: 3s}}
- lookup: {key: payload.gate, into: b, http: {url: "https://h/{key}", timeout: 2s, parallel: 4}}`), &config))
	require.Equal(t, 3*time.Second+3*2*time.Second, config.WorstCase(9))
	require.Zero(t, Defaults().WorstCase(100))
	var _ pipeline.Timed = config
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: a\nstages:\n  - use: enrich\n    with:\n"+indent(`
- lookup: {key: payload.gate, into: a, postgres: {url: "postgres://u:secret@h/d", query: SELECT 1 WHERE 'a' = $1}}
- lookup: {key: payload.gate, into: b, http: {url: "https://h/{key}", token: secret, headers: {X-Key: secret}}}
- lookup: {key: payload.gate, into: c, http: {url: "https://h/{key}", user: u, password: secret}}`)), registry)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(spec.Stages[0].With(true)), "secret")
	require.Contains(t, fmt.Sprint(spec.Stages[0].With(false)), "secret")
}

func TestAddressesOfKeys(t *testing.T) {
	t.Parallel()
	address, err := parseTemplate("https://h/s/{1}/g/{2}.json?s={1}&g={2}", 2)
	require.NoError(t, err)
	got, ok := address.expand([]string{"a/b?c", "d e&f#%"})
	require.True(t, ok)
	require.Equal(t, "https://h/s/a%2Fb%3Fc/g/d%20e&f%23%25.json?s=a%2Fb%3Fc&g=d+e%26f%23%25", got)
	joined, err := parseTemplate("https://h/{1}{2}/x", 2)
	require.NoError(t, err)
	for _, parts := range [][]string{{".", "."}, {"..", ""}, {"", "."}} {
		_, ok := joined.expand(parts)
		require.False(t, ok, "%q leads elsewhere", parts)
	}
	// Whatever the key, the service and what stands around the key stay what they are.
	one, err := parseTemplate("https://example.com/gates/{key}?v=1", 1)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.String().Draw(t, "part")
		got, ok := one.expand([]string{part})
		if !ok {
			return
		}
		if !strings.HasPrefix(got, "https://example.com/gates/") || !strings.HasSuffix(got, "?v=1") ||
			strings.Count(got, "/") != 4 || strings.Count(got, "?") != 1 || strings.Contains(got, "#") {
			t.Fatalf("%q: %s", part, got)
		}
	})
}

// process has a stage process events under a live context.
func lookUp(tb testing.TB, stage pipeline.Stage, events ...*tracking.Event) (*pipeline.Batch, error) {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	return batch, stage.Process(context.Background(), batch)
}
