package stack

import (
	"fmt"
	"testing"

	"ouroboros/internal/crypt"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/registry"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/qos"
)

// BenchmarkProtocols measures what the protocols of both nodes cost for a message
// of 1400 bytes one way, without anything between the nodes.
func BenchmarkProtocols(b *testing.B) {
	for _, c := range []wire.Cipher{0, wire.AES256GCM, wire.AES128GCM, wire.ChaCha20Poly1305} {
		for name, s := range map[string]qos.Spec{"raw": raw(1), "reliable": data()} {
			s.BER = 1
			b.Run(fmt.Sprint(name, "/", c), func(b *testing.B) {
				const count, size = 64, 1400
				near, far := flow.NewPipe(flow.PipeOptions{QoS: s, MTU: 9000})
				var ends [2]flow.Flow
				var nodes [2]guards
				for i, p := range []*flow.Pipe{near, far} {
					n := registry.Needs{QoS: s, MPL: wireMPL}
					if c != 0 {
						n.Cipher, n.Key = c, &crypt.Key{1}
					}
					var err error
					if ends[i], err = nodes[i].guard(p, n); err != nil {
						b.Fatal(err)
					}
				}
				room := make(chan struct{}, 1)
				ends[0].Attach(flow.Funcs{OnEvent: func(e flow.Event) {
					select {
					case room <- struct{}{}:
					default:
					}
				}})
				ends[1].Attach(flow.Funcs{})
				batch := make([]*packet.Buffer, count)
				b.SetBytes(size)
				b.ReportAllocs()
				b.ResetTimer()
				for sent := 0; sent < b.N; sent += count {
					for i := range batch {
						batch[i] = packet.Get(size)
					}
					for rest := batch; ; <-room {
						if rest = rest[ends[0].Send(rest):]; len(rest) == 0 {
							break
						}
					}
				}
				b.StopTimer()
				for _, f := range ends {
					f.Dealloc()
				}
				for i := range nodes {
					nodes[i].wait(b.Context(), true)
				}
			})
		}
	}
}
