package packet

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"ouroboros/internal/netns"
)

// BenchmarkEcho is the round trip of 64 bytes between two processes in two
// namespaces, sleeping and spinning, beside UDP of the kernel.
func BenchmarkEcho(b *testing.B) {
	for _, kind := range []string{"udp", "sleep", "spin"} {
		b.Run(kind, func(b *testing.B) {
			a, z := netns.Pair(b)
			echoer := part{Role: "echo", Kind: kind, Local: z.IPv4.Addr().String() + ":3435"}
			mac, err := z.MAC(netns.Dev)
			if err != nil {
				b.Fatal(err)
			}
			pinger := part{Role: "ping", Kind: kind, Local: a.IPv4.Addr().String() + ":3435", To: mac.String(), Size: 64, Rounds: max(b.N, 1000)}
			if kind == "udp" {
				pinger.To = echoer.Local
			}
			echo := start(b, z, echoer)
			b.ResetTimer()
			f := start(b, a, pinger).result(false)
			b.StopTimer()
			g := echo.result(true)
			b.ReportMetric(f.P50, "p50-us")
			b.ReportMetric(f.P99, "p99-us")
			b.ReportMetric((f.CPU+g.CPU)*1e6/float64(f.Frames), "cpu-us/op")
		})
	}
}

// BenchmarkOneWay is how many frames of 1400 bytes arrive of one sender that
// sends as fast as it can, beside iperf3.
func BenchmarkOneWay(b *testing.B) {
	for _, straight := range []bool{false, true} {
		b.Run(fmt.Sprintf("straight=%v", straight), func(b *testing.B) {
			for b.Loop() {
				a, z := netns.Pair(b)
				mac, err := z.MAC(netns.Dev)
				if err != nil {
					b.Fatal(err)
				}
				sink := start(b, z, part{Role: "sink", Kind: "spin"})
				f := start(b, a, part{Role: "flood", To: mac.String(), Size: 1404, For: 2 * time.Second, Straight: straight}).result(false)
				g := sink.result(true)
				b.Log(f.Stats)
				b.Log(g.Stats)
				gb := float64(g.Frames) * 1400 / 1e9
				b.ReportMetric(float64(g.Frames)/g.Seconds, "received/s")
				b.ReportMetric(gb*8/g.Seconds, "Gbit/s")
				b.ReportMetric(100*(1-float64(g.Frames)/float64(f.Frames)), "lost-%")
				b.ReportMetric((f.CPU+g.CPU)/gb, "cpu-s/GB")
			}
		})
	}
	b.Run("iperf3", benchmarkIperf)
}

func benchmarkIperf(b *testing.B) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		b.Skip("the program iperf3 is missing")
	}
	for b.Loop() {
		a, z := netns.Pair(b)
		ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
		defer cancel()
		server := z.Command(ctx, "iperf3", "-s")
		if err := server.Start(); err != nil {
			b.Fatal(err)
		}
		var r struct {
			End struct {
				Sum struct {
					Bps  float64 `json:"bits_per_second"`
					Lost float64 `json:"lost_percent"`
				} `json:"sum_received"`
			}
		}
		for ctx.Err() == nil && r.End.Sum.Bps == 0 { // until the server listens
			try, stop := context.WithTimeout(ctx, 10*time.Second)
			out, err := a.Command(try, "iperf3", "-c", z.IPv4.Addr().String(), "-u", "-b", "0", "-l", "1400", "-t", "2", "-J").Output()
			if stop(); err == nil {
				err = json.Unmarshal(out, &r)
			}
			if err != nil {
				b.Log("once more:", err)
			}
		}
		cancel()
		server.Wait()
		b.ReportMetric(r.End.Sum.Bps/1e9, "Gbit/s")
		b.ReportMetric(r.End.Sum.Bps/8/1400, "received/s")
		b.ReportMetric(r.End.Sum.Lost, "lost-%")
	}
}
