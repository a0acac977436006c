package carriers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/rastrohq/rastro/tracking"
)

// Tables is the reference data that carriers are read with. It is immutable.
type Tables struct {
	catalog  *tracking.Catalog
	places   *tracking.Places
	airlines *tracking.Airlines
}

// LoadTables reads milestones.yaml, reference/airports.csv and reference/airlines.csv of a configuration.
func LoadTables(files fs.FS) (t Tables, err error) {
	if t.catalog, err = load(files, "milestones.yaml", tracking.LoadCatalog); err != nil {
		return t, err
	}
	if t.places, err = load(files, "reference/airports.csv", tracking.LoadPlaces); err != nil {
		return t, err
	}
	t.airlines, err = load(files, "reference/airlines.csv", tracking.LoadAirlines)
	return t, err
}

func load[T any](files fs.FS, name string, read func(io.Reader) (T, error)) (T, error) {
	var none T
	file, err := files.Open(name)
	if err != nil {
		return none, fmt.Errorf("open reference data: %w", err)
	}
	table, err := read(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return none, fmt.Errorf("read %s: %w", name, err)
	}
	return table, nil
}

// ParseMeaning returns what a word means: a milestone, "none", or a word of the catalogue's native vocabulary.
func (t Tables) ParseMeaning(word string) (tracking.Meaning, bool) {
	if word == string(tracking.None) {
		return tracking.Meaning{Milestone: tracking.None}, true
	}
	if t.catalog == nil {
		return tracking.Meaning{}, false
	}
	return t.catalog.Lookup("", word)
}

// Place returns the airport with an IATA or ICAO code.
func (t Tables) Place(code string) (*tracking.Place, bool) {
	if t.places == nil {
		return nil, false
	}
	return t.places.Lookup(code)
}
