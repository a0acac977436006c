package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/pipeline"
)

// The files of a case that is a folder.
const (
	caseFile        = "case.yaml"
	caseIn          = "in.ndjson"
	caseWant        = "want.ndjson"
	caseWantDead    = "want_dead.ndjson"
	caseWantDropped = "want_dropped.ndjson"
)

// pipelineCase is a case that a pipeline is tested by: a folder, or a YAML file.
type pipelineCase struct {
	pipeline string
	name     string // PIPELINE/CASE
	path     string // of the folder or the file
	folder   bool
	config   string // folder of the configuration that the case lies in; "" when it lies in none

	caseSpec
}

// caseSpec is what a case says.
type caseSpec struct {
	Summary string     `yaml:"summary"`
	Now     caseTime   `yaml:"now"`
	Tenant  string     `yaml:"tenant"`
	Source  string     `yaml:"source"`
	Exact   bool       `yaml:"exact"`
	Follow  bool       `yaml:"follow"`
	Pass    caseSpan   `yaml:"pass"`
	Without []string   `yaml:"without"`
	Inject  caseInject `yaml:"inject"`

	In          caseLines `yaml:"in"`
	Want        caseWants `yaml:"want"`
	WantDead    caseLines `yaml:"want_dead"`
	WantDropped caseLines `yaml:"want_dropped"`
}

// caseInject is what goes wrong on purpose.
type caseInject struct {
	Duplicates   int                   `yaml:"duplicates"`
	Redeliveries int                   `yaml:"redeliveries"`
	Disorder     *uint64               `yaml:"disorder"`
	Fail         oneOrMore[caseFail]   `yaml:"fail"`
	Outage       oneOrMore[caseOutage] `yaml:"outage"`
	CrashAfter   oneOrMore[string]     `yaml:"crash_after"`
}

type caseFail struct {
	Stage string             `yaml:"stage"`
	Times int                `yaml:"times"`
	Error string             `yaml:"error"`
	When  pipeline.Condition `yaml:"when"`
}

type caseOutage struct {
	Stage   string `yaml:"stage"`
	Batches int    `yaml:"batches"`
	Error   string `yaml:"error"`
}

// caseWants is what is wanted: of the events that leave, of traces, and in numbers.
type caseWants struct {
	Events caseLines            `yaml:"events"`
	Traces map[string]caseTrace `yaml:"traces"`
	Counts map[string]int       `yaml:"counts"`
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: a list is of events.
func (w *caseWants) UnmarshalYAML(node ast.Node) error {
	if _, list := node.(*ast.SequenceNode); list {
		return w.Events.UnmarshalYAML(node)
	}
	type plain caseWants
	if err := yaml.NodeToValue(node, (*plain)(w), yaml.DisallowUnknownField()); err != nil {
		return err
	}
	for name := range w.Counts {
		if !slices.Contains(countNames(), name) {
			return placed(node, "counts: there is no %q; there is %s", name, strings.Join(countNames(), ", "))
		}
	}
	return nil
}

// caseTrace is some of what a trace comes to.
type caseTrace struct {
	line int
	want any
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *caseTrace) UnmarshalYAML(node ast.Node) error {
	t.line = lineOfNode(node)
	var err error
	t.want, err = jsonOf(node)
	return err
}

// oneOrMore is a list, or the only item of one.
type oneOrMore[T any] []T

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *oneOrMore[T]) UnmarshalYAML(node ast.Node) error {
	items := []ast.Node{node}
	if list, ok := node.(*ast.SequenceNode); ok {
		items = list.Values
	}
	for _, item := range items {
		var one T
		if err := yaml.NodeToValue(item, &one, yaml.DisallowUnknownField()); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// caseTime is an instant.
type caseTime struct{ time.Time }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *caseTime) UnmarshalYAML(node ast.Node) error {
	at, err := time.Parse(time.RFC3339, node.GetToken().Value)
	if err != nil {
		return placed(node, "%q is not a time; write for example 2026-06-20T10:00:00Z", node.GetToken().Value)
	}
	t.Time = at
	return nil
}

// caseSpan is a duration that is not negative.
type caseSpan time.Duration

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *caseSpan) UnmarshalYAML(node ast.Node) error {
	d, err := time.ParseDuration(node.GetToken().Value)
	if err != nil || d < 0 {
		return placed(node, "%q is not a while; write for example 90m", node.GetToken().Value)
	}
	*s = caseSpan(d)
	return nil
}

// caseLines are JSON objects, and where they stand.
type caseLines struct {
	file  string
	given bool
	lines []caseLine
}

