// Package wire is what the decoders of JSON formats share: the way through a body, the checks of fields, and the parts of an
// event.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

// Read reads the object of one event with f, which is called once for each of its members and then once more, with a nil
// key, at its end. It returns the event, nil when it was refused.
type Read func(d *Decoder) Reader

// Reader makes an event of an object.
type Reader interface {
	// Member takes one member of the object. The key is valid until it returns.
	Member(key []byte, value scan.Value)
	// End is called after the last member and returns the event; it does not matter when there are errors.
	End() *tracking.Event
}

// Objects reads a body that is one object or, where array says so, an array of them.
func Objects(body []byte, object, array bool, read Read, opt formats.Options) ([]formats.Result, error) {
	if err := check(body); err != nil {
		return nil, err
	}
	s := scan.New(body)
	d := &Decoder{Options: opt}
	var results []formats.Result
	one := func() error {
		if opt.MaxEvents > 0 && len(results) >= opt.MaxEvents {
			return tooMany(body, s.Pos(), opt.MaxEvents)
		}
		result, err := d.object(s, read, formats.Result{Index: len(results)})
		results = append(results, result)
		return err
	}
	var err error
	switch b := s.Peek(); {
	case b == '[' && array:
		results = make([]formats.Result, 0, min(len(body)/256+1, 4096))
		err = s.Items(one)
	case b == '[':
		err = &scan.Fault{Offset: s.Pos(), Message: "one event must be a JSON object, not an array; a batch has another media type"}
	case b != '{' && object:
		_, err = s.Value() // whether it is JSON at all
		if err == nil {
			err = &scan.Fault{Offset: s.Pos(), Message: "the body must be a JSON object, or an array of objects"}
		}
	case !object:
		err = &scan.Fault{Offset: s.Pos(), Message: "a batch must be a JSON array of events"}
	default:
		err = one()
	}
	if err == nil {
		if err = s.End(); err != nil && len(results) == 1 && bytes.HasPrefix(body[s.Pos():], []byte("{")) {
			err = &scan.Fault{Offset: s.Pos(), Message: "a second object after the first; send an array, or NDJSON as application/x-ndjson"}
		}
	}
	if err != nil {
		return nil, bodyError(body, err)
	}
	return results, nil
}

// Lines reads a body that is one object a line. Blank lines are skipped, and a line that is not JSON refuses only itself.
func Lines(body []byte, read Read, opt formats.Options) ([]formats.Result, error) {
	if err := check(body); err != nil {
		return nil, err
	}
	s := scan.New(nil)
	d := &Decoder{Options: opt}
	results := make([]formats.Result, 0, min(len(body)/256+1, 4096))
	rest := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	for line := 1; len(rest) > 0; line++ {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte("\n"))
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if opt.MaxEvents > 0 && len(results) >= opt.MaxEvents {
			return nil, tooMany(body, len(body)-len(rest)-len(text), opt.MaxEvents)
		}
		s.Reset(text)
		at := formats.Result{Index: len(results), Line: line}
		result, err := d.object(s, read, at)
		if err == nil {
			err = s.End()
		}
		if fault, ok := errors.AsType[*scan.Fault](err); ok {
			d.begin(at)
			d.Failf("", formats.CodeSyntax, "line %d is not one JSON object: %s (byte %d of the line)", line, fault.Message, fault.Offset)
			result = at
			result.Findings = d.findings
		}
		results = append(results, result)
	}
	if len(results) == 0 {
		return nil, &formats.BodyError{Code: formats.CodeEmpty, Message: "there are no events; send one JSON object a line", Line: 1}
	}
	return results, nil
}

// object reads one event. It returns an error only when the text is not JSON.
func (d *Decoder) object(s *scan.Scanner, read Read, at formats.Result) (formats.Result, error) {
	d.begin(at)
	if s.Peek() != '{' {
		v, err := s.Value()
		if err != nil {
			return at, err
		}
		d.Failf("", formats.CodeType, "an event must be a JSON object, not %s", v.Kind)
		at.Findings = d.findings
		return at, nil
	}
	reader := read(d)
	err := s.Members(func(key []byte, value scan.Value) {
		if value.Depth >= formats.MaxDepth {
			d.Failf(name(key), formats.CodeTooDeep, "%s nests %d levels deep; an event may have %d in all",
				name(key), value.Depth, formats.MaxDepth)
			return
		}
		reader.Member(key, value)
	})
	if err != nil {
		return at, err
	}
	if event := reader.End(); !d.refused {
		at.Event = event
	}
	at.Findings = d.findings
	return at, nil
}

// check refuses a body that is empty or not UTF-8.
func check(body []byte) error {
	if len(bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))) == 0 {
		return &formats.BodyError{Code: formats.CodeEmpty, Message: "the body is empty; send at least one event", Line: 1}
	}
	if utf8.Valid(body) {
		return nil
	}
	at := 0
	for at < len(body) {
		r, size := utf8.DecodeRune(body[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return &formats.BodyError{
		Code: formats.CodeUTF8, Message: fmt.Sprintf("byte 0x%02x is not UTF-8; JSON must be UTF-8", body[at]),
		Offset: int64(at), Line: lineOf(body, at),
	}
}

func tooMany(body []byte, at, limit int) error {
	return &formats.BodyError{
		Code: formats.CodeTooMany, Message: fmt.Sprintf("there are more than %d events; send them in several requests", limit),
		Offset: int64(at), Line: lineOf(body, at),
	}
}

func bodyError(body []byte, err error) error {
	fault, ok := errors.AsType[*scan.Fault](err)
	if !ok {
		return err
	}
	return &formats.BodyError{
		Code: formats.CodeSyntax, Message: fault.Message, Offset: int64(fault.Offset), Line: lineOf(body, fault.Offset),
	}
}

func lineOf(body []byte, at int) int { return 1 + bytes.Count(body[:min(at, len(body))], []byte("\n")) }
