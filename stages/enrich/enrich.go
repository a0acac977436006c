package enrich

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "enrich"

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Adds the place, the airline, the leg and the milestone that an event means.", Defaults, build).
		Described(doc, example))
}

const doc = `
The config is a list of steps, which run in order on every event; each is one of location, airline and milestone. A step never
replaces what an earlier one has found, so that a second step of the same kind is a fallback. Without a config the steps are
location, airline and milestone with their defaults.

It judges nobody: whatever it does not understand it leaves as it is, and every event passes. A code that the catalogue lacks
becomes the milestone "unknown", which is kept and counted.`

const example = `
- use: enrich
  with:
    - location: {from: payload.location}
    - airline: {from: payload.flight}
    - milestone: {catalog: milestones.yaml}`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	if settings.Files == nil {
		return nil, fmt.Errorf("stage %q needs files", settings.Name)
	}
	s := &stage{steps: make([]step, 0, len(config))}
	for _, c := range config {
		next, err := newStep(c, settings.Files)
		if err != nil {
			return nil, err
		}
		s.steps = append(s.steps, next)
	}
	return s, nil
}

// step adds one thing to an event. It is immutable.
type step interface {
	apply(event *tracking.Event)
}

func newStep(c Step, files fs.FS) (step, error) {
	switch {
	case c.Location != nil:
		places, err := load(files, c.Location.Places, tracking.LoadPlaces)
		return &locate{from: c.Location.From, places: places}, err
	case c.Airline != nil:
		airlines, err := load(files, c.Airline.Airlines, tracking.LoadAirlines)
		return &identify{from: c.Airline.From, date: c.Airline.Date, airlines: airlines}, err
	case c.Milestone != nil:
		catalog, err := load(files, c.Milestone.Catalog, tracking.LoadCatalog)
		return &understand{catalog: catalog}, err
	default:
		return nil, errors.New("a step of enrich is empty")
	}
}

// load reads a file of the configuration.
func load[T any](files fs.FS, path string, read func(io.Reader) (T, error)) (T, error) {
	var none T
	file, err := files.Open(path)
	if err != nil {
		return none, fmt.Errorf("open reference data: %w", err)
	}
	table, err := read(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return none, fmt.Errorf("read %s: %w", path, err)
	}
	return table, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct{ steps []step }

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	for _, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, step := range s.steps {
			step.apply(event)
		}
	}
	return nil
}
