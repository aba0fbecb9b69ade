// Package netns makes networks for tests and measurements: network
// namespaces, joined by veth pairs.
//
//	a, b := netns.Pair(t)
//
//	 namespace a               namespace b
//	┌─────────────────┐       ┌─────────────────┐
//	│ lo   veth0 ─────┼───────┼───── veth0   lo │
//	│      10.77.0.1  │       │      10.77.0.2  │
//	│      fd77::1    │       │      fd77::2    │
//	└─────────────────┘       └─────────────────┘
//
// Addresses are usable at once (no duplicate address detection). Nothing
// outside the namespaces is touched, names are unique on the machine, and all
// of it is gone at the end of the test, however that ended: namespaces,
// interfaces, hosts files, and the processes that still run inside.
//
// It needs root and the program ip of iproute2; a test without them is
// skipped with a sentence that says which.
package netns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Dev is the interface of both ends of a Pair.
const Dev = "veth0"

// The addresses of the ends of a Pair.
var (
	addrA = []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("fd77::1/64")}
	addrB = []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24"), netip.MustParsePrefix("fd77::2/64")}
)

// ErrRefused says that namespaces cannot be made here: not root, no ip
// program, or a kernel or container that forbids them.
var ErrRefused = errors.New("network namespaces cannot be made here")

// Space is a network namespace.
type Space struct {
	Name string // as ip netns knows it

	// Of a Space that Pair made; Dev is "veth0", or "veth0.N" with VLAN(N).
	// IPv6 is not valid on a machine without IPv6.
	Dev  string
	IPv4 netip.Prefix
	IPv6 netip.Prefix

	fd int // of the namespace, -1 when closed
}

// New makes an empty namespace whose lo is up. The error wraps ErrRefused
// where the machine does not allow it.
func New() (*Space, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it takes root", ErrRefused)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("%w: the program ip is missing (package iproute2)", ErrRefused)
	}
	var tag [4]byte
	rand.Read(tag[:])
	s := &Space{Name: fmt.Sprintf("o7s-%d-%s", os.Getpid(), hex.EncodeToString(tag[:])), fd: -1}
	if err := ip("netns", "add", s.Name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var err error
	if s.fd, err = unix.Open(s.path(), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		s.Close()
		return nil, fmt.Errorf("open namespace %s: %w", s.path(), err)
	}
	if err := errors.Join(s.Do(settle), s.IP("link", "set", "lo", "up")); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// settle makes addresses usable at once and the kernel quiet: interfaces that
// come later inherit it.
func settle() error {
	const conf = "/proc/sys/net/ipv6/conf/"
	if _, err := os.Stat(conf); err != nil {
		return nil // no IPv6 here
	}
	for _, kv := range [][2]string{
		{"disable_ipv6", "0"}, {"accept_dad", "0"}, {"dad_transmits", "0"},
		{"accept_ra", "0"}, {"router_solicitations", "0"},
	} {
		for _, dev := range []string{"all", "default"} {
			// A key that this kernel does not have, or does not let us write,
			// changes how fast an address comes, not what the test proves.
			os.WriteFile(conf+dev+"/"+kv[0], []byte(kv[1]), 0o644)
		}
	}
	return nil
}

func (s *Space) path() string { return "/run/netns/" + s.Name }

// Close kills what still runs inside, and removes the namespace with its
// interfaces and its hosts file. Closing twice is no error.
func (s *Space) Close() error {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	if _, err := os.Stat(s.path()); err != nil {
		return nil
	}
	s.killAll()
	os.RemoveAll(s.etc())
	// The directory is shared with whoever else uses ip netns: it goes when
	// it is empty.
	os.Remove(filepath.Dir(s.etc()))
	return ip("netns", "del", s.Name)
}

func (s *Space) killAll() {
	for range 20 {
		out, err := exec.Command("ip", "netns", "pids", s.Name).Output()
		pids := strings.Fields(string(out))
		others := 0
		for _, p := range pids {
			if pid, err := strconv.Atoi(p); err == nil && pid != os.Getpid() {
				syscall.Kill(pid, syscall.SIGKILL)
				others++
			}
		}
		if err != nil || others == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Do runs f on a thread that is inside the namespace. Sockets and netlink
// connections that f opens stay there; goroutines that f starts do not. f may
// end the test.
func (s *Space) Do(f func() error) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer unix.Close(home)
	if err := unix.Setns(s.fd, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", s.Name, err)
	}
	defer func() {
		// A thread that cannot come home stays locked, and ends with its
		// goroutine.
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// Command is exec.CommandContext inside the namespace. The process has the
// pid of the command, and the hosts file of the namespace when Hosts made
// one.
func (s *Space) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", s.Name, name}, args...)...)
}

// IP runs ip with args inside the namespace: s.IP("link", "set", ...).
func (s *Space) IP(args ...string) error { return ip(append([]string{"-n", s.Name}, args...)...) }

func ip(args ...string) error {
	var said bytes.Buffer
	cmd := exec.Command("ip", args...)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

func (s *Space) etc() string { return "/etc/netns/" + s.Name }

// Hosts writes the hosts file that processes of Command read as /etc/hosts,
// from then on and, when there was one at their start, at once.
func (s *Space) Hosts(names map[string]netip.Addr) error {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for name, addr := range names {
		fmt.Fprintf(&b, "%s %s\n", addr, name)
	}
	if err := os.MkdirAll(s.etc(), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.etc(), "hosts"), []byte(b.String()), 0o644)
}

// MAC is the hardware address of an interface.
func (s *Space) MAC(dev string) (mac net.HardwareAddr, err error) {
	err = s.Do(func() error {
		i, err := net.InterfaceByName(dev)
		if err == nil {
			mac = i.HardwareAddr
		}
		return err
	})
	return mac, err
}

// refuse ends a test that has no namespaces: skipped where the machine cannot
// have them.
func refuse(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, ErrRefused) {
		tb.Skip(err)
	}
	tb.Fatal(err)
}
