package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	maxGroups      = 20 // of reasons that are printed
	maxGroupPlaces = 5  // that are printed of each

	redrawEvery = 100 * time.Millisecond
)

// sendReport counts what became of the events and says so at the end. As JSON the results are written as they come, so that
// any number of them takes no memory.
type sendReport struct {
	out     io.Writer
	json    bool
	now     func() time.Time
	started time.Time

	accepted int
	rejected int
	unknown  int // events whose request failed
	groups   []*rejectionGroup
	byReason map[reason]*rejectionGroup
	other    int // rejections for yet other reasons
	unread   []unreadFile
	failure  error
	writeErr error
	written  int // results in JSON
}

type rejectionGroup struct {
	reason reason
	count  int
	places []string
}

func newSendReport(out io.Writer, asJSON bool, now func() time.Time) *sendReport {
	return &sendReport{out: out, json: asJSON, now: now, started: now(), byReason: map[reason]*rejectionGroup{}}
}

// fail notes the first failure that is not an event's.
func (r *sendReport) fail(err error) {
	if r.failure == nil {
		r.failure = err
	}
}

func (r *sendReport) add(o outcome) {
	switch {
	case o.unread != nil:
		r.unread = append(r.unread, *o.unread)
		return
	case o.err != nil:
		r.unknown += len(o.batch.places)
		return
	}
	for i, result := range o.results {
		if result.Status == statusRejected {
			r.rejected++
			r.group(result, o.batch.places[i])
		} else {
			r.accepted++
		}
		if r.json {
			r.writeResult(result)
		}
	}
}

// group counts a rejection with those of the same reason.
func (r *sendReport) group(result eventResult, at place) {
	why := reason{Code: statusRejected, Message: "the server gives no reason"}
	if len(result.Errors) > 0 {
		why = result.Errors[0]
	}
	group := r.byReason[why]
	if group == nil {
		if len(r.groups) >= maxGroups {
			r.other++
			return
		}
		group = &rejectionGroup{reason: why}
		r.byReason[why] = group
		r.groups = append(r.groups, group)
	}
	group.count++
	if len(group.places) < maxGroupPlaces {
		group.places = append(group.places, at.String())
	}
}

func (r *sendReport) writeResult(result eventResult) {
	body, err := json.Marshal(result)
	if err != nil {
		r.writeErr = errors.Join(r.writeErr, err)
		return
	}
	if r.written == 0 {
		r.printf("{\"results\":[\n")
	} else {
		r.printf(",\n")
	}
	r.written++
	r.printf("%s", body)
}

func (r *sendReport) printf(format string, args ...any) {
	if r.writeErr == nil {
		_, r.writeErr = fmt.Fprintf(r.out, format, args...)
	}
}

// finish prints the summary and returns the error that the command ends with.
func (r *sendReport) finish() error {
	elapsed := r.now().Sub(r.started)
	if r.json {
		r.finishJSON(elapsed)
	} else {
		r.finishText(elapsed)
	}
	if r.writeErr != nil {
		return fmt.Errorf("write the report: %w", r.writeErr)
	}
	if r.failure != nil {
		if r.unknown > 0 {
			return exitWith(exitCode(r.failure), fmt.Errorf("%w; of %s it is not known whether they were accepted", r.failure, events(r.unknown)))
		}
		return r.failure
	}
	for _, file := range r.unread {
		if !file.format {
			return exitWith(exitFailure, nil)
		}
	}
	if r.rejected > 0 || len(r.unread) > 0 {
		return exitWith(exitRejected, nil)
	}
	return nil
}

