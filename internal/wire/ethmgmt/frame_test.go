package ethmgmt

import (
	"errors"
	"testing"
)

func TestADIXFrameIsTakenWhenItIsWhole(t *testing.T) {
	good := make([]byte, DIXHeader+10)
	PutDIX(good, MAC{2}, MAC{4}, 0xa000, 7, 10)
	length := func(n uint16) []byte {
		f := append([]byte(nil), good...)
		f[16], f[17] = byte(n>>8), byte(n)
		return f
	}
	for _, c := range []struct {
		what  string
		frame []byte
		n     int
		err   error
	}{
		{"whole", good, 10, nil},
		{"padded", append(length(10), make([]byte, 40)...), 10, nil},
		{"a keep-alive", length(0), 0, nil},
		{"one byte is missing", good[:len(good)-1], 0, ErrLength},
		{"it promises more", length(11), 0, ErrLength},
		{"it promises the most", length(0xffff), 0, ErrLength},
		{"of another ethertype", func() []byte { f := length(10); f[12] = 0xa1; return f }(), 0, ErrForeign},
		{"runt", good[:DIXHeader-1], 0, ErrRunt},
		{"empty", nil, 0, ErrRunt},
	} {
		eid, n, err := ParseDIX(c.frame, 0xa000)
		if n != c.n || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, %v; want %d, %v", c.what, n, err, c.n, c.err)
		}
		if err == nil && eid != 7 {
			t.Errorf("%s: EID %d", c.what, eid)
		}
	}
}

func TestAnLLCFrameIsTakenWhenItIsWholeAndOurs(t *testing.T) {
	good := make([]byte, LLCHeader+10)
	PutLLC(good, MAC{2}, MAC{4}, 2, 65, 10)
	with := func(at int, values ...byte) []byte {
		f := append([]byte(nil), good...)
		copy(f[at:], values)
		return f
	}
	for _, c := range []struct {
		what  string
		frame []byte
		n     int
		err   error
	}{
		{"whole", good, 10, nil},
		{"padded", append(with(0), make([]byte, 40)...), 10, nil},
		{"a keep-alive", with(12, 0, 3), 0, nil},
		{"length 2", with(12, 0, 2), 0, ErrLength},
		{"length 0", with(12, 0, 0), 0, ErrLength},
		{"it promises more", with(12, 0, 14), 0, ErrLength},
		{"it promises the most", with(12, 0x05, 0xff), 0, ErrLength},
		{"an ethertype", with(12, 0x06, 0x00), 0, ErrForeign},
		{"spanning tree", with(14, 0x42, 0x42), 0, ErrForeign},
		{"null SAP", with(14, 0), 0, ErrForeign},
		{"from the null SAP", with(15, 0), 0, ErrForeign},
		{"a response", with(15, 0x81), 0, ErrForeign},
		{"XID", with(16, 0xaf), 0, ErrForeign},
		{"runt", good[:LLCHeader-1], 0, ErrRunt},
		{"empty", nil, 0, ErrRunt},
	} {
		dsap, ssap, n, err := ParseLLC(c.frame)
		if n != c.n || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, %v; want %d, %v", c.what, n, err, c.n, c.err)
		}
		if err == nil && (dsap != 2 || ssap != 65) {
			t.Errorf("%s: from %d to %d", c.what, ssap, dsap)
		}
	}
}

func TestTheLongestPayloadFollowsTheMTU(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		mtu  int
		want int
	}{
		{DIX, 1500, 1496}, {DIX, 9000, 8996}, {DIX, 65536, 65531}, {DIX, 1 << 20, 65531}, {DIX, 4, 0}, {DIX, 0, 0},
		{LLC, 1500, 1497}, {LLC, 9000, 1497}, {LLC, 576, 573}, {LLC, 1, 0},
	} {
		if got := c.kind.MaxPayload(c.mtu); got != c.want {
			t.Errorf("%v with MTU %d: %d, want %d", c.kind, c.mtu, got, c.want)
		}
	}
}

func TestAddressesAreReadAndWritten(t *testing.T) {
	for _, s := range []string{"02:00:00:00:00:0a", "02-00-00-00-00-0a", "02000000000a"} {
		if m, ok := ParseMAC(s); !ok || m.String() != "02:00:00:00:00:0a" || !m.Individual() {
			t.Errorf("%s is read as %v", s, m)
		}
	}
	for _, s := range []string{"", "02", "02:00:00:00:00:00:00:0a", "zz000000000a"} {
		if m, ok := ParseMAC(s); ok {
			t.Errorf("%q is read as %v", s, m)
		}
	}
	if Broadcast.Individual() {
		t.Error("broadcast is one station")
	}
}
