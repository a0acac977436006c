// Package mapped decodes JSON of any shape by a mapping: a YAML file that says in CEL, the language of the pipelines, which list
// of a body holds the events, and which field of an event has which value. Shapes like those of AfterShip, 17TRACK, EasyPost,
// UPS, FedEx and DHL are shipped.
//
// It is a room of its own above the pipelines, whose expressions it uses, where the other formats are below them.
package mapped

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// Config is a mapping as it is written.
type Config struct {
	// Name names the shape.
	Name string `yaml:"name"`
	// Kind is the kind of the things that events are about. Defaults to none.
	Kind tracking.Kind `yaml:"kind"`
	// Each is a CEL expression that gives the list of what there is an event for; `event.payload` is the body. Defaults to the
	// body itself, or its elements when it is an array.
	Each string `yaml:"each"`
	// Set says which field has which value: a CEL expression over `event.payload`, the body, and `item`, one of Each. Required are
	// correlation_id, event_type and timestamp; aggregate_id defaults to correlation_id.
	Set map[string]string `yaml:"set"`
	// TimeZone is the IANA zone of times that are sent without one. Defaults to UTC.
	TimeZone string `yaml:"time_zone"`
	// Codes is the table of codes: the sender's, and ours or a word that the catalogue of milestones knows. The case of letters
	// does not matter. An empty table leaves every code as it is.
	Codes map[string]string `yaml:"codes"`
}

// CodeUnmapped is the code of the finding that the table of codes lacks a code, which is kept as it was sent.
const CodeUnmapped = "unmapped_code"

// fields are those that a mapping may set.
var fields = []string{
	"event_id", "revision", "correlation_id", "aggregate_id", "event_type", "timestamp", "classifier", "location.iata", "location.unlocode",
	"location.name", "location.facility", "location.latitude", "location.longitude", "quantity.pieces", "quantity.total_pieces",
}

// Fields lists the fields that a mapping may set.
func Fields() []string { return slices.Clone(fields) }

// Mapping is a compiled Config. It is immutable and safe for concurrent use.
type Mapping struct {
	name  string
	kind  tracking.Kind
	each  *pipeline.Expression
	set   map[string]*pipeline.Expression
	zone  *time.Location
	codes map[string]string
}

// Load reads and compiles a mapping. The error names every fault.
func Load(text []byte) (*Mapping, error) {
	c, err := read(text)
	if err != nil {
		return nil, err
	}
	return New(c)
}

func read(text []byte) (Config, error) {
	var c Config
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
		return Config{}, fmt.Errorf("read mapping: %w", err)
	}
	return c, nil
}

// New compiles a mapping. The error names every fault.
func New(c Config) (*Mapping, error) {
	m := &Mapping{name: c.Name, kind: c.Kind, set: map[string]*pipeline.Expression{}, codes: map[string]string{}}
	var faults []error
	if c.Kind != "" && !slices.Contains(tracking.Kinds(), c.Kind) {
		faults = append(faults, fmt.Errorf("kind: %q is not one of %v", c.Kind, tracking.Kinds()))
	}
	item := pipeline.Variable{Name: "item", Type: pipeline.ValueAny}
	if c.Each != "" {
		each, err := pipeline.CompileExpression(c.Each, pipeline.ValueList)
		if err != nil {
			faults = append(faults, fmt.Errorf("each: %w", err))
		}
		m.each = each
	}
	for field, source := range c.Set {
		if !slices.Contains(fields, field) {
			faults = append(faults, fmt.Errorf("set: there is no field %q; the fields are %s", field, strings.Join(fields, ", ")))
			continue
		}
		compiled, err := pipeline.CompileExpression(source, pipeline.ValueAny, item)
		if err != nil {
			faults = append(faults, fmt.Errorf("set.%s: %w", field, err))
			continue
		}
		m.set[field] = compiled
	}
	for _, field := range []string{"correlation_id", "event_type", "timestamp"} {
		if c.Set[field] == "" {
			faults = append(faults, fmt.Errorf("set.%s: required", field))
		}
	}
	var err error
	if m.zone, err = time.LoadLocation(c.TimeZone); err != nil {
		faults = append(faults, fmt.Errorf("time_zone: %w", err))
	}
	for code, meaning := range c.Codes {
		m.codes[strings.ToLower(code)] = meaning
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(faults...)
	}
	return m, nil
}

//go:embed shapes/*.yaml
var shapes embed.FS

// Shapes returns the names of the mappings that are shipped.
func Shapes() []string {
	files, err := fs.Glob(shapes, "shapes/*.yaml")
	if err != nil {
		return nil // cannot be: the pattern is right
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(file, "shapes/"), ".yaml")
	}
	return files
}

// Shape returns a mapping that is shipped.
func Shape(name string) (*Mapping, error) {
	c, err := ShapeConfig(name)
	if err != nil {
		return nil, err
	}
	return New(c)
}

