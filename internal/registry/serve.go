package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"ouroboros/internal/errno"
)

// reserve finds a server for a request and reserves its accept. Nil without an
// error means that nobody serves the name on this node. r.mu is held at the
// call and at the return, but not while waiting.
//
//	a process bound to the name      what happens
//	accepts                          its accept is reserved at once
//	does not accept                  wait for RequestWait, and on while others
//	                                 that wait for the name get their turn
//	never did, and is bound by its   it may be a client: another is started if
//	program                          possible, else wait, then as for none
//	is being started                 wait until it accepts or ends
//	none, but a program can be       start it and wait as above; after failures
//	started                          only when its pause is over
//	none                             nobody serves the name here
//
// Those who wait are served in the order in which they came. None waits beyond
// the end of its ctx.
func (r *Registry) reserve(ctx context.Context, q *request, gone <-chan struct{}) (*Accept, error) {
	defer r.leaveQueue(q)
	var patience, pause *time.Timer
	defer func() {
		for _, t := range []*time.Timer{patience, pause} {
			if t != nil {
				t.Stop()
			}
		}
	}()
	for {
		switch {
		case q.got != nil:
			a := q.got
			q.got = nil
			if a.usable() {
				return a, nil
			}
			continue
		case r.closed:
			return nil, errClosed()
		case q.n.gone:
			return nil, errno.New(errno.NameError, "the name %q was destroyed", q.n.info.Name)
		}
		select {
		case <-gone:
			return nil, errno.New(errno.Pipe, "the process has left the node")
		default:
		}
		if q.elem == nil {
			if a := q.n.take(q.not); a != nil {
				return a, nil
			}
		}
		s := r.serving(ctx, q)
		if s.err != nil || s.nobody {
			return nil, s.err
		}
		if ctx.Err() != nil {
			r.count.timedOut++
			return nil, r.lateError(ctx, q)
		}
		if q.wake == nil {
			q.wake = make(chan struct{}, 1)
			q.seq = r.tick()
		}
		r.joinQueue(q)

		var late, resume <-chan time.Time
		if s.busy {
			if patience == nil {
				patience = time.NewTimer(r.cfg.RequestWait)
			}
			late = patience.C
		}
		if s.pause > 0 {
			pause = time.NewTimer(s.pause)
			resume = pause.C
		}
		r.mu.Unlock()
		overdue := false
		select {
		case <-q.wake:
		case <-ctx.Done():
		case <-gone:
		case <-resume:
		case <-late:
			overdue = true
		}
		r.mu.Lock()
		if overdue && q.got == nil && !q.n.gone && !r.closed {
			if left := r.cfg.RequestWait - time.Since(q.n.moved); left > 0 {
				patience.Reset(left)
				continue
			}
			if q.n.answering() {
				patience.Reset(r.cfg.RequestWait)
				continue
			}
			if err := r.idleError(q); err != nil {
				return nil, err
			}
			patience = nil // those that were waited for are clients, or have gone
		}
	}
}

// service says what a request without a pending accept has to expect.
type service struct {
	nobody bool          // serves the name here
	busy   bool          // a bound process does not accept
	pause  time.Duration // until the program may be started again
	err    error         // the program could not serve
}

// serving looks who could serve the request, and starts a program where that
// is the way. r.mu is held.
func (r *Registry) serving(ctx context.Context, q *request) service {
	if st := q.start; st != nil && st.over {
		q.start = nil
		if st.err != nil && !r.busy(q) {
			return service{err: st.err}
		}
	}
	for _, b := range q.n.autos {
		if st := b.prog.starting; st != nil {
			q.start = st
			return service{}
		}
	}
	if r.busy(q) {
		return service{busy: true}
	}
	if len(q.n.autos) == 0 {
		return service{nobody: true}
	}
	b := q.n.autos[0]
	if wait := time.Until(b.prog.notBefore); wait > 0 {
		if d, ok := ctx.Deadline(); ctx.Err() != nil || ok && time.Until(d) < wait {
			return service{err: errno.New(errno.IPCP, "%v; it may be started again in %v", b.prog.lastErr, wait.Round(time.Millisecond))}
		}
		return service{pause: wait}
	}
	if ctx.Err() != nil {
		return service{} // nothing is started for a caller that does not wait
	}
	q.start = r.startProgram(b)
	return service{}
}

// busy reports whether a process is bound that can be expected to accept.
// r.mu is held.
func (r *Registry) busy(q *request) bool {
	for _, b := range q.n.bound {
		if q.not.has(b.p) {
			continue
		}
		if !b.silent() {
			return true
		}
		// A silent process may be a server that has just come up, or a client:
		// many programs are both.
		if b.p != q.from && len(q.n.autos) == 0 && time.Since(b.p.since) < r.cfg.RequestWait {
			return true
		}
	}
	return false
}

// answering reports whether a flow is being made for a process that is bound to
// the name: it has accepted, and what it is waited for takes a while, such as a
// long signature on a busy machine. r.mu is held.
func (n *serviceName) answering() bool {
	return slices.ContainsFunc(n.bound, func(b *binding) bool { return b.p.nAccepts > b.p.accepts.Len() })
}

// silent reports whether the process is bound only because of its program and
// never asked for a flow.
func (b *binding) silent() bool { return b.byProgram && b.p.lastAccept == 0 }

// idleError is for a request whose server did not accept; nil when it was none.
// r.mu is held.
func (r *Registry) idleError(q *request) error {
	for _, b := range q.n.bound {
		if !q.not.has(b.p) && !b.silent() {
			return errno.New(errno.IPCP, "process %d (%s) is bound to %q but did not accept within %v",
				b.p.id.PID, b.p.program, q.n.info.Name, r.cfg.RequestWait).
				Next("see whether it hangs, or has as many flows as it can serve")
		}
	}
	return nil
}

// lateError is for a request whose time is over. r.mu is held.
func (r *Registry) lateError(ctx context.Context, q *request) error {
	if q.start != nil && !q.start.over {
		return ended(ctx, "%s was started for %q and has not accepted yet", q.start.prog.path, q.n.info.Name)
	}
	return ended(ctx, "no process accepted a flow to %q in time", q.n.info.Name)
}

// because puts what was attempted before the cause of an error, and keeps the
// sentinel and the next step.
func because(err error, format string, args ...any) error {
	var d *errno.Detail
	if !errors.As(err, &d) {
		return errno.New(err, format+": %v", append(args, err)...)
	}
	out := errno.New(d.Err, format+": %s", append(args, d.Cause)...)
	out.Hint = d.Hint
	return out
}
