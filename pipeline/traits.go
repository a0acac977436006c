package pipeline

import (
	"reflect"
	"time"
)

// What a stage's config may say of the stage beyond its type, for what can be known before the first event.

// Destined is implemented by the config of a stage that routes events.
type Destined interface {
	// Destinations returns every place where the stage may send an event to, by its Batch.Route.
	Destinations() []Destination
}

// Destination is a place that a stage may send events to: one of the two is set.
type Destination struct {
	// Topic is a topic of the broker, read by any pipeline whose `from` it is.
	Topic string
	// Stage is the name of a later stage of the same pipeline.
	Stage string
	// Key is where the config names it, as a YAML path from `with` on, such as "$.cases[0].to", for findings; may be empty.
	Key string
}

// Exhaustive is implemented by the config of a stage that routes events and may leave none for the stage behind it.
type Exhaustive interface {
	// PassesOn says whether any event goes on to the next stage.
	PassesOn() bool
}

// Selective is implemented by the config of a stage that is there to let only some events pass.
type Selective interface {
	Selects() bool
}

// Delivering is implemented by the config of a stage that is what events are sent for, so that one that does not get through
// it must not be lost.
type Delivering interface {
	// Delivers says what the stage does with an event, such as "stores events".
	Delivers() string
}

// Acting is implemented by the config of a stage that does something outside of Rastro.
type Acting interface {
	// Action says what the stage does again for each further copy of an event, such as "calls https://example.com"; empty when
	// a copy makes no difference.
	Action() string
}

// Deduplicating is implemented by the config of a stage that lets only one copy of an event pass.
type Deduplicating interface {
	Deduplicates() bool
}

// Timed is implemented by the config of a stage that limits by itself how long it takes.
type Timed interface {
	// WorstCase returns how long Process may take at most over a batch of so many events; 0 when there is no telling.
	WorstCase(events int) time.Duration
}

// trait returns a config as a T, whether its methods are those of its value or of its pointer.
func trait[T any](config any) (T, bool) {
	if t, ok := config.(T); ok {
		return t, true
	}
	var none T
	if config == nil {
		return none, false
	}
	pointer := reflect.New(reflect.TypeOf(config))
	pointer.Elem().Set(reflect.ValueOf(config))
	t, ok := pointer.Interface().(T)
	return t, ok
}
