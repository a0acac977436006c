package baggage

// irregularities are the codes of .B that are known.
var irregularities = map[string]bool{
	"LOD": true, "NAL": true, "OFF": true, "NOF": true, "ONA": true, "OND": true, "UNS": true, "LBA": true, "LBN": true,
}

// legKind is which flight an event is about.
type legKind int

const (
	noLeg legKind = iota
	outboundLeg
	inboundLeg
)

// code returns the type of an event and the flight that it is about. Of several elements the first that there is decides: DEL, .B,
// .U, .X, .G, .J, .R, as the public mapping of ACI and Avinor has it; and where bags arrive or are transferred, .V before .G.
func (r *reading) code(status string, element int, n *notes) (string, legKind) {
	m, h := r.h.m, r.h
	arriving := h.indicator == 'X' || h.indicator == 'F'
	leg := outboundLeg
	if arriving {
		leg = inboundLeg
	}
	switch {
	case m.change == "DEL":
		return m.kind + ".DEL", leg
	case status != "":
		e := &m.elements[element]
		if !shortCode(status) {
			n.warnf(e.line, e.name(1), CodeUnknown, "the status of the bag is no code of up to eight letters; it is kept in the payload")
			return m.kind + ".B", leg
		}
		if !irregularities[status] {
			n.warnf(e.line, ".B/1", CodeUnknown, "%q is no status of a bag that is known; it is kept", status)
		}
		if status == "NOF" {
			leg = inboundLeg
		}
		return m.kind + "." + status, leg
	case m.kind == "BCM" && m.control != "":
		return "BCM." + m.control, leg
	case m.kind == "BUM" && arriving:
		return "BUM.1" + string(rune(h.indicator)), leg
	case m.kind != "BPM" && m.change == "CHG" && (m.kind == "BSM" || m.kind == "BTM"):
		return m.kind + ".CHG", leg
	case m.kind != "BPM":
		return m.kind, leg
	default:
		return r.processed(arriving, leg)
	}
}

// processed returns the type of the event of a BPM without irregularities.
func (r *reading) processed(arriving bool, leg legKind) (string, legKind) {
	at := ".1" + string(rune(r.h.indicator))
	switch {
	case r.Stowage != nil && arriving:
		return "BPM.U" + at, leg
	case r.Stowage != nil:
		return "BPM.U", leg
	case len(r.Screening) > 0:
		if result := r.Screening[len(r.Screening)-1].Result; shortCode(result) {
			return "BPM." + result, leg
		}
		return "BPM.X", leg
	case r.h.indicator == 'X':
		return "BPM" + at, leg
	case (r.h.indicator == 'F' || r.h.indicator == 'T') && (r.Inbound != nil || len(r.Onward) > 0):
		if r.Inbound == nil {
			return "BPM" + at, noLeg // the flight out has not taken it yet
		}
		return "BPM" + at, inboundLeg
	case r.g.one(r.h.m, 'G') != nil:
		return "BPM.G", leg
	case len(r.Processing) > 0:
		if code := r.Processing[len(r.Processing)-1].Code; shortCode(code) {
			return "BPM.J" + code, leg
		}
		return "BPM.J", leg
	case len(r.Internal) > 0:
		return "BPM.R", leg
	default:
		return "BPM", leg
	}
}

// shortCode reports whether a text can be part of the type of an event.
func shortCode(s string) bool { return len(s) <= 8 && alphanumeric(s) }
