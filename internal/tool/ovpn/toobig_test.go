package ovpn

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"ouroboros/internal/tool/tun"
)

// udp4 makes the head of an IPv4 packet of n bytes.
func udp4(n int, fragment uint16, protocol, kind byte) []byte {
	p := make([]byte, n)
	p[0], p[8], p[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	binary.BigEndian.PutUint16(p[6:], fragment)
	copy(p[12:], net.IPv4(10, 0, 0, 1).To4())
	copy(p[16:], net.IPv4(10, 0, 0, 2).To4())
	p[20] = kind
	return p
}

func udp6(n int, next, kind byte) []byte {
	p := make([]byte, n)
	p[0], p[6], p[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(p[4:], uint16(n-40))
	copy(p[8:], net.ParseIP("fd00::1"))
	copy(p[24:], net.ParseIP("fd00::2"))
	p[40] = kind
	return p
}

const df = 0x4000

func TestPacketsThatAreTooBigAreRefusedAsRoutersDo(t *testing.T) {
	got := tooBig(nil, udp4(1500, df, 17, 0), 1400)[tun.HeadRoom:]
	h, err := ipv4.ParseHeader(got)
	if err != nil {
		t.Fatal(err)
	}
	if h.Src.String() != "10.0.0.2" || h.Dst.String() != "10.0.0.1" || h.TotalLen != len(got) || checksum(got[:20]) != 0 {
		t.Errorf("header %v, checksum %x of %d bytes", h, checksum(got[:20]), len(got))
	}
	m, err := icmp.ParseMessage(1, got[20:])
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != ipv4.ICMPTypeDestinationUnreachable || m.Code != 4 || binary.BigEndian.Uint32(got[24:]) != 1400 {
		t.Errorf("message %v, % x", m, got[20:28])
	}

	got = tooBig(nil, udp6(1500, 17, 0), 1400)[tun.HeadRoom:]
	h6, err := ipv6.ParseHeader(got)
	if err != nil {
		t.Fatal(err)
	}
	if h6.Src.String() != "fd00::2" || h6.Dst.String() != "fd00::1" || h6.PayloadLen != len(got)-40 || len(got) > 1280 {
		t.Errorf("header %v of %d bytes", h6, len(got))
	}
	m, err = icmp.ParseMessage(58, got[40:])
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := m.Body.(*icmp.PacketTooBig); !ok || b.MTU != 1400 {
		t.Errorf("message %v", m)
	}
}

func TestNobodyIsToldWhoMayNotBe(t *testing.T) {
	multicast := udp6(1500, 17, 0)
	multicast[24] = 0xff
	for what, p := range map[string][]byte{
		"nothing":                  {},
		"no IP":                    {0x10, 0, 0},
		"a short header":           {0x45, 0},
		"options that are missing": append([]byte{0x4f}, make([]byte, 30)...),
		"fragments allowed":        udp4(1500, 0, 17, 0),
		"a later fragment":         udp4(1500, df|5, 17, 0),
		"an ICMP error":            udp4(1500, df, 1, 3),
		"a short header 6":         {0x60, 0},
		"an ICMP error 6":          udp6(1500, 58, 1),
		"to a group":               multicast,
	} {
		if got := tooBig(nil, p, 1400); len(got) != 0 {
			t.Errorf("%s: % x", what, got)
		}
	}
	if got := tooBig(nil, udp4(1500, df, 1, 8), 1400); len(got) == 0 {
		t.Error("a long ping is not answered")
	}
}

func FuzzTooBig(f *testing.F) {
	f.Add(udp4(60, df, 17, 0), 40)
	f.Add(udp6(60, 17, 0), 40)
	f.Fuzz(func(t *testing.T, packet []byte, mtu int) {
		if got := tooBig(nil, packet, mtu); len(got) > tun.HeadRoom+1280 {
			t.Errorf("an answer of %d bytes", len(got))
		}
	})
}
