package routers

import (
	"context"
	"log/slog"
	"time"

	"github.com/rastrohq/rastro/pipeline"
)

// emitEvery is how often stages are asked what they have to send by themselves.
const emitEvery = time.Second

// emit sends what the hop's stages have to send by themselves until the processor drains.
func (h *hop) emit(ctx context.Context) {
	ticker := time.NewTicker(emitEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ticker.C:
		case <-h.processor.receiving.Done():
			return
		}
		if h.gate.Wait(h.processor.receiving) != nil { //nolint:contextcheck // ctx outlives what is waited for
			return
		}
		err := h.emitDue(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			h.logger.Warn("cannot send what is due; trying again", slog.Any("error", err))
		}
		failing = err != nil
	}
}

// emitDue sends what is due now.
func (h *hop) emitDue(ctx context.Context) error {
	emissions, failed := h.chain.Due(ctx, h.processor.config.Settings.Now())
	for _, e := range emissions {
		h.observeEmission(e)
		if err := h.take(newEmission(e.Work)); err != nil {
			return err
		}
		// Only now: what is killed before is due again.
		if err := e.Sent(ctx); err != nil {
			failed = firstOf(failed, err)
		}
	}
	return failed
}

func (h *hop) observeEmission(e pipeline.Emission) {
	byTenant := map[string]int64{}
	for _, w := range e.Work {
		byTenant[w.Event.TenantID]++
	}
	for tenant, n := range byTenant {
		h.observer.emitted(tenant, e.Stage, n)
	}
}
