package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/tracking"
)

// lineWriter writes JSON, a value a line. One that is nil writes nothing.
type lineWriter struct {
	out    *bufio.Writer
	closer io.Closer
}

func newLineWriter(out io.Writer, closer io.Closer) *lineWriter {
	return &lineWriter{out: bufio.NewWriterSize(out, 64<<10), closer: closer}
}

func (w *lineWriter) write(value any) error {
	if w == nil {
		return nil
	}
	line, err := lineOf(value)
	if err != nil {
		return err
	}
	_, err = w.out.Write(line)
	return err
}

// lineOf returns a value as JSON on one line, its end included, with texts as they are.
func lineOf(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return buffer.Bytes(), nil
}

func (w *lineWriter) flush() error {
	if w == nil {
		return nil
	}
	return w.out.Flush()
}

func (w *lineWriter) close() error {
	if w == nil {
		return nil
	}
	err := w.out.Flush()
	if w.closer != nil {
		if closed := w.closer.Close(); err == nil {
			err = closed
		}
	}
	return err
}

// deadLine is a dead letter as it is written: the event with what is wrong with it.
type deadLine struct {
	Pipeline string `json:"pipeline"`
	Stage    string `json:"stage"`
	pipeline.Reason

	Attempts int             `json:"attempts"`
	Event    *tracking.Event `json:"event"`
}

func deadEvent(o trial.Outcome) deadLine {
	return deadLine{Pipeline: o.Pipeline, Stage: o.Stage, Reason: o.Verdict.Reason, Attempts: o.Attempts, Event: o.Event}
}

// outcomeLine is what became of an event in a pipeline, as it is written.
type outcomeLine struct {
	Line     int      `json:"line,omitempty"` // of the input; 0 for an event that a stage sent by itself
	UID      string   `json:"uid"`
	EventID  string   `json:"event_id"`
	Pipeline string   `json:"pipeline"`
	Outcome  string   `json:"outcome"`
	Stage    string   `json:"stage,omitempty"`
	Code     string   `json:"code,omitempty"`
	Message  string   `json:"message,omitempty"`
	Field    string   `json:"field,omitempty"`
	Topics   []string `json:"topics,omitempty"`
	Emitted  int      `json:"emitted,omitempty"`
	Retries  int      `json:"retries,omitempty"`
}

func describeOutcome(o trial.Outcome, line int) outcomeLine {
	reason := o.Verdict.Reason
	return outcomeLine{
		Line: line, UID: o.Event.UID.String(), EventID: o.Event.EventID, Pipeline: o.Pipeline, Outcome: o.Verdict.Outcome.String(),
		Stage: o.Stage, Code: reason.Code, Message: reason.Message, Field: reason.Field, Topics: o.Topics, Emitted: o.Emitted, Retries: o.Retries,
	}
}

// lineNumbers tells on which line an event stood. As few lines are not events, it keeps where the numbers of the two drift
// apart and nothing else; of the runs of lines that are long over, none.
type lineNumbers struct {
	sent int64
	runs []lineRun
}

// lineRun begins with event seq on a line; the following ones are on the following lines.
type lineRun struct {
	seq  int64
	line int
}

// maxLineRuns bounds what is remembered when every other line is empty: for so many runs nothing is in flight any more.
const maxLineRuns = 100_000

func (l *lineNumbers) add(line int) {
	l.sent++
	if n := len(l.runs); n > 0 && l.runs[n-1].line+int(l.sent-l.runs[n-1].seq) == line {
		return
	}
	if len(l.runs) >= 2*maxLineRuns {
		l.runs = slices.Clone(l.runs[maxLineRuns:])
	}
	l.runs = append(l.runs, lineRun{l.sent, line})
}

// of returns the line of an event; 0 when it is not known.
func (l *lineNumbers) of(seq int64) int {
	i, found := slices.BinarySearchFunc(l.runs, seq, func(r lineRun, seq int64) int { return int(r.seq - seq) })
	if !found {
		i--
	}
	if i < 0 || seq == 0 {
		return 0
	}
	return l.runs[i].line + int(seq-l.runs[i].seq)
}

// runReport tells what becomes of the events of a run.
type runReport struct {
	out      io.Writer
	specs    []pipeline.Spec
	terminal bool
	started  time.Time
	drawn    time.Time // when progress was last shown

	events  int
	refused int
	dead    int
	dropped int
	topics  map[string]int
	counts  map[outcomeKey]int
	failed  error // to write
}

