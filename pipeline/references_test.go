package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// values are variables, and secrets by SOURCE:NAME.
type values struct{ variables, secrets map[string]string }

func (v values) Variable(name string) (string, bool) {
	value, ok := v.variables[name]
	return value, ok
}

func (v values) Secret(_ context.Context, source, name string) (string, error) {
	if value, ok := v.secrets[source+":"+name]; ok {
		return value, nil
	}
	return "", errors.New("there is no such secret")
}

// service is a config with all that references may be put in.
type service struct {
	URL      string             `yaml:"url"`
	Password string             `yaml:"password"`
	Workers  int                `yaml:"workers"`
	Ratio    float64            `yaml:"ratio"`
	On       bool               `yaml:"on"`
	Timeout  time.Duration      `yaml:"timeout"`
	Size     pipeline.Size      `yaml:"size"`
	Keep     pipeline.Condition `yaml:"keep"`
	Any      any                `yaml:"any"`
	Labels   map[string]string  `yaml:"labels"`
	List     []string           `yaml:"list"`
	Fail     bool               `yaml:"fail"`
	File     string             `yaml:"file"`
}

func (c *service) Validate() error {
	if u, err := url.Parse(c.URL); err != nil || u.Scheme == "" {
		return fmt.Errorf("url: %q is no URL", c.URL)
	}
	if c.Workers < 0 {
		return errors.New("workers: fewer than none")
	}
	return nil
}

func services(t require.TestingT) *pipeline.Registry {
	r := pipeline.NewRegistry()
	require.NoError(t, r.Register(pipeline.Define("call", "Calls.",
		func() service { return service{URL: "https://example.com", Timeout: time.Second, Workers: 1} },
		func(c service, s pipeline.Settings) (pipeline.Stage, error) {
			s.Logger.Warn("calling "+c.URL, slog.String("password", c.Password), slog.Group("g", slog.Any("config", c)))
			if c.Fail {
				return nil, fmt.Errorf("dial %s with %q: %w", c.URL, c.Password, errDial)
			}
			if c.File != "" {
				return nil, fmt.Errorf("open %s: no such file", c.File)
			}
			return pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
				return fmt.Errorf("connect with %s", c.Password)
			}), nil
		})))
	return r
}

var errDial = errors.New("refused")

const head = "pipeline: a\nfrom: in\nstages:\n  - use: call\n    with:\n"

func callWith(t require.TestingT, with string, v pipeline.Resolver) (service, pipeline.Spec, pipeline.Findings) {
	spec, err := pipeline.ParseContext(context.Background(), "f.yaml", []byte(head+with), services(t), v)
	found, _ := errors.AsType[pipeline.Findings](err)
	if err != nil {
		return service{}, spec, found
	}
	config, ok := spec.Stages[0].Config().(service)
	require.True(t, ok)
	return config, spec, nil
}

