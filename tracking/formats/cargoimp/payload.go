package cargoimp

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// payload is what an event keeps of a line.
type payload struct {
	Message     messageID    `json:"message"`
	AWB         *waybill     `json:"awb,omitempty"`
	Consignment *quantity    `json:"consignment,omitempty"`
	Status      string       `json:"status"`
	Flight      string       `json:"flight,omitempty"`
	FlightDate  string       `json:"flight_date,omitempty"`
	Location    string       `json:"location,omitempty"`
	Origin      string       `json:"origin,omitempty"`
	Destination string       `json:"destination,omitempty"`
	Carrier     string       `json:"carrier,omitempty"`
	Discrepancy string       `json:"discrepancy,omitempty"`
	Quantity    *quantity    `json:"quantity,omitempty"`
	Volume      *quantity    `json:"volume,omitempty"`
	Times       []flightTime `json:"times,omitempty"`
	Manifest    string       `json:"transfer_manifest,omitempty"`
	Name        string       `json:"name,omitempty"`
	Goods       string       `json:"goods,omitempty"`
	Handling    []string     `json:"special_handling,omitempty"`
	Onward      []string     `json:"onward,omitempty"`
	ULD         string       `json:"uld,omitempty"`
	ULDRemarks  string       `json:"uld_remarks,omitempty"`
	ULDs        []string     `json:"ulds,omitempty"`
	Aircraft    string       `json:"aircraft,omitempty"`
	OSI         []string     `json:"osi,omitempty"`
	OCI         []string     `json:"oci,omitempty"`
	Other       []string     `json:"other,omitempty"`
	// Flags are the codes of what is doubtful.
	Flags    []string  `json:"quality_flags,omitempty"`
	Envelope *envelope `json:"envelope,omitempty"`
	// Raw is the lines that the event comes from, byte for byte; RawBytes the same where they are not what JSON can hold.
	Raw      string `json:"raw"`
	RawBytes []byte `json:"raw_base64,omitempty"`
}

type messageID struct {
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
	// Part is the number of a part of a manifest; Last says that none follows.
	Part int   `json:"part,omitempty"`
	Last *bool `json:"last,omitempty"`
}

// keepRaw sets what the lines say, byte for byte.
func (p *payload) keepRaw(lines ...[]byte) {
	raw := bytes.Join(lines, nil)
	if utf8.Valid(raw) && bytes.IndexByte(raw, 0) < 0 {
		p.Raw = string(raw)
		return
	}
	p.RawBytes = raw
	p.Raw = strings.ReplaceAll(strings.ToValidUTF8(string(raw), "?"), "\x00", "")
}

// finish makes an event of what has been read, with its id: a fingerprint of what the line says, without the envelope, what is found
// about it and what was inferred from the time of receipt.
func (d *decoder) finish(n *notes, e *tracking.Event, p *payload, stated time.Time) {
	if !d.room() {
		return
	}
	r := formats.Result{Index: n.index, Line: n.line}
	if e.Source = d.options.DefaultSource; e.Source == "" {
		n.fail(n.line, "source", formats.CodeRequired, "nothing says where the message comes from: name a source to go with the body")
	}
	if !n.refused {
		identified := *e
		identified.OccurredAt = stated
		bare := *p
		bare.Flags, bare.Envelope, bare.Raw, bare.RawBytes, bare.Message = nil, nil, "", nil, messageID{Type: p.Message.Type}
		if bare.AWB != nil {
			w := *bare.AWB
			w.Airline = ""
			bare.AWB = &w
		}
		var err error
		if identified.Payload, err = encode(&bare); err == nil {
			e.EventID = tracking.Fingerprint(&identified)
			p.Flags = n.flags()
			e.Payload, err = encode(p)
		}
		if err != nil {
			n.fail(n.line, "", formats.CodeFormat, "the line cannot be kept: %v", err)
		}
	}
	if !n.refused {
		r.Event = e
	}
	r.Findings = n.findings
	d.results = append(d.results, r)
}

// encode writes JSON as it reads best: & and > as they are.
func encode(p *payload) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
