package enrich

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/pipeline"
)

// Config is what `with` says: the steps, in the order in which they run. The `doc` tags say what the fields are for, Defaults
// what they hold by default.
type Config []Step

// Step is one thing to add. Exactly one of its fields is set.
type Step struct {
	Location  *Location  `yaml:"location,omitempty" doc:"Adds the airport of the event's location: name, city, country, coordinates, time zone." jsonschema:"oneof_required=location,nullable"`
	Airline   *Airline   `yaml:"airline,omitempty" doc:"Adds the airline of the event's transport, and the leg when the sender gave none." jsonschema:"oneof_required=airline,nullable"`
	Milestone *Milestone `yaml:"milestone,omitempty" doc:"Adds the milestone that the event's kind and code mean, the exception they report, or both." jsonschema:"oneof_required=milestone,nullable"`
	Lookup    *Lookup    `yaml:"lookup,omitempty" doc:"Adds the entry of a key in a file, a database or a service." jsonschema:"oneof_required=lookup"`
}

// Location says how to find the place of an event.
type Location struct {
	From   pipeline.Path `yaml:"from" doc:"The field that holds the IATA or ICAO code of an airport, for events that do not give their location as such."`
	Places string        `yaml:"places" doc:"The file of airports."`
}

// Airline says how to find the airline and the leg of an event.
type Airline struct {
	From     pipeline.Path `yaml:"from" doc:"The field that holds a flight designator (LA2468), for events that do not give their transport as such."`
	Date     pipeline.Path `yaml:"date" doc:"The field that holds the flight's local date of origin, as YYYY-MM-DD; without it the leg has no date."`
	Airlines string        `yaml:"airlines" doc:"The file of airlines."`
}

// Milestone says how to find out what an event means.
type Milestone struct {
	Catalog string        `yaml:"catalog" doc:"The file that maps codes to milestones and exceptions."`
	Reason  pipeline.Path `yaml:"reason" doc:"The field that holds the reason which goes with a code, as that of a discrepancy; the catalogue has it as CODE/REASON."`
}

// Defaults returns the config of a stage that has no `with`.
func Defaults() Config {
	return Config{{Location: defaultLocation()}, {Airline: defaultAirline()}, {Milestone: defaultMilestone()}}
}

func defaultLocation() *Location { return &Location{Places: "reference/airports.csv"} }
func defaultAirline() *Airline   { return &Airline{Airlines: "reference/airlines.csv"} }
func defaultMilestone() *Milestone {
	return &Milestone{Catalog: "milestones.yaml", Reason: pipeline.MustParsePath("payload.discrepancy")}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if len(*c) == 0 {
		return errors.New("name at least one step, for example `- milestone: {catalog: milestones.yaml}`")
	}
	for i, step := range *c {
		if err := step.validate(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// WorstCase implements pipeline.Timed: it is that of the lookups elsewhere.
func (c Config) WorstCase(events int) time.Duration {
	var worst time.Duration
	for _, step := range c {
		if l := step.Lookup; l != nil {
			worst += l.worstCase(events)
		}
	}
	return worst
}

func (s Step) validate() error {
	set := 0
	var errs []error
	check := func(key, path string) {
		set++
		if path == "" || !fs.ValidPath(path) {
			errs = append(errs, fmt.Errorf("%s: %q is not a path below the configuration's folder", key, path))
		}
	}
	if s.Location != nil {
		check("location.places", s.Location.Places)
	}
	if s.Airline != nil {
		check("airline.airlines", s.Airline.Airlines)
		if s.Airline.From.IsZero() && !s.Airline.Date.IsZero() {
			errs = append(errs, errors.New("airline.date: without airline.from there is no leg to date"))
		}
	}
	if s.Milestone != nil {
		check("milestone.catalog", s.Milestone.Catalog)
	}
	if s.Lookup != nil {
		set++
		errs = append(errs, s.Lookup.validate())
	}
	if set != 1 {
		errs = append(errs, fmt.Errorf("a step is exactly one of location, airline, milestone and lookup, this one has %d of them", set))
	}
	return errors.Join(errs...)
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: it gives each kind of step its defaults.
func (s *Step) UnmarshalYAML(node ast.Node) error {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return wrong(node, "a step is written as `- location: {from: payload.location}`")
	}
	*s = Step{}
	for entries := mapping.MapRange(); entries.Next(); {
		var target any
		switch key := entries.Key(); key.GetToken().Value {
		case "location":
			s.Location = defaultLocation()
			target = s.Location
		case "airline":
			s.Airline = defaultAirline()
			target = s.Airline
		case "milestone":
			s.Milestone = defaultMilestone()
			target = s.Milestone
		case "lookup":
			s.Lookup = defaultLookup()
			target = s.Lookup
		default:
			return wrong(key, fmt.Sprintf("unknown step %q; there is location, airline, milestone, lookup", key.GetToken().Value))
		}
		if entries.Value().Type() == ast.NullType {
			continue // `- airline:` is an airline step with its defaults
		}
		if err := yaml.NodeToValue(entries.Value(), target, yaml.DisallowUnknownField()); err != nil {
			return err
		}
	}
	if err := s.validate(); err != nil {
		return wrong(mentioned(node, err.Error()), err.Error())
	}
	return nil
}

// mentioned returns the value below node that an error is about: its text begins with the keys that lead there.
func mentioned(node ast.Node, text string) ast.Node {
	keys, _, found := strings.Cut(text, ": ")
	for key := range strings.SplitSeq(keys, ".") {
		mapping, ok := node.(ast.MapNode)
		if !ok || !found {
			return node
		}
		found = false
		for entries := mapping.MapRange(); entries.Next(); {
			if entries.Key().GetToken().Value == key {
				node, found = entries.Value(), true
			}
		}
	}
	return node
}

// wrong is an error at its place in the file.
func wrong(node ast.Node, message string) error {
	return &yaml.SyntaxError{Message: message, Token: node.GetToken()}
}
