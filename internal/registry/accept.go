package registry

import (
	"container/list"
	"context"
	"errors"
	"os"
	"time"

	"ouroboros/internal/errno"
)

// Accept is a process's wish for a flow to any of its names.
//
//	          reserve                complete
//	pending ───────────► reserved ────────────► over
//	   ▲                    │  │                 ▲
//	   └──── put back ──────┘  └── stopped ──────┘
//
// Whoever reserves an accept takes it out of the state at once, so that no
// second request can choose it. It ends once: with a flow, or with why there
// is none.
type Accept struct {
	by      *Process
	deliver func(*Grant, error)

	// r.mu guards these.
	elem    *list.Element // in proc.accepts while pending
	state   acceptState
	stopped *time.Timer // ends a reserved one that nobody waits for any more
}

type acceptState uint8

const (
	idle acceptState = iota // has not started
	pending
	reserved
	over
)

// settleWait is how long an accept whose time is over waits for the flow that
// it has been reserved for. Making the flow is a matter of microseconds; a
// layer's reply on a slow link must not hold the process longer than this.
const settleWait = 500 * time.Millisecond

// finish ends the accept. Whoever finished it gives the word with deliver when
// r.mu, which is held now, has been given back.
func (a *Accept) finish() {
	h := a.by
	a.state = over
	delete(h.accepts, a)
	h.proc.nAccepts--
	if a.stopped != nil {
		a.stopped.Stop()
	}
}

// usable reports whether a reserved accept still has somebody behind it. r.mu
// is held.
func (a *Accept) usable() bool { return a.state == reserved && !a.by.gone }

// NewAccept makes an accept. deliver is called once after Start, on any
// goroutine: it must not wait, least of all for a flow.
func (h *Process) NewAccept(deliver func(*Grant, error)) *Accept {
	return &Accept{by: h, deliver: deliver}
}

// Start begins to wait for the next flow to any name that the process is bound
// to, or gets bound to meanwhile. When it fails, deliver is not called.
func (a *Accept) Start() error {
	h := a.by
	r, p := h.r, h.proc
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := h.alive(); err != nil {
		return err
	}
	if err := h.room("accept a flow", p.nAccepts, r.cfg.Limits.AcceptsPerProcess, "pending accepts"); err != nil {
		return err
	}
	p.nAccepts++
	h.accepts[a] = struct{}{}
	p.lastAccept = r.tick()
	if len(p.starts) > 0 {
		r.startsSucceeded(p)
	}
	r.offer(a, false)
	return nil
}

// Stop ends an accept because of why, a context's error: without a flow at
// once, or with the one that somebody is just making for it.
func (a *Accept) Stop(why error) {
	r := a.by.r
	r.mu.Lock()
	switch {
	case a.state == pending:
		a.by.proc.accepts.Remove(a.elem)
		a.elem = nil
	case a.state == reserved && a.stopped == nil:
		a.stopped = time.AfterFunc(settleWait, func() { a.expire(why) })
		r.mu.Unlock()
		return
	default:
		r.mu.Unlock()
		return
	}
	a.finish()
	r.mu.Unlock()
	a.deliver(nil, noneCame(why))
}

// expire ends a stopped accept whose flow does not come.
func (a *Accept) expire(why error) {
	r := a.by.r
	r.mu.Lock()
	switch a.state {
	case over:
		r.mu.Unlock()
		return
	case pending: // was put back meanwhile
		a.by.proc.accepts.Remove(a.elem)
		a.elem = nil
	}
	a.finish()
	r.mu.Unlock()
	a.deliver(nil, noneCame(why))
}

func noneCame(why error) error { return endedFor(why, "cannot accept a flow: none came in time") }

// Accept waits for the next flow to any name that the process is bound to, or
// gets bound to meanwhile. With a ctx that has ended it takes a flow that
// somebody already waits for, or fails with ErrTimeout.
func (h *Process) Accept(ctx context.Context) (*Grant, error) {
	type outcome struct {
		grant *Grant
		err   error
	}
	c := make(chan outcome, 1)
	a := h.NewAccept(func(g *Grant, err error) { c <- outcome{g, err} })
	if err := a.Start(); err != nil {
		return nil, err
	}
	var o outcome
	select {
	case o = <-c:
	case <-ctx.Done():
		a.Stop(ctx.Err())
		o = <-c
	}
	if o.err != nil {
		return nil, o.err
	}
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	if h.gone {
		return nil, errno.New(errno.Pipe, "process %d has left the node", h.pid)
	}
	return o.grant, nil
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
	if r.userIsFull(h.proc) {
		r.count.limit++
		return errno.New(errno.NoBufs, "cannot %s: the processes of user %d hold %d ends of flows, the most is %d",
			doing, h.proc.id.UID, r.userFlows[h.proc.id.UID], r.cfg.Limits.FlowsPerUser).Next("deallocate some")
	}
	return nil
}

// userIsFull reports whether the user of a process has all the flows that one
// user can have, so that some are left for others. r.mu is held.
func (r *Registry) userIsFull(p *proc) bool {
	uid := p.id.UID
	return uid != 0 && int(uid) != os.Geteuid() && r.userFlows[uid] >= r.cfg.Limits.FlowsPerUser
}

// ended is the error of a call whose ctx has ended: ErrTimeout for a deadline,
// the cancellation as it is otherwise.
func ended(ctx context.Context, format string, args ...any) error {
	return endedFor(ctx.Err(), format, args...)
}

func endedFor(err error, format string, args ...any) error {
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		return errno.New(errno.TimedOut, format, args...)
	}
	return errno.New(err, format+": the caller gave up", args...)
}

// isClosed reports whether an error says that the node ends.
func isClosed(err error) bool { return errors.Is(err, errno.IRMd) }
