package aggregate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// about is what a window's event is made of besides its members. It is written when the window begins, so that a window is sent
// as it was begun, whatever the config says by then.
type about struct {
	Tenant        string        `json:"tenant"`
	Key           []part        `json:"key"`
	Compute       []computation `json:"compute"`
	EventType     string        `json:"event_type"`
	Source        string        `json:"source"`
	Kind          tracking.Kind `json:"kind,omitempty"`
	CorrelationID string        `json:"correlation_id"`
	AggregateID   string        `json:"aggregate_id"`
}

// part is one field of a key. The value is nil when the events lack it.
type part struct {
	Name  string  `json:"name"`
	Value *string `json:"value"`
}

// computation is one result.
type computation struct {
	Name string    `json:"name"`
	Make Reduction `json:"make"`
}

// contribution is what an event brings to a window: when it happened and its values for the computations that take a field, in
// their order; nil for what it lacks.
type contribution struct {
	At     int64     `json:"at"` // microseconds since the Unix epoch
	Values []*string `json:"values,omitempty"`
}

// cutter makes windows of events.
type cutter struct {
	config  Config
	name    string // the stage's
	source  string
	compute []computation
	// domain is what the digests of the stage's windows begin with: those of another stage, key, cut or computation are others.
	domain []byte
}

func newCutter(config Config, pipelineName, stageName string) *cutter {
	c := &cutter{config: config, name: stageName, source: config.Emit.Source}
	if c.source == "" {
		c.source = pipelineName
	}
	for _, name := range slices.Sorted(maps.Keys(config.Compute)) {
		c.compute = append(c.compute, computation{name, config.Compute[name]})
	}
	length, every := config.Window.cut()
	for _, text := range []string{
		"rastro aggregate window 1", pipelineName, stageName, length.String(), every.String(), config.Window.Offset.String(),
		strconv.Itoa(len(config.Key)),
	} {
		c.domain = appendText(c.domain, text)
	}
	for _, path := range config.Key {
		c.domain = appendText(c.domain, path.Text())
	}
	for _, one := range c.compute {
		c.domain = appendText(appendText(c.domain, one.Name), one.Make.String())
	}
	return c
}

// appendText appends a text as a netstring: its length in bytes, a colon, the text, a comma. Different texts in a row so never
// make the same bytes.
func appendText(dst []byte, text string) []byte {
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, ':')
	dst = append(dst, text...)
	return append(dst, ',')
}

// cut returns the windows that an event is in by its time, the latest first, without About.
func (c *cutter) cut(event *tracking.Event, key []part) []store.Window {
	material := appendText(slices.Clone(c.domain), event.TenantID)
	for _, p := range key {
		if p.Value == nil {
			material = append(material, '-')
			continue
		}
		material = appendText(material, *p.Value)
	}
	ofKey := sha256.Sum256(material)
	length, _ := c.config.Window.cut()
	starts := c.config.Window.starts(event.OccurredAt)
	windows := make([]store.Window, len(starts))
	for i, start := range starts {
		id := sha256.Sum256(binary.BigEndian.AppendUint64(ofKey[:], uint64(start.UnixMicro())))
		end := start.Add(length)
		windows[i] = store.Window{ID: id, TenantID: event.TenantID, Start: start, End: end, ClosesAt: end.Add(c.config.AllowedLateness)}
	}
	return windows
}

func (c *cutter) key(event *tracking.Event) []part {
	key := make([]part, len(c.config.Key))
	for i, path := range c.config.Key {
		key[i].Name = path.Text()
		if value, ok := path.String(event); ok {
			key[i].Value = &value
		}
	}
	return key
}

// about writes what the windows of a key are about.
func (c *cutter) about(event *tracking.Event, key []part) ([]byte, error) {
	own := c.ownID(key)
	a := about{
		Tenant: event.TenantID, Key: key, Compute: c.compute, EventType: c.config.Emit.EventType, Source: c.source, Kind: c.config.Emit.Kind,
		CorrelationID: valueOf(key, c.config.Emit.CorrelationID.Text(), own),
	}
	a.AggregateID = valueOf(key, c.config.Emit.AggregateID.Text(), a.CorrelationID)
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write down what a window is about: %w", err)
	}
	return text, nil
}

func valueOf(key []part, name, otherwise string) string {
	for _, p := range key {
		if p.Name == name && p.Value != nil {
			return *p.Value
		}
	}
	return otherwise
}