func TestReferencesTakeTheTypeOfTheirValue(t *testing.T) {
	t.Parallel()
	v := values{variables: map[string]string{
		"N": "7", "OCTAL": "010", "HEX": "0x1F", "F": "1e3", "T": "True", "NULL": "null", "EMPTY": "", "D": "5m", "S": "two words", "BIG": "99999999999999999999",
		"YES": "yes", "MULTI": "a: 1\n- b\n", "QUOTES": `"'\`, "INF": "-.inf",
	}}
	for name, c := range map[string]struct {
		with string
		want func(*service)
	}{
		"an integer":                       {"workers: ${N}", func(s *service) { s.Workers = 7 }},
		"by its default":                   {"workers: ${NONE:4}", func(s *service) { s.Workers = 4 }},
		"an integer of the core schema":    {"workers: ${OCTAL}", func(s *service) { s.Workers = 10 }},
		"a hexadecimal one":                {"workers: ${HEX}", func(s *service) { s.Workers = 31 }},
		"a float":                          {"ratio: ${F}", func(s *service) { s.Ratio = 1000 }},
		"a boolean":                        {"on: ${T}", func(s *service) { s.On = true }},
		"null leaves the default":          {"url: ${NULL}", func(*service) {}},
		"an empty value is null":           {"url: ${EMPTY}", func(*service) {}},
		"an empty default too":             {"url: ${NONE:}", func(*service) {}},
		"a duration":                       {"timeout: ${D}", func(s *service) { s.Timeout = 5 * time.Minute }},
		"a size":                           {"size: ${NONE:8MiB}", func(s *service) { s.Size = 8 << 20 }},
		"any: an integer":                  {"any: ${N}", func(s *service) { s.Any = uint64(7) }},
		"any: in quotes":                   {`any: "${N}"`, func(s *service) { s.Any = "7" }},
		"any: in single quotes":            {`any: '${T}'`, func(s *service) { s.Any = "True" }},
		"any: tagged":                      {"any: !!str ${N}", func(s *service) { s.Any = "7" }},
		"any: with more":                   {"any: ${N}${N}", func(s *service) { s.Any = "77" }},
		"any: no boolean of the schema":    {"any: ${YES}", func(s *service) { s.Any = "yes" }},
		"any: too large":                   {"any: ${BIG}", func(s *service) { s.Any = "99999999999999999999" }},
		"any: null in quotes":              {`any: "${EMPTY}"`, func(s *service) { s.Any = "" }},
		"several":                          {"password: a${N}-${S}-${NONE:x y}b", func(s *service) { s.Password = "a7-two words-x yb" }},
		"a literal":                        {"password: $${N} $N $$ ${N}", func(s *service) { s.Password = "${N} $N $$ 7" }},
		"a value is not resolved again":    {"password: ${NONE:$$}{N}", func(s *service) { s.Password = "$${N}" }},
		"a value of several lines":         {"password: ${MULTI}", func(s *service) { s.Password = "a: 1\n- b\n" }},
		"in a block":                       {"password: |\n        x ${MULTI}\n        y", func(s *service) { s.Password = "x a: 1\n- b\n\ny\n" }},
		"folded":                           {"password: >-\n        x\n        ${QUOTES}", func(s *service) { s.Password = "x " + `"'\` }},
		"in a flow mapping":                {`labels: {a: "${N}", "b": '${QUOTES}'}`, func(s *service) { s.Labels = map[string]string{"a": "7", "b": `"'\`} }},
		"in a flow sequence":               {`list: ["${N}", "${MULTI}"]`, func(s *service) { s.List = []string{"7", "a: 1\n- b\n"} }},
		"in a list":                        {"list:\n        - ${S} # a comment\n        - b", func(s *service) { s.List = []string{"two words", "b"} }},
		"behind an anchor":                 {"list:\n        - &x ${S}\n        - *x", func(s *service) { s.List = []string{"two words", "two words"} }},
		"not in a key":                     {"labels:\n        ${N}: x", func(s *service) { s.Labels = map[string]string{"${N}": "x"} }},
		"in an expression's text":          {`keep: event.event_type == "${QUOTES}"`, func(*service) {}},
		"a default that YAML would not do": {`password: "${NONE:a: b #c}"`, func(s *service) { s.Password = "a: b #c" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, findings := callWith(t, "      "+c.with+"\n", v)
			require.Empty(t, findings)
			want := service{URL: "https://example.com", Timeout: time.Second, Workers: 1}
			c.want(&want)
			got.Keep, want.Keep = pipeline.Condition{}, pipeline.Condition{}
			require.Equal(t, want, got)
		})
	}
}

func TestWrongReferencesAreFoundWhereTheyStand(t *testing.T) {
	t.Parallel()
	v := values{
		variables: map[string]string{"X": "x", "ZERO": "0", "BAD": "no such", "TYPE": "loaded", "WHEN": "event.nope == 1"},
		secrets:   map[string]string{"env:SHORT": "abc", "env:PW": "hunter2-long", "file:/run/pw": "hunter2-long"},
	}
	for name, c := range map[string]struct{ with, want string }{
		"not set":                      {"password: a ${X} ${NONE}", "6:24: environment variable NONE is not set; set it, or write a default: ${NONE:default} [env]"},
		"in quotes":                    {`password: "a ${NONE}"`, "6:20: environment variable NONE is not set; set it, or write a default: ${NONE:default} [env]"},
		"in a block":                   {"password: |\n        a\n        b ${NONE}", "8:11: environment variable NONE is not set; set it, or write a default: ${NONE:default} [env]"},
		"two":                          {"workers: ${NONE}\n      password: ${OTHER}", "6:16: environment variable NONE is not set; set it, or write a default: ${NONE:default} [env]\n7:17: environment variable OTHER is not set; set it, or write a default: ${OTHER:default} [env]"},
		"lower case":                   {"password: ${none}", "6:17: `${none}` is no reference; did you mean ${NONE}? [reference]"},
		"as in a shell":                {"password: ${NONE-x}", "6:17: `${NONE-x}` is no reference; did you mean ${NONE:x}? [reference]"},
		"empty":                        {"password: a${}", "6:18: `${}` is no reference; a variable's name is upper case letters, digits and _; $${ stands for the characters themselves [reference]"},
		"nested":                       {"password: ${X:${X}}", "6:17: the default of ${X} holds a reference; a default is taken as it is [reference]"},
		"cut off by a comment":         {"password: ${X:a #b}", "6:17: `${` without a `}`; write ${NAME}, in quotes when its default has a space before #, or $${ for the characters themselves [reference]"},
		"braces in a flow mapping":     {"labels: {a: ${X}}", "6:19: YAML cannot read `${` here: ',' or '}' must be specified; put it in quotes: \"${X}\" [syntax]"},
		"braces in a flow sequence":    {"list: [a, b${X}]", "6:18: YAML cannot read `${` here: ',' or ']' must be specified; put it in quotes: \"${X}\" [syntax]"},
		"a space behind the colon":     {"password: ${X: y}", "6:17: YAML cannot read `${` here: mapping value is not allowed in this context; put it in quotes: \"${X: y}\" [syntax]"},
		"an unknown source":            {"password: ${secret:evn:X}", "6:17: secrets do not come from \"evn\"; there is env, file, aws [reference]"},
		"a relative path":              {"password: ${secret:file:x}", "6:17: \"x\" is no absolute path; write for example ${secret:file:/run/secrets/password} [reference]"},
		"a secret that is not there":   {"password: ${secret:env:NONE}", "6:17: ${secret:env:NONE} cannot be read: there is no such secret [secret]"},
		"a short secret":               {"password: ${secret:env:SHORT}", "6:17: ${secret:env:SHORT} has fewer than 4 characters; a secret that short is none; write what is no secret as it is [secret]"},
		"a secret in an expression":    {`keep: event.event_type == "${secret:env:PW}"`, "6:34: a secret has no place in an expression: expressions are shown [config]"},
		"a value of the wrong type":    {"workers: ${X}", "6:16: integer expected, not string [config]"},
		"a value that Validate denies": {"url: ${BAD}", "6:12: url: \"no such\" is no URL [config]"},
		"after a value in an expression": {
			`keep: event.event_type == "${TYPE}" && event.nope == 1`, "6:52: unknown field \"event.nope\"; event has " + eventFields + " [config]",
		},
		"after one in a block": {
			"keep: |\n        event.event_type == '${TYPE}' &&\n          event.nope == 1", "8:17: unknown field \"event.nope\"; event has " + eventFields + " [config]",
		},
		"outside of a text":        {`keep: event.${X} == 1`, "6:19: a reference in an expression stands in a text; compare with \"${NAME}\", or int(\"${NAME}\") for a number [config]"},
		"a value as an expression": {`keep: ${WHEN}`, "6:13: with what ${WHEN} stands for: unknown field \"event.nope\"; event has " + eventFields + " [config]"},
		"an echoed secret":         {"url: ${secret:file:/run/pw}", "6:12: url: \"(redacted)\" is no URL [config]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, findings := callWith(t, "      "+c.with+"\n", v)
			var got []string
			for _, f := range findings {
				require.Equal(t, "f.yaml", f.File)
				got = append(got, strings.TrimPrefix(f.String(), "f.yaml:")+" ["+f.Code+"]")
			}
			require.Equal(t, c.want, strings.Join(got, "\n"))
		})
	}
}

const eventFields = "uid, tenant_id, source, event_id, revision, correlation_id, aggregate_id, kind, event_type, classifier, timestamp, " +
	"time_quality, received_at, location, quantity, transport, corrects, payload, enrichment"

func TestSecretsStandBelowWithOnly(t *testing.T) {
	t.Parallel()
	v := values{secrets: map[string]string{"env:PW": "hunter2"}}
	for _, text := range []string{
		"pipeline: a\nfrom: in\nsummary: ${secret:env:PW}\nstages: [{use: call}]\n", "pipeline: a\nfrom: in\nstages:\n  - use: call\n    name: ${secret:env:PW}\n",
	} {
		_, err := pipeline.ParseContext(t.Context(), "f.yaml", []byte(text), services(t), v)
		require.ErrorContains(t, err, "a secret cannot stand here")
		require.Len(t, err.(pipeline.Findings), 1) //nolint:errorlint // ParseContext promises Findings themselves
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := pipeline.Parse("f.yaml", []byte(head+"      password: ${secret:env:PW}\n"), services(t))
	require.ErrorContains(t, err, "nothing here that knows secrets")
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const secret = "hunter2 \"quoted\"\nsecond line of it"
	v := values{secrets: map[string]string{"env:PW": secret, "env:NUMBER": "12345678", "env:URL": "https://u:p4ss@example.com/?token=hunter3"}}
	with := "      url: ${secret:env:URL}\n      password: pre-${secret:env:PW}-post\n      workers: ${secret:env:NUMBER}\n      any: ${secret:env:NUMBER}\n"
	leaks := func(text string) {
		t.Helper()
		for _, part := range []string{"hunter", "second line", "12345678", "p4ss"} {
			require.NotContains(t, text, part)
		}
		require.Contains(t, text, pipeline.Redacted)
	}
	config, spec, findings := callWith(t, with, v)
	require.Empty(t, findings)
	require.Equal(t, "pre-"+secret+"-post", config.Password)
	require.Equal(t, 12345678, config.Workers)
	require.Equal(t, "12345678", config.Any)
	described, err := yaml.Marshal(spec.Plan().Describe(true))
	require.NoError(t, err)
	leaks(string(described))
	require.Contains(t, string(described), "pre-(redacted)-post")
	shown, err := yaml.Marshal(spec.Plan().Describe(false))
	require.NoError(t, err)
	require.Contains(t, string(shown), "hunter3")

	var log bytes.Buffer
	settings := pipeline.Settings{Logger: slog.New(slog.NewJSONHandler(&log, nil)), Now: time.Now}
	stage, err := spec.Stages[0].Build("a", settings)
	require.NoError(t, err)
	leaks(log.String())
	require.NotNil(t, stage)

	_, spec, findings = callWith(t, with+"      fail: true\n", v)
	require.Empty(t, findings)
	_, err = spec.Stages[0].Build("a", settings)
	require.ErrorIs(t, err, errDial)
	leaks(err.Error())
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		leaks(cause.Error())
	}
	_, found := pipeline.Checker{Registry: services(t), Entries: []string{"in"}, Resolver: v}.
		Check(pipeline.Source{File: "f.yaml", Text: []byte(head + with + "      fail: true\n")})
	require.Len(t, found, 1)
	require.Equal(t, "build", found[0].Code)
	leaks(found.Error())
}

// What is wrong only because a secret is withheld is not found; what is wrong besides is.
func TestWithheldSecretsAreTakenAsPresent(t *testing.T) {
	t.Parallel()
	v := pipeline.Withheld(values{variables: map[string]string{"X": "x"}})
	for name, c := range map[string]struct{ with, want string }{
		"a text":                   {"password: ${secret:aws:db#password}", ""},
		"a URL":                    {"url: ${secret:aws:db}", ""},
		"a part of a URL":          {"url: https://u:${secret:file:/run/pw}@example.com", ""},
		"a number":                 {"workers: ${secret:env:N}", ""},
		"what no guess goes with":  {"on: ${secret:env:N}", ""},
		"at another key":           {"password: ${secret:env:N}\n      workers: -1", `7:16: workers: fewer than none`},
		"at another key, of type":  {"password: ${secret:env:N}\n      workers: x", "7:16: integer expected, not string"},
		"an unknown key":           {"password: ${secret:env:N}\n      pasword: x", `7:7: unknown field "pasword"; did you mean "password"?`},
		"an unknown key, first":    {"pasword: x\n      password: ${secret:env:N}", `6:7: unknown field "pasword"; did you mean "password"?`},
		"a stage that cannot dial": {"password: ${secret:env:N}\n      fail: true", ""},
		"a file that is not there": {"password: ${secret:env:N}\n      file: none.csv", `7:13: stage "call" cannot be built: open none.csv: no such file`},
		"a malformed one":          {"password: ${secret:env:n}", `6:17: "n" is no variable; write ${secret:env:NAME}, the name in upper case letters, digits and _; it has no default`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			specs, findings := pipeline.Checker{Registry: services(t), Entries: []string{"in"}, Resolver: v}.
				Check(pipeline.Source{File: "f.yaml", Text: []byte(head + "      " + c.with + "\n")})
			if c.want != "" {
				require.Equal(t, "f.yaml:"+c.want, findings.Error())
				return
			}
			require.Empty(t, findings)
			described, err := yaml.Marshal(specs[0].Plan().Describe(true))
			require.NoError(t, err)
			require.NotContains(t, string(described), "guess")
		})
	}
}

// skeleton is the shape of a document: everything but what its scalars hold.
func skeleton(node ast.Node) string {
	switch n := node.(type) {
	case *ast.MappingNode:
		parts := make([]string, len(n.Values))
		for i, value := range n.Values {
			parts[i] = skeleton(value)
		}
		return "{" + strings.Join(parts, ",") + "}"
	case *ast.MappingValueNode:
		return n.Key.GetToken().Value + ":" + skeleton(n.Value)
	case *ast.SequenceNode:
		parts := make([]string, len(n.Values))
		for i, value := range n.Values {
			parts[i] = skeleton(value)
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return fmt.Sprintf("scalar@%d:%d", node.GetToken().Position.Line, node.GetToken().Position.Column)
	}
}

type rendered struct{ text string }

func (r *rendered) UnmarshalText(text []byte) error { r.text = string(text); return nil }

// No value of a variable changes the shape of a document, nor what else stands in it, and a text holds it as it is, also where a
// config reads it by way of YAML text.
func TestNoValueChangesTheShapeOfADocument(t *testing.T) {
	t.Parallel()
	const text = "a: ${X}\nb: \"${X}\"\nc: {d: '<${X}>', e: [\"${X}\", 1]}\nf: |\n  line ${X}\n  end\ng:\n  - ${X} ${X}\n  - h: ${X:default}\ni: x\n"
	plain, err := parser.ParseBytes([]byte(text), 0)
	require.NoError(t, err)
	want := skeleton(plain.Docs[0].Body)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching("[-{}\\[\\]:, #&*!|>'\"%@`\\n\\t a1.~$]{0,12}"), rapid.SampledFrom([]string{
			"a: b", "- x", "\n- x: y", "&a", "*a", "!!int 3", "|\n  x", "# c", "'", "\"", "---", "...", "${X}", "null", "1e9", "{a: b}", "\u2028", "\x00", "\r\n",
		})).Draw(t, "value")
		tree, err := parser.ParseBytes([]byte(text), 0)
		require.NoError(t, err)
		root, _, findings := pipeline.References{Resolver: values{variables: map[string]string{"X": value}}}.Resolve(context.Background(), tree.Docs[0].Body)
		require.Empty(t, findings)
		require.Equal(t, want, skeleton(root))
		var got struct {
			B rendered       `yaml:"b"`
			C map[string]any `yaml:"c"`
			F string         `yaml:"f"`
			G []any          `yaml:"g"`
			I string         `yaml:"i"`
		}
		require.NoError(t, yaml.NodeToValue(root, &got))
		require.Equal(t, "<"+value+">", got.C["d"])
		require.Equal(t, []any{value, uint64(1)}, got.C["e"])
		require.Equal(t, "line "+value+"\nend\n", got.F)
		require.Equal(t, value+" "+value, got.G[0])
		require.Equal(t, "x", got.I)
		if utf8.ValidString(value) {
			require.Equal(t, value, got.B.text)
		}
	})
}

// A value in a text of an expression is that text, whatever it holds.
func TestNoValueChangesWhatAnExpressionSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`["'\\nrx/ |&=a\n]{0,12}`)).Draw(t, "value")
		quote := rapid.SampledFrom([]string{`"`, `'`, `"""`, `'''`}).Draw(t, "quote")
		source := "keep: >-\n        event.event_type == " + quote + "${X}" + quote + " // ${X}\n"
		config, _, findings := callWith(t, "      "+source, values{variables: map[string]string{"X": value}})
		require.Empty(t, findings)
		for sent, want := range map[string]bool{value: true, value + "!": false} {
			holds, err := config.Keep.Holds(&tracking.Event{Type: sent})
			require.NoError(t, err)
			require.Equal(t, want, holds, config.Keep.Text())
		}
	})
}

func FuzzReferences(f *testing.F) {
	for _, text := range []string{"${X}", "a${X:b}c$${d", "${secret:aws:a#b}", "${", "${X:${Y}}", "$$${X}", "}${X}", "${secret:file:/x}"} {
		f.Add(text, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if !utf8.ValidString(text) {
			return
		}
		source, err := yaml.Marshal(map[string]string{"k": text})
		require.NoError(t, err)
		tree, err := parser.ParseBytes(source, 0)
		if err != nil {
			return
		}
		v := values{variables: map[string]string{"X": value}, secrets: map[string]string{"aws:a#b": "hunter2"}}
		root, secrets, findings := pipeline.References{Resolver: v}.Resolve(t.Context(), tree.Docs[0].Body)
		for _, finding := range findings {
			require.NotContains(t, finding.String(), "hunter2")
			require.Positive(t, finding.Line)
		}
		var got map[string]any
		require.NoError(t, yaml.NodeToValue(root, &got))
		require.Len(t, got, 1)
		if s, ok := got["k"].(string); ok && !strings.Contains(text, "hunter2") && !strings.Contains(value, "hunter2") {
			require.NotContains(t, secrets.Scrub(s), "hunter2")
		}
	})
}
