package routers

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rastrohq/rastro/store"
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

// handleGivenUp dead-letters a frame that was received too often: each of its events, or the frame when it cannot be decoded. Its
// return settles the frame.
//
// Invariant 3: what is given up is kept with stage, reason and what was received.
func (h *hop) handleGivenUp(msg *message.Message) error {
	p := h.processor
	events, origins, entry, err := p.codec.decodeFrame(msg.Payload)
	if err != nil {
		return h.rejectFrame(msg, nil, nil, err)
	}
	stage := h.planned.Name
	if entry != "" {
		stage = entry
	}
	receives := 1
	if from, ok := p.config.Transport.(GivingUp); ok {
		receives = from.MaxReceives()
	}
	letters := make([]store.DeadLetter, len(events))
	for i, e := range events {
		body, err := asReceived(e)
		if err != nil {
			return fmt.Errorf("dead-letter event %s: %w", e.UID, err)
		}
		letters[i] = store.DeadLetter{
			UID: e.UID, TenantID: e.TenantID, Pipeline: p.config.Plan.Pipeline, Stage: stage, Code: codeReceived,
			Message: fmt.Sprintf("its frame was received %d times, and whoever had it died or let go of it", receives),
			Source:  e.Source, EventType: e.Type, CorrelationID: e.CorrelationID, Attempts: receives, Event: body,
			TraceID: traceOf(msg.Context()), At: p.config.Settings.Now().UTC(),
		}
	}
	if err := p.publishLetters(letters); err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	return h.enterRejected(msg, events, origins)
}
