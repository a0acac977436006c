package simulator

import (
	"fmt"
	"strings"
)

// bagOfMessages is a bag as baggage messages (IATA RP 1745) tell of it, from check-in to the belt.
func bagOfMessages(a *author, m *market) *journey {
	j := a.bag(m)
	return j.only(func(s step) bool {
		switch s.code {
		case "checked_in", "screened", "loaded", "transferred", "arrived", "available":
			return true
		}
		return false
	})
}

func sayBaggage(s saying) ([]byte, int) {
	f, local := s.step.flight, s.local()
	tag := s.correlation + "001" // that one, and no more
	day := dated(local)
	if s.nature == Malformed {
		day = "0/" + day[1:]
	}
	at := day + "/" + local.Format("150405") + "L"
	flight := fmt.Sprintf(".F/%s/%s/%s/Y", f.name(), dated(flightDay(f)), f.to.code)
	kind, lines := "BPM", []string{".V/1L" + s.step.at.code}
	add := func(more ...string) { lines = append(lines, more...) }
	switch s.nature {
	case NoRead:
		add(".J/S///"+at+"/"+s.step.device, ".N/0000000000001")
		return baggageMessage("BPM", lines), 0
	case UnknownCode:
		add(".J/R///"+at+"/"+s.step.device, flight, ".B/"+s.strange+"/"+tag)
		return baggageMessage("BPM", lines), 1
	case Correction: // the flight is the same, the seat another
		add(flight, ".N/"+tag, ".S/Y/22C/C/099//N")
		return baggageMessage("BSM\r\nCHG", lines), 1
	case Regular, Late, Resend, Mistake, Void, Malformed:
	}
	switch s.step.code {
	case "checked_in":
		kind = "BSM"
		add(".D/C/"+s.step.device+"/"+at, flight, ".N/"+tag, fmt.Sprintf(".S/Y/%dA/C/%03d//N", 1+s.number%30, 1+s.number%250),
			fmt.Sprintf(".W/K/1/%v", s.step.detail["weight_kg"]), ".P/QUISPE/ANA")
	case "screened":
		add(".J/S///"+at+"/"+s.step.device, flight, ".N/"+tag, ".X//CLR///HBS/LEVEL1")
	case "loaded":
		add(".J/R///"+at+"/"+s.step.device, flight, fmt.Sprintf(".U/AKE%05d%s", 10000+s.number%80000, f.carrier.code), ".N/"+tag)
	case "transferred":
		lines[0] = ".V/1T" + s.step.at.code
		add(".J/S///"+at+"/"+s.step.device, flight, fmt.Sprintf(".O/%s/%s/%s/Y", f.name(), dated(flightDay(f)), f.to.code), ".N/"+tag)
	case "arrived":
		lines[0] = ".V/1X" + s.step.at.code
		add(".J/R///"+at+"/"+s.step.device, flight, fmt.Sprintf(".U/AKE%05d%s", 10000+s.number%80000, f.carrier.code), ".N/"+tag)
	default: // available
		lines[0] = ".V/1X" + s.step.at.code
		add(".J/S///"+at+"/"+s.step.device, flight, ".N/"+tag)
	}
	return baggageMessage(kind, lines), 1
}

func baggageMessage(kind string, lines []string) []byte {
	end, _, _ := strings.Cut(kind, "\r\n")
	return text("%s\r\n%s\r\nEND%s\r\n", kind, strings.Join(lines, "\r\n"), end)
}
