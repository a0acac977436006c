// Package localtime reads the dates and times of teletype messages, which leave out the year and, mostly, the zone: 20JUN,
// 20JUN1510, 05FEB and 1059L, 124657Z. What is left out is inferred from when the message was received and from the zone of the
// station that it speaks of, and how well the time is then known is said with it.
package localtime

import (
	"fmt"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Past and Future frame, around the time of receipt, the times that a date without a year may mean. They are less than a year
// apart, so that one year at most fits.
const (
	Past   = 300 * 24 * time.Hour
	Future = 60 * 24 * time.Hour
)

// Date is a day as messages write it.
type Date struct {
	Day   int
	Month time.Month
	// Year is 0 when it is left out, as it mostly is.
	Year int
}

// Clock is a time of day as messages write it.
type Clock struct {
	Hour, Minute, Second int
	// UTC says that the suffix was Z; otherwise it is local, whether the suffix was L or none.
	UTC bool
}

// Instant is a time and how well it is known.
type Instant struct {
	// Time is in the zone of the station, as a fixed offset; or UTC for a clock that says so, and where the zone is not known.
	Time time.Time
	// Quality is DateOnly without a time of day, ZoneInferred where the zone is not known and UTC was assumed, YearInferred where
	// only the year was left out, and Exact where nothing was.
	Quality tracking.TimeQuality
	// Far says that in no year the date lies between Past and Future of the receipt; the nearest was taken.
	Far bool
}

var months = [...]string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}

// ParseDate reads DDMMM, and DDMMMYY or DDMMMYYYY too. The case of letters does not matter.
func ParseDate(s string) (Date, error) {
	wrong := func() (Date, error) { return Date{}, fmt.Errorf("%q is no date such as 20JUN", s) }
	if len(s) != 5 && len(s) != 7 && len(s) != 9 {
		return wrong()
	}
	day, ok := number(s[:2])
	year, yearOK := number(s[5:])
	if !ok || !yearOK || day < 1 {
		return wrong()
	}
	d := Date{Day: day, Year: year}
	if len(s) == 7 {
		d.Year += 2000
	}
	if len(s) == 9 && (year < 1970 || year > 9998) {
		return wrong()
	}
	for i, name := range months {
		if strings.EqualFold(s[2:5], name) {
			d.Month = time.Month(i + 1)
		}
	}
	if d.Month == 0 {
		return wrong()
	}
	if last := daysIn(d.Month, d.Year); day > last {
		return Date{}, fmt.Errorf("%q is no date: the month has %d days", s, last)
	}
	return d, nil
}

