package simulator

import (
	"fmt"
	"math/rand/v2"
)

// serials hands out numbers of a range in an order that looks random and repeats none before all were used.
type serials struct{ next, size uint64 }

func newSerials(r *rand.Rand, size uint64) *serials {
	return &serials{next: r.Uint64N(size), size: size}
}

func (s *serials) take() uint64 {
	const stride = 7919 // a prime that divides no half of the sizes
	s.next = (s.next + stride) % s.size
	return s.next
}

// bagTag makes a licence plate: an interline bag's leading 0, the airline's prefix and six digits (IATA Resolution 740).
func bagTag(prefix string, serial uint64) string { return fmt.Sprintf("0%s%06d", prefix, serial) }

// airWaybill makes an air waybill number: the airline's prefix, seven digits and the check digit, which is those seven modulo
// seven (IATA Resolution 600a).
func airWaybill(prefix string, serial uint64) string {
	return fmt.Sprintf("%s-%07d%d", prefix, serial, serial%7)
}

// parcelNumber makes an item identifier of the Universal Postal Union: service, eight digits, check digit, country (UPU S10).
func parcelNumber(service, country string, serial uint64) string {
	digits := fmt.Sprintf("%08d", serial)
	sum := 0
	for i, weight := range []int{8, 6, 4, 2, 3, 5, 9, 7} {
		sum += weight * int(digits[i]-'0')
	}
	check := 11 - sum%11
	switch check {
	case 10:
		check = 0
	case 11:
		check = 5
	}
	return fmt.Sprintf("%s%s%d%s", service, digits, check, country)
}
