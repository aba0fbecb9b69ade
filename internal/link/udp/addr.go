package udp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sockaddr is struct sockaddr_in or sockaddr_in6.
//
//	offset  sockaddr_in           sockaddr_in6
//	0       family, u16 native    family, u16 native
//	2       port, u16 big endian  port, u16 big endian
//	4       address, 4            flow label, u32
//	8                             address, 16
//	24                            scope id, u32 native
type sockaddr [unix.SizeofSockaddrInet6]byte

// put makes sa the address of a, and gives its length in bytes; 0 when a is
// no address of a socket of this family.
func (sa *sockaddr) put(a netip.AddrPort, v6 bool, z *zones) (length int) {
	addr := a.Addr()
	switch {
	case a.Port() == 0:
		return 0
	case v6 && addr.Is6() && !addr.Is4In6():
		scope, ok := z.index(addr.Zone())
		if !ok {
			return 0
		}
		binary.NativeEndian.PutUint16(sa[0:], unix.AF_INET6)
		binary.NativeEndian.PutUint32(sa[4:], 0)
		ip := addr.As16()
		copy(sa[8:], ip[:])
		binary.NativeEndian.PutUint32(sa[24:], scope)
		length = unix.SizeofSockaddrInet6
	case !v6 && (addr.Is4() || addr.Is4In6()):
		binary.NativeEndian.PutUint16(sa[0:], unix.AF_INET)
		ip := addr.As4()
		copy(sa[4:], ip[:])
		length = unix.SizeofSockaddrInet4
	default:
		return 0
	}
	binary.BigEndian.PutUint16(sa[2:], a.Port())
	return length
}

// get gives the address that the kernel wrote; false when it wrote none.
func (sa *sockaddr) get(length int, v6 bool, z *zones) (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16(sa[2:])
	switch {
	case v6 && length >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(sa[0:]) == unix.AF_INET6:
		addr := netip.AddrFrom16([16]byte(sa[8:24]))
		if scope := binary.NativeEndian.Uint32(sa[24:]); scope != 0 {
			addr = addr.WithZone(z.name(scope))
		}
		return netip.AddrPortFrom(addr, port), true
	case !v6 && length >= 8 && binary.NativeEndian.Uint16(sa[0:]) == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), port), true
	}
	return netip.AddrPort{}, false
}

// zones translates between the names of interfaces, as in fe80::1%eth0, and
// their numbers, as the socket's own network namespace has them. What it
// learns holds for a while: an interface may be renamed, or made again with
// another number.
type zones struct {
	fd int

	mu      sync.RWMutex
	indexes map[string]scope
	names   map[uint32]scope
}

type scope struct {
	name  string
	index uint32
	until time.Time
}

const (
	zoneLife = 5 * time.Second
	mostZone = 64
)

// index gives the number of a zone, 0 of no zone; false when there is no such
// interface.
func (z *zones) index(name string) (uint32, bool) {
	if name == "" {
		return 0, true
	}
	z.mu.RLock()
	s, ok := z.indexes[name]
	z.mu.RUnlock()
	if ok && time.Now().Before(s.until) {
		return s.index, s.index != 0
	}
	s = scope{name: name}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		s.index = uint32(n)
	} else if ifr, err := unix.NewIfreq(name); err == nil && unix.IoctlIfreq(z.fd, unix.SIOCGIFINDEX, ifr) == nil {
		s.index = ifr.Uint32()
	}
	z.learn(s)
	return s.index, s.index != 0
}

// name gives the name of a zone, its number in digits when there is no such
// interface any more.
func (z *zones) name(index uint32) string {
	z.mu.RLock()
	s, ok := z.names[index]
	z.mu.RUnlock()
	if ok && time.Now().Before(s.until) {
		return s.name
	}
	s = scope{index: index}
	if ifr, err := unix.NewIfreq(""); err == nil {
		ifr.SetUint32(index)
		if unix.IoctlIfreq(z.fd, unix.SIOCGIFNAME, ifr) == nil {
			s.name = ifr.Name()
		}
	}
	if s.name == "" {
		s.name = strconv.FormatUint(uint64(index), 10)
	}
	z.learn(s)
	return s.name
}

func (z *zones) learn(s scope) {
	s.until = time.Now().Add(zoneLife)
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.indexes == nil || len(z.indexes) >= mostZone || len(z.names) >= mostZone {
		z.indexes, z.names = make(map[string]scope), make(map[uint32]scope)
	}
	z.indexes[s.name] = s
	if s.index != 0 {
		z.names[s.index] = s
	}
}