// ownID is the id of what is aggregated under a key: the name of the stage and the key's values, or a digest of them where that
// would be long. The tenant is not part of it: ids are each tenant's own.
func (c *cutter) ownID(key []part) string {
	var b strings.Builder
	b.WriteString(c.name)
	var material []byte
	for _, p := range key {
		if p.Name == "tenant_id" {
			continue
		}
		value := "-"
		if p.Value != nil {
			value = *p.Value
		}
		material = appendText(material, value)
		b.WriteString("/" + value)
	}
	if b.Len() <= maxText {
		return b.String()
	}
	digest := sha256.Sum256(material)
	return c.name + "/" + hex.EncodeToString(digest[:16])
}

// contribution writes what an event brings to its windows.
func (c *cutter) contribution(event *tracking.Event) ([]byte, error) {
	brought := contribution{At: event.OccurredAt.UnixMicro()}
	for _, one := range c.compute {
		if one.Make.path.IsZero() {
			continue
		}
		var value *string
		if text, ok := one.Make.path.String(event); ok {
			value = &text
		}
		brought.Values = append(brought.Values, value)
	}
	text, err := json.Marshal(brought)
	if err != nil {
		return nil, fmt.Errorf("write down what an event brings to a window: %w", err)
	}
	return text, nil
}

// summary is a window being summed up.
type summary struct {
	window  store.Window
	about   about
	members int
	results []accumulator
}

func newSummary(window store.Window) (*summary, error) {
	s := &summary{window: window}
	if err := json.Unmarshal(window.About, &s.about); err != nil {
		return nil, fmt.Errorf("read what window %x is about: %w", window.ID, err)
	}
	for _, one := range s.about.Compute {
		s.results = append(s.results, newAccumulator(one.Make.function))
	}
	return s, nil
}

func (s *summary) add(member store.WindowMember) error {
	var brought contribution
	if err := json.Unmarshal(member.Value, &brought); err != nil {
		return fmt.Errorf("read what event %s brings to window %x: %w", member.UID, s.window.ID, err)
	}
	s.members++
	from, next := moment{brought.At, member.UID}, 0
	for i, one := range s.about.Compute {
		if one.Make.path.IsZero() {
			s.results[i].add(from, "", true)
			continue
		}
		if next >= len(brought.Values) {
			return fmt.Errorf("event %s brings %d values to window %x, which takes more", member.UID, len(brought.Values), s.window.ID)
		}
		value := brought.Values[next]
		if next++; value == nil {
			s.results[i].add(from, "", false)
			continue
		}
		s.results[i].add(from, *value, true)
	}
	return nil
}

// event returns what the window gives: the same, to the byte, whoever asks and however often.
func (s *summary) event() (*tracking.Event, error) {
	payload, err := s.payload()
	if err != nil {
		return nil, err
	}
	uid := uidOf(s.window)
	return &tracking.Event{
		UID: uid, TenantID: s.about.Tenant, Source: s.about.Source, EventID: uid.String(),
		CorrelationID: s.about.CorrelationID, AggregateID: s.about.AggregateID, Kind: s.about.Kind, Type: s.about.EventType,
		Classifier: tracking.Actual, OccurredAt: s.window.End, ReceivedAt: s.window.ClosesAt, Payload: payload,
	}, nil
}

// payload writes the results in the order of their names, after the window and its key.
func (s *summary) payload() (json.RawMessage, error) {
	start, end := s.window.Start.Format(time.RFC3339Nano), s.window.End.Format(time.RFC3339Nano)
	out := []byte(`{"window_start":"` + start + `","window_end":"` + end + `","key":{`)
	for i, p := range s.about.Key {
		name, nameErr := json.Marshal(p.Name)
		value, err := json.Marshal(p.Value)
		if nameErr != nil || err != nil {
			return nil, fmt.Errorf("write the key of window %x: %w", s.window.ID, err)
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	out = append(out, '}')
	for i, one := range s.about.Compute {
		out = append(out, `,"`+one.Name+`":`...)
		out = append(out, s.results[i].result()...)
	}
	return append(out, '}'), nil
}

// uidOf returns the UID of what a window gives: a UUIDv7 (RFC 9562) with the time of the window's start, which is the same in every
// process.
func uidOf(window store.Window) uuid.UUID {
	var parent uuid.UUID
	binary.BigEndian.PutUint64(parent[:8], uint64(max(0, window.Start.UnixMilli()))<<16)
	return tracking.DeriveUID(parent, "aggregate:"+hex.EncodeToString(window.ID[:]))
}