// ShapeConfig returns a mapping that is shipped, as it is written.
func ShapeConfig(name string) (Config, error) {
	text, err := shapes.ReadFile("shapes/" + name + ".yaml")
	if err != nil {
		return Config{}, fmt.Errorf("there is no mapping %q; shipped are %s", name, strings.Join(Shapes(), ", "))
	}
	return read(text)
}

// maxPayloads bounds the payloads made of one body, in bytes.
const maxPayloads = 32 << 20

// Decode reads the events of a body. It returns a result for each item, taken or refused, in the order of the body; or a
// *formats.BodyError when the body cannot be read at all. The Field of a finding is that of the event, as `set` names it. The
// payload of an event is its item, or the body where the mapping has no list.
func (m *Mapping) Decode(body []byte, opt formats.Options) ([]formats.Result, error) {
	root, err := wire.Document(body)
	if err != nil {
		return nil, err
	}
	bodies := []wire.Node{*root}
	if root.Kind == scan.Array {
		bodies = root.Items
	}
	var results []formats.Result
	size := 0
	for i := range bodies {
		scope := pipeline.NewScope(&tracking.Event{Payload: json.RawMessage(bodies[i].Raw)})
		items := []pipeline.Value{{}}
		if m.each != nil {
			if items, err = m.items(scope); err != nil {
				d := &decoder{Notes: wire.Notes{Index: len(results)}}
				d.Failf("each", formats.CodeType, "the list of events cannot be read: %v", err)
				results = append(results, formats.Result{Index: d.Index, Findings: d.Findings})
				continue
			}
		}
		for _, item := range items {
			if opt.MaxEvents > 0 && len(results) >= opt.MaxEvents {
				return nil, &formats.BodyError{
					Code: formats.CodeTooMany, Line: 1, Message: fmt.Sprintf("there are more than %d events; send them in several requests", opt.MaxEvents),
				}
			}
			d := &decoder{Notes: wire.Notes{Index: len(results)}, mapping: m, scope: scope}
			payload := json.RawMessage(bodies[i].Raw)
			if m.each != nil {
				scope.Set("item", item)
				if payload, err = item.JSON(); err != nil || len(payload)+size > maxPayloads {
					d.Failf("each", formats.CodeTooLong, "the events of the body are larger than %d bytes together", maxPayloads)
				}
				size += len(payload)
			}
			results = append(results, d.decode(payload, opt))
		}
	}
	return results, nil
}

func (m *Mapping) items(scope *pipeline.Scope) ([]pipeline.Value, error) {
	value, err := m.each.Evaluate(scope)
	if err != nil {
		return nil, err
	}
	if value.IsNone() {
		return nil, fmt.Errorf("`%s` is missing", m.each.Text())
	}
	return value.List()
}

// decoder reads one event.
type decoder struct {
	wire.Notes
	mapping *Mapping
	scope   *pipeline.Scope
}

func (d *decoder) decode(payload json.RawMessage, opt formats.Options) formats.Result {
	e := &tracking.Event{Source: opt.DefaultSource, Kind: d.mapping.kind, Classifier: tracking.Actual, Payload: payload}
	if e.Source == "" {
		e.Source = d.mapping.name
	}
	if e.Source == "" {
		d.Failf("source", formats.CodeRequired, "nothing says where the event comes from: name a source to go with the body")
	}
	e.CorrelationID = d.required("correlation_id")
	if e.AggregateID = d.text("aggregate_id"); e.AggregateID == "" {
		e.AggregateID = e.CorrelationID
	}
	if e.Type = d.required("event_type"); e.Type != "" && len(d.mapping.codes) > 0 {
		if ours, known := d.mapping.codes[strings.ToLower(e.Type)]; known {
			e.Type = ours
		} else {
			d.Warnf("event_type", CodeUnmapped, "the table of codes has no %q; it is kept as it is", wire.Shorten(e.Type))
		}
	}
	d.when(e)
	if class := tracking.Classifier(strings.ToLower(d.text("classifier"))); class != "" {
		if e.Classifier = class; !slices.Contains(tracking.Classifiers(), class) {
			d.Failf("classifier", formats.CodeEnum, "classifier cannot be %q; it must be one of %v", wire.Shorten(string(class)), tracking.Classifiers())
		}
	}
	l := tracking.Location{Name: d.text("location.name"), Facility: d.text("location.facility")}
	l.IATA, l.UNLocode = strings.ToUpper(d.text("location.iata")), strings.ToUpper(d.text("location.unlocode"))
	l.Lat, l.Lon = d.number("location.latitude", 90), d.number("location.longitude", 180)
	if l.Lat == nil || l.Lon == nil {
		l.Lat, l.Lon = nil, nil
	}
	if l != (tracking.Location{}) {
		e.Location = &l
	}
	if pieces, total := d.number("quantity.pieces", 1e9), d.number("quantity.total_pieces", 1e9); pieces != nil && *pieces > 0 {
		e.Quantity = &tracking.Quantity{Pieces: int(*pieces)}
		if total != nil && *total > 0 {
			e.Quantity.TotalPieces = int(*total)
		}
	}
	if e.EventID = d.text("event_id"); e.EventID == "" && !d.Refused {
		e.EventID = tracking.Fingerprint(e)
	}
	r := formats.Result{Index: d.Index, Findings: d.Findings}
	if !d.Refused {
		r.Event = e
	}
	return r
}

