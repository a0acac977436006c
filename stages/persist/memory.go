package persist

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Memory is a Store that ends with the process, for trials. It takes and refuses what the event store does, each event once,
// and tells what it holds. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	forget  bool
	stored  map[uuid.UUID]bool
	events  []*tracking.Event
	byTrace map[traceKey][]*tracking.Event
}

type traceKey struct{ tenant, correlation string }

// NewMemory returns Memory that holds nothing yet.
func NewMemory() *Memory {
	return &Memory{stored: map[uuid.UUID]bool{}, byTrace: map[traceKey][]*tracking.Event{}}
}

// NewForgetful returns Memory that takes events and keeps none, for a stream without an end in which nothing comes twice.
func NewForgetful() *Memory { return &Memory{forget: true} }

// Persist implements Store.
func (m *Memory) Persist(ctx context.Context, events []*tracking.Event) ([]store.Persisted, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]store.Persisted, len(events))
	for i, event := range events {
		if err := storable(event); err != nil {
			results[i].Refused = err
			continue
		}
		if m.stored[event.UID] {
			continue
		}
		results[i].Inserted = true
		if m.forget {
			continue
		}
		kept := event.Clone()
		key := traceKey{kept.TenantID, kept.CorrelationID}
		m.stored[kept.UID] = true
		m.events = append(m.events, kept)
		m.byTrace[key] = append(m.byTrace[key], kept)
	}
	return results, nil
}

// Events returns what is stored, in the order in which it came. The events must not be changed.
func (m *Memory) Events() []*tracking.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// Traces returns the traces of what is stored, in the order of tenant and correlation.
func (m *Memory) Traces() []tracking.Trace {
	m.mu.Lock()
	defer m.mu.Unlock()
	traces := make([]tracking.Trace, 0, len(m.byTrace))
	for _, events := range m.byTrace {
		traces = append(traces, tracking.Fold(events))
	}
	slices.SortFunc(traces, func(a, b tracking.Trace) int {
		return cmp.Or(strings.Compare(a.TenantID, b.TenantID), strings.Compare(a.CorrelationID, b.CorrelationID))
	})
	return traces
}

var errNUL = errors.New("a text holds a NUL character, which the event store does not take")

// storable refuses what the event store can never hold.
func storable(event *tracking.Event) error {
	for _, at := range []time.Time{event.OccurredAt, event.ReceivedAt} {
		if year := at.Year(); year < 1 || year > 9999 {
			return fmt.Errorf("the year %d is not between 1 and 9999", year)
		}
	}
	for _, text := range []string{
		event.TenantID, event.CorrelationID, event.AggregateID, event.Source, event.EventID, string(event.Kind), event.Type,
		string(event.Classifier), string(event.Enrichment.Milestone), string(event.TimeQuality),
	} {
		if strings.ContainsRune(text, 0) {
			return errNUL
		}
	}
	if err := indexable(event); err != nil {
		return err
	}
	if len(event.Payload) > 0 && !json.Valid(event.Payload) {
		return errors.New("the payload is not JSON")
	}
	return nil
}

// indexable refuses what the store cannot index. The payload is kept as text, in which the escape of a NUL may stand; what is
// indexed by its content may not have one.
func indexable(event *tracking.Event) error {
	indexed := tracking.Event{
		Location: event.Location, Quantity: event.Quantity, Transport: event.Transport, Corrects: event.Corrects,
		Enrichment: event.Enrichment,
	}
	indexed.Enrichment.Milestone = ""
	if indexed.Location == nil && indexed.Quantity == nil && indexed.Transport == nil && indexed.Corrects == nil && indexed.Enrichment.IsZero() {
		return nil
	}
	encoded, err := json.Marshal(indexed)
	if err != nil {
		return fmt.Errorf("encode details: %w", err)
	}
	if holdsNUL(encoded) {
		return errNUL
	}
	return nil
}

// holdsNUL reports whether a JSON text has the escape of a NUL character in one of its strings.
func holdsNUL(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		if bytes.HasPrefix(text[i+1:], []byte("u0000")) {
			return true
		}
		text = text[i+2:]
	}
}
