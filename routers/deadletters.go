package routers

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/sony/gobreaker/v2"
	"github.com/tidwall/gjson"

	"github.com/rastrohq/rastro/internal/crash"
	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// codeFrame is the reason of dead letters that are whole frames.
const codeFrame = "frame"

// letterFrame is the body of the dead letter of a frame.
type letterFrame struct {
	Frame     []byte `json:"frame"`
	MessageID string `json:"message_id"`
}

// deadLetter makes the dead letter of rejected work.
//
// Invariant 3: a rejected event is dead-lettered with stage, reason and what was received.
func (p *Processor) deadLetter(w *pipeline.Work) (store.DeadLetter, error) {
	e := p.personal.Apply(w.Event)
	body, err := asReceived(e)
	if err != nil {
		return store.DeadLetter{}, fmt.Errorf("dead-letter event %s: %w", e.UID, err)
	}
	reason := w.Verdict.Reason
	return store.DeadLetter{
		UID: e.UID, TenantID: e.TenantID, Pipeline: p.config.Plan.Pipeline, Stage: w.Stage,
		Code: reason.Code, Message: withoutPersonal(reason.Message, e.Personal), Field: reason.Field, Personal: e.Personal,
		Source: e.Source, EventType: e.Type, CorrelationID: e.CorrelationID,
		Attempts: w.Attempts + 1, Event: body, TraceID: telemetry.TraceID(e.Span), At: p.config.Settings.Now().UTC(),
	}, nil
}

// withoutPersonal returns what is said of an event without what is personal in it, which a reason may quote.
func withoutPersonal(text string, personal *tracking.Personal) string {
	if !personal.Held() {
		return text
	}
	hide := func(value string) {
		if len(value) > 1 {
			text = strings.ReplaceAll(text, value, "[personal]")
		}
	}
	hide(personal.Subject)
	var each func(value gjson.Result)
	each = func(value gjson.Result) {
		if value.IsObject() || value.IsArray() {
			value.ForEach(func(_, inner gjson.Result) bool { each(inner); return true })
			return
		}
		hide(value.Raw)
		hide(value.String())
	}
	each(gjson.ParseBytes(personal.Data))
	for _, moved := range personal.Moved {
		each(gjson.ParseBytes(moved.Value))
	}
	return text
}

// asReceived returns the event in its wire form with the payload byte for byte, which json.Marshal would compact and escape.
func asReceived(e *tracking.Event) ([]byte, error) {
	envelope := *e
	envelope.Payload = nil
	body, err := json.Marshal(envelope)
	if err != nil || len(e.Payload) == 0 {
		return body, err
	}
	body = append(body[:len(body)-1], `,"payload":`...)
	return append(append(body, e.Payload...), '}'), nil
}

// rejectFrame dead-letters a frame that cannot be decoded, so that its bytes are kept and it does not come again.
func (p *Processor) rejectFrame(msg *message.Message, stage string, cause error) error {
	body, err := json.Marshal(letterFrame{Frame: msg.Payload, MessageID: msg.UUID})
	if err != nil {
		return fmt.Errorf("dead-letter frame: %w", err)
	}
	p.config.Logger.Error("frame cannot be decoded; it is dead-lettered", slog.String("stage", stage), slog.Any("error", cause))
	return p.publishLetters([]store.DeadLetter{{
		UID: uuid.NewSHA1(uuid.NameSpaceOID, msg.Payload), Pipeline: p.config.Plan.Pipeline, Stage: stage,
		Code: codeFrame, Message: cause.Error(), Attempts: 1, Event: body, TraceID: traceOf(msg), At: p.config.Settings.Now().UTC(),
	}})
}

// publishLetters sends dead letters to their topic rather than to the database, so that an outage of it loses none.
func (p *Processor) publishLetters(letters []store.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	messages, err := encode(letters, []byte{frameVersion}, p.config.Transport.MaxFrameBytes(),
		func(to []byte, letter store.DeadLetter) ([]byte, error) { return p.codec.marshal(to, letter) })
	if err != nil {
		return fmt.Errorf("dead-letter: %w", err)
	}
	if err := p.config.Transport.Publisher().Publish(p.config.Plan.DeadLetters, messages...); err != nil {
		return fmt.Errorf("publish to %s: %w", p.config.Plan.DeadLetters, err)
	}
	return nil
}

// deadLetters stores what arrives on the dead-letter topic.
type deadLetters struct {
	processor *Processor
	gate      Gate
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newDeadLetters(p *Processor) *deadLetters {
	d := &deadLetters{processor: p}
	d.breaker = newBreaker(p, "dead_letters", pipeline.DefaultBreaker(), func(open bool) { d.gate.set(open) })
	return d
}

// handle stores the letters of one frame, trying until it can or the work must be let go.
func (d *deadLetters) handle(msg *message.Message) error {
	p := d.processor
	decoded, err := decode[store.DeadLetter](p.codec.dec, msg.Payload)
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	letters := make([]store.DeadLetter, len(decoded))
	for i, letter := range decoded {
		letters[i] = *letter
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		report, err := d.breaker.Allow()
		if err == nil {
			err = p.config.Letters.AddDeadLetters(p.work, letters)
			report(err)
		}
		if err == nil {
			crash.At(crash.Buried)
			return nil
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-p.work.Done():
			return fmt.Errorf("store dead letters: %w", err)
		}
	}
}
