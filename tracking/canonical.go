package tracking

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxCanonicalDepth bounds the recursion of canonicalizer; formats.MaxDepth lets nothing deeper in.
const maxCanonicalDepth = 128

// canonicalizer rewrites JSON so that texts which mean the same come out the same. It reads what encoding/json reads; its
// methods return false for anything else.
type canonicalizer struct {
	in  []byte
	pos int
	out []byte
}

func (c *canonicalizer) document() bool {
	if !c.value(0) {
		return false
	}
	c.space()
	return c.pos == len(c.in)
}

func (c *canonicalizer) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

func (c *canonicalizer) peek() byte {
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

func (c *canonicalizer) value(depth int) bool {
	if depth > maxCanonicalDepth {
		return false
	}
	c.space()
	switch b := c.peek(); b {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		_, ok := c.text()
		return ok
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	default:
		return c.number()
	}
}

func (c *canonicalizer) literal(word string) bool {
	if end := c.pos + len(word); end > len(c.in) || string(c.in[c.pos:end]) != word {
		return false
	}
	c.pos += len(word)
	c.out = append(c.out, word[0])
	return true
}

func (c *canonicalizer) array(depth int) bool {
	c.pos++
	c.out = append(c.out, '[')
	for first := true; ; first = false {
		c.space()
		if c.peek() == ']' && first {
			break
		}
		if !c.value(depth + 1) {
			return false
		}
		c.space()
		if c.peek() == ']' {
			break
		}
		if c.peek() != ',' {
			return false
		}
		c.pos++
	}
	c.pos++
	c.out = append(c.out, ']')
	return true
}

// member is a key and where, in the output, the key and its value stand.
type member struct {
	key        []byte
	start, end int
}

func (c *canonicalizer) object(depth int) bool {
	c.pos++
	c.out = append(c.out, '{')
	start := len(c.out)
	var room [16]member
	members := room[:0]
	for first := true; ; first = false {
		c.space()
		if c.peek() == '}' && first {
			break
		}
		m := member{start: len(c.out)}
		var ok bool
		if m.key, ok = c.text(); !ok {
			return false
		}
		c.space()
		if c.peek() != ':' {
			return false
		}
		c.pos++
		if !c.value(depth + 1) {
			return false
		}
		m.end = len(c.out)
		members = append(members, m)
		c.space()
		if c.peek() == '}' {
			break
		}
		if c.peek() != ',' {
			return false
		}
		c.pos++
	}
	c.pos++
	c.sort(start, members)
	c.out = append(c.out, '}')
	return true
}

// sort puts the members of an object, which stand in the output from start, in the order of their keys. Of several with one
// key the last is kept, as encoding/json does.
func (c *canonicalizer) sort(start int, members []member) {
	inOrder := true
	for i := 1; i < len(members) && inOrder; i++ {
		inOrder = bytes.Compare(members[i-1].key, members[i].key) < 0
	}
	if inOrder {
		return
	}
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	written := slices.Clone(c.out[start:])
	c.out = c.out[:start]
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(members[i+1].key, m.key) {
			continue
		}
		c.out = append(c.out, written[m.start-start:m.end-start]...)
	}
}

// text reads a string and writes it without escapes, after its length.
func (c *canonicalizer) text() ([]byte, bool) {
	if c.peek() != '"' {
		return nil, false
	}
	c.pos++
	start := c.pos
	for c.pos < len(c.in) {
		switch b := c.in[c.pos]; {
		case b == '"':
			s := c.in[start:c.pos]
			c.pos++
			return c.emit(s), true
		case b == '\\':
			s, ok := c.escaped(start)
			if !ok {
				return nil, false
			}
			return c.emit(s), true
		case b < ' ':
			return nil, false
		default:
			c.pos++
		}
	}
	return nil, false
}

func (c *canonicalizer) emit(s []byte) []byte {
	c.out = binary.AppendUvarint(append(c.out, '"'), uint64(len(s)))
	c.out = append(c.out, s...)
	return s
}

// escaped reads the rest of a string, which began at start, from its first escape on.
func (c *canonicalizer) escaped(start int) ([]byte, bool) {
	s := slices.Clone(c.in[start:c.pos])
	for c.pos < len(c.in) {
		b := c.in[c.pos]
		c.pos++
		switch {
		case b == '"':
			return s, true
		case b < ' ':
			return nil, false
		case b != '\\':
			s = append(s, b)
			continue
		}
		switch e := c.peek(); e {
		case '"', '\\', '/':
			s = append(s, e)
		case 'b':
			s = append(s, '\b')
		case 'f':
			s = append(s, '\f')
		case 'n':
			s = append(s, '\n')
		case 'r':
			s = append(s, '\r')
		case 't':
			s = append(s, '\t')
		case 'u':
			r, ok := c.unicode()
			if !ok {
				return nil, false
			}
			s = utf8.AppendRune(s, r)
			continue
		default:
			return nil, false
		}
		c.pos++
	}
	return nil, false
}

// unicode reads the uXXXX of an escape, and the second half of a surrogate pair. A half alone is U+FFFD.
func (c *canonicalizer) unicode() (rune, bool) {
	r, ok := c.hex4(c.pos + 1)
	if !ok {
		return 0, false
	}
	c.pos += 5
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if c.pos+1 < len(c.in) && c.in[c.pos] == '\\' && c.in[c.pos+1] == 'u' {
		if low, ok := c.hex4(c.pos + 2); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				c.pos += 6
				return pair, true
			}
		}
	}
	return utf8.RuneError, true
}

func (c *canonicalizer) hex4(at int) (rune, bool) {
	if at+4 > len(c.in) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(c.in[at:at+4]), 16, 16)
	return rune(n), err == nil
}

// number reads a number and writes it as digits without zeros at either end and a power of ten, so that 1, 1.0 and 10e-1
// come out the same, whatever their size.
func (c *canonicalizer) number() bool {
	negative := c.peek() == '-'
	if negative {
		c.pos++
	}
	whole := c.digits()
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	var fraction []byte
	if c.peek() == '.' {
		c.pos++
		if fraction = c.digits(); len(fraction) == 0 {
			return false
		}
	}
	exponent, ok := c.exponent()
	if !ok {
		return false
	}

	exponent -= int64(len(fraction))
	mantissa := make([]byte, 0, 32)
	mantissa = append(append(mantissa, whole...), fraction...)
	for len(mantissa) > 0 && mantissa[0] == '0' {
		mantissa = mantissa[1:]
	}
	for len(mantissa) > 0 && mantissa[len(mantissa)-1] == '0' {
		mantissa = mantissa[:len(mantissa)-1]
		exponent++
	}
	c.out = append(c.out, '#')
	if len(mantissa) == 0 {
		c.out = append(c.out, '0', ';')
		return true
	}
	if negative {
		c.out = append(c.out, '-')
	}
	c.out = append(append(c.out, mantissa...), 'e')
	c.out = append(strconv.AppendInt(c.out, exponent, 10), ';')
	return true
}

func (c *canonicalizer) digits() []byte {
	start := c.pos
	for c.pos < len(c.in) && digit(c.in[c.pos]) {
		c.pos++
	}
	return c.in[start:c.pos]
}

func (c *canonicalizer) exponent() (int64, bool) {
	if b := c.peek(); b != 'e' && b != 'E' {
		return 0, true
	}
	c.pos++
	negative := c.peek() == '-'
	if negative || c.peek() == '+' {
		c.pos++
	}
	text := c.digits()
	if len(text) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n > 1<<60 {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}
