package carriers

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // names of zones are checked on machines without them as well
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/mapped"
)

// parser reads one carrier.
type carrierParser struct {
	reader
	tables Tables
	config Config
	places map[string]at // where keys stand
	said   map[string]bool
}

// Parse reads a carrier from YAML and compiles it. file is the path that findings name, of which the last part without .yaml is the
// carrier's name. Findings of severity error say that there is no carrier.
func Parse(file string, source []byte, tables Tables) (*Carrier, pipeline.Findings) {
	p := &carrierParser{reader: reader{file: file}, tables: tables, places: map[string]at{}, said: map[string]bool{}}
	p.config.Authentication = Authentication{OIDC: true, HMAC: true, APIKey: true}
	p.config.Limits.RequestsInHand = defaultRequestsInHand
	body := p.root(source)
	if body == nil {
		return nil, p.sorted()
	}
	p.document(body)
	p.check(strings.TrimSuffix(path.Base(strings.ReplaceAll(file, `\`, "/")), ".yaml"), nodeAt(body))
	carrier := p.compile()
	if found := p.sorted(); len(found.Errors()) > 0 {
		return nil, found
	}
	return carrier, p.found
}

func (p *carrierParser) document(body ast.Node) {
	c := &p.config
	p.mapping(body, "a carrier",
		p.placed("carrier", p.text(&c.Name, "carrier")),
		p.placed("summary", p.text(&c.Summary, "summary")),
		p.placed("tenant", p.text(&c.Tenant, "tenant")),
		p.placed("format", p.text(&c.Format, "format")),
		p.placed("shape", p.text(&c.Shape, "shape")),
		p.placed("mapping", p.readMapping),
		p.placed("authentication", p.authentication),
		p.placed("codes", p.codes),
		p.placed("sources", p.texts(&c.Sources, "sources")),
		p.placed("defaults", func(n ast.Node) {
			p.mapping(n, "defaults", p.placed("defaults.source", p.text(&c.Defaults.Source, "source")),
				p.placed("defaults.time_zone", p.text(&c.Defaults.TimeZone, "time_zone")),
				p.placed("defaults.station", p.text(&c.Defaults.Station, "station")))
		}),
		p.placed("limits", func(n ast.Node) {
			p.mapping(n, "limits", p.placed("limits.events_per_second", p.number(&c.Limits.EventsPerSecond, "events_per_second")),
				p.placed("limits.max_body_bytes", p.whole(&c.Limits.MaxBodyBytes, "max_body_bytes")),
				p.placed("limits.max_events", p.whole(&c.Limits.MaxEvents, "max_events")),
				p.placed("limits.requests_in_hand", p.whole(&c.Limits.RequestsInHand, "requests_in_hand")))
		}),
	)
}

// placed is a key whose place is remembered under a path; its name is the last part of that.
func (p *carrierParser) placed(name string, read func(ast.Node)) key {
	return key{name[strings.LastIndexByte(name, '.')+1:], func(n ast.Node) {
		p.places[name] = nodeAt(n)
		_, nothing := n.(*ast.NullNode)
		p.said[name] = !nothing
		read(n)
	}}
}

func (p *carrierParser) readMapping(n ast.Node) {
	m := &p.config.Mapping
	var kind string
	p.mapping(n, "a mapping", p.placed("mapping.kind", p.text(&kind, "kind")), p.placed("mapping.each", p.text(&m.Each, "each")),
		p.placed("mapping.set", func(n ast.Node) {
			m.Set = map[string]string{}
			p.each(n, "set", func(name *token.Token, value ast.Node) {
				if !slices.Contains(mapped.Fields(), name.Value) {
					p.fail(placeOf(name), "unknown-key", didYouMean(name.Value, mapped.Fields()), "no event has the field %q", name.Value)
					return
				}
				p.places["mapping.set."+name.Value] = nodeAt(value)
				m.Set[name.Value], _ = p.scalar(value, name.Value)
			})
		}))
	m.Kind = tracking.Kind(kind)
}

func (p *carrierParser) authentication(n ast.Node) {
	a := &p.config.Authentication
	*a = Authentication{}
	p.mapping(n, "authentication", key{"hmac", p.flag(&a.HMAC, "hmac")}, key{"api_key", p.flag(&a.APIKey, "api_key")}, key{"oidc", func(n ast.Node) {
		if b, ok := n.(*ast.BoolNode); ok {
			a.OIDC = b.Value
			return
		}
		a.OIDC = true
		p.mapping(n, "oidc", key{"clients", p.texts(&a.Clients, "clients")})
	}})
	if !a.OIDC && !a.HMAC && !a.APIKey {
		p.fail(nodeAt(n), "required", "write `oidc: true`, `hmac: true` or `api_key: true`", "nobody can send: no way of authentication is taken")
	}
}

func (p *carrierParser) codes(n ast.Node) {
	p.config.Codes = map[string]Meaning{}
	p.each(n, "codes", func(name *token.Token, value ast.Node) {
		code := foldCode(name.Value)
		if code == "" {
			p.fail(placeOf(name), "required", "", "a code is empty")
			return
		}
		if _, twice := p.config.Codes[code]; twice {
			p.fail(placeOf(name), "duplicate-key", "", "%q stands twice in codes, where case does not matter", name.Value)
			return
		}
		if meaning, ok := p.meaning(name.Value, value); ok {
			p.config.Codes[code] = meaning
		}
	})
}

var exceptionForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// meaning reads what a code means: a milestone or a word that the catalogue knows, or a mapping of milestone and exception.
func (p *carrierParser) meaning(code string, n ast.Node) (m Meaning, ok bool) {
	if _, mapping := n.(ast.MapNode); !mapping {
		text, scalar := p.scalar(n, "the meaning of "+code)
		if !scalar {
			return m, false
		}
		m.Text = text
		m.Meaning, ok = p.tables.ParseMeaning(text)
		if !ok {
			p.fail(nodeAt(n), "unknown-meaning", didYouMean(text, milestoneNames()), "%q is no milestone, and no word that milestones.yaml knows", text)
		}
		return m, ok
	}
	var milestone string
	before := len(p.found)
	p.mapping(n, "a code", key{"milestone", p.text(&milestone, "milestone")}, key{"exception", p.text(&m.Exception, "exception")})
	if milestone != "" {
		if m.Milestone = tracking.Milestone(milestone); !slices.Contains(milestoneNames(), milestone) {
			p.fail(nodeAt(n), "unknown-meaning", didYouMean(milestone, milestoneNames()), "%q is no milestone", milestone)
		}
	}
	if m.Exception != "" && !exceptionForm.MatchString(m.Exception) {
		p.fail(nodeAt(n), "unknown-meaning", "", "exception %q must be a short name in snake_case, such as on_hold", m.Exception)
	}
	if m.Meaning == (tracking.Meaning{}) && len(p.found) == before {
		p.fail(nodeAt(n), "required", "write a milestone, an exception or both", "code %q means nothing", code)
	}
	m.Text = MeaningText(m.Meaning)
	return m, len(p.found) == before
}

// MeaningText writes a meaning as files do: "loaded", or "{milestone: loaded, exception: damaged}".
func MeaningText(m tracking.Meaning) string {
	switch {
	case m.Exception == "":
		return string(m.Milestone)
	case m.Milestone == "":
		return fmt.Sprintf("{exception: %s}", m.Exception)
	default:
		return fmt.Sprintf("{milestone: %s, exception: %s}", m.Milestone, m.Exception)
	}
}

// Said is the meaning that a milestone or a word that the catalogue knows and the name of an exception say, as `codes` of a file have
// them; each may be empty, but not both. An error says what may have been meant.
func (t Tables) Said(milestone, exception string) (tracking.Meaning, error) {
	m := tracking.Meaning{Exception: exception}
	if exception != "" && !exceptionForm.MatchString(exception) {
		return m, &SaidError{"exception", fmt.Sprintf("exception %q must be a short name in snake_case, such as on_hold", exception)}
	}
	if milestone == "" {
		if exception == "" {
			return m, &SaidError{"milestone", "say a milestone, an exception or both"}
		}
		return m, nil
	}
	known, ok := t.ParseMeaning(milestone)
	switch {
	case !ok:
		return m, &SaidError{"milestone", fmt.Sprintf("%q is no milestone, and no word that milestones.yaml knows; %s", milestone, didYouMean(milestone, milestoneNames()))}
	case exception == "":
		return known, nil
	case known.Exception != "" && known.Exception != exception:
		return m, &SaidError{"exception", fmt.Sprintf("%q says the exception %q already", milestone, known.Exception)}
	}
	m.Milestone = known.Milestone
	return m, nil
}

// SaidError is what is wrong about what a code is said to mean.
type SaidError struct{ Field, Message string }

// Error implements error.
func (e *SaidError) Error() string { return e.Message }

func milestoneNames() []string {
	names := make([]string, 0, 17)
	for _, m := range tracking.Milestones() {
		names = append(names, string(m))
	}
	return append(names, string(tracking.None))
}

// check finds what is wrong with the values.
func (p *carrierParser) check(stem string, begin at) {
	c := &p.config
	where := func(key string) at {
		if place, ok := p.places[key]; ok {
			return place
		}
		return begin
	}
	switch {
	case c.Name == "":
		p.fail(begin, "required", "write `carrier: "+stem+"`", "a carrier has a name")
	case !Form.MatchString(c.Name):
		p.fail(where("carrier"), "form", "", "%q is no carrier's name: it has letters, digits, - and _, 64 at most, and begins with a letter or digit", c.Name)
	case c.Name != stem:
		p.fail(where("carrier"), "form", "rename the file to "+c.Name+".yaml, or the carrier to "+stem, "the carrier is %q and its file %q", c.Name, stem+".yaml")
	}
	switch {
	case c.Format == "":
		p.fail(begin, "required", "write `format: ` and one of "+strings.Join(Formats(), ", "), "a carrier has a format")
	case !slices.Contains(Formats(), c.Format):
		p.fail(where("format"), "unknown-format", didYouMean(c.Format, Formats()), "there is no format %q", c.Format)
	}
	p.checkMapping(where)
	p.checkDefaults(where)
	for key, text := range map[string]string{"tenant": c.Tenant, "defaults.source": c.Defaults.Source} {
		if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) || len(text) > 128 {
			p.fail(where(key), "form", "", "%s %q has spaces, or more than 128 bytes", key[strings.LastIndexByte(key, '.')+1:], text)
		}
	}
}

func (p *carrierParser) checkMapping(where func(string) at) {
	c := &p.config
	_, written := p.places["mapping"]
	_, named := p.places["shape"]
	switch {
	case c.Format != Mapped && written:
		p.fail(where("mapping"), "conflict", "write `format: mapped`, or leave it out", "only the format mapped has a mapping")
	case c.Format != Mapped && named:
		p.fail(where("shape"), "conflict", "write `format: mapped`, or leave it out", "only the format mapped has a shape")
	case c.Format == Mapped && written && named:
		p.fail(where("shape"), "conflict", "leave one of them out", "there is a shape and a mapping")
	case c.Format == Mapped && !written && !named:
		p.fail(where("format"), "required", "write `shape: ` and one of "+strings.Join(mapped.Shapes(), ", ")+", or a `mapping:`", "the format mapped needs a mapping")
	case named && !slices.Contains(mapped.Shapes(), c.Shape):
		p.fail(where("shape"), "unknown-shape", didYouMean(c.Shape, mapped.Shapes()), "no shape %q is shipped", c.Shape)
	}
}

func (p *carrierParser) checkDefaults(where func(string) at) {
	d := &p.config.Defaults
	if d.Source == "" {
		d.Source = p.config.Name
	}
	if d.TimeZone != "" {
		if _, err := time.LoadLocation(d.TimeZone); err != nil || d.TimeZone == "Local" {
			p.fail(where("defaults.time_zone"), "unknown-zone", "write one such as America/Lima", "time_zone %q is not in the IANA time zone database", d.TimeZone)
		} else if f, ok := knownFormats()[p.config.Format]; ok && f.zoned {
			p.warn(where("defaults.time_zone"), "no-effect", "leave it out", "times of the format %s have zones; time_zone has no effect", p.config.Format)
		}
	}
	if d.Station != "" {
		place, ok := p.tables.Place(d.Station)
		if !ok || !strings.EqualFold(place.IATA, d.Station) {
			p.fail(where("defaults.station"), "unknown-station", "write the IATA code of an airport, such as LIM", "station %q is in no table of airports", d.Station)
			return
		}
		d.Station = strings.ToUpper(d.Station)
	}
}
