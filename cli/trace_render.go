package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rastrohq/rastro/tracking"
)

// painter colours text when it is true.
type painter bool

// The SGR parameters (ECMA-48) that traces are painted with.
const (
	bold   = "1"
	faint  = "2"
	struck = "2;9"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p painter) paint(style, text string) string {
	if !p || text == "" || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// renderTrace writes a trace for people.
func renderTrace(t *tracking.Trace, p painter) string {
	var out strings.Builder
	writeHead(&out, t, p)
	writeMilestones(&out, t, p)
	writeLegs(&out, t, p)
	writePieces(&out, t, p)
	writeAggregates(&out, t, p)
	writeEvents(&out, t, p)
	return out.String()
}

func writeHead(out *strings.Builder, t *tracking.Trace, p painter) {
	name := clean(t.CorrelationID)
	if t.Kind != "" {
		name = clean(string(t.Kind)) + " " + name
	}
	fmt.Fprintf(out, "%s  %s", p.paint(bold, name), p.paint(statusStyle(t.Status), words(string(t.Status))))
	if t.Exception != "" {
		fmt.Fprintf(out, "  %s", p.paint(red, "! "+words(t.Exception)))
	}
	out.WriteByte('\n')

	facts := []string{clean(t.TenantID)}
	if t.AggregateID != "" && t.AggregateID != t.CorrelationID {
		facts = append(facts, clean(t.AggregateID))
	}
	if more := len(t.Aggregates) - 1; more > 0 {
		facts[len(facts)-1] += fmt.Sprintf(" and %d more", more)
	}
	facts = append(facts, events(max(t.EventCount, len(t.Events))))
	if t.VoidedCount > 0 {
		facts = append(facts, fmt.Sprintf("%d do not count", t.VoidedCount))
	}
	if t.UnknownCount > 0 {
		facts = append(facts, fmt.Sprintf("%d of unknown codes", t.UnknownCount))
	}
	if t.LastLocation != nil {
		if where := whereabouts(*t.LastLocation); where != "" {
			facts = append(facts, "last seen at "+where)
		}
	}
	if t.EstimatedAt != nil {
		facts = append(facts, "expected "+stamp(*t.EstimatedAt))
	}
	fmt.Fprintln(out, p.paint(faint, strings.Join(facts, " · ")))
	if len(t.Anomalies) > 0 {
		odd := make([]string, len(t.Anomalies))
		for i, anomaly := range t.Anomalies {
			odd[i] = words(anomaly)
		}
		fmt.Fprintln(out, p.paint(yellow, "odd: "+strings.Join(odd, ", ")))
	}
}

func writeMilestones(out *strings.Builder, t *tracking.Trace, p painter) {
	if len(t.Milestones) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", p.paint(bold, "Milestones"))
	rows := make([][]cell, len(t.Milestones))
	for i, m := range t.Milestones {
		rows[i] = []cell{{text: words(string(m.Milestone)), style: statusStyle(m.Milestone)}, {text: stamp(m.FirstAt)}, {}}
		if m.Count > 1 {
			rows[i][2] = cell{text: fmt.Sprintf("%d events", m.Count), style: faint}
		}
	}
	writeRows(out, rows, p)
}

func writeLegs(out *strings.Builder, t *tracking.Trace, p painter) {
	if len(t.Legs) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", p.paint(bold, "Legs"))
	rows := make([][]cell, len(t.Legs))
	for i := range t.Legs {
		l := &t.Legs[i]
		rows[i] = []cell{
			{text: legName(&l.Transport), style: cyan}, {text: clean(l.Transport.Date)}, {text: route(&l.Transport)},
			{text: words(string(l.Status)), style: statusStyle(l.Status)},
		}
	}
	writeRows(out, rows, p)
}

func writePieces(out *strings.Builder, t *tracking.Trace, p painter) {
	if t.Pieces == nil {
		return
	}
	fmt.Fprintf(out, "\n%s\n", p.paint(bold, "Pieces"))
	var rows [][]cell
	for _, m := range tracking.Milestones() {
		if n, ok := t.Pieces.ByMilestone[m]; ok {
			count := fmt.Sprintf("%d", n)
			if t.Pieces.Total > 0 {
				count = fmt.Sprintf("%d of %d", n, t.Pieces.Total)
			}
			rows = append(rows, []cell{{text: words(string(m)), style: statusStyle(m)}, {text: count}})
		}
	}
	writeRows(out, rows, p)
}

// writeAggregates writes how far each thing has come, when there are several.
func writeAggregates(out *strings.Builder, t *tracking.Trace, p painter) {
	if len(t.ByAggregate) < 2 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", p.paint(bold, "Aggregates"))
	rows := make([][]cell, len(t.ByAggregate))
	for i := range t.ByAggregate {
		a := &t.ByAggregate[i]
		rows[i] = []cell{{text: clean(a.AggregateID)}, {text: words(string(a.Status)), style: statusStyle(a.Status)}, {}, {}, {}}
		if last := a.LastEvent; last != nil {
			rows[i][2], rows[i][3] = cell{text: stamp(last.At)}, cell{text: clean(last.Type)}
		}
		if a.Exception != "" {
			rows[i][4] = cell{text: "! " + words(a.Exception), style: red}
		}
	}
	writeRows(out, rows, p)
}

func writeEvents(out *strings.Builder, t *tracking.Trace, p painter) {
	if len(t.Events) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", p.paint(bold, "Events"))
	corrected := map[[2]string]bool{}
	for i := range t.Events {
		if e := &t.Events[i]; e.Event != nil && e.Superseded {
			corrected[[2]string{e.Source, e.EventID}] = true
		}
	}
	rows := make([][]cell, 0, len(t.Events))
	for i := range t.Events {
		if e := &t.Events[i]; e.Event != nil {
			rows = append(rows, eventRow(e, corrected[[2]string{e.Source, e.EventID}]))
		}
	}
	writeRows(out, rows, p)
}

// eventRow makes the row of an event. corrected says that one of its revisions was superseded by another.
func eventRow(e *tracking.TraceEvent, corrected bool) []cell {
	milestone := cell{text: words(string(e.Enrichment.Milestone)), style: statusStyle(e.Enrichment.Milestone)}
	if e.Enrichment.Milestone == tracking.None {
		milestone = cell{}
	}
	row := []cell{{text: stamp(e.OccurredAt)}, milestone, {text: clean(e.Type)}, {text: eventPlace(e.Event)}, {}, {}, {}}
	if leg := e.Leg(); leg != nil {
		row[4] = cell{text: legName(leg), style: cyan}
	}
	if q := e.Quantity; q != nil && q.Pieces > 0 {
		row[5].text = fmt.Sprintf("%d pc", q.Pieces)
		if q.TotalPieces > 0 {
			row[5].text = fmt.Sprintf("%d of %d pc", q.Pieces, q.TotalPieces)
		}
	}
	row[6] = cell{text: strings.Join(marks(e, corrected), ", "), style: yellow}
	if _, over := tracking.Clears(e.Enrichment.Exception); e.Enrichment.Exception != "" && !over {
		row[6].style = red
	}
	if e.Voided || e.Superseded {
		for i := range row[:6] {
			row[i].style = struck
		}
		row[6].style = faint
	}
	return row
}

// marks says what is particular about an event.
func marks(e *tracking.TraceEvent, corrected bool) []string {
	var all []string
	if exception := e.Enrichment.Exception; exception != "" {
		all = append(all, "! "+words(strings.Replace(exception, ":", ": ", 1)))
	}
	if e.Classifier != "" && e.Classifier != tracking.Actual {
		all = append(all, clean(string(e.Classifier)))
	}
	if e.TimeQuality != "" && e.TimeQuality != tracking.Exact {
		all = append(all, words(string(e.TimeQuality)))
	}
	if e.Late {
		all = append(all, "late")
	}
	switch {
	case e.Voided:
		all = append(all, "voided")
	case e.Superseded:
		all = append(all, "superseded")
	case corrected:
		all = append(all, "corrected")
	}
	if e.Corrects != nil {
		verb := "voids"
		if e.Corrects.Kind == tracking.Replace {
			verb = "replaces"
		}
		all = append(all, clean(verb+" "+strings.Join(e.Corrects.EventIDs, ", ")))
	}
	return all
}

// cell is a piece of a table: its text is padded before it is painted.
type cell struct{ text, style string }

// writeRows writes rows in columns as wide as their longest text; empty columns take no room.
func writeRows(out *strings.Builder, rows [][]cell, p painter) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		last := len(row) - 1
		for last > 0 && row[last].text == "" {
			last--
		}
		for i, c := range row[:last+1] {
			if widths[i] == 0 {
				continue
			}
			out.WriteString("  " + p.paint(c.style, c.text))
			if i < last {
				out.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)))
			}
		}
		out.WriteByte('\n')
	}
}

