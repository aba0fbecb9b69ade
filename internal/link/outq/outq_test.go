package outq_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"ouroboros/internal/leak"
	link "ouroboros/internal/link/packet"
	"ouroboros/internal/link/udp"
	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
)

func TestMain(m *testing.M) { leak.Main(m) }

// slow gives two joined spaces, the first of which sends next to nothing: what
// it sends waits in the queue of its device.
func slow(t *testing.T, size int) (a, b *netns.Space) {
	a, b = netns.Pair(t)
	for _, s := range []*netns.Space{a, b} {
		if err := s.SetMTU(s.Dev, 9000); err != nil {
			t.Fatal(err)
		}
	}
	mac, err := b.MAC(b.Dev)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.IP("neigh", "replace", b.IPv4.Addr().String(), "lladdr", mac.String(), "dev", a.Dev, "nud", "permanent"); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("SKIPPED: no program tc (package iproute2) to make a slow queue with")
	}
	out, err := a.Command(t.Context(), "tc", "qdisc", "add", "dev", a.Dev, "root", "tbf",
		"rate", "1kbit", "burst", fmt.Sprint(size+100), "limit", "100mb").CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: this kernel has no tbf to make a slow queue with: %v: %s", err, out)
	}
	return a, b
}

var backlog = regexp.MustCompile(`backlog \S+ (\d+)p`)

// waiting is the number of packets in the queue of the device, as the kernel
// counts them.
func waiting(t *testing.T, s *netns.Space) int {
	out, err := s.Command(t.Context(), "tc", "-s", "qdisc", "show", "dev", s.Dev).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	m := backlog.FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("tc says %s", out)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// edge is a socket of either kind, with packets that it can send.
type edge interface {
	send(batch []*packet.Buffer) int
	QueueLen() int
	Close() error
}

type udpEdge struct {
	*udp.Socket
	to netip.AddrPort
}

func (e udpEdge) send(batch []*packet.Buffer) int { return e.Send(e.to, batch) }

type ethEdge struct {
	*link.Link
	header [14]byte
}

func (e ethEdge) send(batch []*packet.Buffer) int {
	for _, b := range batch {
		copy(b.Prepend(14), e.header[:])
	}
	return e.Send(batch)
}

func open(t *testing.T, kind string, a, b *netns.Space) edge {
	var e edge
	if err := a.Do(func() error {
		if kind == "eth" {
			k, err := link.Open(link.Config{Device: a.Dev, Filter: link.Ethertype(0xa000)})
			if err != nil {
				return err
			}
			to, err := b.MAC(b.Dev)
			if err != nil {
				return err
			}
			x := ethEdge{Link: k}
			own := k.MAC()
			copy(x.header[0:], to)
			copy(x.header[6:], own[:])
			x.header[12], x.header[13] = 0xa0, 0
			e = x
			return nil
		}
		s, err := udp.Open(udp.Config{Local: netip.AddrPortFrom(a.IPv4.Addr(), 3435), NoOffload: kind == "udp, no trains"})
		e = udpEdge{s, netip.AddrPortFrom(b.IPv4.Addr(), 3435)}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestPacketsThatWaitAreCounted(t *testing.T) {
	for _, kind := range []string{"udp, no trains", "udp", "eth"} {
		for _, size := range []int{20, 100, 500, 1000, 1400, 4000, 8900} {
			for _, batch := range []int{1, 16} {
				t.Run(fmt.Sprintf("%s, %d bytes, %d at a time", kind, size, batch), func(t *testing.T) {
					a, b := slow(t, size)
					e := open(t, kind, a, b)
					if n := e.QueueLen(); n != 0 {
						t.Errorf("%d packets wait before one was sent", n)
					}
					sent := 0
					for sent < 48 {
						all := make([]*packet.Buffer, batch)
						for i := range all {
							all[i] = packet.Get(size)
						}
						n := e.send(all)
						sent += n
						packet.ReleaseAll(all[n:])
						if n < batch {
							break
						}
					}
					time.Sleep(time.Millisecond) // an answer of before is old now
					have := waiting(t, a)
					got := e.QueueLen()
					if have < sent*3/4 {
						t.Fatalf("%d of %d packets wait: the queue is not slow", have, sent)
					}
					t.Logf("%d packets wait, %d are estimated", have, got)
					if got < have*3/4 || got > have*4/3+1 {
						t.Errorf("%d packets wait, and not %d", have, got)
					}
				})
			}
		}
	}
}

func TestNothingWaitsWhereAllLeavesAtOnce(t *testing.T) {
	a, b := netns.Pair(t)
	for _, kind := range []string{"udp", "eth"} {
		e := open(t, kind, a, b)
		for range 100 {
			e.send([]*packet.Buffer{packet.Get(1000)})
		}
		begin := time.Now()
		for e.QueueLen() != 0 {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("%s: %d packets still wait", kind, e.QueueLen())
			}
			time.Sleep(time.Millisecond)
		}
		e.Close()
		if n := e.QueueLen(); n != 0 {
			t.Errorf("%s: %d packets wait on a closed socket", kind, n)
		}
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	s, err := udp.Open(udp.Config{Local: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := testing.AllocsPerRun(1000, func() { s.QueueLen() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkQueueLen(b *testing.B) {
	s, err := udp.Open(udp.Config{Local: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		s.QueueLen()
	}
}
