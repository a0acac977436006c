package routers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// ErrCannotRedrive says that a dead letter can never be sent again as things are; the text says why.
var ErrCannotRedrive = errors.New("cannot be redriven")

// Redrive is how a dead letter is sent again.
type Redrive struct {
	// Plan is today's plan of its pipeline.
	Plan pipeline.Plan
	// Stage is where its events enter the pipeline: the one that rejected them, or else the first.
	Stage string
	// Topic and Entry are how that is reached.
	Topic, Entry string
	// FromStart says that today's pipeline lacks the stage that rejected the letter, so that it begins anew.
	FromStart bool
	// Frame says that the letter was a frame that could not be decoded, and now can: its events go their own ways.
	Frame bool
	// Job is the job that redrives it, by which its letter is found when its event ends. The zero job is not told of that.
	Job uuid.UUID
	// Events are the letter's, as they were received.
	Events []*tracking.Event
}

// Redriver sends dead letters again. It is safe for concurrent use.
type Redriver struct {
	codec     *Codec
	transport Transport

	mu          sync.Mutex
	provisioned map[string]bool
}

// NewRedriver returns a redriver over a transport.
func NewRedriver(codec *Codec, transport Transport) *Redriver {
	return &Redriver{codec: codec, transport: transport, provisioned: map[string]bool{}}
}

// Prepare says how a letter is sent again as the plans stand. An error wraps ErrCannotRedrive.
func (r *Redriver) Prepare(plans []pipeline.Plan, letter store.Letter) (Redrive, error) {
	cannot := func(err error) (Redrive, error) { return Redrive{}, fmt.Errorf("%w: %w", ErrCannotRedrive, err) }
	i := slices.IndexFunc(plans, func(p pipeline.Plan) bool { return p.Pipeline == letter.Pipeline })
	if i < 0 || len(plans[i].Hops) == 0 {
		return cannot(fmt.Errorf("there is no pipeline %q any more", letter.Pipeline))
	}
	again := Redrive{Plan: plans[i], Stage: letter.Stage}
	var err error
	if again.Frame = letter.Code == codeFrame && letter.TenantID == ""; again.Frame {
		err = r.openFrame(&again, letter.Event)
	} else {
		err = openEvent(&again, letter)
	}
	if err != nil {
		return cannot(err)
	}
	var known bool
	if again.Topic, again.Entry, known = again.Plan.Entry(again.Stage); !known {
		first := again.Plan.Hops[0]
		again.FromStart, again.Stage, again.Topic, again.Entry = true, first.Name, first.From, ""
	}
	for _, event := range again.Events {
		if _, err := r.codec.Encode([]*tracking.Event{event}, again.Entry, r.transport.MaxFrameBytes()); err != nil {
			return cannot(err)
		}
	}
	return again, nil
}

// openFrame decodes the frame that a letter holds. Where its events enter is what the frame says, else the hop that read it.
func (r *Redriver) openFrame(again *Redrive, body []byte) error {
	var letter letterFrame
	if err := json.Unmarshal(body, &letter); err != nil {
		return fmt.Errorf("the letter holds no frame: %w", err)
	}
	events, entry, err := r.codec.Decode(letter.Frame)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return errors.New("the frame holds no events")
	}
	again.Events = events
	if entry != "" {
		again.Stage = entry
	}
	return nil
}

func openEvent(again *Redrive, letter store.Letter) error {
	event, err := fromReceived(letter.Event)
	if err != nil {
		return fmt.Errorf("the letter holds no event: %w", err)
	}
	// Invariant 13: what the letter was found by is what it holds.
	if event.UID != letter.UID || event.TenantID != letter.TenantID {
		return errors.New("the letter holds another event than it says")
	}
	if letter.PersonalError != nil {
		return letter.PersonalError
	}
	event.Personal, event.Span = letter.Personal, telemetry.SpanIn(letter.TraceID)
	if event, err = event.RestorePersonal(); err != nil {
		return err
	}
	again.Events = []*tracking.Event{event}
	return nil
}

