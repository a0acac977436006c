package pipeline

import (
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// delivery finds what may keep events of pipelines that are right by themselves from arriving, or have them arrive or act more
// than once.
func (c Checker) delivery(specs []located) Findings {
	var all Findings
	for _, l := range specs {
		first := 0
		for _, hop := range l.Plan().Hops {
			h := hopCheck{located: l, limits: c.Delivery, hop: hop, first: first}
			all = append(all, h.check()...)
			first += len(hop.Stages)
		}
	}
	s := newStageGraph(specs, c.Entries)
	return append(all, s.check()...)
}

// hopCheck checks a hop against limits.
type hopCheck struct {
	located
	limits Limits
	hop    Hop
	first  int // the index of the hop's first stage in its pipeline
	list   Findings
}

func (h *hopCheck) check() Findings {
	worst := h.hop.WorstCase()
	h.hold(worst)
	h.receives(worst)
	h.batchBytes()
	h.memory()
	for i := range h.hop.Stages {
		h.shutdown(i)
		h.untimed(i)
		h.loses(i)
	}
	return h.list
}

func (h *hopCheck) add(node ast.Node, code string, severity Severity, message, hint string) {
	f := h.finding(node, code, message, hint)
	f.Severity = severity
	h.list = append(h.list, f)
}

// at returns where a key of stage i of the hop stands, or one within it, or else where the stage does.
func (h *hopCheck) at(i int, key string, within ...string) ast.Node {
	node := h.nodes.key(h.first+i, key)
	if node == nil {
		return h.nodes.key(h.first+i, "use")
	}
	for _, name := range within {
		if inner, ok := valuesOf(node)[name]; ok {
			node = inner
		}
	}
	return node
}

// hold finds a batch that takes longer than the broker lets anybody have a frame.
func (h *hopCheck) hold(worst WorstCase) {
	held := h.limits.Held(worst.Total())
	if h.limits.Hold == 0 || held <= h.limits.Hold {
		return
	}
	node, hint := h.shorten(func(w WorstCase) bool { return h.limits.Held(w.Total()) <= h.limits.Hold })
	h.add(node, "hold", SeverityError, fmt.Sprintf("a frame may be in hand for %s (%s for a batch, %s, behind up to %d others), and %s delivers it again after %s",
		beyond(held, h.limits.Hold), rounded(worst.Total()), worst.says(), max(1, h.limits.FramesInHand)-1, h.limits.Broker, shortDuration(h.limits.Hold)), hint)
}

// says explains a worst case in a few words.
func (w WorstCase) says() string {
	text := fmt.Sprintf("%d x %s", w.Passes, rounded(w.Pass))
	if w.Passes == 1 {
		text = rounded(w.Pass)
	}
	if w.Pauses > 0 {
		text += fmt.Sprintf(" + %s of pauses", rounded(w.Pauses))
	}
	if w.Linger > 0 {
		text += fmt.Sprintf(" + %s of linger", rounded(w.Linger))
	}
	return text
}

// receives finds a hop whose retries alone can have a frame delivered more often than its queue's redrive policy allows.
func (h *hopCheck) receives(worst WorstCase) {
	if h.limits.Receives == 0 {
		return
	}
	within := func(w WorstCase) bool {
		n, ends := h.limits.ReceivesOf(w.Total())
		return ends && n <= h.limits.Receives
	}
	if within(worst) {
		return
	}
	n, ends := h.limits.ReceivesOf(worst.Total())
	message := fmt.Sprintf("a good frame may have to be delivered %d times, and %s puts it in its dead-letter queue after %d (%s)",
		n, h.limits.Broker, h.limits.Receives, h.limits.ReceivesBy)
	if !ends {
		message = fmt.Sprintf("a batch may take %s (%s), longer than the %s between two deploys, each of which has it begin again: %s puts "+
			"a good frame in its dead-letter queue after %d deliveries (%s)", beyond(worst.Total(), h.limits.DeployEvery), worst.says(),
			shortDuration(h.limits.DeployEvery), h.limits.Broker, h.limits.Receives, h.limits.ReceivesBy)
	}
	node, hint := h.shorten(within)
	if ends && !within(WorstCase{Passes: 1}) {
		node, hint = h.at(0, "use"), fmt.Sprintf("set %s to %d or more", h.limits.ReceivesBy, n)
	}
	h.add(node, "receives", SeverityError, message, hint)
}

// shorten returns which key of the hop's stages to change so that its worst case fits, and to what.
func (h *hopCheck) shorten(fits func(WorstCase) bool) (ast.Node, string) {
	order := make([]int, len(h.hop.Stages))
	for i := range order {
		order[i] = i
	}
	cost := func(i int) time.Duration {
		one := h.hop
		one.Stages = one.Stages[i : i+1]
		return one.WorstCase().Total()
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(max(-1, min(1, cost(b)-cost(a)))) })
	for _, i := range order {
		for attempts := h.hop.Stages[i].Retry.Attempts - 1; attempts >= 1; attempts-- {
			if fits(h.with(i, func(s *StageSpec) { s.Retry.Attempts = attempts }).WorstCase()) {
				return h.at(i, "retry", "attempts"), fmt.Sprintf("`attempts: %d` fits", attempts)
			}
		}
	}
	worst := order[0]
	stage := h.hop.Stages[worst]
	took, _ := stage.worstTime(h.hop.Batch.Events)
	if timeout := longest(took, func(d time.Duration) bool {
		return fits(h.with(worst, func(s *StageSpec) { s.Timeout = d }).WorstCase())
	}); timeout > 0 {
		return h.at(worst, "timeout"), fmt.Sprintf("`timeout: %s` fits", shortDuration(timeout))
	}
	if pause := longest(stage.Retry.MaxBackoff, func(d time.Duration) bool {
		return fits(h.with(worst, func(s *StageSpec) { s.Retry.Backoff, s.Retry.MaxBackoff = min(s.Retry.Backoff, d), d }).WorstCase())
	}); pause > 0 && stage.Retry.Attempts > 0 {
		hint := fmt.Sprintf("`max_backoff: %s` fits", shortDuration(pause))
		if pause < stage.Retry.Backoff {
			hint = fmt.Sprintf("`backoff: %s` fits, with the same max_backoff", shortDuration(pause))
		}
		return h.at(worst, "retry", "max_backoff"), hint
	}
	return h.at(worst, "use"), "write fewer attempts and shorter timeouts"
}

