package netns

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// listen opens a socket inside a space.
func listen(t *testing.T, s *Space, addr netip.Addr) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := s.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func reach(t *testing.T, a, b *Space, from, to netip.Addr) {
	t.Helper()
	ca, cb := listen(t, a, from), listen(t, b, to)
	if _, err := ca.WriteTo([]byte("hello"), cb.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	cb.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 16)
	n, _, err := cb.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
}

func TestTheEndsOfAPairReachEachOther(t *testing.T) {
	for name, options := range map[string][]Option{
		"plain": nil,
		"jumbo": {MTU(9000)},
		"vlan":  {VLAN(7)},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := Pair(t, options...)
			reach(t, a, b, a.IPv4.Addr(), b.IPv4.Addr())
			if a.IPv6.IsValid() {
				reach(t, b, a, b.IPv6.Addr(), a.IPv6.Addr())
			}
			if mac, err := a.MAC(a.Dev); err != nil || len(mac) != 6 {
				t.Errorf("MAC of %v: %v, %v", a, mac, err)
			}
		})
	}
}

func TestALinkComesBackAfterDeletion(t *testing.T) {
	a, b := Pair(t)
	if err := a.DeleteLink(Dev); err != nil {
		t.Fatal(err)
	}
	if err := b.Up(Dev); err == nil {
		t.Fatal("the other end outlived it")
	}
	if err := Connect(a, b); err != nil {
		t.Fatal(err)
	}
	reach(t, a, b, a.IPv4.Addr(), b.IPv4.Addr())
}

func TestACommandRunsInsideWithTheHostsOfItsSpace(t *testing.T) {
	a, b := Pair(t)
	if err := a.Hosts(map[string]netip.Addr{"far.example": b.IPv4.Addr()}); err != nil {
		t.Fatal(err)
	}
	out, err := a.Command(context.Background(), "cat", "/etc/hosts", "/proc/net/dev").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"10.77.0.2 far.example", Dev + ":"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

func TestDoComesHome(t *testing.T) {
	s := Empty(t)
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	inside := before
	s.Do(func() (err error) {
		inside, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	})
	after, _ := os.Readlink("/proc/thread-self/ns/net")
	if inside == before || after != before {
		t.Errorf("before %s, inside %s, after %s", before, inside, after)
	}
}

func TestNothingStaysOfASpace(t *testing.T) {
	s, err := New()
	if err != nil {
		refuse(t, err)
	}
	s.Hosts(nil)
	cmd := s.Command(context.Background(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The command is inside once ip has become it.
	for {
		out, _ := exec.Command("ip", "netns", "pids", s.Name).Output()
		if len(out) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the command ended well")
	}
	for _, p := range []string{s.path(), s.etc()} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
