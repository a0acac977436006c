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
	return r.Register(pipeline.Define(Name, "Adds the place, the airline, the leg and the milestone that an event means, and what lookups know of it.", Defaults, build).
		Described(doc, example))
}

const doc = `
The config is a list of steps, which run in order on every event; each is one of location, airline, milestone and lookup. A step
never replaces what an earlier one has found, so that a second step of the same kind is a fallback. Without a config the steps are
location, airline and milestone with their defaults.

The first three judge nobody: whatever they do not understand they leave as it is, and every event passes. A code that the
catalogue lacks becomes the milestone "unknown", which is kept and counted.

A lookup finds an entry by one field of the event or several, in a CSV file, a PostgreSQL database or an HTTP service, and adds it
as JSON at ` + "`enrichment.attributes.NAME`" + `. Keys are compared as they are written. An event whose key has no entry passes, or is
rejected or dropped with the code "lookup_missing". What depends on the tenant needs tenant_id in its key.

Answers of databases and services are cached, also that there is no entry; batches that need the same key ask for it once. While
the source is down, cached answers serve for ` + "`stale`" + ` longer. What then becomes of events without an answer is up to
` + "`on_failure`" + `: they wait, which uses up none of their attempts, or they pass without an entry and say so. A source that keeps
failing is left alone for a while, so that waiting for it costs nothing. Nothing is connected to before the first event.`

const example = `
- use: enrich
  with:
    - location: {from: payload.location}
    - airline: {from: payload.flight}
    - milestone: {catalog: milestones.yaml}
    - lookup:
        key: payload.gate
        into: gate
        http:
          url: https://gates.example.com/gates/{key}
          cache: {ttl: 10m, stale: 1h}`

func build(config Config, settings pipeline.Settings) (_ pipeline.Stage, err error) {
	if settings.Files == nil {
		return nil, fmt.Errorf("stage %q needs files", settings.Name)
	}
	s := &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, c := range config {
		if c.Lookup != nil {
			l, err := newLookup(c.Lookup, settings)
			if err != nil {
				return nil, err
			}
			s.steps, s.closers = append(s.steps, l), append(s.closers, l)
			continue
		}
		next, err := newAddition(c, settings.Files)
		if err != nil {
			return nil, err
		}
		// What needs nothing but the event is done event by event, and not step by step.
		if last := len(s.steps) - 1; last >= 0 {
			if before, ok := s.steps[last].(additions); ok {
				s.steps[last] = append(before, next)
				continue
			}
		}
		s.steps = append(s.steps, additions{next})
	}
	return s, nil
}

// step adds something to the events of a batch. It is safe for concurrent use.
type step interface {
	run(ctx context.Context, batch *pipeline.Batch) error
}

// addition adds one thing to an event. It is immutable.
type addition interface {
	apply(event *tracking.Event)
}

type additions []addition

// run implements step.
func (a additions) run(ctx context.Context, batch *pipeline.Batch) error {
	for _, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, one := range a {
			one.apply(event)
		}
	}
	return nil
}

func newAddition(c Step, files fs.FS) (addition, error) {
	switch {
	case c.Location != nil:
		places, err := load(files, c.Location.Places, tracking.LoadPlaces)
		return &locate{from: c.Location.From, places: places}, err
	case c.Airline != nil:
		airlines, err := load(files, c.Airline.Airlines, tracking.LoadAirlines)
		return &identify{from: c.Airline.From, date: c.Airline.Date, airlines: airlines}, err
	case c.Milestone != nil:
		catalog, err := load(files, c.Milestone.Catalog, tracking.LoadCatalog)
		return &understand{reason: c.Milestone.Reason, catalog: catalog}, err
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

// stage is safe for concurrent use, as its steps are.
type stage struct {
	steps   []step
	closers []io.Closer
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	for _, step := range s.steps {
		if err := step.run(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// Close implements io.Closer.
func (s *stage) Close() error {
	errs := make([]error, 0, len(s.closers))
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
