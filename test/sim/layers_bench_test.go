package sim

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/simnet"
	"ouroboros/irm"
	"ouroboros/qos"
)

// tower is two nodes with so many unicast layers between them, in real time,
// and a flow through the topmost to a server that echoes.
func tower(b *testing.B, layers int) (echo, sink *ouroboros.Flow) {
	n := Build(b, Line(2), Options{Link: simnet.Link{Bandwidth: 1e12}})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	b.Cleanup(cancel)
	below := []member{{n.Hosts[0], n.Hosts[0].U, MemberName(0)}, {n.Hosts[1], n.Hosts[1].U, MemberName(1)}}
	for k := 2; k <= layers; k++ {
		var layer []member
		for i, h := range n.Hosts {
			m, err := create(ctx, h, fmt.Sprintf("m%d.%d", k, i), below[i].pid)
			if err != nil {
				b.Fatal(err)
			}
			var at *member
			if i > 0 {
				at = &layer[0]
			}
			if err := m.enter(ctx, fmt.Sprintf("L%d", k), irm.NewUnicastConfig(), at, qos.Raw); err != nil {
				b.Fatal(err)
			}
			layer = append(layer, m)
		}
		below = layer
	}
	server, err := below[1].h.Node.Client("server")
	if err != nil {
		b.Fatal(err)
	}
	serve := func(name string, each func(f *ouroboros.Flow, m []byte)) *ouroboros.Flow {
		l, err := server.Listen(ctx, name)
		if err != nil {
			b.Fatal(err)
		}
		if err := below[1].h.RegName(ctx, name, below[1].pid); err != nil {
			b.Fatal(err)
		}
		go func() {
			f, err := l.AcceptFlow(ctx)
			if err != nil {
				return
			}
			buf := make([]byte, 64<<10)
			for {
				k, err := f.Read(buf)
				if err != nil {
					return
				}
				each(f, buf[:k])
			}
		}()
		spec := qos.Raw
		f, err := n.Hosts[0].Client.Alloc(ctx, name, &spec)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	return serve("echo", func(f *ouroboros.Flow, m []byte) { f.Write(m) }), serve("sink", func(*ouroboros.Flow, []byte) {})
}

// BenchmarkLayers is what a message of 64 B costs there and back, and one of
// 1300 B one way, over so many unicast layers: all in one program, so that no
// scheduler of processes and no network card moves the figures.
func BenchmarkLayers(b *testing.B) {
	for _, layers := range []int{1, 2, 11} {
		b.Run(fmt.Sprintf("layers=%d/round-trip", layers), func(b *testing.B) {
			echo, _ := tower(b, layers)
			buf := make([]byte, 64)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := echo.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := echo.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("layers=%d/one-way", layers), func(b *testing.B) {
			_, sink := tower(b, layers)
			buf := make([]byte, 1300)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := sink.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
