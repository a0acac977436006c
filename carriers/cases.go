package carriers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// TestFolder is where the cases of carriers stand in a configuration, a folder for each carrier.
const TestFolder = "carriers/tests"

// wantSuffix and caseSuffix are what the names of files end with that stand beside a sample.
const (
	wantSuffix = ".want.ndjson"
	caseSuffix = ".case.yaml"
)

// Case is a sample of what a carrier sends, and what is to become of it.
type Case struct {
	// Name is that of the carrier, a slash and that of the sample.
	Name string
	// Sample is the path of the sample, Want that of what is wanted.
	Sample, Want string

	body Body
	want []byte // nil when there is none
}

// Body is the sample as it is sent.
func (c Case) Body() Body { return c.body }

// caseSettings is what CASE.case.yaml says.
type caseSettings struct {
	ReceivedAt time.Time         `yaml:"received_at"`
	Headers    map[string]string `yaml:"headers"`
}

// caseTime is when bodies of cases are received that do not say when.
func caseTime() time.Time { return time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC) }

// SampleOf is a sample as a case without settings has it.
func SampleOf(text []byte) Body { return Body{Bytes: text, ReceivedAt: caseTime()} }

// Cases reads the cases of a carrier, in the order of their names.
func Cases(files fs.FS, carrier string) ([]Case, error) {
	folder := path.Join(TestFolder, carrier)
	entries, err := fs.ReadDir(files, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	var cases []Case
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, wantSuffix) || strings.HasSuffix(name, caseSuffix) {
			continue
		}
		c, err := readCase(files, carrier, path.Join(folder, name))
		if err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func readCase(files fs.FS, carrier, sample string) (Case, error) {
	base := strings.TrimSuffix(sample, path.Ext(sample))
	c := Case{Name: carrier + "/" + path.Base(base), Sample: sample, Want: base + wantSuffix, body: Body{ReceivedAt: caseTime()}}
	var err error
	if c.body.Bytes, err = fs.ReadFile(files, sample); err != nil {
		return c, fmt.Errorf("read sample: %w", err)
	}
	if c.want, err = fs.ReadFile(files, c.Want); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("read what is wanted: %w", err)
	}
	text, err := fs.ReadFile(files, base+caseSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read case: %w", err)
	}
	var settings caseSettings
	if err := yaml.UnmarshalWithOptions(text, &settings, yaml.Strict()); err != nil {
		return c, fmt.Errorf("%s%s: %w", base, caseSuffix, err)
	}
	if !settings.ReceivedAt.IsZero() {
		c.body.ReceivedAt = settings.ReceivedAt
	}
	c.body.Header = http.Header{}
	for name, value := range settings.Headers {
		c.body.Header.Set(name, value)
	}
	return c, nil
}

// Line is what became of one item of a sample, as files of what is wanted have it.
type Line map[string]any

// Lines decodes a sample and says what became of it, item by item.
func (c *Carrier) Lines(body Body) []Line {
	results, err := c.Decode(body, formats.Options{})
	if fault, ok := errors.AsType[*formats.BodyError](err); ok {
		return []Line{{"unreadable": fault.Code}}
	}
	if err != nil {
		return []Line{{"unreadable": err.Error()}}
	}
	lines := make([]Line, len(results))
	for i, r := range results {
		lines[i] = c.line(r)
	}
	return lines
}

func (c *Carrier) line(r formats.Result) Line {
	faults := []any{}
	for _, f := range r.Findings {
		if r.OK() || r.Aside() || f.Severity == formats.SeverityError {
			faults = append(faults, map[string]any{"field": f.Field, "code": f.Code})
		}
	}
	switch {
	case r.Aside():
		return Line{"aside": faults}
	case !r.OK():
		return Line{"refused": faults}
	}
	line := Line{}
	if text, err := json.Marshal(r.Event); err == nil { // an event always encodes
		_ = json.Unmarshal(text, &line)
	}
	for _, key := range []string{"uid", "tenant_id", "received_at", "enrichment", "payload", "personal"} {
		delete(line, key)
	}
	if r.Event.Classifier == tracking.Actual {
		delete(line, "classifier")
	}
	if r.Event.Personal != nil {
		line["personal"] = true
	}
	meaning, known := c.Meaning(r.Event.Kind, r.Event.Type)
	if reason, ok := reasonPath().String(r.Event); ok { // as the pipeline's step does
		if more, ok := c.Meaning(r.Event.Kind, r.Event.Type+"/"+reason); ok {
			meaning, known = more, true
		}
	}
	if e := r.Event.Enrichment; e.Milestone != "" || e.Exception != "" {
		meaning, known = tracking.Meaning{Milestone: e.Milestone, Exception: e.Exception}, true
	}
	if !known {
		meaning.Milestone = tracking.Unknown
	}
	if meaning.Milestone != "" {
		line["milestone"] = string(meaning.Milestone)
	}
	if meaning.Exception != "" {
		line["exception"] = meaning.Exception
	}
	if len(faults) > 0 {
		line["warnings"] = faults
	}
	return line
}

var reasonPath = sync.OnceValue(func() pipeline.Path { return pipeline.MustParsePath("payload.discrepancy") })

// Encode writes lines as files of what is wanted have them.
func Encode(lines []Line) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, line := range lines {
		_ = encoder.Encode(line) //nolint:errchkjson // of what was decoded from JSON
	}
	return out.Bytes()
}

// ErrNoWant says that nothing says what is wanted of a sample.
var ErrNoWant = errors.New("nothing says what is wanted")

// Run decodes the sample and compares. It returns what became of it, and every difference; an error says that the case cannot be
// run.
func (c *Carrier) Run(of Case) (got []Line, differences []string, err error) {
	got = c.Lines(of.body)
	if of.want == nil {
		return got, nil, fmt.Errorf("%w: %s is not there", ErrNoWant, of.Want)
	}
	var want []Line
	for number, text := range strings.Split(strings.TrimRight(string(of.want), "\n"), "\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		var line Line
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			return got, nil, fmt.Errorf("%s:%d: %w", of.Want, number+1, err)
		}
		want = append(want, line)
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			differences = append(differences, fmt.Sprintf("item %d: not wanted: %s", i+1, text(got[i])))
		case i >= len(got):
			differences = append(differences, fmt.Sprintf("item %d: missing: %s", i+1, text(want[i])))
		default:
			differences = append(differences, differ(i+1, want[i], got[i])...)
		}
	}
	return got, differences, nil
}

// differ lists the fields that are wanted and not so. null is one that must not be there.
func differ(item int, want, got Line) (differences []string) {
	for _, field := range slices.Sorted(maps.Keys(want)) {
		is, there := got[field]
		switch {
		case want[field] == nil && there:
			differences = append(differences, fmt.Sprintf("item %d: %s: must not be there, is %s", item, field, text(is)))
		case want[field] != nil && !there:
			differences = append(differences, fmt.Sprintf("item %d: %s: want %s, is missing%s", item, field, text(want[field]), refusal(got)))
		case want[field] != nil && !reflect.DeepEqual(want[field], is):
			differences = append(differences, fmt.Sprintf("item %d: %s: want %s, is %s", item, field, text(want[field]), text(is)))
		}
	}
	if _, refused := want["refused"]; !refused && got["refused"] != nil && len(differences) == 0 {
		differences = append(differences, fmt.Sprintf("item %d: is refused: %s", item, text(got["refused"])))
	}
	return differences
}

func refusal(got Line) string {
	if refused := got["refused"]; refused != nil {
		return "; it is refused: " + text(refused)
	}
	return ""
}

func text(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(encoded)
}
