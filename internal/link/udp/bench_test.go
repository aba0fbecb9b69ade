package udp

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
)

const port = 3435

// BenchmarkEcho is the round trip between two processes in two namespaces, for
// each way to wait, beside net.UDPConn.
func BenchmarkEcho(b *testing.B) {
	for _, kind := range []string{"net", "poller", "sleep", "spin"} {
		b.Run(kind, func(b *testing.B) {
			a, z := netns.Pair(b)
			local := func(s *netns.Space) string { return fmt.Sprintf("%v:%d", s.IPv4.Addr(), port) }
			echo := start(b, z, part{Role: "echo", Kind: kind, Local: local(z)})
			b.ResetTimer()
			f := start(b, a, part{Role: "ping", Kind: kind, Local: local(a), To: local(z), Size: 64, Rounds: max(b.N, 1000)}).result(false)
			b.StopTimer()
			g := echo.result(true)
			b.ReportMetric(f.P50, "p50-us")
			b.ReportMetric(f.P99, "p99-us")
			b.ReportMetric((f.CPU+g.CPU)*1e6/float64(f.Datagrams), "cpu-us/op")
		})
	}
}

// BenchmarkOneWay is how many datagrams of 1400 B arrive of one sender that
// sends as fast as it can, beside iperf3.
func BenchmarkOneWay(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(map[bool]string{false: "trains", true: "singles"}[plain], func(b *testing.B) {
			for b.Loop() {
				a, z := netns.Pair(b)
				local := func(s *netns.Space) string { return fmt.Sprintf("%v:%d", s.IPv4.Addr(), port) }
				sink := start(b, z, part{Role: "sink", Kind: "spin", Local: local(z), Plain: plain})
				f := start(b, a, part{Role: "flood", Local: local(a), To: local(z), Size: 1400, For: 2 * time.Second, Plain: plain}).result(false)
				g := sink.result(true)
				b.Log(f.Stats)
				b.Log(g.Stats)
				gb := float64(g.Datagrams) * 1400 / 1e9
				b.ReportMetric(float64(g.Datagrams)/g.Seconds, "received/s")
				b.ReportMetric(gb*8/g.Seconds, "Gbit/s")
				b.ReportMetric(100*(1-float64(g.Datagrams)/float64(f.Datagrams)), "lost-%")
				b.ReportMetric((f.CPU+g.CPU)/gb, "cpu-s/GB")
			}
		})
	}
	b.Run("iperf3", func(b *testing.B) {
		if _, err := exec.LookPath("iperf3"); err != nil {
			b.Skip("the program iperf3 is missing")
		}
		for b.Loop() {
			a, z := netns.Pair(b)
			ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
			defer cancel()
			server := z.Command(ctx, "iperf3", "-s", "-1")
			if err := server.Start(); err != nil {
				b.Fatal(err)
			}
			var out []byte
			var err error
			for ctx.Err() == nil {
				out, err = a.Command(ctx, "iperf3", "-c", z.IPv4.Addr().String(), "-u", "-b", "0", "-l", "1400", "-t", "2", "-J").Output()
				if err == nil {
					break
				}
			}
			server.Wait()
			var r struct {
				End struct {
					Sum struct {
						Bps  float64 `json:"bits_per_second"`
						Lost float64 `json:"lost_percent"`
					} `json:"sum_received"`
				}
			}
			if err := json.Unmarshal(out, &r); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.End.Sum.Bps/1e9, "Gbit/s")
			b.ReportMetric(r.End.Sum.Bps/8/1400, "received/s")
			b.ReportMetric(r.End.Sum.Lost, "lost-%")
		}
	})
}

// BenchmarkBatch is the price of a batch in CPU time: sent and received on one
// goroutine over the loopback interface.
func BenchmarkBatch(b *testing.B) {
	for _, c := range []struct{ n, size int }{{1, 64}, {64, 64}, {64, 1400}, {7, 8980}} {
		for _, plain := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dx%d/%s", c.n, c.size, map[bool]string{false: "trains", true: "singles"}[plain]), func(b *testing.B) {
				cfg := Config{Local: loopback4, NoOffload: plain}
				s, d := open(b, cfg), open(b, cfg)
				h := &releaser{}
				r := newReceiver(d, h)
				defer r.release()
				batch := make([]*packet.Buffer, c.n)
				b.ReportAllocs()
				b.SetBytes(int64(c.n * c.size))
				for want := c.n; b.Loop(); want += c.n {
					for i := range batch {
						batch[i] = packet.Get(c.size)
					}
					s.Send(d.LocalAddr(), batch)
					for h.n < want {
						r.receive(true)
					}
				}
			})
		}
	}
}
