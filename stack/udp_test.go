package stack

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/udp"
	"ouroboros/irm"
	"ouroboros/qos"
)

// hostsFile finds the names of a test, as the hosts file does.
type hostsFile struct {
	mu    sync.Mutex
	names map[string][]netip.Addr
}

func (h *hostsFile) add(name, addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = make(map[string][]netip.Addr)
	}
	key := hex.EncodeToString(hash.Sum(irm.MD5, name))
	h.names[key] = append(h.names[key], netip.MustParseAddr(addr))
}

func (h *hostsFile) String() string { return "the names of a test" }

func (h *hostsFile) Find(_ context.Context, name string) ([]netip.Addr, time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if addrs := h.names[name]; len(addrs) > 0 {
		return addrs, time.Minute, nil
	}
	return nil, 0, errno.NameError
}

// internet starts nodes whose UDP layers find names in hosts.
type internet struct{ hosts hostsFile }

func (i *internet) node(t testing.TB) *Node {
	t.Helper()
	return i.nodeWith(t, Config{})
}

func (i *internet) nodeWith(t testing.TB, cfg Config) *Node {
	t.Helper()
	build := func(*slog.Logger) func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error) {
		return func(kind irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			g, err := ipcp.Start(kind, udp.New(kind, &i.hosts), ipcp.Env{Identity: id, Host: host}, nil)
			if err != nil {
				return nil, err
			}
			return g, nil
		}
	}
	n, err := start(cfg, build)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// join bootstraps a UDP IPCP of a node on an address.
func join(t testing.TB, n *Node, name, addr string, change ...func(*irm.UDPConfig)) int {
	t.Helper()
	kind := irm.UDP4
	if strings.Contains(addr, "::") {
		kind = irm.UDP6
	}
	pid, err := n.CreateIPCP(t.Context(), name, kind)
	if err != nil {
		t.Fatal(err)
	}
	cfg := irm.NewConfig(kind, "net")
	cfg.UDP.IP, cfg.UDP.Port = netip.MustParseAddr(addr), testPort
	for _, c := range change {
		c(cfg.UDP)
	}
	if _, err := n.BootstrapIPCP(t.Context(), pid, cfg); err != nil {
		t.Fatal(err)
	}
	return pid
}

// testPort is the first of two ports that are free at the addresses of the
// tests. It is below those that the kernel gives away by itself.
var testPort = freePort()

func freePort() uint16 {
	for {
		port := 10000 + rand.N[uint16](20000)
		free := true
		for _, addr := range []string{"127.0.0.1", "127.0.0.2"} {
			for _, p := range []uint16{port, port + 1} {
				c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), p)))
				if err != nil {
					free = false
					continue
				}
				c.Close()
			}
		}
		if free {
			return port
		}
	}
}

