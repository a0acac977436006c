// Package scan reads JSON text piece by piece without building anything, and says where it goes wrong. It takes exactly what
// RFC 8259 and encoding/json take, at any depth and without recursion.
package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Kind is the kind of a JSON value.
type Kind byte

// The kinds.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String names the kind as a message to a sender does.
func (k Kind) String() string {
	switch k {
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	case Object:
		return "an object"
	default:
		return "null"
	}
}

// Value is one JSON value in a text.
type Value struct {
	Kind Kind
	// Raw is the value's own text, byte for byte.
	Raw []byte
	// Depth is how deep the value nests: 0 for a scalar, 1 for an object of scalars.
	Depth int
	// escaped says that a string holds escapes.
	escaped bool
}

// Text returns what a string says.
func (v Value) Text() string {
	if !v.escaped {
		return string(v.Raw[1 : len(v.Raw)-1])
	}
	var s string
	if err := json.Unmarshal(v.Raw, &s); err != nil {
		return "" // cannot be: the scanner has read it
	}
	return s
}

// Fault says what is wrong with a text, and at which byte.
type Fault struct {
	Offset  int
	Message string
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("byte %d: %s", f.Offset, f.Message) }

// Scanner reads a text from start to end.
type Scanner struct {
	text  []byte
	pos   int
	stack []byte // of the brackets that are open
}

// New returns a scanner of a text. A byte order mark at its start is skipped.
func New(text []byte) *Scanner {
	s := &Scanner{text: text}
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}
	return s
}

// Reset makes the scanner read another text.
func (s *Scanner) Reset(text []byte) { s.text, s.pos = text, 0 }

// Pos returns the offset of the next byte to be read.
func (s *Scanner) Pos() int { return s.pos }

// Peek skips white space and returns the next byte without reading it; 0 at the end.
func (s *Scanner) Peek() byte {
	for s.pos < len(s.text) {
		switch b := s.text[s.pos]; b {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return b
		}
	}
	return 0
}

// End returns a fault unless only white space is left.
func (s *Scanner) End() error {
	if s.Peek(); s.pos < len(s.text) {
		return s.fault("text after the end of the JSON value")
	}
	return nil
}

// Items calls f for each element of the array that comes next; f must read it, with Value or Members.
func (s *Scanner) Items(f func() error) error {
	if s.Peek() != '[' {
		return s.fault("an array must begin here")
	}
	s.pos++
	if s.Peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := f(); err != nil {
			return err
		}
		switch s.Peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return s.fault("a comma or ] must follow an element of an array")
		}
	}
}

// Members calls f for each member of the object that comes next, in the order of the text. The key is valid until f
// returns.
func (s *Scanner) Members(f func(key []byte, value Value)) error { // by itself, not by Each: it is what takes longest of the fastest formats
	if s.Peek() != '{' {
		return s.fault("an object must begin here")
	}
	s.pos++
	if s.Peek() == '}' {
		s.pos++
		return nil
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		value, err := s.Value()
		if err != nil {
			return err
		}
		f(name, value)
		if more, err := s.another(); !more {
			return err
		}
	}
}

// Each calls f for each member of the object that comes next; f must read its value, with Value, Items or Each. The key is valid until f
// does.
func (s *Scanner) Each(f func(key []byte) error) error {
	if s.Peek() != '{' {
		return s.fault("an object must begin here")
	}
	s.pos++
	if s.Peek() == '}' {
		s.pos++
		return nil
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		if err := f(name); err != nil {
			return err
		}
		if more, err := s.another(); !more {
			return err
		}
	}
}

// name reads a key and its colon, and returns what the key says.
func (s *Scanner) name() ([]byte, error) {
	key, err := s.key()
	if err != nil {
		return nil, err
	}
	if key.escaped {
		return []byte(key.Text()), nil
	}
	return key.Raw[1 : len(key.Raw)-1], nil
}

// another reads what follows a member, and reports whether there is another.
func (s *Scanner) another() (bool, error) {
	switch s.Peek() {
	case ',':
		s.pos++
		return true, nil
	case '}':
		s.pos++
		return false, nil
	default:
		return false, s.fault("a comma or } must follow a member of an object")
	}
}

// key reads the key of a member and its colon.
func (s *Scanner) key() (Value, error) {
	if s.Peek() != '"' {
		return Value{}, s.fault("a key in double quotes must stand here")
	}
	key, err := s.scalar()
	if err != nil {
		return Value{}, err
	}
	if s.Peek() != ':' {
		return Value{}, s.fault("a colon must follow a key")
	}
	s.pos++
	return key, nil
}