// longest returns the longest duration below most that fits, in whole units; 0 when none does.
func longest(most time.Duration, fits func(time.Duration) bool) time.Duration {
	low, high := int64(0), int64(most/time.Millisecond)
	for low < high {
		middle := low + (high-low+1)/2
		if fits(time.Duration(middle) * time.Millisecond) {
			low = middle
		} else {
			high = middle - 1
		}
	}
	found := time.Duration(low) * time.Millisecond
	for _, unit := range []time.Duration{time.Minute, time.Second} {
		if found >= 10*unit {
			return found.Truncate(unit)
		}
	}
	return found
}

// with returns the hop with a stage changed.
func (h *hopCheck) with(i int, change func(*StageSpec)) Hop {
	hop := h.hop
	hop.Stages = slices.Clone(hop.Stages)
	change(&hop.Stages[i])
	return hop
}

// shutdown finds a stage that a stopping process cannot wait for: by its timeout or, where only its config limits its time, even
// over a single event.
func (h *hopCheck) shutdown(i int) {
	stage, events, over := h.hop.Stages[i], h.hop.Batch.Events, "a batch"
	if stage.Timeout == 0 {
		events, over = 1, "a single event"
	}
	took, known := stage.worstTime(events)
	if !known || h.limits.Shutdown == 0 || took <= h.limits.Shutdown {
		return
	}
	h.add(h.at(i, "timeout"), "shutdown", SeverityWarning,
		fmt.Sprintf("stage %q may take %s over %s, and a stopping process waits %s (%s): every deploy may break it off and deliver its frames again",
			stage.Name, beyond(took, h.limits.Shutdown), over, shortDuration(h.limits.Shutdown), h.limits.ShutdownBy),
		fmt.Sprintf("write `timeout: %s` or less, or a longer %s", shortDuration(h.limits.Shutdown), h.limits.ShutdownBy))
}

// untimed finds a stage that does something outside and may wait for it for ever.
func (h *hopCheck) untimed(i int) {
	stage := h.hop.Stages[i]
	if _, known := stage.worstTime(h.hop.Batch.Events); known || stage.action() == "" || stage.fit == fitUnknown {
		return
	}
	h.add(h.at(i, "use"), "no-timeout", SeverityWarning,
		fmt.Sprintf("nothing says how long stage %q may take, which %s: a worker that waits for it is stuck", stage.Name, stage.action()),
		"add for example `timeout: 10s`")
}