type outcomeKey struct {
	trial.Place

	outcome pipeline.Outcome
	code    string
}

func newRunReport(out io.Writer, specs []pipeline.Spec, terminal bool) *runReport {
	return &runReport{out: out, specs: specs, terminal: terminal, started: time.Now(), topics: map[string]int{}, counts: map[outcomeKey]int{}}
}

func (r *runReport) say(text string) {
	if text == "" || r.failed != nil {
		return
	}
	r.clear()
	_, r.failed = fmt.Fprintln(r.out, text)
}

const (
	progressAfter = 2 * time.Second // a short run needs none
	progressEvery = 200 * time.Millisecond
)

func (r *runReport) progress() {
	now := time.Now()
	if !r.terminal || now.Sub(r.started) < progressAfter || now.Sub(r.drawn) < progressEvery || r.failed != nil {
		return
	}
	r.drawn = now
	_, r.failed = fmt.Fprintf(r.out, "\r\x1b[K%s, %.0f a second", events(r.events), float64(r.events)/now.Sub(r.started).Seconds())
}

// clear takes the progress off the line.
func (r *runReport) clear() {
	if !r.drawn.IsZero() && r.failed == nil {
		_, r.failed = io.WriteString(r.out, "\r\x1b[K")
		r.drawn = time.Time{}
	}
}

// refuse tells that a line is no event.
func (r *runReport) refuse(line int, why error) {
	r.refused++
	r.say(fmt.Sprintf("stdin:%d: %v", line, why))
}

func (r *runReport) left(topic string) { r.topics[topic]++ }

// observe counts what became of a batch at a stage.
func (r *runReport) observe(at trial.Place, batch *pipeline.Batch) {
	passed := 0
	for i := range batch.Len() {
		v := batch.Verdict(i)
		if v.Outcome == pipeline.Pass {
			passed++
			continue
		}
		r.counts[outcomeKey{at, v.Outcome, v.Reason.Code}]++
	}
	if passed > 0 {
		r.counts[outcomeKey{at, pipeline.Pass, ""}] += passed
	}
}

// finish tells what became of the events, and returns the error that the command ends with when nothing else went wrong.
func (r *runReport) finish(deadKept, complete bool) error {
	r.clear()
	left := make([]string, 0, len(r.topics))
	for _, topic := range slices.Sorted(maps.Keys(r.topics)) {
		left = append(left, fmt.Sprintf("%d to %s", r.topics[topic], topic))
	}
	if len(left) == 0 {
		left = []string{"none left"}
	}
	if !complete {
		r.say("not finished: what was in flight is lost")
	}
	r.say(fmt.Sprintf("%s in, %s, %d dropped, %s, %s refused", events(r.events), strings.Join(left, ", "), r.dropped,
		counted(r.dead, "dead letter"), counted(r.refused, "line")))
	if len(r.counts) > 0 && r.failed == nil {
		r.failed = writeTable(r.out, r.table())
	}
	if r.failed != nil {
		return fmt.Errorf("write the report: %w", r.failed)
	}
	switch {
	case !complete:
		return nil
	case r.refused > 0:
		return exitWith(exitRejected, fmt.Errorf("%s refused: no event", counted(r.refused, "line")))
	case r.dead > 0 && !deadKept:
		return exitWith(exitRejected, fmt.Errorf("%s; --dead FILE keeps them", counted(r.dead, "dead letter")))
	default:
		return nil
	}
}

// table returns the counts in the order of the stages.
func (r *runReport) table() [][]string {
	rows := [][]string{{"PIPELINE", "STAGE", "OUTCOME", "CODE", "EVENTS"}}
	for _, spec := range r.specs {
		for _, stage := range spec.Stages {
			at := trial.Place{Pipeline: spec.Name, Stage: stage.Name}
			var keys []outcomeKey
			for key := range r.counts {
				if key.Place == at {
					keys = append(keys, key)
				}
			}
			slices.SortFunc(keys, func(a, b outcomeKey) int {
				if a.outcome != b.outcome {
					return int(a.outcome) - int(b.outcome)
				}
				return strings.Compare(a.code, b.code)
			})
			for _, key := range keys {
				rows = append(rows, []string{spec.Name, stage.Name, key.outcome.String(), orDash(key.code), fmt.Sprint(r.counts[key])})
			}
		}
	}
	return rows
}
