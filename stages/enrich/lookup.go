package enrich

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// CodeMissing says that the key of a lookup has no entry.
const CodeMissing = "lookup_missing"

// maxKey bounds the parts of a key, in bytes: what is longer is in no table.
const maxKey = 1024

// key is what to look up: id is the same for the same parts only.
type key struct {
	id    string
	parts []string
}

func newKey(parts []string) key {
	if len(parts) == 1 {
		return key{parts[0], parts}
	}
	var id strings.Builder
	for _, part := range parts {
		id.WriteString(strconv.Itoa(len(part)))
		id.WriteByte(':')
		id.WriteString(part)
	}
	return key{id.String(), parts}
}

func (k key) tooLong() bool {
	return slices.ContainsFunc(k.parts, func(part string) bool { return len(part) > maxKey })
}

// answer is what a source says of a key. The zero answer is none at all.
type answer struct {
	given bool
	value json.RawMessage // nil when there is no entry
	// refused says why the source cannot have an entry for such a key; empty when it just has none.
	refused string
}

// source has entries by key. It is safe for concurrent use.
type source interface {
	// find returns an answer for each key, in order. With an error some of them are not given.
	find(ctx context.Context, keys []key) ([]answer, error)
	io.Closer
}

// lookup adds the entry of a key to events.
type lookup struct {
	key     Paths
	into    string
	missing OnMissing
	skip    bool
	source  source
	skipped func(events int) // hears how many events passed without an entry
}

func newLookup(c *Lookup, settings pipeline.Settings) (*lookup, error) {
	l := &lookup{key: c.Key, into: c.Into, missing: c.OnMissing, skipped: func(int) {}}
	switch {
	case c.CSV != nil:
		table, err := load(settings.Files, c.CSV.File, func(r io.Reader) (*table, error) { return readTable(r, *c.CSV) })
		l.source = table
		return l, err
	case c.Postgres != nil:
		database, err := newDatabase(*c.Postgres)
		if err != nil {
			return nil, err
		}
		return l.elsewhere(database, c.Postgres.Remote, settings), nil
	default:
		service, err := newService(*c.HTTP, len(c.Key), settings.Files)
		if err != nil {
			return nil, err
		}
		return l.elsewhere(service, c.HTTP.Remote, settings), nil
	}
}

func (l *lookup) elsewhere(s source, c Remote, settings pipeline.Settings) *lookup {
	r := newRemote(s, l.into, c, settings)
	l.source, l.skip, l.skipped = r, c.OnFailure == FailureSkip, r.skip
	return l
}

// run implements step.
func (l *lookup) run(ctx context.Context, batch *pipeline.Batch) error {
	var keys []key
	place := map[string]int{} // of a key in keys
	wanted := map[int]int{}   // event to key
	for i, event := range batch.Pending() {
		if _, known := event.Enrichment.Attributes[l.into]; known {
			continue
		}
		k, ok := l.keyOf(event)
		if !ok {
			continue
		}
		if k.tooLong() {
			l.settleMissing(batch, i, k)
			continue
		}
		at, ok := place[k.id]
		if !ok {
			at = len(keys)
			place[k.id], keys = at, append(keys, k)
		}
		wanted[i] = at
	}
	if err := ctx.Err(); err != nil || len(keys) == 0 {
		return err
	}
	answers, err := l.source.find(ctx, keys)
	if stopped := ctx.Err(); stopped != nil {
		return stopped
	}
	skipped := 0
	for i, at := range wanted {
		switch a := answers[at]; {
		case a.value != nil:
			set(batch.Event(i), l.into, a.value)
		case a.given:
			l.settleMissing(batch, i, keys[at])
		case l.skip:
			skipped++
			markSkipped(batch.Event(i), l.into)
		}
	}
	if err != nil && !l.skip {
		return fmt.Errorf("look up %s: %w", l.into, err) // Invariant 8: the source's outage is no event's fault
	}
	if skipped > 0 {
		l.skipped(skipped)
	}
	return nil
}

// Close implements io.Closer.
func (l *lookup) Close() error { return l.source.Close() }

func (l *lookup) keyOf(event *tracking.Event) (key, bool) {
	parts := make([]string, len(l.key))
	for i, path := range l.key {
		part, ok := path.String(event)
		if !ok {
			return key{}, false
		}
		// Cloned, since the cache must not keep the payload that a part lies in.
		parts[i] = strings.Clone(part)
	}
	return newKey(parts), true
}

func (l *lookup) settleMissing(batch *pipeline.Batch, i int, k key) {
	if l.missing == MissingPass {
		return
	}
	reason := pipeline.Reason{Code: CodeMissing, Message: fmt.Sprintf("there is no %s for %s", l.into, quoted(k.parts))}
	if len(l.key) == 1 {
		reason.Field = pointer(l.key[0])
	}
	if l.missing == MissingDrop {
		batch.Drop(i, reason)
		return
	}
	batch.Reject(i, reason)
}

// maxQuoted bounds what a reason quotes of a key, in bytes.
const maxQuoted = 100

func quoted(parts []string) string {
	out := make([]string, len(parts))
	for i, part := range parts {
		if len(part) > maxQuoted {
			part = part[:maxQuoted] + "..."
		}
		out[i] = strconv.Quote(part)
	}
	return strings.Join(out, ", ")
}

// pointer returns a path as a JSON pointer (RFC 6901).
func pointer(path pipeline.Path) string {
	parts := strings.NewReplacer("~", "~0", "/", "~1", `\.`, ".", `\\`, `\`, ".", "/").Replace(path.Text())
	return "/" + parts
}

// set adds an attribute to an event. The map and the value become the event's own: the former may be shared with copies of the
// event, the latter is that of every event with the key.
func set(event *tracking.Event, name string, value json.RawMessage) {
	attributes := maps.Clone(event.Enrichment.Attributes)
	if attributes == nil {
		attributes = make(map[string]json.RawMessage, 1)
	}
	attributes[name] = slices.Clone(value)
	event.Enrichment.Attributes = attributes
}

// markSkipped says on an event that it passed without an entry.
func markSkipped(event *tracking.Event, name string) {
	var names []string
	if before, ok := event.Enrichment.Attributes[SkippedLookups]; ok {
		_ = json.Unmarshal(before, &names) // what is no list of names is replaced by one
	}
	if slices.Contains(names, name) {
		return
	}
	if value, err := json.Marshal(append(names, name)); err == nil {
		set(event, SkippedLookups, value)
	}
}
