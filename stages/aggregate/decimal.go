package aggregate

import (
	"math/big"
	"strconv"
	"strings"
)

// Limits of a number: of what is longer, a sum could be made to fill the memory by a few bytes ("1e999999999").
const (
	maxNumber   = 64 // characters
	maxExponent = 64
)

// decimal is an exact decimal number: units × 10^-scale. scale is not negative.
type decimal struct {
	units *big.Int
	scale int
}

// parseDecimal reads a number as JSON writes it (RFC 8259, section 6), with a + and zeros before it if need be. It reports false for
// what is none, and for numbers beyond the limits.
func parseDecimal(text string) (decimal, bool) {
	if len(text) > maxNumber {
		return decimal{}, false
	}
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil || exponent < -maxExponent || exponent > maxExponent {
			return decimal{}, false
		}
		mantissa = text[:i]
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	digits := strings.TrimPrefix(strings.TrimPrefix(whole, "+"), "-")
	if len(whole)-len(digits) > 1 || !allDigits(digits) || point && !allDigits(fraction) {
		return decimal{}, false
	}
	units, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return decimal{}, false
	}
	d := decimal{units, len(fraction) - exponent}
	if d.scale < 0 {
		d = decimal{units.Mul(units, powerOfTen(-d.scale)), 0}
	}
	return d, true
}

func allDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

func powerOfTen(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// at returns the units of d at a scale that is not less than its own.
func (d decimal) at(scale int) *big.Int {
	if scale == d.scale {
		return d.units
	}
	return new(big.Int).Mul(d.units, powerOfTen(scale-d.scale))
}

func (d decimal) plus(other decimal) decimal {
	scale := max(d.scale, other.scale)
	return decimal{new(big.Int).Add(d.at(scale), other.at(scale)), scale}
}

func (d decimal) compare(other decimal) int {
	scale := max(d.scale, other.scale)
	return d.at(scale).Cmp(other.at(scale))
}

// over returns the number divided by n, to six digits behind the point, half rounded away from zero.
func (d decimal) over(n int64) decimal {
	const scale = 6
	quotient := new(big.Rat).SetFrac(d.units, new(big.Int).Mul(powerOfTen(d.scale), big.NewInt(n)))
	units, _ := new(big.Int).SetString(strings.Replace(quotient.FloatString(scale), ".", "", 1), 10)
	return decimal{units, scale}
}

// String returns the number as JSON writes it, without an exponent and without zeros behind the last digit after the point.
func (d decimal) String() string {
	digits := new(big.Int).Abs(d.units).String()
	if missing := d.scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, fraction := digits[:len(digits)-d.scale], strings.TrimRight(digits[len(digits)-d.scale:], "0")
	if d.units.Sign() < 0 {
		whole = "-" + whole
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
