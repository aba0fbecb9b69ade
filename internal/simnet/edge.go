package simnet

import (
	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

var _ shim.Queued = (*layer)(nil)

// Transmit implements shim.Edge: the header goes in front.
func (l *layer) Transmit(e *shim.Endpoint[wire.MAC], batch []*packet.Buffer) (taken int) {
	return l.station.send(batch, header{l, e.Peer(), uint16(e.Remote())})
}

// QueueLen implements shim.Queued.
func (l *layer) QueueLen() int { return l.station.queueLen() }

// header is that of a frame to an endpoint of a station.
type header struct {
	l  *layer
	to wire.MAC
	id uint16
}

func (h header) put(b *packet.Buffer) {
	n := b.Len()
	wire.PutDIX(b.Prepend(wire.DIXHeader), h.to, h.l.station.mac, h.l.ethertype, h.id, n)
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
	n := wire.DIX.Len(w)
	if most := min(l.MTU(), wire.MaxMessage); n > most {
		return errno.New(errno.MsgSize, "a message of %d bytes does not fit into a frame of layer %q, which carries %d", n, l.name, most)
	}
	b := packet.Get(n)
	wire.DIX.Put(b.Bytes(), w)
	batch := [1]*packet.Buffer{b}
	if l.station.send(batch[:], header{l, to, 0}) == 0 {
		b.Release()
		return errno.Again
	}
	return nil
}

// flowKey is what frames of one flow have in common.
type flowKey struct {
	from wire.MAC
	to   uint16
}

// receive takes frames. Those of one flow that follow each other go up
// together.
func (l *layer) receive(frames []*packet.Buffer) {
	var key flowKey
	begin := 0
	for i, b := range frames {
		k, ok := l.strip(b)
		if !ok || k != key {
			l.deliver(key, frames[begin:i])
			begin, key = i, k
		}
		if !ok {
			b.Release()
			begin = i + 1
		}
	}
	l.deliver(key, frames[begin:])
}

// strip takes the header off a frame. One that is not ours is counted.
func (l *layer) strip(b *packet.Buffer) (key flowKey, ok bool) {
	frame := b.Bytes()
	to, n, err := wire.ParseDIX(frame, l.ethertype)
	switch err {
	case nil:
	case wire.ErrForeign:
		l.count.foreign.Add(1)
		return key, false
	default:
		l.count.malformed.Add(1)
		return key, false
	}
	key = flowKey{wire.Source(frame), to}
	b.TrimTail(len(frame) - wire.DIXHeader - n)
	b.TrimHead(wire.DIXHeader)
	return key, true
}

// deliver takes frames of one flow, headers taken off.
func (l *layer) deliver(key flowKey, batch []*packet.Buffer) {
	if len(batch) == 0 {
		return
	}
	if key.to == 0 {
		for _, b := range batch {
			l.manage(key.from, b.Bytes())
			b.Release()
		}
		return
	}
	if e := l.Endpoint(uint32(key.to)); e != nil {
		e.Deliver(key.from, batch)
	} else {
		packet.ReleaseAll(batch)
	}
}

// manage takes a management message.
func (l *layer) manage(from wire.MAC, p []byte) {
	w, err := wire.DIX.Parse(p, l.hashSize)
	if err != nil {
		l.Malformed()
		return
	}
	m := shim.Message{Response: w.Response, QoS: w.QoS, Hash: w.Hash, Data: w.Data}
	switch w.Code {
	case wire.NameQuery:
		l.answer(from, w.Hash)
		return
	case wire.NameReply:
		l.Directory.Add(w.Hash, from, known)
		return
	case wire.FlowRequest:
		m.Code, m.Requester = shim.FlowReq, uint32(w.Source)
	case wire.Probe:
		m.Code, m.Requester = shim.Probe, uint32(w.Source)
	case wire.FlowReply:
		m.Code, m.Requester, m.Responder = shim.FlowReply, uint32(w.Destination), uint32(w.Source)
	case wire.ProbeAnswer:
		m.Code, m.Requester = shim.ProbeAnswer, uint32(w.Destination)
	}
	l.Message(from, &m)
}
