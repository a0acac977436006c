package tracking

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What can be wrong with an identifier. Structure says that it is not of its kind at all. CheckDigit is only a warning:
// identifiers with a wrong check digit do travel, so they are flagged and never refused.
var (
	ErrStructure  = errors.New("not of the form it must have")
	ErrCheckDigit = errors.New("check digit does not match")
)

// CheckAirWaybill checks an air waybill number, "157-53806270" with or without the hyphen: three digits of the airline, seven
// of the serial number and its check digit, the serial number modulo 7 (IATA Resolution 600a).
func CheckAirWaybill(s string) error {
	plain := strings.Replace(s, "-", "", 1)
	if len(plain) != 11 || !digits(plain) || len(s) == 12 && s[3] != '-' {
		return fmt.Errorf("air waybill %q: %w: ppp-nnnnnnnc", s, ErrStructure)
	}
	serial, err := strconv.Atoi(plain[3:10])
	if err != nil {
		return fmt.Errorf("air waybill %q: %w", s, ErrStructure)
	}
	return checkDigit("air waybill", s, plain[10], serial%7)
}

// BagTag is a licence plate of a bag in its parts (IATA Resolution 740): it has no check digit.
type BagTag struct {
	// Leading is 0 for interline and online tags, 1 fallback, 2 rush, 3 to 9 as the carrier uses it.
	Leading byte
	// Issuer is the airline's three-digit accounting code.
	Issuer string
	Serial string
}

// ParseBagTag reads a ten-digit licence plate. 0000000000 is what a scanner says that could not read one, and so is none.
func ParseBagTag(s string) (BagTag, error) {
	if len(s) != 10 || !digits(s) {
		return BagTag{}, fmt.Errorf("bag tag %q: %w: ten digits", s, ErrStructure)
	}
	if s == "0000000000" {
		return BagTag{}, fmt.Errorf("bag tag %q: %w: it stands for a tag that could not be read", s, ErrStructure)
	}
	return BagTag{Leading: s[0] - '0', Issuer: s[1:4], Serial: s[4:]}, nil
}

// ExpandBagTags returns the licence plates that a .N element of a baggage message stands for (IATA RP 1745): a plate and
// three digits for how many consecutive plates it is the first of.
func ExpandBagTags(element string) ([]string, error) {
	if len(element) != 13 || !digits(element) {
		return nil, fmt.Errorf("bag tags %q: %w: ten digits and a count of three", element, ErrStructure)
	}
	if _, err := ParseBagTag(element[:10]); err != nil {
		return nil, err
	}
	serial, err := strconv.Atoi(element[4:10])
	if err != nil {
		return nil, fmt.Errorf("bag tags %q: %w", element, ErrStructure)
	}
	count, err := strconv.Atoi(element[10:])
	if err != nil || count == 0 || serial+count-1 > 999_999 {
		return nil, fmt.Errorf("bag tags %q: %w: the count must be 1 or more and stay within the issuer's serials", element, ErrStructure)
	}
	tags := make([]string, count)
	for i := range tags {
		tags[i] = fmt.Sprintf("%s%06d", element[:4], serial+i)
	}
	return tags, nil
}

// CheckContainer checks the number of a freight container by ISO 6346: four letters, six digits and a check digit.
func CheckContainer(s string) error {
	if len(s) != 11 || !digits(s[4:]) {
		return fmt.Errorf("container %q: %w: four letters and seven digits", s, ErrStructure)
	}
	sum := 0
	for i := range 10 {
		value := int(s[i] - '0')
		if i < 4 {
			if !letter(s[i]) {
				return fmt.Errorf("container %q: %w: four letters and seven digits", s, ErrStructure)
			}
			n := int(s[i] - 'A')
			value = 10 + n + (n+9)/10 // A is 10; multiples of 11 are left out
		}
		sum += value << i
	}
	return checkDigit("container", s, s[10], sum%11%10)
}

// CheckGS1 checks the last digit of a GS1 key: GTIN-8, -12, -13 and -14, GLN and SSCC.
func CheckGS1(s string) error {
	switch len(s) {
	case 8, 12, 13, 14, 18:
	default:
		return fmt.Errorf("GS1 key %q: %w: 8, 12, 13, 14 or 18 digits", s, ErrStructure)
	}
	if !digits(s) {
		return fmt.Errorf("GS1 key %q: %w: digits only", s, ErrStructure)
	}
	want, err := GS1CheckDigit(s[:len(s)-1])
	if err != nil {
		return err
	}
	return checkDigit("GS1 key", s, s[len(s)-1], want)
}

// GS1CheckDigit returns the check digit of a GS1 key without it: modulo 10, weights 3 and 1 from the right (GS1 General
// Specifications 7.9).
func GS1CheckDigit(s string) (int, error) {
	if s == "" || !digits(s) {
		return 0, fmt.Errorf("GS1 key %q: %w: digits only", s, ErrStructure)
	}
	sum := 0
	for i := range len(s) {
		weight := 1
		if (len(s)-i)%2 == 1 {
			weight = 3
		}
		sum += weight * int(s[i]-'0')
	}
	return (10 - sum%10) % 10, nil
}

func checkDigit(what, s string, got byte, want int) error {
	if int(got-'0') == want {
		return nil
	}
	return fmt.Errorf("%s %q: %w: it should be %d", what, s, ErrCheckDigit, want)
}
