package carriers_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/tracking/formats"
)

const (
	corpusBegin = "<!-- corpus: RASTRO_UPDATE_GOLDEN=1 go test ./carriers writes it -->\n"
	corpusEnd   = "<!-- end of corpus -->\n"
)

// corpus is where samples stand, by the format.
var corpus = []struct {
	format, carrier string
	patterns        []string
}{
	{carriers.Native, "demo-native", []string{"../config/carriers/tests/demo-native/lines.ndjson"}},
	{carriers.CloudEvents, "demo-cloudevents", []string{"../tracking/formats/cloudevents/testdata/*.json"}},
	{carriers.EPCIS, "demo-epcis", []string{"../tracking/formats/epcis/testdata/*/*.json"}},
	{carriers.DCSA, "demo-dcsa", []string{"../tracking/formats/dcsa/testdata/*.json"}},
	{carriers.CargoIMP, "demo-cargo-imp", []string{"../tracking/formats/cargoimp/testdata/*.txt"}},
	{carriers.Baggage, "demo-baggage", []string{"../tracking/formats/baggage/testdata/*.txt"}},
}

// faulty are the samples of which something must be refused, by their path within the repository's testdata.
func faulty(file string) bool {
	for _, part := range []string{"epcis/testdata/invalid/", "wrong-structure", "14-broken", "09-malformed-date"} {
		if strings.Contains(file, part) {
			return true
		}
	}
	return false
}

// corpusRow is what became of the samples of a format.
type corpusRow struct{ files, things, accepted, aside, refused int }

func (r *corpusRow) add(t *testing.T, c *carriers.Carrier, file string) {
	t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	results, err := c.Decode(carriers.SampleOf(body), formats.Options{})
	var fault *formats.BodyError
	if errors.As(err, &fault) {
		t.Fatalf("%s cannot be read: %v", file, fault)
	}
	require.NoError(t, err, file)
	require.NotEmpty(t, results, file)
	r.files++
	refused := 0
	for _, result := range results {
		r.things++
		switch {
		case result.OK():
			r.accepted++
		case result.Aside():
			r.aside++
		default:
			refused++
			require.True(t, slices.ContainsFunc(result.Findings, func(f formats.Finding) bool {
				return f.Severity == formats.SeverityError && f.Field != "" && f.Message != ""
			}), "%s is refused without saying where", file)
		}
	}
	r.refused += refused
	if wrong := faulty(filepath.ToSlash(file)); c.Format != carriers.Native { // whose sample has both
		require.Equal(t, wrong, refused > 0, "%s: refused are %d of %d", file, refused, len(results))
		if wrong {
			require.Equal(t, len(results), refused, file)
		}
	}
}

// The page on formats says what becomes of every sample: those that are right are taken, those that are not refused, with a pointer.
func TestTheCorpus(t *testing.T) {
	t.Parallel()
	set := shipped(t)
	var table strings.Builder
	table.WriteString("\n| format | files | events | accepted | set aside | refused, as they must be |\n|---|--:|--:|--:|--:|--:|\n")
	write := func(name string, r corpusRow) {
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d |\n", name, r.files, r.things, r.accepted, r.aside, r.refused)
	}
	var all corpusRow
	sum := func(r corpusRow) {
		all.files, all.things, all.accepted = all.files+r.files, all.things+r.things, all.accepted+r.accepted
		all.aside, all.refused = all.aside+r.aside, all.refused+r.refused
	}
	covered := []string{carriers.Mapped}
	for _, of := range corpus {
		carrier, err := set.Lookup("talma-pe", of.carrier)
		require.NoError(t, err)
		require.Equal(t, of.format, carrier.Format)
		covered = append(covered, of.format)
		var row corpusRow
		for _, pattern := range of.patterns {
			files, err := filepath.Glob(pattern)
			require.NoError(t, err)
			require.NotEmpty(t, files, pattern)
			for _, file := range files {
				row.add(t, carrier, file)
			}
		}
		write(of.format, row)
		sum(row)
	}
	var row corpusRow
	for _, carrier := range set.All() {
		if carrier.Format == carriers.Mapped {
			row.add(t, carrier, "../tracking/formats/mapped/testdata/"+carrier.Shape+".json")
		}
	}
	write(carriers.Mapped, row)
	sum(row)
	write("all", all)
	require.ElementsMatch(t, carriers.Formats(), covered)
	table.WriteString("\n")

	const page = "../docs/formats.md"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := bytes.Cut(text, []byte(corpusBegin))
	require.True(t, ok, "the page has no place for the corpus")
	got, after, ok := bytes.Cut(rest, []byte(corpusEnd))
	require.True(t, ok)
	if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(page, slices.Concat(before, []byte(corpusBegin+table.String()+corpusEnd), after), 0o600))
		return
	}
	require.Equal(t, table.String(), string(got))
}
