package sqs

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	wmsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/klauspost/compress/zstd"
)

// A body is text, as SQS wants it, and holds a whole Watermill message:
//
//	"R1" | "p" plain or "z" compressed with Zstandard (RFC 8878) | base64 (RFC 4648, unpadded) of the envelope
//
// and the envelope is the message's UUID, its metadata and its payload, each but the last after its length.
//
// Base64 costs a third more bytes, which is what MaxFrameBytes keeps free. Compression more than makes up for it: a frame of 500
// events with small payloads and random identifiers, 108 kB, is 37 kB of text (BenchmarkBody says how fast). So more frames
// share a request, and fewer of the 64 KiB are sent that SQS charges a request each for.
const (
	magic      = "R1"
	plain      = "p"
	compressed = "z"
	bodyPrefix = len(magic) + 1
	// maxEnvelope bounds what a compressed body may unfold to, in bytes.
	maxEnvelope = 4 << 20
)

// Attributes that show what is in a message to whoever looks at it from outside; the envelope has them too.
const (
	contentType = "content-type"
	traceParent = "traceparent"
)

// Marshaler turns Watermill's messages into those of SQS and back; it implements the marshaler and unmarshaler of
// watermill-aws. It is safe for concurrent use.
type Marshaler struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

var (
	_ wmsqs.Marshaler   = (*Marshaler)(nil)
	_ wmsqs.Unmarshaler = (*Marshaler)(nil)
)

// NewMarshaler returns a marshaler.
func NewMarshaler() (*Marshaler, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("message encoding: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxEnvelope), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, fmt.Errorf("message decoding: %w", err)
	}
	return &Marshaler{enc: enc, dec: dec}, nil
}

// Marshal implements watermill-aws' marshaler.
func (m *Marshaler) Marshal(msg *message.Message) (*types.Message, error) {
	envelope := seal(msg)
	mark := plain
	if small := m.enc.EncodeAll(envelope, make([]byte, 0, len(envelope)/2)); len(small) < len(envelope) {
		envelope, mark = small, compressed
	}
	body := make([]byte, 0, bodyPrefix+base64.RawStdEncoding.EncodedLen(len(envelope)))
	body = append(append(body, magic...), mark...)
	body = base64.RawStdEncoding.AppendEncode(body, envelope)
	return &types.Message{Body: aws.String(string(body)), MessageAttributes: attributes(msg.Metadata)}, nil
}

// attributes are those that SQS takes: no empty ones, and of visible ASCII, which content types and trace parents are.
func attributes(metadata message.Metadata) map[string]types.MessageAttributeValue {
	shown := map[string]types.MessageAttributeValue{}
	for _, name := range []string{contentType, traceParent} {
		value := metadata.Get(name)
		if value != "" && len(value) <= 128 && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			shown[name] = types.MessageAttributeValue{DataType: aws.String(wmsqs.AWSStringDataType), StringValue: aws.String(value)}
		}
	}
	return shown
}

// Unmarshal implements watermill-aws' unmarshaler. What is not of ours, or is damaged, becomes a message as watermill-aws
// makes it, with the body as it is, so that whoever handles it can reject it with its bytes.
func (m *Marshaler) Unmarshal(raw *types.Message) (*message.Message, error) {
	msg, err := m.open(aws.ToString(raw.Body))
	if err == nil {
		return msg, nil
	}
	return wmsqs.DefaultMarshalerUnmarshaler{}.Unmarshal(raw)
}

var errNotOurs = errors.New("not a message of ours")

func (m *Marshaler) open(body string) (*message.Message, error) {
	if len(body) < bodyPrefix || body[:len(magic)] != magic {
		return nil, errNotOurs
	}
	envelope, err := base64.RawStdEncoding.DecodeString(body[bodyPrefix:])
	if err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	switch body[len(magic):bodyPrefix] {
	case plain:
	case compressed:
		if envelope, err = m.dec.DecodeAll(envelope, nil); err != nil {
			return nil, fmt.Errorf("decompress message: %w", err)
		}
	default:
		return nil, errNotOurs
	}
	return unseal(envelope)
}

// seal packs a message: the same message gives the same bytes.
func seal(msg *message.Message) []byte {
	size := len(msg.UUID) + len(msg.Payload) + 2*binary.MaxVarintLen32
	for key, value := range msg.Metadata {
		size += len(key) + len(value) + 2*binary.MaxVarintLen32
	}
	out := make([]byte, 0, size)
	out = appendString(out, msg.UUID)
	out = binary.AppendUvarint(out, uint64(len(msg.Metadata)))
	for _, key := range slices.Sorted(maps.Keys(msg.Metadata)) {
		out = appendString(appendString(out, key), msg.Metadata[key])
	}
	return append(out, msg.Payload...)
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

func unseal(envelope []byte) (*message.Message, error) {
	uuid, rest, err := cutString(envelope)
	if err != nil {
		return nil, err
	}
	pairs, n := binary.Uvarint(rest)
	if n <= 0 || pairs > uint64(len(rest)) {
		return nil, errNotOurs
	}
	rest = rest[n:]
	metadata := make(message.Metadata, pairs)
	for range pairs {
		var key, value string
		if key, rest, err = cutString(rest); err != nil {
			return nil, err
		}
		if value, rest, err = cutString(rest); err != nil {
			return nil, err
		}
		metadata[key] = value
	}
	msg := message.NewMessage(uuid, rest)
	msg.Metadata = metadata
	return msg, nil
}

func cutString(in []byte) (string, []byte, error) {
	length, n := binary.Uvarint(in)
	if n <= 0 || length > uint64(len(in)-n) { //nolint:gosec // n is within in
		return "", nil, errNotOurs
	}
	in = in[n:]
	return string(in[:length]), in[length:], nil
}

// frameBytes is the largest payload that surely fits in a message, compressed or not: what base64 leaves, less the envelope
// and the attributes.
func frameBytes(messageBytes int) int {
	const rest = 1 << 10
	return (messageBytes-bodyPrefix-rest)/4*3 - rest
}