// loses finds a stage that drops what it is there to keep or to send.
func (h *hopCheck) loses(i int) {
	stage := h.hop.Stages[i]
	does := stage.action()
	if d, ok := trait[Delivering](stage.config); ok && d.Delivers() != "" {
		does = d.Delivers()
	}
	if stage.OnError != OnErrorDrop || does == "" {
		return
	}
	h.add(h.at(i, "on_error"), "loses", SeverityWarning,
		fmt.Sprintf("stage %q %s, and an event that it fails %d times on is dropped: nothing keeps it", stage.Name, does, stage.Retry.Attempts+1),
		"write `on_error: dead_letter`")
}

// batchBytes finds a limit of a hop's batches that frames make meaningless.
func (h *hopCheck) batchBytes() {
	limit, frame := h.hop.Batch.Bytes, h.limits.FrameBytes
	node := h.at(0, "batch", "bytes")
	if limit == 0 || frame == 0 {
		return
	}
	if limit < Size(frame) {
		h.add(node, "batch-bytes", SeverityWarning,
			fmt.Sprintf("bytes is %s, less than the %s that one frame of %s may have: a batch is never less than a frame", limit, Size(frame), h.limits.Broker),
			fmt.Sprintf("write %s or more", Size(frame)))
	}
	if most := h.limits.InHand(h.hop.Workers); most > 0 && int64(limit) > most {
		h.add(node, "batch-bytes", SeverityWarning,
			fmt.Sprintf("bytes is %s, more than the %s that the hop has in hand at most", limit, Size(most)),
			fmt.Sprintf("write %s or less, or leave it out", Size(most)))
	}
}

// memory finds a hop that may take more memory than there is.
func (h *hopCheck) memory() {
	most := h.limits.InHand(h.hop.Workers)
	if h.limits.MemoryBytes == 0 || most <= h.limits.MemoryBytes {
		return
	}
	each := most / int64(h.hop.Workers)
	hint := "give the process more memory"
	if fits := h.limits.MemoryBytes / max(1, each); fits >= 1 {
		hint = fmt.Sprintf("`workers: %d` fits", fits)
	}
	h.add(h.at(0, "workers"), "memory", SeverityWarning,
		fmt.Sprintf("the frames that the %d workers of stage %q have in hand may hold %s, and the process may take %s",
			h.hop.Workers, h.hop.Name, Size(most), Size(h.limits.MemoryBytes)), hint)
}

// CheckEvent finds that events may have larger payloads, in bytes, than frames can carry. what is the limit that lets them, and
// at says where it is set: its File, and its Line and Column if it has any.
func (l Limits) CheckEvent(payload int, what string, at Finding) Findings {
	if l.FrameBytes == 0 || payload <= LargestEvent(l.FrameBytes) {
		return nil
	}
	at.Code = "event-bytes"
	at.Hint = fmt.Sprintf("write %d or less", LargestEvent(l.FrameBytes))
	if payload > l.FrameBytes {
		at.Message = fmt.Sprintf("%s is %d, and a frame of %s has %d bytes at most: no frame could carry such an event",
			what, payload, l.Broker, l.FrameBytes)
		return Findings{at}
	}
	at.Severity = SeverityWarning
	at.Message = fmt.Sprintf("%s is %d, and no more than %d are taken: a frame of %s has %d bytes at most, and keeps half for what stages add",
		what, payload, LargestEvent(l.FrameBytes), l.Broker, l.FrameBytes)
	return Findings{at}
}

// action returns what the stage does again for each copy of an event; empty when a copy makes no difference.
func (s StageSpec) action() string {
	if a, ok := trait[Acting](s.config); ok {
		return a.Action()
	}
	return ""
}

// beyond returns a duration that is longer than a limit as people say it, and exactly where that would hide that it is.
func beyond(d, limit time.Duration) string {
	if rounded(d) == rounded(limit) {
		return shortDuration(d)
	}
	return rounded(d)
}

// rounded returns a duration as people say it.
func rounded(d time.Duration) string {
	switch {
	case d > 10*time.Minute:
		d = d.Round(time.Minute)
	case d > time.Minute:
		d = d.Round(time.Second)
	case d > time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return shortDuration(d)
}
