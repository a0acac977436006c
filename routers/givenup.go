package routers

import (
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"

	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// codeReceived is the reason of dead letters that the broker gave up: whoever received their frame died, or let go of it.
const codeReceived = "received-too-often"

// givenUpInHand is how many frames of each topic that were given up are in hand at once.
const givenUpInHand = 4

// addGivenUp has what the broker put aside brought in, where it does that: of hops as dead letters, of the topics of dead letters
// and the ledger, which are stored in any case, to where it was to go.
func (p *Processor) addGivenUp() error {
	from, ok := p.config.Transport.(GivingUp)
	if !ok {
		return nil
	}
	for _, h := range p.hops {
		if err := p.subscribeGivenUp(from, h.planned.Name, h.planned.From, h.handleGivenUp); err != nil {
			return err
		}
	}
	err := p.subscribeGivenUp(from, "dead_letters", p.config.Plan.DeadLetters, func(msg *message.Message) error {
		if _, err := decode[store.DeadLetter](p.codec.dec, msg.Payload); err != nil {
			return p.rejectFrame(msg, "dead_letters", err)
		}
		return p.letters.handle(msg)
	})
	if err != nil || p.ledger == nil {
		return err
	}
	return p.subscribeGivenUp(from, "ledger", p.config.Plan.Ledger, func(msg *message.Message) error {
		if _, err := decode[ledgerEntry](p.codec.dec, msg.Payload); err != nil {
			return p.rejectFrame(msg, "ledger", err)
		}
		return p.ledger.handle(msg)
	})
}

func (p *Processor) subscribeGivenUp(from GivingUp, name, topic string, handle message.NoPublishHandlerFunc) error {
	sub, err := from.GivenUp(p.config.Plan.Pipeline, givenUpInHand, &Gate{})
	if err != nil {
		return fmt.Errorf("subscribe to what was given up of %q: %w", topic, err)
	}
	p.subs = append(p.subs, subscription{sub, topic})
	p.router.AddConsumerHandler(p.config.Plan.Pipeline+"."+name+".given_up", topic, sub, handle)
	return nil
}

// handleGivenUp dead-letters a frame that was received too often: each of its events that has not ended, or the frame when it
// cannot be decoded. Its return settles the frame.
//
// Invariant 3: what is given up is kept with stage, reason and what was received.
func (h *hop) handleGivenUp(msg *message.Message) error {
	p := h.processor
	opened, err := p.codec.decodeFrame(msg.Payload)
	events, origins, entry := opened.events, opened.origins, opened.entry
	if err != nil {
		return h.rejectFrame(msg, nil, nil, err)
	}
	came := h.arrivalOf(origins)
	if origins == nil {
		origins = originsIn(frameID(msg), len(events))
	}
	if events, origins, err = p.unended(events, origins); err != nil {
		return err
	}
	stage := h.planned.Name
	if entry != "" {
		stage = entry
	}
	letters := make([]store.DeadLetter, len(events))
	for i, e := range events {
		if letters[i], err = h.givenUpLetter(e, stage); err != nil {
			return err
		}
	}
	if err := p.publishLetters(letters); err != nil || p.config.Ledger == nil {
		return err
	}
	var said page
	for i, e := range events {
		said.note(origins[i], e.TenantID, came, rejectedEnd)
	}
	return p.publishLedger(said)
}

func (h *hop) givenUpLetter(e *tracking.Event, stage string) (store.DeadLetter, error) {
	receives := 1
	if from, ok := h.processor.config.Transport.(GivingUp); ok {
		receives = from.MaxReceives()
	}
	body, err := asReceived(e)
	if err != nil {
		return store.DeadLetter{}, fmt.Errorf("dead-letter event %s: %w", e.UID, err)
	}
	return store.DeadLetter{
		UID: e.UID, TenantID: e.TenantID, Pipeline: h.processor.config.Plan.Pipeline, Stage: stage, Code: codeReceived,
		Message: fmt.Sprintf("its frame was received %d times, and whoever had it died or let go of it", receives),
		Source:  e.Source, EventType: e.Type, CorrelationID: e.CorrelationID, Attempts: receives, Event: body,
		TraceID: telemetry.TraceID(e.Span), At: h.processor.config.Settings.Now().UTC(),
	}, nil
}

// unended returns the events of a frame that have not ended, with their origins, trying until the ledger answers or the work must
// be let go: some may have been settled before whoever had the frame died over the others. One that ends after the ledger was
// asked, in another hop, has two endings, and the balance says so.
//
// Invariant 14: an event ends once.
func (p *Processor) unended(events []*tracking.Event, origins []origin) ([]*tracking.Event, []origin, error) {
	if p.config.Ledger == nil || len(events) == 0 {
		return events, origins, nil
	}
	asked := make([]store.LedgerMark, len(events))
	for i, e := range events {
		part := int32(origins[i].index / bitsPerMark) //nolint:gosec // An index is below 1<<31.
		asked[i] = store.LedgerMark{Frame: origins[i].frame, Part: part, TenantID: e.TenantID}
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		ended, err := p.config.Ledger.Ended(p.work, p.config.Plan.Pipeline, asked)
		if err == nil {
			var left []*tracking.Event
			var named []origin
			for i, e := range events {
				if ended[i]&(1<<(origins[i].index%bitsPerMark)) == 0 {
					left, named = append(left, e), append(named, origins[i])
				}
			}
			return left, named, nil
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-p.work.Done():
			return nil, nil, fmt.Errorf("given up: %w", err)
		}
	}
}
