package udp

import (
	"net/netip"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/link/udp"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/udpmgmt"
)

var _ shim.Queued = (*layer)(nil)

// Transmit implements shim.Edge: the number of the peer's endpoint goes in
// front.
func (l *layer) Transmit(e *shim.Endpoint[netip.AddrPort], batch []*packet.Buffer) (taken int) {
	remote := e.Remote()
	for _, b := range batch {
		udpmgmt.PutEID(b.Prepend(udpmgmt.EIDSize), remote)
	}
	taken = l.socket.Send(e.Peer(), batch)
	for _, b := range batch[taken:] {
		b.TrimHead(udpmgmt.EIDSize) // it comes again
	}
	return taken
}

// QueueLen implements shim.Queued.
func (l *layer) QueueLen() int { return l.socket.QueueLen() }

// codes are the messages of the Shim on this wire.
var codes = map[shim.Code]udpmgmt.Code{
	shim.FlowReq: udpmgmt.FlowReq, shim.FlowReply: udpmgmt.FlowReply,
	shim.Probe: udpmgmt.Probe, shim.ProbeAnswer: udpmgmt.ProbeAnswer,
}

// Manage implements shim.Edge.
func (l *layer) Manage(to netip.AddrPort, m *shim.Message) error {
	w := udpmgmt.Message{
		Code: codes[m.Code], SEID: m.Requester, DEID: m.Responder, Response: m.Response,
		QoS: m.QoS, Hash: m.Hash, Data: m.Data,
	}
	size := w.Size()
	switch {
	case size > udp.MaxDatagram:
		return errno.New(errno.MsgSize, "a message of %d bytes does not fit into a datagram", size)
	case size > udpmgmt.MaxForeign && !l.Knows(to):
		return errno.New(errno.MsgSize, "a message of %d bytes may be more than the peer %v can take, which is %d", size, to, udpmgmt.MaxForeign).
			Next("use a shorter certificate or key exchange, or see that an IPCP of this kind runs there")
	}
	b := packet.Get(size)
	w.Put(b.Bytes())
	return l.datagram(to, b)
}

// datagram sends one datagram.
func (l *layer) datagram(to netip.AddrPort, b *packet.Buffer) error {
	batch := [1]*packet.Buffer{b}
	if l.socket.Send(to, batch[:]) == 0 {
		b.Release()
		return errno.Again
	}
	return nil
}
