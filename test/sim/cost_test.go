package sim

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"ouroboros/internal/simnet"
	"ouroboros/irm"
)

// heap is what lives, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sent is how many frames and bytes were sent on all links.
func (n *Net) sent() (frames, bytes uint64) {
	for _, l := range n.Links() {
		st := l.Stats()
		frames += st.Sent
		bytes += st.Bytes
	}
	return frames, bytes
}

// TestWhatALayerCosts tells the memory of a node and what it sends while
// nothing happens, by the number of nodes.
func TestWhatALayerCosts(t *testing.T) {
	sizes := []int{10, 30}
	if soak {
		sizes = []int{10, 30, 100, 300}
	}
	for _, k := range sizes {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			world(t, func(t *testing.T) {
				before := heap()
				n := Build(t, Random(k, 4, 1), Options{Seed: 1})
				built, _ := n.sent()
				time.Sleep(2 * time.Minute)
				memory := (heap() - before) / int64(k)
				frames, bytes := n.sent()
				const idle = 5 * time.Minute
				time.Sleep(idle)
				frames2, bytes2 := n.sent()
				perSecond := float64(frames2-frames) / idle.Seconds() / float64(k)
				t.Logf("%d nodes, %d links: %d kB a node; to build: %d frames a node; idle: %.2f frames/s and %.0f bytes/s a node",
					k, len(n.Edges), memory>>10, built/uint64(k), perSecond, float64(bytes2-bytes)/idle.Seconds()/float64(k))
				if memory > 1<<20 {
					t.Errorf("a node takes %d kB", memory>>10)
				}
			})
		})
	}
}

// TestAThousandNodesAreALayer whose links are repeated more rarely than in a
// small one.
func TestAThousandNodesAreALayer(t *testing.T) {
	if !soak {
		t.Skip("it takes minutes: OUROBOROS_SOAK=1")
	}
	world(t, func(t *testing.T) {
		const k = 1000
		c := irm.NewUnicastConfig()
		c.LSUpdate, c.LSTimeout = 300, 1200
		before := heap()
		n := Build(t, Random(k, 3, 5), Options{Seed: 5, Unicast: c})
		time.Sleep(time.Minute) // a directory looks after its contacts twice a minute
		memory := (heap() - before) / k
		built, _ := n.sent()
		t.Logf("built: %d kB a node, %d frames a node", memory>>10, built/k)
		if err := n.Walk(nil); err != nil {
			t.Error(err)
		}
		var some []Pair
		for i := range n.Hosts {
			some = append(some, Pair{i, (i + 311) % k}, Pair{i, (7*i + 3) % k})
		}
		took, err := n.ResolveAll(without(some)...)
		if err != nil {
			t.Error(err)
		}
		frames, bytes := n.sent()
		idle := time.Duration(c.LSUpdate) * time.Second
		time.Sleep(idle)
		frames2, bytes2 := n.sent()
		t.Logf("%d allocations, median %v; idle: %.2f frames/s and %.0f bytes/s a node", len(took), Median(took),
			float64(frames2-frames)/idle.Seconds()/k, float64(bytes2-bytes)/idle.Seconds()/k)
		n.roundsAreFew(t)
	})
}

// TestAFlowOverThreeHopsIsThereSoon in a layer of fifty nodes: beyond the way
// of request and reply, which is no matter of the layer.
func TestAFlowOverThreeHopsIsThereSoon(t *testing.T) {
	world(t, func(t *testing.T) {
		const delay = 100 * time.Microsecond
		n := Build(t, Random(50, 4, 3), Options{Seed: 3, Link: simnet.Link{Delay: delay, Bandwidth: 1e9}})
		n.Settle()
		var pairs []Pair
		for from := range n.Hosts {
			for to, d := range n.Distances(from, nil) {
				if d == 3 {
					pairs = append(pairs, Pair{from, to})
				}
			}
		}
		took, err := n.ResolveAll(pairs...)
		if err != nil {
			t.Error(err)
		}
		m := Median(took)
		t.Logf("%d allocations, median %v", len(took), m)
		if m > 5*time.Millisecond+2*3*delay {
			t.Errorf("median %v", m)
		}
	})
}

// BenchmarkAlloc allocates flows over three hops, in real time.
func BenchmarkAlloc(b *testing.B) {
	n := Build(b, Line(4), Options{Link: simnet.Link{Bandwidth: 1e12}})
	if _, err := Await(b.Context(), 10*time.Second, 10*time.Millisecond, func() error { return n.Walk(nil) }); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if _, err := n.Resolve(0, 3); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNode tells what a node of a layer takes, in real time.
func BenchmarkNode(b *testing.B) {
	for _, k := range []int{10, 50} {
		b.Run(fmt.Sprintf("nodes=%d", k), func(b *testing.B) {
			for range b.N {
				before := heap()
				n := Build(b, Random(k, 4, 1), Options{Link: simnet.Link{Bandwidth: 1e12}})
				frames, _ := n.sent()
				b.ReportMetric(float64(heap()-before)/float64(k), "B/node")
				b.ReportMetric(float64(frames)/float64(k), "frames/node")
				n.close()
			}
		})
	}
}
