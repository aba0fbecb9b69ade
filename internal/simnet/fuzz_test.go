package simnet

import (
	"testing"

	"ouroboros/internal/ipcp"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
	"ouroboros/irm"
)

// FuzzReceive gives a member whatever frames there may be.
func FuzzReceive(f *testing.F) {
	frame := func(eid uint16, p []byte) []byte {
		b := make([]byte, wire.DIXHeader, wire.DIXHeader+len(p))
		wire.PutDIX(b, wire.MAC{2}, wire.MAC{4}, irm.DefaultEthertype, eid, len(p))
		return append(b, p...)
	}
	for _, m := range []wire.Message{
		{Code: wire.NameQuery, Hash: make([]byte, 32)}, {Code: wire.NameReply, Hash: make([]byte, 32)},
		{Code: wire.FlowRequest, Source: 5, Hash: make([]byte, 32), Data: []byte("data")},
		{Code: wire.FlowReply, Source: 5, Destination: 7}, {Code: wire.Probe, Source: 5, Hash: make([]byte, 32)},
		{Code: wire.ProbeAnswer, Destination: 9},
	} {
		f.Add(frame(0, wire.DIX.Append(nil, &m)), frame(9, []byte("data")))
	}
	net := New(Options{})
	net.Link("l", Link{})
	g, err := ipcp.Start(irm.EthDIX, net.Kind(), ipcp.Env{Identity: ipcp.Identity{PID: 5000000, Name: "m"}}, func(err error) { panic(err) })
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { g.Close() })
	cfg := irm.NewConfig(irm.EthDIX, "lan")
	cfg.Eth.Device = "l"
	if _, err := g.Bootstrap(f.Context(), cfg); err != nil {
		f.Fatal(err)
	}
	l := net.Segment("l").stations[0].layer
	f.Fuzz(func(t *testing.T, a, b []byte) {
		l.receive([]*packet.Buffer{packet.From(a), packet.From(b), packet.From(a), packet.From(b)})
	})
}
