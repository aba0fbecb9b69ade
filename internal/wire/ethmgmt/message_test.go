package ethmgmt

import (
	"bytes"
	"errors"
	"testing"
)

func TestShortMessagesAreNotTaken(t *testing.T) {
	for _, k := range []Kind{DIX, LLC} {
		for code := FlowRequest; code <= NameReply; code++ {
			whole := k.Append(nil, &Message{Code: code, Source: 5, Hash: make([]byte, 32)})
			need := k.Fixed() + 32
			if code == FlowReply {
				need = k.Fixed()
			}
			for n := range len(whole) + 1 {
				_, err := k.Parse(whole[:n], 32)
				if n < need && !errors.Is(err, ErrShort) || n >= need && err != nil {
					t.Errorf("%v, %v of %d bytes: %v", k, code, n, err)
				}
			}
		}
	}
}

func TestUnknownAndLongMessagesAreNotTaken(t *testing.T) {
	for _, k := range []Kind{DIX, LLC} {
		for _, code := range []Code{4, 12, 255} {
			p := k.Append(nil, &Message{Code: code, Hash: make([]byte, 32)})
			if _, err := k.Parse(p, 32); !errors.Is(err, ErrCode) {
				t.Errorf("%v, %v: %v", k, code, err)
			}
		}
		if _, err := k.Parse(make([]byte, MaxMessage+1), 32); !errors.Is(err, ErrLong) {
			t.Errorf("%v: %v", k, err)
		}
		if _, err := k.Parse(make([]byte, MaxMessage), 32); err != nil {
			t.Errorf("%v: %v", k, err)
		}
	}
}

func TestANegativeResponseSurvives(t *testing.T) {
	for _, k := range []Kind{DIX, LLC} {
		p := k.Append(nil, &Message{Code: FlowReply, Source: 1, Destination: 2, Response: -1009})
		m, err := k.Parse(p, 32)
		if err != nil || m.Response != -1009 || m.Source != 1 || m.Destination != 2 || len(m.Data) != 0 {
			t.Errorf("%v: %+v, %v", k, m, err)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, k := range []Kind{DIX, LLC} {
		for code := range Code(5) {
			f.Add(k == LLC, uint8(32), k.Append(nil, &Message{Code: code, Source: 64, Hash: make([]byte, 32), Data: []byte("data")}))
		}
	}
	f.Add(true, uint8(64), []byte{})
	f.Fuzz(func(t *testing.T, llc bool, hashSize uint8, p []byte) {
		k := DIX
		if llc {
			k = LLC
		}
		m, err := k.Parse(p, int(hashSize))
		if err != nil {
			return
		}
		again := k.Append(nil, &m)
		if len(again) != k.Len(&m) || len(again) > len(p) {
			t.Fatalf("%d bytes of %d", len(again), len(p))
		}
		// Only a flag that is neither 0 nor 1 is written in another way.
		want := bytes.Clone(p[:len(again)])
		want[36] = again[36]
		if !bytes.Equal(again, want) {
			t.Fatalf("read    %x\nwritten %x", p, again)
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	dix := make([]byte, DIXHeader+3)
	PutDIX(dix, MAC{2}, MAC{4}, 0xa000, 64, 3)
	llc := make([]byte, LLCHeader+3)
	PutLLC(llc, MAC{2}, MAC{4}, 2, 3, 3)
	f.Add(dix)
	f.Add(llc)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if eid, n, err := ParseDIX(frame, 0xa000); err == nil {
			head := make([]byte, DIXHeader)
			PutDIX(head, Destination(frame), Source(frame), 0xa000, eid, n)
			if !bytes.Equal(head, frame[:DIXHeader]) || len(frame) < DIXHeader+n {
				t.Fatalf("%x", frame)
			}
		}
		if dsap, ssap, n, err := ParseLLC(frame); err == nil {
			head := make([]byte, LLCHeader)
			PutLLC(head, Destination(frame), Source(frame), dsap, ssap, n)
			if !bytes.Equal(head, frame[:LLCHeader]) || len(frame) < LLCHeader+n {
				t.Fatalf("%x", frame)
			}
		}
	})
}
