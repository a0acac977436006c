package dedupe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/internal/crash"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// Name is what `use` says.
const Name = "dedupe"

// CodeDuplicate says that the event was sent before under another UID.
const CodeDuplicate = "duplicate"

// Claims binds keys to the UIDs that came first. *store.Store is one.
type Claims interface {
	// Claim claims every key for its UID and returns, for each claim, the UID that holds the key: the claim's own when it is
	// the first within the window, or was already. A window that cannot be kept is an error, even when nothing is claimed.
	Claim(ctx context.Context, window time.Duration, claims []store.Claim) ([]uuid.UUID, error)
}

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	Key    []pipeline.Path `yaml:"key" doc:"The fields that tell one occurrence from another: an event with the same values as an earlier one is its duplicate." jsonschema:"minItems=1"`
	Window time.Duration   `yaml:"window" doc:"How long a key stays claimed: senders reuse bag tags and parcel numbers."`
}

// Defaults returns the config of a stage that has no `with`.
func Defaults() Config {
	return Config{
		Key: []pipeline.Path{
			pipeline.MustParsePath("tenant_id"), pipeline.MustParsePath("source"),
			pipeline.MustParsePath("event_id"), pipeline.MustParsePath("revision"),
		},
		Window: 72 * time.Hour,
	}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if c.Window <= 0 {
		return fmt.Errorf("window: %s is no time at all; write for example 72h", c.Window)
	}
	seen := make(map[string]bool, len(c.Key))
	identifies := false
	for _, path := range c.Key {
		name := path.Text()
		switch {
		case seen[name]:
			return fmt.Errorf("key: %s is named twice", name)
		case name == "uid" || name == "received_at":
			return fmt.Errorf("key: %s is new with every delivery, so that nothing would be a duplicate; name the sender's event_id", name)
		case name != "tenant_id" && name != "source":
			identifies = true
		}
		seen[name] = true
	}
	if !identifies {
		return errors.New("key: no field tells one event from another; add such as event_id and revision")
	}
	return nil
}

// Deduplicates implements pipeline.Deduplicating.
func (c Config) Deduplicates() bool { return true }

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Drops events that were sent before, also across restarts.", Defaults, build).Described(doc, example))
}

const doc = `
The first event to come with a key keeps it for the window; a later one with the same key is dropped with the code
"duplicate". A redelivery of the first passes, so that a crash loses nothing.

Keep the revision in the key unless corrections are to be dropped too: a correction has the event id of the event it mends.
Keys of other tenants and other pipelines are never the same. An event that lacks a part of the key passes without a claim.`

const example = `
- use: dedupe
  with:
    key: [tenant_id, source, event_id, revision]
    window: 72h`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	claims, err := pipeline.Resource[Claims](settings)
	if err != nil {
		return nil, err
	}
	// Better to learn at start that claims are not kept for so long than to have every batch fail.
	if _, err := claims.Claim(context.Background(), config.Window, nil); err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	return &stage{keys: newKeyer(settings.Pipeline, config.Key), window: config.Window, claims: claims, logger: settings.Logger}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct {
	keys   keyer
	window time.Duration
	claims Claims
	logger *slog.Logger
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	claims := make([]store.Claim, 0, batch.PendingLen())
	indices := make([]int, 0, batch.PendingLen())
	var buffers keyBuffers
	for i, event := range batch.Pending() {
		key, ok := s.keys.key(event, &buffers)
		if !ok {
			s.logger.DebugContext(ctx, "event lacks a part of the dedupe key", slog.String("uid", event.UID.String()))
			continue
		}
		claims = append(claims, store.Claim{Key: key, UID: event.UID})
		indices = append(indices, i)
	}
	if len(claims) == 0 {
		return ctx.Err()
	}
	holders, err := s.claims.Claim(ctx, s.window, claims)
	if err != nil {
		return fmt.Errorf("look for duplicates: %w", err)
	}
	crash.At(crash.Claimed)
	if len(holders) != len(claims) {
		return fmt.Errorf("look for duplicates: %d keys got %d answers", len(claims), len(holders))
	}
	for n, i := range indices {
		// Invariant 7: the UID that came first passes however often it is delivered; any other is a duplicate.
		if holders[n] != claims[n].UID {
			batch.Drop(i, pipeline.Reason{Code: CodeDuplicate, Message: "duplicate of " + holders[n].String(), Of: holders[n]})
		}
	}
	return nil
}