// Value reads the value that comes next.
func (s *Scanner) Value() (Value, error) {
	b := s.Peek()
	if b != '{' && b != '[' {
		return s.scalar()
	}
	start := s.pos
	v := Value{Kind: Object}
	if b == '[' {
		v.Kind = Array
	}
	s.stack = s.stack[:0]
	for {
		open, err := s.opening()
		if err != nil {
			return Value{}, err
		}
		v.Depth = max(v.Depth, len(s.stack))
		if open {
			continue
		}
		for { // a value has ended
			if len(s.stack) == 0 {
				v.Raw = s.text[start:s.pos:s.pos]
				return v, nil
			}
			more, err := s.next()
			if err != nil {
				return Value{}, err
			}
			if more {
				break
			}
		}
	}
}

// opening reads a scalar, or the bracket that opens an array or object and, of an object, its first key. It returns true when
// a value must follow.
func (s *Scanner) opening() (bool, error) {
	b := s.Peek()
	if b != '{' && b != '[' {
		_, err := s.scalar()
		return false, err
	}
	s.pos++
	s.stack = append(s.stack, b)
	switch next := s.Peek(); {
	case next == b+2: // ] follows [, and } follows {, by two in ASCII; an empty one closes in next
		return false, nil
	case b == '{':
		_, err := s.key()
		return true, err
	default:
		return true, nil
	}
}

// next reads what follows a value inside an array or object. It returns true when another value must follow, and false when
// the array or object has ended.
func (s *Scanner) next() (bool, error) {
	open := s.stack[len(s.stack)-1]
	switch b := s.Peek(); {
	case b == open+2:
		s.pos++
		s.stack = s.stack[:len(s.stack)-1]
		return false, nil
	case b != ',' && open == '[':
		return false, s.fault("a comma or ] must follow an element of an array")
	case b != ',':
		return false, s.fault("a comma or } must follow a member of an object")
	}
	s.pos++
	if open == '[' {
		return true, nil
	}
	_, err := s.key()
	return true, err
}

// scalar reads a string, number, boolean or null.
func (s *Scanner) scalar() (Value, error) {
	switch b := s.Peek(); {
	case b == '"':
		return s.str()
	case b == 't':
		return s.literal("true", Bool)
	case b == 'f':
		return s.literal("false", Bool)
	case b == 'n':
		return s.literal("null", Null)
	case b == '-' || b >= '0' && b <= '9':
		start := s.pos
		err := s.number()
		return Value{Kind: Number, Raw: s.text[start:s.pos:s.pos]}, err
	case s.pos >= len(s.text):
		return Value{}, s.fault("the text ends before the JSON value does")
	default:
		return Value{}, s.fault("a JSON value must stand here")
	}
}

func (s *Scanner) literal(word string, kind Kind) (Value, error) {
	end := s.pos + len(word)
	if end > len(s.text) || string(s.text[s.pos:end]) != word {
		return Value{}, s.fault("a JSON value must stand here")
	}
	v := Value{Kind: kind, Raw: s.text[s.pos:end:end]}
	s.pos = end
	return v, nil
}

func (s *Scanner) str() (Value, error) {
	v := Value{Kind: String}
	start := s.pos
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch b := s.text[s.pos]; {
		case b == '"':
			s.pos++
			v.Raw = s.text[start:s.pos:s.pos]
			return v, nil
		case b == '\\':
			v.escaped = true
			if err := s.escape(); err != nil {
				return Value{}, err
			}
		case b < ' ':
			return Value{}, s.fault("a control character inside a string must be escaped")
		}
	}
	return Value{}, s.fault("a string is not closed")
}

// escape reads an escape but for its last byte.
func (s *Scanner) escape() error {
	s.pos++
	if s.pos >= len(s.text) {
		return s.fault("a string is not closed")
	}
	switch s.text[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.pos++
			if s.pos >= len(s.text) || !hex(s.text[s.pos]) {
				return s.fault(`\u must be followed by four hexadecimal digits`)
			}
		}
		return nil
	default:
		return s.fault("an escape that JSON does not have")
	}
}

func hex(b byte) bool { return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' }

func (s *Scanner) number() error {
	if s.text[s.pos] == '-' {
		s.pos++
	}
	first := s.pos
	if n := s.digits(); n == 0 || n > 1 && s.text[first] == '0' {
		return s.fault("a number must have digits, and no zeros before them")
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.fault("digits must follow the point of a number")
		}
	}
	if s.pos < len(s.text) && (s.text[s.pos] == 'e' || s.text[s.pos] == 'E') {
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fault("digits must follow the exponent of a number")
		}
	}
	return nil
}

func (s *Scanner) digits() int {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

func (s *Scanner) fault(message string) error {
	if s.pos >= len(s.text) {
		message = "the text ends before the JSON value does"
	}
	return &Fault{Offset: min(s.pos, len(s.text)), Message: message}
}
