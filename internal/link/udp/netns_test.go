package udp

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
)

// within opens a socket inside a namespace.
func within(tb testing.TB, space *netns.Space, addr netip.Addr, cfg Config) (s *Socket) {
	tb.Helper()
	cfg.Local = netip.AddrPortFrom(addr, port)
	if err := space.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// families runs a test for the two addresses of a pair.
func families(t *testing.T, a, z *netns.Space, f func(t *testing.T, from, to netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { f(t, a.IPv4.Addr(), z.IPv4.Addr()) })
	t.Run("IPv6", func(t *testing.T) {
		if !a.IPv6.IsValid() {
			t.Skip("this machine has no IPv6")
		}
		f(t, a.IPv6.Addr(), z.IPv6.Addr())
	})
}

func TestAPathWithASmallMTUCarriesAllSizesInOrder(t *testing.T) {
	a, z := netns.Pair(t, netns.MTU(1280))
	sizes := append(append(append(times(20, 1400), times(5, 8980)...), times(20, 1200)...), 8980, 60000, 4, 4)
	families(t, a, z, func(t *testing.T, from, to netip.Addr) {
		var said lines
		s, r := within(t, a, from, Config{Log: slog.New(slog.NewTextHandler(&said, nil))}), within(t, z, to, Config{})
		in := serve(t, r)
		for range 3 {
			sendAll(t, s, r.LocalAddr(), sizes)
			expect(t, in, s.LocalAddr(), sizes)
		}
		st := s.Stats()
		if st.SendErrors > 0 {
			t.Errorf("%+v", st)
		}
		if st.GSO && (st.TrainRefused == 0 || st.TrainRefused > 2 || st.SentTrains < 3) {
			t.Errorf("refused once for each length, and remembered: %+v", st)
		}
		if n := strings.Count(said.String(), "refuses a train"); st.GSO && n != 1 {
			t.Errorf("said %d times: %s", n, said.String())
		}
	})
}

func TestAnMTUThatGrowsGetsLongerTrainsAfterAWhile(t *testing.T) {
	var r refusals
	to := netip.MustParseAddr("192.0.2.1")
	r.add(to, 1400)
	r.add(to, 9000)
	if n := r.longest(to); n != 1399 {
		t.Errorf("%d", n)
	}
	if n := r.longest(to.Next()); n != MaxDatagram {
		t.Errorf("of another destination: %d", n)
	}
	r.place(to).Load().until = time.Now().Add(-time.Second)
	if n := r.longest(to); n != MaxDatagram {
		t.Errorf("after a while: %d", n)
	}
}

// A socket without checksums cannot send trains: the kernel refuses each.
func TestRefusedTrainsGoOneByOne(t *testing.T) {
	a, b := open(t, Config{Local: loopback4}), open(t, Config{Local: loopback4})
	if !a.gso {
		t.Skip("this kernel has no UDP_SEGMENT")
	}
	if err := unix.SetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
		t.Fatal(err)
	}
	in := serve(t, b)
	sizes := append(times(100, 1400), 3, 3, 1, 1400, 1400)
	for range 2 {
		sendAll(t, a, b.LocalAddr(), sizes)
		expect(t, in, a.LocalAddr(), sizes)
	}
	if st := a.Stats(); st.TrainRefused == 0 || st.SentTrains > 0 || st.SendErrors > 0 {
		t.Errorf("%+v", st)
	}
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Datagrams to a neighbour that does not answer yet wait in the kernel, and in
// the send buffer.
func TestAFullSendBufferTakesLessAndLosesNothing(t *testing.T) {
	a, z := netns.Pair(t)
	late := netip.MustParseAddr("10.77.0.77")
	// The default send buffer of the kernel holds less than its queue for a
	// neighbour does.
	s := within(t, a, a.IPv4.Addr(), Config{SendBuffer: 32 << 10, NoOffload: true})
	room := make(chan struct{}, 1)
	s.OnWritable(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	to := netip.AddrPortFrom(late, port)
	const n = 300
	var batch []*packet.Buffer
	for i := range n {
		batch = append(batch, packet.From(mark(i, 1000)))
	}
	taken := s.Send(to, batch)
	if taken == 0 || taken == n {
		t.Fatalf("took %d of %d: %+v", taken, n, s.Stats())
	}
	batch = batch[taken:]
	if err := z.AddAddr(z.Dev, netip.PrefixFrom(late, 24)); err != nil {
		t.Fatal(err)
	}
	in := serve(t, within(t, z, late, Config{}))
	for len(batch) > 0 {
		select {
		case <-room:
		case <-time.After(patience):
			t.Fatalf("no room: %+v", s.Stats())
		}
		batch = batch[s.Send(to, batch):]
	}
	expect(t, in, s.LocalAddr(), times(n, 1000))
	if st := s.Stats(); st.ShortTakes == 0 || st.SendErrors > 0 || st.Sent != n {
		t.Errorf("%+v", st)
	}
}

func TestCloseEndsTheWaitForRoom(t *testing.T) {
	a, _ := netns.Pair(t)
	s := within(t, a, a.IPv4.Addr(), Config{SendBuffer: 32 << 10, NoOffload: true})
	called := make(chan struct{}, 1)
	s.OnWritable(func() { called <- struct{}{} })
	var batch []*packet.Buffer
	for range 200 {
		batch = append(batch, packet.Get(1000))
	}
	taken := s.Send(netip.AddrPortFrom(netip.MustParseAddr("10.77.0.99"), port), batch)
	packet.ReleaseAll(batch[taken:])
	if taken == len(batch) {
		t.Fatalf("took all: %+v", s.Stats())
	}
	done := make(chan struct{})
	go func() { s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Close does not end")
	}
}

func TestLinkLocalAddressesWorkBothWays(t *testing.T) {
	a, z := netns.Pair(t)
	from, to := linkLocal(t, a), linkLocal(t, z)
	s, r := within(t, a, from, Config{}), within(t, z, to, Config{})
	in, back := serve(t, r), serve(t, s)
	sizes := times(10, 100)
	dst := netip.AddrPortFrom(to.WithZone(a.Dev), port) // the zone is the sender's
	sendAll(t, s, dst, sizes)
	src := netip.AddrPortFrom(from.WithZone(z.Dev), port)
	expect(t, in, src, sizes)
	sendAll(t, r, src, sizes)
	expect(t, back, dst, sizes)

	sendAll(t, s, netip.AddrPortFrom(to.WithZone("nowhere"), port), []int{1, 2})
	if st := s.Stats(); st.SendErrors != 2 {
		t.Errorf("to an interface that is not there: %+v", st)
	}
}

func linkLocal(t *testing.T, s *netns.Space) (found netip.Addr) {
	t.Helper()
	err := s.Do(func() error {
		dev, err := net.InterfaceByName(s.Dev)
		if err != nil {
			return err
		}
		addrs, err := dev.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				found = p.Addr().WithZone(s.Dev)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found.IsValid() {
		t.Skip("no link-local address: this machine has no IPv6")
	}
	return found
}

func TestOnePortForEachFamily(t *testing.T) {
	s := netns.Empty(t)
	four := within(t, s, netip.IPv4Unspecified(), Config{})
	if six := within(t, s, netip.IPv6Unspecified(), Config{}); six.LocalAddr().Port() != four.LocalAddr().Port() {
		t.Errorf("%v and %v", six.LocalAddr(), four.LocalAddr())
	}
}

func TestErrorsOfOneDestinationStopNoOther(t *testing.T) {
	a, z := netns.Pair(t)
	s, r := within(t, a, a.IPv4.Addr(), Config{}), within(t, z, z.IPv4.Addr(), Config{})
	in := serve(t, r)
	serve(t, s)
	closed := netip.AddrPortFrom(z.IPv4.Addr(), 9) // answers with ICMP
	sizes := times(3, 50)
	for range 20 {
		sendAll(t, s, closed, sizes)
		sendAll(t, s, netip.MustParseAddrPort("192.0.2.1:1"), sizes) // no route
		sendAll(t, s, netip.MustParseAddrPort("[fd77::2]:1"), sizes) // no address of this socket
		sendAll(t, s, netip.AddrPortFrom(z.IPv4.Addr(), 0), sizes)   // no port
		sendAll(t, s, r.LocalAddr(), []int{MaxDatagram + 1})
		sendAll(t, s, r.LocalAddr(), sizes)
		expect(t, in, s.LocalAddr(), sizes)
	}
	if st := s.Stats(); st.SendErrors != 20*(3*3+1) || st.LastError == nil {
		t.Errorf("%+v", st)
	}
	// The cable comes back.
	if err := errors.Join(z.Down(z.Dev), z.Up(z.Dev)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		sendAll(t, s, r.LocalAddr(), []int{1})
		select {
		case <-in.got:
			return
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing arrives after the interface came back")
		}
	}
}

func TestAFullReceiveBufferIsCounted(t *testing.T) {
	a, b := open(t, Config{Local: loopback4}), open(t, Config{Local: loopback4, RecvBuffer: 8 << 10})
	sendAll(t, a, b.LocalAddr(), times(200, 1000))
	if st := b.Stats(); st.Overflows == 0 {
		t.Errorf("%+v", st)
	}
}

func TestManySendersAndAClose(t *testing.T) {
	forEach(t, func(t *testing.T, cfg Config) {
		for range 5 {
			a, b := open(t, cfg), open(t, cfg)
			serveTo(t, b, &counter{})
			serveTo(t, a, echo{a})
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 50 {
						batch := []*packet.Buffer{packet.Get(100), packet.Get(100), packet.Get(i)}
						packet.ReleaseAll(batch[a.Send(b.LocalAddr(), batch):])
					}
				})
			}
			wg.Go(func() { a.Stats(); b.Stats(); a.Close() })
			wg.Wait()
			b.Close()
		}
	})
}
