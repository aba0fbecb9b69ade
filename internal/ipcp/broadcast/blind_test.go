package broadcast

import (
	"sync"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/irm"
	"ouroboros/qos"
)

// blind is a member that behaves as the C implementation does: it forwards
// whatever comes to all others, says nothing of itself, and has no other
// component. It delivers to a process of its own.
type blind struct {
	w    *world
	name string
	mgr  *connmgr.Switchboard
	slow time.Duration // how long it takes to forward; set at the beginning

	mu    sync.Mutex
	conns []*connmgr.Conn
	got   []string
	sent  int // packets that it forwarded
}

func (w *world) blind(name string) *blind {
	b := &blind{w: w, name: name, mgr: connmgr.New(w.Env(name), connmgr.Options{})}
	b.mgr.Register(b)
	b.mgr.Start()
	w.t.Cleanup(b.mgr.Close)
	return b
}

func (b *blind) connect(dst string) {
	if err := b.mgr.Connect(b.w.t.Context(), irm.DataTransfer, dst, qos.Raw); err != nil {
		b.w.t.Fatalf("%s to %s: %v", b.name, dst, err)
	}
}

// Info implements connmgr.Component.
func (b *blind) Info() cep.Message { return cep.Message{Component: irm.DataTransfer} }

// Added implements connmgr.Component.
func (b *blind) Added(c *connmgr.Conn) error {
	b.mu.Lock()
	b.conns = append(b.conns, c)
	b.mu.Unlock()
	c.HandOver(flow.Funcs{OnReceive: func(batch []*packet.Buffer) int {
		var texts []string
		for _, p := range batch {
			texts = append(texts, string(p.Bytes()))
			p.Release()
		}
		b.mu.Lock()
		b.got = append(b.got, texts...)
		b.mu.Unlock()
		forward := func() {
			for _, text := range texts {
				b.forward(c, []byte(text))
			}
		}
		if b.slow == 0 {
			forward()
		} else {
			time.AfterFunc(b.slow, forward)
		}
		return len(batch)
	}})
	return nil
}

// Removed implements connmgr.Component.
func (b *blind) Removed(c *connmgr.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.conns {
		if o == c {
			b.conns = append(b.conns[:i:i], b.conns[i+1:]...)
		}
	}
}

// forward sends to all connections but one, 1400 bytes at most.
func (b *blind) forward(from *connmgr.Conn, p []byte) {
	p = p[:min(len(p), cMTU)]
	b.mu.Lock()
	conns := b.conns
	b.mu.Unlock()
	for _, c := range conns {
		if c == from {
			continue
		}
		flow.SendOrDrop(c.Flow(), []*packet.Buffer{packet.From(p)})
		b.mu.Lock()
		b.sent++
		b.mu.Unlock()
	}
}

func (b *blind) write(text string) { b.forward(nil, []byte(text)) }

func (b *blind) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

func (b *blind) forwarded() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}
