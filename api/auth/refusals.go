package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// maxReason bounds what the log says of why a request was refused, in bytes: some of it is what the client sent.
const maxReason = 300

// Refusals logs and counts the requests that do not come in.
type Refusals struct {
	logger *slog.Logger
	total  *prometheus.CounterVec
}

// NewRefusals returns what logs refusals; Register has it count them where they are seen.
func NewRefusals(logger *slog.Logger) *Refusals {
	return &Refusals{logger: logger, total: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rastro_auth_refusals_total", Help: "Requests that were not let in, by why.",
	}, []string{"reason"})}
}

// Register registers the metrics.
func (r *Refusals) Register(registerer prometheus.Registerer) error {
	if err := registerer.Register(r.total); err != nil {
		return fmt.Errorf("register refusals: %w", err)
	}
	return nil
}

// note says who was refused, from where, and why. No error quotes a token, a key, a secret or a signature.
func (r *Refusals) note(c *fiber.Ctx, err error) { r.log(c.UserContext(), err, requestAttributes(c)) }

func (r *Refusals) log(ctx context.Context, err error, request []any) {
	reason := reasonOf(err)
	r.total.WithLabelValues(reason).Inc()
	attributes := append([]any{slog.String("reason", reason), slog.String("error", clipped(err.Error()))}, request...)
	if a, ok := errors.AsType[*about](err); ok {
		attributes = append(attributes, slog.String("credential", a.credential), slog.String("tenant", a.tenant))
	}
	if l, ok := errors.AsType[*lacking](err); ok {
		attributes = append(attributes, l.attributes()...)
	}
	level := slog.LevelWarn
	if errors.Is(err, ErrMissing) || errors.Is(err, ErrSessionEnded) { // browsers that have to sign in
		level = slog.LevelInfo
	}
	r.logger.Log(ctx, level, "request refused", attributes...)
}

// requestAttributes says which request it is. They outlive it.
func requestAttributes(c *fiber.Ctx) []any {
	attributes := []any{
		slog.String("remote", c.Context().RemoteAddr().String()), slog.String("method", strings.Clone(c.Method())),
		slog.String("path", clipped(c.Path())),
	}
	if id, ok := c.Locals("requestid").(string); ok {
		attributes = append(attributes, slog.String("request_id", strings.Clone(id)))
	}
	return attributes
}

func clipped(text string) string {
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	return strings.ToValidUTF8(strings.Clone(text), "\ufffd")
}

// reasonOf is the label of an error: that of the sentinel that it wraps.
func reasonOf(err error) string {
	for _, r := range refusals() {
		if errors.Is(err, r.err) {
			return strings.ReplaceAll(r.err.Error(), " ", "_")
		}
	}
	return "internal"
}