// ends is two nodes on a network, the second one of which serves a name.
func ends(t testing.TB, near, far, name string) (client *ouroboros.Client, l *ouroboros.Listener) {
	t.Helper()
	net := new(internet)
	net.hosts.add(name, far)
	a, b := net.node(t), net.node(t)
	port := testPort
	if near == far {
		t.Fatal("two members need two addresses: they share a port")
	}
	at := func(u *irm.UDPConfig) { u.Port = port }
	join(t, a, "a", near, at)
	pid := join(t, b, "b", far, at)
	sc, err := b.Client("server")
	if err != nil {
		t.Fatal(err)
	}
	if l, err = sc.Listen(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := b.RegName(t.Context(), name, pid); err != nil {
		t.Fatal(err)
	}
	if client, err = a.Client("client"); err != nil {
		t.Fatal(err)
	}
	return client, l
}

// echo answers every message of every flow with itself.
func echo(l *ouroboros.Listener) {
	for {
		f, err := l.AcceptFlow(context.Background())
		if err != nil {
			return
		}
		go func() {
			defer f.Close()
			buf := make([]byte, 70000)
			for {
				n, err := f.Read(buf)
				if err != nil {
					return
				}
				if _, err := f.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestMessagesOfEachLengthCrossAUDPLayer(t *testing.T) {
	for _, c := range []struct {
		near, far string
		most      int
	}{{"127.0.0.1", "127.0.0.2", udp.MTU4}, {"::1", "", udp.MTU6}} {
		if c.far == "" {
			continue // one address of the loopback device: see the ports
		}
		t.Run(c.near, func(t *testing.T) {
			client, l := ends(t, c.near, c.far, "echo")
			go echo(l)
			f, err := client.Alloc(limited(t), "echo", &qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			lengths(t, f, c.most)
		})
	}
}

// lengths sends messages up to the longest there and back.
func lengths(t *testing.T, f *ouroboros.Flow, most int) {
	t.Helper()
	buf := make([]byte, 70000)
	for _, n := range []int{1, 2, 64, 1400, 1472, most - 1, most} {
		if _, err := f.Write([]byte(strings.Repeat("x", n))); err != nil {
			t.Errorf("%d bytes: %v", n, err)
			continue
		}
		if err := f.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Read(buf); got != n || err != nil {
			t.Errorf("%d bytes came back as %d: %v", n, got, err)
		}
	}
	for _, n := range []int{most + 1, most + 4, most + 5, 60000} {
		if _, err := f.Write(make([]byte, n)); !errors.Is(err, ouroboros.ErrMsgSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestTwoHundredAllocationsAtATimeSucceedOverUDP(t *testing.T) {
	client, l := ends(t, "127.0.0.1", "127.0.0.2", "busy")
	go echo(l)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			f, err := client.Alloc(limited(t), "busy", &qos.Raw)
			if err != nil {
				t.Errorf("allocation %d: %v", i, err)
				return
			}
			defer f.Close()
			text := fmt.Sprintf("flow %d", i)
			if _, err := f.Write([]byte(text)); err != nil {
				t.Error(err)
			}
			buf := make([]byte, 100)
			f.SetReadDeadline(time.Now().Add(30 * time.Second))
			if n, err := f.Read(buf); err != nil || string(buf[:n]) != text {
				t.Errorf("read %q, %v, want %q", buf[:n], err, text)
			}
		})
	}
	all.Wait()
}

func TestWhatTheOtherNodeRefusesIsAnErrorAtOnce(t *testing.T) {
	net := new(internet)
	net.hosts.add("nowhere", "127.0.0.2")
	a, b := net.node(t), net.node(t)
	join(t, a, "a", "127.0.0.1")
	join(t, b, "b", "127.0.0.2")
	client, err := a.Client("client")
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := client.Alloc(limited(t), "nowhere", nil); !errors.Is(err, ouroboros.ErrName) {
		t.Errorf("a name that the other node does not know: %v", err)
	}
	if _, err := client.Alloc(limited(t), "unknown", nil); !errors.Is(err, ouroboros.ErrName) {
		t.Errorf("a name that nobody finds: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSeveralUDPLayersShareANode(t *testing.T) {
	net := new(internet)
	net.hosts.add("one", "127.0.0.2")
	net.hosts.add("two", "::1")
	a, b := net.node(t), net.node(t)
	at := func(port uint16) func(*irm.UDPConfig) { return func(u *irm.UDPConfig) { u.Port = port } }
	join(t, a, "a4", "127.0.0.1", at(testPort))
	join(t, a, "a4other", "127.0.0.1", at(testPort+1))
	pid := join(t, b, "b4", "127.0.0.2", at(testPort))
	sc, err := b.Client("server")
	if err != nil {
		t.Fatal(err)
	}
	l, err := sc.Listen(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RegName(t.Context(), "one", pid); err != nil {
		t.Fatal(err)
	}
	go echo(l)
	client, err := a.Client("client")
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.Alloc(limited(t), "one", &qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestABadSettingOfAUDPLayerSaysSoAndCanBeCorrected(t *testing.T) {
	net := new(internet)
	a, b := net.node(t), net.node(t)
	join(t, b, "b", "127.0.0.2")
	pid, err := a.CreateIPCP(t.Context(), "a", irm.UDP4)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr string
		port uint16
		want string
	}{
		{"203.0.113.77", testPort, "it is no address of this host"},
		{"127.0.0.2", testPort, "another program or IPCP has that port"},
		{"::1", testPort, "is not an IPv4 address"},
		{"127.0.0.1", 0, `"port" cannot be 0`},
		{"127.0.0.1", testPort, ""},
	} {
		cfg := irm.NewConfig(irm.UDP4, "net")
		cfg.UDP.IP, cfg.UDP.Port = netip.MustParseAddr(c.addr), c.port
		_, err := a.BootstrapIPCP(t.Context(), pid, cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s:%d: %v, want %q", c.addr, c.port, err, c.want)
		}
	}
}

func BenchmarkAllocationsOverUDP(b *testing.B) {
	client, l := ends(b, "127.0.0.1", "127.0.0.2", "bench")
	go echo(l)
	ctx := context.Background()
	for b.Loop() {
		f, err := client.Alloc(ctx, "bench", &qos.Raw)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
