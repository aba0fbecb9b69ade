package sim

import (
	"slices"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/simnet"
	"ouroboros/qos"
)

// dumbbell joins k nodes to each end of a link: 0 and 1 are its ends.
func dumbbell(k int) Graph {
	g := Graph{Name: "dumbbell", N: 2 + 2*k, Edges: []Edge{{0, 1}}}
	for i := range k {
		g.Edges = append(g.Edges, Edge{0, 2 + i}, Edge{1, 2 + k + i})
	}
	return g
}

// TestFlowsShareABottleneck: four senders that know no end, one link that is
// too narrow for them.
func TestFlowsShareABottleneck(t *testing.T) {
	for what, spec := range map[string]qos.Spec{"raw": qos.Raw, "reliable": qos.Data} {
		t.Run(what, func(t *testing.T) {
			world(t, func(t *testing.T) {
				const k, size, bandwidth = 4, 1000, 20e6
				n := Build(t, dumbbell(k), Options{Seed: 1, Link: simnet.Link{Bandwidth: 100e6, Delay: time.Millisecond}})
				const queue = 1000
				neck := n.Link(0, 1)
				neck.Set(simnet.Link{Bandwidth: bandwidth, Delay: 2 * time.Millisecond, Queue: queue})
				time.Sleep(time.Second)
				var streams []*Stream
				for i := range k {
					s, err := n.Stream(2+i, 2+k+i, spec)
					if err != nil {
						t.Fatal(err)
					}
					streams = append(streams, s)
				}
				const settle, measure = 10 * time.Second, 10 * time.Second
				var wg sync.WaitGroup
				for _, s := range streams {
					wg.Go(func() { s.Send(size, 0, settle+measure+time.Second) })
				}
				time.Sleep(settle)
				before := make([]int64, k)
				for i, s := range streams {
					before[i] = s.Bytes()
				}
				wire := neck.StatsFrom(0).Bytes
				var queued []int
				for begun := time.Now(); time.Since(begun) < measure; time.Sleep(5 * time.Millisecond) {
					queued = append(queued, neck.Queued(0))
				}
				shares := make([]float64, k)
				var sum float64
				for i, s := range streams {
					shares[i] = float64(s.Bytes()-before[i]) * 8 / measure.Seconds()
					sum += shares[i]
				}
				used := float64(neck.StatsFrom(0).Bytes-wire) * 8 / measure.Seconds() / bandwidth
				slices.Sort(queued)
				p99 := queued[len(queued)*99/100]
				t.Logf("shares %.2f Mbit/s, Jain %.4f, %.1f %% of the link used, %.1f %% by messages; queue: median %d, 99 %% below %d, most %d",
					mega(shares), Jain(shares), 100*used, 100*sum/bandwidth, queued[len(queued)/2], p99, queued[len(queued)-1])
				if j := Jain(shares); j < 0.95 {
					t.Errorf("fairness %.3f", j)
				}
				if used < 0.9 {
					t.Errorf("%.1f %% of the link was used", 100*used)
				}
				if p99 > queue/2 {
					t.Errorf("the queue is long: 99 %% below %d", p99)
				}
				wg.Wait()
				for _, s := range streams {
					s.Close()
				}
			})
		})
	}
}

func mega(x []float64) (m []float64) {
	for _, v := range x {
		m = append(m, v/1e6)
	}
	return m
}
