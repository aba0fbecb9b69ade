package eth

import (
	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

var _ shim.Queued = (*layer)(nil)

// Transmit implements shim.Edge: the header goes in front.
func (l *layer) Transmit(e *shim.Endpoint[wire.MAC], batch []*packet.Buffer) (taken int) {
	k := l.port.link.Load()
	if k == nil {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	own, remote, size := e.ID(), e.Remote(), l.kind.Header()
	from, to := wire.MAC(k.MAC()), e.Peer()
	for _, b := range batch {
		n := b.Len()
		l.put(b.Prepend(size), to, from, remote, own, n)
	}
	taken = k.Send(batch)
	for _, b := range batch[taken:] {
		b.TrimHead(size) // it comes again
	}
	return taken
}

// QueueLen implements shim.Queued.
func (l *layer) QueueLen() int {
	if k := l.port.link.Load(); k != nil {
		return k.QueueLen()
	}
	return 0
}

// put writes a header: to and from an endpoint, with n bytes of payload.
func (l *layer) put(h []byte, to, from wire.MAC, remote, own uint32, n int) {
	if l.kind == wire.LLC {
		wire.PutLLC(h, to, from, wire.SAP(remote), wire.SAP(own), n)
	} else {
		wire.PutDIX(h, to, from, l.ethertype, uint16(remote), n)
	}
}

// codes are the messages of the Shim on this wire.
var codes = map[shim.Code]wire.Code{
	shim.FlowReq: wire.FlowRequest, shim.FlowReply: wire.FlowReply,
	shim.Probe: wire.Probe, shim.ProbeAnswer: wire.ProbeAnswer,
}

// Manage implements shim.Edge.
func (l *layer) Manage(to wire.MAC, m *shim.Message) error {
	w := wire.Message{Code: codes[m.Code], Response: m.Response, QoS: m.QoS, Hash: m.Hash, Data: m.Data}
	switch m.Code {
	case shim.FlowReq, shim.Probe:
		w.Source = uint16(m.Requester)
	default:
		w.Source, w.Destination = uint16(m.Responder), uint16(m.Requester)
	}
	return l.message(to, &w)
}

// message sends a management message. errno.Again when there is no room now.
func (l *layer) message(to wire.MAC, w *wire.Message) error {
	n := l.kind.Len(w)
	if err := l.fits(n); err != nil {
		return err
	}
	k := l.port.link.Load()
	if k == nil {
		return l.port.ready()
	}
	b := packet.Get(n)
	l.kind.Put(b.Bytes(), w)
	l.put(b.Prepend(l.kind.Header()), to, wire.MAC(k.MAC()), l.kind.Management(), l.kind.Management(), n)
	batch := [1]*packet.Buffer{b}
	if k.Send(batch[:]) == 0 {
		b.Release()
		return errno.Again
	}
	return nil
}

// fits says whether a message of n bytes can be sent.
func (l *layer) fits(n int) error {
	most := min(l.MTU(), wire.MaxMessage)
	if n <= most {
		return nil
	}
	return errno.New(errno.MsgSize, "a message of %d bytes does not fit into a frame of layer %q, which carries %d", n, l.name, most).
		Next("use a shorter key exchange (irm cert encrypt NAME client kex X25519 replace) or certificate, or a device with a larger MTU")
}