func (r *sendReport) finishJSON(elapsed time.Duration) {
	if r.written == 0 {
		r.printf("{\"results\":[")
	}
	summary := struct {
		Accepted int          `json:"accepted"`
		Rejected int          `json:"rejected"`
		Unknown  int          `json:"unknown,omitempty"`
		Unread   []unreadFile `json:"unread,omitempty"`
		Seconds  float64      `json:"seconds"`
		Rate     float64      `json:"events_per_second"`
		Error    string       `json:"error,omitempty"`
	}{r.accepted, r.rejected, r.unknown, r.unread, roundTo(elapsed.Seconds(), 1000), roundTo(r.rate(elapsed), 10), ""}
	if r.failure != nil {
		summary.Error = r.failure.Error()
	}
	body, err := json.Marshal(summary)
	if err != nil {
		r.writeErr = errors.Join(r.writeErr, err)
		return
	}
	r.printf("\n],%s\n", body[1:])
}

func roundTo(value, parts float64) float64 { return float64(int64(value*parts+0.5)) / parts }

// rate returns the events that were answered a second.
func (r *sendReport) rate(elapsed time.Duration) float64 {
	return float64(r.accepted+r.rejected) / max(elapsed.Seconds(), 0.001)
}

func (r *sendReport) finishText(elapsed time.Duration) {
	total := r.accepted + r.rejected
	r.printf("%s in %s", events(total), elapsed.Round(10*time.Millisecond))
	if total > 0 {
		r.printf(" (%s/s)", thousands(int(r.rate(elapsed)+0.5)))
	}
	r.printf(": %s accepted, %s rejected\n", thousands(r.accepted), thousands(r.rejected))
	slices.SortStableFunc(r.groups, func(a, b *rejectionGroup) int { return b.count - a.count })
	for _, group := range r.groups {
		r.printf("  %s x ", thousands(group.count))
		if group.reason.Field != "" {
			r.printf("%s: ", group.reason.Field)
		}
		r.printf("%s (%s)\n      %s", group.reason.Message, group.reason.Code, strings.Join(group.places, ", "))
		if more := group.count - len(group.places); more > 0 {
			r.printf(" and %s more", thousands(more))
		}
		r.printf("\n")
	}
	if r.other > 0 {
		r.printf("  %s x for other reasons; --json lists them all\n", thousands(r.other))
	}
	for _, file := range r.unread {
		r.printf("not sent: %s\n", file.Error)
	}
}

// events counts events in words.
func events(n int) string {
	if n == 1 {
		return "1 event"
	}
	return thousands(n) + " events"
}

// thousands writes a number with its thousands apart: "1,234,567".
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// progress tells a person that things go on: a bar on a terminal, and one line when there is trouble. What goes wrong with
// drawing is nobody's concern.
type progress struct {
	out       io.Writer
	bar       *progressbar.ProgressBar // nil when nobody watches
	described time.Time

	mu       sync.Mutex
	troubled bool
}

// newProgress draws a bar when errOut is a terminal. size is the bytes to read, or -1 when nobody knows.
func newProgress(errOut io.Writer, streams streams, size int64) *progress {
	p := &progress{out: errOut}
	if size != 0 && streams.terminal(errOut) {
		p.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(errOut), progressbar.OptionSetDescription("sending"), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(redrawEvery), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(24))
	}
	return p
}

func (p *progress) advance(o outcome, report *sendReport) {
	if o.err == nil {
		p.mu.Lock()
		p.troubled = false
		p.mu.Unlock()
	}
	if p.bar == nil || o.batch == nil {
		return
	}
	if now := time.Now(); now.Sub(p.described) >= redrawEvery { // every description is drawn
		p.bar.Describe(fmt.Sprintf("%s accepted, %s rejected", thousands(report.accepted), thousands(report.rejected)))
		p.described = now
	}
	_ = p.bar.Add(o.batch.bytes)
}

// trouble says, once until all is well again, that a request is tried again.
func (p *progress) trouble(err error, limit time.Duration) {
	p.mu.Lock()
	first := !p.troubled
	p.troubled = true
	p.mu.Unlock()
	if !first {
		return
	}
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	_, _ = fmt.Fprintf(p.out, "%v; trying again for up to %s\n", err, limit)
}

// close takes the bar away.
func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