// fromReceived is the inverse of asReceived: it returns the event with its payload byte for byte, whatever that is.
func fromReceived(body []byte) (*tracking.Event, error) {
	envelope, payload := body, []byte(nil)
	if at, ok := payloadAt(body); ok {
		envelope = append(slices.Clone(body[:at]), "null}"...)
		payload = bytes.Clone(body[at : len(body)-1])
	}
	event := &tracking.Event{}
	if err := json.Unmarshal(envelope, event); err != nil {
		return nil, err
	}
	event.Payload = payload
	event.OccurredAt, event.ReceivedAt = fixZone(event.OccurredAt), event.ReceivedAt.UTC()
	return event, nil
}

// payloadAt finds the payload of an event written by asReceived: it is the last of its members, up to the closing brace.
func payloadAt(body []byte) (int, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if _, err := decoder.Token(); err != nil {
		return 0, false
	}
	for {
		key, err := decoder.Token()
		if err != nil {
			return 0, false
		}
		at := int(decoder.InputOffset())
		if key == "payload" {
			if at >= len(body)-1 || body[at] != ':' || body[len(body)-1] != '}' {
				return 0, false
			}
			// What is no JSON has no end but that of the letter.
			var payload json.RawMessage
			more := json.Valid(body) && decoder.Decode(&payload) == nil && decoder.More()
			return at + 1, !more
		}
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			return 0, false
		}
	}
}

// Send publishes letters again, events that go the same way together and in order. It returns nil once the broker has stored
// all of them; on an error some may have been stored, and sending them again is safe: their UIDs stay the same.
func (r *Redriver) Send(ctx context.Context, plans []pipeline.Plan, letters []Redrive) error {
	if err := r.provision(ctx, plans); err != nil {
		return err
	}
	var ways []destination
	events := map[destination][]*tracking.Event{}
	for _, letter := range letters {
		way := destination{letter.Topic, letter.Entry, letter.Job}
		if _, known := events[way]; !known {
			ways = append(ways, way)
		}
		events[way] = append(events[way], letter.Events...)
	}
	for _, way := range ways {
		messages, err := r.codec.Encode(events[way], way.entry, r.transport.MaxFrameBytes())
		if err != nil {
			return err
		}
		for _, m := range redrive(messages, way.redriven) {
			m.SetContext(ctx)
		}
		if err := r.transport.Publisher().Publish(way.topic, messages...); err != nil {
			return fmt.Errorf("publish to %s: %w", way.topic, err)
		}
	}
	return ctx.Err()
}

// provision makes topics exist that today's plans need and that were not known before.
func (r *Redriver) provision(ctx context.Context, plans []pipeline.Plan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	topics := pipeline.Topics(plans...)
	if !slices.ContainsFunc(topics, func(t pipeline.Topic) bool { return !r.provisioned[t.Name] }) {
		return nil
	}
	if err := r.transport.Provision(ctx, topics); err != nil {
		return fmt.Errorf("provision topics: %w", err)
	}
	for _, t := range topics {
		r.provisioned[t.Name] = true
	}
	return nil
}

// Carry is what a topic does to an event: it returns it as whoever reads the topic gets it, and how many bytes it was on the
// way.
func (r *Redriver) Carry(event *tracking.Event) (carried *tracking.Event, size int, err error) {
	messages, err := r.codec.Encode([]*tracking.Event{event}, "", r.transport.MaxFrameBytes())
	if err != nil {
		return nil, 0, err
	}
	events, _, err := r.codec.Decode(messages[0].Payload)
	if err != nil {
		return nil, 0, err
	}
	if len(events) != 1 {
		return nil, 0, io.ErrUnexpectedEOF
	}
	return events[0], len(messages[0].Payload), nil
}
