// Package cborwire reads and writes single items of CBOR (RFC 8949), for the hot paths that know which come: they write the bytes that
// the CBOR library writes, and leave to it whatever they do not expect to read.
package cborwire

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// The major types (RFC 8949, section 3.1), as they stand in the first byte of an item.
const (
	Uint  = 0 << 5
	Nint  = 1 << 5
	Bytes = 2 << 5
	Text  = 3 << 5
	Array = 4 << 5
	Map   = 5 << 5
)

// Items that are one byte, and the first byte of a float of 64 bits.
const (
	False  = 0xf4
	True   = 0xf5
	Null   = 0xf6
	Double = 0xfb
)

// AppendHead appends the head of an item: its major type and its argument in the shortest form.
func AppendHead(to []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(to, major|byte(n))
	case n <= math.MaxUint8:
		return append(to, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(to, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(to, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(to, major|27), n)
	}
}

// AppendInt appends an integer.
func AppendInt(to []byte, n int64) []byte {
	if n < 0 {
		return AppendHead(to, Nint, uint64(^n)) //nolint:gosec // The complement of what is negative is not.
	}
	return AppendHead(to, Uint, uint64(n))
}

// AppendText appends a text.
func AppendText(to []byte, s string) []byte {
	return append(AppendHead(to, Text, uint64(len(s))), s...)
}

// AppendBytes appends a byte string.
func AppendBytes(to, b []byte) []byte {
	return append(AppendHead(to, Bytes, uint64(len(b))), b...)
}

// AppendFloat appends a number of 64 bits; those that are none, and the infinite ones, as the library does, in the short form.
func AppendFloat(to []byte, f float64) []byte {
	var half uint16
	switch {
	case math.IsNaN(f):
		half = 0x7e00
	case math.IsInf(f, 1):
		half = 0x7c00
	case math.IsInf(f, -1):
		half = 0xfc00
	default:
		return binary.BigEndian.AppendUint64(append(to, Double), math.Float64bits(f))
	}
	return binary.BigEndian.AppendUint16(append(to, 0xf9), half)
}

// Reader reads items that stand behind each other. At one that is not what was asked for it becomes odd, and has nothing more to read:
// what it returns then is to be thrown away, and the library to be asked.
type Reader struct {
	Rest []byte
	Odd  bool
}

// Fail makes the reader odd.
func (r *Reader) Fail() { r.Odd, r.Rest = true, nil }

// Comes reports whether the next item is of a major type.
func (r *Reader) Comes(major byte) bool { return len(r.Rest) > 0 && r.Rest[0]&0xe0 == major }

// Head reads the head of an item, which must be of a major type; it returns its argument.
func (r *Reader) Head(major byte) uint64 {
	if !r.Comes(major) {
		r.Fail()
		return 0
	}
	info := r.Rest[0] & 0x1f
	if info < 24 {
		r.Rest = r.Rest[1:]
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.Rest) < 1+size {
		r.Fail()
		return 0
	}
	var n uint64
	switch b := r.Rest[1:]; size {
	case 1:
		n = uint64(b[0])
	case 2:
		n = uint64(binary.BigEndian.Uint16(b))
	case 4:
		n = uint64(binary.BigEndian.Uint32(b))
	default:
		n = binary.BigEndian.Uint64(b)
	}
	r.Rest = r.Rest[1+size:]
	return n
}

// String reads a string of a major type. It lies in what is read.
func (r *Reader) String(major byte) []byte {
	n := r.Head(major)
	if n > uint64(len(r.Rest)) {
		r.Fail()
		return nil
	}
	b := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return b
}

// Text reads a text; it is known if it is the one given, which spares its copy.
func (r *Reader) Text(known string) string {
	b := r.String(Text)
	if string(b) == known {
		return known
	}
	if !utf8.Valid(b) {
		r.Fail()
		return ""
	}
	return string(b)
}

// Bytes reads a byte string, as a copy.
func (r *Reader) Bytes() []byte { return bytes.Clone(r.String(Bytes)) }

// Fill reads a byte string of a known length.
func (r *Reader) Fill(to []byte) {
	if b := r.String(Bytes); len(b) != len(to) {
		r.Fail()
	} else {
		copy(to, b)
	}
}

// Int reads an integer.
func (r *Reader) Int() int64 {
	if r.Comes(Nint) {
		n := r.Head(Nint)
		if n > math.MaxInt64 {
			r.Fail()
			return 0
		}
		return ^int64(n)
	}
	n := r.Head(Uint)
	if n > math.MaxInt64 {
		r.Fail()
		return 0
	}
	return int64(n)
}

// Float reads a number of 64 bits.
func (r *Reader) Float() float64 {
	if len(r.Rest) < 9 || r.Rest[0] != Double {
		r.Fail()
		return 0
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(r.Rest[1:]))
	r.Rest = r.Rest[9:]
	return f
}

// FloatPointer reads a number of 64 bits.
func (r *Reader) FloatPointer() *float64 {
	f := r.Float()
	return &f
}
