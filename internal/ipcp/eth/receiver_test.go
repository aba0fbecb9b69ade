package eth

import (
	"log/slog"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/link/monitor"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
	"ouroboros/irm"
)

func TestTheDataPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	kinds(t, func(t *testing.T, kind wire.Kind) {
		m, s, mac := faced(t, kind)
		must(t, m.Reg(t.Context(), name("bank")))
		s.say(mac, &wire.Message{Code: wire.FlowRequest, Source: 65, Hash: name("bank"), Data: make([]byte, 36)})
		_, reply := s.hear(wire.FlowReply)
		f := <-m.host.flows
		s.Close() // what it would do with what it gets is not meant
		got := 0
		f.Attach(flow.Funcs{OnReceive: func(batch []*packet.Buffer) int {
			got += len(batch)
			packet.ReleaseAll(batch)
			return len(batch)
		}})
		l := m.i.layer.Load()
		r := &receiver{l: l}
		data := s.put(mac, s.mac, uint32(reply.Source), 65, make([]byte, 1400))
		batch := make([]*packet.Buffer, 32)
		runs := 0
		n := testing.AllocsPerRun(200, func() {
			runs++
			for i := range batch {
				batch[i] = packet.From(data)
			}
			r.Receive(batch)
			for i := range batch {
				batch[i] = packet.Get(1400)
			}
			for rest := batch; len(rest) > 0; {
				rest = rest[f.Send(rest):]
			}
		})
		if got != runs*len(batch) {
			t.Errorf("%d packets arrived, want %d", got, runs*len(batch))
		}
		if n > 1 { // the pools are emptied by a collection now and then
			t.Errorf("%v allocations for %d packets each way", n, len(batch))
		}
	})
}

func TestABatchIsSortedByFlowAndKeepsItsOrder(t *testing.T) {
	m, s, mac := faced(t, wire.DIX)
	must(t, m.Reg(t.Context(), name("bank")))
	var ends []end
	var eids []uint32
	for i := range 3 {
		s.say(mac, &wire.Message{Code: wire.FlowRequest, Source: uint16(65 + i), Hash: name("bank"), Data: make([]byte, 36)})
		_, reply := s.hear(wire.FlowReply)
		e := end{<-m.host.flows, newUser()}
		e.Attach(e.user)
		ends, eids = append(ends, e), append(eids, uint32(reply.Source))
	}
	r := &receiver{l: m.i.layer.Load()}
	var batch []*packet.Buffer
	for i := range 150 {
		batch = append(batch, packet.From(s.put(mac, s.mac, eids[i%3], 0, []byte{byte(i)})))
		if i%7 == 0 {
			batch = append(batch, packet.From([]byte("runt")))
		}
	}
	r.Receive(batch)
	for i := range 150 {
		ends[i%3].packet(t, string([]byte{byte(i)}))
	}
}

// FuzzReceive gives any frame to a member that has flows, in both kinds.
func FuzzReceive(f *testing.F) {
	s := &station{mac: wire.MAC{2, 0, 0, 0, 0, 2}}
	for _, kind := range []wire.Kind{wire.DIX, wire.LLC} {
		s.kind = kind
		for _, good := range newJunk(kind, s, wire.MAC{2, 0, 0, 0, 0, 1}).good {
			f.Add(kind == wire.LLC, good, good)
		}
	}
	f.Fuzz(func(t *testing.T, llc bool, one, two []byte) {
		kind, own, remote := wire.DIX, dixOwn, dixRemote
		if llc {
			kind, own, remote = wire.LLC, llcOwn, llcRemote
		}
		i := newIPCP(ipcp.Env{
			Log: slog.New(slog.DiscardHandler), Host: newHost(), Context: t.Context(),
			Go:        func(f func()) { f() },
			AfterFunc: func(time.Duration, func()) *time.Timer { return nil },
		}, kind, nil)
		l := &layer{i: i, name: "lan", kind: kind, ethertype: 0xa000, hash: irm.SHA3_256, hashSize: 32}
		l.port.l = l
		l.port.state.Store(&monitor.State{})
		l.Shim = shim.New(shim.Config[wire.MAC]{Env: i.env, Edge: l, Own: own, Remote: remote, MPL: MPL, MTU: 1496, RegisteredOnly: true})
		i.layer.Store(l)
		l.Names.Add(name("bank"))
		r := &receiver{l: l}
		frames := []*packet.Buffer{packet.From(one), packet.From(two), packet.From(one)}
		r.Receive(frames)
		l.Shim.Close()
	})
}
