package udp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ouroboros/internal/packet"
)

// control makes control messages of level, type and data each.
func control(messages ...any) (p []byte) {
	for i := 0; i < len(messages); i += 3 {
		data := messages[i+2].([]byte)
		h := make([]byte, cmsgHeader)
		putWord(h, cmsgHeader+len(data))
		binary.NativeEndian.PutUint32(h[wordSize:], uint32(messages[i].(int)))
		binary.NativeEndian.PutUint32(h[wordSize+4:], uint32(messages[i+1].(int)))
		p = append(append(p, h...), data...)
		for len(p)%wordSize != 0 {
			p = append(p, 0)
		}
	}
	return p
}

func native32(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
func native16(n int) []byte { return binary.NativeEndian.AppendUint16(nil, uint16(n)) }

func TestTheSegmentOfATrainIsFoundInItsControlMessages(t *testing.T) {
	short := control(unix.SOL_UDP, unix.UDP_GRO, native32(1400))
	long := bytes.Clone(short)
	putWord(long, len(short)+100)
	none := bytes.Clone(short)
	putWord(none, 3)
	for name, c := range map[string]struct {
		p    []byte
		want int
	}{
		"nothing":              {nil, 0},
		"an int":               {short, 1400},
		"a u16":                {control(unix.SOL_UDP, unix.UDP_GRO, native16(1400)), 1400},
		"behind another":       {control(unix.SOL_SOCKET, 29, []byte("twelve bytes"), unix.SOL_UDP, unix.UDP_GRO, native32(9)), 9},
		"another":              {control(unix.SOL_SOCKET, unix.UDP_GRO, native32(1400)), 0},
		"negative":             {control(unix.SOL_UDP, unix.UDP_GRO, native32(-5)), 0},
		"without data":         {control(unix.SOL_UDP, unix.UDP_GRO, []byte{}), 0},
		"cut":                  {short[:len(short)-wordSize], 0},
		"a header cut":         {short[:cmsgHeader-1], 0},
		"longer than there is": {long, 0},
		"shorter than itself":  {none, 0},
	} {
		if got := trainSegment(c.p); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestTheControlMessageOfATrainIsWhatTheKernelReads(t *testing.T) {
	var p [segmentSize]byte
	segmentControl(&p, 1400)
	msgs, err := unix.ParseSocketControlMessage(p[:])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%v, %v", msgs, err)
	}
	if h := msgs[0].Header; h.Level != unix.SOL_UDP || h.Type != unix.UDP_SEGMENT || binary.NativeEndian.Uint16(msgs[0].Data) != 1400 {
		t.Errorf("%+v", msgs[0])
	}
}

// collector keeps what is delivered.
type collector struct {
	sources []netip.AddrPort
	data    [][]byte
}

func (c *collector) Receive(from netip.AddrPort, batch []*packet.Buffer) {
	for _, b := range batch {
		c.sources = append(c.sources, from)
		c.data = append(c.data, bytes.Clone(b.Bytes()))
		b.Release()
	}
}

// arrive has the receiver take a message as the kernel would have left it.
func arrive(r *receiver, i int, from netip.AddrPort, data, ctrl []byte, flags int32) {
	r.arm(i)
	sl, m := &r.slots[i], &r.msgs[i]
	n := copy(sl.head.Bytes(), data)
	copy(sl.spill, data[n:])
	m.n = uint32(len(data))
	m.hdr.Namelen = uint32(sl.from.put(from, r.s.v6, &r.s.zones))
	m.hdr.SetControllen(copy(sl.ctrl[:], ctrl))
	m.hdr.Flags = flags
	r.take(i)
}

func TestATrainIsCutIntoItsDatagrams(t *testing.T) {
	from, other := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	for name, c := range map[string]struct{ total, segment, want int }{
		"no train":                    {5000, 0, 1},
		"one segment":                 {1400, 1400, 1},
		"a segment longer than all":   {1400, 1401, 1},
		"even":                        {2800, 1400, 2},
		"a shorter last":              {2801, 1400, 3},
		"the edge of the head inside": {2 * headSize, 1000, 4},
		"the longest":                 {MaxDatagram, 1400, 47},
		"more than a batch":           {200, 1, 200},
	} {
		got := &collector{}
		r := newReceiver(&Socket{gro: true}, got)
		data := mark(7, c.total)
		arrive(r, 0, from, data, control(unix.SOL_UDP, unix.UDP_GRO, native32(c.segment)), 0)
		arrive(r, 1, other, []byte("next"), nil, 0)
		r.deliver()
		r.release()
		last := len(got.data) - 1
		if last != c.want || string(got.data[last]) != "next" || got.sources[last] != other || got.sources[0] != from {
			t.Errorf("%s: %d datagrams of %v", name, last, got.sources[:1])
			continue
		}
		for i, p := range got.data[:last-1] {
			if len(p) != c.segment {
				t.Errorf("%s: datagram %d of %d bytes", name, i, len(p))
			}
		}
		if !bytes.Equal(bytes.Join(got.data[:last], nil), data) {
			t.Errorf("%s: the bytes differ", name)
		}
	}
}

func TestACutDatagramIsDroppedAndCounted(t *testing.T) {
	got := &collector{}
	s := &Socket{gro: true}
	r := newReceiver(s, got)
	defer r.release()
	from := netip.MustParseAddrPort("192.0.2.1:1")
	arrive(r, 0, from, []byte("cut"), nil, unix.MSG_TRUNC)
	arrive(r, 1, netip.AddrPort{}, []byte("of nobody"), nil, 0)
	arrive(r, 2, from, []byte("whole"), nil, 0)
	r.deliver()
	if len(got.data) != 1 || string(got.data[0]) != "whole" {
		t.Errorf("%q", got.data)
	}
	if s.count.truncated.Load() != 1 || s.count.malformed.Load() != 1 {
		t.Errorf("%+v", s.Stats())
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("datagram"), control(unix.SOL_UDP, unix.UDP_GRO, native32(3)), uint32(16), int32(0), uint8(50))
	f.Add([]byte{}, []byte{}, uint32(0), int32(unix.MSG_TRUNC), uint8(0))
	got := &collector{}
	r := newReceiver(&Socket{gro: true}, got)
	f.Fuzz(func(t *testing.T, data, ctrl []byte, nameLen uint32, flags int32, times uint8) {
		got.data, got.sources = nil, nil
		data = bytes.Repeat(data, int(times)+1)
		data = data[:min(len(data), 1<<16)]
		r.arm(0)
		n := copy(r.slots[0].head.Bytes(), data)
		copy(r.slots[0].spill, data[n:])
		r.slots[0].from.put(netip.MustParseAddrPort("192.0.2.1:1"), false, &r.s.zones)
		m := &r.msgs[0]
		m.n, m.hdr.Namelen, m.hdr.Flags = uint32(len(data)), nameLen, flags
		copy(r.slots[0].ctrl[:], ctrl)
		m.hdr.SetControllen(len(ctrl))
		r.known = false
		r.take(0)
		r.deliver()
		if len(got.data) > 0 && !bytes.Equal(bytes.Join(got.data, nil), data) {
			t.Fatal("the bytes differ")
		}
	})
}

func FuzzTrainSegment(f *testing.F) {
	f.Add(control(unix.SOL_SOCKET, 29, []byte("twelve bytes"), unix.SOL_UDP, unix.UDP_GRO, native32(9)))
	f.Fuzz(func(t *testing.T, p []byte) {
		if trainSegment(p) < 0 {
			t.Fatal("a negative segment")
		}
	})
}
