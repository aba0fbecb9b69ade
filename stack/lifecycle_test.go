package stack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/qos"
)

// holdings is what a node holds that flows and allocations take.
type holdings struct{ flows, guarded, endpoints, pending int }

func held(t testing.TB, n *Node, pid int) (h holdings) {
	t.Helper()
	st, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.flows, h.guarded = int(st.Counters["flows"]), int(st.Counters["flows_on_networks"])
	if pid == 0 {
		return h
	}
	shown, err := n.ShowIPCP(t.Context(), pid)
	if err != nil {
		t.Fatal(err)
	}
	h.endpoints = shown["flows"].(map[string]any)["open"].(int)
	h.pending = shown["arrivals"].(map[string]any)["pending"].(int)
	return h
}

// until waits for something that comes by itself.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: it does not come to that", what)
		}
	}
}

// wantNothing waits until a node holds nothing.
func wantNothing(t testing.TB, what string, n *Node, pid int) {
	t.Helper()
	until(t, what, func() bool { return held(t, n, pid) == holdings{} })
}

// descriptors is the number of open files of this program.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("there is no /proc to count the open files in: %v", err)
	}
	return len(all)
}

// town is two nodes on a network; "served" has a server on b, "asleep" a
// process that never accepts, and "nowhere" is known to the network alone.
type town struct {
	a, b       *Node
	pidA, pidB int
	client     *ouroboros.Client
	served     *ouroboros.Listener
}

func newTown(t testing.TB) *town {
	t.Helper()
	inet := new(internet)
	w := &town{a: inet.node(t), b: inet.node(t)}
	w.pidA, w.pidB = join(t, w.a, "a", "127.0.0.1"), join(t, w.b, "b", "127.0.0.2")
	for _, name := range []string{"served", "asleep", "nowhere"} {
		inet.hosts.add(name, "127.0.0.2")
	}
	var err error
	server, err := w.b.Client("server")
	if err != nil {
		t.Fatal(err)
	}
	if w.served, err = server.Listen(t.Context(), "served"); err != nil {
		t.Fatal(err)
	}
	sleeper, err := w.b.Client("sleeper")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sleeper.Listen(t.Context(), "asleep"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"served", "asleep"} {
		if err := w.b.RegName(t.Context(), name, w.pidB); err != nil {
			t.Fatal(err)
		}
	}
	if w.client, err = w.a.Client("client"); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAThousandRefusalsLeaveNothing(t *testing.T) {
	w := newTown(t)
	ask := func(n int) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				for range n / 50 {
					if f, err := w.client.Alloc(limited(t), "nowhere", nil); !errors.Is(err, ouroboros.ErrName) {
						t.Errorf("%v, %v", f, err)
					}
				}
			})
		}
		all.Wait()
	}
	ask(50)
	files, routines := descriptors(t), runtime.NumGoroutine()
	ask(1000)
	wantNothing(t, "the client's node", w.a, w.pidA)
	wantNothing(t, "the server's node", w.b, w.pidB)
	until(t, "goroutines as before", func() bool { return runtime.NumGoroutine() <= routines+5 })
	if n := descriptors(t); n > files+5 {
		t.Errorf("%d open files, before it were %d", n, files)
	}
}

func TestAClientThatGoesDuringItsAllocationsLeavesNothing(t *testing.T) {
	w := newTown(t)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := w.client.Alloc(limited(t), "asleep", nil); err == nil {
				t.Error("nobody accepts, and there is a flow")
			}
		})
	}
	until(t, "requests at the server", func() bool { return held(t, w.b, w.pidB).pending >= 10 })
	w.client.Close()
	all.Wait()
	wantNothing(t, "the client's node", w.a, w.pidA)
	wantNothing(t, "the server's node", w.b, w.pidB)
}