func statusStyle(m tracking.Milestone) string {
	switch m {
	case tracking.Delivered:
		return green
	case tracking.Returned, tracking.Cancelled, tracking.Lost, tracking.Destroyed, tracking.Expired:
		return red
	case tracking.Unknown:
		return faint
	default:
		return yellow
	}
}

// stamp writes a time in its own zone, to the second.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.Format("2006-01-02 15:04:05 Z07:00")
}

// eventPlace writes where an event happened, as well as anybody knows: "LIM Lima, PE".
func eventPlace(e *tracking.Event) string {
	w := tracking.Whereabouts{}
	if e.Location != nil {
		w.Location = *e.Location
	}
	if place := e.Enrichment.Place; place != nil {
		w.City, w.Country = firstOf(place.City, place.Name), place.Country
		if code(w.Location) == "" {
			w.IATA = place.IATA
		}
	}
	return whereabouts(w)
}

func whereabouts(w tracking.Whereabouts) string {
	area := slices.DeleteFunc([]string{firstOf(w.City, w.Name), w.Country}, func(s string) bool { return s == "" })
	text := strings.TrimSpace(code(w.Location) + " " + strings.Join(area, ", "))
	if text == "" {
		text = w.Facility
	}
	if text == "" && w.Lat != nil && w.Lon != nil {
		text = fmt.Sprintf("%.4f, %.4f", *w.Lat, *w.Lon)
	}
	return clean(text)
}

func code(l tracking.Location) string { return firstOf(l.IATA, l.ICAO, l.UNLocode, l.GLN) }

// legName names a flight, voyage or truck: "LA2047".
func legName(t *tracking.Transport) string {
	return clean(firstOf(t.Carrier+t.Number, t.Mode))
}

func route(t *tracking.Transport) string {
	if t.Origin == "" && t.Destination == "" {
		return ""
	}
	return clean(firstOf(t.Origin, "?") + " → " + firstOf(t.Destination, "?"))
}

// words makes words of a code of ours: "out_for_delivery" is "out for delivery".
func words(code string) string { return clean(strings.ReplaceAll(code, "_", " ")) }

// clean keeps what a sender wrote from steering the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
