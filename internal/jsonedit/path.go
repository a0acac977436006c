// Package jsonedit replaces values of a JSON text in place: every other byte stays as it is.
package jsonedit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxPath bounds the text of a path: a longer one is a mistake.
const maxPath = 256

// Path names values of a JSON text: `passenger.name`, `items[*].name`, `items[0].name`. A dot parts the keys of nested objects; a
// dot, a bracket or a backslash that belongs to a key has a backslash before it. `[*]` is every item of a list, `[2]` the third.
// A list on the way stands for all of its items, also without brackets. Of a key that an object repeats, every value is meant.
type Path struct {
	text  string
	steps []step
}

// step is one step down from a value.
type step struct {
	key   string
	index int // of a list; -1 for every item
	list  bool
}

// ParsePath reads a path.
func ParsePath(text string) (Path, error) {
	if len(text) > maxPath {
		return Path{}, fmt.Errorf("path of %d characters: %d at most", len(text), maxPath)
	}
	p := parser{text: text}
	for {
		if err := p.part(); err != nil {
			return Path{}, fmt.Errorf("path %q: %w", text, err)
		}
		if p.pos == len(text) {
			return Path{text: text, steps: p.steps}, nil
		}
		p.pos++ // the dot
	}
}

// Text returns the path as it was written.
func (p Path) Text() string { return p.text }

type parser struct {
	text  string
	pos   int
	steps []step
}

// part reads a key and the brackets behind it, up to a dot or the end.
func (p *parser) part() error {
	var key []byte
	for p.pos < len(p.text) && p.text[p.pos] != '.' && p.text[p.pos] != '[' {
		c := p.text[p.pos]
		switch c {
		case '\\':
			p.pos++
			if p.pos == len(p.text) || !strings.ContainsRune(`.[]\`, rune(p.text[p.pos])) {
				return errors.New("a backslash stands only before a dot, a bracket or a backslash")
			}
			c = p.text[p.pos]
		case ']':
			return errors.New("a bracket closes that was not opened")
		}
		key = append(key, c)
		p.pos++
	}
	switch string(key) {
	case "":
		return errors.New("a part is empty")
	case "*":
		return errors.New("write [*] for the items of a list, such as items[*].name")
	}
	p.steps = append(p.steps, step{key: string(key)})
	for p.pos < len(p.text) && p.text[p.pos] == '[' {
		if err := p.bracket(); err != nil {
			return err
		}
	}
	if p.pos < len(p.text) && p.text[p.pos] != '.' {
		return errors.New("a dot must stand behind a bracket")
	}
	return nil
}

func (p *parser) bracket() error {
	inside, _, closed := strings.Cut(p.text[p.pos+1:], "]")
	if !closed {
		return errors.New("a bracket is not closed")
	}
	p.pos += len(inside) + 2
	if inside == "*" {
		p.steps = append(p.steps, step{list: true, index: -1})
		return nil
	}
	index, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return fmt.Errorf("[%s] is neither [*] nor the index of an item", inside)
	}
	p.steps = append(p.steps, step{list: true, index: int(index)})
	return nil
}
