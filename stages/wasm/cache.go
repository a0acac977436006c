package wasm

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
)

// Cache keeps compiled modules, so that a module is compiled once a process and not again when a pipeline is linted, started
// and reloaded: a module of a few megabytes takes a second or more. Stages use the one that pipeline.Provide gives them, and
// compile for themselves without. It is safe for concurrent use.
type Cache struct{ compiled wazero.CompilationCache }

// NewCache returns an empty cache.
func NewCache() *Cache { return &Cache{wazero.NewCompilationCache()} }

// Close gives back the memory of what was compiled. The stages that use it must have been closed.
func (c *Cache) Close() error {
	if err := c.compiled.Close(context.Background()); err != nil {
		return fmt.Errorf("close the cache of compiled modules: %w", err)
	}
	return nil
}
