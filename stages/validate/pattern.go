package validate

import (
	"math"
	"regexp/syntax"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// charset is the pattern ^[...]*$, the most usual one: of which characters a text may be made.
type charset struct {
	ascii [utf8.RuneSelf]bool
	// beyond says that every character beyond ASCII is one of them.
	beyond bool
	empty  bool // the text may be
}

// charsetOf returns nil for any other pattern.
func charsetOf(pattern jsonschema.Regexp) *charset {
	parsed := parse(pattern)
	if parsed == nil || parsed.Op != syntax.OpConcat || len(parsed.Sub) != 3 || parsed.Sub[0].Op != syntax.OpBeginText ||
		parsed.Sub[2].Op != syntax.OpEndText {
		return nil
	}
	repeated := parsed.Sub[1]
	if repeated.Op != syntax.OpStar && repeated.Op != syntax.OpPlus || repeated.Sub[0].Op != syntax.OpCharClass {
		return nil
	}
	c := &charset{empty: repeated.Op == syntax.OpStar}
	ranges := repeated.Sub[0].Rune // pairs of the first and the last of each range, in order
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1] && r < utf8.RuneSelf; r++ {
			c.ascii[r] = true
		}
		c.beyond = c.beyond || ranges[i] <= utf8.RuneSelf && ranges[i+1] == utf8.MaxRune
	}
	return c
}

func parse(pattern jsonschema.Regexp) *syntax.Regexp {
	if pattern == nil {
		return nil
	}
	parsed, err := syntax.Parse(pattern.String(), syntax.Perl)
	if err != nil {
		return nil
	}
	return parsed
}

// accepts reports that a text surely matches.
func (c *charset) accepts(text string) bool {
	if text == "" {
		return c.empty
	}
	for i := range len(text) {
		if b := text[i]; b >= utf8.RuneSelf {
			if !c.beyond {
				return false
			}
		} else if !c.ascii[b] {
			return false
		}
	}
	return true
}

// reachOf returns how many bytes of a text a pattern looks at, which says nothing of how the text goes on; math.MaxInt for one that
// may look at all of it.
func reachOf(pattern jsonschema.Regexp) int {
	parsed := parse(pattern)
	if parsed == nil || parsed.Op != syntax.OpConcat || parsed.Sub[0].Op != syntax.OpBeginText {
		return math.MaxInt
	}
	sum := 0
	for _, sub := range parsed.Sub[1:] {
		n := longest(sub)
		if n == math.MaxInt {
			return n
		}
		sum += n
	}
	return sum
}

// longest returns how many bytes an expression of ASCII matches at most; math.MaxInt when that is not known.
func longest(r *syntax.Regexp) int {
	switch r.Op {
	case syntax.OpLiteral:
		for _, c := range r.Rune {
			if c >= utf8.RuneSelf || r.Flags&syntax.FoldCase != 0 {
				return math.MaxInt
			}
		}
		return len(r.Rune)
	case syntax.OpCharClass:
		if n := len(r.Rune); n > 0 && r.Rune[n-1] >= utf8.RuneSelf {
			return math.MaxInt
		}
		return 1
	case syntax.OpEmptyMatch:
		return 0
	case syntax.OpCapture, syntax.OpQuest:
		return longest(r.Sub[0])
	case syntax.OpRepeat:
		if n := longest(r.Sub[0]); r.Max >= 0 && n < math.MaxInt {
			return n * r.Max
		}
		return math.MaxInt
	case syntax.OpConcat, syntax.OpAlternate:
		sum, most := 0, 0
		for _, sub := range r.Sub {
			n := longest(sub)
			if n == math.MaxInt {
				return n
			}
			sum, most = sum+n, max(most, n)
		}
		if r.Op == syntax.OpAlternate {
			return most
		}
		return sum
	default:
		return math.MaxInt
	}
}
