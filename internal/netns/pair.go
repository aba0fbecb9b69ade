package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Option changes the network that Pair makes.
type Option func(*shape)

type shape struct {
	mtu, vlan int
	bare      bool
}

// MTU sets the MTU of the interfaces; the veth default is 1500.
func MTU(n int) Option { return func(s *shape) { s.mtu = n } }

// VLAN puts the addresses on a tagged interface "veth0.ID" above veth0, and
// makes it the Dev of both spaces. Pair skips the test where the kernel has no
// VLANs.
func VLAN(id int) Option { return func(s *shape) { s.vlan = id } }

// Bare leaves the interfaces without addresses.
func Bare() Option { return func(s *shape) { s.bare = true } }

// Empty makes one empty namespace for a test.
func Empty(tb testing.TB) *Space {
	tb.Helper()
	s, err := New()
	if err != nil {
		refuse(tb, err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("namespace %s stays: %v", s.Name, err)
		}
	})
	return s
}

// Pair makes two namespaces for a test, joined by a veth pair with addresses.
func Pair(tb testing.TB, options ...Option) (a, b *Space) {
	tb.Helper()
	a, b = Empty(tb), Empty(tb)
	if err := Connect(a, b, options...); err != nil {
		refuse(tb, err)
	}
	return a, b
}

// Connect joins two namespaces by a veth pair with the addresses of a Pair,
// all up. It is also what re-creates the pair after DeleteLink.
func Connect(a, b *Space, options ...Option) error {
	if err := Join(a, Dev, b, Dev); err != nil {
		return err
	}
	return Dress(a, b, options...)
}

// Dress does to the interfaces Dev of two spaces what Connect does to those
// that it joins: for spaces with something else than a veth pair between them.
func Dress(a, b *Space, options ...Option) error {
	var s shape
	for _, o := range options {
		o(&s)
	}
	return errors.Join(a.dress(s, addrA), b.dress(s, addrB))
}

// indices counts the numbers of interfaces: no two here have the same.
var indices atomic.Int32

// Join makes a veth pair with one end in each namespace, both up and without
// addresses.
func Join(a *Space, devA string, b *Space, devB string) error {
	// The kernel tells of a carrier at once only where the two ends have
	// different numbers; else it takes up to a second.
	n := 1000 + int(indices.Add(2))
	err := ip("link", "add", devA, "netns", a.Name, "index", strconv.Itoa(n),
		"type", "veth", "peer", "name", devB, "netns", b.Name, "index", strconv.Itoa(n+1))
	if err != nil {
		return err
	}
	return errors.Join(a.Up(devA), b.Up(devB))
}

func (s *Space) dress(sh shape, addrs []netip.Prefix) error {
	s.Dev = Dev
	if sh.mtu > 0 {
		if err := s.SetMTU(Dev, sh.mtu); err != nil {
			return err
		}
	}
	if sh.vlan > 0 {
		id := strconv.Itoa(sh.vlan)
		s.Dev = Dev + "." + id
		if err := s.IP("link", "add", "link", Dev, "name", s.Dev, "type", "vlan", "id", id); err != nil {
			return fmt.Errorf("%w: with a VLAN (kernel module 8021q): %w", ErrRefused, err)
		}
		if err := s.Up(s.Dev); err != nil {
			return err
		}
	}
	if sh.bare {
		return nil
	}
	s.IPv4, s.IPv6 = addrs[0], netip.Prefix{}
	if err := s.AddAddr(s.Dev, s.IPv4); err != nil {
		return err
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return nil
	}
	s.IPv6 = addrs[1]
	return s.AddAddr(s.Dev, s.IPv6)
}

// Up sets an interface up; the carrier of a veth is there when both ends are.
func (s *Space) Up(dev string) error { return s.IP("link", "set", "dev", dev, "up") }

// Down sets an interface down, and takes the carrier of the other end.
func (s *Space) Down(dev string) error { return s.IP("link", "set", "dev", dev, "down") }

// Quiet keeps the kernel from speaking on an interface of its own accord: no
// IPv6 on it.
func (s *Space) Quiet(dev string) error {
	return s.Do(func() error {
		const conf = "/proc/sys/net/ipv6/conf/"
		if _, err := os.Stat(conf); err != nil {
			return nil // no IPv6 here
		}
		return os.WriteFile(conf+dev+"/disable_ipv6", []byte("1"), 0o644)
	})
}

// SetMTU sets the MTU of an interface in bytes.
func (s *Space) SetMTU(dev string, n int) error {
	return s.IP("link", "set", "dev", dev, "mtu", strconv.Itoa(n))
}

// DeleteLink removes an interface; a veth goes with its other end. Connect or
// Join makes it again.
func (s *Space) DeleteLink(dev string) error { return s.IP("link", "del", "dev", dev) }

// AddAddr gives an interface an address, usable at once.
func (s *Space) AddAddr(dev string, p netip.Prefix) error {
	args := []string{"addr", "add", p.String(), "dev", dev}
	if p.Addr().Is6() {
		args = append(args, "nodad")
	}
	return s.IP(args...)
}

// DelAddr takes an address from an interface.
func (s *Space) DelAddr(dev string, p netip.Prefix) error {
	return s.IP("addr", "del", p.String(), "dev", dev)
}

// String is for messages of tests.
func (s *Space) String() string { return fmt.Sprintf("%s(%s)", s.Name, s.Dev) }