// text returns what the mapping has for a field as text: of a number and a truth value as they are written.
func (d *decoder) text(field string) string {
	expression := d.mapping.set[field]
	if expression == nil {
		return ""
	}
	value, err := expression.Evaluate(d.scope)
	if err != nil {
		d.Failf(field, formats.CodeType, "%s cannot be read: %v", field, err)
		return ""
	}
	if value.IsNone() {
		return ""
	}
	raw, err := value.JSON()
	if err != nil || len(raw) == 0 || raw[0] == '{' || raw[0] == '[' {
		d.Failf(field, formats.CodeType, "%s must be a text or a number, and `%s` is none", field, expression.Text())
		return ""
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			d.Failf(field, formats.CodeType, "%s cannot be read: %v", field, err)
			return ""
		}
	}
	text = strings.TrimSpace(text)
	switch {
	case wire.HasControl(text):
		d.Failf(field, formats.CodeFormat, "%s holds control characters; it must be plain text", field)
	case len(text) > formats.MaxIDBytes:
		d.Failf(field, formats.CodeTooLong, "%s has %d bytes; it may have %d", field, len(text), formats.MaxIDBytes)
	default:
		return text
	}
	return ""
}

func (d *decoder) required(field string) string {
	before := len(d.Findings)
	text := d.text(field)
	if text == "" && len(d.Findings) == before {
		d.Failf(field, formats.CodeRequired, "%s is required, and `%s` has no value", field, d.mapping.set[field].Text())
	}
	return text
}

func (d *decoder) number(field string, most float64) *float64 {
	text := d.text(field)
	if text == "" {
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < -most || f > most || f != f {
		d.Warnf(field, formats.CodeRange, "%s %q must be a number from -%g to %g; it is left out", field, wire.Shorten(text), most, most)
		return nil
	}
	return &f
}

// layouts are the ways of writing a time without a zone that carriers have.
var layouts = []string{
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", "20060102150405", "20060102 150405",
	"20060102T150405", "01/02/2006 15:04:05", "01/02/2006 03:04 PM",
}

// zoned are the ways of writing a time with a zone besides RFC 3339.
var zoned = []string{"2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05.999999999 -0700", "2006-01-02 15:04:05-07:00", time.RFC1123Z}

// when reads the time of an event.
func (d *decoder) when(e *tracking.Event) {
	text := d.required("timestamp")
	if text != "" {
		var quality tracking.TimeQuality
		t, ok := parse(text, d.mapping.zone, &quality)
		switch y, utc := t.Year(), t.UTC().Year(); {
		case !ok:
			d.Failf("timestamp", formats.CodeFormat, "timestamp %q must be a time, such as 2026-06-20T10:05:00-05:00", wire.Shorten(text))
		case y < 1970 || utc < 1970 || y > 9999 || utc > 9999:
			d.Failf("timestamp", formats.CodeRange, "timestamp %q must be in the years 1970 to 9999", wire.Shorten(text))
		default:
			e.OccurredAt, e.TimeQuality = t.Truncate(time.Microsecond), quality
		}
	}
	revision := d.text("revision")
	if revision == "" {
		return
	}
	var quality tracking.TimeQuality
	if n, err := strconv.ParseInt(revision, 10, 64); err == nil && n >= 0 {
		e.Revision = n
	} else if t, ok := parse(revision, d.mapping.zone, &quality); ok {
		e.Revision = max(0, t.UnixMicro())
	} else {
		d.Failf("revision", formats.CodeFormat, "revision %q must be a whole number or a time", wire.Shorten(revision))
	}
}

func parse(text string, zone *time.Location, quality *tracking.TimeQuality) (time.Time, bool) {
	if t, ok := wire.ParseTime(text); ok {
		return t, true
	}
	for _, layout := range zoned {
		if t, err := time.Parse(layout, text); err == nil {
			_, offset := t.Zone()
			return t.In(time.FixedZone("", offset)), true
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) <= 13 && n > 0 { // since the Unix epoch
		if len(text) >= 12 {
			return time.UnixMilli(n).UTC(), true
		}
		if len(text) >= 9 {
			return time.Unix(n, 0).UTC(), true
		}
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			*quality = tracking.ZoneInferred
			return t, true
		}
	}
	for _, layout := range []string{time.DateOnly, "20060102"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			*quality = tracking.DateOnly
			return t, true
		}
	}
	return time.Time{}, false
}

// Lint says what is odd about a mapping that can be used: words of ours that the catalogue does not know.
func (m *Mapping) Lint(catalog *tracking.Catalog) []string {
	var odd []string
	for code, meaning := range m.codes {
		if _, known := catalog.Lookup(m.kind, meaning); !known {
			odd = append(odd, fmt.Sprintf("codes.%s: no catalogue knows %q", code, meaning))
		}
	}
	slices.Sort(odd)
	return odd
}
