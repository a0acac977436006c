package carriers

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/baggage"
	"github.com/rastrohq/rastro/tracking/formats/cargoimp"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
	"github.com/rastrohq/rastro/tracking/formats/dcsa"
	"github.com/rastrohq/rastro/tracking/formats/epcis"
	"github.com/rastrohq/rastro/tracking/formats/mapped"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

// Body is what a carrier sends.
type Body struct {
	Bytes []byte
	// Header holds the headers that the body came with: its Content-Type, and CloudEvents in binary mode. Nil for a file.
	Header http.Header
	// ReceivedAt is when the body was taken: years and days that it leaves out are inferred from that.
	ReceivedAt time.Time
}

// Carrier is a carrier ready to decode what it sends. It is immutable and safe for concurrent use.
type Carrier struct {
	Config

	tables Tables
	decode decode
	zone   *time.Location  // of Defaults.TimeZone; nil when there is none
	said   map[string]bool // the keys that its file gives values
}

// decode decodes the bodies of a carrier.
type decode func(body Body, opt formats.Options) ([]formats.Result, error)

// format is one of the formats.
type format struct {
	decode func(c *Config, t Tables) decode
	// zoned says that its times have zones.
	zoned bool
	// media are the types that bodies are documented to come as, the first by default.
	media []string
}

// plain is a format whose decoder needs to be told nothing.
func plain(d func([]byte, formats.Options) ([]formats.Result, error)) func(*Config, Tables) decode {
	return func(*Config, Tables) decode {
		return func(body Body, opt formats.Options) ([]formats.Result, error) { return d(body.Bytes, opt) }
	}
}

func knownFormats() map[string]format {
	return map[string]format{
		Native:      {func(*Config, Tables) decode { return decodeNative }, true, []string{"application/json", "application/x-ndjson"}},
		CloudEvents: {func(*Config, Tables) decode { return decodeCloudEvents }, true, []string{"application/cloudevents+json", "application/cloudevents-batch+json", "application/json"}},
		EPCIS:       {plain(epcis.Decode), true, []string{"application/ld+json", "application/json"}},
		DCSA:        {plain(dcsa.Decode), true, []string{"application/json"}},
		CargoIMP:    {plain(cargoimp.Decode), false, []string{"text/plain"}},
		Baggage:     {plain(baggage.Decode), false, []string{"text/plain"}},
		Mapped:      {nil, false, []string{"application/json"}},
	}
}

// Formats lists the formats.
func Formats() []string { return slices.Sorted(maps.Keys(knownFormats())) }

// Media lists the media types that bodies of the carrier's format are documented to come as, the usual one first.
func (c *Carrier) Media() []string { return slices.Clone(knownFormats()[c.Format].media) }

func decodeNative(body Body, opt formats.Options) ([]formats.Result, error) {
	media, _, _ := mime.ParseMediaType(body.Header.Get("Content-Type")) // what is no media type says nothing
	if slices.Contains([]string{"application/x-ndjson", "application/ndjson", "application/jsonl"}, media) || media == "" && isLines(body.Bytes) {
		return native.Decode(body.Bytes, native.NDJSON, opt)
	}
	return native.Decode(body.Bytes, native.JSON, opt)
}

// isLines reports whether a text is objects of JSON on lines of their own.
func isLines(text []byte) bool {
	first, rest, found := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return found && strings.HasPrefix(first, "{") && strings.HasSuffix(strings.TrimSpace(first), "}") && strings.HasPrefix(strings.TrimSpace(rest), "{")
}

func decodeCloudEvents(body Body, opt formats.Options) ([]formats.Result, error) {
	if cloudevents.IsBinary(body.Header) {
		return cloudevents.DecodeBinary(body.Header, body.Bytes, opt)
	}
	return cloudevents.Decode(body.Bytes, cloudevents.Any, opt)
}

// compile makes the carrier, and finds what only that finds.
func (p *carrierParser) compile() *Carrier {
	if len(p.found.Errors()) > 0 {
		return nil
	}
	c := &Carrier{Config: p.config, tables: p.tables, said: p.said}
	if c.Defaults.TimeZone != "" {
		c.zone, _ = time.LoadLocation(c.Defaults.TimeZone) // it was there a moment ago
	}
	if c.Format != Mapped {
		c.decode = knownFormats()[c.Format].decode(&c.Config, p.tables)
		return c
	}
	if c.Shape != "" {
		shape, err := mapped.ShapeConfig(c.Shape)
		if err != nil {
			p.fail(p.places["shape"], "unknown-shape", "", "%v", err)
			return nil
		}
		c.Mapping = shape
	}
	if c.Defaults.TimeZone != "" {
		c.Mapping.TimeZone = c.Defaults.TimeZone
	}
	c.Mapping.Name = c.Name
	mapping, err := mapped.New(c.Mapping)
	if err != nil {
		p.mappingFaults(err)
		return nil
	}
	c.decode = func(body Body, opt formats.Options) ([]formats.Result, error) { return mapping.Decode(body.Bytes, opt) }
	return c
}

