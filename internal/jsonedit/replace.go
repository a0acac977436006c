package jsonedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrNotJSON says that a text is no JSON.
var ErrNotJSON = errors.New("the text is not JSON")

// Found is a value that was replaced.
type Found struct {
	// Offset is where, in the text that came of it, the marker stands in its place.
	Offset int
	// Pointer is the value's JSON pointer (RFC 6901).
	Pointer string
	// Value is the value's own bytes.
	Value []byte
}

// Replace returns a JSON text with the values that paths name replaced by a marker, itself JSON, and what these values were, in
// their order. Where a value and one within it are named, the outer is replaced. null and what equals the marker already is left.
// Text that holds nothing of it is returned as it is.
func Replace(text []byte, paths []Path, marker string) ([]byte, []Found, error) {
	if !json.Valid(text) {
		return nil, nil, ErrNotJSON
	}
	w := walker{text: text, marker: marker}
	pending := make([][]step, 0, len(paths)) // each value's own: it is changed below
	for _, path := range paths {
		if len(path.steps) > 0 {
			pending = append(pending, path.steps)
		}
	}
	w.space()
	w.value(pending)
	if len(w.found) == 0 {
		return text, nil, nil
	}
	return append(w.out, text[w.copied:]...), w.found, nil
}

// Restore is the inverse of Replace: it puts back what was found where the marker stands.
func Restore(text []byte, found []Found, marker string) ([]byte, error) {
	var out []byte
	at := 0
	for _, f := range found {
		if f.Offset < at || f.Offset > len(text) || !bytes.HasPrefix(text[f.Offset:], []byte(marker)) {
			return nil, errors.New("the text is not the one that values were taken from")
		}
		out = append(append(out, text[at:f.Offset]...), f.Value...)
		at = f.Offset + len(marker)
	}
	return append(out, text[at:]...), nil
}

// walker goes through a JSON text that is known to be valid.
type walker struct {
	text   []byte
	pos    int
	marker string
	at     []string // the keys and indices that lead to where it is

	out    []byte
	copied int // how much of text is in out
	found  []Found
}

func (w *walker) space() {
	for w.pos < len(w.text) {
		switch w.text[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

// value goes through a value of which pending are the steps left to those that are meant. What is no list is its own only item:
// senders write a list of one as the item alone.
func (w *walker) value(pending [][]step) {
	if w.text[w.pos] != '[' {
		for i, steps := range pending {
			for len(steps) > 0 && steps[0].list && steps[0].index <= 0 {
				steps = steps[1:]
			}
			pending[i] = steps
		}
	}
	switch {
	case slices.ContainsFunc(pending, func(steps []step) bool { return len(steps) == 0 }):
		w.replace()
	case len(pending) > 0 && w.text[w.pos] == '{':
		w.object(pending)
	case len(pending) > 0 && w.text[w.pos] == '[':
		w.array(pending)
	default:
		w.skip()
	}
}

func (w *walker) replace() {
	start := w.pos
	w.skip()
	value := w.text[start:w.pos]
	if string(value) == "null" || string(value) == w.marker {
		return
	}
	w.out = append(w.out, w.text[w.copied:start]...)
	w.found = append(w.found, Found{Offset: len(w.out), Pointer: w.pointer(), Value: bytes.Clone(value)})
	w.out = append(w.out, w.marker...)
	w.copied = w.pos
}

func (w *walker) pointer() string {
	var b strings.Builder
	for _, part := range w.at {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// members goes through what stands between brackets; each reads one member.
func (w *walker) members(closing byte, each func(i int)) {
	w.pos++
	for i := 0; ; i++ {
		w.space()
		if w.text[w.pos] == closing {
			break
		}
		if w.text[w.pos] == ',' {
			w.pos++
			w.space()
		}
		each(i)
	}
	w.pos++
}

func (w *walker) object(pending [][]step) {
	w.members('}', func(int) {
		key := w.key()
		w.space()
		w.pos++ // the colon
		w.space()
		var next [][]step
		for _, steps := range pending {
			if !steps[0].list && steps[0].key == key {
				next = append(next, steps[1:])
			}
		}
		w.below(key, next)
	})
}

func (w *walker) array(pending [][]step) {
	w.members(']', func(i int) {
		var next [][]step
		for _, steps := range pending {
			switch first := steps[0]; {
			case !first.list:
				next = append(next, steps) // a list stands for all of its items
			case first.index < 0 || first.index == i:
				next = append(next, steps[1:])
			}
		}
		w.below(strconv.Itoa(i), next)
	})
}

func (w *walker) below(name string, pending [][]step) {
	w.at = append(w.at, name)
	w.value(pending)
	w.at = w.at[:len(w.at)-1]
}

// key reads the key of a member, without its escapes.
func (w *walker) key() string {
	start := w.pos
	w.skipText()
	raw := w.text[start:w.pos]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var key string
	if err := json.Unmarshal(raw, &key); err != nil {
		return string(raw) // never: the text is valid
	}
	return key
}

// skip goes to the end of a value.
func (w *walker) skip() {
	depth := 0
	for {
		switch w.text[w.pos] {
		case '"':
			w.skipText()
		case '{', '[':
			depth++
			w.pos++
			w.within()
			continue
		case '}', ']':
			depth--
			w.pos++
		default:
			for w.pos < len(w.text) && !strings.ContainsRune(" \t\r\n,:]}", rune(w.text[w.pos])) {
				w.pos++
			}
		}
		if depth == 0 {
			return
		}
		w.within()
	}
}

// within passes over what stands between the values of an object or list.
func (w *walker) within() {
	for strings.ContainsRune(" \t\r\n,:", rune(w.text[w.pos])) {
		w.pos++
	}
}

func (w *walker) skipText() {
	w.pos++
	for w.text[w.pos] != '"' {
		if w.text[w.pos] == '\\' {
			w.pos++
		}
		w.pos++
	}
	w.pos++
}
