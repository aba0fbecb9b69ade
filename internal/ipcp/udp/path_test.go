package udp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/udpmgmt"
)

// sink drops what comes and counts it.
type sink struct{ n atomic.Uint64 }

func (s *sink) Receive(batch []*packet.Buffer) int {
	packet.ReleaseAll(batch)
	s.n.Add(uint64(len(batch)))
	return len(batch)
}

func (*sink) Event(flow.Event) {}

func TestThePathOfPacketsAllocatesNothing(t *testing.T) {
	if race {
		t.Skip("the race detector allocates")
	}
	a, b := member(t, "127.0.0.1"), member(t, "127.0.0.1")
	near, far := a.flowTo(t, b)
	_, far2 := a.flowTo(t, b)
	far.Attach(new(sink))
	far2.Attach(new(sink))

	t.Run("sending", func(t *testing.T) {
		batch := make([]*packet.Buffer, 32)
		n := testing.AllocsPerRun(200, func() {
			for i := range batch {
				batch[i] = packet.Get(1400)
			}
			flow.SendOrDrop(near, batch)
		})
		if n > 0.9 { // the pool may give memory back to the collector meanwhile
			t.Errorf("%v allocations for 32 packets", n)
		}
	})
	t.Run("receiving", func(t *testing.T) {
		var ids []uint32
		b.Each(func(e *shim.Endpoint[netip.AddrPort]) { ids = append(ids, e.ID()) })
		r := &receiver{l: b.layer}
		batch := make([]*packet.Buffer, 32)
		n := testing.AllocsPerRun(200, func() {
			for i := range batch {
				batch[i] = packet.Get(1404)
				udpmgmt.PutEID(batch[i].Bytes(), ids[i/3%2])
			}
			r.Receive(a.local, batch)
		})
		if n > 0.9 {
			t.Errorf("%v allocations for 32 packets", n)
		}
	})
}

// FuzzReceive gives an IPCP that has one flow runs of datagrams, each behind
// two bytes with its length.
func FuzzReceive(f *testing.F) {
	a := member(f, "127.0.0.1")
	a.host.refuse(errno.NameError)
	from := netip.MustParseAddrPort("127.0.0.9:9")
	frame := func(d []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(d))), d...) }
	req, _ := hex.DecodeString("000000000000004000000000000000000000000000000000ffffffff0000000100000001ffffffff0001d4c0010000397677694da4970d660892a7f7d461e93b442c834a4b1234476e1af306aee9ee18ea6528ed9a325c000000000000000000000000")
	reply, _ := hex.DecodeString("00000000000003e800000040fffffc0f00000000000000000000000000000000000000000000000000000000020000")
	f.Add(frame(req))
	f.Add(append(frame(req), frame(reply)...))
	f.Add(append(frame([]byte{0, 0, 0, 64, 1}), frame(nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var batch []*packet.Buffer
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			batch = append(batch, packet.From(b[2:2+n]))
			b = b[2+n:]
		}
		(&receiver{l: a.layer}).Receive(from, batch)
		if open := a.shown("flows", "open"); open != 0 {
			t.Errorf("%v endpoints are open", open)
		}
	})
}

// BenchmarkPackets carries packets of 1400 bytes to another IPCP.
func BenchmarkPackets(b *testing.B) {
	x, y := member(b, "127.0.0.1"), member(b, "127.0.0.1")
	near, far := x.flowTo(b, y)
	got := new(sink)
	far.Attach(got)
	room := make(chan struct{}, 1)
	near.Attach(flow.Funcs{OnEvent: func(e flow.Event) {
		if e == flow.EventWritable {
			select {
			case room <- struct{}{}:
			default:
			}
		}
	}})
	batch := make([]*packet.Buffer, 32)
	b.SetBytes(1400)
	b.ReportAllocs()
	b.ResetTimer()
	var sent, lost uint64
	for sent < uint64(b.N) {
		for i := range batch {
			batch[i] = packet.Get(1400)
		}
		for rest := batch; len(rest) > 0; {
			rest = rest[near.Send(rest):]
			if len(rest) > 0 {
				<-room
			}
		}
		sent += uint64(len(batch))
		for begun := time.Now(); sent-lost-got.n.Load() > 2048; runtime.Gosched() { // the receiver decides the speed
			if time.Since(begun) > 100*time.Millisecond {
				lost = sent - got.n.Load()
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(got.n.Load())/b.Elapsed().Seconds(), "received/s")
	b.ReportMetric(float64(lost), "lost")
}