// daysIn returns the days of a month; of a February without a year, 29.
func daysIn(m time.Month, year int) int {
	if year == 0 {
		year = 2000
	}
	return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// ParseClock reads HHMM or HHMMSS, with the suffix L (local), Z (UTC) or none. 2400 is the end of the day.
func ParseClock(s string) (Clock, error) {
	text, utc := s, false
	if n := len(s); n > 0 {
		switch s[n-1] {
		case 'Z', 'z':
			text, utc = s[:n-1], true
		case 'L', 'l':
			text = s[:n-1]
		}
	}
	n, ok := number(text)
	if len(text) == 4 {
		n *= 100
	}
	c := Clock{Hour: n / 10000, Minute: n / 100 % 100, Second: n % 100, UTC: utc}
	switch {
	case !ok || len(text) != 4 && len(text) != 6:
		return Clock{}, fmt.Errorf("%q is no time of day such as 1510, 1510Z or 151030L", s)
	case c.Minute > 59 || c.Second > 59 || c.Hour > 23 && n != 240000:
		return Clock{}, fmt.Errorf("%q is no time of day: hours go to 23, minutes and seconds to 59", s)
	}
	return c, nil
}

// Parse reads a date and perhaps a time of day in one: DDMMM, DDMMMHHMM or DDMMMHHMMSS, with L, Z or no suffix. The clock is nil
// when there is none.
func Parse(s string) (Date, *Clock, error) {
	if len(s) < 9 {
		d, err := ParseDate(s)
		return d, nil, err
	}
	d, err := ParseDate(s[:5])
	if err != nil {
		return Date{}, nil, fmt.Errorf("%q is no date and time such as 20JUN1510: %w", s, err)
	}
	c, err := ParseClock(s[5:])
	if err != nil {
		return Date{}, nil, fmt.Errorf("%q is no date and time such as 20JUN1510: %w", s, err)
	}
	return d, &c, nil
}

// number reads decimal digits; no text is 0.
func number(s string) (n int, ok bool) {
	if len(s) > 9 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

// In returns when a date and time of day are, in the year that is nearest to when the message was received. The zone is that of
// the station, nil when it is not known. Without a clock it is the start of the day. It returns an error for 29 February where
// none is near.
func (d Date) In(received time.Time, zone *time.Location, clock *Clock) (Instant, error) {
	var c Clock
	in := Instant{Quality: tracking.DateOnly}
	if clock != nil {
		c, in.Quality = *clock, tracking.YearInferred
		if d.Year != 0 {
			in.Quality = tracking.Exact
		}
	}
	if c.UTC {
		zone = time.UTC
	}
	if zone == nil {
		zone = time.UTC
		if clock != nil {
			in.Quality = tracking.ZoneInferred
		}
	}
	at := func(year int) time.Time { return time.Date(year, d.Month, d.Day, c.Hour, c.Minute, c.Second, 0, zone) }
	if d.Year != 0 {
		in.Time = fixed(at(d.Year))
		return in, nil
	}
	best, found := time.Duration(0), false
	year := received.In(zone).Year()
	for _, y := range [...]int{year - 1, year, year + 1} {
		if d.Day > daysIn(d.Month, y) {
			continue
		}
		t := at(y)
		gap := t.Sub(received)
		far := gap < -Past || gap > Future
		if !found || !far && in.Far || far == in.Far && gap.Abs() < best {
			in.Time, in.Far, best, found = fixed(t), far, gap.Abs(), true
		}
	}
	if !found {
		return Instant{}, fmt.Errorf("29FEB is no date of %d to %d", year-1, year+1)
	}
	return in, nil
}

// Near returns the time with a time of day which lies nearest to another, in the zone of its station: an actual time of 0012
// against a schedule of 2350 is that of the next day. A zone that is not known is that of the other time.
func (c Clock) Near(other time.Time, zone *time.Location) time.Time {
	if c.UTC {
		zone = time.UTC
	}
	if zone == nil {
		zone = other.Location()
	}
	o := other.In(zone)
	var nearest time.Time
	for day := -1; day <= 1; day++ {
		t := time.Date(o.Year(), o.Month(), o.Day()+day, c.Hour, c.Minute, c.Second, 0, zone)
		if nearest.IsZero() || t.Sub(other).Abs() < nearest.Sub(other).Abs() {
			nearest = t
		}
	}
	return fixed(nearest)
}

// DayTime reads the DDHHMM of the origin line of a Type B message, which is UTC: in the month that brings it nearest to when the
// message was received.
func DayTime(s string, received time.Time) (time.Time, error) {
	wrong := fmt.Errorf("%q is no day and time such as 200739", s)
	if len(s) != 6 {
		return time.Time{}, wrong
	}
	day, ok := number(s[:2])
	clock, err := ParseClock(s[2:])
	if !ok || err != nil || day < 1 || day > 31 {
		return time.Time{}, wrong
	}
	r := received.UTC()
	var nearest time.Time
	for month := -2; month <= 1; month++ {
		first := time.Date(r.Year(), r.Month()+time.Month(month), 1, 0, 0, 0, 0, time.UTC)
		if day > daysIn(first.Month(), first.Year()) {
			continue
		}
		t := time.Date(first.Year(), first.Month(), day, clock.Hour, clock.Minute, 0, 0, time.UTC)
		if nearest.IsZero() || t.Sub(r).Abs() < nearest.Sub(r).Abs() {
			nearest = t
		}
	}
	return nearest, nil
}

// fixed gives a time the offset that its zone has at that time, so that it does not depend on the machine it is printed on.
func fixed(t time.Time) time.Time {
	if _, offset := t.Zone(); offset != 0 {
		return t.In(time.FixedZone("", offset))
	}
	return t.UTC()
}