func TestAnIPCPIsDestroyedAmongFlowsAndAllocations(t *testing.T) {
	for _, server := range []bool{false, true} {
		t.Run(map[bool]string{false: "of the client", true: "of the server"}[server], func(t *testing.T) {
			w := newTown(t)
			go echo(w.served)
			spec := qos.Raw
			spec.Timeout = 1000
			var flows []*ouroboros.Flow
			for i := range 20 {
				s := spec
				if s.InOrder = i%2 == 0; s.InOrder {
					s.Loss = 0
				}
				f, err := w.client.Alloc(limited(t), "served", &s)
				if err != nil {
					t.Fatal(err)
				}
				flows = append(flows, f)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
			defer cancel()
			var asking, using sync.WaitGroup
			for range 50 {
				asking.Go(func() {
					if _, err := w.client.Alloc(ctx, "asleep", nil); err == nil {
						t.Error("nobody accepts, and there is a flow")
					}
				})
			}
			for _, f := range flows {
				using.Go(func() {
					buf := make([]byte, 100)
					f.SetDeadline(time.Now().Add(30 * time.Second))
					for {
						_, err := f.Write([]byte("still there?"))
						if err == nil {
							_, err = f.Read(buf)
						}
						if errors.Is(err, ouroboros.ErrTimeout) {
							t.Error("a flow does not hear of the end of its IPCP")
							return
						}
						if err != nil {
							return
						}
					}
				})
			}
			until(t, "requests at the server", func() bool { return held(t, w.b, w.pidB).pending >= 10 })
			if server {
				if err := w.b.DestroyIPCP(t.Context(), w.pidB); err != nil {
					t.Fatal(err)
				}
				w.pidB = 0
			} else {
				if err := w.a.DestroyIPCP(t.Context(), w.pidA); err != nil {
					t.Fatal(err)
				}
				w.pidA = 0
			}
			using.Wait()
			for _, f := range flows {
				f.Close()
			}
			asking.Wait()
			wantNothing(t, "the client's node", w.a, w.pidA)
			wantNothing(t, "the server's node", w.b, w.pidB)
		})
	}
}

func TestAThousandFlowsOfADeadPeerAreReleased(t *testing.T) {
	const many = 1000
	w := newTown(t)
	var there []*ouroboros.Flow
	var mu sync.Mutex
	go func() {
		for {
			f, err := w.served.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			mu.Lock()
			there = append(there, f)
			mu.Unlock()
		}
	}()
	spec := qos.Raw
	spec.Timeout = 5000 // ms; long enough for a slow machine to allocate all
	set := ouroboros.NewFlowSet()
	defer set.Close()
	flows := make([]*ouroboros.Flow, many)
	var all sync.WaitGroup
	for k := range 20 {
		all.Go(func() {
			for i := k; i < many; i += 20 {
				s := spec
				if s.InOrder = i%2 == 0; s.InOrder {
					s.Loss = 0
				}
				f, err := w.client.Alloc(limited(t), "served", &s)
				if err != nil {
					t.Errorf("flow %d: %v", i, err)
					return
				}
				flows[i] = f
				if err := set.Add(f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if h := held(t, w.a, w.pidA); h.endpoints != many || h.flows != many || h.guarded != many {
		t.Errorf("the client's node holds %+v", h)
	}
	// All at once the other host is silent.
	if err := w.b.DestroyIPCP(t.Context(), w.pidB); err != nil {
		t.Fatal(err)
	}
	silent := make(map[*ouroboros.Flow]bool)
	ctx := limited(t)
	for len(silent) < many {
		events, err := set.Wait(ctx, nil)
		if err != nil {
			t.Fatalf("%d of %d flows heard of it: %v", len(silent), many, err)
		}
		for _, e := range events {
			if e.Type == ouroboros.FlowPeer {
				silent[e.Flow] = true
			}
		}
	}
	for _, f := range flows {
		f.Close()
	}
	wantNothing(t, "the client's node", w.a, w.pidA)
	mu.Lock()
	for _, f := range there {
		f.Close()
	}
	mu.Unlock()
	wantNothing(t, "the server's node", w.b, 0)
}

// flood sends an IPCP whatever could disturb it, from many sources, until stop
// is closed.
func flood(t *testing.T, to netip.AddrPort, stop <-chan struct{}) *sync.WaitGroup {
	t.Helper()
	var all sync.WaitGroup
	for k := range 4 {
		from := netip.MustParseAddr(fmt.Sprintf("127.0.7.%d", k+1))
		c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close()
			p := make([]byte, 2048)
			r := rand.New(rand.NewPCG(uint64(k), 1))
			turn := time.NewTicker(time.Millisecond)
			defer turn.Stop()
			for i := 0; ; i++ {
				if i%20 == 0 { // 80,000 a second of all four
					select {
					case <-stop:
						return
					case <-turn.C:
					}
				}
				n := r.IntN(200)
				for i := range n {
					p[i] = byte(r.Uint32())
				}
				if r.IntN(2) == 0 { // management
					clear(p[:4])
					p[44] = []byte{1, 2, 240, 241, 3}[r.IntN(5)]
				}
				c.Write(p[:n])
			}
		})
	}
	return &all
}

func TestANodeEndsInTheMiddleOfAFlood(t *testing.T) {
	w := newTown(t)
	go echo(w.served)
	stop := make(chan struct{})
	flooding := flood(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), testPort), stop)
	defer flooding.Wait()
	defer close(stop)
	var users sync.WaitGroup
	var over atomic.Bool
	for range 10 {
		users.Go(func() {
			for !over.Load() {
				f, err := w.client.Alloc(limited(t), "served", &qos.Raw)
				if err != nil {
					continue // the flood may have all places for a moment
				}
				f.Write([]byte("hello"))
				f.Close()
			}
		})
	}
	until(t, "flows in the flood", func() bool {
		st, err := w.b.Status(t.Context())
		return err == nil && st.Counters["flows_incoming"] >= 20
	})
	begun := time.Now()
	if err := w.b.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	over.Store(true)
	w.client.Close()
	users.Wait()
	wantNothing(t, "the client's node", w.a, w.pidA)
}

// BenchmarkIdleFlows is what flows cost that nobody uses: memory of both ends,
// and processor time while they keep one another alive.
func BenchmarkIdleFlows(b *testing.B) { idle(b, 10000) }

func TestIdleFlowsCostLittle(t *testing.T) {
	if race {
		t.Skip("the race detector has costs of its own")
	}
	memory, cpu := idle(t, 1000)
	// Rings and machines of both ends are in one program here.
	if memory > 64<<10 || cpu > 200*time.Microsecond {
		t.Errorf("a flow costs %d bytes, and %v of a processor in a second", memory, cpu)
	}
}

// idle makes n flows and gives what each costs: bytes of memory, and time of a
// processor in a second.
func idle(t testing.TB, n int) (memory int, cpu time.Duration) {
	w := newTown(t)
	accepted := make(chan *ouroboros.Flow, n)
	go func() {
		for {
			f, err := w.served.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			accepted <- f
		}
	}()
	before := resident(t)
	spec := qos.Raw // a time-out of two minutes
	flows := make([]*ouroboros.Flow, n)
	var all sync.WaitGroup
	for k := range 16 {
		all.Go(func() {
			for i := k; i < n; i += 16 {
				s := spec
				if s.InOrder = i%2 == 0; s.InOrder {
					s.Loss = 0
				}
				f, err := w.client.Alloc(limited(t), "served", &s)
				if err != nil {
					t.Error(err)
					return
				}
				flows[i] = f
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	runtime.GC()
	memory = max(0, resident(t)-before) / n
	began, used := time.Now(), processor(t)
	time.Sleep(2 * time.Second) // nothing is waited for: idleness is measured
	cpu = time.Duration(float64(processor(t)-used) / time.Since(began).Seconds() / float64(n))
	if b, ok := t.(*testing.B); ok {
		b.ReportMetric(float64(memory), "bytes/flow")
		b.ReportMetric(float64(cpu.Nanoseconds())*float64(n)/1e7, "%cpu")
	}
	for _, f := range flows {
		f.Close()
	}
	for range n {
		(<-accepted).Close()
	}
	wantNothing(t, "the client's node", w.a, w.pidA)
	wantNothing(t, "the server's node", w.b, w.pidB)
	return memory, cpu
}

func TestWhatAFlowMayKeepShrinksWithTheirNumber(t *testing.T) {
	for open, want := range map[int]int{0: 8 << 20, 1: 8 << 20, 64: 8 << 20, 128: 4 << 20, 1024: 512 << 10, 2048: 256 << 10, 60000: 256 << 10} {
		if got := share(open); got != want {
			t.Errorf("one of %d flows keeps %d bytes, want %d", open, got, want)
		}
	}
}
