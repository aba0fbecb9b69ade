package fa_test

import (
	"sync"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	msg "ouroboros/internal/wire/fa"
	"ouroboros/qos"
)

// reference is a member that behaves as the C implementation: every request is
// a new flow, which it accepts and echoes on; what it does not know it drops.
type reference struct {
	net *member

	mu       sync.Mutex
	deaf     bool // answers no request
	last     uint32
	flows    map[uint64]*refFlow
	requests int
	replies  int
	unknown  int
	ends     int // messages about the end of a flow, of those
	updates  int
	wait     chan msg.Message
}

// refFlow is its end of a flow.
type refFlow struct {
	peer   wire.Addr
	remote uint64
}

func newReference(l *layer, addr wire.Addr) *reference {
	r := &reference{net: l.add(addr), last: wire.FirstFlowEID, flows: make(map[uint64]*refFlow), wait: make(chan msg.Message, 100)}
	r.net.Register(0, r.messages)
	r.net.RegisterFlows(r.packets)
	r.net.OnChange(func() {})
	return r
}

// eid is one of its endpoints: random above, a descriptor below.
func (r *reference) eid() uint64 {
	r.last++
	return 0x5eed5eed<<32 | uint64(r.last)
}

func (r *reference) send(to wire.Addr, eid uint64, b *packet.Buffer) {
	r.net.Send(to, 0, eid, []*packet.Buffer{b})
}

func (r *reference) say(to wire.Addr, m *msg.Message) {
	b := packet.Get(m.Size())
	m.Put(b.Bytes())
	r.send(to, 0, b)
}

// ask requests a flow and waits for the reply.
func (r *reference) ask(to wire.Addr, s, data string) msg.Message {
	r.mu.Lock()
	eid := r.eid()
	r.flows[eid] = &refFlow{peer: to}
	r.mu.Unlock()
	r.say(to, &msg.Message{Code: msg.Request, SAddr: r.net.addr, SEID: eid, QoS: qos.Raw, Hash: name(s), Data: []byte(data)})
	return <-r.wait
}

func (r *reference) messages(batch []*packet.Buffer) {
	for _, b := range batch {
		b.TrimHead(wire.HeaderLen)
		if m, err := msg.Parse(b.Bytes(), hashLen); err == nil {
			r.message(&m)
		}
		b.Release()
	}
}

func (r *reference) message(m *msg.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch m.Code {
	case msg.Request:
		r.requests++
		if r.deaf {
			return
		}
		eid := r.eid()
		r.flows[eid] = &refFlow{m.SAddr, m.SEID}
		r.say(m.SAddr, &msg.Message{Code: msg.Reply, REID: m.SEID, SEID: eid, Data: append([]byte("answer to "), m.Data...)})
	case msg.Reply:
		r.replies++
		if f := r.flows[m.REID]; f != nil {
			f.remote = m.SEID
		}
		c := *m
		c.Data = append([]byte(nil), m.Data...)
		select {
		case r.wait <- c:
		default:
		}
	case msg.Update:
		r.updates++
	default:
		r.unknown++
		if m.Code == msg.Dealloc && m.REID != 0 {
			r.ends++
		}
	}
}

func (r *reference) packets(eid uint64, batch []*packet.Buffer) {
	r.mu.Lock()
	f := r.flows[eid]
	r.mu.Unlock()
	for _, b := range batch {
		if f == nil {
			b.Release()
			continue
		}
		b.TrimHead(wire.HeaderLen)
		r.send(f.peer, f.remote, b)
	}
}
