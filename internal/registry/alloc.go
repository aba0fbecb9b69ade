package registry

import (
	"context"
	"errors"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
	"ouroboros/qos"
)

// Alloc allocates a flow to a name: directly to a process of this node that
// serves it, else through the layers. Without a deadline it gives up after
// AllocTimeout; with a ctx that has ended it does only what is done at once.
//
//	ErrName     nobody knows the name
//	ErrIPCP     nobody serves it, or the layer failed
//	ErrTimeout  nobody accepted in time
//	ErrAuth     one of the two sides does not trust the other
//	ErrCrypt    the two sides do not agree on encryption, or the answer from
//	            the server's node does not fit the request
//
// Any other error is the refusal of the peer, or a limit.
func (h *Process) Alloc(ctx context.Context, dst string, spec qos.Spec) (*Grant, error) {
	if err := irm.CheckName("name", dst); err != nil {
		return nil, because(err, "cannot allocate a flow")
	}
	g, err := h.alloc(ctx, dst, spec)
	if err != nil {
		h.refused(dst, err)
		return nil, because(err, "cannot allocate a flow to %q", dst)
	}
	return g, nil
}

// AllocNow allocates a flow to a name for which a process of this node waits
// with an accept, and gives nil when there is none or anything else is in the
// way: then Alloc finds out. It does not wait, nor does it compute: a name for
// which certificates or keys have to be looked at is left to Alloc.
func (h *Process) AllocNow(dst string, spec qos.Spec) *Grant {
	r, p := h.r, h.proc
	if !r.bare(dst) {
		return nil
	}
	r.mu.Lock()
	n := r.names[dst]
	if n == nil || n.queue.Len() > 0 || h.alive() != nil || p.nFlows >= r.cfg.Limits.FlowsPerProcess || r.userIsFull(p) {
		r.mu.Unlock()
		return nil
	}
	var self shunned
	if p.ipcp != nil {
		self = shunned{p: {}}
	}
	a := n.take(self)
	if a == nil {
		r.mu.Unlock()
		return nil
	}
	g, _, err := r.join(h, a, n, spec)
	if err != nil {
		return nil
	}
	return g
}

// refused counts and tells an allocation that failed.
func (h *Process) refused(dst string, err error) {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.refused++
	if len(r.watchers) > 0 {
		r.publish(irm.Event{Kind: "flow", Action: "refused", Name: dst, PID: h.pid, Detail: err.Error()})
	}
}

func (h *Process) alloc(ctx context.Context, dst string, spec qos.Spec) (*Grant, error) {
	r, p := h.r, h.proc
	r.mu.Lock()
	if err := h.enter(); err != nil {
		r.mu.Unlock()
		return nil, err
	}
	defer h.leave()

	var self shunned
	if p.ipcp != nil {
		self = shunned{p: {}}
	}
	limited := false
	for {
		n := r.names[dst]
		if n == nil {
			r.mu.Unlock()
			return r.allocOut(ctx, h, dst, false, spec)
		}
		a := (*Accept)(nil)
		if n.queue.Len() == 0 {
			a = n.take(self)
		}
		if a == nil {
			if _, ok := ctx.Deadline(); !ok && !limited {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, r.cfg.AllocTimeout)
				defer cancel()
				limited = true
			}
			var err error
			a, err = r.reserve(ctx, &request{n: n, from: p, not: self}, h.ctx.Done())
			if err != nil {
				r.mu.Unlock()
				return nil, err
			}
		}
		if a == nil {
			r.mu.Unlock()
			return r.allocOut(ctx, h, dst, true, spec)
		}
		g, again, err := r.join(h, a, n, spec)
		if !again {
			return g, err
		}
		r.mu.Lock()
	}
}

// enter and leave count the running allocations of a process. r.mu is held at
// enter, and not at leave.
func (h *Process) enter() error {
	if err := h.alive(); err != nil {
		return err
	}
	if err := h.room("allocate a flow", h.proc.nAllocs, h.r.cfg.Limits.AllocsPerProcess, "pending allocations"); err != nil {
		return err
	}
	h.proc.nAllocs++
	return nil
}

func (h *Process) leave() {
	h.r.mu.Lock()
	h.proc.nAllocs--
	h.r.mu.Unlock()
}

// outward gives the ctx of a call into the layers: it ends with the process,
// and after AllocTimeout at the latest when the caller set no deadline.
func (h *Process) outward(ctx context.Context) (context.Context, context.CancelFunc) {
	var cancel context.CancelFunc
	if _, ok := ctx.Deadline(); ok {
		ctx, cancel = context.WithCancel(ctx)
	} else {
		ctx, cancel = context.WithTimeout(ctx, h.r.cfg.AllocTimeout)
	}
	stop := context.AfterFunc(h.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Join makes the process a member of a broadcast layer.
func (h *Process) Join(ctx context.Context, layer string) (*Grant, error) {
	if err := irm.CheckName("layer name", layer); err != nil {
		return nil, because(err, "cannot join")
	}
	r := h.r
	r.mu.Lock()
	if err := h.enter(); err != nil {
		r.mu.Unlock()
		return nil, err
	}
	defer h.leave()
	var e *ipcpEntry
	for _, c := range r.ipcps.sorted {
		if c.state != stateUp || !c.joined || c.layer.Name != layer || c.proc == h.proc {
			continue
		}
		if e == nil || c.kind == irm.Broadcast {
			e = c // of several layers that are called so, the one that can be joined
		}
		if c.kind == irm.Broadcast {
			break
		}
	}
	r.mu.Unlock()
	if e == nil {
		err := errno.New(errno.IPCP, "cannot join layer %q: no IPCP of this node is in it", layer).Next("see them with: irm ipcp list")
		h.refused(layer, err)
		return nil, err
	}
	ctx, cancel := h.outward(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return nil, because(h.endedOut(ctx, layer), "cannot join layer %q", layer)
	}
	f, err := e.impl.Join(ctx, hash.Sum(e.layer.Hash, layer))
	if err != nil {
		if ctx.Err() != nil {
			err = h.endedOut(ctx, layer)
		} else if errors.Is(err, errno.NotSup) {
			err = errno.New(errno.NotAlloc, "it is a %v layer", e.kind).Next("only broadcast layers can be joined; allocate a flow to a name instead")
		}
		h.refused(layer, err)
		return nil, because(err, "cannot join layer %q", layer)
	}
	return r.carry(h, nil, e, layer, f, qos.NP1, 0, nil)
}
