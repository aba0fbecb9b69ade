package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
	"ouroboros/qos"
)

const (
	// queryTie is how long an answer to a query waits for that of an IPCP
	// which is preferred.
	queryTie = 2 * time.Millisecond
	// queryWait is the longest that a directory may take.
	queryWait = 5 * time.Second
)

// Alloc allocates a flow to a name: directly to a process of this node that
// serves it, else through the layers. Without a deadline it gives up after
// AllocTimeout; with a ctx that has ended it does only what is done at once.
//
//	ErrName     nobody knows the name
//	ErrIPCP     nobody serves it, or the layer failed
//	ErrTimeout  nobody accepted in time
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
// way: then Alloc finds out. It does not wait.
func (h *Process) AllocNow(dst string, spec qos.Spec) *Grant {
	r, p := h.r, h.proc
	r.mu.Lock()
	n := r.names[dst]
	if n == nil || n.queue.Len() > 0 || h.alive() != nil || p.nFlows >= r.cfg.Limits.FlowsPerProcess {
		r.mu.Unlock()
		return nil
	}
	var self *proc
	if p.ipcp != nil {
		self = p
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

	var self *proc
	if p.ipcp != nil {
		self = p
	}
	limited := false
	for {
		n := r.names[dst]
		if n == nil {
			r.mu.Unlock()
			return r.allocOut(ctx, h, dst, false, spec)
		}
		a := (*accept)(nil)
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

// answer is what an IPCP said to a query.
type answer struct {
	e    *ipcpEntry
	hash []byte
	rank int // in the registry's order
	err  error
}

// allocOut allocates through a layer: all are asked at the same time, and the
// flow is allocated in the first that knows the name; of those that answer at
// about the same moment, in the first of the registry's order. When that one
// turns out not to reach the name after all, the next is tried.
func (r *Registry) allocOut(ctx context.Context, h *Process, dst string, known bool, spec qos.Spec) (*Grant, error) {
	ctx, cancel := h.outward(ctx)
	defer cancel()

	r.mu.Lock()
	var asked []answer
	for _, e := range r.ipcps.sorted {
		if e.state == stateUp && e.joined && e.kind != irm.Broadcast && e.proc != h.proc {
			asked = append(asked, answer{e: e, hash: hash.Sum(e.layer.Hash, dst), rank: len(asked)})
		}
	}
	r.mu.Unlock()
	if len(asked) == 0 {
		return nil, errUnreachable(dst, known, nil)
	}
	if ctx.Err() != nil {
		return nil, h.endedOut(ctx, dst)
	}

	queries, stop := context.WithTimeout(ctx, queryWait)
	defer stop()
	answers := make(chan answer, len(asked))
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, errClosed()
	}
	for _, q := range asked {
		r.work.Go(func() {
			q.err = q.e.impl.Query(queries, q.hash)
			answers <- q
		})
	}
	r.mu.Unlock()
	outstanding := make(map[int]bool, len(asked))
	for _, q := range asked {
		outstanding[q.rank] = true
	}
	var yes []answer
	var failed []answer
	for len(outstanding) > 0 || len(yes) > 0 {
		// Wait for a first yes, then for a moment for one of a better rank.
		var tie <-chan time.Time
		for len(outstanding) > 0 && (len(yes) == 0 || better(outstanding, yes[0].rank)) {
			if len(yes) > 0 && tie == nil {
				tie = time.After(queryTie)
			}
			select {
			case q := <-answers:
				delete(outstanding, q.rank)
				if q.err != nil {
					failed = append(failed, q)
					continue
				}
				yes = append(yes, q)
				slices.SortFunc(yes, func(a, b answer) int { return cmp.Compare(a.rank, b.rank) })
				continue
			case <-tie:
			case <-ctx.Done():
				return nil, h.endedOut(ctx, dst)
			}
			break
		}
		if len(yes) == 0 {
			break
		}
		q := yes[0]
		yes = yes[1:]
		g, err := r.allocIn(ctx, h, q, dst, spec)
		if err == nil {
			return g, nil
		}
		if ctx.Err() != nil {
			return nil, h.endedOut(ctx, dst)
		}
		if !errors.Is(err, errno.NameError) && !errors.Is(err, errno.IPCP) && !errors.Is(err, errno.IPCPState) {
			return nil, err
		}
		q.err = err
		failed = append([]answer{q}, failed...)
	}
	return nil, errUnreachable(dst, known, failed)
}

// better reports whether an IPCP that has not answered is preferred to rank.
func better(outstanding map[int]bool, rank int) bool {
	for o := range outstanding {
		if o < rank {
			return true
		}
	}
	return false
}

// allocIn allocates a flow in one layer.
func (r *Registry) allocIn(ctx context.Context, h *Process, q answer, dst string, spec qos.Spec) (*Grant, error) {
	reply, err := q.e.impl.AllocFlow(ctx, &ipcp.Request{Hash: q.hash, QoS: spec})
	if err != nil {
		return nil, because(err, "layer %q", q.e.layer.Name)
	}
	return r.carry(h, nil, q.e, dst, reply.Flow, spec, reply.MPL)
}

// endedOut is for an allocation whose ctx ended among the layers.
func (h *Process) endedOut(ctx context.Context, dst string) error {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := h.alive(); err != nil {
		return err
	}
	r.count.timedOut++
	return ended(ctx, "no layer answered for it in time")
}

// errUnreachable is for a name to which no layer has a way.
func errUnreachable(dst string, known bool, failed []answer) error {
	for _, f := range failed {
		// A layer that had said yes, or could not work, knows more than those
		// that have never heard of the name.
		if !errors.Is(f.err, errno.NameError) && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return because(f.err, "no layer reaches it")
		}
	}
	if !known {
		return errno.New(errno.NameError, "nobody knows that name: neither this node nor a layer that it is in").
			Next("look for a typing error, or make it reachable at the server with: irm name register %s layer LAYER", dst)
	}
	return errno.New(errno.IPCP, "no process here is bound to it, and no layer knows it").
		Next("start a server that is bound to it: irm bind program PROGRAM name %s", dst)
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
		if c.state == stateUp && c.joined && c.layer.Name == layer && c.proc != h.proc {
			e = c
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
	return r.carry(h, nil, e, layer, f, qos.NP1, 0)
}
