package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/problem"
)

// minBody is what the smallest request counts as, in bytes: its buffers, its events and its answer take room too.
const minBody = 16 << 10

// maxWait is how long a request waits for room before it is told to come again. The queue is kept short on purpose: whoever is
// let in late has no time left to be answered in.
const maxWait = 2 * time.Second

// later adds to an answer that asks for the same request again when to send it.
func later(c *fiber.Ctx, err error) error {
	if p, ok := err.(*problem.Problem); ok && p.Status == http.StatusServiceUnavailable { //nolint:errorlint // made right here
		if len(c.Response().Header.Peek(fiber.HeaderRetryAfter)) == 0 {
			c.Set(fiber.HeaderRetryAfter, "2")
		}
	}
	return err
}

// seat is the room that one request takes.
type seat struct {
	handler  *Handler
	bytes    int64
	unproven int64 // of them, those taken while nobody knows whose they are
}

// prove says that it is known now whose the request is.
func (s *seat) prove() {
	s.handler.unproven.Release(s.unproven)
	s.unproven = 0
}

// shrink gives back what a body of a size does not need.
func (s *seat) shrink(size int) { s.give(max(0, s.bytes-int64(max(size, minBody)))) }

// leave gives back everything.
func (s *seat) leave() {
	s.prove()
	s.give(s.bytes)
}

func (s *seat) give(n int64) {
	s.bytes -= n
	s.handler.deps.Metrics.inFlight.Sub(float64(n))
	s.handler.room.Release(n)
}

// unprovenPart is what part of the room may be taken by bodies that must be read to know whose they are: who has no credential must
// not keep those out who have.
const unprovenPart = 4

// roomFor returns the room that a request's body may take at most, in bytes.
func roomFor(c *fiber.Ctx, maxBody int) int64 {
	size := c.Request().Header.ContentLength()
	if size < 0 || size > maxBody || c.Get(fiber.HeaderContentEncoding) != "" {
		size = maxBody // as large as it may become
	}
	return int64(max(size, minBody))
}

// enter waits for room for the request's body, which has not been read yet. proven says whether it is known whose it is. The caller
// must leave the seat.
func (h *Handler) enter(ctx context.Context, c *fiber.Ctx, proven bool, maxBody int) (*seat, error) {
	if c.Request().Header.ContentLength() > maxBody {
		return nil, tooLarge(maxBody)
	}
	n := roomFor(c, maxBody)
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	taken := &seat{handler: h}
	if !proven {
		if err := h.unproven.Acquire(ctx, n); err != nil {
			return nil, h.overloaded()
		}
		taken.unproven = n
	}
	if err := h.room.Acquire(ctx, n); err != nil {
		taken.prove()
		return nil, h.overloaded()
	}
	h.deps.Metrics.inFlight.Add(float64(n))
	taken.bytes = n
	return taken, nil
}

// read reads the request's body as it was sent.
func (h *Handler) read(c *fiber.Ctx, maxBody int) ([]byte, error) {
	stream := c.Request().BodyStream()
	if stream == nil {
		raw := c.Request().Body()
		if len(raw) > maxBody {
			return nil, tooLarge(maxBody)
		}
		return bytes.Clone(raw), nil
	}
	var body bytes.Buffer
	body.Grow(max(0, min(c.Request().Header.ContentLength(), maxBody)) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(stream, int64(maxBody)+1)); err != nil {
		return nil, problem.New(http.StatusBadRequest, "malformed", "The body ended before all of it had come.")
	}
	if body.Len() > maxBody {
		return nil, tooLarge(maxBody)
	}
	// All of it was read: the connection may go on. Bytes are kept for the events, not for the server.
	c.Request().SetBodyRaw(nil)
	return body.Bytes(), nil
}

// overloaded counts and answers a request that there is no room for.
func (h *Handler) overloaded() error {
	h.deps.Metrics.refused.Inc()
	return problem.New(http.StatusServiceUnavailable, "overloaded",
		"More is being sent than can be taken in, and nothing of this request was accepted. Send it again after Retry-After seconds.")
}

func tooLarge(maxBody int) error {
	return problem.New(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf(
		"The body is larger than %d bytes; send the events in several smaller requests.", maxBody))
}
