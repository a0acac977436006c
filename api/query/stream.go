package query

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
)

// historyWindow is how far back a new stream is told.
const historyWindow = 15 * time.Minute

// RegisterStream adds the live stream to a router whose requests were authenticated before they come here. It is plain Fiber
// because a stream has no body that could be typed.
func (h *Handler) RegisterStream(router fiber.Router) {
	router.Get("/stream", auth.Require(auth.RoleTracesRead), h.stream)
}

// tick is what the stream tells each second.
type tick struct {
	Totals
	AcceptedPerSecond float64 `json:"accepted_per_second"`
	StoredPerSecond   float64 `json:"stored_per_second"`
}

// stream sends the tenant's counts as server-sent events: one `history`, then a `tick` a second, until the client leaves, the
// token expires or the process stops. The client reconnects by itself.
func (h *Handler) stream(c *fiber.Ctx) error {
	identity, err := authorize(c.UserContext(), auth.RoleTracesRead)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	ctx := context.WithoutCancel(c.UserContext()) // the writer below outlives the handler
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		ctx, cancel := context.WithDeadline(ctx, identity.ExpiresAt)
		defer cancel()
		s := stream{handler: h, w: w, tenant: identity.TenantID}
		s.run(ctx)
	})
	return nil
}

// stream writes to one client.
type stream struct {
	handler *Handler
	w       *bufio.Writer
	tenant  string
}

func (s *stream) run(ctx context.Context) {
	if _, err := s.w.WriteString("retry: 2000\n\n"); err != nil {
		return
	}
	last, ok := s.history(ctx)
	if !ok {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		case <-s.handler.done:
			return
		}
		if last, ok = s.tick(ctx, last); !ok {
			return
		}
	}
}

// history tells what was before. Its second result is false when the client has gone.
func (s *stream) history(ctx context.Context) (Totals, bool) {
	points, err := s.handler.deps.Counts.History(ctx, s.tenant, historyWindow)
	if err != nil {
		s.handler.deps.Logger.WarnContext(ctx, "cannot read counts for a stream", slog.Any("error", err))
		return Totals{}, s.comment("counts are not available")
	}
	return points[len(points)-1], s.event("history", map[string]any{"points": points})
}

func (s *stream) tick(ctx context.Context, last Totals) (Totals, bool) {
	totals, err := s.handler.deps.Counts.Totals(ctx, s.tenant)
	if err != nil {
		// The client sees that no tick comes and says that its figures are old.
		return last, s.comment("counts are not available")
	}
	t := tick{Totals: totals}
	if elapsed := totals.At.Sub(last.At).Seconds(); elapsed > 0 && !last.At.IsZero() {
		t.AcceptedPerSecond = float64(totals.Accepted-last.Accepted) / elapsed
		t.StoredPerSecond = float64(totals.Stored-last.Stored) / elapsed
	}
	return totals, s.event("tick", t)
}

func (s *stream) event(name string, data any) bool {
	body, err := json.Marshal(data)
	if err != nil {
		return false
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", name, body); err != nil {
		return false
	}
	return s.w.Flush() == nil
}

func (s *stream) comment(text string) bool {
	if _, err := fmt.Fprintf(s.w, ": %s\n\n", text); err != nil {
		return false
	}
	return s.w.Flush() == nil
}
