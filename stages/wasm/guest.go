package wasm

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/rastrohq/rastro/pipeline"
)

// abiVersion is that of the interface between host and module that doc.go describes.
const abiVersion = 1

// guest is a compiled module and its instances. It is safe for concurrent use.
type guest struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	settings wazero.ModuleConfig
	config   []byte        // JSON; empty when none is given
	timeout  time.Duration // of making an instance
	logger   *slog.Logger
	// slots holds the instances that nobody uses; nil stands for one that can still be made.
	slots chan *instance
}

// load compiles a module and makes its first instance, so that what is wrong with it is known.
func load(ctx context.Context, source []byte, config Config, given pipeline.Settings) (*guest, error) {
	if err := recognise(source); err != nil {
		return nil, err
	}
	limits := wazero.NewRuntimeConfig().WithCloseOnContextDone(true).
		WithMemoryLimitPages(uint32(config.Memory / pageSize)) //nolint:gosec // at most 1 GiB
	if cache, err := pipeline.Resource[*Cache](given); err == nil {
		limits = limits.WithCompilationCache(cache.compiled)
	}
	g := &guest{
		runtime: wazero.NewRuntimeWithConfig(ctx, limits), settings: sandbox(config, given.Now),
		timeout: config.Timeout, logger: given.Logger, slots: make(chan *instance, config.Instances),
	}
	if err := g.prepare(ctx, source, config); err != nil {
		return nil, errors.Join(err, g.close(ctx))
	}
	return g, nil
}

func (g *guest) prepare(ctx context.Context, source []byte, config Config) error {
	var err error
	if config.Config != nil {
		if g.config, err = json.Marshal(config.Config); err != nil {
			return fmt.Errorf("encode its config: %w", err)
		}
	}
	if g.compiled, err = g.runtime.CompileModule(ctx, source); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	if err := checkModule(g.compiled, g.config != nil); err != nil {
		return err
	}
	if len(g.compiled.ImportedFunctions()) > 0 {
		if _, err := wasi_snapshot_preview1.Instantiate(ctx, g.runtime); err != nil {
			return fmt.Errorf("provide WASI: %w", err)
		}
	}
	first, err := g.instantiate(ctx)
	if err != nil {
		return err
	}
	g.slots <- first
	for range config.Instances - 1 {
		g.slots <- nil
	}
	return nil
}

// sandbox is what a module may reach: nothing but what the config allows.
func sandbox(config Config, now func() time.Time) wazero.ModuleConfig {
	// Anonymous, so that there may be several; _initialize runs the initialisers of a library.
	s := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
	if slices.Contains(config.Allow, allowRandom) {
		s = s.WithRandSource(rand.Reader)
	}
	if slices.Contains(config.Allow, allowClock) {
		return s.WithWalltime(func() (int64, int32) {
			t := now()
			return t.Unix(), int32(t.Nanosecond()) //nolint:gosec // below a billion
		}, sys.ClockResolution(time.Microsecond)).WithSysNanotime()
	}
	// The monotonic clock moves on by a millisecond each time it is read, so that waiting in the module ends.
	return s.WithWalltime(func() (int64, int32) { return 0, 0 }, sys.ClockResolution(time.Millisecond))
}

// take returns an instance for the caller alone; it waits until there is one.
func (g *guest) take(ctx context.Context) (*instance, error) {
	select {
	case in := <-g.slots:
		if in != nil {
			return in, nil
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	in, err := g.instantiate(ctx)
	if err != nil {
		g.slots <- nil
		return nil, &startError{err}
	}
	return in, nil
}

// startError is a failure to make an instance, which is no event's fault.
type startError struct{ error }

// Unwrap returns what is the matter.
func (e *startError) Unwrap() error { return e.error }

// give takes an instance back; nil for one that was discarded.
func (g *guest) give(in *instance) { g.slots <- in }

// instantiate makes an instance, ready for events.
func (g *guest) instantiate(ctx context.Context) (*instance, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, g.timeout, errLate)
	defer cancel()
	out := &lines{logger: g.logger}
	defer func() { out.end(ctx) }()
	module, err := g.runtime.InstantiateModule(ctx, g.compiled, g.settings.WithStdout(out).WithStderr(out))
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w", failure(ctx, err, out))
	}
	in := &instance{
		module: module, memory: module.Memory(), out: out,
		alloc: module.ExportedFunction("alloc"), free: module.ExportedFunction("free"),
		process: module.ExportedFunction("process"), configure: module.ExportedFunction("configure"),
	}
	if err := in.begin(ctx, g.config); err != nil {
		return nil, errors.Join(err, g.discard(ctx, in))
	}
	return in, nil
}

// discard ends an instance that is unfit for use; another may take its place.
func (g *guest) discard(ctx context.Context, in *instance) error {
	if err := in.module.Close(ctx); err != nil {
		return fmt.Errorf("close an instance: %w", err)
	}
	return nil
}

// close ends everything. Nothing may be in use.
func (g *guest) close(ctx context.Context) error {
	if err := g.runtime.Close(ctx); err != nil {
		return fmt.Errorf("close the module: %w", err)
	}
	return nil
}

// instance is one instance of a module, for one goroutine at a time.
type instance struct {
	module                          api.Module
	memory                          api.Memory
	alloc, free, process, configure api.Function
	out                             *lines
}

// begin checks the version of an instance's interface and hands it the config.
func (in *instance) begin(ctx context.Context, config []byte) error {
	version, err := in.module.ExportedFunction("rastro_abi").Call(ctx)
	if err != nil {
		return fmt.Errorf("rastro_abi: %w", failure(ctx, err, in.out))
	}
	if v := api.DecodeI32(version[0]); v != abiVersion {
		return fmt.Errorf("it has version %d of the interface; this is for version %d", v, abiVersion)
	}
	if in.configure == nil {
		return nil
	}
	if len(config) == 0 {
		config = []byte("null")
	}
	message, err := in.call(ctx, in.configure, config)
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	if len(message) > 0 {
		return fmt.Errorf("it refuses its config: %s", clean(string(message)))
	}
	return nil
}

// call hands bytes to a function of the module and returns a copy of those that it answers. After an error the instance is
// unfit for use.
func (in *instance) call(ctx context.Context, f api.Function, input []byte) ([]byte, error) {
	size := uint64(len(input))
	ptr, err := in.alloc.Call(ctx, size)
	if err != nil {
		return nil, failure(ctx, err, in.out)
	}
	if uint32(ptr[0]) == 0 || !in.memory.Write(uint32(ptr[0]), input) { //nolint:gosec // an i32
		return nil, &trap{fmt.Sprintf("alloc gives no memory for %d bytes", size)}
	}
	answer, err := f.Call(ctx, ptr[0], size)
	if err != nil {
		return nil, failure(ctx, err, in.out)
	}
	at, length := uint32(answer[0]>>32), uint32(answer[0]) //nolint:gosec // the two halves
	output, ok := in.memory.Read(at, length)
	if !ok {
		return nil, &trap{fmt.Sprintf("it answers with %d bytes at %d, outside of its memory", length, at)}
	}
	output = slices.Clone(output)
	if in.free == nil {
		return output, nil
	}
	if _, err := in.free.Call(ctx, ptr[0], size); err != nil {
		return nil, failure(ctx, err, in.out)
	}
	if at != 0 && uint64(at) != ptr[0] {
		if _, err := in.free.Call(ctx, uint64(at), uint64(length)); err != nil {
			return nil, failure(ctx, err, in.out)
		}
	}
	return output, nil
}
