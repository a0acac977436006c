package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsOutlet publishes to a NATS server.
type natsOutlet struct {
	connection *nats.Conn
	stream     jetstream.JetStream // nil for core NATS
	done       chan struct{}       // closed when the connection is
}

func openNATS(ctx context.Context, config NATS, name string, logger *slog.Logger) (outlet, error) {
	done := make(chan struct{})
	options := []nats.Option{
		nats.Name("rastro " + name), nats.MaxReconnects(-1),
		// What cannot be sent now is tried again by the engine; kept in a buffer it would be sent twice.
		nats.ReconnectBufSize(-1),
		nats.ClosedHandler(func(*nats.Conn) { close(done) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.ErrorContext(context.WithoutCancel(ctx), "the NATS server refuses something", slog.Any("error", err))
		}),
	}
	switch {
	case config.Credentials != "":
		options = append(options, nats.UserCredentials(config.Credentials))
	case config.User != "":
		options = append(options, nats.UserInfo(config.User, config.Password))
	case config.Token != "":
		options = append(options, nats.Token(config.Token))
	}
	connection, err := nats.Connect(config.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	o := &natsOutlet{connection: connection, done: done}
	if config.JetStream {
		// Acknowledgements that do not come are given up when the context of the batch ends.
		if o.stream, err = jetstream.New(connection); err != nil {
			return nil, errors.Join(fmt.Errorf("use JetStream: %w", err), o.close())
		}
	}
	return o, nil
}

func (o *natsOutlet) close() error {
	o.connection.Close()
	<-o.done
	return nil
}

// send implements outlet.
func (o *natsOutlet) send(ctx context.Context, messages []*message) {
	most := int(o.connection.MaxPayload())
	for _, m := range messages {
		if most > 0 && len(m.body)+headerRoom(m) > most {
			m.refuse(CodeTooLarge, fmt.Sprintf("the message is %d bytes long; with its headers the server takes %d", len(m.body), most))
		}
	}
	if o.stream != nil {
		o.store(ctx, messages)
		return
	}
	for _, m := range messages {
		if !m.waiting() {
			continue
		}
		if err := o.connection.PublishMsg(o.write(m)); err != nil {
			m.err = fmt.Errorf("publish to %s: %w", m.subject, err)
		}
	}
	// Until the server has answered, none is known to have arrived.
	if err := o.connection.FlushWithContext(ctx); err != nil {
		for _, m := range messages {
			if m.waiting() {
				m.err = fmt.Errorf("publish to %s: %w", m.subject, err)
			}
		}
	}
}

// store publishes to streams and waits until each message is stored.
func (o *natsOutlet) store(ctx context.Context, messages []*message) {
	futures := make([]jetstream.PubAckFuture, len(messages))
	for i, m := range messages {
		if !m.waiting() {
			continue
		}
		var err error
		if futures[i], err = o.stream.PublishMsgAsync(o.write(m), jetstream.WithMsgID(m.uid)); err != nil {
			m.err = fmt.Errorf("publish to %s: %w", m.subject, err)
		}
	}
	for i, m := range messages {
		if futures[i] == nil {
			continue
		}
		select {
		case <-futures[i].Ok():
		case err := <-futures[i].Err():
			notStored(m, err)
		case <-ctx.Done():
			m.err = fmt.Errorf("publish to %s: %w", m.subject, context.Cause(ctx))
		}
	}
}

// tooLarge is what a stream answers to a message above its own limit (JSStreamMessageExceedsMaximumErr).
const tooLarge jetstream.ErrorCode = 10054

// notStored says in a message why it was not stored.
func notStored(m *message, err error) {
	if api, ok := errors.AsType[jetstream.JetStreamError](err); ok && api.APIError() != nil && api.APIError().ErrorCode == tooLarge {
		m.refuse(CodeTooLarge, fmt.Sprintf("the message is %d bytes long, which the stream of %s does not take", len(m.body), m.subject))
		return
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("no stream has this subject: %w", err)
	}
	m.err = fmt.Errorf("publish to %s: %w", m.subject, err)
}

// write makes the message that NATS sends.
func (o *natsOutlet) write(m *message) *nats.Msg {
	out := nats.NewMsg(m.subject)
	out.Data = m.body
	out.Header.Set("Content-Type", m.media)
	for _, a := range m.attributes {
		out.Header.Set(a.name, headerValue(a.value))
	}
	if o.stream == nil {
		out.Header.Set(jetstream.MsgIDHeader, m.uid) // for a stream that somebody keeps of the subject
	}
	return out
}

// headerValue is a value on one line: a header has no more.
func headerValue(value string) string {
	out := []rune(value)
	for i, r := range out {
		if r < ' ' || r == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}

// headerRoom is about what the headers of a message take of what the server allows for it.
func headerRoom(m *message) int {
	n := 128 + len(m.media)
	for _, a := range m.attributes {
		n += len(a.name) + len(a.value) + 4
	}
	return n
}
