// Package redact is what the stage does, in plain Go: the guest runs it in WebAssembly, the benchmark runs it without.
package redact

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Config is what the pipeline has below `config`.
type Config struct {
	// Fields are those of the payload whose values nobody is to see.
	Fields []string `json:"fields"`
}

// Parse reads a config.
func Parse(text []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if len(c.Fields) == 0 {
		return Config{}, fmt.Errorf("fields: name those of the payload to redact")
	}
	return c, nil
}

// Event is what the stage looks at of an event.
type Event struct {
	Type    string                     `json:"event_type"`
	Payload map[string]json.RawMessage `json:"payload"`
}

// Result is what becomes of an event.
type Result struct {
	Outcome    string         `json:"outcome,omitempty"`
	Code       string         `json:"code,omitempty"`
	Message    string         `json:"message,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Set        map[string]any `json:"set,omitempty"`
}

// Apply takes the values of the fields out of an event, and says which it took. Test events end here.
func (c Config) Apply(e Event) Result {
	if e.Type == "test" {
		return Result{Outcome: "drop", Code: "test", Message: "a test of the sender's"}
	}
	var found []string
	for name := range e.Payload {
		if slices.Contains(c.Fields, name) {
			e.Payload[name] = json.RawMessage(`"***"`)
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return Result{}
	}
	slices.Sort(found)
	return Result{Set: map[string]any{"payload": e.Payload}, Attributes: map[string]any{"redacted": found}}
}
