package broadcast

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
	"ouroboros/qos"
)

// joinMost is the most joined flows at a time.
const joinMost = 1024

// joinLimit bounds what waits for a process that does not read, and for the
// forwarder when a process that writes is held.
var joinLimit = flow.Limit{Packets: 1024, Bytes: 512 << 10}

// Join implements ipcp.IPCP: one more participant. What it writes goes to all
// others, also of this member, and not back to it.
func (b *IPCP) Join(_ context.Context, h []byte) (flow.Flow, error) {
	own, theirs := flow.NewPipe(flow.PipeOptions{QoS: qos.NP1, Limit: joinLimit, Spawn: b.env.Go})
	user := &userEnd{Pipe: theirs}
	user.mtu.Store(int64(b.fwd.longest()))
	n := &neighbour{f: b.fwd, flow: own, user: user, agreed: true}
	n.limit.Store(flow.MaxPacket)
	j := &joinedFlow{n, own, b}
	if err := b.enlist(j, h); err != nil {
		return nil, err
	}
	b.fwd.add(n)
	own.Attach(j)
	return user, nil
}

// enlist enters a flow, or says why it cannot be.
func (b *IPCP) enlist(j *joinedFlow, h []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return errGone()
	case !bytes.Equal(h, hash.Sum(irm.SHA3_256, b.info.Name)):
		return errno.New(errno.NameError, "this is the layer %q", b.info.Name)
	case len(b.joined) >= joinMost:
		return errno.New(errno.NoBufs, "%d processes have joined the layer %q at this member already", joinMost, b.info.Name)
	}
	b.joined[j] = struct{}{}
	return nil
}

// joinedFlow is the end of a joined process's flow at the forwarder.
type joinedFlow struct {
	*neighbour
	pipe *flow.Pipe
	b    *IPCP
}

// Event implements flow.Handler.
func (j *joinedFlow) Event(e flow.Event) {
	if e != flow.EventDealloc {
		return // what a reader does not take it loses
	}
	j.b.mu.Lock()
	delete(j.b.joined, j)
	j.b.mu.Unlock()
	j.b.fwd.remove(j.neighbour)
	j.pipe.Dealloc()
}

// userEnd is the other end, a process's. It writes as much as the connections
// take, and reads whatever comes.
type userEnd struct {
	*flow.Pipe
	mtu atomic.Int64

	mu      sync.Mutex
	h       flow.Handler
	resized bool // before there was a handler
	ended   bool
}

// MTU implements flow.Flow.
func (u *userEnd) MTU() int { return int(u.mtu.Load()) }

// setMTU tells the user of a change.
func (u *userEnd) setMTU(n int) {
	if int(u.mtu.Swap(int64(n))) == n {
		return
	}
	u.mu.Lock()
	h := u.h
	u.resized = h == nil
	if u.ended {
		h = nil
	}
	u.mu.Unlock()
	if h != nil {
		h.Event(flow.EventMTU)
	}
}

// Attach implements flow.Flow.
func (u *userEnd) Attach(h flow.Handler) {
	u.Pipe.Attach(h)
	u.mu.Lock()
	u.h = h
	resized := u.resized && !u.ended
	u.mu.Unlock()
	if resized {
		h.Event(flow.EventMTU)
	}
}

// Dealloc implements flow.Flow.
func (u *userEnd) Dealloc() {
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	u.Pipe.Dealloc()
}

// end ends the flow from the side of the layer.
func (u *userEnd) end() {
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	u.Pipe.End(flow.EventDealloc)
}