type caseLine struct {
	line int
	text []byte // as it is written; of YAML what comes to the same as JSON
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *caseLines) UnmarshalYAML(node ast.Node) error {
	l.given = true
	if node.Type() == ast.NullType {
		return nil
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return placed(node, "this must be a list of events")
	}
	for _, item := range list.Values {
		value, err := jsonOf(item)
		if err != nil {
			return err
		}
		if _, ok := value.(map[string]any); !ok {
			return placed(item, "an event is a mapping of its fields")
		}
		text, err := lineOf(value)
		if err != nil {
			return err
		}
		l.lines = append(l.lines, caseLine{lineOfNode(item), bytes.TrimSpace(text)})
	}
	return nil
}

// jsonOf returns a YAML value as JSON has it.
func jsonOf(node ast.Node) (any, error) {
	var value any
	if err := yaml.NodeToValue(node, &value); err != nil {
		return nil, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, placed(node, "this is nothing that JSON can say: %v", err)
	}
	return parseJSON(text)
}

// parseJSON keeps numbers as they are written.
func parseJSON(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("more than one JSON value")
	}
	return value, nil
}

func placed(node ast.Node, format string, args ...any) error {
	return &yaml.SyntaxError{Message: fmt.Sprintf(format, args...), Token: node.GetToken()}
}

func lineOfNode(node ast.Node) int {
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		node = mapping.Values[0].Key
	}
	if value, ok := node.(*ast.MappingValueNode); ok {
		node = value.Key
	}
	if token := node.GetToken(); token != nil && token.Position != nil {
		return token.Position.Line
	}
	return 0
}

// caseError is what is wrong with a case, and where.
type caseError struct {
	file string
	line int
	err  error
}

// Error implements error.
func (e *caseError) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err)
	}
	return fmt.Sprintf("%s: %v", e.file, e.err)
}

// Unwrap returns what is wrong.
func (e *caseError) Unwrap() error { return e.err }

// load reads what the case says.
func (c *pipelineCase) load() error {
	file := c.path
	if c.folder {
		file = filepath.Join(c.path, caseFile)
	}
	text, err := os.ReadFile(file) //nolint:gosec // of the folder that the user names
	if err != nil && (!c.folder || !errors.Is(err, fs.ErrNotExist)) {
		return &caseError{file: file, err: err}
	}
	if err := yaml.UnmarshalWithOptions(text, &c.caseSpec, yaml.DisallowUnknownField()); err != nil {
		return yamlCaseError(file, err)
	}
	c.Tenant, c.Source = cmp.Or(c.Tenant, "test"), cmp.Or(c.Source, "test")
	for _, l := range []*caseLines{&c.In, &c.Want.Events, &c.WantDead, &c.WantDropped} {
		l.file = file
	}
	if c.folder {
		if err := c.loadFolder(); err != nil {
			return err
		}
	}
	if len(c.In.lines) == 0 {
		return &caseError{file: c.In.file, err: errors.New("the case has no events; write at least one")}
	}
	if c.Inject.Duplicates < 0 || c.Inject.Redeliveries < 0 {
		return &caseError{file: file, err: errors.New("inject: there cannot be less than no duplicates and redeliveries")}
	}
	return nil
}

func yamlCaseError(file string, err error) error {
	if y, ok := errors.AsType[yaml.Error](err); ok {
		line := 0
		if token := y.GetToken(); token != nil && token.Position != nil {
			line = token.Position.Line
		}
		return &caseError{file: file, line: line, err: errors.New(y.GetMessage())}
	}
	return &caseError{file: file, err: err}
}

func (c *pipelineCase) loadFolder() error {
	for name, l := range map[string]*caseLines{
		caseIn: &c.In, caseWant: &c.Want.Events, caseWantDead: &c.WantDead, caseWantDropped: &c.WantDropped,
	} {
		path := filepath.Join(c.path, name)
		if l.given {
			if _, err := os.Lstat(path); err == nil {
				return &caseError{file: path, err: fmt.Errorf("%s says the same; leave one of them out", caseFile)}
			}
			continue
		}
		l.file = path
		text, err := os.ReadFile(path) //nolint:gosec // of the folder that the user names
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return &caseError{file: path, err: err}
		}
		if err := l.read(text, name != caseIn); err != nil {
			return err
		}
	}
	return nil
}

// read reads NDJSON. Empty lines are passed over.
func (l *caseLines) read(text []byte, check bool) error {
	l.given = true
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, maxInputLine)
	for number := 1; scanner.Scan(); number++ {
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if check {
			value, err := parseJSON(line)
			if err != nil {
				return &caseError{l.file, number, fmt.Errorf("this is not JSON: %w", err)}
			}
			if _, ok := value.(map[string]any); !ok {
				return &caseError{l.file, number, errors.New("an event is a JSON object")}
			}
		}
		l.lines = append(l.lines, caseLine{number, bytes.Clone(line)})
	}
	if err := scanner.Err(); err != nil {
		return &caseError{file: l.file, err: err}
	}
	return nil
}
