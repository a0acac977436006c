package baggage

import (
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

// content is the payload but for the tag and the text.
type content struct {
	Message        string          `json:"message"`
	Change         string          `json:"change,omitempty"`
	Control        string          `json:"control,omitempty"`
	Repeat         bool            `json:"possible_duplicate,omitempty"`
	Source         source          `json:"source"`
	Outbound       *flight         `json:"outbound,omitempty"`
	Inbound        *flight         `json:"inbound,omitempty"`
	Onward         []*flight       `json:"onward,omitempty"`
	Processing     []processing    `json:"processing,omitempty"`
	Screening      []screening     `json:"screening,omitempty"`
	Stowage        *stowage        `json:"stowage,omitempty"`
	Reconciliation *reconciliation `json:"reconciliation,omitempty"`
	Weight         *weight         `json:"weight,omitempty"`
	Exceptions     []string        `json:"exceptions,omitempty"`
	CheckIn        *checkIn        `json:"check_in,omitempty"`
	Handling       *handling       `json:"handling,omitempty"`
	LoadSequence   string          `json:"load_sequence,omitempty"`
	Printer        string          `json:"printer,omitempty"`
	Internal       []string        `json:"internal,omitempty"`
	Others         []other         `json:"others,omitempty"`
	Encoding       string          `json:"encoding,omitempty"`
}

// content reads the elements of a group. at is when it happened as its elements say; nil when they do not.
func (d *decoder) content(h *head, g *bags, n *notes) (c content, at *localtime.Instant) {
	m := h.m
	c = content{Message: m.kind, Change: m.change, Control: m.control, Repeat: m.repeat, Source: h.source}
	if m.latin1 {
		c.Encoding = "iso-8859-1"
	}
	c.Outbound, c.Inbound = d.flight(h, g.one(m, 'F'), n), d.flight(h, g.one(m, 'I'), n)
	for _, e := range g.all(m, 'O') {
		c.Onward = append(c.Onward, d.flight(h, e, n))
	}
	for _, e := range g.all(m, 'J') {
		p := processing{
			Code: strings.ToUpper(e.field(1)), Agent: e.field(2), Scanner: e.field(3), Location: e.field(6), SentTo: e.field(7),
		}
		if p.Meaning = processes[p.Code]; p.Meaning == "" && p.Code != "" {
			n.warnf(e.line, e.name(1), CodeUnknown, "%q is no process that is known; it should be S, R, G or H", wire.Shorten(e.field(1)))
		}
		if in := d.moment(h, e, 4, 5, n); in != nil {
			p.At, at = in.Time.Format(time.RFC3339), in
		}
		c.Processing = append(c.Processing, p)
	}
	for _, e := range g.all(m, 'X') {
		x := screening{
			Instruction: e.field(1), Result: strings.ToUpper(e.field(2)), Reason: e.field(3), Method: e.field(4), Autograph: e.field(5),
			Text: strings.TrimRight(strings.Join(e.fields[min(5, len(e.fields)):], "/"), "/"),
		}
		if x.Result != "" && !screeningResults[x.Result] {
			n.warnf(e.line, e.name(2), CodeUnknown, "%q is no result of screening that is known; it should be CLR, REJ or UCL", wire.Shorten(e.field(2)))
		}
		c.Screening = append(c.Screening, x)
	}
	if e := g.one(m, 'D'); e != nil {
		c.CheckIn = &checkIn{Location: e.field(1), Description: e.field(2), Carriage: e.field(5), Transport: e.field(6)}
		if in := d.moment(h, e, 3, 4, n); in != nil {
			c.CheckIn.At = in.Time.Format(time.RFC3339)
			if m.kind == "BSM" && m.change == "" {
				at = in
			}
		}
	}
	c.Weight = weightOf(g.one(m, 'W'), n)
	d.plain(m, g, &c, n)
	for _, letter := range []byte("FIUWSHDQT") {
		if list := g.all(m, letter); len(list) > 1 {
			n.warnf(list[1].line, list[1].name(0), CodeDeviation, "%s stands %d times for the same bags; the first counts", list[1].name(0), len(list))
		}
	}
	return c, at
}

// plain reads the elements that are taken as they are.
func (d *decoder) plain(m *message, g *bags, c *content, n *notes) {
	if e := g.one(m, 'U'); e != nil {
		c.Stowage = &stowage{
			Device: strings.ToUpper(e.field(1)), Compartment: e.field(2), BagType: e.field(3), Class: e.field(4), Destination: e.field(5), Closed: e.field(6),
		}
	}
	if e := g.one(m, 'S'); e != nil {
		c.Reconciliation = &reconciliation{e.field(1), e.field(3), e.field(6), e.field(7), e.field(8)}
	}
	if e := g.one(m, 'H'); e != nil {
		c.Handling = &handling{e.field(1), e.field(2), e.field(3)}
	}
	if e := g.one(m, 'Q'); e != nil {
		c.LoadSequence = e.field(1)
	}
	if e := g.one(m, 'T'); e != nil {
		c.Printer = e.field(1)
	}
	for _, e := range g.all(m, 'E') {
		for _, f := range e.fields {
			if f != "" {
				c.Exceptions = append(c.Exceptions, strings.ToUpper(f))
			}
		}
	}
	for _, e := range g.all(m, 'R') {
		c.Internal = append(c.Internal, strings.TrimRight(strings.Join(e.fields, "/"), "/"))
	}
	for _, i := range g.own {
		e := &m.elements[i]
		if e.letter == 0 || strings.IndexByte("BCDEFGHIJLNOPQRSTUVWXY", e.letter) >= 0 {
			continue
		}
		if e.letter != 'A' && e.letter != 'K' {
			n.infof(e.line, e.name(0), formats.CodeUnknownField, "there is no element %s; it is kept as it is", e.name(0))
		}
		c.Others = append(c.Others, other{e.name(0), e.fields})
	}
}