// mappingFaults gives the faults of a mapping their places: each begins with the key that it is about.
func (p *carrierParser) mappingFaults(err error) {
	faults := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	for _, fault := range faults {
		name, message, _ := strings.Cut(fault.Error(), ": ")
		where, code := p.places["mapping"], "expression"
		if place, ok := p.places["mapping."+name]; ok {
			where = place
		}
		if message == "required" {
			code, message = "required", "a mapping sets "+strings.TrimPrefix(name, "set.")
		}
		p.fail(where, code, "", "%s", message)
	}
}

// CodeUnmapped is the code of the finding that nothing says what a code means.
const CodeUnmapped = mapped.CodeUnmapped

// Decode reads the events of a body. It returns a result for each event, taken or refused, in the order of the body; or a
// *formats.BodyError when the body cannot be read at all. Their source is the default one, which is the carrier's unless the options
// name another, or begins with it, unless it is one of those that the carrier may send under. What the carrier's table of codes
// knows is in their enrichment.
func (c *Carrier) Decode(body Body, opt formats.Options) ([]formats.Result, error) {
	opt.DefaultSource = cmp.Or(opt.DefaultSource, c.Defaults.Source)
	if c.Limits.MaxEvents > 0 && (opt.MaxEvents == 0 || c.Limits.MaxEvents < opt.MaxEvents) {
		opt.MaxEvents = c.Limits.MaxEvents
	}
	opt.ReceivedAt, opt.Places, opt.Airlines, opt.TimeZone, opt.Station = body.ReceivedAt, c.tables.places, c.tables.airlines, c.zone, c.Defaults.Station
	results, err := c.decode(body, opt)
	if err != nil {
		return nil, err
	}
	for i := range results {
		if results[i].OK() {
			c.finish(&results[i], opt.DefaultSource)
		}
	}
	return results, nil
}

// finish makes a decoded event one of the carrier's.
func (c *Carrier) finish(r *formats.Result, source string) {
	e := r.Event
	if e.Source != source && !strings.HasPrefix(e.Source, source+"/") && !slices.Contains(c.Sources, e.Source) {
		if e.Source = source + "/" + strings.TrimLeft(e.Source, "/"); len(e.Source) > formats.MaxIDBytes {
			r.Event = nil
			r.Findings = append(r.Findings[:min(len(r.Findings), formats.MaxFindings-1)], formats.Finding{
				Index: r.Index, Line: r.Line, Field: "source", Code: formats.CodeTooLong, Severity: formats.SeverityError,
				Message: fmt.Sprintf("with the carrier's before it the source has %d bytes; it may have %d", len(e.Source), formats.MaxIDBytes),
			})
			return
		}
	}
	if e.Location == nil && c.Defaults.Station != "" {
		e.Location = &tracking.Location{IATA: c.Defaults.Station}
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f formats.Finding) bool { return f.Code == CodeUnmapped })
	if e.Enrichment.Milestone != "" || e.Enrichment.Exception != "" { // the decoder knows
		return
	}
	if own, ok := c.Codes[foldCode(e.Type)]; ok {
		e.Enrichment.Milestone, e.Enrichment.Exception = own.Milestone, own.Exception
		return
	}
	if _, known := c.Meaning(e.Kind, e.Type); !known && len(r.Findings) < formats.MaxFindings {
		r.Findings = append(r.Findings, formats.Finding{
			Index: r.Index, Line: r.Line, Field: "event_type", Code: CodeUnmapped, Severity: formats.SeverityWarning,
			Message: fmt.Sprintf("nothing says what the code %q means; it is kept, and moves nothing", e.Type),
		})
	}
}

func foldCode(code string) string { return strings.ToLower(strings.TrimSpace(code)) }

// Meaning returns what a code means for a kind of thing, by the carrier's own table or else the catalogue.
func (c *Carrier) Meaning(kind tracking.Kind, code string) (tracking.Meaning, bool) {
	if own, ok := c.Codes[foldCode(code)]; ok {
		return own.Meaning, true
	}
	if c.tables.catalog == nil {
		return tracking.Meaning{}, false
	}
	return c.tables.catalog.Lookup(kind, code)
}

// SentUnder lists the sources that events of the carrier have; what is below them, after a slash, is the carrier's as well.
func (c *Carrier) SentUnder() []string {
	return append([]string{c.Defaults.Source}, slices.DeleteFunc(slices.Clone(c.Sources), func(s string) bool { return s == c.Defaults.Source })...)
}

// Sends reports whether events of a source are the carrier's.
func (c *Carrier) Sends(source string) bool {
	return slices.ContainsFunc(c.SentUnder(), func(own string) bool { return source == own || strings.HasPrefix(source, own+"/") })
}

// Says reports whether the carrier's file gives a key a value, such as "limits.max_events"; what it does not say has its default.
func (c *Carrier) Says(key string) bool { return c.said[key] }

// Zoned reports whether times of the carrier's format have zones, so that Defaults.TimeZone has no effect.
func (c *Carrier) Zoned() bool { return knownFormats()[c.Format].zoned }

// Unmapped reports whether nothing says what the code of a decoded event means.
func Unmapped(r formats.Result) bool {
	return r.OK() && slices.ContainsFunc(r.Findings, func(f formats.Finding) bool { return f.Code == CodeUnmapped })
}

// ErrUnknown says that there is no carrier of a name, or not for a tenant.
var ErrUnknown = errors.New("no such carrier")
