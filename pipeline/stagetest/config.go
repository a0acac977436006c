package stagetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/pipeline"
)

// configDecodes checks that the subject's config is taken and that a stage can be built with it.
func configDecodes(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		e.build(tb)
	})
}

// defaultsLintClean checks that a stage without `with` is right as it is.
func defaultsLintClean(tb testing.TB, e *exerciser) {
	tb.Helper()
	_, source, err := e.parse("")
	switch {
	case e.NoDefaults && err == nil:
		tb.Errorf("Subject.NoDefaults is set, yet `- use: %s` alone is accepted; "+
			"have the config's Validate say what is missing, so that it is found before the first event", e.Use)
	case e.NoDefaults:
		_ = located(tb, err, source, "a stage without its config")
	case err != nil:
		tb.Errorf("`- use: %s` alone is refused; let the function of defaults given to Define return a config that Validate accepts, "+
			"or set Subject.NoDefaults: %v", e.Use, err)
	}
}

// configRoundTrips checks that a config that is written out, as in a plan, reads back as the same, and that what is decoded
// for one pipeline does not show in the next one's defaults.
func configRoundTrips(tb testing.TB, e *exerciser) {
	tb.Helper()
	configs := []string{e.With}
	if e.hasDefaults {
		if now := e.write(tb, ""); now != e.defaults {
			tb.Fatalf("decoding one config changed the defaults of the next; make the maps, slices and pointers of the defaults anew "+
				"each time. They were\n%s\nand became\n%s", e.defaults, now)
		}
		configs = append(configs, "")
	}
	for _, with := range configs {
		written := e.write(tb, with)
		again := e.write(tb, written)
		if written != again {
			tb.Errorf("a config changes when it is written out and read again; make its types marshal to what they unmarshal from. "+
				"It was\n%s\nand became\n%s", written, again)
		}
	}
}

// write decodes a config and returns it in YAML.
func (e *exerciser) write(tb testing.TB, with string) string {
	tb.Helper()
	spec, source, err := e.parse(with)
	if err != nil {
		tb.Fatalf("a config that was written out is refused: %v; make its types marshal to what they unmarshal from\n%s",
			err, numbered(source))
	}
	written, err := written(spec)
	if err != nil {
		tb.Fatalf("the config cannot be written out: %v", err)
	}
	return written
}

// written returns the config of the only stage of a pipeline in YAML; nothing when it is empty.
func written(spec pipeline.Spec) (string, error) {
	text, err := yaml.Marshal(spec.Stages[0].Config())
	if trimmed := strings.TrimSpace(string(text)); err != nil || trimmed != "{}" {
		return trimmed, err
	}
	return "", nil
}

// strange is a key that no stage has.
const strange = "no_such_key"

// unknownKeysAreRefused checks that a mistyped key is found, and where it stands.
func unknownKeysAreRefused(tb testing.TB, e *exerciser) {
	tb.Helper()
	with, err := withStrangeKey(e.With)
	if err != nil {
		tb.Fatalf("Subject.With is not YAML: %v", err)
	}
	_, source, err := e.parse(with)
	if err == nil {
		tb.Fatalf("the key %q is accepted; let the config be a struct with yaml tags rather than a map, and an UnmarshalYAML refuse "+
			"keys that it does not know\n%s", strange, numbered(source))
	}
	want := 1 + strings.Count(source[:strings.Index(source, strange)], "\n")
	findings := located(tb, err, source, "an unknown key")
	for _, finding := range findings {
		if finding.Line == want {
			return
		}
	}
	tb.Errorf("the key %q stands on line %d, the finding is elsewhere: %v; leave the decoding to Define, or return a "+
		"*yaml.SyntaxError with the key's token from UnmarshalYAML\n%s", strange, want, err, numbered(source))
}

// withStrangeKey adds a key to a config: to the mapping that it is, or as one more item of a list.
func withStrangeKey(with string) (string, error) {
	var config any
	if err := yaml.UnmarshalWithOptions([]byte(with), &config, yaml.UseOrderedMap()); err != nil {
		return "", err
	}
	unknown := yaml.MapItem{Key: strange, Value: 1}
	switch c := config.(type) {
	case yaml.MapSlice:
		config = append(c, unknown)
	case []any:
		config = append(c, yaml.MapSlice{unknown})
	default:
		config = yaml.MapSlice{unknown}
	}
	text, err := yaml.Marshal(config)
	return string(text), err
}

// invalidConfigsAreRefused checks the configs that the subject says are wrong.
func invalidConfigsAreRefused(tb testing.TB, e *exerciser) {
	tb.Helper()
	for _, with := range e.Invalid {
		_, source, err := e.parse(with)
		if err == nil {
			tb.Errorf("a config that must be refused is accepted; check it in the config's Validate, not when the stage is built\n%s",
				numbered(source))
			continue
		}
		_ = located(tb, err, source, "an invalid config")
	}
}

// located returns the findings that an error holds. It fails tb when one of them has no place or nothing to say.
func located(tb testing.TB, err error, source, what string) pipeline.Findings {
	tb.Helper()
	findings, ok := errors.AsType[pipeline.Findings](err)
	if !ok {
		tb.Fatalf("%s is refused without a finding: %v", what, err)
	}
	for _, finding := range findings {
		if finding.Line < 1 || finding.Column < 1 || strings.TrimSpace(finding.Message) == "" {
			tb.Errorf("%s is refused without a place or a message: %q\n%s", what, finding.String(), numbered(source))
		}
	}
	return findings
}

// numbered returns a source with the numbers of its lines.
func numbered(source string) string {
	var b strings.Builder
	number := 0
	for line := range strings.Lines(source) {
		number++
		fmt.Fprintf(&b, "%4d  %s", number, line)
	}
	return b.String()
}
