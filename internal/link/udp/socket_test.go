package udp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/packet"
)

// patience is how long something may take that ought to happen.
const patience = 30 * time.Second

// inbox collects what arrives.
type inbox struct {
	tb  testing.TB
	got chan datagram
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

func (in *inbox) Receive(from netip.AddrPort, batch []*packet.Buffer) {
	if len(batch) == 0 || len(batch) > maxDeliver {
		in.tb.Errorf("a batch of %d", len(batch))
	}
	for _, b := range batch {
		in.got <- datagram{from, bytes.Clone(b.Bytes())}
		b.Release()
	}
}

func (in *inbox) next() datagram {
	in.tb.Helper()
	select {
	case d := <-in.got:
		return d
	case <-time.After(patience):
		in.tb.Fatal("nothing arrives")
		return datagram{}
	}
}

func (in *inbox) none() {
	in.tb.Helper()
	select {
	case d := <-in.got:
		in.tb.Errorf("%d bytes from %v arrived", len(d.data), d.from)
	default:
	}
}

// open opens a socket that is closed at the end of the test.
func open(tb testing.TB, cfg Config) *Socket {
	tb.Helper()
	s, err := Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// serve has a socket served until the end of the test.
func serve(tb testing.TB, s *Socket) *inbox {
	in := &inbox{tb: tb, got: make(chan datagram, 100_000)}
	serveTo(tb, s, in)
	return in
}

func serveTo(tb testing.TB, s *Socket, h Handler) {
	done := make(chan error, 1)
	go func() { done <- s.Serve(h) }()
	tb.Cleanup(func() {
		s.Close()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			tb.Error("Serve does not end")
		}
	})
}

var (
	loopback4 = netip.MustParseAddrPort("127.0.0.1:0")
	loopback6 = netip.MustParseAddrPort("[::1]:0")
)

// forEach runs a test for each address family, with and without offloads.
func forEach(t *testing.T, f func(t *testing.T, cfg Config)) {
	for _, local := range []netip.AddrPort{loopback4, loopback6} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v offloads %v", local.Addr(), !plain), func(t *testing.T) {
				if c, err := net.ListenPacket("udp", local.String()); err != nil {
					t.Skipf("this machine has no %v", local.Addr())
				} else {
					c.Close()
				}
				f(t, Config{Local: local, NoOffload: plain})
			})
		}
	}
}

// mark makes n bytes that tell of the i-th datagram.
func mark(i, n int) []byte {
	p := bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(n)}, n/3+1)
	return p[:n]
}

// sendAll sends datagrams of these sizes with one call after the other.
func sendAll(tb testing.TB, s *Socket, to netip.AddrPort, sizes []int) {
	tb.Helper()
	var batch []*packet.Buffer
	for i, n := range sizes {
		batch = append(batch, packet.From(mark(i, n)))
	}
	for deadline := time.Now().Add(patience); len(batch) > 0; {
		batch = batch[s.Send(to, batch):]
		if time.Now().After(deadline) {
			tb.Fatal("the socket takes nothing")
		}
	}
}

func expect(t *testing.T, in *inbox, from netip.AddrPort, sizes []int) {
	t.Helper()
	for i, n := range sizes {
		d := in.next()
		if d.from != from {
			t.Fatalf("datagram %d is from %v, not %v", i, d.from, from)
		}
		if !bytes.Equal(d.data, mark(i, n)) {
			t.Fatalf("datagram %d of %d bytes is another one, of %d", i, n, len(d.data))
		}
	}
}

func times(n, size int) (sizes []int) {
	for range n {
		sizes = append(sizes, size)
	}
	return sizes
}

func TestDatagramsOfAllSizesArriveInOrder(t *testing.T) {
	cases := map[string][]int{
		"one":                       {64},
		"empty":                     {0},
		"the longest":               {MaxDatagram},
		"round the head":            {headSize - 1, headSize, headSize + 1},
		"round a train":             {1400, 1400, 1399, 1400, 1401, 1400},
		"empty ones between":        {4, 0, 4, 4, 0, 0, 4},
		"a full batch":              times(64, 1400),
		"more than a train":         times(65, 100),
		"more than a system call":   times(300, 10),
		"trains of long ones":       times(16, 8980),
		"each longer than the last": {1, 2, 3, 4, 5, 6, 7, 8},
		"each shorter":              {8, 7, 6, 5, 4, 3, 2, 1},
		"long and short":            {8980, 4, 8980, 8980, 4, 4, 60000, 60000, 1, 1},
		"ones":                      times(64, 1),
	}
	forEach(t, func(t *testing.T, cfg Config) {
		a, b := open(t, cfg), open(t, cfg)
		in := serve(t, b)
		for name, sizes := range cases {
			t.Run(name, func(t *testing.T) {
				sendAll(t, a, b.LocalAddr(), sizes)
				expect(t, in, a.LocalAddr(), sizes)
			})
		}
		if st := a.Stats(); st.SendErrors > 0 || !cfg.NoOffload && st.GSO && st.SentTrains == 0 {
			t.Errorf("sender: %+v", st)
		}
		if st := b.Stats(); st.Truncated+st.Malformed+st.ReceiveErrors+st.Overflows > 0 {
			t.Errorf("receiver: %+v", st)
		}
	})
}

func TestCloseEndsServe(t *testing.T) {
	forEach(t, func(t *testing.T, cfg Config) {
		for range 50 {
			s := open(t, cfg)
			done := make(chan error, 1)
			go func() { done <- s.Serve(&inbox{tb: t}) }()
			s.Close()
			s.Close()
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(patience):
				t.Fatal("Serve does not end")
			}
		}
	})
}

func TestAClosedSocketTakesAllAndDropsIt(t *testing.T) {
	s := open(t, Config{Local: loopback4})
	s.Close()
	if n := s.Send(s.LocalAddr(), []*packet.Buffer{packet.Get(1), packet.Get(2)}); n != 2 {
		t.Errorf("took %d", n)
	}
	if err := s.Serve(&inbox{tb: t}); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := s.Stats(); st.SendErrors != 2 {
		t.Errorf("%+v", st)
	}
}

func TestErrorsOfOpenSayTheNextStep(t *testing.T) {
	taken := open(t, Config{Local: loopback4}).LocalAddr()
	for _, c := range []struct {
		local netip.AddrPort
		want  string
	}{
		{netip.AddrPort{}, "give an IPv4 or IPv6 address"},
		{taken, "ss -lunp"},
		{netip.MustParseAddrPort("192.0.2.1:0"), "ip address"},
		{netip.MustParseAddrPort("[fe80::1%nowhere]:0"), "no interface"},
	} {
		s, err := Open(Config{Local: c.local})
		if err == nil {
			s.Close()
			t.Errorf("%v was opened", c.local)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v: no %q", c.local, err, c.want)
		}
	}
}
