package enroll

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

type number = protowire.Number

// field is the value of a field whose number is known.
type field struct {
	typ  protowire.Type
	n    uint64 // of VarintType
	text []byte // of BytesType
}

// fields is a set of field numbers: bit n stands for field n.
type fields uint32

func set(numbers ...number) (s fields) {
	for _, n := range numbers {
		s |= 1 << n
	}
	return s
}

func (s fields) has(n number) bool { return n < 32 && s&(1<<n) != 0 }

// read calls take for each field that is required or optional, and checks that
// those that are required are there, and none twice.
func read(b []byte, required, optional fields, take func(n number, f field) error) error {
	var seen fields
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrEncoding
		}
		b = b[n:]
		f := field{typ: typ}
		wanted := (required | optional).has(num)
		switch {
		case wanted && typ == protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case wanted && typ == protowire.BytesType:
			f.text, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return ErrEncoding
		}
		b = b[n:]
		if !wanted {
			continue
		}
		if seen.has(num) {
			return ErrRepeated
		}
		seen |= set(num)
		if err := take(num, f); err != nil {
			return err
		}
	}
	if seen&required != required {
		return ErrMissing
	}
	return nil
}

func (f field) id(to *ID) error {
	if f.typ != protowire.BytesType {
		return ErrEncoding
	}
	if len(f.text) != IDSize {
		return ErrID
	}
	copy(to[:], f.text)
	return nil
}

func (f field) uint64(to *uint64) error {
	if f.typ != protowire.VarintType {
		return ErrEncoding
	}
	*to = f.n
	return nil
}

func (f field) uint32(to *uint32) error {
	if f.typ != protowire.VarintType {
		return ErrEncoding
	}
	if f.n > math.MaxUint32 {
		return ErrRange
	}
	*to = uint32(f.n)
	return nil
}

func (f field) int64(to *int64) error {
	if f.typ != protowire.VarintType {
		return ErrEncoding
	}
	*to = int64(f.n)
	return nil
}

func (f field) int32(to *int32) error {
	if f.typ != protowire.VarintType {
		return ErrEncoding
	}
	if v := int64(f.n); v < math.MinInt32 || v > math.MaxInt32 {
		return ErrRange
	}
	*to = int32(int64(f.n))
	return nil
}

// name reads the name of a layer.
func (f field) name(to *string) error {
	if f.typ != protowire.BytesType {
		return ErrEncoding
	}
	if len(f.text) == 0 || len(f.text) > MaxLayer || !utf8.Valid(f.text) {
		return ErrName
	}
	*to = string(f.text)
	return nil
}

// message reads a message inside of the message.
func (f field) message(read func(b []byte) error) error {
	if f.typ != protowire.BytesType {
		return ErrEncoding
	}
	return read(f.text)
}

// writer appends fields.
type writer []byte

func (b writer) number(n number, v uint64) writer {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func (b writer) bytes(n number, v []byte) writer {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}
