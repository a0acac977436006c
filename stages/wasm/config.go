package wasm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/rastrohq/rastro/pipeline"
)

// Name is what `use` says.
const Name = "wasm"

// Codes of the reasons that the stage gives by itself; others are the module's.
const (
	// CodeDefault stands for a module that drops or rejects an event without a code.
	CodeDefault = "wasm"
	// CodeTrap says that the module fails on this event: it traps, exits or runs out of memory.
	CodeTrap = "wasm_trap"
	// CodeTimeout says that the module takes longer than the timeout over this event alone.
	CodeTimeout = "wasm_timeout"
	// CodeResult says that what the module answers for this event is no result.
	CodeResult = "wasm_result"
	// CodeEncode says that the event has no JSON form, and so cannot be given to the module.
	CodeEncode = "wasm_encode"
)

// What `allow` may name.
const (
	allowClock  = "clock"
	allowRandom = "random"
)

const (
	pageSize     = 64 << 10 // of WebAssembly
	maxMemory    = 1 << 30
	maxTimeout   = 10 * time.Minute
	maxInstances = 256
)

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	Module    string        `yaml:"module" doc:"The file of the WebAssembly module, below the configuration's folder." jsonschema:"required"`
	Config    any           `yaml:"config,omitempty" doc:"What the module is configured with: any YAML, handed to it as JSON."`
	Memory    pipeline.Size `yaml:"memory" doc:"How much memory one instance may have."`
	Timeout   time.Duration `yaml:"timeout" doc:"How long the module may take over a batch."`
	Instances int           `yaml:"instances" doc:"How many instances there are at most; as many batches are worked on at once. As many as the stage has workers is best." jsonschema:"minimum=1,maximum=256"`
	Allow     []string      `yaml:"allow,omitempty" doc:"What the module is given besides the events: clock, random. Without them a redelivery is judged alike." jsonschema:"enum=clock,enum=random"`
}

// Defaults returns the config that `with` is read over. It has no module: the stage needs one.
func Defaults() Config {
	return Config{Memory: 32 << 20, Timeout: 5 * time.Second, Instances: 2}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if c.Module == "" {
		return errors.New("module: name the file of a WebAssembly module, for example `module: stages/redact.wasm`")
	}
	if !fs.ValidPath(c.Module) || c.Module == "." {
		return fmt.Errorf("module: %q is not a path below the configuration's folder", c.Module)
	}
	if c.Memory < pageSize || c.Memory > maxMemory {
		return fmt.Errorf("memory: %s is not between 64KiB and 1GiB", c.Memory)
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		return fmt.Errorf("timeout: %s is not more than 0s and at most %s", c.Timeout, maxTimeout)
	}
	if c.Instances < 1 || c.Instances > maxInstances {
		return fmt.Errorf("instances: %d is not between 1 and %d", c.Instances, maxInstances)
	}
	for i, what := range c.Allow {
		if what != allowClock && what != allowRandom {
			return fmt.Errorf("allow: there is no %q; there is clock, random", what)
		}
		if slices.Contains(c.Allow[:i], what) {
			return fmt.Errorf("allow: %s is named twice", what)
		}
	}
	if _, err := json.Marshal(c.Config); err != nil {
		return fmt.Errorf("config: it has no JSON form: %w", err)
	}
	return nil
}

// isolation is how many timeouts the events of a batch that failed may take altogether, one by one.
const isolation = 3

// WorstCase implements pipeline.Timed.
func (c Config) WorstCase(int) time.Duration { return (1 + isolation) * c.Timeout }

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Runs a WebAssembly module: a stage in any language that compiles to it.", Defaults, build).
		Described(doc, example))
}

const doc = `
The module gets a batch of events as JSON and answers with one result an event: pass, drop, reject or retry, with attributes to
add to the event's enrichment and fields to change. ` + "`docs/wasm.md`" + ` has its binary interface, a module to begin with and what it
costs.

It has no files, no network and no environment. Its clock stands still and its random numbers are the same each time unless
` + "`allow`" + ` says otherwise. What it prints is logged.

An event that makes the module trap is rejected with the code "wasm_trap", one that it takes longer over than the timeout with
"wasm_timeout", one that it answers nonsense for with "wasm_result"; its batch mates go on.`

const example = `
- use: wasm
  with:
    module: stages/redact.wasm
    config: {fields: [passenger, phone]}
    memory: 32MiB
    timeout: 5s`
