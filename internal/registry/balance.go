package registry

import (
	"container/list"
	"slices"
	"time"

	"ouroboros/irm"
)

// request waits for a server of a name: an allocation of this node, or one
// that arrived from a layer. r.mu guards it.
type request struct {
	n     *serviceName
	from  *proc   // whose request it is; nil when it came from a layer
	not   shunned // are not to serve it: an IPCP never gets a flow to itself
	seq   uint64  // since when it waits
	elem  *list.Element
	got   *Accept       // was handed over, reserved
	wake  chan struct{} // one token: look again
	start *startup      // that it waits for
}

// offer finds work for an accept, or makes it pending: in front when it is
// put back. r.mu is held.
func (r *Registry) offer(a *Accept, front bool) {
	p := a.by.proc
	if q := r.oldestWanting(p); q != nil {
		r.leaveQueue(q)
		a.state = reserved
		q.got = a
		q.n.moved = time.Now()
		q.n.served(p)
		q.rouse()
		return
	}
	a.state = pending
	if front {
		a.elem = p.accepts.PushFront(a)
	} else {
		a.elem = p.accepts.PushBack(a)
	}
}

// putBack returns a reserved accept whose flow could not be completed: it is
// the next to be chosen again. r.mu is held.
func (r *Registry) putBack(a *Accept, n *serviceName) {
	if !a.usable() {
		return
	}
	r.count.reservedBack++
	n.unserved(a.by.proc)
	r.offer(a, true)
}

// feed hands pending accepts of a process to who waits for them. r.mu is held.
func (r *Registry) feed(p *proc) {
	for p.accepts.Len() > 0 && len(p.wanted) > 0 {
		a := p.accepts.Front().Value.(*Accept)
		p.accepts.Remove(a.elem)
		a.elem = nil
		r.offer(a, true)
		if a.state == pending {
			return
		}
	}
}

// oldestWanting gives the request that has waited longest for the process.
// r.mu is held.
func (r *Registry) oldestWanting(p *proc) *request {
	var oldest *request
	for n := range p.wanted {
		for e := n.queue.Front(); e != nil; e = e.Next() {
			q := e.Value.(*request)
			if q.not.has(p) {
				continue
			}
			if oldest == nil || q.seq < oldest.seq {
				oldest = q
			}
			break
		}
	}
	return oldest
}

// take reserves the pending accept that the balance policy chooses; nil when
// no process has one. r.mu is held.
func (n *serviceName) take(not shunned) *Accept {
	var chosen *binding
	for _, b := range n.bound {
		if not.has(b.p) || b.p.accepts.Len() == 0 {
			continue
		}
		if n.info.Balance == irm.RoundRobin {
			chosen = b
			break
		}
		if chosen == nil || b.p.lastAccept > chosen.p.lastAccept {
			chosen = b
		}
	}
	if chosen == nil {
		return nil
	}
	p := chosen.p
	a := p.accepts.Front().Value.(*Accept)
	p.accepts.Remove(a.elem)
	a.elem = nil
	a.state = reserved
	n.served(p)
	return a
}

// served moves the process to the end of the turn, unserved to its front.
// r.mu is held.
func (n *serviceName) served(p *proc) {
	i := slices.IndexFunc(n.bound, func(b *binding) bool { return b.p == p })
	if i < 0 {
		return
	}
	b := n.bound[i]
	b.fed = true
	copy(n.bound[i:], n.bound[i+1:])
	n.bound[len(n.bound)-1] = b
}

func (n *serviceName) unserved(p *proc) {
	i := slices.IndexFunc(n.bound, func(b *binding) bool { return b.p == p })
	if i < 0 {
		return
	}
	b := n.bound[i]
	copy(n.bound[1:i+1], n.bound[:i])
	n.bound[0] = b
}

// joinQueue and leaveQueue keep the queue of a name and tell the processes
// bound to it whether somebody waits. r.mu is held.
func (r *Registry) joinQueue(q *request) {
	if q.elem != nil {
		return
	}
	if q.n.queue.Len() == 0 {
		for _, b := range q.n.bound {
			b.p.wanted[q.n] = struct{}{}
		}
	}
	q.elem = q.n.queue.PushBack(q)
}

func (r *Registry) leaveQueue(q *request) {
	if q.elem == nil {
		return
	}
	q.n.queue.Remove(q.elem)
	q.elem = nil
	if q.n.queue.Len() == 0 {
		for _, b := range q.n.bound {
			delete(b.p.wanted, q.n)
		}
	}
}

// rouse makes the request look again. r.mu is held.
func (q *request) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// kick rouses all who wait for the name, because who serves it has changed.
// r.mu is held.
func (r *Registry) kick(n *serviceName) {
	for e := n.queue.Front(); e != nil; e = e.Next() {
		e.Value.(*request).rouse()
	}
}
