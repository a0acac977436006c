package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
	"github.com/rastrohq/rastro/tracking/formats/epcis"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

// decoder decodes a whole body.
type decoder func(body []byte, options formats.Options) ([]formats.Result, error)

// decoders are the forms that events are taken in, by media type.
func decoders() map[string]decoder {
	of := func(form native.Form) decoder {
		return func(body []byte, o formats.Options) ([]formats.Result, error) { return native.Decode(body, form, o) }
	}
	ce := func(form cloudevents.Form) decoder {
		return func(body []byte, o formats.Options) ([]formats.Result, error) {
			return cloudevents.Decode(body, form, o)
		}
	}
	return map[string]decoder{
		"application/json":                   decodeJSON,
		"application/x-ndjson":               of(native.NDJSON),
		"application/ndjson":                 of(native.NDJSON),
		"application/jsonl":                  of(native.NDJSON),
		"application/cloudevents+json":       ce(cloudevents.Single),
		"application/cloudevents-batch+json": ce(cloudevents.Batch),
	}
}

// decodeJSON takes both our own form and CloudEvents, which some senders do not label as such.
func decodeJSON(body []byte, o formats.Options) ([]formats.Result, error) {
	if formats.IsCloudEvents(body) {
		return cloudevents.Decode(body, cloudevents.Any, o)
	}
	return native.Decode(body, native.JSON, o)
}

func (h *Handler) decode(c *fiber.Ctx, in *admission) ([]formats.Result, error) {
	decode, err := h.decoder(c, in)
	if err != nil {
		return nil, err
	}
	body, err := h.body(c, in)
	if err != nil {
		return nil, err
	}
	in.seat.shrink(len(body))
	maxEvents := h.config.MaxEvents
	if in.carrier != nil && in.carrier.Limits.MaxEvents > 0 {
		maxEvents = min(maxEvents, in.carrier.Limits.MaxEvents)
	}
	results, err := decode(body, formats.Options{DefaultSource: in.source(), MaxEvents: maxEvents})
	if b, ok := errors.AsType[*formats.BodyError](err); ok {
		if b.Code == formats.CodeTooMany {
			return nil, problem.New(http.StatusRequestEntityTooLarge, "too-many-events", fmt.Sprintf(
				"The request holds more than the %d events that are taken at once; send them in several requests.", maxEvents))
		}
		return nil, problem.New(http.StatusBadRequest, "malformed", fmt.Sprintf("The body cannot be read: %s.", b.Error()))
	}
	if err != nil {
		return nil, fmt.Errorf("decode body: %w", err)
	}
	in.single = in.carrier != nil && in.carrier.Format == carriers.EPCIS && in.behaviour == "" &&
		len(results) > 0 && results[len(results)-1].Index == 0 && epcis.IsEvent(body)
	if len(results) == 0 && in.carrier == nil { // of carriers there are bodies of nothing, such as a manifest of an empty flight
		return nil, problem.New(http.StatusBadRequest, "empty", "The body holds no events; send at least one.")
	}
	return results, nil
}

// decoder returns what decodes the request's body: that of its carrier, or that of its media type.
func (h *Handler) decoder(c *fiber.Ctx, in *admission) (decoder, error) {
	if in.carrier != nil {
		body := carriers.Body{Header: headersOf(c), ReceivedAt: h.deps.Now()}
		return func(bytes []byte, o formats.Options) ([]formats.Result, error) {
			body.Bytes = bytes
			return in.carrier.Decode(body, o)
		}, nil
	}
	media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	decode, known := decoders()[media]
	if err != nil || !known {
		return nil, problem.New(http.StatusUnsupportedMediaType, "unsupported-media-type", fmt.Sprintf(
			"Content-Type %q is not taken here. Send application/json (an event or an array of them), application/x-ndjson, "+
				"application/cloudevents+json or application/cloudevents-batch+json.", c.Get(fiber.HeaderContentType)))
	}
	return decode, nil
}

// headersOf copies the headers that a decoder may read.
func headersOf(c *fiber.Ctx) http.Header {
	header := http.Header{}
	for name, value := range c.Request().Header.All() {
		if key := http.CanonicalHeaderKey(string(name)); key == fiber.HeaderContentType || strings.HasPrefix(key, "Ce-") {
			header[key] = append(header[key], string(value))
		}
	}
	return header
}

// defaultSource is the source of events that name none: the client that sent them.
func defaultSource(identity auth.Identity) string {
	if identity.ClientID != "" {
		return identity.ClientID
	}
	return identity.Subject
}

// body returns the request's body, decompressed when it came as gzip. It is the request's own: events keep parts of it for longer than
// the server keeps its buffers.
func (h *Handler) body(c *fiber.Ctx, in *admission) ([]byte, error) {
	raw := in.raw
	if raw == nil {
		var err error
		if raw, err = h.read(c, in.maxBody); err != nil {
			return nil, err
		}
	}
	switch encoding := c.Get(fiber.HeaderContentEncoding); encoding {
	case "", "identity":
		return raw, nil
	case "gzip":
		reader, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, badGzip(err)
		}
		body, err := io.ReadAll(io.LimitReader(reader, int64(in.maxBody)+1))
		if err != nil {
			return nil, badGzip(err)
		}
		if len(body) > in.maxBody {
			return nil, tooLarge(in.maxBody)
		}
		return body, nil
	default:
		return nil, problem.New(http.StatusUnsupportedMediaType, "unsupported-encoding", fmt.Sprintf(
			"Content-Encoding %q is not taken here; send the body plain or as gzip.", encoding))
	}
}

func badGzip(err error) error {
	return problem.New(http.StatusBadRequest, "malformed", fmt.Sprintf("The body is not the gzip that Content-Encoding says: %v.", err))
}
