package routers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// The passport of an event tells what each stage made of it, over the hops of its pipeline and over a redrive.
func TestAPassportTellsEveryHop(t *testing.T) {
	c := newClinic(t)
	kinds := []string{"plain", "copy", "late-bad", "through"}
	events := make([]*tracking.Event, len(kinds))
	for i, kind := range kinds {
		now := time.Now().UTC().Truncate(time.Millisecond)
		events[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), EventID: kind, TenantID: "acme", Source: "LA", Type: "loaded", CorrelationID: "c-" + kind, OccurredAt: now, ReceivedAt: now,
		}
	}
	messages, err := c.codec.Encode(events, "", 1<<20)
	require.NoError(t, err)
	require.NoError(t, c.transport.Publisher().Publish("in", messages...))
	stop := c.start()
	require.Eventually(t, func() bool { return len(c.states()) == len(kinds) }, 20*time.Second, 10*time.Millisecond)
	c.mended.Store(true)
	c.redrive()
	version := pipeline.Version(c.plan)
	require.NotEmpty(t, version)
	for i, want := range map[int][]string{
		0: {"received", "gate rejected", "gate redriven", "gate passed", "sieve passed", "keep passed"},
		1: {"received", "gate rejected", "gate redriven", "gate duplicate"},
		2: {"received", "gate rejected", "gate redriven", "gate passed", "sieve rejected"},
		3: {"received", "gate rejected", "gate redriven", "gate passed", "sieve passed", "keep passed"},
	} {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			p, err := c.db.Passport(context.Background(), "acme", events[i].UID)
			require.NoError(t, err)
			var got []string
			for _, e := range p.Entries {
				if e.TookMS != nil {
					assert.Equal(t, version, e.Version)
					assert.Equal(t, 1, e.Attempts)
					assert.NotNil(t, e.WaitedMS)
					assert.Positive(t, e.Batch)
				}
				got = append(got, strings.TrimSpace(e.Stage+" "+e.Verdict))
			}
			for _, w := range want {
				assert.Contains(t, got, w, kinds[i])
			}
		}, 20*time.Second, 20*time.Millisecond)
	}
	stop(t.Context())
}
