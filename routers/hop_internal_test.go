package routers

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Decoded events take several times the memory of their frames: of the frames in hand those alone are decoded that make the next batches.
func TestNoMoreIsDecodedThanTheNextBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		codec, err := NewCodec()
		require.NoError(t, err)
		registry := prometheus.NewRegistry()
		metrics, err := NewMetrics(registry)
		require.NoError(t, err)
		work, abandon := context.WithCancel(t.Context())
		defer abandon()
		h := &hop{
			planned: pipeline.Hop{Name: "work"}, chain: &pipeline.Chain{}, incoming: make(chan *delivery), room: 100, waiting: semaphore.NewWeighted(100),
			processor: &Processor{codec: codec, work: work, config: ProcessorConfig{Metrics: metrics, Plan: pipeline.Plan{Pipeline: "p"}}},
		}
		decoded := func() (n float64) {
			synctest.Wait()
			families, err := registry.Gather()
			require.NoError(t, err)
			for _, family := range families {
				if family.GetName() == "rastro_hop_frames_total" {
					n += family.GetMetric()[0].GetCounter().GetValue()
				}
			}
			return n
		}
		settled := make(chan error, 20)
		frame := func(events int) {
			list := make([]*tracking.Event, events)
			for i := range list {
				list[i] = &tracking.Event{UID: uuid.New()}
			}
			messages, err := codec.Encode(list, "", 1<<20)
			require.NoError(t, err)
			require.Len(t, messages, 1)
			go func() { settled <- h.handle(messages[0]) }()
			synctest.Wait()
		}
		for range 5 {
			frame(50)
		}
		frame(150)
		require.InDelta(t, 2, decoded(), 0, "of six frames those that make the room's 100 events")

		var taken []*delivery
		for range 4 {
			taken = append(taken, <-h.incoming)
		}
		require.InDelta(t, 5, decoded(), 0, "the last of 50 events waits; one of 150 needs all of the room")
		taken = append(taken, <-h.incoming)
		require.InDelta(t, 6, decoded(), 0)
		taken = append(taken, <-h.incoming)
		require.Len(t, taken[5].work, 150)
		for _, d := range taken {
			d.done <- nil
			require.NoError(t, <-settled)
		}

		frame(100)
		frame(1)
		abandon()
		for range 2 {
			require.ErrorIs(t, <-settled, ErrClosed)
		}
	})
}
