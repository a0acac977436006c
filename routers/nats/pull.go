package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// pull is one request for messages.
//
// It is made here and not by the client's Fetch because it can be withdrawn without losing anything: what the server has sent by
// then still arrives. Fetch drops it, also what waits in its own buffer, and it is delivered again when its time is over, as received
// once more.
//
// The protocol is that of the JetStream API: a request to $JS.API.CONSUMER.MSG.NEXT (of a domain, $JS.DOMAIN.API), answered by messages,
// each to be settled by an answer to its reply subject, and a status when no more come.
type pull struct {
	conn   *nats.Conn
	sub    *nats.Subscription
	left   int // messages that may still come
	came   chan *nats.Msg
	closed chan struct{} // closed when nothing more can come
	err    error         // why it ended early; to be read when until has ended
}

// pulled is a message that is to be settled.
type pulled struct {
	conn *nats.Conn
	msg  *nats.Msg
}

// What the server is told of a message.
const (
	ack        = "+ACK"
	nak        = "-NAK"
	inProgress = "+WPI"
)

func (p pulled) settle(how string) error {
	if err := p.conn.Publish(p.msg.Reply, []byte(how)); err != nil {
		return fmt.Errorf("settle message: %w", err)
	}
	return nil
}

// pullRequest is what the server is asked.
type pullRequest struct {
	Expires  time.Duration `json:"expires"`
	Batch    int           `json:"batch"`
	MaxBytes int           `json:"max_bytes"`
}

// statusRoom is how many statuses may come beside messages before the connection waits for us.
const statusRoom = 8

// statusConflict is the status of a request that ends for a reason that its description tells.
const statusConflict = 409

// pull asks for up to n messages of a topic, of so many bytes together. The caller must end it.
func (t *Transport) pull(topic, reader string, n, bytes int) (*pull, error) {
	body, err := json.Marshal(pullRequest{Expires: fetchWait, Batch: n, MaxBytes: bytes})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	p := &pull{conn: t.conn, left: n, came: make(chan *nats.Msg, n+statusRoom), closed: make(chan struct{})}
	inbox := t.conn.NewInbox()
	if p.sub, err = t.conn.Subscribe(inbox, func(m *nats.Msg) { p.came <- m }); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	p.sub.SetClosedHandler(func(string) { close(p.closed) })
	if err := t.conn.PublishRequest(t.config.api()+"CONSUMER.MSG.NEXT."+StreamName(topic)+"."+reader, inbox, body); err != nil {
		p.end()
		return nil, fmt.Errorf("ask: %w", err)
	}
	return p, nil
}

// end gives up the request, if it still is under way.
func (p *pull) end() { _ = p.sub.Unsubscribe() } // it fails when it has ended already

// until returns what comes. The request is withdrawn when ctx ends; what was sent before still comes.
func (p *pull) until(ctx context.Context) iter.Seq[pulled] {
	return func(yield func(pulled) bool) {
		// A server that does not answer says nothing when the time is over either.
		over := time.NewTimer(fetchWait + time.Second)
		defer over.Stop()
		withdrawn := ctx.Done()
		for p.left > 0 {
			select {
			case m := <-p.came:
				if !p.hand(m, yield) {
					return
				}
			case <-withdrawn:
				withdrawn = nil
				if p.err = p.sub.Drain(); p.err != nil {
					return
				}
			case <-p.closed:
				for len(p.came) > 0 && p.hand(<-p.came, yield) {
				}
				return
			case <-over.C:
				return
			}
		}
	}
}

// hand hands on what has come; false when no more will.
func (p *pull) hand(m *nats.Msg, yield func(pulled) bool) bool {
	status, description := m.Header.Get("Status"), m.Header.Get("Description")
	if status == "" || len(m.Data) > 0 {
		p.left--
		return yield(pulled{p.conn, m})
	}
	switch code, _ := strconv.Atoi(status); code {
	case http.StatusContinue: // a heartbeat
		return true
	case http.StatusNotFound, http.StatusRequestTimeout:
		return false
	case statusConflict:
		if description == "Message Size Exceeds MaxBytes" || description == "Batch Completed" {
			return false
		}
	}
	p.err = fmt.Errorf("the server answers %s %s", status, description)
	return false
}
