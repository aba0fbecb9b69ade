package registry

import (
	"container/list"
	"context"
	"errors"
	"time"

	"ouroboros/internal/errno"
)

// accept is a process's wish for a flow to any of its names.
//
//	          reserve                complete
//	pending ───────────► reserved ────────────► settled
//	   ▲                    │  │
//	   └──── put back ──────┘  └── the process does not wait any more: left
//
// Whoever reserves an accept takes it out of the state at once, so that no
// second request can choose it.
type accept struct {
	by   *Process
	elem *list.Element // in proc.accepts while pending

	state acceptState
	done  chan struct{} // one token when settled
	grant *Grant
	err   error
}

type acceptState uint8

const (
	pending acceptState = iota
	reserved
	settled
	left
)

// settleWait is how long an accept whose time is over waits for the flow that
// it has been reserved for. Making the flow is a matter of microseconds; a
// layer's reply on a slow link must not hold the process longer than this.
const settleWait = 500 * time.Millisecond

// settle ends the accept. r.mu is held.
func (a *accept) settle(g *Grant, err error) {
	a.grant, a.err, a.state = g, err, settled
	a.done <- struct{}{}
}

// usable reports whether a reserved accept still has somebody behind it. r.mu
// is held.
func (a *accept) usable() bool { return a.state == reserved && !a.by.gone }

// Accept waits for the next flow to any name that the process is bound to, or
// gets bound to meanwhile. With a ctx that has ended it takes a flow that
// somebody already waits for, or fails with ErrTimeout.
func (h *Process) Accept(ctx context.Context) (*Grant, error) {
	r, p := h.r, h.proc
	r.mu.Lock()
	if err := h.alive(); err != nil {
		r.mu.Unlock()
		return nil, err
	}
	if err := h.room("accept a flow", p.nAccepts, r.cfg.Limits.AcceptsPerProcess, "pending accepts"); err != nil {
		r.mu.Unlock()
		return nil, err
	}
	a := &accept{by: h, done: make(chan struct{}, 1)}
	p.nAccepts++
	p.lastAccept = r.tick()
	if len(p.starts) > 0 {
		r.startsSucceeded(p)
	}
	r.offer(a, false)
	if a.state == pending && ctx.Err() != nil {
		r.withdraw(a)
	}
	r.mu.Unlock()

	select {
	case <-a.done:
	case <-ctx.Done():
	case <-h.ctx.Done():
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { p.nAccepts-- }()
	if a.state == pending {
		r.withdraw(a)
	}
	if a.state == reserved && !h.gone {
		r.mu.Unlock()
		t := time.NewTimer(settleWait)
		select {
		case <-a.done:
		case <-t.C:
		case <-h.ctx.Done():
		}
		t.Stop()
		r.mu.Lock()
	}
	if a.state == settled {
		if a.err == nil && h.gone {
			return nil, errno.New(errno.Pipe, "process %d has left the node", p.id.PID)
		}
		return a.grant, a.err
	}
	a.state = left
	if err := h.alive(); err != nil {
		return nil, err
	}
	return nil, ended(ctx, "cannot accept a flow: none came in time")
}

// withdraw takes a pending accept back. r.mu is held.
func (r *Registry) withdraw(a *accept) {
	a.by.proc.accepts.Remove(a.elem)
	a.elem = nil
	a.state = left
}

// room fails when the process may not have more of something. r.mu is held.
func (h *Process) room(doing string, have, limit int, what string) error {
	r := h.r
	if have >= limit {
		r.count.limit++
		return errno.New(errno.NoBufs, "cannot %s: process %d has %d %s, the most is %d", doing, h.pid, have, what, limit)
	}
	if h.proc.nFlows >= r.cfg.Limits.FlowsPerProcess {
		r.count.limit++
		return errno.New(errno.NoBufs, "cannot %s: process %d holds %d flows, the most is %d",
			doing, h.pid, h.proc.nFlows, r.cfg.Limits.FlowsPerProcess).Next("deallocate some")
	}
	return nil
}

// ended is the error of a call whose ctx has ended: ErrTimeout for a deadline,
// the cancellation as it is otherwise.
func ended(ctx context.Context, format string, args ...any) error {
	err := ctx.Err()
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		return errno.New(errno.TimedOut, format, args...)
	}
	return errno.New(err, format+": the caller gave up", args...)
}

// isClosed reports whether an error says that the node ends.
func isClosed(err error) bool { return errors.Is(err, errno.IRMd) }
