package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// maxEventBytes bounds what is held of one event; no server takes one this large.
	maxEventBytes = 16 << 20
	// maxBatchBytes bounds the body of a request, whatever the number of its events.
	maxBatchBytes = 1 << 20
)

// The media types of POST /api/v1/events.
const (
	mediaJSON             = "application/json"
	mediaNDJSON           = "application/x-ndjson"
	mediaCloudEvent       = "application/cloudevents+json"
	mediaCloudEventsBatch = "application/cloudevents-batch+json"
)

// place is where an event stands: its 0-based position in its file and, where lines mean something, its 1-based line.
type place struct {
	file  string
	index int
	line  int
}

func (p place) String() string {
	if p.line > 0 {
		return fmt.Sprintf("%s:%d", p.file, p.line)
	}
	return fmt.Sprintf("%s[%d]", p.file, p.index)
}

// batch is the events of one request, or (when reason is set) one thing read that cannot be sent.
type batch struct {
	media  string
	events []json.RawMessage
	places []place
	bytes  int // of the input

	reason *reason
}

// reason says why an event was rejected.
type reason struct {
	Field   string `json:"field,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// errNotEvents says that a file is of a format that the endpoint does not take.
var errNotEvents = errors.New("not a format this endpoint takes (events as NDJSON, a JSON array or object, or CloudEvents)")

// batcher cuts what is read into batches of at most size events of one media type and hands them on.
type batcher struct {
	size    int
	handOn  func(ctx context.Context, b *batch) error
	file    string
	media   string // of the file's plain events: NDJSON for lines, JSON otherwise
	current *batch
	index   int
}

// read cuts the content of one file. An error that wraps errNotEvents is the file's; another is of reading or of handOn.
func (b *batcher) read(ctx context.Context, file string, content io.Reader) error {
	b.file, b.index, b.current = file, 0, nil
	in := bufio.NewReaderSize(content, 64<<10)
	first, line, err := skipToContent(in)
	if errors.Is(err, io.EOF) {
		return nil // an empty file holds no events
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	switch first {
	case '[':
		b.media = mediaJSON
		err = b.readArray(ctx, in)
	case '{':
		err = b.readObjects(ctx, in, line)
	default:
		return fmt.Errorf("%s: %w: it begins with %s", file, errNotEvents, opening(in))
	}
	if err != nil {
		return err
	}
	return b.flush(ctx)
}

// skipToContent leaves in at the first byte that is neither space nor a byte order mark, and returns it and its line.
func skipToContent(in *bufio.Reader) (first byte, line int, err error) {
	line = 1
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		if _, err := in.Discard(len(mark)); err != nil {
			return 0, line, err
		}
	}
	for {
		c, err := in.ReadByte()
		if err != nil {
			return 0, line, err
		}
		switch c {
		case '\n':
			line++
		case ' ', '\t', '\r':
		default:
			return c, line, in.UnreadByte()
		}
	}
}

// opening quotes how the content begins.
func opening(in *bufio.Reader) string {
	start, _ := in.Peek(24) // a shorter file gives what it has
	if text, _, cut := bytes.Cut(start, []byte("\n")); cut {
		start = text
	}
	if !utf8.Valid(bytes.TrimRightFunc(start, func(r rune) bool { return r == utf8.RuneError })) {
		return fmt.Sprintf("the bytes % x", start[:min(len(start), 8)])
	}
	return fmt.Sprintf("%q", strings.TrimSpace(string(start)))
}

// readArray reads a JSON array element by element.
func (b *batcher) readArray(ctx context.Context, in io.Reader) error {
	decoder := json.NewDecoder(in)
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("read %s: %w", b.file, err)
	}
	for decoder.More() {
		at := place{file: b.file, index: b.index}
		var event json.RawMessage
		if err := decoder.Decode(&event); err != nil {
			return b.broken(ctx, at, err)
		}
		b.index++
		if err := b.add(ctx, event, at, len(event)+1); err != nil {
			return err
		}
	}
	at := place{file: b.file, index: b.index}
	if _, err := decoder.Token(); err != nil {
		return b.broken(ctx, at, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return b.reject(ctx, at, 0, reason{Code: "malformed_json", Message: "something follows the array; it was not read"})
	}
	return nil
}

// readObjects reads objects: one a line or, when the first line holds no whole object, one after the other.
func (b *batcher) readObjects(ctx context.Context, in *bufio.Reader, line int) error {
	first, tooLong, err := readLine(in)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", b.file, err)
	}
	if !tooLong && !json.Valid(first) && unfinished(first) {
		b.media = mediaJSON
		return b.readSpread(ctx, io.MultiReader(bytes.NewReader(first), in), line)
	}
	b.media = mediaNDJSON
	for {
		if text := bytes.TrimSpace(first); len(text) > 0 {
			at := place{file: b.file, index: b.index, line: line}
			b.index++
			if addErr := b.addLine(ctx, text, at, len(first), tooLong); addErr != nil {
				return addErr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		line++
		if first, tooLong, err = readLine(in); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", b.file, err)
		}
	}
}

func (b *batcher) addLine(ctx context.Context, text []byte, at place, read int, tooLong bool) error {
	switch {
	case tooLong:
		return b.reject(ctx, at, read, reason{Code: "too_large", Message: fmt.Sprintf("the event is larger than %d MiB", maxEventBytes>>20)})
	case !json.Valid(text):
		return b.reject(ctx, at, read, reason{Code: "malformed_json", Message: "the line is not JSON: " + whyInvalid(text)})
	default:
		return b.add(ctx, text, at, read)
	}
}

// readLine returns the next line, its end included, in memory of its own. Of a line that is too long only the start is kept.
func readLine(in *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) <= maxEventBytes {
			line = append(line, part...)
		} else {
			tooLong = true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// unfinished reports whether text is the start of JSON that goes on after it.
func unfinished(text []byte) bool {
	var value json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&value), io.ErrUnexpectedEOF)
}

func whyInvalid(text []byte) string {
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil {
		return err.Error()
	}
	return "invalid"
}

// readSpread reads objects that are written over several lines.
func (b *batcher) readSpread(ctx context.Context, in io.Reader, line int) error {
	lines := &lineCounter{in: in, line: line}
	decoder := json.NewDecoder(lines)
	for {
		at := place{file: b.file, index: b.index}
		var event json.RawMessage
		err := decoder.Decode(&event)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				at.line = lines.at(syntax.Offset)
			}
			return b.broken(ctx, at, err)
		}
		b.index++
		if err := b.add(ctx, event, at, len(event)); err != nil {
			return err
		}
		lines.forget(decoder.InputOffset())
	}
}

// lineCounter remembers where the lines of what is read through it end.
type lineCounter struct {
	in   io.Reader
	line int // of the first byte that is not forgotten
	read int64
	ends []int64
}

// forget lets go of what was before an offset.
func (l *lineCounter) forget(offset int64) {
	for len(l.ends) > 0 && l.ends[0] < offset {
		l.ends = l.ends[1:]
		l.line++
	}
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at returns the line of an offset that counts from 1, as those of syntax errors do.
func (l *lineCounter) at(offset int64) int {
	line := l.line
	for _, end := range l.ends {
		if end < offset-1 {
			line++
		}
	}
	return line
}

// broken rejects what could not be read; nothing after it in the file can be.
func (b *batcher) broken(ctx context.Context, at place, err error) error {
	if _, ok := errors.AsType[*json.SyntaxError](err); !ok && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", b.file, err)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	b.index++
	return b.reject(ctx, at, 0, reason{
		Code:    "malformed_json",
		Message: fmt.Sprintf("the JSON is broken here and nothing after it was read: %v", err),
	})
}

// add puts an event into the current batch and hands the batch on when it is full.
func (b *batcher) add(ctx context.Context, event json.RawMessage, at place, read int) error {
	media := b.media
	if isCloudEvent(event) {
		media = mediaCloudEventsBatch
	}
	if b.current != nil && (b.current.media != media || b.current.bytes+read > maxBatchBytes) {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	if b.current == nil {
		b.current = &batch{media: media}
	}
	b.current.events = append(b.current.events, event)
	b.current.places = append(b.current.places, at)
	b.current.bytes += read
	if len(b.current.events) >= b.size {
		return b.flush(ctx)
	}
	return nil
}

// reject hands on that something read cannot be sent, after what was read before it.
func (b *batcher) reject(ctx context.Context, at place, read int, why reason) error {
	if err := b.flush(ctx); err != nil {
		return err
	}
	return b.handOn(ctx, &batch{places: []place{at}, bytes: read, reason: &why})
}

func (b *batcher) flush(ctx context.Context) error {
	full := b.current
	if full == nil {
		return nil
	}
	b.current = nil
	return b.handOn(ctx, full)
}

// isCloudEvent reports whether an event has the attribute that every CloudEvent must have (CloudEvents 1.0, section 3.1).
func isCloudEvent(event json.RawMessage) bool {
	if !bytes.Contains(event, []byte(`"specversion"`)) {
		return false
	}
	var attributes struct {
		SpecVersion *string `json:"specversion"`
	}
	return json.Unmarshal(event, &attributes) == nil && attributes.SpecVersion != nil
}

// body returns the request body and its media type.
func (b *batch) body() (body []byte, media string) {
	if len(b.events) == 1 && b.media != mediaNDJSON {
		if b.media == mediaCloudEventsBatch {
			return b.events[0], mediaCloudEvent
		}
		return b.events[0], mediaJSON
	}
	lines := b.media == mediaNDJSON
	var out bytes.Buffer
	out.Grow(b.bytes + len(b.events) + 2)
	if !lines {
		out.WriteByte('[')
	}
	for i, event := range b.events {
		if i > 0 && !lines {
			out.WriteByte(',')
		}
		out.Write(event)
		if lines {
			out.WriteByte('\n')
		}
	}
	if !lines {
		out.WriteByte(']')
	}
	return out.Bytes(), b.media
}

// halves cuts a batch in two.
func (b *batch) halves() (first, second *batch) {
	middle := len(b.events) / 2
	return &batch{media: b.media, events: b.events[:middle], places: b.places[:middle], bytes: b.bytes / 2},
		&batch{media: b.media, events: b.events[middle:], places: b.places[middle:], bytes: b.bytes - b.bytes/2}
}
