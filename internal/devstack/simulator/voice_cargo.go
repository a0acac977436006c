package simulator

import (
	"fmt"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// waybillOfMessages is an air waybill as status messages of Cargo-IMP (FSU) tell of it.
func waybillOfMessages(a *author, m *market) *journey { return a.cargo(m) }

// flightDay is the local date of a flight's departure.
func flightDay(f *flight) time.Time {
	day, err := time.ParseInLocation(time.DateOnly, f.date, f.from.location())
	if err != nil {
		panic(err) // it was written by dated
	}
	return day
}

func sayCargo(s saying) ([]byte, int) {
	local, q := s.local(), s.step.quantity
	day, clock := dated(local), local.Format("1504")
	number := s.correlation
	if s.nature == Malformed {
		number = number[:len(number)-1] // seven digits
	}
	last := s.steps[len(s.steps)-1].at
	consignment := number + s.steps[0].at.code + last.code + "/" + shipped(q)
	if q.Pieces < q.TotalPieces {
		consignment += fmt.Sprintf("T%d", q.TotalPieces)
	}
	amount := pieces(q)
	var line string
	switch f := s.step.flight; {
	case s.nature == UnknownCode:
		line = s.strangeStatus() + "/" + day + clock + "/" + s.step.at.code + "/" + amount
	case s.step.code == "BKD":
		line = fmt.Sprintf("BKD/%s/%s/%s%s/%s", f.name(), dated(flightDay(f)), f.from.code, f.to.code, amount)
	case s.step.code == "MAN":
		line = fmt.Sprintf("MAN/%s/%s%s/%s%s/%s", f.name(), day, clock, f.from.code, f.to.code, amount)
	case s.step.code == "DEP":
		line = fmt.Sprintf("DEP/%s/%s/%s%s/%s/A%s", f.name(), day, f.from.code, f.to.code, amount, clock)
	case s.step.code == "RCF":
		line = fmt.Sprintf("RCF/%s/%s%s/%s/%s", f.name(), day, clock, s.step.at.code, amount)
	case s.step.code == "RCS":
		line = fmt.Sprintf("RCS/%s%s/%s/%s/ANDES FREIGHT SAC", day, clock, s.step.at.code, amount)
	case s.step.code == "NFD", s.step.code == "DLV":
		line = fmt.Sprintf("%s/%s%s/%s/%s/PACIFICO CARGO SA", s.step.code, day, clock, s.step.at.code, amount)
	default: // TGC, CCD
		line = fmt.Sprintf("%s/%s%s/%s/%s", s.step.code, day, clock, s.step.at.code, amount)
	}
	body := []string{"FSU/14", consignment, line}
	if s.number%3 == 0 { // as it comes by Type B
		body = append([]string{"QD LIMFMLA", ".MIAFM" + s.market.airlines[0].code + " " + s.now.UTC().Format("021504")}, body...)
	}
	return []byte(strings.Join(body, "\r\n") + "\r\n"), 1
}

// strangeStatus is a status of three letters that the standard does not have.
func (s saying) strangeStatus() string { return "Z" + string(rune('A'+s.number%20)) + "Z" }

// pieces writes a quantity, in whole or in part.
func pieces(q *tracking.Quantity) string {
	if q.Pieces < q.TotalPieces {
		return fmt.Sprintf("P%dK%.1f", q.Pieces, q.Weight)
	}
	return fmt.Sprintf("T%dK%.1f", q.Pieces, q.Weight)
}

func shipped(q *tracking.Quantity) string { return pieces(q) }
