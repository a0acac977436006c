package trial

import (
	"context"
	"io"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

type around = func(ctx context.Context, at Place, batch *pipeline.Batch, next pipeline.Stage) error

// intercept puts a function around a stage, which keeps what it holds and has to send.
func intercept(at Place, stage pipeline.Stage, around around) pipeline.Stage {
	i := intercepted{at: at, stage: stage, around: around}
	if emitter, ok := stage.(pipeline.Emitter); ok {
		return interceptedEmitter{i, emitter}
	}
	return i
}

type intercepted struct {
	at     Place
	stage  pipeline.Stage
	around around
}

// Process implements pipeline.Stage.
func (i intercepted) Process(ctx context.Context, batch *pipeline.Batch) error {
	return i.around(ctx, i.at, batch, i.stage)
}

// Close implements io.Closer.
func (i intercepted) Close() error {
	if closer, ok := i.stage.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

type interceptedEmitter struct {
	intercepted

	emitter pipeline.Emitter
}

// Due implements pipeline.Emitter.
func (i interceptedEmitter) Due(ctx context.Context, now time.Time) ([]*tracking.Event, func(context.Context) error, error) {
	return i.emitter.Due(ctx, now)
}
