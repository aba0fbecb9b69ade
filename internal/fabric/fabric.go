// Package fabric makes the data path of flows: who holds the ends, and what
// lies between. It is the registry.Fabric of a node.
//
//	           process in another program   process in this program   IPCP
//	           (Owner, remote)              (Owner)                   (registry.FlowOwner)
//	process    segment: memfd               memfd                     port ── pipe
//	process                                 memory of this program    port ── pipe
//	IPCP                                                              pipe
//	attached   port ── the IPCP's flow      port ── the IPCP's flow
//
// Processes hold rings. All flows from one process to another share a link,
// the doorbells, in which each has a slot; the link lasts as long as both
// processes live and is passed to each of them once. IPCPs hold flow.Flows.
// What joins a ring to a flow.Flow is a Port, which runs in this program.
package fabric

import (
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/registry"
	"ouroboros/internal/ring"
	"ouroboros/qos"
)

// Port carries messages between a ring and a flow.
type Port interface {
	// Close says that the process at the other end of the ring is done: what
	// it had written is passed on, the flow deallocated, the ring's end
	// closed, and then done called, once. Close does not wait for that.
	Close()
}

// NewPort joins this program's end of a ring to a flow and takes both over.
// The port reports the end of either to the other, and calls done when Close
// has taken effect. After a failure both still belong to the caller.
type NewPort func(end *ring.End, f flow.Flow, spec qos.Spec, done func()) (Port, error)

// Fabric makes the data path of flows of one node.
type Fabric struct {
	port NewPort
	node *Owner // the node itself: the other side of rings that end in a port

	closing sync.WaitGroup // links with a poller here

	mu    sync.Mutex // guards all links and paths
	links map[pair]*link
	last  uint64 // link number
}

var _ registry.Fabric = (*Fabric)(nil)

// New makes the fabric of a node.
func New(port NewPort) *Fabric {
	f := &Fabric{port: port, links: make(map[pair]*link)}
	f.node = f.NewLocal("node")
	return f
}

// Close releases the doorbells of the node's ports, and waits for those that
// are being released. All ends must be closed and all owners have left.
func (f *Fabric) Close() {
	f.node.Leave()
	f.closing.Wait()
}

// Direct implements registry.Fabric.
func (f *Fabric) Direct(a, b registry.Owner, spec qos.Spec) (registry.End, registry.End, error) {
	oa, ringA := a.(*Owner)
	ob, ringB := b.(*Owner)
	if ringA && ringB {
		p, err := f.path(oa, ob)
		if err != nil {
			return nil, nil, err
		}
		return p.end(0), p.end(1), nil
	}
	// At least one IPCP. The last end to go has no more to do.
	fa, fb := flow.NewPipe(flow.PipeOptions{QoS: spec})
	switch {
	case ringA:
		e, err := f.Attach(oa, fa, spec)
		if err != nil {
			fa.Dealloc()
			fb.Dealloc()
			return nil, nil, err
		}
		return e, &flowEnd{flow: fb}, nil
	case ringB:
		e, err := f.Attach(ob, fb, spec)
		if err != nil {
			fa.Dealloc()
			fb.Dealloc()
			return nil, nil, err
		}
		return &flowEnd{flow: fa}, e, nil
	}
	return &flowEnd{flow: fa}, &flowEnd{flow: fb}, nil
}

// Attach implements registry.Fabric.
func (f *Fabric) Attach(o registry.Owner, fl flow.Flow, spec qos.Spec) (registry.End, error) {
	owner, ok := o.(*Owner)
	if !ok {
		return nil, errno.New(errno.NotSup, "cannot attach a flow to %s: it holds no rings", o.OwnerName())
	}
	p, err := f.path(owner, f.node)
	if err != nil {
		return nil, err
	}
	near, far := p.end(0), p.end(1)
	end, err := far.Ring()
	if err != nil {
		near.Close()
		far.Close()
		return nil, err
	}
	near.port, err = f.port(end, fl, spec, far.Close)
	if err != nil {
		end.Close()
		near.Close()
		far.Close()
		return nil, err
	}
	return near, nil
}

// path makes the memory of a flow from a to b, with a slot for its doorbells.
// The first flows of a link live in the link's own memory.
func (f *Fabric) path(a, b *Owner) (*path, error) {
	l, slot, err := f.enter(a, b)
	if err != nil {
		return nil, err
	}
	p := &path{link: l, slot: slot, open: 2}
	if l.ring.Reset(slot) {
		return p, nil
	}
	if p.seg, err = ring.NewSegment(ring.SegmentOptions{Shared: a.remote() || b.remote()}); err != nil {
		p.end(0).Close()
		p.end(1).Close()
		return nil, noMemory(err)
	}
	return p, nil
}
