package broadcast

import (
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/broadcast/spantree"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/tree"
)

// tree runs the machine of the spanning tree: one event at a time, what it
// decided is in force before the next, and what it sends goes out with no lock
// held.
type tree struct {
	b *IPCP

	mu     sync.Mutex
	m      *spantree.Machine
	ports  map[*spantree.Port]*link
	timer  *time.Timer
	due    time.Time // of the timer
	closed bool
}

func (t *tree) init(b *IPCP) {
	t.b, t.m, t.ports = b, spantree.New(b.own), make(map[*spantree.Port]*link)
}

// turn gives the machine an event.
func (t *tree) turn(event func(m *spantree.Machine, now time.Time)) {
	now := time.Now()
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	event(t.m, now)
	sent, to := t.send(now)
	ends := t.enforce()
	t.wind(now)
	t.mu.Unlock()
	if ends {
		t.b.fwd.release()
	}
	for i, m := range sent {
		transmit(to[i], m)
	}
}

// send gives what the machine sends, and where to. t.mu is held.
func (t *tree) send(now time.Time) (sent []wire.Message, to []flow.Flow) {
	for _, s := range t.m.Send(now) {
		if l := t.ports[s.Port]; l != nil {
			sent = append(sent, s.Message)
			to = append(to, l.control.conn.Flow())
		}
	}
	return sent, to
}

// enforce puts what the machine decided in force. t.mu is held.
func (t *tree) enforce() (ends bool) {
	for p, l := range t.ports {
		if agreed := p.Forwards(); agreed != l.inForce {
			l.inForce = agreed
			ends = t.b.fwd.change(&l.neighbour, func(n *neighbour) { n.agreed = agreed }) || ends
		}
		if p.Settled() {
			l.settle()
		}
	}
	return ends
}

// wind sets the timer. t.mu is held.
func (t *tree) wind(now time.Time) {
	if len(t.ports) == 0 {
		if t.timer != nil {
			t.timer.Stop()
			t.due = time.Time{}
		}
		return
	}
	next := t.m.Next(now)
	if next.Equal(t.due) {
		return
	}
	t.due = next
	if t.timer == nil {
		t.timer = t.b.env.AfterFunc(next.Sub(now), t.tick)
		return
	}
	t.timer.Reset(next.Sub(now))
}

// tick is called by the timer.
func (t *tree) tick() {
	var silent []*link
	t.turn(func(m *spantree.Machine, now time.Time) {
		t.due = time.Time{}
		for _, p := range m.Tick(now) {
			if l := t.ports[p]; l != nil {
				silent = append(silent, l)
			}
		}
	})
	for _, l := range silent {
		l.lost(errno.New(errno.FlowPeer, "its control connection was silent for %v", spantree.MaxAge))
	}
}

// add makes the port of a connection.
func (t *tree) add(l *link, down bool) {
	t.turn(func(m *spantree.Machine, now time.Time) {
		t.b.mu.Lock()
		ended := l.ended
		t.b.mu.Unlock()
		if ended {
			return
		}
		l.port = m.Add(now, l.peer)
		t.ports[l.port] = l
		if down {
			m.SetDown(now, l.port, true)
		}
	})
}

// remove forgets the port of a connection.
func (t *tree) remove(l *link) {
	t.turn(func(m *spantree.Machine, now time.Time) {
		if l.port != nil {
			m.Remove(now, l.port)
			delete(t.ports, l.port)
		}
	})
}

func (t *tree) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// transmit sends a message; one that is not taken is lost, and repeated later.
func transmit(f flow.Flow, m wire.Message) {
	p := packet.Get(wire.Size)
	m.Put(p.Bytes())
	flow.SendOrDrop(f, []*packet.Buffer{p})
}
