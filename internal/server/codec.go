package server

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jsonCodec is JSON for scripts: every field is there, also when it is zero or
// empty, and a field that is not known is an error, because it is a typing
// mistake.
type jsonCodec struct{ charset bool }

var (
	jsonOut = protojson.MarshalOptions{EmitDefaultValues: true}
	jsonIn  = protojson.UnmarshalOptions{}
)

// Name implements connect.Codec.
func (c jsonCodec) Name() string {
	if c.charset {
		return "json; charset=utf-8"
	}
	return "json"
}

// Marshal implements connect.Codec.
func (jsonCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", v)
	}
	return jsonOut.Marshal(m)
}

// Unmarshal implements connect.Codec. No bytes at all are an empty message.
func (jsonCodec) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", v)
	}
	if len(b) == 0 {
		return nil
	}
	return jsonIn.Unmarshal(b, m)
}
